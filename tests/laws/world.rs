//! The engine on one thread: an admission, a router and shards whose work waits in queues and is done at odd
//! moments, as it is with threads, but reproducibly.

use std::collections::VecDeque;
use std::rc::Rc;

use headcount::engine::admit::{Admission, Admitted, Arrival, PartitionIndex, Rules};
use headcount::engine::barrier::{Answer, Question, Snapshot};
use headcount::engine::calendar::{Calendar, Period, WindowId};
use headcount::engine::catalog::{Ask, Emission};
use headcount::engine::checkpoint::{Loaded, SavedAdmission};
use headcount::engine::clock::ClockRules;
use headcount::engine::frame::{Sighting, Verdict};
use headcount::engine::report::record::{Coalesced, ProcessRecord, Recorder, Service};
use headcount::engine::route::{Router, page_ranges};
use headcount::engine::shard::Shard;
use headcount::engine::sketch::Precision;
use headcount::io::store::Store;
use headcount::io::store::memory::MemoryStore;
use headcount::limits::MAX_JUMP_MAX_S;
use jiff::tz::TimeZoneDatabase;

use super::dice::Dice;
use super::script::Step;

pub const HOUR_S: i64 = 3_600;
pub const DAY_S: i64 = 86_400;

/// When shards do their work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pace {
    /// At once.
    Prompt,
    /// Now and then, each at its own moments.
    Ragged,
    /// Not before the end, and then one shard after the other.
    Lagging,
}

/// How a world is built. Results may depend on the first two only.
#[derive(Debug, Clone)]
pub struct Build {
    pub rules: Rules,
    pub precision: Precision,
    pub shards: usize,
    pub batch: usize,
    pub pace: Pace,
}

enum Work {
    Batch(Vec<Sighting>),
    Barrier(Rc<Question>),
}

struct Waiting {
    question: Rc<Question>,
    snapshot: Snapshot,
    more: bool,
    saved: Option<Box<SavedAdmission>>,
    answer: Option<Answer>,
    answered: usize,
}

/// A barrier that every shard has answered.
pub struct Joined {
    pub question: Rc<Question>,
    pub snapshot: Snapshot,
    pub more: bool,
    pub saved: Option<Box<SavedAdmission>>,
    pub answer: Answer,
}

pub struct World {
    pub admission: Admission,
    precision: Precision,
    calendar: Calendar,
    router: Router,
    shards: Vec<Shard>,
    inboxes: Vec<VecDeque<Work>>,
    /// How many barriers each shard has answered.
    answered: Vec<usize>,
    /// Barriers under way; the first of them is the barrier number `joined`.
    waiting: VecDeque<Waiting>,
    joined: usize,
    partitions: usize,
    pace: Pace,
    dice: Dice,
}

impl World {
    pub fn new(build: &Build) -> Self {
        Self::with(build, Admission::new(build.rules.clone()))
    }

    fn with(build: &Build, admission: Admission) -> Self {
        let calendar = &build.rules.calendar;
        let ranges = page_ranges(build.shards).into_iter();
        Self {
            admission,
            precision: build.precision,
            calendar: calendar.clone(),
            router: Router::with_batch(build.precision, build.shards, build.batch),
            shards: ranges
                .map(|pages| Shard::new(build.precision, pages, calendar.clone()))
                .collect(),
            inboxes: (0..build.shards).map(|_| VecDeque::new()).collect(),
            answered: vec![0; build.shards],
            waiting: VecDeque::new(),
            joined: 0,
            partitions: 0,
            pace: build.pace,
            dice: Dice::new(build.shards as u64 * 7_919 + build.batch as u64),
        }
    }

    /// A world that goes on from what was saved.
    pub fn restore(build: &Build, loaded: &Loaded) -> Self {
        let windows = loaded.windows.iter().map(|(id, window, _)| (*id, *window));
        let admission = Admission::restore(build.rules.clone(), &loaded.admission, windows);
        let mut world = Self::with(build, admission.expect("it was saved"));
        world.partitions = loaded.names.len();
        for shard in &mut world.shards {
            // One in which frames do no more than wait has none.
            let windows = loaded.windows.iter();
            for (id, ..) in windows.filter(|(.., sketch)| sketch.is_some()) {
                shard.restore_window(*id).expect("it was saved");
            }
            for stretch in &loaded.stretches {
                shard.restore_stretch(stretch).expect("it was saved");
            }
        }
        world
    }

