//! Event times in other units than seconds, and what is said when they are taken for another one.

use serde_json::{Value, json};

use super::{count_json, line, run_in};

/// The names of the units, and what a second of theirs has after its digits.
const UNITS: [(&str, &str); 4] = [
    ("s", ""),
    ("ms", "123"),
    ("us", "123456"),
    ("ns", "123456789"),
];

/// As many frames, a second apart, in a unit.
fn frames(count: u32, rest: &str) -> String {
    let frame = |n| {
        format!(
            "{{\"uid\":\"u{}\",\"ts\":{}{rest}}}\n",
            n % 70,
            1_795_411_000 + n
        )
    };
    (0..count).map(frame).collect()
}

/// What was said of the unit.
fn hints(stderr: &str) -> Vec<String> {
    let logs = stderr
        .lines()
        .map(|line| serde_json::from_str(line).unwrap());
    logs.map(|log: Value| log["message"].as_str().unwrap().to_owned())
        .filter(|message| message.contains("--ts-unit"))
        .collect()
}

#[test]
fn the_same_frames_in_any_unit_give_the_same_bytes() {
    let (expected, _) = count_json(&[], frames(3_000, "").as_bytes());
    assert_eq!(expected.last().unwrap()["users_last_hour"], 70);
    for (unit, rest) in UNITS {
        let input = frames(3_000, rest);
        let (records, stderr) = count_json(&["--ts-unit", unit], input.as_bytes());
        assert_eq!((&records, stderr.as_str()), (&expected, ""), "{unit}");
        let quoted = input
            .replace("\"ts\":", "\"ts\":\"")
            .replace("}\n", "\"}\n");
        assert_eq!(
            count_json(&["--ts-unit", unit], quoted.as_bytes()).0,
            expected,
            "{unit}"
        );
    }
}

#[test]
fn a_unit_that_is_none_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    for value in ["m", "S", "seconds", "1000"] {
        for command in [&["count"][..], &["run"], &["replay", "-"]] {
            let args = [command, &["--ts-unit", value]].concat();
            let shown = format!("'{value}'");
            let words = ["--ts-unit", shown.as_str(), "s, ms, us, ns"];
            run_in(dir.path(), &args).check_complaint(2, &words, &args.join(" "));
        }
    }
}

#[test]
fn a_mistaken_unit_is_told_once_whether_the_stream_is_short_or_long() {
    for count in [1, 99, 100, 5_000] {
        for (unit, rest, expected) in [
            (
                "s",
                "123",
                "out of range as seconds; they look like milliseconds: set --ts-unit ms",
            ),
            (
                "s",
                "123456",
                "out of range as seconds; they look like microseconds: set --ts-unit us",
            ),
            (
                "s",
                "123456789",
                "out of range as seconds; they look like nanoseconds: set --ts-unit ns",
            ),
            (
                "us",
                "123456789",
                "out of range as microseconds; they look like nanoseconds: set --ts-unit ns",
            ),
            (
                "ms",
                "",
                "before 1980 as milliseconds; they look like seconds: set --ts-unit s",
            ),
            (
                "us",
                "",
                "before 1980 as microseconds; they look like seconds: set --ts-unit s",
            ),
            (
                "ns",
                "",
                "before 1980 as nanoseconds; they look like seconds: set --ts-unit s",
            ),
            (
                "us",
                "123.5",
                "before 1980 as microseconds; they look like milliseconds: set --ts-unit ms",
            ),
        ] {
            let (_, stderr) = count_json(&["--ts-unit", unit], frames(count, rest).as_bytes());
            let expected = format!("every ts so far is {expected}");
            assert_eq!(hints(&stderr), [expected], "{count} frames, {unit}, {rest}");
        }
    }
}

#[test]
fn a_mistaken_unit_is_told_of_several_files_together() {
    let dir = tempfile::tempdir().unwrap();
    let input = frames(400, "000");
    let lines: Vec<_> = input.split_inclusive('\n').collect();
    for (name, part) in ["a", "b", "c"].iter().zip(lines.chunks(150)) {
        std::fs::write(dir.path().join(name), part.concat()).unwrap();
    }
    let said = run_in(dir.path(), &["count", "a", "b", "c"]);
    assert_eq!((said.code, hints(&said.stderr).len()), (Some(0), 1));
    let good = run_in(dir.path(), &["count", "--ts-unit", "ms", "a", "b", "c"]);
    assert_eq!((good.code, good.stderr.as_str()), (Some(0), ""));
}

#[test]
fn rubbish_without_a_time_takes_nothing_from_the_hint() {
    let input = format!(
        "{{\n\n{{\"uid\":\"a\"}}\n{{\"ts\":7}}\n{}",
        frames(3, "000")
    );
    let (records, stderr) = count_json(&[], input.as_bytes());
    assert_eq!(hints(&stderr).len(), 1, "{stderr}");
    let rejected = &records.last().unwrap()["frames"]["rejected"];
    assert_eq!(rejected["ts_range"], json!(3));
}

#[test]
fn nothing_is_said_of_a_mixed_stream() {
    let millis = frames(200, "000");
    for other in [
        line("a", 1_795_411_000),
        line("a", 7),
        line("a", 0),
        frames(1, "000000"),
        "{\"uid\":\"a\",\"ts\":-1795411000000}\n".to_owned(),
    ] {
        for input in [
            format!("{other}{millis}"),
            format!("{}{other}", frames(99, "000")),
        ] {
            let (_, stderr) = count_json(&[], input.as_bytes());
            assert_eq!(hints(&stderr), [""; 0], "{other}");
        }
    }
    let (_, stderr) = count_json(&["--ts-unit", "ms"], line("a", 7_000).as_bytes());
    assert_eq!(stderr, "");
    let (_, stderr) = count_json(&["--ts-unit", "ms"], b"");
    assert_eq!(stderr, "");
}
