//! The options of the service and the moments of its run, drawn by dice.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use super::clock::ClockRules;
use super::dice::Dice;
use super::kept::{Death, Moment, Plan, Way};
use super::model::Rules;
use super::scenario::{Build, DAY_S, HOUR_S, Schedule, Topic};
use super::zone::Zone;

/// The first ones keep their clocks for ever; the others change them twice a year.
const ZONES: [&str; 9] = [
    "UTC",
    "Asia/Kathmandu",
    "Africa/Monrovia",
    "Europe/Zurich",
    "America/New_York",
    "America/St_Johns",
    "Australia/Lord_Howe",
    "Pacific/Chatham",
    "Europe/London",
];

/// Whether both databases of zones know this one's clock until event time ends.
pub fn is_known_for_ever(zone: &str) -> bool {
    ZONES[..3].contains(&zone)
}

pub fn zone(dice: &mut Dice) -> &'static str {
    dice.pick(&ZONES)
}

/// Finding a zone's changes takes long, so each is made once.
fn calendar(name: &str) -> Arc<Zone> {
    static MADE: Mutex<Option<HashMap<String, Arc<Zone>>>> = Mutex::new(None);
    let mut made = MADE.lock().unwrap_or_else(PoisonError::into_inner);
    let make = || match name {
        "UTC" => Arc::new(Zone::utc()),
        _ => Arc::new(Zone::named(name)),
    };
    let made = made.get_or_insert_default();
    Arc::clone(made.entry(name.to_owned()).or_insert_with(make))
}

pub fn rules(zone: &str, dice: &mut Dice) -> Rules {
    let lateness_s = dice.pick(&[5, 5, 5, 0, 1, 60, HOUR_S]);
    let minutes = dice.pick(&[600, HOUR_S, 6 * HOUR_S, 6 * HOUR_S, 3 * DAY_S]);
    let hours = dice.pick(&[HOUR_S, DAY_S, 3 * DAY_S, 40 * DAY_S]);
    let long = dice.pick(&[0, 2 * DAY_S, 60 * DAY_S, 1_095 * DAY_S]);
    let max_lateness_s = dice.pick(&[
        lateness_s,
        2 * HOUR_S,
        DAY_S,
        60 * DAY_S,
        1_461 * DAY_S,
        1_461 * DAY_S,
        1_461 * DAY_S,
        1_461 * DAY_S,
    ]);
    Rules {
        zone: calendar(zone),
        clock: ClockRules {
            lateness_s,
            max_lateness_s,
            max_jump_s: dice.pick(&[60, 60, 60, 60, 5, 600, HOUR_S, 36_600 * DAY_S]),
        },
        retention_s: [minutes, hours, long, long, long, long.max(60 * DAY_S)],
        provisionals: !dice.once_in(4),
        periods: match dice.below(4) {
            0 => 1 + dice.below(63) as u8,
            _ => 63,
        },
        precision: dice.pick(&[12, 12, 12, 13, 14, 15]),
    }
}

/// When the first frame is made: often shortly before something happens to the calendar.
pub fn from_s(rules: &Rules, dice: &mut Dice) -> i64 {
    let any = dice.between(631_152_000, 1_956_528_000);
    let before = dice.between(0, 2 * HOUR_S);
    match dice.below(4) {
        0 => {
            let next = rules.zone.changes().find(|change| *change > any);
            next.filter(|change| change - any < 800 * DAY_S)
                .unwrap_or(any)
                - before
        }
        1 => rules.zone.window(super::zone::YEAR, any).1 - before,
        2 => rules.zone.window(super::zone::MONTH, any).1 - before,
        _ => any,
    }
}

pub fn span_s(dice: &mut Dice) -> i64 {
    dice.pick(&[
        300,
        1_200,
        HOUR_S,
        6 * HOUR_S,
        DAY_S,
        3 * DAY_S,
        20 * DAY_S,
        90 * DAY_S,
        366 * DAY_S,
        731 * DAY_S,
    ])
}

pub fn build(dice: &mut Dice) -> Build {
    let shards = dice.pick(&[1, 2, 3, 4, 7, 16]);
    let batch = dice.pick(&[1, 2, 7, 64, 4_096]);
    Build {
        shards,
        batch,
        ragged: !dice.once_in(3),
        // Without the dice, which say the same for the same seed for ever.
        decoder: shards + batch,
    }
}

