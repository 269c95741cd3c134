//! What the trailing table costs: a sighting, and the pass over the full table that every tick makes.
//!
//! The table is filled with two years of traffic, so that every row that can be full is, and another with a day of it.
//! Then they are asked for all six windows, as at a tick: once where the last minute is as busy as can be (no window is
//! exact), once as time has gone on by half a minute, by half a day and by half a year.
#![allow(
    clippy::disallowed_methods,
    reason = "a measurement is about real time"
)]

use std::hint::black_box;
use std::thread;
use std::time::Instant;

use crossbeam_channel::bounded;
use headcount::engine::calendar::Calendar;
use headcount::engine::frame::{EventTime, Sighting, UserHash};
use headcount::engine::route::Router;
use headcount::engine::sketch::Precision;
use headcount::engine::sketch::estimate::{Tally, Users};
use headcount::engine::sketch::share::Share;
use headcount::engine::trailing::Trailing;
use headcount::engine::trailing::lanes::Lanes;
use headcount::limits::{BATCH_SIGHTINGS, PAGES, WORKER_QUEUE_MESSAGES};

const USERS: u64 = 9_000_000;
const SIGHTINGS: u64 = 18_000_000;
const START: EventTime = 1_767_225_600;
const DAY_S: u64 = 86_400;
const TWO_YEARS_S: u64 = 2 * 365 * DAY_S;
/// Sightings of the last minute: enough that no page's users are all known.
const RUSH: u64 = 200_000;
const TICKS: usize = 50;

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

/// Traffic in the order of time, but for a few seconds of disorder.
fn traffic(span_s: u64) -> Vec<Sighting> {
    let end = u64::from(START) + span_s;
    let steady = SIGHTINGS - RUSH;
    let mut sightings: Vec<_> = (0..steady)
        .map(|i| sighting(i, u64::from(START) + i * span_s / steady + spread(i) % 5))
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

/// The pass by each width of instructions, by turns, so that the machine's moods fall on all of them.
fn ask(name: &str, p: Precision, table: &Trailing, as_of: EventTime) {
    let starts = Calendar::utc().trailing(as_of);
    let widths = Lanes::available();
    let mut times = vec![Vec::new(); widths.len()];
    for _ in 0..TICKS {
        for (lanes, times) in widths.iter().zip(&mut times) {
            let one = Instant::now();
            black_box(table.tally_by(*lanes, black_box(&starts)));
            times.push(one.elapsed().as_secs_f64() * 1e3);
        }
    }
    let mut shown = String::new();
    for (lanes, times) in widths.iter().zip(&mut times) {
        times.sort_by(f64::total_cmp);
        let (median, best) = (times[times.len() / 2], times[0]);
        shown += &format!(" {} {median:.2} ms (best {best:.2}),", lanes.name());
    }
    let users = table.tally(&starts).map(|tally| tally.users(p));
    let exact = users.iter().filter(|u| u.is_exact()).count();
    let numbers: Vec<_> = users.iter().map(|u: &Users| u.users.to_string()).collect();
    println!(
        "tick, {name:<32}{shown} {exact} of 6 exact: {}",
        numbers.join(" ")
    );
}

/// The longest time that a worker is away from its batches during a tick, beside what one batch takes.
fn stall(p: Precision, sightings: &[Sighting], table: &mut Trailing, as_of: EventTime) {
    let starts = Calendar::utc().trailing(as_of);
    let (mut slices, mut batches) = (Vec::new(), Vec::new());
    let mut rest = sightings.chunks_exact(BATCH_SIGHTINGS).cycle();
    for _ in 0..TICKS {
        table.begin(&starts);
        while table.is_busy() {
            let one = Instant::now();
            black_box(table.step());
            slices.push(one.elapsed().as_secs_f64() * 1e6);
            let one = Instant::now();
            table.record_all(rest.next().expect("it goes round"));
            batches.push(one.elapsed().as_secs_f64() * 1e6);
        }
    }
    for (name, times) in [("slice", &mut slices), ("batch", &mut batches)] {
        times.sort_by(f64::total_cmp);
        let at = |share: f64| times[((times.len() - 1) as f64 * share) as usize];
        println!(
            "p = {}, a {name} of a tick takes {:.0} us (99 %: {:.0}, longest {:.0}), {} a tick",
            p.bits(),
            at(0.5),
            at(0.99),
            at(1.0),
            times.len() / TICKS
        );
    }
}

/// What a barrier asks for each calendar window that changed.
fn window(p: Precision, sightings: &[Sighting]) {
    let mut share = Share::new(p, 0..PAGES);
    for sighting in sightings {
        share.insert(sighting.hash);
    }
    let mut best = f64::INFINITY;
    for _ in 0..TICKS {
        let one = Instant::now();
        let mut tally = Tally::default();
        share.tally(&mut tally);
        black_box(tally);
        best = best.min(one.elapsed().as_secs_f64() * 1e6);
    }
    println!("a calendar window of all of these users: {best:.0} us at best");
}

/// A sighting from where it is admitted to a shard's thread, which throws it away or records it.
fn hand_over(p: Precision, sightings: &[Sighting], records: bool) {
    let (work, inbox) = bounded::<Vec<Sighting>>(WORKER_QUEUE_MESSAGES);
    let (to_recycle, recycled) = bounded(WORKER_QUEUE_MESSAGES);
    let shard = thread::spawn(move || {
        let mut shard = Trailing::new(p, 0..PAGES);
        for batch in inbox {
            if records {
                shard.record_all(&batch);
            } else {
                black_box(&batch);
            }
            let _ = to_recycle.try_send(batch);
        }
    });
    let mut router = Router::new(p, 1);
    let begin = Instant::now();
    for sighting in sightings {
        if let Some(shard) = router.push(*sighting) {
            let empty = recycled.try_recv().unwrap_or_default();
            work.send(router.take(shard, empty)).expect("it listens");
        }
    }
    drop(work);
    shard.join().expect("it does not panic");
    let ns = begin.elapsed().as_secs_f64() * 1e9 / sightings.len() as f64;
    let what = if records {
        "to shard and table"
    } else {
        "to shard"
    };
    println!("sighting {what}: {ns:.1} ns");
}

fn main() {
    let p = Precision::default();
    let end = |span_s| (u64::from(START) + span_s) as EventTime;
    let day = traffic(DAY_S);
    let mut table = fill("a day", p, &day);
    ask("a day, busy minute", p, &table, end(DAY_S));
    ask("a day, 30 s later", p, &table, end(DAY_S) + 30);
    stall(p, &day, &mut table, end(DAY_S));
    let mut sightings = traffic(TWO_YEARS_S);
    let mut table = fill("two years", p, &sightings);
    let end = end(TWO_YEARS_S);
    ask("two years, busy minute", p, &table, end);
    ask("two years, 30 s later", p, &table, end + 30);
    ask("two years, 12 h later", p, &table, end + 43_200);
    ask(
        "two years, half a year later",
        p,
        &table,
        end + 183 * 86_400,
    );
    stall(p, &sightings, &mut table, end);
    window(p, &sightings);
    for _ in 0..3 {
        hand_over(p, &sightings, false);
        hand_over(p, &sightings, true);
    }
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
