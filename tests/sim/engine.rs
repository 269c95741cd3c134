//! The real engine on one thread: decoder, admission, router, issuer, and shards whose work waits in queues and is
//! done at odd moments, as it is with threads, but reproducibly.

use std::collections::{BTreeSet, VecDeque};
use std::rc::Rc;
use std::sync::Arc;

use headcount::engine::admit::{Admission, Admitted, Arrival, Rules};
use headcount::engine::barrier::{Answer, Question, Snapshot};
use headcount::engine::calendar::{Calendar, Period, WindowId};
use headcount::engine::catalog::{self, Emission};
use headcount::engine::checkpoint::beginning::Beginning;
use headcount::engine::checkpoint::book::Book;
use headcount::engine::checkpoint::keeping::Keeping;
use headcount::engine::checkpoint::{Commit, Loaded, SavedAdmission, SavedRecord};
use headcount::engine::clock::{ClockRules, Quarantine};
use headcount::engine::decode::{Decoder, Fields, Isa, Reading};
use headcount::engine::frame::{Sighting, Verdict};
use headcount::engine::report::forget::Forget;
use headcount::engine::report::issue::{Answered, Issuer};
use headcount::engine::report::outbox::{Kind, Outbox, Outgoing};
use headcount::engine::report::record::{Coalesced, ProcessRecord, Recorder, Service};
use headcount::engine::route::{Router, page_ranges};
use headcount::engine::shard::Shard;
use headcount::engine::sketch::Precision;
use headcount::io::store::Store;
use headcount::io::store::memory::MemoryStore;
use jiff::tz::TimeZoneDatabase;

use super::dice::Dice;
use super::model;
use super::scenario::{Build, Scenario, Slot, Topic};
use super::steps::{Ask, Fate, Heard, Step};

enum Work {
    Batch(Vec<Sighting>),
    Barrier(Rc<Question>),
}

struct Waiting {
    question: Rc<Question>,
    snapshot: Snapshot,
    saved: Option<Box<SavedAdmission>>,
    at_ms: i64,
    answer: Option<Answer>,
    answered: usize,
}

/// What came of a barrier.
pub struct Report {
    pub records: Vec<Outgoing>,
    /// What is to be written.
    pub commit: Option<Commit>,
}

pub struct Engine {
    topic: Arc<Topic>,
    decoder: Decoder,
    pub admission: Admission,
    /// As it was when the input ended, where that is saved.
    before_end: Option<Box<Admission>>,
    issuer: Issuer,
    router: Router,
    shards: Vec<Shard>,
    inboxes: Vec<VecDeque<Work>>,
    /// How many barriers each shard has answered.
    answered: Vec<usize>,
    /// Barriers under way; the first of them is the barrier number `joined`.
    waiting: VecDeque<Waiting>,
    joined: usize,
    names: Vec<String>,
    places: Vec<String>,
    ragged: bool,
    dice: Dice,
}

impl Engine {
    /// An engine that saves nothing.
    pub fn new(scenario: &Scenario, build: Build, epoch: u64) -> Self {
        let precision = precision(scenario);
        let begun = Beginning::fresh(rules(scenario), precision, shards(scenario, build));
        Self::begin(scenario, build, epoch, begun)
    }

    /// One that saves, and goes on from a state if there is one: returns the finals that the output did not have. The store
    /// has what was written.
    pub fn keep(
        scenario: &Scenario,
        build: Build,
        epoch: u64,
        loaded: Option<Loaded>,
        store: &MemoryStore,
    ) -> (Self, Vec<SavedRecord>) {
        let (rules, precision) = (rules(scenario), precision(scenario));
        let shards = shards(scenario, build);
        let mut begun = match loaded {
            None => Beginning::fresh(rules, precision, shards),
            Some(loaded) => Beginning::restore(rules, precision, shards, loaded).unwrap(),
        };
        begun.keep_on(|| store.shelf()).unwrap();
        let records = std::mem::take(&mut begun.records);
        let fresh = Book::new(precision, scenario.rules.retention_s);
        let book = std::mem::replace(&mut begun.book, fresh);
        let mut engine = Self::begin(scenario, build, epoch, begun);
        let keeping = Keeping::new(book, store.shelf().unwrap(), epoch);
        engine.issuer.keep(keeping);
        (engine, records)
    }

