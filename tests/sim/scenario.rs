//! What a seed stands for: producers and their faults, and how the service is run on what they wrote.

use std::fmt;
use std::sync::Arc;

use super::dice::Dice;
use super::model::Rules;
use super::settings;
use super::traffic;

pub const HOUR_S: i64 = 3_600;
pub const DAY_S: i64 = 86_400;

/// What a frame says, as the documentation of formats reads it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Meaning {
    Seen { user: usize, ts: i64 },
    Ignored,
    Rejected(&'static str),
}

/// What stands at an offset.
#[derive(Debug, Clone)]
pub enum Slot {
    /// Nothing that is delivered, such as a transaction's end.
    Marker,
    Frame {
        value: Option<Vec<u8>>,
        meaning: Meaning,
        /// When the broker wrote it, where it says so, in unix seconds.
        appended: Option<i64>,
    },
}

#[derive(Debug, Clone)]
pub struct Record {
    /// When it is there to be read, in unix milliseconds.
    pub at_ms: i64,
    pub slot: Slot,
}

#[derive(Debug, Clone)]
pub struct Partition {
    pub kind: &'static str,
    /// When the partition is made.
    pub created_ms: i64,
    /// By offset.
    pub records: Vec<Record>,
}

#[derive(Debug, Clone)]
pub struct User {
    pub text: String,
    pub hash: u64,
}

#[derive(Debug, Clone)]
pub struct Topic {
    pub users: Vec<User>,
    pub partitions: Vec<Partition>,
}

impl Topic {
    /// User and time of a good frame.
    pub fn seen(&self, partition: usize, offset: i64) -> (usize, i64) {
        match self.partitions[partition].records[offset as usize].slot {
            Slot::Frame {
                meaning: Meaning::Seen { user, ts },
                ..
            } => (user, ts),
            _ => panic!("no good frame at {partition}:{offset}"),
        }
    }

    pub fn records(&self) -> usize {
        self.partitions.iter().map(|p| p.records.len()).sum()
    }
}

/// How a consumer goes about it. Whatever it is, every frame has the same fate.
#[derive(Debug, Clone)]
pub struct Schedule {
    /// When the service starts.
    pub begin_ms: i64,
    /// Where it starts reading the partitions that are there then.
    pub starts: Vec<i64>,
    pub every_ms: i64,
    pub idle_ms: i64,
    /// Most records of a partition that one round takes, and the longest round.
    pub fetch: usize,
    pub round_ms: i64,
    /// How many times more seldom a partition is read than the others.
    pub throttle: Vec<usize>,
    /// From and to when the broker does not answer.
    pub outages: Vec<(i64, i64)>,
    /// During an outage, this partition's records before this offset are deleted.
    pub deleted: Option<(usize, i64)>,
    /// How long the service runs on after the last record.
    pub tail_ms: i64,
    /// Whether the partitions end then.
    pub ends: bool,
    pub dice: u64,
}

/// How the service is built. No result depends on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Build {
    pub shards: usize,
    pub batch: usize,
    /// Whether shards do their work now and then, each at its own moments.
    pub ragged: bool,
    /// Which of the decoders, counted round.
    pub decoder: usize,
}

pub struct Scenario {
    pub seed: u64,
    pub zone: &'static str,
    pub rules: Rules,
    pub topic: Arc<Topic>,
    pub from_s: i64,
    pub span_s: i64,
    pub faults: traffic::Faults,
    pub schedule: Schedule,
    pub build: Build,
    /// Once in so many turns the output's condition changes for the worse; 0 is never.
    pub output_trouble: usize,
}

impl Scenario {
    pub fn new(seed: u64) -> Self {
        let mut dice = Dice::new(seed);
        let zone = settings::zone(&mut dice);
        let rules = settings::rules(zone, &mut dice);
        let from_s = settings::from_s(&rules, &mut dice);
        let span_s = settings::span_s(&mut dice);
        let faults = traffic::Faults::new(zone, &mut dice);
        let topic = traffic::topic(from_s, span_s, &faults, &mut dice);
        let schedule = settings::schedule(&topic, from_s, span_s, &mut dice);
        Self {
            seed,
            zone,
            rules,
            topic: Arc::new(topic),
            from_s,
            span_s,
            faults,
            schedule,
            build: settings::build(&mut dice),
            output_trouble: dice.pick(&[0, 6, 30, 200]),
        }
    }
}

impl fmt::Display for Scenario {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Rules {
            clock,
            retention_s,
            provisionals,
            periods,
            precision,
            ..
        } = &self.rules;
        writeln!(f, "scenario {}", self.seed)?;
        writeln!(
            f,
            "  {} s from {} in {}; {:?}; retention {retention_s:?}; provisionals {provisionals}; \
             periods {periods:06b}; p = {precision}",
            self.span_s, self.from_s, self.zone, clock
        )?;
        writeln!(f, "  {:?}", self.faults)?;
        for (i, partition) in self.topic.partitions.iter().enumerate() {
            writeln!(
                f,
                "  partition {i}: {}, {} records, made at {} ms",
                partition.kind,
                partition.records.len(),
                partition.created_ms
            )?;
        }
        writeln!(f, "  {:?}", self.schedule)?;
        write!(
            f,
            "  {:?}; output trouble {}",
            self.build, self.output_trouble
        )
    }
}
