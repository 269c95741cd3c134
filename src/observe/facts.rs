//! What is known of a running service at a moment, for people and monitoring: plain values, put up by the threads that know
//! them.

use std::sync::Arc;

use crate::engine::frame::EventTime;
use crate::engine::ledger::Ledger;
use crate::engine::report::record::Coalesced;
use crate::view::heard::Count;

/// What the consumer loop knows. Times in `_ms` are of the monotonic clock.
#[derive(Debug, Clone, Default)]
pub struct Facts {
    /// When this was noted.
    pub at_ms: u64,
    /// What became of every frame.
    pub ledger: Ledger,
    /// Bytes of the frames read since the start.
    pub read_bytes: u64,
    /// Greatest event time counted, or where time has walked to.
    pub as_of: Option<EventTime>,
    /// From when on the counts are whole.
    pub since: Option<EventTime>,
    /// The event time before which no frame on time is expected any more.
    pub watermark: Option<i64>,
    /// The partitions, by index.
    pub partitions: Vec<PartitionFacts>,
    /// Partitions whose clock is ahead of most others', by index, and by how many seconds.
    pub ahead: Vec<(usize, u32)>,
    /// Since when brokers or topics have been out of reach.
    pub unreachable_since_ms: Option<u64>,
    /// Since when reading waits for a topic of uncounted frames.
    pub aside_stuck_since_ms: Option<u64>,
    /// Whether reading waits for the output topics.
    pub waits_for_output: bool,
    /// What came lately.
    pub lately: Lately,
}

/// One partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartitionFacts {
    /// Its topic.
    pub topic: Arc<str>,
    /// Its number there.
    pub partition: Arc<str>,
    /// The offset of the first frame that is not reflected.
    pub next_offset: i64,
    /// Frames published and not yet read; `None` while the brokers do not tell.
    pub lag: Option<u64>,
    /// The greatest event time counted from it.
    pub clock: Option<EventTime>,
}

/// What frames were like since the last one that counted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Lately {
    /// When the last frame was read.
    pub read_ms: u64,
    /// When the last frame counted; of the start, before the first one.
    pub counted_ms: u64,
    /// The ledger at that moment.
    pub then: Ledger,
}

impl Lately {
    /// Takes note of the ledger at a moment.
    pub fn note(&mut self, ledger: &Ledger, now_ms: u64, read_before: u64) {
        if ledger.read > read_before {
            self.read_ms = now_ms;
        }
        if ledger.counted > self.then.counted {
            (self.counted_ms, self.then) = (now_ms, ledger.clone());
        }
    }
}

/// What the reporter knows.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Publishing {
    /// Since when something has waited for the output, and nothing was taken.
    pub stuck_since_ms: Option<u64>,
    /// Finals, revisions and deletions that the output does not have.
    pub unpublished_finals: usize,
    /// Records that were never published because newer ones took their place.
    pub coalesced: Coalesced,
    /// Whether another instance of the job publishes.
    pub stands_by: bool,
    /// The checkpoints; `None` where nothing is saved.
    pub checkpoints: Option<Checkpoints>,
}

/// The checkpoints of the state.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Checkpoints {
    /// How many were written since the start.
    pub written: u64,
    /// When the last one was.
    pub last_ms: Option<u64>,
    /// How long it took to be written, in milliseconds.
    pub took_ms: u64,
    /// Since when one has been under way.
    pub begun_ms: Option<u64>,
}

/// A tick.
#[derive(Debug, Clone, PartialEq)]
pub struct TickNote {
    /// The start of the service, unix milliseconds.
    pub epoch: u64,
    /// Its number.
    pub tick: u64,
    /// The record as it is published.
    pub json: String,
    /// The trailing windows by name, the shortest first.
    pub trailing: Vec<(&'static str, Count)>,
}
