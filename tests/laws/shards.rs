//! Threads, batches, pace, order and repetition: none of them may show in sketches, table, answers or records.

use headcount::engine::barrier::{Answer, Snapshot};
use headcount::engine::calendar::WindowId;
use headcount::engine::catalog::Emission;
use headcount::engine::frame::Verdict;

use super::dice::Dice;
use super::script::{Step, Traffic};
use super::world::{Build, Pace, World, precision, rules, tick};

/// Everything that can be seen of a world after a script.
#[derive(PartialEq)]
struct Seen {
    windows: Vec<(WindowId, Vec<u8>)>,
    trailing: Vec<u8>,
    barriers: Vec<(Snapshot, Answer)>,
    records: Vec<String>,
}

fn build(p: u8, shards: usize, batch: usize, pace: Pace, emission: Emission) -> Build {
    Build {
        rules: rules("Europe/Zurich", emission),
        precision: precision(p),
        shards,
        batch,
        pace,
    }
}

fn see(build: &Build, script: &[Step]) -> Seen {
    let mut world = World::new(build);
    for step in script {
        world.play(step);
    }
    world.drain();
    let joined = world.take_joined();
    let ids = world.window_ids().into_iter();
    Seen {
        windows: ids.map(|id| (id, world.window_bytes(id))).collect(),
        trailing: world.trailing_bytes(),
        records: world.records(&joined),
        barriers: joined.into_iter().map(|j| (j.snapshot, j.answer)).collect(),
    }
}

fn assert_same(seen: &Seen, first: &Seen, what: &str) {
    assert_eq!(seen.records.len(), first.records.len(), "{what}");
    for (a, b) in seen.records.iter().zip(&first.records) {
        assert_eq!(a, b, "{what}");
    }
    for (a, b) in seen.windows.iter().zip(&first.windows) {
        assert!(a == b, "{what}: {:?} or {:?}", a.0, b.0);
    }
    assert!(seen.trailing == first.trailing, "{what}: trailing table");
    assert!(seen == first, "{what}");
}

fn traffic(dice: &mut Dice) -> Traffic {
    Traffic {
        frames: 6_000,
        users: dice.pick(&[40, 1_500, 5_000]),
        partitions: 3,
        from: 1_774_600_000,
        step_s: dice.pick(&[1, 40, 300]),
        leap_once_in: 1_500,
        late_once_in: 10,
        barrier_once_in: 250,
        joins: false,
        idles: dice.once_in(2),
    }
}

#[test]
fn threads_batches_and_pace_change_no_byte() {
    for (p, seed) in [(12, 1), (12, 2), (13, 3), (14, 4), (17, 5)] {
        let mut dice = Dice::new(seed);
        let script = traffic(&mut dice).script(&mut dice);
        for emission in [Emission::Live, Emission::Once] {
            let first = see(&build(p, 1, 4_096, Pace::Prompt, emission), &script);
            assert!(first.records.len() > 50 && !first.barriers.is_empty());
            let shards: &[usize] = if p == 17 {
                &[3, 16]
            } else {
                &[1, 2, 3, 8, 16, 64]
            };
            for &shards in shards {
                for batch in [1, 7, 4_096] {
                    let pace = dice.pick(&[Pace::Prompt, Pace::Ragged, Pace::Lagging]);
                    let seen = see(&build(p, shards, batch, pace, emission), &script);
                    assert_same(
                        &seen,
                        &first,
                        &format!("{shards} shards, {batch}, {pace:?}"),
                    );
                }
            }
        }
    }
}

/// Frames of one partition within a few hours, so that none expires in whatever order they come.
fn unexpiring(dice: &mut Dice) -> Vec<Step> {
    let traffic = Traffic {
        partitions: 1,
        frames: 4_000,
        users: 2_000,
        step_s: 2,
        leap_once_in: usize::MAX,
        late_once_in: usize::MAX,
        ..traffic(dice)
    };
    let script = traffic.script(dice).into_iter();
    script
        .filter(|step| matches!(step, Step::Frame { .. }))
        .collect()
}

fn of_frames(frames: &[Step], p: u8, shards: usize) -> Seen {
    let mut script = vec![Step::Add {
        start: 0,
        unread: true,
    }];
    script.extend_from_slice(frames);
    // The last batches leave with a barrier only.
    script.push(Step::Barrier(tick()));
    see(&build(p, shards, 7, Pace::Ragged, Emission::Live), &script)
}

#[test]
fn shuffling_and_repeating_frames_changes_no_sketch_and_no_table() {
    for (seed, p) in [(1, 12), (2, 14), (3, 17)] {
        let mut dice = Dice::new(seed);
        let mut frames = unexpiring(&mut dice);
        let first = of_frames(&frames, p, 1);
        assert!(first.windows.len() > 20);
        for shards in [1, 3, 8] {
            let again = frames.clone();
            frames.extend(again.iter().filter(|_| dice.once_in(4)));
            dice.shuffle(&mut frames);
            let seen = of_frames(&frames, p, shards);
            assert!(seen.windows == first.windows, "{shards} shards");
            assert!(seen.trailing == first.trailing, "{shards} shards");
        }
    }
}

#[test]
fn adding_every_frame_twice_changes_counts_of_frames_but_no_count_of_users() {
    let mut dice = Dice::new(9);
    let frames = unexpiring(&mut dice);
    let twice: Vec<_> = frames.iter().flat_map(|frame| [*frame, *frame]).collect();
    let good = |frame: &&Step| {
        matches!(
            frame,
            Step::Frame {
                verdict: Verdict::Seen(..),
                ..
            }
        )
    };
    assert!(frames.iter().filter(good).count() > 3_000);
    let (once, twice) = (of_frames(&frames, 12, 2), of_frames(&twice, 12, 2));
    assert!(once.windows == twice.windows);
    assert!(once.trailing == twice.trailing);
}
