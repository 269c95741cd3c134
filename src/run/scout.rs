//! The scout thread: asks the brokers what there is to read, which may block, and says so to the consumer loop.

use std::time::Duration;

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded};

use super::pipeline::spawn;
use crate::error::Failure;
use crate::io::kafka_client::Connection;
use crate::io::sink::kafka::{TopicPlan, create_topics};
use crate::io::source::kafka::{Surveyed, Surveyor};
use crate::limits::{BACKOFF_MAX_MS, BACKOFF_MIN_MS};
use crate::observe::happenings::caution;

/// What the brokers say, or why they say nothing; the scout goes on trying.
pub(super) type Survey = Result<Vec<Surveyed>, Unreached>;

/// Why the brokers say nothing, in one sentence.
pub(super) enum Unreached {
    /// Something is out of reach.
    Away(String),
    /// They do not let us in; `ever` is whether they have before.
    Refused { why: String, ever: bool },
}

pub(super) struct Scout {
    ask: Sender<bool>,
    surveys: Receiver<Survey>,
    is_asked: bool,
    when_asked: WhenAsked,
}

/// How things stood when a survey was asked for: the brokers' answer is younger.
#[derive(Debug, Default)]
pub(super) struct WhenAsked {
    /// The next offsets to be read, by partition index.
    pub(super) offsets: Vec<i64>,
    /// The moment, milliseconds on the monotonic clock.
    pub(super) at_ms: u64,
}

impl Scout {
    pub(super) fn start(
        surveyor: Surveyor,
        connection: Connection,
        written: Vec<TopicPlan>,
    ) -> Result<Self, Failure> {
        let (ask, asked) = bounded(1);
        let (report, surveys) = bounded(1);
        // Not joined: a call into the client library may outlast the run.
        drop(spawn("scout".to_owned(), move || {
            let mut errand = Errand {
                surveyor,
                connection,
                written,
            };
            errand.run(&asked, &report);
        })?);
        Ok(Self {
            ask,
            surveys,
            is_asked: false,
            when_asked: WhenAsked::default(),
        })
    }

    /// Asks for a survey, unless one is under way; whether with the topics' ids even if it is not their turn. `offsets` are the
    /// next ones to be read, by partition index.
    pub(super) fn ask(&mut self, wants_ids: bool, offsets: impl Iterator<Item = i64>, now_ms: u64) {
        if !self.is_asked && self.ask.try_send(wants_ids).is_ok() {
            self.is_asked = true;
            self.when_asked = WhenAsked {
                offsets: offsets.collect(),
                at_ms: now_ms,
            };
        }
    }

    /// A survey that has come in, waited for up to `wait`, and how things stood when it was asked for.
    pub(super) fn take(&mut self, wait: Duration) -> Option<(Survey, WhenAsked)> {
        let survey = self.surveys.recv_timeout(wait).ok()?;
        if survey.is_err() {
            return Some((survey, WhenAsked::default()));
        }
        self.is_asked = false;
        Some((survey, std::mem::take(&mut self.when_asked)))
    }
}

struct Errand {
    surveyor: Surveyor,
    connection: Connection,
    /// The topics that are written to, until they were seen to.
    written: Vec<TopicPlan>,
}

impl Errand {
    fn run(&mut self, asked: &Receiver<bool>, report: &Sender<Survey>) {
        while let Ok(wants_ids) = asked.recv() {
            let mut backoff_ms = BACKOFF_MIN_MS;
            loop {
                let survey = self.survey(wants_ids);
                let done = survey.is_ok();
                let sent = if done {
                    report.send(survey).is_ok()
                } else {
                    // The same trouble is told once; if that still lies unread, this one need not be added.
                    !matches!(report.try_send(survey), Err(e) if e.is_disconnected())
                };
                if !sent {
                    return;
                }
                if done {
                    break;
                }
                let wait = Duration::from_millis(backoff_ms);
                if asked.recv_timeout(wait) == Err(RecvTimeoutError::Disconnected) {
                    return;
                }
                backoff_ms = (backoff_ms * 2).min(BACKOFF_MAX_MS);
            }
        }
    }

    fn survey(&mut self, wants_ids: bool) -> Survey {
        let before = self.connection.answers();
        let surveyed = self.prepare();
        let surveyed = surveyed.and_then(|()| self.surveyor.survey(wants_ids));
        surveyed.map_err(|why| {
            if self.connection.answers() > before {
                return Unreached::Away(why);
            }
            let ever = before > 0;
            match self.connection.refusal() {
                Some(why) => Unreached::Refused { why, ever },
                None => Unreached::Away(why),
            }
        })
    }

    fn prepare(&mut self) -> Result<(), String> {
        if !self.written.is_empty() {
            for refused in create_topics(&self.connection, &self.written)? {
                caution(&refused);
            }
        }
        self.written.clear();
        Ok(())
    }
}
