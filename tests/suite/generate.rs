//! `headcount generate`: what the frames say is what was meant, and the truth is true.
//!
//! Frames are read back with `serde_json`, which shares nothing with the generator or the engine.

mod command;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use headcount::generate::{Period, Plan, Report, Sent, Traffic, Truth, uid_of, write_lines};
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::Value;
use xxhash_rust::xxh3::xxh3_64;

/// The root members of a frame in their order, duplicates included.
struct Members(Vec<(String, Value)>);

impl<'de> Deserialize<'de> for Members {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct InOrder;
        impl<'de> Visitor<'de> for InOrder {
            type Value = Members;

            fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(InOrder)
    }
}

/// What a careful reader finds in a frame.
struct Found {
    uid: String,
    ts: u32,
    members: Vec<(String, Value)>,
}

fn read(frame: &[u8]) -> Found {
    let text = String::from_utf8_lossy(frame);
    let Members(members) = serde_json::from_slice(frame).unwrap_or_else(|e| panic!("{e}: {text}"));
    let only = |name: &str| {
        let found: Vec<&Value> = members
            .iter()
            .filter(|(key, _)| key == name)
            .map(|(_, value)| value)
            .collect();
        assert_eq!(found.len(), 1, "{name} in {text}");
        found[0].clone()
    };
    let uid = only("uid").as_str().unwrap().to_owned();
    let ts = match only("ts") {
        Value::String(text) => text.parse::<f64>().unwrap(),
        number => number.as_f64().unwrap(),
    };
    Found {
        uid,
        ts: ts.floor() as u32,
        members,
    }
}

fn frames(plan: &Plan) -> Vec<(Vec<u8>, Sent)> {
    assert_eq!(plan.check(), Ok(()));
    let mut traffic = Traffic::new(plan);
    let mut frame = Vec::new();
    std::iter::from_fn(|| {
        traffic
            .next_frame(&mut frame)
            .map(|sent| (frame.clone(), sent))
    })
    .collect()
}

fn bytes(plan: &Plan) -> Vec<u8> {
    let mut out = Vec::new();
    write_lines(plan, &mut out, |_| ()).unwrap();
    out
}

fn truth(plan: &Plan) -> Report {
    let mut truth = Truth::new(plan.disorder_s());
    write_lines(plan, std::io::sink(), |sent| truth.add(sent.user, sent.ts)).unwrap();
    truth.finish()
}

const YEAR_MS: u64 = 365 * 86_400_000;

/// Plans that differ in everything that decides what a frame says.
fn plans() -> Vec<Plan> {
    let plan = Plan {
        frames: 2_000,
        ..Plan::default()
    };
    vec![
        plan.clone(),
        Plan {
            frame_bytes: 100,
            seed: 2,
            ..plan.clone()
        },
        Plan {
            frame_bytes: 200,
            span_ms: 2 * YEAR_MS,
            very_late: 0.2,
            seed: 3,
            ..plan.clone()
        },
        Plan {
            frames: 50,
            frame_bytes: 65_536,
            seed: 4,
            ..plan.clone()
        },
        Plan {
            users: 1,
            string_ts: 0.5,
            float_ts: 0.5,
            crlf: 0.5,
            span_ms: 1_500,
            ..plan.clone()
        },
        Plan {
            start: 1,
            late: 1.0,
            delay_ms: 3_600_000,
            skew: 1.0,
            ..plan
        },
    ]
}

#[test]
fn every_frame_says_what_was_meant() {
    for plan in plans() {
        let frames = frames(&plan);
        assert_eq!(frames.len() as u64, plan.frames);
        for (frame, sent) in frames {
            let found = read(&frame);
            assert_eq!(
                (found.uid, found.ts),
                (uid_of(sent.user, plan.population), sent.ts)
            );
            assert!(sent.user < plan.users);
            assert!(!frame.contains(&b'\n') && !frame.contains(&b'\r'));
        }
    }
}

#[test]
fn the_same_plan_gives_the_same_bytes() {
    let plan = Plan {
        frames: 3_000,
        ..Plan::default()
    };
    let first = bytes(&plan);
    assert_eq!(first, bytes(&plan));
    assert_ne!(first, bytes(&Plan { seed: 2, ..plan }));
}

/// Pinned: whoever kept only the options of a run must get its bytes again. A change of these numbers is a
/// change that users see, and belongs in the changelog.
#[test]
fn the_bytes_of_a_plan_are_pinned() {
    let plan = Plan {
        frames: 1_000,
        ..Plan::default()
    };
    assert_eq!(xxh3_64(&bytes(&plan)), 9_470_544_433_873_420_660);
    let plan = Plan {
        frame_bytes: 100,
        skew: 0.5,
        very_late: 0.1,
        span_ms: 2 * YEAR_MS,
        seed: 7,
        population: 7,
        ..plan
    };
    assert_eq!(xxh3_64(&bytes(&plan)), 3_767_462_502_038_708_460);
}

