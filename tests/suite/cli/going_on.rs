//! `count --state`: a growing file counted again and again is what one run over it is; files are known by what they hold.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::path::Path;

use serde_json::Value;

use super::usage::{check_all, folder};
use super::{Said, line, run_in, run_with};

/// Frames of an hour and a half, most of them in order: some late, some rubbish, now and then one with a wild time.
fn frames(count: u32, seed: u32) -> String {
    let mut text = String::new();
    let mut dice = u64::from(seed) * 2 + 1;
    for i in 0..count {
        dice = dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(9);
        let roll = (dice >> 40) as u32;
        let ts = 1_767_225_600 + i * 5_400 / count;
        match roll % 97 {
            0 => text.push_str("not a frame\n"),
            1 => text.push_str(&line("wild", ts ^ 1 << 26)),
            2 => text.push_str(&line(&format!("late{roll}"), ts - roll % 4_000)),
            _ => text.push_str(&line(&format!("u{}", roll / 97 % 700), ts)),
        }
    }
    text
}

/// What a count printed: the newest row of each window, and the stats.
#[derive(Default, PartialEq, Debug)]
pub(super) struct Printed {
    pub(super) windows: BTreeMap<(String, String), Value>,
    pub(super) stats: Value,
    pub(super) rows: usize,
}

impl Printed {
    /// Takes in the records of another run. Where a window is final for the second time, it is told.
    pub(super) fn take(&mut self, said: &Said) {
        assert_eq!(said.code, Some(0), "{}", said.stderr);
        for record in said.stdout.lines() {
            let record: Value = serde_json::from_str(record).unwrap();
            let Some(window) = record["window"].as_str() else {
                self.stats = record;
                continue;
            };
            let key = (window.to_owned(), record["start"].to_string());
            let numbers: Vec<_> = ["users", "lo", "hi", "frames", "late", "complete"]
                .iter()
                .map(|field| record[*field].clone())
                .collect();
            self.windows.insert(key, numbers.into());
            self.rows += 1;
        }
    }
}

pub(super) fn count(dir: &Path, state: &str, files: &[&str]) -> Said {
    let args = ["count", "--format", "json", "--state", state];
    run_in(dir, &[&args, files].concat())
}

/// What a run says that is killed at a point of its life, as if it had ended well; `None` if it did not come to that.
pub(super) fn killed_at(dir: &Path, args: &[&str], failpoint: &str) -> Option<Said> {
    let died = run_with(dir, args, &[("HEADCOUNT_FAILPOINT", failpoint)], b"");
    let code = Some(0);
    (died.code != code).then_some(Said { code, ..died })
}

fn digest(dir: &Path, state: &str) -> String {
    let said = run_in(dir, &["state", "verify", state, "--format", "json"]);
    assert_eq!(said.code, Some(0), "{}", said.stderr);
    let found: Value = serde_json::from_str(&said.stdout).unwrap();
    found["state_digest"].to_string() + &found["offsets"].to_string()
}

pub(super) fn append(path: &Path, bytes: &[u8]) {
    let mut options = fs::File::options();
    let file = options.append(true).create(true).open(path);
    file.unwrap().write_all(bytes).unwrap();
}

/// A folder with the text in `log`, and what is printed of it without a state.
fn at_once(text: &str) -> (tempfile::TempDir, Printed, String) {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("log"), text).unwrap();
    let mut printed = Printed::default();
    printed.take(&run_in(dir.path(), &["count", "--format", "json", "log"]));
    let mut with_state = Printed::default();
    with_state.take(&count(dir.path(), "one", &["log"]));
    assert_eq!(printed, with_state, "a first run is as any other");
    let digest = digest(dir.path(), "one");
    (dir, printed, digest)
}