pub fn schedule(topic: &Topic, from_s: i64, span_s: i64, dice: &mut Dice) -> Schedule {
    let last_ms = topic
        .partitions
        .iter()
        .filter_map(|p| Some(p.records.last()?.at_ms))
        .max()
        .unwrap_or(from_s * 1_000);
    let begin_ms = match dice.below(3) {
        0 => from_s * 1_000 - dice.between(0, 60_000),
        1 => from_s * 1_000 + dice.between(0, span_s * 1_000),
        _ => last_ms + dice.between(0, 60_000),
    };
    let mut schedule = again(topic, begin_ms, dice);
    if dice.once_in(4) {
        schedule.starts = topic
            .partitions
            .iter()
            .map(|p| {
                let there = p.records.partition_point(|r| r.at_ms <= begin_ms);
                dice.pick(&[0, dice.clone().below(there + 1), there]) as i64
            })
            .collect();
    }
    for _ in 0..dice.pick(&[0, 0, 1, 3]) {
        let from_ms = begin_ms + dice.between(0, dice.clone().pick(&[60_000, span_s * 1_000]));
        let length_ms = dice.pick(&[3_000, 20_000, 45_000, 600_000]);
        schedule.outages.push((from_ms, from_ms + length_ms));
    }
    if !schedule.outages.is_empty() && dice.once_in(2) {
        let partition = dice.below(topic.partitions.len());
        let records = topic.partitions[partition].records.len();
        schedule.deleted = Some((partition, dice.below(records + 1) as i64));
    }
    schedule
}

/// A service that reads everything from the first offset.
pub fn again(topic: &Topic, begin_ms: i64, dice: &mut Dice) -> Schedule {
    let partitions = topic.partitions.len();
    let throttles = match dice.below(3) {
        0 => [1, 1, 100],
        1 => [1, 3, 10],
        _ => [1, 1, 1],
    };
    Schedule {
        begin_ms,
        starts: vec![0; partitions],
        every_ms: dice.pick(&[5_000, 5_000, 5_000, 1_000, 60_000]),
        idle_ms: dice.pick(&[30_000, 30_000, 1_000, 86_400_000]),
        fetch: dice.pick(&[1, 8, 50, 300]),
        round_ms: dice.pick(&[50, 400, 2_000]),
        throttle: (0..partitions).map(|_| dice.pick(&throttles)).collect(),
        outages: Vec::new(),
        deleted: None,
        tail_ms: dice.pick(&[0, 20_000, 45_000, 150_000]),
        ends: dice.once_in(2),
        dice: dice.bits(),
    }
}

/// How a state is kept, and by what it is put to the test.
pub fn plan(topic: &Topic, dice: &mut Dice) -> Plan {
    let in_file = dice.once_in(3);
    let number = dice.pick(&[0, 1, 2, 3, 4, 8]);
    // Some die one after the other before anything is saved.
    let soon = dice.once_in(5);
    let deaths = (0..number).map(|_| death(topic.records(), soon, dice));
    let deaths = deaths.collect();
    Plan {
        in_file,
        interval_ms: dice.pick(&[1, 1, 300, 1_000, 10_000, 60_000]),
        lag_ms: dice.pick(&[0, 100, 1_000, 20_000]),
        faults: dice.pick(&[0, 0, 30, 3]),
        deaths,
    }
}

fn death(records: usize, soon: bool, dice: &mut Dice) -> Death {
    let way = dice.pick(&[
        Way::Killed,
        Way::Killed,
        Way::Killed,
        Way::PowerCut,
        Way::PowerCut,
        Way::Stopped,
        Way::DiskFails,
        Way::StateLost,
    ]);
    let moment = match way {
        // Whoever is told to end, is so at any time.
        Way::Stopped => Moment::Step,
        Way::DiskFails => Moment::Writing,
        _ => dice.pick(&[
            Moment::Step,
            Moment::Step,
            Moment::Writing,
            Moment::Written,
            Moment::Sent,
            Moment::Acknowledged,
        ]),
    };
    let most = match moment {
        Moment::Step if soon => 20,
        Moment::Step => dice.pick(&[100, records / 4, records]),
        _ => dice.pick(&[0, 0, 2, 10]),
    };
    Death {
        way,
        moment,
        after: dice.below(1 + most),
    }
}