#[test]
fn lines_are_the_frames_with_their_ends() {
    let plan = Plan {
        frames: 4_000,
        crlf: 0.25,
        ..Plan::default()
    };
    let all = bytes(&plan);
    let mut lines: Vec<&[u8]> = all.split(|&byte| byte == b'\n').collect();
    assert_eq!(
        lines.pop(),
        Some(&b""[..]),
        "the last line has an end as well"
    );
    let crlf = lines.iter().filter(|line| line.ends_with(b"\r")).count();
    assert!((850..1_150).contains(&crlf), "{crlf} of 4000");
    let trimmed = lines
        .iter()
        .map(|line| line.strip_suffix(b"\r").unwrap_or(line));
    assert!(trimmed.eq(frames(&plan).iter().map(|(frame, _)| frame)));

    let plain = bytes(&Plan { crlf: 0.0, ..plan });
    assert!(!plain.contains(&b'\r'));
    assert_eq!(
        plain.len() + crlf,
        all.len(),
        "the choice of line ends leaves the frames as they are"
    );
}

#[test]
fn sizes_meet_the_target() {
    for (frame_bytes, count) in [
        (100, 5_000),
        (150, 5_000),
        (200, 5_000),
        (2_048, 2_000),
        (65_536, 200),
    ] {
        let sizes: Vec<usize> = frames(&Plan {
            frames: count,
            frame_bytes,
            ..Plan::default()
        })
        .iter()
        .map(|(f, _)| f.len())
        .collect();
        let average = sizes.iter().sum::<usize>() as f64 / sizes.len() as f64;
        let target = f64::from(frame_bytes);
        assert!(
            (average / target - 1.0).abs() < 0.1,
            "{average} bytes instead of {frame_bytes}"
        );
        assert!(
            sizes.iter().all(|&size| (size as f64) < 1.5 * target),
            "{:?}",
            sizes.iter().max()
        );
        assert!(
            sizes.iter().collect::<BTreeSet<_>>().len() > 20,
            "sizes vary"
        );
    }
}

#[test]
fn no_delay_is_longer_than_announced_and_each_kind_occurs() {
    let plan = Plan {
        frames: 40_000,
        very_late: 0.01,
        very_late_by_ms: 3_600_000,
        ..Plan::default()
    };
    let (mut late, mut very_late) = (0, 0);
    let mut arrival_ms = 0;
    let mut greatest = 0;
    let mut out_of_order = 0;
    for (_, sent) in frames(&plan) {
        assert!(sent.arrival_ms >= arrival_ms, "arrivals are in order");
        arrival_ms = sent.arrival_ms;
        // The millisecond within ts is not known here: up to 999 of them may be added to a delay.
        let delay = sent.arrival_ms - u64::from(sent.ts - plan.start) * 1_000;
        assert!(delay <= plan.very_late_by_ms + 999);
        late += usize::from((1_000..=plan.delay_ms).contains(&delay));
        very_late += usize::from(delay > plan.delay_ms + 999);
        assert!(u64::from(sent.ts) + u64::from(plan.disorder_s()) >= greatest);
        out_of_order += usize::from(u64::from(sent.ts) < greatest);
        greatest = greatest.max(u64::from(sent.ts));
    }
    assert!((300..500).contains(&very_late), "{very_late} very late");
    // Of one in ten, four in five: the others take less than 1 s, or more than 5 s with the fraction of ts.
    assert!((3_000..3_400).contains(&late), "{late} late");
    assert!(out_of_order > 3_000, "{out_of_order} out of order");

    let plan = Plan {
        late: 0.0,
        very_late: 0.0,
        ..plan
    };
    assert!(
        frames(&plan).is_sorted_by_key(|(_, sent)| sent.ts),
        "without delays the frames are in order"
    );
}

