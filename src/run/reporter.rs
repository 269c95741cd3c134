//! The reporter thread: joins the shards' answers to each barrier and hands them to a publisher.

use std::sync::Arc;
use std::time::Duration;

use crossbeam_channel::{Receiver, RecvTimeoutError};

use super::pulse::Pulse;
use crate::engine::barrier::{Answer, Snapshot};
use crate::engine::checkpoint::SavedAdmission;
use crate::error::Failure;
use crate::observe::failpoint::Failpoint;

/// How the reading goes, as far as the counts do not tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Intake {
    /// Bytes of the frames read since the start.
    pub read_bytes: u64,
    /// Frames published and not yet read; `None` while that is not known.
    pub lag: Option<u64>,
    /// Whether nothing comes after this.
    pub stopped: bool,
}

/// A barrier as the reporter sees it.
#[derive(Debug)]
pub struct Report {
    /// What the admission knew.
    pub snapshot: Snapshot,
    /// What is to be saved, if anything.
    pub saved: Option<Box<SavedAdmission>>,
    /// The partitions' names in records, by index.
    pub partitions: Arc<[String]>,
    /// The partitions' names in the state, by index: they do not depend on what else is read.
    pub places: Arc<[String]>,
    /// How the reading goes.
    pub intake: Intake,
}

/// A message to the reporter.
#[derive(Debug)]
pub(super) enum ToReporter {
    Report(Box<Report>),
    Finish { deadline_ms: u64 },
}

/// What becomes of joined answers.
pub trait Publisher: Send {
    /// Takes the joined answer to a barrier.
    ///
    /// # Errors
    ///
    /// When nothing can be put out any more; this ends the run.
    fn publish(&mut self, report: Report, answer: Answer) -> Result<(), Failure>;

    /// Called when nothing has come for [`Self::patience`]: the moment for acknowledgements and second tries.
    ///
    /// # Errors
    ///
    /// As [`Self::publish`].
    fn tend(&mut self) -> Result<(), Failure>;

    /// How long to wait before [`Self::tend`].
    fn patience(&self) -> Duration;

    /// Puts out what is left, until the deadline on the publisher's clock.
    ///
    /// # Errors
    ///
    /// When something could not be put out that should have been.
    fn finish(&mut self, deadline_ms: u64) -> Result<(), Failure>;
}

pub(super) struct Reporter {
    announced: Receiver<ToReporter>,
    answers: Vec<Receiver<Answer>>,
    publisher: Box<dyn Publisher>,
    pulse: Pulse,
}

impl Reporter {
    pub(super) fn new(
        announced: Receiver<ToReporter>,
        answers: Vec<Receiver<Answer>>,
        publisher: Box<dyn Publisher>,
    ) -> Self {
        Self {
            announced,
            answers,
            publisher,
            pulse: Pulse::default(),
        }
    }

    /// Its sign of life.
    pub(super) fn pulse(&self) -> Pulse {
        self.pulse.clone()
    }

    pub(super) fn run(mut self) -> Result<(), Failure> {
        loop {
            self.pulse.rest();
            let told = self.announced.recv_timeout(self.publisher.patience());
            self.pulse.work();
            match told {
                Ok(ToReporter::Report(report)) => {
                    Failpoint::Report.pass();
                    let Some(mut answer) = self.join() else {
                        // A worker died; whoever joins it says so.
                        return Ok(());
                    };
                    if let Some(why) = answer.trouble.take() {
                        return Err(Failure::State(format!("the state cannot be read: {why}")));
                    }
                    self.publisher.publish(*report, answer)?;
                }
                Ok(ToReporter::Finish { deadline_ms }) => {
                    return self.publisher.finish(deadline_ms);
                }
                Err(RecvTimeoutError::Timeout) => self.publisher.tend()?,
                Err(RecvTimeoutError::Disconnected) => return Ok(()),
            }
        }
    }

    /// Every worker answers every barrier, in order, so the next answer of each belongs to the same one.
    fn join(&self) -> Option<Answer> {
        let mut answers = self.answers.iter();
        let mut joined = answers.next()?.recv().ok()?;
        for answer in answers {
            joined.merge(answer.recv().ok()?);
        }
        Some(joined)
    }
}
