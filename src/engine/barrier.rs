//! Barriers: a question that follows the sightings through every channel, so that the answers reflect exactly the
//! frames before it, together with what the admission knew at that moment.

use super::calendar::WindowId;
use super::checkpoint::{SavedAdmission, SavedSketches};
use super::frame::EventTime;
use super::ledger::Ledger;
use super::sketch::estimate::Tally;

/// What every shard is asked and told at a barrier.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Question {
    /// Where the trailing windows start, if they are asked for.
    pub trailing: Option<[i64; 6]>,
    /// Calendar windows to report, in this order.
    pub windows: Vec<WindowId>,
    /// Closed windows that nobody has visited for a while: to be packed.
    pub cooled: Vec<WindowId>,
    /// Windows to forget, after they were reported.
    pub evicted: Vec<WindowId>,
    /// Whether to hand over what changed since the last time, to be saved.
    pub save: bool,
}

/// What shards answer; the answers of all shards add up to the answer for the whole sketch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// One tally a trailing window, if they were asked for.
    pub trailing: Option<[Tally; 6]>,
    /// One tally a window of the question, in its order.
    pub windows: Vec<Tally>,
    /// What changed, if it was asked for.
    pub saved: Option<SavedSketches>,
    /// Why sketches on the shelf could not be read: then the answer is worth nothing.
    pub trouble: Option<String>,
}

impl Answer {
    /// Adds another shard's answer to the same question.
    pub fn merge(&mut self, other: Self) {
        assert_eq!(self.windows.len(), other.windows.len(), "one question");
        if let (Some(ours), Some(theirs)) = (&mut self.trailing, &other.trailing) {
            for (our, their) in ours.iter_mut().zip(theirs) {
                our.merge(their);
            }
        }
        for (our, their) in self.windows.iter_mut().zip(&other.windows) {
            our.merge(their);
        }
        if let (Some(ours), Some(theirs)) = (&mut self.saved, other.saved) {
            ours.parts.extend(theirs.parts);
            ours.stretches.extend(theirs.stretches);
        }
        self.trouble = self.trouble.take().or(other.trouble);
    }
}

/// What closed a window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClosedBy {
    /// The watermark passed its end.
    EventTime,
    /// All partitions were idle, and the clock walked past its end.
    Idle,
    /// The input ended.
    End,
}

impl ClosedBy {
    /// The name in records.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::EventTime => "event_time",
            Self::Idle => "idle",
            Self::End => "end",
        }
    }
}

/// Where a window stands when it is reported.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// May still change.
    Provisional,
    /// Said once, when the window is closed.
    Final {
        /// The number of this record among all finals and revisions, without gaps from 1.
        seq: u64,
        /// What closed the window.
        closed_by: ClosedBy,
    },
    /// Said when frames were counted after the final.
    Revised {
        /// As in a final.
        seq: u64,
        /// What had closed the window.
        closed_by: ClosedBy,
        /// The number of this revision of the window, without gaps from 1.
        revision: u32,
    },
}

/// What is known of a reported window besides its users.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WindowFacts {
    /// Which window.
    pub id: WindowId,
    /// First unix second after it.
    pub end: i64,
    /// Frames counted in it.
    pub frames: u64,
    /// Of those: late ones.
    pub late: u64,
    /// Whether every frame of it can have been read: no partition was joined after the window began.
    pub complete: bool,
    /// Where it stands.
    pub stage: Stage,
}

/// What the admission knew when a barrier was raised.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    /// The number of this tick, from 1; `None` for a barrier without trailing windows.
    pub tick: Option<u64>,
    /// Greatest counted event time; `None` before the first counted frame.
    pub as_of: Option<EventTime>,
    /// The event time before which no frame on time is expected any more, unix seconds; walked on while all partitions
    /// are idle.
    pub watermark: Option<i64>,
    /// The same without the walk: what retention goes by.
    pub event_watermark: Option<i64>,
    /// From when on the counts are whole (docs/FORMAT.md).
    pub since: Option<EventTime>,
    /// Partitions whose clock is ahead of most others', by index, and by how many seconds.
    pub ahead: Vec<(usize, u32)>,
    /// Partitions of which frames were lost, by index, and how many offsets.
    pub lost: Vec<(usize, u64)>,
    /// What became of every frame.
    pub ledger: Ledger,
    /// The next offset of each partition, by its index: all before it are reflected.
    pub offsets: Vec<i64>,
    /// The windows of the question, in its order.
    pub windows: Vec<WindowFacts>,
}

/// A barrier: what goes to the shards, and what goes to the reporter beside their answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Barrier {
    /// For the shards.
    pub question: Question,
    /// For the reporter.
    pub snapshot: Snapshot,
    /// Whether another barrier must follow at once, because this one was full.
    pub more: bool,
    /// What is to be saved, if that was asked for.
    pub saved: Option<Box<SavedAdmission>>,
}