/// Which traps a frame holds, by name.
fn traps(frame: &[u8], uid: &str) -> Vec<(&'static str, bool)> {
    let text = std::str::from_utf8(frame).unwrap();
    let members = read(frame).members;
    let at = |name: &str| members.iter().position(|(key, _)| key == name).unwrap();
    let (uid_at, ts_at) = (at("uid"), at("ts"));
    let (first, second) = (uid_at.min(ts_at), uid_at.max(ts_at));
    let nested = |(_, v): &(String, Value)| has_key(v, "uid") && has_key(v, "ts");
    let any = |is: fn(&Value) -> bool| members.iter().any(|(_, value)| is(value));
    let keys: BTreeSet<&str> = members.iter().map(|(key, _)| key.as_str()).collect();
    let ts = &members[ts_at].1;
    vec![
        ("nested before", members[..first].iter().any(nested)),
        ("nested behind", members[second..].iter().any(nested)),
        ("uid first", uid_at < ts_at),
        ("ts first", ts_at < uid_at),
        ("apart", second - first > 1),
        ("late", first * 4 > members.len() * 3),
        ("very first", first == 0),
        ("very last", second == members.len() - 1),
        ("duplicate keys", keys.len() < members.len()),
        (
            "lookalike keys",
            keys.contains("UID") || keys.contains("Ts"),
        ),
        ("string ts", ts.is_string()),
        ("float ts", ts.is_f64()),
        ("plain ts", ts.is_u64()),
        (
            "escaped root key",
            text.contains(&format!("\"\\u0075id\":\"{uid}\"")),
        ),
        ("JSON in a string", text.contains("\\\"uid\\\":")),
        ("backslash at the end", text.contains("\\\\\"")),
        ("newline", text.contains("\\n")),
        ("tab", text.contains("\\t")),
        ("form feed", text.contains("\\f")),
        ("latin escape", text.contains("\\u00e9")),
        ("surrogate pair", text.contains("\\ud83d\\ude00")),
        ("cyrillic", text.contains('ы')),
        ("cjk", text.contains('春')),
        ("emoji", text.contains('😀')),
        ("deep", text.contains("[[[[[[[[[[")),
        ("non-ASCII uid", !uid.is_ascii()),
        ("uid with a quote", uid.contains('"')),
        (
            "empty object",
            any(|v| v.as_object().is_some_and(|v| v.is_empty())),
        ),
        (
            "empty array",
            any(|v| v.as_array().is_some_and(|v| v.is_empty())),
        ),
        ("null", any(Value::is_null)),
        ("bool", any(Value::is_boolean)),
        ("float", any(Value::is_f64)),
    ]
}

#[test]
fn every_trap_occurs() {
    let plan = Plan {
        frames: 4_000,
        ..Plan::default()
    };
    let mut count: BTreeMap<&str, usize> = BTreeMap::new();
    for (frame, sent) in frames(&plan) {
        for (trap, sprung) in traps(&frame, &uid_of(sent.user, plan.population)) {
            *count.entry(trap).or_default() += usize::from(sprung);
        }
    }
    for (trap, n) in &count {
        let least = if *trap == "escaped root key" { 1 } else { 20 };
        assert!(*n >= least, "{trap}: {n} of 4000");
    }
    assert!(
        count["nested before"] > 1_600 && count["nested behind"] > 800,
        "{count:?}"
    );
    assert!((20..80).contains(&count["string ts"]), "{count:?}");
    assert!((20..80).contains(&count["float ts"]), "{count:?}");
}

#[test]
fn the_smallest_frames_have_traps_too() {
    let frames = frames(&Plan {
        frames: 4_000,
        frame_bytes: 100,
        ..Plan::default()
    });
    let nested = |frame: &[u8]| {
        read(frame)
            .members
            .iter()
            .any(|(_, value)| has_key(value, "uid"))
    };
    let trapped = frames.iter().filter(|(frame, _)| nested(frame)).count();
    assert!(trapped > 400, "{trapped} of 4000");
}

fn has_key(value: &Value, name: &str) -> bool {
    match value {
        Value::Object(members) => {
            members.contains_key(name) || members.values().any(|value| has_key(value, name))
        }
        Value::Array(items) => items.iter().any(|value| has_key(value, name)),
        _ => false,
    }
}

