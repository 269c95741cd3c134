//! Results on stdout and nothing else; logs on stderr and nothing else; a reader may leave.

use std::io::{BufRead, BufReader, Read, Write};
use std::process::Stdio;
use std::time::Duration;

use serde_json::Value;

use super::{Killed, count_json, line};
use crate::support::{process, wait_until};

/// Three users in two hours, one frame of each of four kinds that are not counted, one frame late.
const SMALL: &str = r#"{"uid":"ann","ts":1767225600}
{"uid":"bob","ts":"1767229261.5","nested":{"uid":"eve","ts":1}}
{"uid":"ann","ts":1767229262}
{"uid":"cid","ts":1767229200}

{"uid":"-","ts":1767229262}
{"uid":"ann"}
not a frame
"#;

const TABLE: &str = "
Users by minute (UTC)
  start                 users  95 % interval  frames  late
  2026-01-01T00:00:00Z      1          exact       1     0
  2026-01-01T01:00:00Z      1          exact       1     1
  2026-01-01T01:01:00Z      2          exact       2     0

Users by hour (UTC)
  start                 users  95 % interval  frames  late
  2026-01-01T00:00:00Z      1          exact       1     0
  2026-01-01T01:00:00Z      3          exact       3     1

Users by day (UTC)
  start                 users  95 % interval  frames  late
  2026-01-01T00:00:00Z      3          exact       4     1

Users by week (UTC)
  start                 users  95 % interval  frames  late
  2025-12-29T00:00:00Z      3          exact       4     1

Users by month (UTC)
  start                 users  95 % interval  frames  late
  2026-01-01T00:00:00Z      3          exact       4     1

Users by year (UTC)
  start                 users  95 % interval  frames  late
  2026-01-01T00:00:00Z      3          exact       4     1

Users as of 2026-01-01T01:01:02Z, the greatest time counted
  last    users  95 % interval
  minute      2          exact
  hour        3          exact
  day         3          exact
  week        3          exact
  month       3          exact
  year        3          exact

Frames: 8 read = 4 counted + 1 ignored + 1 rejected (empty) + 1 rejected (json) + 1 rejected (ts_missing); 1 of them late
";

fn count(options: &[&str], input: &str) -> (String, String) {
    let mut command = process::headcount();
    command.arg("count").args(options);
    process::run_ok(command, input.as_bytes())
}

#[test]
fn a_small_table_reads_like_this() {
    let (table, _) = count(&["--format", "table", "--ignore-uid", "-"], SMALL);
    assert_eq!(table, TABLE);
    let (nobody, _) = count(&["--format", "table"], "");
    assert!(nobody.contains("No frame was counted"), "{nobody}");
    assert!(
        nobody.ends_with("\nFrames: 0 read = 0 counted\n"),
        "{nobody}"
    );
}

#[test]
fn a_table_is_cut_to_the_newest_rows_and_says_so() {
    let input: String = (0..100).map(|i| line("a", 60 + 60 * i)).collect();
    let (table, _) = count(&["--format", "table", "--window", "minute"], &input);
    let rows = table
        .lines()
        .filter(|line| line.contains("exact       1"))
        .count();
    assert_eq!(rows, 24, "{table}");
    assert!(
        table.contains("(76 earlier ones are left out; --format json or csv prints all)"),
        "{table}"
    );
    assert!(table.contains("1970-01-01T01:40:00Z") && !table.contains("1970-01-01T00:01:00Z"));
}

#[test]
fn csv_of_a_small_input_reads_like_this() {
    let (csv, _) = count(
        &[
            "--format",
            "csv",
            "--window",
            "hour",
            "--tz",
            "Asia/Kathmandu",
        ],
        SMALL,
    );
    let expected = "\
window,start,end,tz,users,lo,hi,frames,late
hour,2026-01-01T05:00:00+05:45,2026-01-01T06:00:00+05:45,Asia/Kathmandu,1,1,1,1,0
hour,2026-01-01T06:00:00+05:45,2026-01-01T07:00:00+05:45,Asia/Kathmandu,4,4,4,4,1
last_minute,,2026-01-01T06:46:02+05:45,Asia/Kathmandu,3,3,3,,
";
    assert!(csv.starts_with(expected), "{csv}");
    let columns: Vec<usize> = csv.lines().map(|line| line.split(',').count()).collect();
    assert_eq!(columns, vec![9; csv.lines().count()]);
}

