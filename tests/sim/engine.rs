//! The real engine on one thread: decoder, admission, router, recorder, and shards whose work waits in queues and is
//! done at odd moments, as it is with threads, but reproducibly.

use std::collections::{BTreeSet, VecDeque};
use std::rc::Rc;
use std::sync::Arc;

use headcount::engine::admit::{Admission, Admitted, Arrival, Rules};
use headcount::engine::barrier::{Answer, Question, Snapshot, Stage};
use headcount::engine::calendar::{Calendar, WindowId};
use headcount::engine::catalog::{self, Emission};
use headcount::engine::clock::{ClockRules, Quarantine};
use headcount::engine::decode::{Decoder, Fields};
use headcount::engine::frame::{Sighting, Verdict};
use headcount::engine::report::outbox::{Kind, Outgoing};
use headcount::engine::report::record::{Coalesced, ProcessRecord, Recorder, Service, window_key};
use headcount::engine::route::{Router, page_ranges};
use headcount::engine::shard::Shard;
use headcount::engine::sketch::Precision;
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
    at_ms: i64,
    answer: Option<Answer>,
    answered: usize,
}

pub struct Engine {
    topic: Arc<Topic>,
    decoder: Decoder,
    pub admission: Admission,
    recorder: Recorder,
    router: Router,
    shards: Vec<Shard>,
    inboxes: Vec<VecDeque<Work>>,
    /// How many barriers each shard has answered.
    answered: Vec<usize>,
    /// Barriers under way; the first of them is the barrier number `joined`.
    waiting: VecDeque<Waiting>,
    joined: usize,
    names: Vec<String>,
    ragged: bool,
    dice: Dice,
}

impl Engine {
    pub fn new(scenario: &Scenario, build: Build, epoch: u64) -> Self {
        let rules = rules(scenario);
        let calendar = rules.calendar.clone();
        let precision = Precision::new(scenario.rules.precision).unwrap();
        let service = Service {
            job: "job".to_owned(),
            topic: "users".to_owned(),
            epoch,
        };
        let shards = page_ranges(build.shards).into_iter();
        Self {
            topic: Arc::clone(&scenario.topic),
            decoder: Decoder::new(Fields {
                ignored_uids: vec!["-".to_owned()],
                ..Fields::default()
            }),
            admission: Admission::new(rules),
            recorder: Recorder::new(precision, calendar.clone(), Some(service)),
            router: Router::with_batch(precision, build.shards, build.batch),
            shards: shards
                .map(|pages| Shard::new(precision, pages, calendar.clone()))
                .collect(),
            inboxes: (0..build.shards).map(|_| VecDeque::new()).collect(),
            answered: vec![0; build.shards],
            waiting: VecDeque::new(),
            joined: 0,
            names: Vec::new(),
            ragged: build.ragged,
            dice: Dice::new(scenario.seed ^ build.shards as u64),
        }
    }

    /// One step; a barrier is raised as often as it takes to put out all that is due. Returns what became of frames,
    /// and how many barriers were raised.
    pub fn play(&mut self, step: Step, now_ms: i64) -> (Heard, usize) {
        let mut heard = Heard::default();
        let mut raised = 0;
        match step {
            Step::Add { start, unread } => {
                self.admission.add_partition(start, unread);
                self.names.push(self.names.len().to_string());
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
            Step::Barrier(ask) => raised = self.barrier(ask, now_ms),
        }
        self.work();
        (heard, raised)
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
            ..catalog::Ask::default()
        };
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
                at_ms: now_ms,
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

    /// The records of the barriers that all shards have answered by now: of each barrier a list.
    pub fn take_reports(&mut self, coalesced: Coalesced) -> Vec<Vec<Outgoing>> {
        let mut reports = Vec::new();
        while let Some(first) = self.waiting.front()
            && first.answered == self.shards.len()
        {
            let waiting = self.waiting.pop_front().unwrap();
            self.joined += 1;
            reports.push(self.report(&waiting, coalesced));
        }
        reports
    }

    fn report(&mut self, waiting: &Waiting, coalesced: Coalesced) -> Vec<Outgoing> {
        let Waiting {
            snapshot,
            answer,
            question,
            at_ms,
            ..
        } = waiting;
        let answer = answer.as_ref().unwrap();
        let asked: Vec<WindowId> = snapshot.windows.iter().map(|facts| facts.id).collect();
        assert_eq!(question.windows, asked, "shards are asked for what is told");
        let names = &self.names[..snapshot.offsets.len()];
        let now_ms = *at_ms as u64;
        let health = Some((coalesced, ProcessRecord::default()));
        let stats = self.recorder.stats(snapshot, answer, names, now_ms, health);
        let mut out: Vec<Outgoing> = Vec::new();
        out.extend(stats.map(|stats| Outgoing {
            kind: Kind::Tick,
            key: "job".to_owned(),
            payload: Some(serde_json::to_vec(&stats).unwrap()),
        }));
        for output in self.recorder.windows(snapshot, answer, names, now_ms) {
            out.push(Outgoing {
                kind: match output.stage {
                    Stage::Provisional => Kind::Provisional(output.id),
                    Stage::Final { seq, .. } | Stage::Revised { seq, .. } => {
                        Kind::Final(output.id, seq)
                    }
                },
                key: window_key("job", output.id, output.stage),
                payload: Some(serde_json::to_vec(&output.record).unwrap()),
            });
        }
        out
    }

    /// The windows that shards hold anything of.
    pub fn windows(&self) -> BTreeSet<model::Key> {
        let ids = self.shards.iter().flat_map(Shard::windows);
        ids.map(|id| (id.period as usize, id.start)).collect()
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
