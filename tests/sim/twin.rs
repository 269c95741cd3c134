//! A run to which nothing happens: it reads the same frames up to where a checkpoint is, and then has to be the same.

use headcount::engine::calendar::Period;
use headcount::engine::checkpoint::audit::audit;
use headcount::engine::checkpoint::{Commit, Loaded};
use headcount::engine::report::outbox::Outbox;
use headcount::engine::shard::Shelf;
use headcount::engine::sketch::Precision;
use headcount::io::store::Store;
use headcount::io::store::memory::MemoryStore;

use super::digest::digest_of;
use super::engine::{self, Engine};
use super::scenario::{Build, Scenario};
use super::steps::{HOUSEKEEPING, Step};

pub struct Twin {
    engine: Engine,
    store: MemoryStore,
    outbox: Outbox,
    /// Steps that it has taken or left out.
    at: usize,
    last: Option<Commit>,
}

/// It has no disk to fail, so its digests are those of what it holds.
impl Twin {
    pub fn new(scenario: &Scenario, build: Build) -> Self {
        let store = MemoryStore::default();
        let (engine, _) = Engine::keep(scenario, build, 1, None, &store);
        Self {
            engine,
            store,
            outbox: Outbox::saved(Vec::new()),
            at: 0,
            last: None,
        }
    }

    /// Reads what these steps read, and compares what a checkpoint then says with one of its own.
    pub fn compare(&mut self, steps: &[(i64, Step)], commit: &Commit) {
        self.follow(steps);
        let own = self.last.as_ref().expect("it has saved");
        let (changes, others) = (&own.changes, &commit.changes);
        assert_eq!(changes.partitions.len(), others.partitions.len());
        for ((name, ours), (other, theirs)) in changes.partitions.iter().zip(&others.partitions) {
            assert_eq!(name, other);
            assert_eq!(ours.next_offset, theirs.next_offset, "offset of {name}");
            assert!(ours.clock == theirs.clock, "clock, votes and pen of {name}");
        }
        assert!(changes.ledger == others.ledger, "the ledger");
        assert_eq!(own.digest, commit.digest, "the digest");
    }

    /// Reads what these steps read, and saves.
    pub fn follow(&mut self, steps: &[(i64, Step)]) {
        let mut now_ms = 0;
        for (at_ms, step) in &steps[self.at..] {
            now_ms = *at_ms;
            match step {
                Step::Add { .. }
                | Step::Deliver { .. }
                | Step::Pass { .. }
                | Step::ReachEnd(_)
                | Step::Gap { .. } => drop(self.engine.play(*step, *at_ms)),
                // When it ticks and who is idle is its own affair: nothing of that may be seen.
                Step::Rest(_)
                | Step::Walk(_)
                | Step::Finish(_)
                | Step::Close(_)
                | Step::EndInput
                | Step::Barrier(_)
                | Step::Resume { .. } => {}
            }
            if self.engine.admission.housekeeping_is_due() {
                self.engine.play(Step::Barrier(HOUSEKEEPING), *at_ms);
                self.take_in();
            }
        }
        self.at = steps.len();
        self.engine
            .play(Step::Barrier(HOUSEKEEPING.with_save(true)), now_ms);
        self.engine.drain();
        self.take_in();
    }

    fn take_in(&mut self) {
        for report in self.engine.take_reports(&mut self.outbox) {
            if let Some(commit) = report.commit {
                self.store.commit(&commit).unwrap();
                self.engine.keeping().note_written(&mut self.outbox);
                self.last = Some(commit);
            }
        }
        // Nobody reads what it says.
        while let Some((ticket, _)) = self.outbox.hand_over() {
            self.outbox.acknowledge(ticket);
        }
    }

    /// Compares sketches and trailing table of a state, and of the engine that took it up, with its own, bit for bit.
    pub fn compare_whole(
        &mut self,
        scenario: &Scenario,
        loaded: &Loaded,
        shelf: &mut dyn Shelf,
        taken_up: &Engine,
    ) {
        let precision = Precision::new(scenario.rules.precision).unwrap();
        let found = audit(
            loaded,
            precision,
            &engine::calendar(scenario),
            Period::all_bits(),
        )
        .unwrap();
        assert_eq!(
            found.digest, loaded.digest,
            "a state has the digest it says"
        );
        assert_eq!(
            digest_of(loaded, scenario),
            loaded.digest.0,
            "the digest as it is documented"
        );
        let same = self.engine.trailing_bytes() == taken_up.trailing_bytes();
        assert!(same, "the trailing table");
        let ours = self.engine.window_ids();
        let clocks = (0..loaded.names.len()).filter_map(|i| found.admission.clock(i));
        let greatest_clock = clocks.max().map(i64::from);
        for (id, window, sketch) in &loaded.windows {
            // Which windows are forgotten depends on when.
            if !ours.contains(id) || sketch.is_none() {
                continue;
            }
            let retention_s = scenario.rules.retention_s[id.period as usize];
            let is_over = greatest_clock.is_some_and(|at| window.end + retention_s <= at);
            let same = shelf.fetch(*id).unwrap() == self.engine.window_bytes(*id);
            assert!(same || is_over, "the sketch of {id:?}");
        }
    }
}
