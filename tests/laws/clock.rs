//! What the laws of the clock have in common: streams whose true times are known, and what became of each frame.

use std::collections::BTreeMap;

use headcount::engine::admit::{Admission, Admitted, Arrival, PartitionIndex, Rules};
use headcount::engine::calendar::{Calendar, Period};
use headcount::engine::catalog::{Ask, Emission};
use headcount::engine::clock::{ClockRules, Quarantine};
use headcount::engine::decode::{Decoder, Fields};
use headcount::engine::frame::{EventTime, Verdict};
use headcount::engine::ledger::Ledger;
use headcount::limits::{CLOCK_VOTES, RETENTION_MAX_S};

use super::dice::Dice;
use super::world::{end, tick};

/// A second of 2026, at no full minute.
pub const START: u32 = 1_774_612_817;
pub const HOUR: u32 = 3_600;
pub const DAY: u32 = 86_400;
pub const YEAR: u32 = 366 * DAY;
/// The defaults of the program.
pub const MAX_JUMP_S: u32 = 60;
pub const MAX_LATENESS_S: u32 = 1_095 * DAY + YEAR;

/// The defaults but for retention: nothing expires, so that every window that ever was is put out at the end.
pub fn doubtful() -> Rules {
    Rules {
        calendar: Calendar::utc(),
        clock: ClockRules {
            lateness_s: 5,
            max_lateness_s: MAX_LATENESS_S,
            max_jump_s: MAX_JUMP_S,
        },
        retention_s: [RETENTION_MAX_S as i64; Period::ALL.len()],
        emission: Emission::Once,
        periods: Period::Minute.bit() | Period::Hour.bit() | Period::Day.bit(),
    }
}

/// How often honest frames come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rate {
    /// So many in a second.
    PerSecond(u32),
    /// One in so many seconds.
    Every(u32),
}

pub const RATES: [Rate; 4] = [
    Rate::PerSecond(100),
    Rate::PerSecond(3),
    Rate::Every(1),
    Rate::Every(120),
];

impl Rate {
    pub fn at(self, frame: usize) -> u32 {
        let frame = frame as u32;
        match self {
            Self::PerSecond(n) => frame / n,
            Self::Every(s) => frame * s,
        }
    }

    /// How far ahead of the greatest true time so far a frame may be counted: `--max-jump`, or 6 times the median
    /// distance of 48 votes from their median, which is 12 frames (and one more where a vote or two are wrong).
    pub fn reach_s(self) -> u32 {
        match self {
            Self::PerSecond(n) => MAX_JUMP_S.max(6 * 13 / n + 1),
            Self::Every(s) => MAX_JUMP_S.max(6 * 13 * s),
        }
    }
}

/// A frame whose true time is known.
#[derive(Debug, Clone, Copy)]
pub struct Frame {
    pub truth: u32,
    /// What the program's decoder makes of what the frame says.
    pub verdict: Verdict,
    pub appended: Option<EventTime>,
    /// Whether it says the truth.
    pub honest: bool,
}

impl Frame {
    pub fn new(truth: u32, says: u64) -> Self {
        let text = format!(r#"{{"uid":"user-{}","ts":{says}}}"#, says % 1_000);
        Self {
            truth,
            verdict: Decoder::new(Fields::default()).decode(Some(text.as_bytes())),
            appended: None,
            honest: says == u64::from(truth),
        }
    }

    pub fn honest(truth: u32) -> Self {
        Self::new(truth, truth.into())
    }

    /// The same frame with some bits of its 64-bit time inverted.
    pub fn flipped(self, bits: u64) -> Self {
        Self::new(self.truth, u64::from(self.truth) ^ bits)
    }

    /// What it says, if that is a time.
    pub fn says(&self) -> Option<u32> {
        match self.verdict {
            Verdict::Seen(_, ts) => Some(ts),
            _ => None,
        }
    }
}

pub fn honest(n: usize, rate: Rate) -> Vec<Frame> {
    (0..n).map(|i| Frame::honest(START + rate.at(i))).collect()
}

pub fn from_times(times: impl IntoIterator<Item = u32>) -> Vec<Frame> {
    times.into_iter().map(Frame::honest).collect()
}

/// What became of a frame, and at which frame of its partition that was decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Became {
    Open,
    Counted(usize),
    Quarantined(Quarantine, usize),
    Rejected,
}

impl Became {
    pub fn counted(self) -> bool {
        matches!(self, Self::Counted(_))
    }

    pub fn reason(self) -> Option<Quarantine> {
        match self {
            Self::Quarantined(reason, _) => Some(reason),
            _ => None,
        }
    }
}

