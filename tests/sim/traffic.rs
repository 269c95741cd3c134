//! Producers: when frames are made, what is wrong with them, and when and where they come to stand in the topic.

use xxhash_rust::xxh3::xxh3_64;

use super::dice::Dice;
use super::scenario::{DAY_S, HOUR_S, Meaning, Partition, Record, Slot, Topic, User};
use super::settings::is_known_for_ever;

/// What is wrong with the producers. Of the numbers, 0 means never and others mean once in so many frames.
#[derive(Debug, Clone, Copy)]
pub struct Faults {
    delays: usize,
    duplicates: usize,
    rubbish: usize,
    markers: usize,
    flips: usize,
    /// Flips only within some stretches of a hundred frames.
    flips_in_bursts: bool,
    /// Flips in one partition, or in all.
    flips_in: Option<usize>,
    flipped_bits: u32,
    /// Whether all flips of a burst are of one bit.
    same_bit: bool,
    /// Seconds that some producer's clock is ahead, and in how many of its partition's frames it has a share; in all of
    /// them if that is 1.
    ahead_s: i64,
    ahead: usize,
    /// Seconds that most frames of every other stretch of three hundred are behind, as of a device that was off line.
    straggle_s: i64,
    /// Whether the broker says when it wrote a frame.
    append_time: bool,
}

impl Faults {
    pub fn new(zone: &str, dice: &mut Dice) -> Self {
        // A flip of a higher bit is out of the range of event times.
        let (bits, all_bits) = match is_known_for_ever(zone) {
            true => (32, 63),
            false => (31, 31),
        };
        Self {
            delays: dice.pick(&[0, 1_000, 100, 10]),
            duplicates: dice.pick(&[0, 0, 50, 5]),
            rubbish: dice.pick(&[0, 100, 15]),
            markers: dice.pick(&[0, 0, 40]),
            flips: dice.pick(&[0, 0, 1_000, 100, 20]),
            flips_in_bursts: dice.once_in(2),
            flips_in: dice.once_in(2).then_some(0),
            flipped_bits: dice.pick(&[bits, all_bits, 6, 12]),
            same_bit: dice.once_in(3),
            ahead_s: dice.pick(&[0, 0, 30, HOUR_S, DAY_S, 40 * DAY_S]),
            ahead: dice.pick(&[1, 2, 5, 30]),
            straggle_s: dice.pick(&[0, 0, 0, 5 * HOUR_S, DAY_S]),
            append_time: dice.once_in(4),
        }
    }
}

fn happens(once_in: usize, dice: &mut Dice) -> bool {
    once_in > 0 && dice.once_in(once_in)
}

pub fn topic(from_s: i64, span_s: i64, faults: &Faults, dice: &mut Dice) -> Topic {
    let users = users(dice);
    let number = 1 + dice.below(8);
    let frames = dice.pick(&[30, 100, 300, 600, 1_200, 2_500]);
    let partitions = (0..number).map(|i| {
        let kind = dice.pick(&["dense", "sparse", "bursty", "silences", "once", "empty"]);
        // Those that are added later have the greater numbers.
        let is_new = i > 0 && i + 2 >= number && dice.once_in(3);
        let created_s = from_s + i64::from(is_new) * dice.between(1, span_s) / 2;
        let share = 1 + dice.below(2 * frames / number);
        let made = moments(kind, created_s, from_s + span_s, share, dice);
        let records = produce(i, &made, users.len(), faults, &users, dice);
        Partition {
            kind,
            created_ms: if is_new { created_s * 1_000 } else { 0 },
            records,
        }
    });
    let mut partitions: Vec<_> = partitions.collect();
    partitions.sort_by_key(|p| p.created_ms);
    Topic { users, partitions }
}

fn users(dice: &mut Dice) -> Vec<User> {
    let salt = dice.bits() % 1_000_000;
    let number = dice.pick(&[1, 5, 40, 200, 1_000]);
    let text = |i: usize| match i % 4 {
        0 => format!("{}", salt * 1_000 + i as u64),
        1 => format!("Zoë-{salt}-{i}"),
        2 => format!("u\"{salt}\\{i}"),
        _ => format!("user-{salt}-{i}@example.org"),
    };
    let texts = (0..number).map(text);
    texts
        .map(|text| User {
            hash: xxh3_64(text.as_bytes()),
            text,
        })
        .collect()
}

/// When a partition's frames are made, in unix seconds.
fn moments(kind: &str, from_s: i64, to_s: i64, frames: usize, dice: &mut Dice) -> Vec<i64> {
    let mean_s = 2 * (to_s - from_s) / frames.max(1) as i64 + 2;
    let mut at = from_s;
    let mut made = Vec::new();
    for _ in 0..frames {
        at += match kind {
            "dense" => dice.between(0, 3),
            "bursty" if !dice.once_in(60) => dice.between(0, 2),
            "bursty" => dice.between(0, 30 * mean_s),
            "silences" if dice.once_in(80) => {
                dice.pick(&[60, 600, 5 * HOUR_S, DAY_S, 30 * DAY_S, 200 * DAY_S])
            }
            "silences" => dice.between(0, 20),
            "once" => dice.between(0, to_s - from_s),
            "empty" => return made,
            _ => dice.between(0, mean_s),
        };
        if at >= to_s {
            break;
        }
        made.push(at);
        if kind == "once" {
            break;
        }
    }
    made
}