    /// From now on what changes can be saved; old sketches are on this store's shelf.
    pub fn keep_on(&mut self, store: &MemoryStore) {
        self.admission.keep_unsaved();
        for shard in &mut self.shards {
            shard.keep_on(store.shelf().expect("a shelf"));
        }
    }

    pub fn partitions(&self) -> usize {
        self.partitions
    }

    /// One step of a script. A frame is followed by the housekeeping that it makes due; returns how many barriers
    /// were raised and what was asked of them.
    pub fn play(&mut self, step: &Step) -> Option<(Ask, usize)> {
        let raised = match *step {
            Step::Add { start, unread } => {
                let index = self.admission.add_partition(start, unread);
                assert_eq!(index, self.partitions);
                self.partitions += 1;
                None
            }
            Step::Frame { partition, verdict } => {
                let offset = self.admission.next_offset(partition);
                self.feed(at(partition, offset), verdict);
                let due = self.admission.housekeeping_is_due();
                due.then(|| (Ask::default(), self.barrier(Ask::default())))
            }
            Step::ReachEnd(partition) => {
                self.admission.reach_end(partition);
                None
            }
            Step::Rest(partition) => {
                self.admission.rest(partition);
                None
            }
            Step::Walk(second) => {
                self.admission.walk_to(second);
                None
            }
            Step::Finish(partition) => {
                self.admission.finish(partition);
                self.settle();
                None
            }
            Step::Pass(partition) => {
                let next = self.admission.next_offset(partition) + 1;
                self.admission.pass(partition, next);
                None
            }
            Step::Barrier(ask) => Some((ask, self.barrier(ask))),
        };
        self.work();
        raised
    }

    pub fn feed(&mut self, arrival: Arrival, verdict: Verdict) -> Admitted {
        let admitted = self.admission.admit(arrival, verdict);
        // What was decided about frames before it counts before it.
        self.settle();
        if let Admitted::Counted(sighting) = admitted {
            self.record(sighting);
        }
        admitted
    }

    fn settle(&mut self) {
        let settled: Vec<_> = self.admission.take_settled().collect();
        for sighting in settled.into_iter().filter_map(|s| s.outcome.ok()) {
            self.record(sighting);
        }
    }

    fn record(&mut self, sighting: Sighting) {
        if let Some(shard) = self.router.push(sighting) {
            self.send_batch(shard);
        }
    }

    fn send_batch(&mut self, shard: usize) {
        // A used batch with something in it: the router has to clear it.
        let used = vec![Sighting {
            hash: self.dice.hash(),
            ts: 1,
            periods: 63,
        }];
        let batch = self.router.take(shard, used);
        self.inboxes[shard].push_back(Work::Batch(batch));
    }

    /// Raises a barrier, and as many more as it takes; returns how many.
    pub fn barrier(&mut self, mut ask: Ask) -> usize {
        for raised in 1.. {
            let barrier = self.admission.barrier(ask);
            let question = Rc::new(barrier.question);
            for shard in 0..self.shards.len() {
                if self.router.has_sightings(shard) {
                    self.send_batch(shard);
                }
                self.inboxes[shard].push_back(Work::Barrier(Rc::clone(&question)));
            }
            self.waiting.push_back(Waiting {
                question,
                snapshot: barrier.snapshot,
                more: barrier.more,
                saved: barrier.saved,
                answer: None,
                answered: 0,
            });
            if !barrier.more {
                return raised;
            }
            ask.trailing = false;
        }
        unreachable!()
    }

    fn work(&mut self) {
        match self.pace {
            Pace::Prompt => self.drain(),
            Pace::Ragged => {
                for _ in 0..self.dice.below(4) {
                    let shard = self.dice.below(self.shards.len());
                    self.work_off_one(shard);
                }
            }
            Pace::Lagging => {}
        }
    }

    pub fn drain(&mut self) {
        for shard in 0..self.shards.len() {
            while self.work_off_one(shard) {}
        }
    }

