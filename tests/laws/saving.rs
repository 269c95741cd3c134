//! What is saved and taken up again goes on as if nothing had happened: the same sketches, table, clocks, ledger and
//! numbers, bit for bit, for any number of threads before and after.

use std::collections::BTreeMap;

use headcount::engine::calendar::{Calendar, Period, Redrawn, WindowId};
use headcount::engine::catalog::{Ask, Emission};
use headcount::engine::checkpoint::book::{Book, StateDigest};
use headcount::engine::checkpoint::{Commit, SavedAdmission};
use headcount::engine::clock::ClockRules;
use headcount::engine::sketch::canonical;
use headcount::io::store::Store;
use headcount::io::store::memory::MemoryStore;

use super::dice::Dice;
use super::script::{Step, Traffic};
use super::world::{Build, Pace, World, precision, rules};

/// A world, what was saved of it, and the newest numbers of each window that it put out.
pub struct Run {
    build: Build,
    pub world: World,
    book: Book,
    pub store: MemoryStore,
    /// The partitions' names; where they are not given, their indices.
    pub names: Vec<String>,
    told: BTreeMap<WindowId, (u64, u64)>,
    finished: Vec<bool>,
}

impl Run {
    pub fn new(build: Build) -> Self {
        let mut run = Self {
            world: World::new(&build),
            book: Book::new(build.precision, build.rules.retention_s),
            store: MemoryStore::default(),
            names: Vec::new(),
            told: BTreeMap::new(),
            finished: Vec::new(),
            build,
        };
        run.world.keep_on(&run.store);
        run
    }

    pub fn play(&mut self, step: &Step) {
        match *step {
            Step::Add { .. } => self.finished.push(false),
            Step::Finish(partition) => self.finished[partition] = true,
            _ => {}
        }
        self.world.play(step);
        self.take_in();
    }

    /// Notes what was put out, and what was saved.
    fn take_in(&mut self) -> Option<(SavedAdmission, StateDigest)> {
        let mut last = None;
        for joined in self.world.take_joined() {
            assert_eq!(joined.answer.trouble, None);
            for (facts, tally) in joined.snapshot.windows.iter().zip(&joined.answer.windows) {
                let users = tally.users(self.build.precision);
                self.told.insert(facts.id, (facts.frames, users.users));
            }
            if let (Some(admission), Some(sketches)) = (joined.saved, joined.answer.saved) {
                for i in self.names.len()..self.world.partitions() {
                    self.names.push(i.to_string());
                }
                let mut shelf = self.store.shelf().unwrap();
                let entered =
                    self.book
                        .enter((*admission).clone(), sketches, &self.names, &mut *shelf);
                let (changes, digest) = entered.unwrap();
                let commit = Commit {
                    epoch: 1,
                    changes,
                    digest,
                    records: Vec::new(),
                    acknowledged: Vec::new(),
                };
                self.store.commit(&commit).unwrap();
                last = Some((*admission, digest));
            }
        }
        last
    }

    pub fn save(&mut self) -> (SavedAdmission, StateDigest) {
        self.world.barrier(Ask {
            save: true,
            ..Ask::default()
        });
        self.world.drain();
        self.take_in().expect("it was asked to save")
    }

    /// Another process takes up what was saved.
    fn take_up(&mut self, unread: &[bool], shards: usize, pace: Pace) {
        let build = Build {
            shards,
            pace,
            ..self.build.clone()
        };
        let loaded = self.store.load().unwrap().expect("something was saved");
        self.world = World::restore(&build, &loaded);
        self.world.keep_on(&self.store);
        self.book = Book::new(build.precision, build.rules.retention_s);
        for (id, window, sketch) in &loaded.windows {
            self.book.restore_window(*id, window, *sketch);
        }
        loaded
            .stretches
            .iter()
            .for_each(|s| self.book.restore_stretch(s));
        self.build = build;
        for (partition, unread) in unread.iter().enumerate() {
            self.world.admission.resume(partition, *unread);
            if self.finished[partition] {
                self.world.admission.finish(partition);
            }
        }
    }

