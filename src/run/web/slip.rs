//! Questions on their way to the counting, and what comes back.

use std::sync::Arc;
use std::time::Duration;

use crossbeam_channel::{Receiver, RecvTimeoutError, SendTimeoutError, Sender, bounded};

use crate::engine::calendar::WindowId;
use crate::engine::look::clerk::{Counted, Looked, Unanswered};
use crate::engine::look::{Known, Look, Seen, Select};
use crate::engine::shard::Shelf;
use crate::limits::{LOOK_WAIT_MS, MAX_THREADS, QUESTION_QUEUE};

/// A question, and where the answer goes.
#[derive(Debug)]
pub(in crate::run) struct Slip {
    pub(in crate::run) select: Select,
    /// Has room for all parts: whoever answers never waits.
    pub(in crate::run) reply: Sender<Part>,
}

/// A part of what comes back.
#[derive(Debug)]
pub(in crate::run) enum Part {
    /// First, of the consumer loop.
    Known(Box<FromAdmission>),
    /// Then one of each shard that was asked.
    Seen(Seen),
}

/// What the consumer loop says.
#[derive(Debug)]
pub(in crate::run) struct FromAdmission {
    pub(in crate::run) known: Known,
    /// The partitions' names, by index.
    pub(in crate::run) names: Arc<[String]>,
    /// How many shards were asked.
    pub(in crate::run) shards: usize,
}

/// A question to a shard.
#[derive(Debug, Clone)]
pub(in crate::run) struct ShardSlip {
    pub(in crate::run) look: Arc<Look>,
    pub(in crate::run) reply: Sender<Part>,
}

/// Where the consumer loop finds questions.
#[derive(Debug, Clone)]
pub(in crate::run) struct Inbox(Receiver<Slip>);

impl Inbox {
    /// The next question, if there is one.
    pub(in crate::run) fn take(&self) -> Option<Slip> {
        self.0.try_recv().ok()
    }
}

/// A running service, to be asked through its channels.
pub(super) struct Live {
    questions: Sender<Slip>,
    /// Where sketches are that have left memory.
    shelf: Option<Box<dyn Shelf>>,
}

impl Live {
    pub(super) fn new(shelf: Option<Box<dyn Shelf>>) -> (Self, Inbox) {
        let (questions, inbox) = bounded(QUESTION_QUEUE);
        (Self { questions, shelf }, Inbox(inbox))
    }
}

fn late(error: RecvTimeoutError) -> Unanswered {
    match error {
        RecvTimeoutError::Timeout => Unanswered::Late,
        RecvTimeoutError::Disconnected => Unanswered::Ended,
    }
}

impl Counted for Live {
    fn look(&mut self, select: Select) -> Result<Looked, Unanswered> {
        let limit = Duration::from_millis(LOOK_WAIT_MS);
        let (reply, parts) = bounded(1 + MAX_THREADS);
        let sent = self.questions.send_timeout(Slip { select, reply }, limit);
        sent.map_err(|error| match error {
            SendTimeoutError::Timeout(_) => Unanswered::Late,
            SendTimeoutError::Disconnected(_) => Unanswered::Ended,
        })?;
        let Part::Known(first) = parts.recv_timeout(limit).map_err(late)? else {
            return Err(Unanswered::Ended);
        };
        let FromAdmission {
            known,
            names,
            shards,
        } = *first;
        let mut seen = Vec::new();
        while seen.len() < shards {
            if let Part::Seen(part) = parts.recv_timeout(limit).map_err(late)? {
                seen.push(part);
            }
        }
        Ok(Looked { known, names, seen })
    }

    fn fetch(&mut self, id: WindowId) -> Result<Vec<u8>, String> {
        let shelf = self.shelf.as_mut();
        shelf.ok_or("nothing is saved")?.fetch(id)
    }
}