    /// A worker's turn: a message if there is one, and a slice of what is under way, which may lag behind.
    fn work_off_one(&mut self, shard: usize) -> bool {
        let worker = &mut self.shards[shard];
        let message = self.inboxes[shard].pop_front();
        if message.is_none() && !worker.is_busy() {
            return false;
        }
        let may_lag = message.is_some() && matches!(self.pace, Pace::Ragged);
        match message {
            Some(Work::Batch(batch)) => worker.record(&batch),
            Some(Work::Barrier(question)) => worker.ask(&question),
            None => {}
        }
        if !worker.is_busy() || (may_lag && self.dice.below(2) == 0) {
            return true;
        }
        if let (_, Some(answer)) = worker.step() {
            let waiting = &mut self.waiting[self.answered[shard] - self.joined];
            self.answered[shard] += 1;
            waiting.answered += 1;
            match &mut waiting.answer {
                Some(joined) => joined.merge(answer),
                none => *none = Some(answer),
            }
        }
        true
    }

    /// The barriers that all shards have answered by now, in their order.
    pub fn take_joined(&mut self) -> Vec<Joined> {
        let mut taken = Vec::new();
        while let Some(first) = self.waiting.front()
            && first.answered == self.shards.len()
        {
            let waiting = self.waiting.pop_front().unwrap();
            self.joined += 1;
            taken.push(Joined {
                question: waiting.question,
                snapshot: waiting.snapshot,
                more: waiting.more,
                saved: waiting.saved,
                answer: waiting.answer.unwrap(),
            });
        }
        taken
    }

    /// The windows that shards hold anything of.
    pub fn window_ids(&self) -> Vec<WindowId> {
        let mut ids: Vec<_> = self.shards.iter().flat_map(Shard::windows).collect();
        ids.sort_unstable();
        ids.dedup();
        ids
    }

    pub fn window_bytes(&mut self, id: WindowId) -> Vec<u8> {
        let mut bytes = Vec::new();
        for shard in &mut self.shards {
            shard.write_window(id, &mut bytes);
        }
        bytes
    }

    pub fn trailing_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        for shard in &self.shards {
            shard.write_trailing(&mut bytes);
        }
        bytes
    }

    /// The records of joined barriers, as a service would write them.
    pub fn records(&self, joined: &[Joined]) -> Vec<String> {
        let service = Service {
            job: "job".to_owned(),
            topic: "users".to_owned(),
            epoch: 1,
        };
        let mut recorder = Recorder::new(self.precision, self.calendar.clone(), Some(service));
        let partitions: Vec<_> = (0..self.partitions).map(|i| i.to_string()).collect();
        let mut records = Vec::new();
        for Joined {
            snapshot, answer, ..
        } in joined
        {
            let health = (Coalesced::default(), ProcessRecord::default());
            let stats = recorder.stats(snapshot, answer, &partitions, 7, Some(health));
            records.extend(stats.map(|stats| serde_json::to_string(&stats).unwrap()));
            for output in recorder.windows(snapshot, answer, &partitions, 7) {
                records.push(serde_json::to_string(&output.record).unwrap());
            }
        }
        records
    }
}

pub fn precision(p: u8) -> Precision {
    Precision::new(p).unwrap()
}

/// From the bundled database: the same on every machine.
pub fn calendar(zone: &str) -> Calendar {
    if zone == "UTC" {
        return Calendar::utc();
    }
    Calendar::new(TimeZoneDatabase::bundled().get(zone).unwrap(), zone)
}

/// Where a frame comes from that no broker vouches for.
pub fn at(partition: PartitionIndex, offset: i64) -> Arrival {
    Arrival {
        partition,
        offset,
        appended: None,
    }
}

/// Every frame is believed at once, whatever it says.
pub const CREDULOUS: ClockRules = ClockRules {
    lateness_s: 5,
    max_lateness_s: u32::MAX,
    max_jump_s: MAX_JUMP_MAX_S as u32,
};

/// All periods, 5 s of lateness, every frame believed; minutes kept for 6 hours, hours for 3 days, the rest for 60 days.
pub fn rules(zone: &str, emission: Emission) -> Rules {
    Rules {
        calendar: calendar(zone),
        clock: CREDULOUS,
        retention_s: [
            6 * HOUR_S,
            3 * DAY_S,
            60 * DAY_S,
            60 * DAY_S,
            60 * DAY_S,
            60 * DAY_S,
        ],
        emission,
        periods: Period::all_bits(),
    }
}

pub fn tick() -> Ask {
    Ask {
        trailing: true,
        changed: true,
        ..Ask::default()
    }
}

pub fn end() -> Ask {
    Ask {
        end: true,
        ..Ask::default()
    }
}
