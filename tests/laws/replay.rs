//! The numbers of a record are those of exactly the frames before the offsets that it names: told from the published
//! JSON alone, without knowing when its barrier was raised.

use std::collections::{BTreeMap, BTreeSet};

use headcount::engine::catalog::Emission;
use headcount::engine::frame::{Reject, UserHash, Verdict};
use serde_json::Value;

use super::dice::Dice;
use super::script::{Step, Traffic};
use super::world::{Build, DAY_S, Pace, World, precision, rules};
use super::zone::Zone;

const LATENESS_S: i64 = 5;

/// What a partition holds: an offset without a frame is `None`.
type Partition = Vec<Option<Verdict>>;

fn partitions(script: &[Step]) -> Vec<Partition> {
    let mut partitions: Vec<Partition> = Vec::new();
    for step in script {
        match *step {
            Step::Add { .. } => partitions.push(Vec::new()),
            Step::Frame { partition, verdict } => partitions[partition].push(Some(verdict)),
            Step::Pass(partition) => partitions[partition].push(None),
            _ => {}
        }
    }
    partitions
}

/// The frames before some offsets.
#[derive(Default)]
struct Before {
    read: u64,
    ignored: u64,
    rejected: BTreeMap<&'static str, u64>,
    /// User, event time, and whether the frame was late in its partition.
    seen: Vec<(UserHash, i64, bool)>,
}

fn before(partitions: &[Partition], record: &Value) -> Before {
    let offsets = record["source"]["offsets"].as_object().unwrap();
    let mut before = Before::default();
    for (partition, frames) in partitions.iter().enumerate() {
        // A partition that was joined later is not named by the records before.
        let Some(offset) = offsets.get(&partition.to_string()) else {
            continue;
        };
        let mut clock = 0;
        for verdict in frames[..offset.as_u64().unwrap() as usize].iter().flatten() {
            before.read += 1;
            match *verdict {
                Verdict::Ignored => before.ignored += 1,
                Verdict::Rejected(reason) => {
                    *before.rejected.entry(reason.name()).or_default() += 1
                }
                Verdict::Seen(user, ts) => {
                    let ts = i64::from(ts);
                    clock = ts.max(clock);
                    before.seen.push((user, ts, ts < clock - LATENESS_S));
                }
            }
        }
    }
    before
}

fn number(value: &Value) -> u64 {
    value
        .as_u64()
        .unwrap_or_else(|| panic!("not a count: {value}"))
}

fn check_ledger(ledger: &Value, before: &Before) {
    assert_eq!(number(&ledger["read"]), before.read);
    assert_eq!(number(&ledger["counted"]), before.seen.len() as u64);
    assert_eq!(number(&ledger["ignored"]), before.ignored);
    let late = before.seen.iter().filter(|(_, _, late)| *late).count();
    assert_eq!(number(&ledger["late"]), late as u64);
    let rejected = ledger["rejected"].as_object().unwrap();
    let rejected: BTreeMap<_, _> = rejected
        .iter()
        .map(|(r, n)| (r.as_str(), number(n)))
        .collect();
    assert_eq!(rejected, before.rejected);
    let sum: u64 = rejected.values().sum();
    let counted = number(&ledger["counted"]);
    assert_eq!(
        number(&ledger["read"]),
        counted + number(&ledger["ignored"]) + sum
    );
    assert_eq!(
        ledger["expired"],
        serde_json::json!({}),
        "nothing may expire here"
    );
}

fn distinct<'a>(seen: impl Iterator<Item = &'a (UserHash, i64, bool)>) -> u64 {
    seen.map(|(user, _, _)| *user)
        .collect::<BTreeSet<_>>()
        .len() as u64
}