    /// Another process takes it up with other data of the zone.
    pub fn take_up_with(&mut self, of_zone: &Calendar) -> Redrawn {
        let loaded = self.store.load().unwrap().expect("something was saved");
        let redrawn = loaded.redrawn(of_zone).expect("the state is sound");
        self.build.rules.calendar = redrawn.calendar.clone();
        let indices = 0..self.finished.len();
        let unread: Vec<_> = indices.map(|i| self.world.admission.is_unread(i)).collect();
        self.take_up(&unread, self.build.shards, Pace::Ragged);
        redrawn
    }

    /// Another process takes it up that keeps its windows for another time.
    pub fn take_up_keeping(&mut self, retention_s: [i64; Period::ALL.len()]) {
        self.build.rules.retention_s = retention_s;
        let indices = 0..self.finished.len();
        let unread: Vec<_> = indices.map(|i| self.world.admission.is_unread(i)).collect();
        self.take_up(&unread, self.build.shards, Pace::Ragged);
    }

    pub fn sketches(&mut self) -> BTreeMap<WindowId, Vec<u8>> {
        self.world.drain();
        let ids = self.world.window_ids();
        let world = &mut self.world;
        ids.into_iter()
            .map(|id| (id, world.window_bytes(id)))
            .collect()
    }
}

pub const CORROBORATED: ClockRules = ClockRules {
    lateness_s: 5,
    max_lateness_s: 40 * 86_400,
    max_jump_s: 60,
};

pub fn build(p: u8, shards: usize, pace: Pace, emission: Emission) -> Build {
    let mut rules = rules("Europe/Zurich", emission);
    rules.clock = CORROBORATED;
    Build {
        rules,
        precision: precision(p),
        shards,
        batch: 64,
        pace,
    }
}

fn traffic(dice: &mut Dice) -> Traffic {
    Traffic {
        frames: 3_000,
        users: dice.pick(&[40, 1_500, 5_000]),
        partitions: 3,
        from: 1_774_600_000,
        step_s: dice.pick(&[1, 40, 300]),
        leap_once_in: 700,
        late_once_in: 10,
        barrier_once_in: 250,
        joins: dice.once_in(2),
        idles: dice.once_in(2),
    }
}

/// Without the end: what is settled at one is not part of what goes on.
pub fn script(dice: &mut Dice) -> Vec<Step> {
    let mut steps = traffic(dice).script(dice);
    steps.retain(|step| !matches!(step, Step::Finish(_) | Step::Barrier(Ask { end: true, .. })));
    steps
}

/// Plays steps, saves, plays on, and is killed: another process takes it up as it was saved.
fn be_killed(run: &mut Run, steps: &[Step], lost: &[Step], dice: &mut Dice) {
    for step in steps {
        run.play(step);
        if dice.once_in(100) {
            run.save();
        }
    }
    let (saved, digest) = run.save();
    let kept = (run.store.snapshot(), run.finished.clone(), run.told.clone());
    let indices = 0..run.finished.len();
    let unread: Vec<_> = indices.map(|i| run.world.admission.is_unread(i)).collect();
    for step in lost {
        run.play(step);
    }
    (run.store, run.finished, run.told) = kept;
    run.take_up(&unread, dice.pick(&[1, 2, 3, 7, 16]), Pace::Ragged);
    let (again, same_digest) = run.save();
    assert_eq!(digest, same_digest, "what is read is what was written");
    assert_eq!(again.partitions, saved.partitions);
    assert_eq!(again.ledger, saved.ledger);
}