#[derive(Debug)]
pub struct Outcome {
    pub became: Vec<Became>,
    /// The clock after each frame, and after the end.
    pub clocks: Vec<Option<u32>>,
    /// What waited when the last frame had been read.
    pub pending: usize,
    pub ledger: Ledger,
    /// Frames by window: period, first second.
    pub windows: BTreeMap<(Period, i64), u64>,
}

impl Outcome {
    pub fn of_reason(&self, reason: Quarantine) -> usize {
        let became = self.became.iter();
        became.filter(|b| b.reason() == Some(reason)).count()
    }

    pub fn quarantined(&self) -> usize {
        let became = self.became.iter();
        became.filter(|b| b.reason().is_some()).count()
    }
}

/// One partition's frames on their way through an admission.
struct Followed {
    partition: PartitionIndex,
    became: Vec<Became>,
    clocks: Vec<Option<u32>>,
}

impl Followed {
    fn new(partition: PartitionIndex, frames: usize) -> Self {
        Self {
            partition,
            became: vec![Became::Open; frames],
            clocks: Vec::with_capacity(frames + 1),
        }
    }

    fn feed(&mut self, admission: &mut Admission, at: usize, frame: &Frame) {
        let arrival = Arrival {
            partition: self.partition,
            offset: at as i64,
            appended: frame.appended,
        };
        let admitted = admission.admit(arrival, frame.verdict);
        self.became[at] = match admitted {
            Admitted::Counted(_) => Became::Counted(at),
            Admitted::Held => Became::Open,
            Admitted::Quarantined(reason) => Became::Quarantined(reason, at),
            Admitted::Neither => Became::Rejected,
        };
        self.settle(admission, at);
    }

    fn settle(&mut self, admission: &mut Admission, at: usize) {
        for settled in admission.take_settled() {
            if settled.partition != self.partition {
                continue;
            }
            let became = &mut self.became[settled.offset as usize];
            assert_eq!(*became, Became::Open, "decided twice");
            *became = match settled.outcome {
                Ok(_) => Became::Counted(at),
                Err(reason) => Became::Quarantined(reason, at),
            };
        }
        self.clocks.push(admission.clock(self.partition));
    }
}

/// The frames alone, as one partition.
pub fn run(frames: &[Frame], rules: &Rules) -> Outcome {
    let mut admission = Admission::new(rules.clone());
    let partition = admission.add_partition(0, true);
    let mut followed = Followed::new(partition, frames.len());
    for (at, frame) in frames.iter().enumerate() {
        followed.feed(&mut admission, at, frame);
        assert!(admission.ledger().balances());
        let pending = admission.pending(partition);
        assert_eq!(admission.ledger().pending, pending as u64);
        assert!(pending < CLOCK_VOTES);
    }
    let pending = admission.pending(partition);
    admission.finish(partition);
    followed.settle(&mut admission, frames.len());
    let mut windows = BTreeMap::new();
    loop {
        let barrier = admission.barrier(end());
        for facts in barrier.snapshot.windows {
            let before = windows.insert((facts.id.period, facts.id.start), facts.frames);
            assert_eq!(before, None, "put out twice");
        }
        if !barrier.more {
            break;
        }
    }
    Outcome {
        became: followed.became,
        clocks: followed.clocks,
        pending,
        ledger: admission.ledger().clone(),
        windows,
    }
}

/// What must hold whatever the frames say: the ledger balances, nothing is left open, only windows exist that a
/// counted frame names, and the clock never falls and is never further ahead of the truth than `reach_s`.
pub fn check(frames: &[Frame], rules: &Rules, reach_s: u32) -> Outcome {
    let outcome = run(frames, rules);
    check_ledger(frames, &outcome);
    let mut windows = BTreeMap::new();
    for (frame, became) in frames.iter().zip(&outcome.became) {
        if became.counted() {
            let ts = i64::from(frame.says().unwrap());
            let periods = [Period::Minute, Period::Hour, Period::Day];
            for (period, length) in periods.into_iter().zip([60, 3_600, 86_400]) {
                *windows.entry((period, ts - ts % length)).or_default() += 1;
            }
        }
    }
    assert_eq!(outcome.windows, windows, "windows of counted frames");
    let (mut latest, mut before) = (0, None);
    for (frame, clock) in frames.iter().zip(&outcome.clocks) {
        latest = frame.truth.max(latest);
        assert!(before <= *clock, "the clock fell");
        let bound = latest.saturating_add(reach_s);
        assert!(
            clock.is_none_or(|clock| clock <= bound),
            "clock {clock:?}, truth {latest}"
        );
        before = *clock;
    }
    outcome
}