#[test]
fn results_are_on_stdout_and_logs_on_stderr() {
    let (records, stderr) = count_json(&[], SMALL.as_bytes());
    let is_result = |record: &Value| record["schema"].as_str().unwrap().starts_with("headcount.");
    assert!(records.iter().all(is_result), "{records:?}");
    let reasons: Vec<String> = stderr
        .lines()
        .map(|line| {
            let log: Value = serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}"));
            assert_eq!(log["level"], "WARN");
            assert_eq!(log["message"], "frame rejected");
            chrono::DateTime::parse_from_rfc3339(log["timestamp"].as_str().unwrap()).unwrap();
            assert_eq!(log["file"], "-");
            format!("{} {}", log["line"], log["reason"].as_str().unwrap())
        })
        .collect();
    assert_eq!(reasons, ["5 empty", "7 ts_missing", "8 json"]);
}

#[test]
fn text_logs_are_plain_where_there_is_no_terminal() {
    for options in [
        &["--log-format", "text"][..],
        &["--log-format", "text", "--format", "table"],
    ] {
        let (stdout, stderr) = count(options, SMALL);
        assert!(
            !stdout.contains('\x1b') && !stderr.contains('\x1b'),
            "{stderr}"
        );
        assert_eq!(stderr.lines().count(), 3, "{stderr}");
        for line in stderr.lines() {
            assert!(
                line.contains(" WARN frame rejected ") && !line.starts_with('{'),
                "{line}"
            );
        }
    }
}

#[test]
fn a_reader_that_leaves_after_a_line_or_before_any_is_no_error() {
    // More than a pipe holds.
    let input: String = (0..5_000).map(|i| line("a", 60 + 60 * i)).collect();
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("frames");
    std::fs::write(&file, input).unwrap();
    for format in ["json", "csv", "table"] {
        for lines in [0, 1] {
            let mut command = process::headcount();
            command.args(["count", "--format", format]).arg(&file);
            let child = command
                .stdout(Stdio::piped())
                .stderr(Stdio::piped())
                .spawn();
            let mut child = Killed(child.unwrap());
            let mut stdout = BufReader::new(child.0.stdout.take().unwrap());
            for _ in 0..lines {
                assert!(stdout.read_line(&mut String::new()).unwrap() > 0);
            }
            drop(stdout);
            let mut stderr = String::new();
            let mut pipe = child.0.stderr.take().unwrap();
            pipe.read_to_string(&mut stderr).unwrap();
            let status = child.0.wait().unwrap();
            assert_eq!(
                (status.code(), stderr.as_str()),
                (Some(0), ""),
                "{format}, {lines}"
            );
        }
    }
}

#[test]
fn a_reader_that_leaves_ends_a_run_whose_input_has_no_end() {
    let mut command = process::headcount();
    command
        .args(["count", "--format", "json", "--retain-minutes", "0s"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = Killed(command.spawn().unwrap());
    let mut stdin = child.0.stdin.take().unwrap();
    let writer = std::thread::spawn(move || {
        // A frame an hour until 2106: the far end must close long before.
        let mut hours = (1..u32::MAX / 3_600).map(|hour| line("a", hour * 3_600));
        hours.any(|line| stdin.write_all(line.as_bytes()).is_err())
    });
    let mut stdout = BufReader::new(child.0.stdout.take().unwrap());
    let mut first = String::new();
    stdout.read_line(&mut first).unwrap();
    assert!(first.contains(r#""window":"minute""#), "{first}");
    drop(stdout);
    let status = wait_until(Duration::from_secs(60), "the run ends", || {
        child.0.try_wait().unwrap()
    });
    assert_eq!(status.code(), Some(0));
    assert!(
        writer.join().unwrap(),
        "all frames were read although nobody listened"
    );
    let mut stderr = String::new();
    child
        .0
        .stderr
        .take()
        .unwrap()
        .read_to_string(&mut stderr)
        .unwrap();
    assert_eq!(stderr, "");
}