/// What the design calls the same.
fn assert_the_same(straight: &mut Run, broken: &mut Run, seed: u64) {
    let (one, other) = (straight.save(), broken.save());
    assert_eq!(one.0.partitions.len(), other.0.partitions.len());
    for (a, b) in one.0.partitions.iter().zip(&other.0.partitions) {
        let (a, b) = ((&a.clock, a.next_offset), (&b.clock, b.next_offset));
        assert_eq!(a, b, "seed {seed}");
    }
    assert_eq!(one.0.ledger, other.0.ledger, "seed {seed}");
    assert_eq!(one.1, other.1, "seed {seed}: the digest");
    assert!(straight.world.trailing_bytes() == broken.world.trailing_bytes());
    let (ours, theirs) = (straight.sketches(), broken.sketches());
    for (id, sketch) in &ours {
        // Which windows are forgotten depends on when; what both have is the same.
        let is_same = theirs.get(id).is_none_or(|other| other == sketch);
        assert!(is_same, "seed {seed}: {id:?}");
    }
    let told = straight.told.iter().filter(|(id, _)| ours.contains_key(id));
    for (id, told) in told.filter(|_| {
        matches!(
            straight.build.rules.emission,
            Emission::Live | Emission::Finals
        )
    }) {
        assert_eq!(broken.told.get(id), Some(told), "seed {seed}: {id:?}");
    }
}

#[test]
fn what_was_saved_goes_on_as_if_nothing_had_happened() {
    let mut saved = 0;
    for seed in 0..40 {
        let mut dice = Dice::new(seed);
        let script = script(&mut dice);
        let p = dice.pick(&[12, 12, 13, 17]);
        let emission = dice.pick(&[
            Emission::Live,
            Emission::Finals,
            Emission::Once,
            Emission::EachRun { unchanged: false },
        ]);
        let mut straight = Run::new(build(p, 1, Pace::Prompt, emission));
        let mut broken = Run::new(build(p, 2, Pace::Ragged, emission));
        let mut rest = &script[..];
        while !rest.is_empty() {
            let (steps, after) =
                rest.split_at(dice.between(1, 400).min(rest.len() as i64) as usize);
            steps.iter().for_each(|step| straight.play(step));
            let lost = &after[..dice.below(301).min(after.len())];
            be_killed(&mut broken, steps, lost, &mut dice);
            rest = after;
        }
        assert_the_same(&mut straight, &mut broken, seed);
        saved += broken.store.load().unwrap().unwrap().windows.len();
    }
    assert!(saved > 1_000, "{saved} windows were saved");
}

#[test]
fn the_digest_is_that_of_the_frames_for_any_threads_and_saves() {
    let mut dice = Dice::new(77);
    let script = script(&mut dice);
    let digest = |shards, pace, saves: usize, dice: &mut Dice| {
        let mut run = Run::new(build(14, shards, pace, Emission::Live));
        for step in &script {
            run.play(step);
            if dice.once_in(saves) {
                run.save();
            }
        }
        run.save().1
    };
    let first = digest(1, Pace::Prompt, 1_000_000, &mut dice);
    for shards in [2, 3, 5, 16] {
        assert_eq!(digest(shards, Pace::Ragged, 50, &mut dice), first);
        assert_eq!(digest(shards, Pace::Lagging, 1_000_000, &mut dice), first);
    }
}

#[test]
fn damaged_sketches_are_refused_or_are_sketches() {
    let mut dice = Dice::new(5);
    let mut refused = 0;
    for p in [12, 14] {
        let mut run = Run::new(build(p, 1, Pace::Prompt, Emission::Live));
        for step in &script(&mut dice) {
            run.play(step);
        }
        for bytes in run.sketches().into_values().take(40) {
            for _ in 0..50 {
                let mut bytes = bytes.clone();
                let at = dice.below(bytes.len());
                match dice.below(3) {
                    0 => bytes[at] ^= 1 << dice.below(8),
                    1 => bytes.truncate(at),
                    _ => bytes.push(7),
                }
                let place = canonical::locate(precision(p), &bytes, 3..70);
                let read =
                    place.and_then(|at| canonical::read_share(precision(p), 3..70, &bytes[at]));
                match read {
                    Ok(share) => {
                        let mut again = Vec::new();
                        share.write_canonical(&mut again);
                        assert_eq!(
                            again,
                            bytes[canonical::locate(precision(p), &bytes, 3..70).unwrap()]
                        );
                    }
                    Err(_) => refused += 1,
                }
            }
        }
    }
    assert!(refused > 1_000, "{refused} were refused");
}