    fn begin(scenario: &Scenario, build: Build, epoch: u64, begun: Beginning) -> Self {
        let precision = precision(scenario);
        let service = Service {
            job: "job".to_owned(),
            topic: "users".to_owned(),
            epoch,
        };
        let calendar = rules(scenario).calendar;
        let recorder = Recorder::new(precision, calendar.clone(), Some(service));
        let forget = Forget::new(calendar, [None; Period::ALL.len()]);
        Self {
            topic: Arc::clone(&scenario.topic),
            decoder: decoder(build),
            admission: begun.admission,
            before_end: None,
            issuer: Issuer::new(recorder, "job".to_owned(), forget),
            router: Router::with_batch(precision, build.shards, build.batch),
            shards: begun.shards,
            inboxes: (0..build.shards).map(|_| VecDeque::new()).collect(),
            answered: vec![0; build.shards],
            waiting: VecDeque::new(),
            joined: 0,
            names: Vec::new(),
            places: Vec::new(),
            ragged: build.ragged,
            dice: Dice::new(scenario.seed ^ build.shards as u64),
        }
    }

    /// Of an engine that saves.
    pub fn keeping(&mut self) -> &mut Keeping {
        self.issuer.keeping().expect("this engine saves")
    }

    /// One step; a barrier is raised as often as it takes to put out all that is due. Returns what became of frames,
    /// and how many barriers were raised.
    pub fn play(&mut self, step: Step, now_ms: i64) -> (Heard, usize) {
        let mut heard = Heard::default();
        let mut raised = 0;
        match step {
            Step::Add { start, unread } => {
                self.admission.add_partition(start, unread);
                self.name_partition();
            }
            Step::Resume { partition, unread } => {
                self.name_partition();
                self.admission.resume(partition, unread);
            }
            Step::Deliver { partition, offset } => {
                heard.own = Some(self.deliver(partition, offset, &mut heard));
            }
            Step::Pass { partition, next } => self.admission.pass(partition, next),
            Step::ReachEnd(partition) => self.admission.reach_end(partition),
            Step::Rest(partition) => self.admission.rest(partition),
            Step::Walk(second) => self.admission.walk_to(second as u32),
            Step::Gap { partition, next } => self.admission.gap(partition, next),
            Step::Finish(partition) => {
                self.admission.finish(partition);
                self.settle(&mut heard);
            }
            Step::Close(partition) => self.admission.close(partition),
            Step::EndInput => self.before_end = Some(Box::new(self.admission.split_at_end())),
            Step::Barrier(ask) => raised = self.barrier(ask, now_ms),
        }
        self.work();
        (heard, raised)
    }

    fn name_partition(&mut self) {
        let name = self.names.len().to_string();
        self.places.push(format!("users/{name}"));
        self.names.push(name);
    }

    fn deliver(&mut self, partition: usize, offset: i64, heard: &mut Heard) -> Fate {
        let topic = Arc::clone(&self.topic);
        let record = &topic.partitions[partition].records[offset as usize];
        let Slot::Frame {
            value, appended, ..
        } = &record.slot
        else {
            panic!("a marker is not delivered");
        };
        let arrival = Arrival {
            partition,
            offset,
            appended: appended.map(|at| at as u32),
        };
        let verdict = self.decoder.decode(value.as_deref());
        let admitted = self.admission.admit(arrival, verdict);
        self.settle(heard);
        match (admitted, verdict) {
            (Admitted::Counted(sighting), _) => self.record(sighting),
            (Admitted::Held, _) => Fate::Held,
            (Admitted::Quarantined(why), _) => Fate::Quarantined(quarantine(why)),
            (Admitted::Neither, Verdict::Ignored) => Fate::Ignored,
            (Admitted::Neither, Verdict::Rejected(why)) => Fate::Rejected(why.name()),
            (Admitted::Neither, Verdict::Seen(..)) => panic!("a good frame without a fate"),
        }
    }

    fn settle(&mut self, heard: &mut Heard) {
        let settled: Vec<_> = self.admission.take_settled().collect();
        for settled in settled {
            let fate = match settled.outcome {
                Ok(sighting) => self.record(sighting),
                Err(why) => Fate::Quarantined(quarantine(why)),
            };
            heard
                .settled
                .push((settled.partition, settled.offset, fate));
        }
        heard.settled.sort_unstable();
    }

    fn record(&mut self, sighting: Sighting) -> Fate {
        if let Some(shard) = self.router.push(sighting) {
            self.send_batch(shard);
        }
        Fate::Counted {
            hash: sighting.hash.0,
            ts: sighting.ts.into(),
            periods: sighting.periods,
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

    fn barrier(&mut self, ask: Ask, now_ms: i64) -> usize {
        let mut ask = catalog::Ask {
            trailing: ask.trailing,
            changed: ask.changed,
            end: ask.end,
            save: ask.save,
        };
        for raised in 1.. {
            let mut barrier = self.admission.barrier(ask);
            if let Some(before) = self.before_end.as_mut().filter(|_| ask.save) {
                barrier.saved = Some(Box::new(before.save_words(&mut self.admission)));
            }
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
                saved: barrier.saved,
                at_ms: now_ms,
                answer: None,
                answered: 0,
            });
            if !barrier.more {
                return raised;
            }
            (ask.trailing, ask.save) = (false, false);
        }
        unreachable!()
    }

