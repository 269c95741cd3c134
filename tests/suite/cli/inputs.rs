//! Input as the world delivers it: nothing, rubbish, odd line ends, lines of any size, other encodings.

use std::fs::File;
use std::io::{Read, Seek, Write};
use std::process::{ChildStdin, Stdio};
use std::time::Duration;

use headcount::limits::{LOG_LINES_PER_WINDOW, LOG_WINDOW_MS, MAX_FRAME_BYTES};
use serde_json::{Value, json};

use super::{Killed, count_json, ledger, line};
use crate::support::{process, skip, wait_until};

const UNSEEN: &str = r#"{"users_last_minute":0,"users_last_hour":0,"users_last_day":0,"users_last_week":0,"users_last_month":0,"users_last_year":0,"#;

#[test]
fn empty_input_is_nobody_and_no_error() {
    for input in [&b""[..], &zstd::encode_all(&b""[..], 1).unwrap()] {
        let mut command = process::headcount();
        command.args(["count", "--format", "json"]);
        let (stdout, stderr) = process::run_ok(command, input);
        assert_eq!(stderr, "");
        assert_eq!(stdout.lines().count(), 1);
        assert!(stdout.starts_with(UNSEEN), "{stdout}");
        let stats: Value = serde_json::from_str(&stdout).unwrap();
        assert_eq!(
            (&stats["as_of"], &stats["since"]),
            (&Value::Null, &Value::Null)
        );
        assert_eq!(stats["frames"]["read"], 0);
    }
}

#[test]
fn line_ends_of_any_kind_end_a_line() {
    let frames = [line("a", 7), line("b", 8), line("c", 9)].map(|l| l.trim_end().to_owned());
    for end in ["\n", "\r\n", " \t\n", "\r\r\n"] {
        for last in ["", end] {
            let input = frames.join(end) + last;
            let frames = ledger(&[], input.as_bytes());
            assert_eq!(
                (&frames["read"], &frames["counted"]),
                (&json!(3), &json!(3)),
                "{end:?}"
            );
        }
    }
    // A carriage return alone is white space, so this is one line with three frames, which is no frame.
    assert_eq!(
        ledger(&[], frames.join("\r").as_bytes())["rejected"],
        json!({"json": 1})
    );
}

