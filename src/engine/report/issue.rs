//! What becomes of the answer to a barrier: records into the outbox, and with a state a checkpoint to be written.
//!
//! Invariants: 1. The finals of a barrier are in the outbox before the checkpoint that says so is put together. 2. The digest in a
//! tick is that of a checkpoint taken at the tick's own barrier.

use super::forget::Forget;
use super::outbox::{Kind, Outbox, Outgoing};
use super::record::{Coalesced, ProcessRecord, Recorder, window_key, window_keys};
use crate::engine::barrier::{Answer, Snapshot, Stage};
use crate::engine::checkpoint::keeping::Keeping;
use crate::engine::checkpoint::{Commit, SavedAdmission};
use crate::limits::WINDOWS_PER_BARRIER;

/// A barrier that all shards have answered.
#[derive(Debug)]
pub struct Answered<'a> {
    /// What the admission knew.
    pub snapshot: &'a Snapshot,
    /// What the admission wants saved, if anything.
    pub saved: Option<Box<SavedAdmission>>,
    /// What the shards answered together.
    pub answer: Answer,
    /// The partitions' names in records, by index.
    pub names: &'a [String],
    /// The partitions' names in the state, by index.
    pub places: &'a [String],
    /// When the records go out, unix milliseconds.
    pub now_ms: u64,
    /// How the service fares; of use where there is a tick.
    pub health: Option<(Coalesced, ProcessRecord)>,
    /// Whether nothing comes after this.
    pub is_last: bool,
}

/// Why a barrier came to nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IssueError {
    /// A record has no text: a defect of the program.
    #[error("a record cannot be written: {0}")]
    Record(String),
    /// What was saved before cannot be read.
    #[error("{0}")]
    State(String),
}

/// Issues the records of barriers.
#[derive(Debug)]
pub struct Issuer {
    recorder: Recorder,
    job: String,
    forget: Forget,
    /// `None` where nothing is saved.
    keeping: Option<Keeping>,
}

impl Issuer {
    /// An issuer of a job's records that saves nothing.
    #[must_use]
    pub fn new(recorder: Recorder, job: String, forget: Forget) -> Self {
        Self {
            recorder,
            job,
            forget,
            keeping: None,
        }
    }

    /// From now on what barriers want saved is put together.
    pub fn keep(&mut self, keeping: Keeping) {
        self.keeping = Some(keeping);
    }

    /// What is known of the state; `None` where nothing is saved.
    pub fn keeping(&mut self) -> Option<&mut Keeping> {
        self.keeping.as_mut()
    }

    /// Puts the records of a barrier into the outbox, each after `note` has seen it. Returns what is to be written, where the
    /// barrier wants that: no other checkpoint may be under way then.
    ///
    /// # Errors
    ///
    /// See [`IssueError`].
    pub fn issue(
        &mut self,
        answered: Answered<'_>,
        outbox: &mut Outbox,
        note: &mut dyn FnMut(&Outgoing),
    ) -> Result<Option<Commit>, IssueError> {
        let Answered {
            snapshot,
            saved,
            answer,
            names,
            places,
            now_ms,
            health,
            is_last,
        } = answered;
        let mut put = |outbox: &mut Outbox, record: Outgoing| {
            note(&record);
            outbox.put(record);
        };
        // The tick first: its number is in the provisional records that go with it.
        let mut stats = self
            .recorder
            .stats(snapshot, &answer, names, now_ms, health);
        for output in self.recorder.windows(snapshot, &answer, names, now_ms) {
            let kind = match output.stage {
                Stage::Provisional => Kind::Provisional(output.id),
                Stage::Final { seq, .. } | Stage::Revised { seq, .. } => {
                    Kind::Final(output.id, seq)
                }
            };
            let key = window_key(&self.job, output.id, output.stage);
            let payload = Some(text_of(&output.record)?);
            put(outbox, Outgoing { kind, key, payload });
        }
        self.forget(snapshot.event_watermark, outbox);
        let mut commit = None;
        if let (Some(keeping), Some(saved)) = (&mut self.keeping, saved) {
            let sketches = answer.saved.unwrap_or_default();
            let saved = keeping.save(*saved, sketches, places, outbox);
            commit = Some(saved.map_err(IssueError::State)?);
        }
        if let Some(stats) = &mut stats {
            if let Some(commit) = &commit {
                stats.reflect(commit.digest);
            }
            if is_last {
                stats.take_leave();
            }
            let (key, payload) = (self.job.clone(), Some(text_of(stats)?));
            let kind = if is_last { Kind::LastTick } else { Kind::Tick };
            put(outbox, Outgoing { kind, key, payload });
        }
        Ok(commit)
    }

    /// Deletes the records of windows that are old enough, the provisional ones too.
    fn forget(&mut self, watermark: Option<i64>, outbox: &mut Outbox) {
        let Some(watermark) = watermark else { return };
        for id in self.forget.due(watermark, WINDOWS_PER_BARRIER) {
            for key in window_keys(&self.job, id) {
                outbox.put(Outgoing {
                    kind: Kind::Forgotten(id),
                    key,
                    payload: None,
                });
            }
        }
    }
}

fn text_of<T: serde::Serialize>(record: &T) -> Result<Vec<u8>, IssueError> {
    serde_json::to_vec(record).map_err(|error| IssueError::Record(error.to_string()))
}
