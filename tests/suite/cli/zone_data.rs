//! A state whose time zone gets other data: what a government's change of its clocks does to whoever counts there.

use std::fs;
use std::path::Path;

use serde_json::Value;

use super::{Said, line, run_with};

/// Midnight of 1 March 2024 six hours east, as Almaty had it; since then it has five.
const MARCH: u32 = 1_709_229_600;
const HOUR_S: u32 = 3_600;

/// A file of zone data (RFC 8536) without any change but what the rule at its end says.
fn zone_file(root: &Path, rule: &str) {
    let header = |version: u8| {
        let mut bytes = b"TZif".to_vec();
        bytes.push(version);
        bytes.extend([0; 15]);
        // UT and standard indicators, leap seconds, transitions; types; characters.
        for count in [0u32, 0, 0, 0, 1, 4] {
            bytes.extend(count.to_be_bytes());
        }
        bytes.extend([0; 6]);
        bytes.extend(b"UTC\0");
        bytes
    };
    let mut bytes = [header(b'2'), header(b'2')].concat();
    bytes.extend(format!("\n{rule}\n").bytes());
    fs::create_dir_all(root.join("Asia")).unwrap();
    fs::write(root.join("Asia/Almaty"), bytes).unwrap();
}

fn run(dir: &Path, data: &str, args: &[&str]) -> Said {
    let data = dir.join(data);
    let said = run_with(dir, args, &[("TZDIR", data.to_str().unwrap())], b"");
    assert_eq!(said.code, Some(0), "{}", said.stderr);
    said
}

/// Counts files into a state; returns each month that was printed, from where to where, and how many frames it has.
fn months(dir: &Path, data: &str, files: &[&str]) -> Vec<String> {
    let args = ["count", "--tz", "Asia/Almaty", "--state", "state"];
    let more = ["--window", "month", "--format", "json"];
    let said = run(dir, data, &[&args[..], &more, files].concat());
    let rows = said
        .stdout
        .lines()
        .map(|row| serde_json::from_str(row).unwrap());
    rows.filter(|row: &Value| row["window"] == "month")
        .map(|row| format!("{} {} {}", row["start"], row["end"], row["frames"]).replace('"', ""))
        .collect()
}

fn world() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    zone_file(&dir.path().join("old"), "<+06>-6");
    zone_file(&dir.path().join("new"), "<+05>-5");
    for (name, from) in [("a", MARCH - HOUR_S), ("b", MARCH), ("c", MARCH + HOUR_S)] {
        let frames = (0..60).map(|i| line(&format!("u{i}"), from + i * 60));
        fs::write(dir.path().join(name), frames.collect::<String>()).unwrap();
    }
    dir
}

#[test]
fn a_month_ends_where_new_data_of_its_zone_say() {
    let dir = world();
    let february = "2024-02-01T00:00:00+06:00 2024-03-01T00:00:00+06:00 60";
    assert_eq!(months(dir.path(), "old", &["a"]), [february]);
    // February began by the old data, and has an hour more.
    let both = [
        "2024-01-31T23:00:00+05:00 2024-03-01T00:00:00+05:00 120",
        "2024-03-01T00:00:00+05:00 2024-04-01T00:00:00+05:00 60",
    ];
    assert_eq!(months(dir.path(), "new", &["a", "b", "c"]), both);
    run(dir.path(), "new", &["state", "verify", "state"]);
    assert_eq!(months(dir.path(), "new", &["a", "b", "c"]), [""; 0]);
}

#[test]
fn a_month_that_was_counted_in_stays_and_the_next_one_is_whole() {
    let dir = world();
    let old = [
        "2024-02-01T00:00:00+06:00 2024-03-01T00:00:00+06:00 60",
        "2024-03-01T00:00:00+06:00 2024-04-01T00:00:00+06:00 60",
    ];
    assert_eq!(months(dir.path(), "old", &["a", "b"]), old);
    let march = "2024-02-29T23:00:00+05:00 2024-04-01T00:00:00+05:00 120";
    assert_eq!(months(dir.path(), "new", &["a", "b", "c"]), [march]);
    for data in ["new", "old"] {
        run(dir.path(), data, &["state", "verify", "state"]);
    }
}

#[test]
fn states_of_unlike_data_of_one_zone_are_not_merged() {
    let dir = world();
    for (data, file) in [("old", "b"), ("new", "c")] {
        months(dir.path(), data, &[file]);
        fs::rename(
            dir.path().join("state"),
            dir.path().join(data.to_owned() + "-state"),
        )
        .unwrap();
    }
    let data = dir.path().join("new");
    let variables = [("TZDIR", data.to_str().unwrap())];
    let args = ["merge", "old-state", "new-state", "--output", "both"];
    let said = run_with(dir.path(), &args, &variables, b"");
    assert_eq!(said.code, Some(78), "{}", said.stderr);
    assert!(
        said.stderr.contains("Asia/Almaty had other data"),
        "{}",
        said.stderr
    );
    assert!(!dir.path().join("both").exists());
}

/// A state as it is now, not as it was saved: nothing of it is in the way of what can be done with others.
#[test]
fn a_state_with_windows_that_move_is_exported_and_merged() {
    let dir = world();
    for (name, file) in [("one", "a"), ("two", "b")] {
        months(dir.path(), "old", &[file]);
        fs::rename(dir.path().join("state"), dir.path().join(name)).unwrap();
    }
    let export = ["state", "export", "one", "-o", "small", "--precision", "12"];
    run(dir.path(), "new", &export);
    run(dir.path(), "new", &["state", "verify", "small"]);
    // Behind February's end there are frames in the other one, so it stays where it was in both.
    run(dir.path(), "new", &["merge", "one", "two", "-o", "both"]);
    for data in ["new", "old"] {
        run(dir.path(), data, &["state", "verify", "both"]);
    }
    let args = [
        "query", "--state", "both", "--window", "month", "--format", "csv",
    ];
    let said = run(dir.path(), "new", &args);
    for month in [
        "2024-01-31T23:00:00+05:00,2024-02-29T23:00:00+05:00,Asia/Almaty,60,",
        "2024-02-29T23:00:00+05:00,2024-04-01T00:00:00+05:00,Asia/Almaty,60,",
    ] {
        assert!(said.stdout.contains(month), "{}", said.stdout);
    }
}