/// How far behind its time a frame is written, in milliseconds.
fn delay_ms(faults: &Faults, dice: &mut Dice) -> i64 {
    if happens(faults.delays, dice) {
        let most_s = dice.pick(&[10, 20, 180, 180, 5 * HOUR_S, 90 * DAY_S]);
        return dice.between(0, most_s * 1_000);
    }
    dice.between(0, 1_500)
}

fn produce(
    partition: usize,
    made: &[i64],
    users: usize,
    faults: &Faults,
    named: &[User],
    dice: &mut Dice,
) -> Vec<Record> {
    let mut records = Vec::new();
    let is_ahead = partition == 0;
    let mut bit = 0;
    for (i, &at) in made.iter().enumerate() {
        let mut ts = at;
        if is_ahead && (faults.ahead == 1 || dice.once_in(faults.ahead)) {
            ts += faults.ahead_s;
        }
        if (i / 300) % 2 == 0 && !dice.once_in(12) {
            ts -= faults.straggle_s;
        }
        let is_burst = !faults.flips_in_bursts || (i / 100) % 3 == 0;
        let flips_here = faults.flips_in.is_none_or(|only| only == partition);
        if is_burst && flips_here && happens(faults.flips, dice) {
            if !faults.same_bit || i % 100 == 0 {
                bit = dice.below(faults.flipped_bits as usize);
            }
            ts ^= 1 << bit;
        }
        let (value, meaning) = if happens(faults.rubbish, dice) {
            rubbish(ts, dice)
        } else {
            let user = dice.below(users.min(1 + dice.clone().below(2 * users)));
            let value = frame(&named[user].text, ts, dice);
            (Some(value), seen(user, ts))
        };
        let copies = 1 + usize::from(happens(faults.duplicates, dice));
        for _ in 0..copies {
            let at_ms = at * 1_000 + delay_ms(faults, dice);
            let appended = faults.append_time.then_some(at_ms / 1_000);
            let slot = Slot::Frame {
                value: value.clone(),
                meaning,
                appended,
            };
            records.push(Record { at_ms, slot });
            if happens(faults.markers, dice) {
                let slot = Slot::Marker;
                records.push(Record { at_ms, slot });
            }
        }
    }
    records.sort_by_key(|record| record.at_ms);
    records
}

fn seen(user: usize, ts: i64) -> Meaning {
    match ts {
        1..=4_294_967_294 => Meaning::Seen { user, ts },
        _ => Meaning::Rejected("ts_range"),
    }
}

fn frame(user: &str, ts: i64, dice: &mut Dice) -> Vec<u8> {
    let quoted = serde_json::to_string(user).unwrap();
    let is_number = user.bytes().all(|b| b.is_ascii_digit());
    let uid = match dice.below(3) {
        0 if is_number => user.to_owned(),
        _ => quoted,
    };
    match dice.below(8) {
        0 => format!(r#"{{"uid":{uid},"ts":"{ts}"}}"#),
        1 => format!(r#" {{"ts":{ts}.75,"a":[{{"uid":"x","ts":9}}],"uid":{uid}}} "#),
        2 => format!(r#"{{"uid":"other","ts":7,"uid":{uid},"n":null,"ts":{ts}}}"#),
        3 => format!(r#"{{"u\u0069d":{uid},"ts":{ts}.0e0}}"#),
        _ => format!(r#"{{"uid":{uid},"ts":{ts}}}"#),
    }
    .into_bytes()
}

fn rubbish(ts: i64, dice: &mut Dice) -> (Option<Vec<u8>>, Meaning) {
    let good: (String, &'static str) = match dice.below(14) {
        0 => return (None, Meaning::Rejected("tombstone")),
        1 => {
            let bytes = b"{\"uid\":\"\xff\",\"ts\":1}".to_vec();
            return (Some(bytes), Meaning::Rejected("utf8"));
        }
        2 | 3 => {
            let ignored = format!(r#"{{"uid":"-","ts":{ts}}}"#);
            let meaning = match seen(0, ts) {
                Meaning::Seen { .. } => Meaning::Ignored,
                rejected => rejected,
            };
            return (Some(ignored.into_bytes()), meaning);
        }
        4 => (" \r\n".to_owned(), "empty"),
        5 => (format!(r#"{{"uid":"a","ts":{ts}"#), "json"),
        6 => (format!(r#"[{{"uid":"a","ts":{ts}}}]"#), "not_object"),
        7 => (format!(r#"{{"a":{{"uid":"a"}},"ts":{ts}}}"#), "uid_missing"),
        8 => (format!(r#"{{"uid":1.5,"ts":{ts}}}"#), "uid_type"),
        9 => (format!(r#"{{"uid":"","ts":{ts}}}"#), "uid_empty"),
        10 => (r#"{"uid":"a"}"#.to_owned(), "ts_missing"),
        11 => (format!(r#"{{"uid":"a","ts":[{ts}]}}"#), "ts_type"),
        12 => (r#"{"uid":"a","ts":0.9}"#.to_owned(), "ts_range"),
        _ => (format!(r#"{{"uid":"a","ts":{ts}000}}"#), "ts_range"),
    };
    (Some(good.0.into_bytes()), Meaning::Rejected(good.1))
}