#[test]
fn a_file_that_grows_is_counted_as_one_that_is_whole() {
    let text = frames(6_000, 7);
    let (dir, whole, digest_of_whole) = at_once(&text);
    let growing = tempfile::tempdir().unwrap();
    let mut printed = Printed::default();
    let mut from = 0;
    // In the middle of a line, at its end, before and behind its newline, and with nothing new.
    let second = text[100_000..].find('\n').unwrap() + 100_000;
    for to in [
        0,
        10,
        77,
        3_000,
        3_000,
        64_001,
        second,
        second + 1,
        150_003,
        text.len(),
    ] {
        append(&growing.path().join("log"), &text.as_bytes()[from..to]);
        from = to;
        printed.take(&count(growing.path(), "state", &["log"]));
        let mut so_far = Printed::default();
        so_far.take(&run_in(
            growing.path(),
            &["count", "--format", "json", "log"],
        ));
        // Before there is a clock it is the end that sets it, and with it the watermark.
        so_far.stats["watermark"] = printed.stats["watermark"].clone();
        assert_eq!(printed.stats, so_far.stats, "at {to}");
        assert_eq!(printed.windows, so_far.windows, "at {to}");
    }
    assert_eq!(printed.windows, whole.windows);
    assert!(
        printed.rows < 2 * whole.rows,
        "only what changed is printed"
    );
    assert_eq!(digest(growing.path(), "state"), digest_of_whole);
    drop(dir);
}

#[test]
fn killed_at_any_checkpoint_it_goes_on_to_the_same() {
    let text = frames(3_000, 8);
    let (dir, whole, digest_of_whole) = at_once(&text);
    let numbered = text.lines().zip(1_u64..);
    let rubbish: Vec<_> = numbered
        .filter_map(|(line, number)| (line == "not a frame").then_some(number))
        .collect();
    assert!(rubbish.len() > 10);
    let args = [
        "count",
        "--format",
        "json",
        "--checkpoint-interval",
        "100ms",
    ];
    for point in ["before_commit", "after_commit"] {
        for time in 1..=4 {
            let state = format!("{point}{time}");
            let aside = format!("{state}.rejects");
            let more = ["--state", &state, "--rejects-file", &aside, "log"];
            let args = [&args[..], &more].concat();
            let failpoint = format!("{point}:{time}");
            let mut printed = Printed::default();
            let Some(said) = killed_at(dir.path(), &args, &failpoint) else {
                assert!(time > 3, "{state} is passed");
                continue;
            };
            printed.take(&said);
            printed.take(&run_in(dir.path(), &args));
            assert_eq!(printed.windows, whole.windows, "{state}");
            assert_eq!(printed.stats, whole.stats, "{state}");
            assert_eq!(digest(dir.path(), &state), digest_of_whole, "{state}");
            assert_eq!(put_aside(&dir.path().join(aside)), rubbish, "{state}");
        }
    }
}

/// Numbers of the lines that were put aside, each once, whose copies must be what stands there.
fn put_aside(path: &Path) -> Vec<u64> {
    let copies = fs::read_to_string(path).unwrap();
    let reasons = fs::read_to_string(path.with_extension("rejects.reasons")).unwrap();
    let lines = reasons.lines().map(|line| {
        let reason: Value = serde_json::from_str(line).unwrap();
        reason["line"].as_u64().unwrap()
    });
    let lines: Vec<_> = lines.collect();
    assert_eq!(copies, "not a frame\n".repeat(lines.len()));
    let each: std::collections::BTreeSet<_> = lines.into_iter().collect();
    each.into_iter().collect()
}

#[test]
fn what_a_crash_left_of_a_line_that_was_put_aside_is_cut_off() {
    let dir = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| fs::write(dir.path().join(name), text).unwrap();
    let read = |name: &str| fs::read_to_string(dir.path().join(name)).unwrap();
    let reason = |line: u32| {
        format!("{{\"reason\":\"json\",\"file\":\"log\",\"line\":{line},\"clock\":null}}\n")
    };
    // Two whole lines, of which one has its reason, and a torn one; and a torn reason.
    write("r", "first\nsecond\nthi");
    write("r.reasons", &(reason(1) + "{\"reason\":"));
    write("log", "first\nsecond\n");
    let args = ["count", "--state", "s", "--rejects-file", "r", "log"];
    assert_eq!(run_in(dir.path(), &args).code, Some(0));
    assert_eq!(read("r"), "first\nfirst\nsecond\n");
    assert_eq!(read("r.reasons"), reason(1) + &reason(1) + &reason(2));
    // The next run has nothing to add.
    assert_eq!(run_in(dir.path(), &args).code, Some(0));
    assert_eq!(read("r"), "first\nfirst\nsecond\n");
    // Without a state each run stands for itself.
    assert_eq!(
        run_in(dir.path(), &["count", "--rejects-file", "r", "log"]).code,
        Some(0)
    );
    assert_eq!(read("r"), "first\nsecond\n");
    assert_eq!(read("r.reasons"), reason(1) + &reason(2));
}

