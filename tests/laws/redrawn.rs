//! A state outlives other data of its time zone: windows stay side by side, each with the frames of its own seconds.

use std::collections::BTreeMap;

use headcount::engine::calendar::{Bounds, Calendar, Period, WindowId};
use headcount::engine::catalog::Emission;
use headcount::engine::checkpoint::union::unite_sketches;
use headcount::io::store::Store;
use jiff::tz::TimeZone;

use super::dice::Dice;
use super::saving::{Run, build, script};
use super::world::{DAY_S, HOUR_S, Pace, precision};

const PRECISION: u8 = 14;
/// By hours, by a day, with summer time and without; all by whole minutes, so that these stay as they are.
const ZONES: [&str; 7] = [
    "UTC0",
    "CET-1CEST,M3.5.0,M10.5.0/3",
    "CET-2",
    "<+06>-6",
    "<+0530>-5:30",
    "<-11>11",
    "<+13>-13",
];

fn calendar(zone: &str) -> Calendar {
    Calendar::new(TimeZone::posix(zone).unwrap(), zone)
}

/// The windows of a state: they lie side by side, and hold what the minutes within them hold.
fn check(run: &mut Run, seed: u64) -> BTreeMap<WindowId, (i64, u64)> {
    let loaded = run.store.load().unwrap().unwrap();
    let windows = loaded.windows.iter();
    let windows: BTreeMap<_, _> = windows.map(|(id, w, _)| (*id, (w.end, w.frames))).collect();
    let sketches = run.sketches();
    for period in Period::ALL {
        let of_period = || windows.iter().filter(move |(id, _)| id.period == period);
        let mut last_end = i64::MIN;
        for (id, (end, frames)) in of_period() {
            assert!(last_end <= id.start, "seed {seed}: {id:?} overlaps");
            last_end = *end;
            let [first, behind] = [id.start, *end].map(|start| WindowId {
                period: Period::Minute,
                start,
            });
            let minutes = windows.range(first..behind);
            let of_minutes: u64 = minutes.map(|(_, (_, frames))| frames).sum();
            assert_eq!(*frames, of_minutes, "seed {seed}: {id:?} to {end}");
            let minutes = sketches.range(first..behind);
            let minutes = minutes.map(|(_, bytes)| bytes.clone()).collect();
            let users = unite_sketches(precision(PRECISION), minutes).unwrap();
            assert!(
                sketches.get(id) == users.as_ref(),
                "seed {seed}: users of {id:?} to {end}"
            );
        }
        let counted: u64 = of_period().map(|(_, (_, frames))| frames).sum();
        let ledger = run.world.admission.ledger();
        assert_eq!(counted, ledger.counted, "seed {seed}: {period:?}");
    }
    windows
}

#[test]
fn a_state_outlives_other_data_of_the_zone() {
    let (mut kept, mut moved) = (0, 0);
    for seed in 0..40 {
        let mut dice = Dice::new(seed);
        let emission = dice.pick(&[Emission::Live, Emission::EachRun { unchanged: true }]);
        let mut build = build(PRECISION, 2, Pace::Ragged, emission);
        build.rules.calendar = calendar(dice.pick(&ZONES));
        build.rules.retention_s = [100 * 366 * DAY_S; Period::ALL.len()];
        let steps = script(&mut dice);
        let mut run = Run::new(build);
        for steps in steps.chunks(steps.len() / 5 + 1) {
            for step in steps {
                run.play(step);
            }
            let (_, digest) = run.save();
            let before = check(&mut run, seed);
            let redrawn = run.take_up_with(&calendar(dice.pick(&ZONES)));
            kept += redrawn.kept;
            moved += redrawn.moved;
            let (_, same_digest) = run.save();
            assert_eq!(digest, same_digest, "seed {seed}: a digest knows no ends");
            for (id, (end, frames)) in check(&mut run, seed) {
                assert_eq!(before[&id].1, frames, "seed {seed}");
                let is_moved = before[&id].0 != end;
                assert!(!is_moved || redrawn.moved > 0, "seed {seed}: {id:?}");
            }
        }
        check(&mut run, seed);
    }
    assert!(
        kept > 100 && moved > 20,
        "hardly ever: {kept} kept, {moved} moved"
    );
}

#[test]
fn windows_stay_side_by_side_however_often_they_are_drawn_again() {
    let mut dice = Dice::new(9);
    for seed in 0..400 {
        let mut calendar = calendar(dice.pick(&ZONES));
        let mut opened: BTreeMap<WindowId, i64> = BTreeMap::new();
        // An hour before summer time, so that some windows are cut there.
        let mut now = 1_774_742_400 - 2 * HOUR_S;
        for _ in 0..6 {
            let newest = now;
            for _ in 0..20 {
                now += dice.below(20) as i64 * HOUR_S / 2;
                open(&calendar, now, &mut opened);
            }
            let redrawn = self::calendar(dice.pick(&ZONES))
                .redrawn(opened.iter().map(|(id, end)| (*id, *end)), Some(now as u32))
                .unwrap_or_else(|why| panic!("seed {seed}: {why}"));
            calendar = redrawn.calendar;
            for (id, end) in &mut opened {
                let bounds = calendar.window(id.period, id.start as u32);
                assert_eq!(bounds.start, id.start, "seed {seed}: {id:?}");
                let is_same = bounds.end == *end;
                assert!(is_same || now < bounds.end.min(*end), "seed {seed}: {id:?}");
                *end = bounds.end;
            }
            for period in Period::ALL {
                side_by_side(&calendar, period, newest - 40 * DAY_S, now + 40 * DAY_S);
            }
        }
    }
}

fn open(calendar: &Calendar, now: i64, opened: &mut BTreeMap<WindowId, i64>) {
    for period in Period::ALL {
        let Bounds { start, end } = calendar.window(period, now as u32);
        opened.insert(WindowId { period, start }, end);
    }
}

/// Looked at from its first second, its last, and one between, a window is the same, and the next one begins at its end.
fn side_by_side(calendar: &Calendar, period: Period, from: i64, to: i64) {
    let mut at = calendar.window(period, from as u32);
    while at.start < to {
        assert!(at.start < at.end && at.end - at.start <= period.longest_s());
        for second in [at.start, at.start + (at.end - at.start) / 2, at.end - 1] {
            assert_eq!(calendar.window(period, second as u32), at, "{period:?}");
        }
        let next = calendar.window(period, at.end as u32);
        assert_eq!(next.start, at.end, "{period:?}");
        // All minutes and hours of half a year are more than need be looked at.
        at = match period {
            Period::Minute | Period::Hour => calendar.window(period, (at.end + 17 * HOUR_S) as u32),
            _ => next,
        };
    }
}
