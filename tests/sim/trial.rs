//! One seed: the engine and the model take the same steps, and have to say the same.

use std::collections::{BTreeMap, HashMap, VecDeque};

use headcount::engine::report::outbox::{Outbox, Outgoing};

use super::check::{Checker, Said};
use super::consumer;
use super::dice::Dice;
use super::engine::{Engine, Report};
use super::kept::{Kept, Mark, Moment};
use super::model::{Expected, Key, Model};
use super::output::Output;
use super::scenario::{Build, Scenario, Schedule};
use super::settings;
use super::steps::{Fate, HOUSEKEEPING, Heard, Step};

pub struct Trial {
    pub model: Model,
    pub output: Output,
    pub engine: Engine,
    pub checker: Checker,
    /// What barriers have to say, and how many were raised to say it.
    pub expected: VecDeque<(usize, Expected)>,
    pub reports: VecDeque<Report>,
    /// Everything that was put out, and all steps, to take them again.
    said: Vec<Vec<Outgoing>>,
    pub steps: Vec<(i64, Step)>,
    /// The frames of each window by their fates.
    pub frames: HashMap<Key, u64>,
    /// Fates by partition and offset.
    pub fates: HashMap<(usize, i64), Fate>,
    /// `None` where nothing is saved.
    pub kept: Option<Kept>,
    /// What a life goes on from after an end of input, but for what was said since.
    pub before_end: Option<Mark>,
    pub now_ms: i64,
    reached: Reached,
}

/// What is left of a trial.
struct Outcome {
    said: Vec<Vec<Outgoing>>,
    steps: Vec<(i64, Step)>,
    fates: HashMap<(usize, i64), Fate>,
    last: HashMap<Key, Said>,
    /// For each period, whether frames came after its retention.
    expired: [bool; 6],
    trailing: Vec<u8>,
    reached: Reached,
}

impl Trial {
    fn new(scenario: &Scenario, build: Build, trouble: usize) -> Self {
        let engine = Engine::new(scenario, build, 1);
        Self::with_engine(scenario, engine, 1, trouble)
    }

    pub fn with_engine(scenario: &Scenario, engine: Engine, epoch: u64, trouble: usize) -> Self {
        Self {
            model: Model::new(scenario.rules.clone(), scenario.topic.clone()),
            output: Output::new(trouble, scenario.seed),
            engine,
            checker: Checker::new(scenario, epoch),
            expected: VecDeque::new(),
            reports: VecDeque::new(),
            said: Vec::new(),
            steps: Vec::new(),
            frames: HashMap::new(),
            fates: HashMap::new(),
            kept: None,
            before_end: None,
            now_ms: 0,
            reached: Reached::new(),
        }
    }

    pub fn reach(&mut self, name: &str) {
        match self.reached.get_mut(name) {
            Some(times) => *times += 1,
            None => {
                self.reached.insert(name.to_owned(), 1);
            }
        }
    }

    fn reach_step(&mut self, step: Step, raised: usize) {
        match step {
            Step::Add { start, .. } if start > 0 => self.reach("joined in its midst"),
            Step::Rest(_) => self.reach("rest"),
            Step::Walk(_) => self.reach("walk"),
            Step::Gap { .. } => self.reach("loss"),
            Step::Barrier(HOUSEKEEPING) => self.reach("housekeeping"),
            _ => {}
        }
        if raised > 1 {
            self.reach("several barriers at once");
        }
    }

    fn reach_fate(&mut self, fate: Fate) {
        match fate {
            Fate::Counted { .. } => self.reach("counted"),
            Fate::Quarantined(why) => self.reach(&format!("quarantined {why}")),
            Fate::Ignored => self.reach("ignored"),
            Fate::Rejected(_) => self.reach("rejected"),
            Fate::Held => {}
        }
    }

    fn reach_said(&mut self, expected: &Expected) {
        if let Some((_, trailing)) = &expected.tick {
            self.reach("tick");
            if trailing.iter().any(|number| !number.exact) {
                self.reach("estimate");
            }
        }
        if !expected.ahead.is_empty() {
            self.reach("someone ahead");
        }
        for due in expected.due.values() {
            match due.last_word {
                None => self.reach("provisional"),
                Some((by, 0)) => self.reach(&format!("final by {by}")),
                Some(_) => self.reach("revised"),
            }
            if !due.complete {
                self.reach("incomplete");
            }
        }
    }