#[test]
fn a_file_with_a_byte_order_mark_is_known_again() {
    let dir = tempfile::tempdir().unwrap();
    let log = dir.path().join("log");
    append(
        &log,
        format!("\u{feff}{}", line("a", 1_767_225_600)).as_bytes(),
    );
    let counted = |said: &Said| {
        let mut printed = Printed::default();
        printed.take(said);
        printed.stats["frames"]["counted"].clone()
    };
    assert_eq!(counted(&count(dir.path(), "state", &["log"])), 1);
    append(&log, line("b", 1_767_225_601).as_bytes());
    assert_eq!(counted(&count(dir.path(), "state", &["log"])), 2);
    // Behind the first of the frames, under another name; its last line is a frame only once it is whole.
    append(&log, "\u{feff}{\"uid\":\"c\",".as_bytes());
    fs::rename(&log, dir.path().join("log.1")).unwrap();
    assert_eq!(counted(&count(dir.path(), "state", &["log.1"])), 2);
    append(&dir.path().join("log.1"), b"\"ts\":1767225602}");
    assert_eq!(counted(&count(dir.path(), "state", &["log.1"])), 3);
    append(&dir.path().join("log.1"), b"\n");
    assert_eq!(counted(&count(dir.path(), "state", &["log.1"])), 3);
}

#[test]
fn a_last_line_without_a_newline_is_told_of_and_leaves_no_window_without_frames() {
    let dir = tempfile::tempdir().unwrap();
    let log = dir.path().join("log");
    append(&log, line("a", 1_767_225_600).repeat(20).as_bytes());
    append(&log, line("b", 1_767_225_700).trim_end().as_bytes());
    let said = count(dir.path(), "state", &["log"]);
    assert_eq!(said.code, Some(0));
    assert!(
        said.stderr.contains("log ends without a newline"),
        "{}",
        said.stderr
    );
    let args = [
        "query", "--state", "state", "--window", "minute", "--format", "csv",
    ];
    let listed = run_in(dir.path(), &args).stdout;
    let starts: Vec<_> = listed
        .lines()
        .skip(1)
        .map(|row| row.split(',').nth(1))
        .collect();
    assert_eq!(starts, [Some("2026-01-01T00:00:00Z")], "{listed}");
}

#[test]
fn rotated_and_packed_files_are_known_by_what_they_hold() {
    let text = frames(4_000, 9);
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name);
    let cut = text[100_000..].find('\n').unwrap() + 100_001;
    let mut printed = Printed::default();
    fs::write(path("log"), &text[..90_000]).unwrap();
    printed.take(&count(dir.path(), "state", &["log"]));
    fs::rename(path("log"), path("log.1")).unwrap();
    append(&path("log.1"), &text.as_bytes()[90_000..cut]);
    fs::write(path("log"), &text[cut..]).unwrap();
    let refused = count(dir.path(), "state", &["log"]);
    refused.check_complaint(
        76,
        &["log does not begin", "rotated", "--on-gap continue"],
        "log",
    );
    let packed = zstd::encode_all(&text.as_bytes()[..cut], 1).unwrap();
    fs::write(path("log.1.zst"), packed).unwrap();
    fs::remove_file(path("log.1")).unwrap();
    let said = count(dir.path(), "state", &["log", "log.1.zst"]);
    assert!(said.stderr.contains("the same one"), "{}", said.stderr);
    printed.take(&said);
    let mut at_once = Printed::default();
    at_once.take(&count(dir.path(), "one", &["log", "log.1.zst"]));
    assert_eq!(printed.windows, at_once.windows);
    assert_eq!(printed.stats["frames"], at_once.stats["frames"]);
    assert_eq!(digest(dir.path(), "state"), digest(dir.path(), "one"));
    // Neither is there any more, and another one has the name of one of them.
    fs::write(path("log"), line("new", 1_767_240_000)).unwrap();
    let refused = count(dir.path(), "state", &["log"]);
    refused.check_complaint(76, &["log does not begin"], "log");
    assert_eq!(digest(dir.path(), "state"), digest(dir.path(), "one"));
    let gone = run_in(
        dir.path(),
        &["count", "--state", "state", "--on-gap", "continue", "log"],
    );
    assert_eq!(gone.code, Some(0), "{}", gone.stderr);
    assert!(digest(dir.path(), "state").contains("log~1"));
}