    fn work(&mut self) {
        if !self.ragged {
            return self.drain();
        }
        for _ in 0..self.dice.below(4) {
            let shard = self.dice.below(self.shards.len());
            self.work_off_one(shard);
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
        let may_lag = message.is_some() && self.ragged;
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

    /// What came of the barriers that all shards have answered by now. The records are in the outbox then.
    pub fn take_reports(&mut self, outbox: &mut Outbox) -> Vec<Report> {
        let mut reports = Vec::new();
        while let Some(first) = self.waiting.front()
            && first.answered == self.shards.len()
        {
            let waiting = self.waiting.pop_front().unwrap();
            self.joined += 1;
            reports.push(self.report(waiting, outbox));
        }
        reports
    }

    fn report(&mut self, waiting: Waiting, outbox: &mut Outbox) -> Report {
        let snapshot = &waiting.snapshot;
        let answer = waiting.answer.unwrap();
        assert_eq!(answer.trouble, None, "what was saved can be read");
        let asked: Vec<WindowId> = snapshot.windows.iter().map(|facts| facts.id).collect();
        assert_eq!(
            waiting.question.windows, asked,
            "shards are asked for what is told"
        );
        let known = snapshot.offsets.len();
        let answered = Answered {
            snapshot,
            saved: waiting.saved,
            answer,
            names: &self.names[..known],
            places: &self.places[..known],
            now_ms: waiting.at_ms as u64,
            // What an output coalesces depends on the output.
            health: Some((Coalesced::default(), ProcessRecord::default())),
            is_last: false,
        };
        let mut records = Vec::new();
        let issued = self
            .issuer
            .issue(answered, outbox, &mut |record| records.push(record.clone()));
        // The tick is put last, with the checkpoint's digest; its number is in the others.
        if records.last().is_some_and(|last| last.kind == Kind::Tick) {
            records.rotate_right(1);
        }
        Report {
            records,
            commit: issued.unwrap(),
        }
    }

    /// The windows that shards hold anything of.
    pub fn windows(&self) -> BTreeSet<model::Key> {
        let ids = self.shards.iter().flat_map(Shard::windows);
        ids.map(|id| (id.period as usize, id.start)).collect()
    }

    pub fn window_bytes(&mut self, id: WindowId) -> Vec<u8> {
        let mut bytes = Vec::new();
        for shard in &mut self.shards {
            shard.write_window(id, &mut bytes);
        }
        bytes
    }

    pub fn window_ids(&self) -> BTreeSet<WindowId> {
        self.shards.iter().flat_map(Shard::windows).collect()
    }

    pub fn trailing_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        for shard in &self.shards {
            shard.write_trailing(&mut bytes);
        }
        bytes
    }
}

fn quarantine(why: Quarantine) -> &'static str {
    why.name()
}

fn precision(scenario: &Scenario) -> Precision {
    Precision::new(scenario.rules.precision).unwrap()
}

fn shards(scenario: &Scenario, build: Build) -> Vec<Shard> {
    let (precision, calendar) = (precision(scenario), rules(scenario).calendar);
    let ranges = page_ranges(build.shards).into_iter();
    ranges
        .map(|pages| Shard::new(precision, pages, calendar.clone()))
        .collect()
}

pub fn calendar(scenario: &Scenario) -> Calendar {
    rules(scenario).calendar
}

fn rules(scenario: &Scenario) -> Rules {
    let rules = &scenario.rules;
    let seconds = |s: i64| u32::try_from(s).unwrap();
    Rules {
        calendar: match scenario.zone {
            "UTC" => Calendar::utc(),
            name => Calendar::new(TimeZoneDatabase::bundled().get(name).unwrap(), name),
        },
        clock: ClockRules {
            lateness_s: seconds(rules.clock.lateness_s),
            max_lateness_s: seconds(rules.clock.max_lateness_s),
            max_jump_s: seconds(rules.clock.max_jump_s),
        },
        retention_s: rules.retention_s,
        emission: if rules.provisionals {
            Emission::Live
        } else {
            Emission::Finals
        },
        periods: rules.periods,
    }
}

/// One of all that there are on this CPU: the reference, and ours with any instructions.
fn decoder(build: Build) -> Decoder {
    let choices: Vec<_> = Isa::available()
        .map(|isa| (Reading::Full, Some(isa)))
        .chain([(Reading::SimdJson, None)])
        .collect();
    let (reading, instructions) = choices[build.decoder % choices.len()];
    Decoder::new(Fields {
        ignored_uids: vec!["-".to_owned()],
        reading,
        instructions,
        ..Fields::default()
    })
}