    /// Both take a step; a delivery is followed by the housekeeping that it makes due.
    pub fn step(&mut self, step: Step, now_ms: i64) {
        self.now_ms = now_ms;
        if self.is_dead() {
            return;
        }
        if self.pass(Moment::Step) {
            return self.reach("life ended before its step");
        }
        let step = self.with_save(step);
        self.steps.push((now_ms, step));
        let (heard, raised) = self.engine.play(step, now_ms);
        assert_eq!(heard, self.model.play(step), "what {step:?} brings about");
        self.note(step, &heard);
        self.compare_states(step);
        if let Step::Barrier(ask) = step {
            self.expected.push_back((raised, self.model.barrier(ask)));
            if ask.save {
                self.ask_to_save(raised == 1);
            }
        }
        self.reach_step(step, raised);
        self.take_reports();
        if matches!(step, Step::Deliver { .. }) && self.model.housekeeping_is_due() {
            self.step(Step::Barrier(HOUSEKEEPING), now_ms);
        }
    }

    fn note(&mut self, step: Step, heard: &Heard) {
        if let Step::Deliver { partition, offset } = step {
            let fate = heard.own.expect("a delivered frame has a fate");
            let earlier = self.fates.insert((partition, offset), fate);
            assert_eq!(earlier, None, "one fate for {partition}:{offset}");
            self.tally(fate);
        }
        for &(partition, offset, fate) in &heard.settled {
            if matches!(fate, Fate::Counted { .. }) {
                self.reach("counted after it waited");
            }
            let earlier = self.fates.insert((partition, offset), fate);
            assert_eq!(earlier, Some(Fate::Held), "{partition}:{offset} waited");
            self.tally(fate);
        }
    }

    fn tally(&mut self, fate: Fate) {
        self.reach_fate(fate);
        if let Fate::Counted { ts, periods, .. } = fate {
            for period in (0..6).filter(|period| periods >> period & 1 == 1) {
                let (start, _) = self.model.window_of(period, ts);
                *self.frames.entry((period, start)).or_default() += 1;
            }
        }
    }

    fn compare_states(&self, step: Step) {
        let (admission, model) = (&self.engine.admission, &self.model);
        assert!(admission.ledger().balances(), "the ledger after {step:?}");
        assert_eq!(
            admission.watermark(),
            model.watermark(),
            "watermark after {step:?}"
        );
        let as_of = admission.as_of().map(i64::from);
        assert_eq!(as_of, model.as_of(), "as_of after {step:?}");
        assert_eq!(
            admission.all_rest(),
            model.all_rest(),
            "rest after {step:?}"
        );
        assert_eq!(
            admission.housekeeping_is_due() && !matches!(step, Step::Barrier(_)),
            model.housekeeping_is_due() && !matches!(step, Step::Barrier(_)),
            "housekeeping after {step:?}"
        );
        if let Step::Deliver { partition, .. } | Step::Finish(partition) = step {
            let clock = admission.clock(partition).map(i64::from);
            assert_eq!(clock, model.clock(partition), "clock after {step:?}");
            let pending = admission.pending(partition);
            assert_eq!(pending, model.waiting(partition), "pen after {step:?}");
        }
    }

    pub fn take_reports(&mut self) {
        let reports = self.engine.take_reports(&mut self.output.outbox);
        self.reports.extend(reports);
        while let Some((raised, _)) = self.expected.front()
            && *raised <= self.reports.len()
        {
            let (raised, expected) = self.expected.pop_front().unwrap();
            let reports: Vec<_> = self.reports.drain(..raised).collect();
            self.checker.check(&expected, &reports);
            self.reach_said(&expected);
            for record in reports.iter().flat_map(|report| &report.records) {
                self.output.note(record);
            }
            for report in reports {
                if let Some(commit) = report.commit {
                    self.write(commit);
                }
                if self.kept.is_none() {
                    self.said.push(report.records);
                }
            }
        }
    }

    fn end(mut self, scenario: &Scenario) -> Outcome {
        self.engine.drain();
        self.take_reports();
        self.check_state(scenario);
        assert!(self.expected.is_empty(), "a barrier was not answered");
        // Of a window that only an end of input knew of there is no sketch.
        let windows = self.model.windows().iter();
        let kept = windows.filter(|(_, window)| window.frames > 0);
        let kept = kept.map(|(key, _)| *key).collect();
        assert_eq!(self.engine.windows(), kept, "windows that are kept");
        self.output.recover();
        self.output.check();
        if self.model.has_expired().contains(&true) {
            self.reach("expired");
        }
        let last = self.checker.end(&self.frames, scenario.rules.provisionals);
        Outcome {
            trailing: self.engine.trailing_bytes(),
            said: self.said,
            steps: self.steps,
            fates: self.fates,
            last,
            expired: self.model.has_expired(),
            reached: self.reached,
        }
    }
}

fn consume(scenario: &Scenario, schedule: &Schedule, build: Build, trouble: usize) -> Outcome {
    let mut trial = Trial::new(scenario, build, trouble);
    consumer::run(scenario, schedule, &mut trial);
    trial.end(scenario)
}

