//! `headcount count` against exact counts: recorded streams, and made-up ones of several shapes.

mod flipped;
mod generated;
mod outcome;

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::path::{Path, PathBuf};

use flate2::{Compression, write::GzEncoder};
use outcome::{Outcome, Period, count};
use serde_json::Value;

use crate::support::{data_dir, process, unzstd};

const STREAMS: [&str; 2] = ["late", "ordered"];

/// A recorded stream: its file, its bytes, and the distinct users of each window by start.
struct Recorded {
    file: PathBuf,
    bytes: Vec<u8>,
    truth: Value,
}

fn recorded() -> Vec<Recorded> {
    let Some(dir) = data_dir() else {
        return Vec::new();
    };
    let streams = STREAMS.map(|name| {
        let file = dir.join(format!("{name}.jsonl.zst"));
        let truth = std::fs::read(dir.join(format!("{name}.truth.json"))).unwrap();
        Recorded {
            bytes: unzstd(&file),
            file,
            truth: serde_json::from_slice(&truth).unwrap(),
        }
    });
    streams.into()
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// What is counted, without the names of the inputs.
fn anonymous(output: &str) -> (Vec<String>, Value) {
    let mut lines: Vec<String> = output.lines().map(String::from).collect();
    let mut stats: Value = serde_json::from_str(&lines.pop().unwrap()).unwrap();
    let offsets = stats["source"]["offsets"].as_object().unwrap().values();
    stats["source"]["offsets"] = offsets.cloned().collect();
    (lines, stats)
}

#[test]
fn recorded_streams_count_exactly_in_every_minute_hour_and_day() {
    for stream in recorded() {
        let outcome = Outcome::read(&count(&[], &stream.bytes));
        assert_eq!(outcome.stats["frames"]["read"], stream.truth["frames"]);
        assert_eq!(outcome.stats["frames"]["counted"], stream.truth["frames"]);
        for period in ["minute", "hour", "day"] {
            let found: BTreeMap<String, u64> = outcome
                .of(period)
                .map(|(start, window)| {
                    assert!(
                        window.lo == window.users && window.hi == window.users,
                        "not exact: {period} {start} {window:?}"
                    );
                    (start.to_string(), window.users)
                })
                .collect();
            let found = serde_json::to_value(found).unwrap();
            assert_eq!(found, stream.truth["windows"][period], "{period}");
        }
        for period in ["week", "month", "year"] {
            let users: Vec<u64> = outcome.of(period).map(|(_, window)| window.users).collect();
            assert_eq!(
                users,
                [stream.truth["unique"].as_u64().unwrap()],
                "{period}"
            );
        }
    }
}

#[test]
fn late_frames_are_those_behind_the_clock_by_more_than_the_lateness() {
    for stream in recorded() {
        for (lateness, seconds) in [("0s", 0), ("5s", 5), ("10m", 600)] {
            let mut clock = i64::MIN;
            let mut late = BTreeMap::<i64, u64>::new();
            for (_, ts) in frames(&stream.bytes) {
                clock = clock.max(ts);
                *late.entry(Period::Minute.start_of(ts)).or_default() +=
                    u64::from(ts < clock - seconds);
            }
            let outcome = Outcome::read(&count(&["--lateness", lateness], &stream.bytes));
            let all: u64 = late.values().sum();
            assert_eq!(outcome.stats["frames"]["late"], all, "{lateness}");
            let found = outcome
                .of("minute")
                .map(|(start, window)| (start, window.late));
            assert_eq!(found.collect::<BTreeMap<_, _>>(), late, "{lateness}");
        }
    }
}

#[test]
fn a_stream_counts_the_same_from_stdin_zstd_and_gzip() {
    let dir = tempfile::tempdir().unwrap();
    for stream in recorded() {
        let plain = anonymous(&count(&[], &stream.bytes));
        assert_eq!(anonymous(&count(&[text(&stream.file)], b"")), plain, "zstd");
        assert_eq!(
            anonymous(&count(&["-"], &std::fs::read(&stream.file).unwrap())),
            plain,
            "zstd from stdin"
        );
        // Two members, as `cat a.gz b.gz` makes; the name does not matter.
        let (first, second) = stream.bytes.split_at(stream.bytes.len() / 3);
        let mut packed = Vec::new();
        for part in [first, second] {
            let mut encoder = GzEncoder::new(&mut packed, Compression::fast());
            encoder.write_all(part).unwrap();
            encoder.finish().unwrap();
        }
        let file = dir.path().join("packed");
        std::fs::write(&file, packed).unwrap();
        assert_eq!(anonymous(&count(&[text(&file)], b"")), plain, "gzip");
    }
}

#[test]
fn the_number_of_threads_changes_no_byte() {
    for stream in recorded() {
        for format in ["json", "csv", "table"] {
            let with_threads = |threads: &str| {
                let options = ["--format", format, "--threads", threads, text(&stream.file)];
                count(&options, b"")
            };
            let one = with_threads("1");
            for threads in ["2", "3", "8", "16"] {
                assert!(with_threads(threads) == one, "{format}, {threads} threads");
            }
        }
    }
}

#[test]
fn two_files_count_as_one_whatever_their_order() {
    let streams = recorded();
    let [late, ordered] = &streams[..] else {
        return;
    };
    let there = count(&[text(&late.file), text(&ordered.file)], b"");
    let back = count(&[text(&ordered.file), text(&late.file)], b"");
    assert!(there == back, "the order of the files changed the output");
    let both = [&late.bytes[..], &ordered.bytes].concat();
    let outcome = Outcome::read(&there);
    let (windows, trailing) = exact(&both);
    for period in Period::ALL {
        let found: BTreeMap<i64, (u64, u64)> = outcome
            .of(period.name())
            .map(|(start, window)| (start, (window.users, window.frames)))
            .collect();
        assert_eq!(found, windows[&period], "{period:?}");
    }
    for period in Period::ALL {
        let found = outcome.trailing(period.name());
        assert_eq!(
            (found.users, found.lo),
            (trailing[&period], trailing[&period])
        );
    }
}

/// User and second of each frame.
fn frames(lines: &[u8]) -> impl Iterator<Item = (String, i64)> {
    let lines = lines
        .split(|byte| *byte == b'\n')
        .filter(|line| !line.is_empty());
    lines.map(|line| {
        let frame: Value = serde_json::from_slice(line).unwrap();
        let ts = match &frame["ts"] {
            Value::String(ts) => ts.parse::<f64>().unwrap(),
            ts => ts.as_f64().unwrap(),
        };
        (frame["uid"].as_str().unwrap().to_owned(), ts.floor() as i64)
    })
}

type Windows = BTreeMap<Period, BTreeMap<i64, (u64, u64)>>;

/// Users and frames of every window, and the users of the trailing ones, by plain sets.
fn exact(lines: &[u8]) -> (Windows, BTreeMap<Period, u64>) {
    let mut sets: BTreeMap<(Period, i64), (BTreeSet<String>, u64)> = BTreeMap::new();
    let mut last_seen: BTreeMap<String, i64> = BTreeMap::new();
    for (uid, ts) in frames(lines) {
        for period in Period::ALL {
            let (users, frames) = sets.entry((period, period.start_of(ts))).or_default();
            *frames += 1;
            if !users.contains(&uid) {
                users.insert(uid.clone());
            }
        }
        let last = last_seen.entry(uid).or_insert(ts);
        *last = ts.max(*last);
    }
    let as_of = *last_seen.values().max().unwrap();
    let trailing = Period::ALL.map(|period| {
        let since = period.before(as_of);
        let users = last_seen.values().filter(|ts| **ts > since).count();
        (period, users as u64)
    });
    let mut windows = Windows::new();
    for ((period, start), (users, frames)) in sets {
        let count = (users.len() as u64, frames);
        windows.entry(period).or_default().insert(start, count);
    }
    (windows, trailing.into())
}

#[test]
fn chosen_periods_have_the_records_that_they_have_among_all() {
    for stream in recorded() {
        let all = count(&[], &stream.bytes);
        for chosen in ["day", "minute,hour", "year,minute,year"] {
            let records = |output: &str| -> Vec<Value> {
                let lines = output
                    .lines()
                    .map(|line| serde_json::from_str(line).unwrap());
                let wanted = lines.filter(|record: &Value| match record["window"].as_str() {
                    Some(window) => chosen.split(',').any(|period| period == window),
                    None => true,
                });
                // The number in the row of all records is the one thing that depends on which others there are.
                wanted
                    .map(|mut record| {
                        record.as_object_mut().unwrap().remove("seq");
                        record
                    })
                    .collect()
            };
            let some = count(&["--window", chosen], &stream.bytes);
            assert_eq!(records(&some), records(&all), "{chosen}");
            assert_eq!(
                records(&some).len(),
                some.lines().count(),
                "more than {chosen}"
            );
        }
    }
}

#[test]
fn csv_says_what_json_says() {
    for stream in recorded() {
        let outcome = Outcome::read(&count(&[], &stream.bytes));
        let csv = count(&["--format", "csv"], &stream.bytes);
        let mut lines = csv.lines();
        let columns = |line: &str| line.split(',').count();
        let header = lines.next().unwrap();
        assert_eq!(header, "window,start,end,tz,users,lo,hi,frames,late");
        let mut trailing = 0;
        for line in lines {
            assert_eq!(columns(line), columns(header), "{line}");
            let fields: Vec<&str> = line.split(',').collect();
            let number = |i: usize| fields[i].parse::<u64>().unwrap();
            let window = if let Some(name) = fields[0].strip_prefix("last_") {
                trailing += 1;
                outcome.trailing(name)
            } else {
                let window = outcome.window(fields[0], fields[1]);
                assert_eq!(
                    (number(7), number(8)),
                    (window.frames, window.late),
                    "{line}"
                );
                window
            };
            let numbers = (number(4), number(5), number(6));
            assert_eq!(numbers, (window.users, window.lo, window.hi), "{line}");
        }
        assert_eq!(trailing, Period::ALL.len());
        assert_eq!(csv.lines().count(), 1 + outcome.len() + trailing);
    }
}

#[test]
fn a_stream_cut_in_its_middle_says_so_and_prints_no_total() {
    let dir = tempfile::tempdir().unwrap();
    for stream in recorded() {
        let packed = std::fs::read(&stream.file).unwrap();
        let torn = dir.path().join("torn.zst");
        std::fs::write(&torn, &packed[..packed.len() / 2]).unwrap();
        let mut command = process::headcount();
        command.args(["count", "--format", "json", text(&torn)]);
        let output = process::run(command, b"");
        assert_eq!(output.status.code(), Some(65));
        let stdout = String::from_utf8(output.stdout).unwrap();
        assert!(!stdout.contains("users_last_minute"), "{stdout}");
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert!(stderr.contains("torn.zst"), "{stderr}");
    }
}