/// Nothing at all, a common header and an unfinished line are the beginning of many a file, so a name proves little.
#[test]
fn a_name_that_moved_on_to_another_known_file_is_no_proof() {
    let (text, more) = (frames(300, 11), frames(200, 12));
    for head in ["", "# opened\n", "{\"uid\":\"u1\",\"ts\":14682"] {
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name);
        fs::write(path("log.1"), head).unwrap();
        fs::write(
            path("log"),
            format!("{}{text}", head.trim_start_matches('{')),
        )
        .unwrap();
        let first = count(dir.path(), "state", &["log", "log.1"]);
        assert_eq!(first.code, Some(0), "{}", first.stderr);
        fs::rename(path("log.1"), path("log.2")).unwrap();
        fs::rename(path("log"), path("log.1")).unwrap();
        for new in ["", &more] {
            let mut names = vec!["log.1", "log.2"];
            if !new.is_empty() {
                fs::write(path("log"), new).unwrap();
                names.push("log");
            }
            let (mut again, mut at_once) = (Printed::default(), Printed::default());
            again.take(&count(dir.path(), "state", &names));
            let one = format!("one{}", names.len());
            at_once.take(&count(dir.path(), &one, &names));
            assert_eq!(again.stats["frames"], at_once.stats["frames"], "{head:?}");
            assert_eq!(
                digest(dir.path(), "state"),
                digest(dir.path(), &one),
                "{head:?}"
            );
        }
    }
}

/// A file of which nothing was counted can be gone without a word.
#[test]
fn a_file_that_had_no_lines_yet_is_not_missed() {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name);
    fs::write(path("log"), "").unwrap();
    fs::write(path("other"), frames(300, 13)).unwrap();
    assert_eq!(count(dir.path(), "state", &["log", "other"]).code, Some(0));
    fs::rename(path("other"), path("log")).unwrap();
    let mut printed = Printed::default();
    printed.take(&count(dir.path(), "state", &["log"]));
    assert_eq!(printed.stats["frames"]["read"], 300);
}

#[test]
fn lines_that_are_gone_are_told_of_and_leave_windows_open() {
    let dir = tempfile::tempdir().unwrap();
    let hour = 1_767_225_600;
    let lines = |minutes: std::ops::Range<u32>| {
        let line = |minute| line(&format!("u{minute}"), hour + 60 * minute);
        minutes.map(line).collect::<String>()
    };
    fs::write(dir.path().join("log"), lines(0..10)).unwrap();
    assert_eq!(count(dir.path(), "state", &["log"]).code, Some(0));
    // Minutes 10 to 14 were never seen.
    fs::write(dir.path().join("log"), lines(15..70)).unwrap();
    let args = [
        "count", "-f", "json", "--state", "state", "--on-gap", "continue", "log",
    ];
    let mut printed = Printed::default();
    printed.take(&run_in(dir.path(), &args));
    let lost = serde_json::json!({ "log": 0 });
    assert_eq!(printed.stats["source"]["lost"], lost);
    let is_complete = |printed: &Printed, start: &str| {
        let key = ("hour".to_owned(), format!("\"2026-01-01T{start}:00:00Z\""));
        printed.windows[&key][5].clone()
    };
    assert_eq!(is_complete(&printed, "00"), false);
    assert_eq!(is_complete(&printed, "01"), true);
    append(&dir.path().join("log"), lines(70..75).as_bytes());
    printed.take(&count(dir.path(), "state", &["log"]));
    assert_eq!(printed.stats["source"]["lost"], lost);
    assert_eq!(is_complete(&printed, "00"), false);
}

#[test]
fn a_table_shows_all_that_the_state_holds() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("log"), frames(3_000, 10)).unwrap();
    let table = ["count", "--format", "table", "--state", "state", "log"];
    let (first, again) = (run_in(dir.path(), &table), run_in(dir.path(), &table));
    assert!(first.stdout.contains("Users by hour"), "{}", first.stdout);
    assert_eq!(first.stdout, again.stdout);
}