/// Lives that go on from one another.
fn live(scenario: &Scenario, schedule: &Schedule, dice: &mut Dice) -> Outcome {
    let plan = settings::plan(&scenario.topic, dice);
    let mut trial = Trial::keeping(scenario, schedule, &plan, dice);
    consumer::run(scenario, schedule, &mut trial);
    trial.end(scenario)
}

/// How often things happened in a seed, by name.
pub type Reached = BTreeMap<String, u64>;

/// What all seeds together have to come by, or they show nothing.
pub const TO_BE_REACHED: [&str; 40] = [
    "final by event_time",
    "final by idle",
    "final by end",
    "revised",
    "provisional",
    "incomplete",
    "estimate",
    "someone ahead",
    "tick",
    "expired",
    "quarantined ahead",
    "quarantined behind",
    "quarantined unconfirmed",
    "counted",
    "counted after it waited",
    "ignored",
    "rejected",
    "housekeeping",
    "several barriers at once",
    "rest",
    "walk",
    "loss",
    "read again, compared",
    "joined in its midst",
    "lives compared with one",
    "saved in memory",
    "saved in a file",
    "killed",
    "power cut",
    "stopped",
    "left with its failure",
    "copy taken up",
    "nothing was saved yet",
    "input ended, and went on",
    "checkpoint that nobody was told of",
    "checkpoint tried again",
    "finals sent again",
    "life ended before its step",
    "life ended while finals were under way",
    "life ended between acknowledgement and trim",
];

pub fn run(scenario: &Scenario) -> Reached {
    let Scenario {
        schedule, build, ..
    } = scenario;
    let mut dice = Dice::new(!scenario.seed);
    let mut first = consume(scenario, schedule, *build, scenario.output_trouble);
    repeat(scenario, &first, settings::build(&mut dice));
    let begin_ms = schedule.begin_ms + dice.between(0, 1 + scenario.span_s * 2_000);
    let again = settings::again(&scenario.topic, begin_ms, &mut dice);
    let lives = dice.once_in(2);
    let second = if lives {
        live(scenario, &again, &mut dice)
    } else {
        consume(scenario, &again, settings::build(&mut dice), 0)
    };
    let from_zero = schedule.starts.iter().all(|start| *start == 0);
    if from_zero && schedule.deleted.is_none() && schedule.ends == again.ends {
        compare(&first, &second);
        let what = if lives {
            "lives compared with one"
        } else {
            "read again, compared"
        };
        *first.reached.entry(what.to_owned()).or_default() += 1;
    }
    for (name, times) in second.reached {
        *first.reached.entry(name).or_default() += times;
    }
    first.reached
}

/// The same steps for an engine that is built in another way: byte for byte the same.
fn repeat(scenario: &Scenario, first: &Outcome, build: Build) {
    let mut engine = Engine::new(scenario, build, 1);
    let mut outbox = Outbox::default();
    let mut said = Vec::new();
    for (now_ms, step) in &first.steps {
        engine.play(*step, *now_ms);
        said.extend(engine.take_reports(&mut outbox));
    }
    engine.drain();
    said.extend(engine.take_reports(&mut outbox));
    assert_eq!(said.len(), first.said.len(), "barriers with {build:?}");
    let said = said.iter().flat_map(|report| &report.records);
    for (other, record) in said.zip(first.said.iter().flatten()) {
        let is_same = other == record;
        assert!(
            is_same,
            "with {build:?} {} is {}",
            text(record),
            text(other)
        );
    }
    let trailing = engine.trailing_bytes();
    assert!(trailing == first.trailing, "trailing bytes with {build:?}");
}

fn text(record: &Outgoing) -> String {
    let value = record.payload.as_deref().map(String::from_utf8_lossy);
    format!("{:?} {}: {value:?}", record.kind, record.key)
}

/// Two consumers that read the same frames from the first to the last.
fn compare(first: &Outcome, second: &Outcome) {
    assert_eq!(
        first.fates.len(),
        second.fates.len(),
        "frames that were read"
    );
    for (place, fate) in &first.fates {
        assert_eq!(
            lasting(*fate),
            lasting(second.fates[place]),
            "fate of {place:?}, read again"
        );
    }
    let is_whole = |key: &Key| !first.expired[key.0] && !second.expired[key.0];
    for (key, said) in first.last.iter().filter(|(key, _)| is_whole(key)) {
        if let Some(again) = second.last.get(key) {
            assert_eq!(said.numbers(), again.numbers(), "{key:?}, read again");
        }
    }
}

/// What retention has no part in.
fn lasting(fate: Fate) -> Fate {
    match fate {
        Fate::Counted { hash, ts, .. } => Fate::Counted {
            hash,
            ts,
            periods: 0,
        },
        other => other,
    }
}
