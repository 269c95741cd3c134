//! What is merged of the states of runs over some partitions each is the state of one run over all of them.

use headcount::engine::admit::PartitionIndex;
use headcount::engine::calendar::Period;
use headcount::engine::catalog::{Ask, Emission};
use headcount::engine::checkpoint::audit::audit;
use headcount::engine::checkpoint::book::{Book, StateDigest};
use headcount::engine::checkpoint::union::{Part, unite, unite_sketches};
use headcount::engine::frame::EventTime;
use headcount::io::store::Store;
use headcount::io::store::memory::MemoryStore;
use xxhash_rust::xxh3::xxh3_128;

use super::dice::Dice;
use super::saving::{Run, build};
use super::script::{Step, Traffic};
use super::world::{Pace, calendar, precision};

/// The steps of some partitions, by their own numbers.
fn of_partitions(steps: &[Step], mine: &[PartitionIndex]) -> Vec<Step> {
    let mut added = 0..;
    let number = |partition| mine.iter().position(|of| *of == partition);
    let of_mine = |step: &Step| {
        Some(match *step {
            Step::Add { .. } => {
                number(added.next()?)?;
                *step
            }
            Step::Frame { partition, verdict } => Step::Frame {
                partition: number(partition)?,
                verdict,
            },
            Step::ReachEnd(partition) => Step::ReachEnd(number(partition)?),
            Step::Rest(partition) => Step::Rest(number(partition)?),
            Step::Finish(partition) => Step::Finish(number(partition)?),
            Step::Pass(partition) => Step::Pass(number(partition)?),
            Step::Walk(_) | Step::Barrier(_) => *step,
        })
    };
    steps.iter().filter_map(of_mine).collect()
}

/// Traffic of five partitions. Without the end: what is settled at one is not saved.
fn script(dice: &mut Dice) -> Vec<Step> {
    let traffic = Traffic {
        frames: 2_500,
        users: dice.pick(&[30, 900, 4_000]),
        partitions: 5,
        from: 1_774_600_000,
        step_s: dice.pick(&[1, 40, 300]),
        leap_once_in: 500,
        late_once_in: 10,
        barrier_once_in: 200,
        joins: dice.once_in(2),
        idles: dice.once_in(2),
    };
    let mut steps = traffic.script(dice);
    steps.retain(|step| !matches!(step, Step::Finish(_) | Step::Barrier(Ask { end: true, .. })));
    steps
}

/// The digest of the union of states, and how many windows it has.
fn merge(stores: &[MemoryStore], p: u8, greatest_clock: Option<EventTime>) -> (StateDigest, usize) {
    let zone = calendar("Europe/Zurich");
    let load = |store: &MemoryStore| store.clone().load().unwrap().unwrap();
    let loaded: Vec<_> = stores.iter().map(load).collect();
    let parts = loaded.iter().map(|loaded| Part {
        names: loaded.names.clone(),
        admission: audit(loaded, precision(p), &zone, Period::all_bits())
            .unwrap()
            .admission,
        loaded,
    });
    let union = unite(parts.collect(), precision(p), &zone).unwrap();
    assert_eq!(union.greatest_clock, greatest_clock);
    let mut book = Book::new(precision(p), union.retention_s);
    union
        .stretches
        .iter()
        .for_each(|stretch| book.restore_stretch(stretch));
    for (id, window) in &union.windows {
        let of = |store: &MemoryStore| store.shelf().unwrap().fetch(*id).ok();
        let sketches = stores.iter().filter_map(of).collect();
        let sketch = unite_sketches(precision(p), sketches).unwrap().unwrap();
        book.restore_window(*id, window, Some(xxh3_128(&sketch)));
    }
    let digest = book.digest(&union.partitions, &union.ledger, union.greatest_clock);
    (digest, union.windows.len())
}

#[test]
fn merged_states_are_one_run_over_all_partitions() {
    let mut windows = 0;
    for seed in 0..40 {
        let mut dice = Dice::new(9_000 + seed);
        let steps = script(&mut dice);
        let p = dice.pick(&[12, 13, 17]);
        let emission = dice.pick(&[Emission::Live, Emission::Once]);
        let mut whole = Run::new(build(p, 2, Pace::Ragged, emission));
        steps.iter().for_each(|step| whole.play(step));
        let (saved, digest) = whole.save();
        let mut sites: Vec<Vec<PartitionIndex>> = vec![Vec::new(); dice.pick(&[2, 3])];
        for partition in 0..saved.partitions.len() {
            let site = dice.below(sites.len());
            sites[site].push(partition);
        }
        let count = |mine: &Vec<PartitionIndex>| {
            let mut run = Run::new(build(p, 1, Pace::Prompt, emission));
            run.names = mine.iter().map(ToString::to_string).collect();
            let steps = of_partitions(&steps, mine);
            steps.iter().for_each(|step| run.play(step));
            run.save();
            run.store
        };
        let stores: Vec<_> = sites.iter().map(count).collect();
        let (merged, merged_windows) = merge(&stores, p, saved.greatest_clock);
        assert_eq!(merged, digest, "seed {seed}");
        windows += merged_windows;
    }
    assert!(windows > 1_000, "{windows} windows were merged");
}

#[test]
fn what_one_state_has_forgotten_is_in_no_union_whichever_comes_first() {
    let mut forgotten = 0;
    for seed in 0..40 {
        let mut dice = Dice::new(17_000 + seed);
        let steps = script(&mut dice);
        let sites = [vec![0, 2], vec![1, 3, 4]];
        let (mut longest, mut clock) = (0, None);
        let stores = [0, 1].map(|site: usize| {
            let mut build = build(12, 1, Pace::Prompt, Emission::Live);
            let longer_s = build.rules.retention_s;
            if site == 0 {
                // For a while it keeps its windows for less time.
                build.rules.retention_s = [60; Period::ALL.len()];
            }
            let mut run = Run::new(build);
            run.names = sites[site].iter().map(ToString::to_string).collect();
            let steps = of_partitions(&steps, &sites[site]);
            let (first, then) = steps.split_at(steps.len() * 3 / 4);
            first.iter().for_each(|step| run.play(step));
            run.save();
            run.take_up_keeping(longer_s);
            then.iter().for_each(|step| run.play(step));
            clock = clock.max(run.save().0.greatest_clock);
            longest = longest.max(run.store.clone().load().unwrap().unwrap().windows.len());
            run.store
        });
        let turned = [stores[1].clone(), stores[0].clone()];
        let (one, other) = (merge(&stores, 12, clock), merge(&turned, 12, clock));
        assert_eq!(one, other, "seed {seed}");
        forgotten += longest.saturating_sub(one.1);
    }
    assert!(forgotten > 1_000, "{forgotten} windows were forgotten");
}
