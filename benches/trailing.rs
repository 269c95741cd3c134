//! What the trailing table costs: a sighting, and the pass over the full table that every tick makes.
//!
//! The table is filled with two years of traffic, so that every row that can be full is. Then it is asked for all six
//! windows, as at a tick: once where the last minute is as busy as can be (no window is exact), once as time has
//! gone on by half a minute, by half a day and by half a year.
#![allow(
    clippy::disallowed_methods,
    reason = "a measurement is about real time"
)]

use std::hint::black_box;
use std::time::Instant;

use headcount::engine::calendar::Calendar;
use headcount::engine::frame::{EventTime, Sighting, UserHash};
use headcount::engine::sketch::Precision;
use headcount::engine::sketch::estimate::Users;
use headcount::engine::trailing::Trailing;
use headcount::limits::PAGES;

const USERS: u64 = 9_000_000;
const SIGHTINGS: u64 = 18_000_000;
const START: EventTime = 1_767_225_600;
const SPAN_S: u64 = 2 * 365 * 86_400;
/// Sightings of the last minute: enough that no page's users are all known.
const RUSH: u64 = 200_000;
const TICKS: u32 = 50;

/// Sebastiano Vigna's splitmix64: spreads a number over 64 bits.
fn spread(seed: u64) -> u64 {
    let z = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

fn sighting(seed: u64, ts: u64) -> Sighting {
    Sighting {
        hash: UserHash(spread(spread(seed) % USERS + 1)),
        ts: ts as EventTime,
        periods: 0,
    }
}

/// Two years of traffic in the order of time, but for a few seconds of disorder.
fn two_years() -> Vec<Sighting> {
    let end = u64::from(START) + SPAN_S;
    let steady = SIGHTINGS - RUSH;
    let mut sightings: Vec<_> = (0..steady)
        .map(|i| sighting(i, u64::from(START) + i * SPAN_S / steady + spread(i) % 5))
        .collect();
    sightings.extend((steady..SIGHTINGS).map(|i| sighting(i, end - 59 + spread(i) % 60)));
    sightings
}

fn fill(name: &str, p: Precision, sightings: &[Sighting]) -> Trailing {
    let mut table = Trailing::new(p, 0..PAGES);
    let begin = Instant::now();
    table.record_all(sightings);
    let rate = sightings.len() as f64 / begin.elapsed().as_secs_f64();
    println!("record, {name:<24} {:>8.2} M sightings/s", rate / 1e6);
    table
}

fn ask(name: &str, p: Precision, table: &Trailing, as_of: EventTime) {
    let starts = Calendar::utc().trailing(as_of);
    let mut best = f64::INFINITY;
    let begin = Instant::now();
    for _ in 0..TICKS {
        let one = Instant::now();
        black_box(table.tally(black_box(&starts)));
        best = best.min(one.elapsed().as_secs_f64());
    }
    let mean = begin.elapsed().as_secs_f64() / f64::from(TICKS);
    let users = table.tally(&starts).map(|tally| tally.users(p));
    let exact = users.iter().filter(|u| u.is_exact()).count();
    let numbers: Vec<_> = users.iter().map(|u: &Users| u.users.to_string()).collect();
    println!(
        "tick, {name:<26} {:>8.2} ms (best {:.2} ms), {exact} of 6 exact: {}",
        mean * 1e3,
        best * 1e3,
        numbers.join(" ")
    );
}

fn main() {
    let p = Precision::default();
    let mut sightings = two_years();
    let table = fill("in the order of time", p, &sightings);
    let end = (u64::from(START) + SPAN_S) as EventTime;
    ask("busy minute", p, &table, end);
    ask("30 s later", p, &table, end + 30);
    ask("12 h later", p, &table, end + 43_200);
    ask("half a year later", p, &table, end + 183 * 86_400);
    // A deterministic shuffle: history that is fed in no order at all.
    for i in (1..sightings.len()).rev() {
        let j = spread(i as u64) % (i as u64 + 1);
        sightings.swap(i, j as usize);
    }
    let shuffled = fill("in no order", p, &sightings);
    let (mut a, mut b) = (Vec::new(), Vec::new());
    table.write_canonical(&mut a);
    shuffled.write_canonical(&mut b);
    assert!(a == b, "order leaves no trace");
}