fn check_ledger(frames: &[Frame], outcome: &Outcome) {
    let ledger = &outcome.ledger;
    let count = |is: fn(&Became) -> bool| outcome.became.iter().filter(|b| is(b)).count() as u64;
    let rejected: u64 = ledger.rejected().map(|(_, n)| n).sum();
    let quarantined: u64 = ledger.quarantined().map(|(_, n)| n).sum();
    assert_eq!(ledger.read, frames.len() as u64);
    assert_eq!(ledger.pending, 0, "the end settles all");
    assert_eq!(ledger.read, ledger.counted + quarantined + rejected);
    assert_eq!(ledger.counted, count(|b| b.counted()));
    assert_eq!(quarantined, count(|b| b.reason().is_some()));
    assert_eq!(rejected, count(|b| *b == Became::Rejected));
    for (reason, n) in ledger.quarantined() {
        assert_eq!(n, outcome.of_reason(reason) as u64, "{}", reason.name());
    }
}

/// The same, and that nothing around a partition changes what becomes of its frames: neither batches, ticks, resting,
/// nor other partitions, whatever these hold.
pub fn check_in_context(frames: &[Frame], rules: &Rules, reach_s: u32) -> Outcome {
    let outcome = check(frames, rules, reach_s);
    let mut dice = Dice::new(frames.len() as u64);
    let live = Rules {
        emission: Emission::Live,
        retention_s: [0, 60, 3_600, 0, 0, 0],
        ..rules.clone()
    };
    let mut admission = Admission::new(live);
    let others = [0, 1].map(|start| admission.add_partition(start, dice.once_in(2)));
    let partition = admission.add_partition(0, true);
    let mut followed = Followed::new(partition, frames.len());
    for (at, frame) in frames.iter().enumerate() {
        while !dice.once_in(3) {
            let strange = dice.bits() >> (32 + dice.below(4));
            let other = Frame::new(frame.truth, strange ^ u64::from(frame.truth));
            let partition = dice.pick(&others);
            let offset = admission.next_offset(partition);
            let appended = dice.once_in(9).then_some(frame.truth);
            let arrival = Arrival {
                partition,
                offset,
                appended,
            };
            admission.admit(arrival, other.verdict);
        }
        let clocks = followed.clocks.len();
        followed.settle(&mut admission, at);
        followed.clocks.truncate(clocks);
        followed.feed(&mut admission, at, frame);
        match dice.below(12) {
            0 => drain(&mut admission, tick()),
            1 => admission.rest(partition),
            2 => admission.walk_to(frame.truth + 10_000),
            3 => admission.reach_end(partition),
            _ if admission.housekeeping_is_due() => drain(&mut admission, Ask::default()),
            _ => {}
        }
    }
    admission.finish(partition);
    followed.settle(&mut admission, frames.len());
    assert_eq!(followed.became, outcome.became);
    assert_eq!(followed.clocks, outcome.clocks);
    outcome
}

fn drain(admission: &mut Admission, ask: Ask) {
    while admission.barrier(ask).more {}
}

/// That every honest frame was counted.
pub fn assert_none_lost(frames: &[Frame], outcome: &Outcome, what: impl std::fmt::Debug) {
    for (at, (frame, became)) in frames.iter().zip(&outcome.became).enumerate() {
        assert!(
            !frame.honest || became.counted(),
            "{what:?}: frame {at} of {} {became:?}",
            frames.len()
        );
    }
}

/// That what lies is judged by how much: counted within reach, quarantined beyond the reach of the whole stream.
pub fn assert_lies_judged(frames: &[Frame], outcome: &Outcome, reach_s: u32) {
    let last = frames.iter().map(|f| f.truth).max().unwrap();
    for (at, (frame, became)) in frames.iter().zip(&outcome.became).enumerate() {
        let Some(says) = frame.says() else {
            assert_eq!(*became, Became::Rejected);
            continue;
        };
        let what = format!("frame {at} of {}, {:?}", frames.len(), frame);
        if frame.honest {
            continue;
        }
        if says > last + reach_s {
            let reasons = [Quarantine::Ahead, Quarantine::Unconfirmed];
            let reason = became.reason();
            assert!(reason.is_some_and(|r| reasons.contains(&r)), "{what}");
        } else if says <= frame.truth && frame.truth - says <= MAX_LATENESS_S - 2 * reach_s {
            assert!(became.counted(), "{what}: {became:?}");
        } else if says < frame.truth - MAX_LATENESS_S - reach_s - (last - START) {
            assert_eq!(became.reason(), Some(Quarantine::Behind), "{what}");
        }
    }
}