/// Counts by the book: every frame is read back, every window is the set of all ids whose second lies in it.
#[test]
fn the_truth_is_what_reading_the_frames_gives() {
    for plan in plans() {
        let seen: Vec<(String, i64)> = frames(&plan)
            .iter()
            .map(|(f, _)| read(f))
            .map(|found| (found.uid, i64::from(found.ts)))
            .collect();
        let truth = truth(&plan);
        assert_eq!(truth.frames, plan.frames);
        let everyone: BTreeSet<&str> = seen.iter().map(|(uid, _)| uid.as_str()).collect();
        assert_eq!(truth.unique as usize, everyone.len());
        let as_of = seen.iter().map(|(_, ts)| *ts).max().unwrap();
        assert_eq!(truth.last_ts.map(i64::from), Some(as_of));
        assert_eq!(
            truth.first_ts.map(i64::from),
            seen.iter().map(|(_, ts)| *ts).min()
        );

        let (users, frames) = (&truth.windows, &truth.window_frames);
        let trailing = truth.trailing;
        for (period, users, frames, trailing) in [
            (
                Period::Minute,
                &users.minute,
                &frames.minute,
                trailing.last_minute,
            ),
            (Period::Hour, &users.hour, &frames.hour, trailing.last_hour),
            (Period::Day, &users.day, &frames.day, trailing.last_day),
            (Period::Week, &users.week, &frames.week, trailing.last_week),
            (
                Period::Month,
                &users.month,
                &frames.month,
                trailing.last_month,
            ),
            (Period::Year, &users.year, &frames.year, trailing.last_year),
        ] {
            let mut windows: BTreeMap<i64, (BTreeSet<&str>, u64)> = BTreeMap::new();
            for (uid, ts) in &seen {
                let window = windows.entry(period.start_of(*ts)).or_default();
                window.0.insert(uid);
                window.1 += 1;
            }
            let expected: BTreeMap<i64, u32> = windows
                .iter()
                .map(|(at, w)| (*at, w.0.len() as u32))
                .collect();
            assert_eq!(*users, expected, "users of each {period:?}");
            let expected: BTreeMap<i64, u64> = windows.iter().map(|(at, w)| (*at, w.1)).collect();
            assert_eq!(*frames, expected, "frames of each {period:?}");
            let since = period.before(as_of);
            let last: BTreeSet<&str> = seen
                .iter()
                .filter(|(_, ts)| *ts > since)
                .map(|(uid, _)| &**uid)
                .collect();
            assert_eq!(trailing as usize, last.len(), "last {period:?}");
        }
    }
}

#[test]
fn two_years_have_the_windows_of_two_years() {
    let plan = Plan {
        frames: 40_000,
        frame_bytes: 100,
        span_ms: 2 * YEAR_MS,
        ..Plan::default()
    };
    let windows = truth(&plan).windows;
    let starts = |windows: &BTreeMap<i64, u32>| windows.keys().copied().collect::<Vec<_>>();
    // 2026-01-01 and 2027-01-01.
    assert_eq!(starts(&windows.year), [1_767_225_600, 1_798_761_600]);
    let month_lengths = [31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    let mut month = 1_767_225_600;
    let mut months = Vec::new();
    for days in month_lengths.into_iter().chain(month_lengths) {
        months.push(month);
        month += days * 86_400;
    }
    assert_eq!(starts(&windows.month), months);
    // Monday 2025-12-29 to the week of Friday 2027-12-31.
    let weeks: Vec<i64> = (0..105)
        .map(|week| 1_766_966_400 + week * 604_800)
        .collect();
    assert_eq!(starts(&windows.week), weeks);
    let days: Vec<i64> = (0..730).map(|day| 1_767_225_600 + day * 86_400).collect();
    assert_eq!(starts(&windows.day), days);
}

#[test]
fn any_order_is_allowed_when_announced() {
    let mut truth = Truth::new(u32::MAX);
    for (user, ts) in [
        (3, 86_400 * 40),
        (3, 5),
        (1, 86_400 * 20),
        (1, 6),
        (0, 59),
        (0, 60),
    ] {
        truth.add(user, ts);
    }
    let report = truth.finish();
    assert_eq!((report.frames, report.unique), (6, 3));
    assert_eq!(
        report.windows.minute,
        [(0, 3), (60, 1), (1_728_000, 1), (3_456_000, 1)].into()
    );
    assert_eq!(
        report.window_frames.minute,
        [(0, 3), (60, 1), (1_728_000, 1), (3_456_000, 1)].into()
    );
    // 1970-02-10 less a month is 1970-01-10.
    assert_eq!(
        (
            report.trailing.last_week,
            report.trailing.last_month,
            report.trailing.last_year
        ),
        (1, 2, 3)
    );
}

#[test]
#[should_panic = "further behind"]
fn a_frame_beyond_the_announced_disorder_is_not_miscounted() {
    let mut truth = Truth::new(60);
    for ts in [1_000_000, 2_000_000, 1_000_000] {
        truth.add(0, ts);
    }
}

#[test]
fn no_frames_are_a_traffic_too() {
    let plan = Plan {
        frames: 0,
        ..Plan::default()
    };
    assert!(bytes(&plan).is_empty());
    let truth = truth(&plan);
    assert_eq!(
        (truth.frames, truth.unique, truth.first_ts, truth.last_ts),
        (0, 0, None, None)
    );
}