#[test]
fn every_line_is_in_the_ledger_whatever_it_holds() {
    let mut input = Vec::new();
    let mut add = |bytes: &[u8]| {
        input.extend_from_slice(bytes);
        input.push(b'\n');
    };
    for bytes in [&b""[..], b"   ", b"\r", b"\t \r"] {
        add(bytes);
    }
    for bytes in [
        &b"\0"[..],
        b"\0\0\0",
        b"{",
        br#"{"uid":"a","ts":7}}"#,
        b"uid=a ts=7",
        b"{\"uid\":\"a\0\",\"ts\":7}",
    ] {
        add(bytes);
    }
    for bytes in [
        &b"\xff\xfe"[..],
        b"{\"uid\":\"\xe9\",\"ts\":7}",
        b"\xc0\x80",
    ] {
        add(bytes);
    }
    add(b"[]");
    add(b"7");
    add(br#"{"ts":7}"#);
    add(br#"{"uid":null,"ts":7}"#);
    add(br#"{"uid":"","ts":7}"#);
    add(br#"{"uid":"a"}"#);
    add(br#"{"uid":"a","ts":"now"}"#);
    add(br#"{"uid":"a","ts":1468244385000}"#);
    add("[".repeat(2_000).as_bytes());
    add(br#"{"uid":"a\u0000","ts":7}"#);
    let frames = ledger(&[], &input);
    let expected = json!({
        "empty": 4, "too_deep": 1, "utf8": 3, "json": 6, "not_object": 2, "uid_missing": 1, "uid_type": 1,
        "uid_empty": 1, "ts_missing": 1, "ts_type": 1, "ts_range": 1
    });
    assert_eq!(frames["rejected"], expected);
    assert_eq!(
        (&frames["read"], &frames["counted"]),
        (&json!(23), &json!(1))
    );
}

#[test]
fn a_file_in_another_encoding_is_refused_line_by_line() {
    let text = line("a", 7) + &line("b", 8);
    let little: Vec<u8> = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
    let big: Vec<u8> = text.encode_utf16().flat_map(u16::to_be_bytes).collect();
    // One that says so is refused as a whole.
    for input in [little, big] {
        let frames = ledger(&[], &input);
        assert_eq!(frames["counted"], 0, "{frames}");
        assert!(frames["read"].as_u64().unwrap() >= 2, "{frames}");
    }
}

#[test]
fn a_byte_order_mark_is_passed_over() {
    let marked = format!("\u{feff}{}{}", line("a", 7), line("b", 8));
    // As after `cat` of two such files; a second mark is no mark.
    let input = format!("{marked}{marked}\u{feff}\u{feff}{}", line("c", 9));
    let frames = ledger(&[], input.as_bytes());
    assert_eq!(frames["counted"], 4, "{frames}");
    assert_eq!(frames["rejected"], json!({"json": 1}));
}

#[test]
fn a_line_that_is_too_large_leaves_its_neighbours_alone() {
    let mut input = line("before", 60).into_bytes();
    // Good but for its size.
    let start = input.len();
    input.extend_from_slice(br#"{"uid":"large","ts":61,"x":""#);
    input.resize(start + MAX_FRAME_BYTES + (1 << 20), b'x');
    input.extend_from_slice(b"\"}\n");
    input.extend_from_slice(line("after", 62).as_bytes());
    let (records, stderr) = count_json(&["--window", "minute"], &input);
    assert_eq!(records[0]["users"], 2);
    assert_eq!(records[1]["frames"]["rejected"], json!({"too_large": 1}));
    assert_eq!(records[1]["frames"]["read"], 3);
    let log: Value = serde_json::from_str(&stderr).unwrap();
    assert_eq!(
        (&log["reason"], &log["line"]),
        (&json!("too_large"), &json!(2))
    );
}

#[test]
fn placeholders_for_nobody_are_left_out() {
    let uids = [
        r#""-""#,
        "null",
        r#""null""#,
        r#""anonymous""#,
        "0",
        r#""a""#,
        r#""--""#,
    ];
    let input: String = uids
        .map(|uid| format!("{{\"uid\":{uid},\"ts\":7}}\n"))
        .concat();
    for (options, counted, ignored, rejected) in [
        (&[][..], 6, 0, json!({"uid_type": 1})),
        (&["--ignore-uid", "-"], 5, 1, json!({"uid_type": 1})),
        (&["--ignore-uid=-", "--ignore-uid", "null"], 4, 3, json!({})),
        (
            &[
                "--ignore-uid",
                "-",
                "--ignore-uid",
                "anonymous",
                "--ignore-uid",
                "0",
            ],
            3,
            3,
            json!({"uid_type": 1}),
        ),
        (&["--ignore-uid", "--"], 5, 1, json!({"uid_type": 1})),
    ] {
        let frames = ledger(options, input.as_bytes());
        let found = (&frames["counted"], &frames["ignored"], &frames["rejected"]);
        assert_eq!(
            found,
            (&json!(counted), &json!(ignored), &rejected),
            "{options:?}"
        );
    }
}

#[test]
fn fields_may_have_any_names() {
    let input = r#"{"uid":"a","ts":7,"user id":"x","":7,"Zeit ü":"8"}
{"uid":"b","ts":7,"user id":"x","":7,"Zeit ü":9.9}
"#;
    for (uid, ts, users) in [
        ("uid", "ts", 2),
        ("user id", "Zeit ü", 1),
        ("user id", "", 1),
    ] {
        let options = ["--uid-field", uid, "--ts-field", ts, "--window", "day"];
        let (records, stderr) = count_json(&options, input.as_bytes());
        assert_eq!(
            (&records[0]["users"], stderr.as_str()),
            (&json!(users), ""),
            "{options:?}"
        );
    }
}

/// One kind of rubbish after the other, a hundred bytes a line.
fn rubbish(from: usize, to: usize) -> Vec<u8> {
    let kinds = [
        r#"{"uid":"a","ts":7"#,
        r#"["#,
        r#"{"uid":7.5,"ts":7}"#,
        "",
        r#"{"uid":"a","ts":"soon"}"#,
    ];
    let mut bytes = Vec::new();
    for i in from..to {
        let _ = writeln!(bytes, "{:<99}", kinds[i % kinds.len()]);
    }
    bytes
}

/// A `count` in whose stdin a test writes, while its outputs go to files that never fill a pipe.
struct Fed {
    child: Killed,
    stdout: File,
    stderr: File,
}

impl Fed {
    fn spawn() -> (Fed, ChildStdin) {
        let [stdout, stderr] = [(), ()].map(|()| tempfile::tempfile().unwrap());
        let mut command = process::headcount();
        command
            .args(["count", "--format", "json"])
            .stdin(Stdio::piped())
            .stdout(stdout.try_clone().unwrap())
            .stderr(stderr.try_clone().unwrap());
        let mut child = Killed(command.spawn().unwrap());
        let stdin = child.0.stdin.take().unwrap();
        let fed = Fed {
            child,
            stdout,
            stderr,
        };
        (fed, stdin)
    }

    /// The most memory that it ever had in use, in KiB; nothing where the system does not tell.
    fn peak_kib(&self) -> Option<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.0.id())).ok()?;
        let line = status
            .lines()
            .find_map(|line| line.strip_prefix("VmHWM:"))?;
        line.trim().strip_suffix(" kB")?.parse().ok()
    }

    fn finish(mut self) -> (String, String) {
        let status = wait_until(Duration::from_secs(60), "count ends", || {
            self.child.0.try_wait().unwrap()
        });
        assert!(status.success(), "{status}");
        let texts = [&mut self.stdout, &mut self.stderr].map(|file| {
            let mut text = String::new();
            file.rewind().unwrap();
            file.read_to_string(&mut text).unwrap();
            text
        });
        texts.into()
    }
}

#[test]
fn a_million_rejected_lines_slow_it_down_and_no_more() {
    const LINES: usize = 1_000_000;
    let (fed, mut stdin) = Fed::spawn();
    stdin.write_all(&rubbish(0, LINES / 5)).unwrap();
    let early = fed.peak_kib();
    for part in 1..5 {
        let bytes = rubbish(part * LINES / 5, (part + 1) * LINES / 5);
        stdin.write_all(&bytes).unwrap();
    }
    let late = fed.peak_kib();
    drop(stdin);
    match early.zip(late) {
        Some((early, late)) => assert!(late < early + 8_192, "{early} KiB grew to {late} KiB"),
        None => skip("no /proc/PID/status to read the memory in use from"),
    }
    let (stdout, stderr) = fed.finish();
    let stats: Value = serde_json::from_str(&stdout).unwrap();
    let each = LINES / 5;
    let expected = json!({"read": LINES, "counted": 0, "late": 0, "expired": {}, "ignored": 0, "quarantined": 0,
        "quarantined_by": {}, "pending": 0,
        "rejected": {"empty": each, "json": 2 * each, "uid_type": each, "ts_type": each}});
    assert_eq!(stats["frames"], expected);
    // A minute is far more than it takes.
    let most = u64::from(LOG_LINES_PER_WINDOW) * 60_000 / LOG_WINDOW_MS + 1;
    let lines = stderr.lines().count() as u64;
    assert!((1..=most).contains(&lines), "{lines} log lines:\n{stderr}");
}

#[test]
fn log_lines_that_were_left_out_are_counted_by_the_end() {
    let (_, stderr) = count_json(&[], &rubbish(0, 1_000));
    let logs: Vec<Value> = stderr
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let left_out: u64 = logs.iter().filter_map(|log| log["left_out"].as_u64()).sum();
    let written = logs.iter().filter(|log| log["reason"].is_string()).count();
    assert_eq!(left_out + written as u64, 1_000, "{stderr}");
}
