//! The options that say which event times are believed, and where frames go that are not counted.

use std::fs;

use serde_json::{Value, json};

use super::line;
use super::usage::{check_all, folder};
use crate::support::process::{headcount, run_ok};

#[test]
fn what_makes_no_sense_about_time_is_refused_in_a_sentence() {
    let dir = folder();
    check_all(
        dir.path(),
        &[
            (
                "count --max-jump 500ms a",
                2,
                &["--max-jump", "whole seconds"],
            ),
            (
                "count --max-jump 36601d a",
                2,
                &["--max-jump", "36600 days"],
            ),
            (
                "count --lateness 1h --max-lateness 1m a",
                2,
                &["--max-lateness", "at least --lateness"],
            ),
            (
                "run --idle-timeout 10ms",
                2,
                &["--idle-timeout", "1s to 1d"],
            ),
            ("run --max-skew 1s", 2, &["--max-skew", "1m to 366d"]),
            ("run --emit some", 2, &["--emit", "all", "final"]),
            (
                "run --forget minute",
                2,
                &["--forget 'minute'", "minute=90d"],
            ),
            ("run --forget second=90d", 2, &["--forget", "minute=90d"]),
            ("run --forget minute=90", 2, &["--forget", "unit"]),
            (
                "run --forget minute=1h",
                2,
                &["--forget 'minute=1h'", "--retain-minutes"],
            ),
            (
                "run -o - --forget minute=90d",
                2,
                &["--forget", "--output - has none"],
            ),
        ],
    );
}

#[test]
fn frames_that_do_not_count_go_nowhere_where_something_is_already() {
    let dir = folder();
    check_all(
        dir.path(),
        &[
            (
                "run --quarantine-topic users",
                2,
                &["--quarantine-topic 'users'", "choose another"],
            ),
            (
                "run --rejects-topic stats-windows",
                2,
                &["--rejects-topic 'stats-windows'", "choose another"],
            ),
            (
                "count --quarantine-file a a",
                2,
                &["a is read", "cannot be written"],
            ),
            (
                "count --quarantine-file q --rejects-file q a",
                2,
                &["--quarantine-file and --rejects-file must differ"],
            ),
            (
                "count --quarantine-file q --rejects-file q.reasons a",
                2,
                &["--quarantine-file and --rejects-file must differ"],
            ),
            (
                "count --quarantine-file a a.reasons",
                2,
                &["a.reasons is read", "cannot be written"],
            ),
            (
                "count --rejects-file missing/q a",
                74,
                &["missing/q", "No such file"],
            ),
        ],
    );
}

/// Frames a second, one of them a year ahead, one two centuries behind what `--max-lateness` allows, and rubbish.
fn doubtful() -> (Vec<String>, usize, usize, usize) {
    let noon = 1_774_612_800;
    let mut lines: Vec<_> = (0..200).map(|i| line("a", noon + i)).collect();
    let (ahead, behind, rubbish) = (50, 120, 160);
    lines[ahead] = line("ahead", noon + 366 * 86_400);
    lines[behind] = line("behind", noon - 3 * 86_400);
    lines[rubbish] = "rubbish\n".to_owned();
    (lines, ahead, behind, rubbish)
}

#[test]
fn frames_that_do_not_count_go_to_files_unchanged_with_the_reasons_beside_them() {
    let dir = folder();
    let path = |name: &str| dir.path().join(name);
    let (lines, ahead, behind, rubbish) = doubtful();
    fs::write(path("in"), lines.concat()).unwrap();
    let mut command = headcount();
    command
        .current_dir(dir.path())
        .args(["count", "-f", "json", "--max-lateness", "1d"])
        .args(["--quarantine-file", "q", "--rejects-file", "r", "in"]);
    let (stdout, _) = run_ok(command, b"");
    let stats: Value = serde_json::from_str(stdout.lines().last().unwrap()).unwrap();
    let frames = &stats["frames"];
    assert_eq!(frames["counted"], 197);
    assert_eq!(frames["quarantined"], 2);
    assert_eq!(frames["quarantined_by"], json!({"ahead": 1, "behind": 1}));
    assert_eq!(frames["rejected"], json!({"json": 1}));
    let text = |name: &str| fs::read_to_string(path(name)).unwrap();
    // The one ahead is decided on when the 48th frame comes after it.
    assert_eq!(text("q"), [&*lines[ahead], &*lines[behind]].concat());
    assert_eq!(text("r"), lines[rubbish]);
    let reasons: Vec<Value> = ["q.reasons", "r.reasons"]
        .map(text)
        .concat()
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let reason = |reason: &str, at: usize, clock: i64| json!({"reason": reason, "file": "in", "line": at + 1, "clock": clock});
    let noon = 1_774_612_800;
    assert_eq!(
        reasons,
        [
            reason("ahead", ahead, noon + 98),
            reason("behind", behind, noon + 119),
            reason("json", rubbish, noon + 159),
        ]
    );
}
