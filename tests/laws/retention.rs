//! However long each run keeps its windows: one that was forgotten does not begin anew.

use std::collections::BTreeSet;

use headcount::engine::calendar::{Bounds, Period, WindowId};
use headcount::engine::catalog::Emission;
use headcount::engine::checkpoint::audit::audit;
use headcount::engine::look::Select;
use headcount::io::store::Store;

use super::dice::Dice;
use super::saving::{Run, build, script};
use super::world::{DAY_S, HOUR_S, Pace, precision};

const PRECISION: u8 = 12;
const RETENTIONS_S: [i64; 5] = [0, 600, 2 * HOUR_S, 3 * DAY_S, 100 * 366 * DAY_S];

fn windows(run: &mut Run) -> BTreeSet<WindowId> {
    let loaded = run.store.load().unwrap().expect("it was saved");
    loaded.windows.iter().map(|(id, ..)| *id).collect()
}

#[test]
fn a_window_that_was_forgotten_does_not_begin_anew_however_long_windows_are_kept_later() {
    let (mut forgotten, mut raised) = (0, 0);
    for seed in 0..60 {
        let mut dice = Dice::new(seed);
        let emission = dice.pick(&[Emission::Live, Emission::EachRun { unchanged: true }]);
        let mut build = build(PRECISION, 2, Pace::Ragged, emission);
        let mut retention_s = Period::ALL.map(|_| dice.pick(&RETENTIONS_S));
        build.rules.retention_s = retention_s;
        let calendar = build.rules.calendar.clone();
        let steps = script(&mut dice);
        let mut run = Run::new(build);
        let (mut there, mut gone) = (BTreeSet::new(), BTreeSet::new());
        for steps in steps.chunks(steps.len() / 8 + 1) {
            for step in steps {
                run.play(step);
                if dice.once_in(150) {
                    run.save();
                    let now = windows(&mut run);
                    gone.extend(there.difference(&now).copied());
                    there = now;
                    let again = there.intersection(&gone).next();
                    assert_eq!(again, None, "seed {seed}: it was forgotten");
                }
            }
            let (_, digest) = run.save();
            let loaded = run.store.load().unwrap().expect("it was saved");
            let audited =
                audit(&loaded, precision(PRECISION), &calendar, Period::all_bits()).unwrap();
            assert_eq!(audited.digest, digest, "seed {seed}");
            let before = retention_s;
            retention_s = Period::ALL.map(|_| dice.pick(&RETENTIONS_S));
            raised += before
                .iter()
                .zip(&retention_s)
                .filter(|(b, r)| b < r)
                .count();
            run.take_up_keeping(retention_s);
            check_missing(&mut run, &gone, seed);
        }
        forgotten += gone.len();
    }
    assert!(forgotten > 1_000 && raised > 500, "{forgotten}, {raised}");
}

/// What was forgotten is missing, or in a longer window: nobody says that there was nothing.
fn check_missing(run: &mut Run, gone: &BTreeSet<WindowId>, seed: u64) {
    let minutes = gone.iter().rev().filter(|id| id.period == Period::Minute);
    for id in minutes.take(20) {
        let (start, end) = (id.start, id.start + 60);
        let known = run
            .world
            .admission
            .look(&Select::Cover(Bounds { start, end }));
        let is_missing = known
            .missing
            .iter()
            .any(|m| m.start <= start && end <= m.end);
        let mut windows = known.windows.iter();
        let is_held = windows.any(|w| w.id.start <= start && end <= w.end);
        assert!(is_missing || is_held, "seed {seed}: {id:?} {known:?}");
    }
}