fn check_tick(record: &Value, before: &Before, zone: &Zone) {
    check_ledger(&record["frames"], before);
    let as_of = before.seen.iter().map(|(_, ts, _)| *ts).max();
    assert_eq!(record["as_of"].as_i64(), as_of);
    let starts = zone.trailing(as_of.unwrap_or(0));
    let names = ["minute", "hour", "day", "week", "month", "year"];
    for (name, start) in names.into_iter().zip(starts) {
        let users = distinct(before.seen.iter().filter(|(_, ts, _)| *ts > start));
        assert_eq!(
            number(&record[format!("users_last_{name}")]),
            users,
            "{name}"
        );
        let interval = &record["intervals"][format!("last_{name}")];
        assert_eq!(*interval, serde_json::json!([users, users]), "{name}");
    }
}

fn check_window(record: &Value, before: &Before) {
    check_ledger(&record["ledger"], before);
    let bound = |name: &str| {
        let text = record[name].as_str().unwrap();
        chrono::DateTime::parse_from_rfc3339(text)
            .unwrap()
            .timestamp()
    };
    let (start, end) = (bound("start"), bound("end"));
    let inside = || {
        before
            .seen
            .iter()
            .filter(|(_, ts, _)| (start..end).contains(ts))
    };
    let users = distinct(inside());
    for name in ["users", "lo", "hi"] {
        assert_eq!(number(&record[name]), users, "{name} of {record}");
    }
    assert_eq!(number(&record["frames"]), inside().count() as u64);
    let late = inside().filter(|(_, _, late)| *late).count();
    assert_eq!(number(&record["late"]), late as u64);
}

#[test]
fn a_records_numbers_are_those_of_the_frames_before_its_offsets() {
    let zone = Zone::named("Europe/Zurich");
    for (seed, pace) in [
        (1, Pace::Lagging),
        (2, Pace::Ragged),
        (3, Pace::Prompt),
        (4, Pace::Ragged),
    ] {
        let mut dice = Dice::new(seed);
        let mut rules = rules("Europe/Zurich", Emission::Live);
        rules.retention_s = [10_000 * DAY_S; 6];
        let build = Build {
            rules,
            precision: precision(17),
            shards: 5,
            batch: dice.pick(&[3, 50, 4_096]),
            pace,
        };
        let traffic = Traffic {
            frames: 1_500,
            users: 900,
            partitions: 3,
            from: 1_774_700_000,
            step_s: dice.pick(&[2, 600]),
            leap_once_in: 500,
            late_once_in: 8,
            barrier_once_in: 12,
            joins: false,
            idles: false,
        };
        let script = traffic.script(&mut dice);
        let mut world = World::new(&build);
        for step in &script {
            world.play(step);
        }
        world.drain();
        let partitions = partitions(&script);
        let joined = world.take_joined();
        let records = world.records(&joined);
        assert!(records.len() > 100);
        let mut next_seq = 1;
        for record in records {
            let record: Value = serde_json::from_str(&record).unwrap();
            let before = before(&partitions, &record);
            if record["schema"] == "headcount.stats/1" {
                check_tick(&record, &before, &zone);
            } else {
                check_window(&record, &before);
                if record["state"] != "provisional" {
                    assert_eq!(record["seq"], next_seq, "no gap, none twice");
                    next_seq += 1;
                }
            }
        }
    }
}

#[test]
fn the_ledger_balances_after_every_frame_of_whatever_verdict() {
    let build = Build {
        rules: rules("UTC", Emission::Live),
        precision: precision(12),
        shards: 1,
        batch: 1,
        pace: Pace::Prompt,
    };
    let mut world = World::new(&build);
    world.play(&Step::Add {
        start: 0,
        unread: true,
    });
    let mut dice = Dice::new(6);
    for i in 0..2_000 {
        let verdict = match dice.below(3) {
            0 => Verdict::Ignored,
            1 => Verdict::Rejected(dice.pick(&Reject::ALL)),
            _ => Verdict::Seen(dice.hash(), 1 + dice.below(100_000_000) as u32),
        };
        world.play(&Step::Frame {
            partition: 0,
            verdict,
        });
        let ledger = world.admission.ledger();
        let rejected: u64 = ledger.rejected().map(|(_, n)| n).sum();
        assert_eq!(ledger.read, i + 1);
        assert_eq!(ledger.read, ledger.counted + ledger.ignored + rejected);
    }
}