#[test]
fn what_cannot_be_gone_on_with_is_refused() {
    let dir = folder();
    let said = count(dir.path(), "state", &["a"]);
    assert_eq!(said.code, Some(0), "{}", said.stderr);
    check_all(
        dir.path(),
        &[
            (
                "count --state state -",
                2,
                &["only files", "standard input"],
            ),
            (
                "count --state state --window day a",
                78,
                &["windows", "'day'"],
            ),
            (
                "count --state state --tz Asia/Tokyo a",
                78,
                &["timezone 'UTC'"],
            ),
            ("run --state state", 78, &["'count'"]),
            (
                "count --state state --checkpoint-interval 1ms a",
                2,
                &["--checkpoint-interval", "100ms to 1h"],
            ),
        ],
    );
    fs::write(dir.path().join("a"), "").unwrap();
    let shorter = count(dir.path(), "state", &["a"]);
    shorter.check_complaint(76, &["a does not begin with"], "a");
}

/// The guide for a damaged state asks whether the copy is good, with a service in mind that is not running.
#[test]
fn the_copy_that_was_put_aside_can_be_looked_into_and_nothing_is_left_beside_it() {
    let (dir, _, _) = at_once(&frames(3_000, 5));
    let first = digest(dir.path(), "one");
    append(&dir.path().join("log"), frames(500, 6).as_bytes());
    assert_eq!(count(dir.path(), "one", &["log"]).code, Some(0));
    assert_ne!(digest(dir.path(), "one"), first);
    assert_eq!(digest(dir.path(), "one/previous.sqlite"), first);
    // Under another name, and with what means something else in a URI.
    let copy = "one/a copy?50%25#1.sqlite";
    fs::copy(
        dir.path().join("one/previous.sqlite"),
        dir.path().join(copy),
    )
    .unwrap();
    assert_eq!(digest(dir.path(), copy), first);
    let files = fs::read_dir(dir.path().join("one")).unwrap();
    let names = files.map(|file| file.unwrap().file_name().into_string().unwrap());
    let beside: Vec<_> = names
        .filter(|name| name.contains("previous") || name.contains("copy"))
        .collect();
    assert_eq!(beside.len(), 2, "{beside:?}");
    // And put in the place of the other, as the guide has it.
    fs::remove_file(dir.path().join("one/state.sqlite")).unwrap();
    for journal in ["one/state.sqlite-wal", "one/state.sqlite-shm"] {
        let _ = fs::remove_file(dir.path().join(journal));
    }
    fs::copy(
        dir.path().join("one/previous.sqlite"),
        dir.path().join("one/state.sqlite"),
    )
    .unwrap();
    assert_eq!(count(dir.path(), "one", &["log"]).code, Some(0));
}

/// A byte of the journal that changes while nobody counts would pass for an earlier checkpoint; in the file it is seen.
#[test]
fn a_run_that_has_ended_leaves_nothing_in_the_journal() {
    let dir = tempfile::tempdir().unwrap();
    for seed in 0..4 {
        append(&dir.path().join("log"), frames(800, seed).as_bytes());
        let said = count(dir.path(), "state", &["log"]);
        assert_eq!(said.code, Some(0), "{}", said.stderr);
        let journal = fs::metadata(dir.path().join("state/state.sqlite-wal"));
        assert_eq!(journal.map_or(0, |journal| journal.len()), 0, "run {seed}");
    }
}

/// Such a line is rejected before its end is there, so it is one of those that were counted.
#[test]
fn a_file_is_known_again_whose_last_line_is_too_long_and_has_no_end() {
    const TOO_LONG: usize = (64 << 20) + 1;
    let dir = tempfile::tempdir().unwrap();
    let log = dir.path().join("log");
    append(&log, frames(10, 1).as_bytes());
    append(&log, &vec![b'x'; TOO_LONG]);
    let counted = |more: &[u8]| {
        append(&log, more);
        let said = count(dir.path(), "state", &["log"]);
        assert_eq!(said.code, Some(0), "{}", said.stderr);
        let stats: Value = serde_json::from_str(said.stdout.lines().last().unwrap()).unwrap();
        stats["frames"].clone()
    };
    let first = counted(b"");
    assert_eq!(first["read"], 11);
    assert_eq!(counted(b""), first);
    assert_eq!(counted(b"yyy"), first);
    let last = counted(format!("zzz\n{}", line("new", 1_767_225_600)).as_bytes());
    assert_eq!(
        (&last["read"], &last["rejected"]),
        (&12.into(), &first["rejected"])
    );
}
