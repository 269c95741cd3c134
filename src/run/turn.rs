//! Whose turn it is to publish: of several instances of one job that write to the same topics, only one does.
//!
//! Ticks are the sign of life: whoever hears another instance's stands by until they have ceased for a while. The claim is the
//! safeguard: once it is granted, the brokers refuse whatever an earlier holder still sends, be it frozen for minutes
//! and awake again. So a wrong guess about who lives costs a restart, never a second voice.

mod rival;

use std::sync::Arc;
use std::time::Duration;

pub(super) use self::rival::Own;
use self::rival::{Rival, Verdict};
use super::close_with_limit;
use crate::error::Failure;
use crate::io::clock::Clock;
use crate::io::kafka_client::Connection;
use crate::io::published::{Heard, Opened, Reader};
use crate::io::sink::{Lost, Sink};
use crate::limits::{CLAIM_SLOW_MS, LISTEN_STEP_MS, LISTEN_TAIL_TICKS, VIEW_RECORDS_PER_STEP};
use crate::observe::happenings::{ClaimLost, ClaimWaits, PublishingStuck, StandingBy, TakingOver};

/// How other instances are heard.
pub(super) struct Ears {
    pub(super) connection: Connection,
    pub(super) stats: String,
}

impl Ears {
    fn open(&self) -> Result<Opened, Failure> {
        let limit = Duration::from_millis(LISTEN_STEP_MS);
        Reader::of_ticks(&self.connection, &self.stats, LISTEN_TAIL_TICKS, limit)
    }
}

enum Phase {
    /// Others are listened for; not before somebody asks.
    Listening(Option<Reader>),
    Claiming {
        since_ms: u64,
        told: bool,
    },
    Ours,
}

/// Whose turn it is.
pub(super) struct Turn {
    /// `None` where nobody else can publish.
    ears: Option<Ears>,
    phase: Phase,
    rival: Rival,
    /// Whether to leave rather than to stand by.
    leaves: bool,
    told: bool,
    clock: Arc<dyn Clock>,
}

impl Turn {
    /// Always ours.
    pub(super) fn ours(clock: Arc<dyn Clock>) -> Self {
        Self {
            ears: None,
            phase: Phase::Ours,
            rival: Rival::new(String::new(), Own::default(), 0),
            leaves: false,
            told: false,
            clock,
        }
    }

    /// To be found out. Another instance than our `own` is
    /// gone when it was silent for so long. Whoever `leaves` does not wait for a living one to go.
    pub(super) fn new(
        ears: Ears,
        job: String,
        own: Own,
        takeover_after_ms: u64,
        leaves: bool,
        clock: Arc<dyn Clock>,
    ) -> Self {
        Self {
            ears: Some(ears),
            phase: Phase::Listening(None),
            rival: Rival::new(job, own, takeover_after_ms),
            leaves,
            told: false,
            clock,
        }
    }

    /// Whether another instance publishes, and this one waits for it to go.
    pub(super) fn stands_by(&self) -> bool {
        self.told && !self.leaves && !matches!(self.phase, Phase::Ours)
    }

    /// Up to which watermark another instance has come that publishes while this one stands by.
    pub(super) fn left_to_another(&self) -> Option<i64> {
        self.rival.watermark().filter(|_| self.stands_by())
    }

    /// Whether the sink may be written to; finds out a little more if not.
    pub(super) fn is_ours(&mut self, sink: &mut dyn Sink) -> Result<bool, Failure> {
        if let Some(lost) = sink.take_lost()? {
            match &lost {
                Lost::Taken(why) => {
                    ClaimLost { why }.emit();
                    self.rival.lose();
                }
                Lost::Stuck(why) => {
                    PublishingStuck { why }.emit();
                    self.rival.go_deaf();
                }
            }
            self.phase = Phase::Listening(None);
        }
        if matches!(self.phase, Phase::Listening(_)) && !self.listen()? {
            return Ok(false);
        }
        if let Phase::Claiming { since_ms, told } = &mut self.phase {
            let waited_ms = self.clock.monotonic_ms() - *since_ms;
            if !sink.claim()? {
                if waited_ms >= CLAIM_SLOW_MS && !std::mem::replace(told, true) {
                    ClaimWaits.emit();
                }
                return Ok(false);
            }
            self.phase = Phase::Ours;
            if std::mem::take(&mut self.told) {
                TakingOver.emit();
            }
        }
        Ok(matches!(self.phase, Phase::Ours))
    }

    /// Whether nobody else publishes.
    fn listen(&mut self) -> Result<bool, Failure> {
        let (Phase::Listening(reader), Some(ears)) = (&mut self.phase, &self.ears) else {
            return Ok(true);
        };
        let reader = match reader {
            Some(reader) => reader,
            None => match ears.open()? {
                Opened::Reader(opened) => reader.insert(opened),
                Opened::Missing => return self.find_nobody(),
                Opened::NoAnswer => return Ok(false),
            },
        };
        let mut is_deaf = reader.take_brokers_down();
        for _ in 0..VIEW_RECORDS_PER_STEP {
            let now_ms = self.clock.monotonic_ms();
            match reader.next(Duration::ZERO) {
                Some(Heard::Tick(record)) => {
                    let age_ms = record
                        .at_ms
                        .map(|at| self.clock.unix_ms().saturating_sub(at));
                    self.rival.tick(&record.payload, age_ms, now_ms);
                }
                Some(Heard::End) => self.rival.reach_end(now_ms),
                Some(Heard::Trouble(_) | Heard::Missing(_)) => is_deaf = true,
                // One broker that is down must not keep the others from granting the right to publish for ever.
                Some(Heard::Window(_) | Heard::Away(_)) => {}
                None => break,
            }
        }
        if is_deaf {
            // Silence counts only while something could be heard; a new reader tells when it has reached the end.
            self.rival.go_deaf();
            self.stop_listening(Phase::Listening(None));
            return Ok(false);
        }
        self.conclude()
    }

    /// Where there is no topic, nobody publishes to it.
    fn find_nobody(&mut self) -> Result<bool, Failure> {
        self.rival.reach_end(self.clock.monotonic_ms());
        self.conclude()
    }

    fn conclude(&mut self) -> Result<bool, Failure> {
        match self.rival.verdict(self.clock.monotonic_ms()) {
            Verdict::Unknown => Ok(false),
            Verdict::Alive { epoch, is_heard } => {
                self.face(epoch, is_heard)?;
                Ok(false)
            }
            Verdict::Nobody => {
                self.stop_listening(Phase::Claiming {
                    since_ms: self.clock.monotonic_ms(),
                    told: false,
                });
                Ok(true)
            }
        }
    }

    fn face(&mut self, epoch: u64, is_heard: bool) -> Result<(), Failure> {
        let job = self.rival.job();
        if self.rival.is_lost() {
            return Err(Failure::Taken(format!(
                "another instance of job '{job}' (epoch {epoch}) has taken over, since this one did not answer for a while; \
                 nothing was published beside it: start this one again and it stands by"
            )));
        }
        if self.leaves && is_heard {
            return Err(Failure::Taken(format!(
                "another instance of job '{job}' (epoch {epoch}) publishes to the same topics; stop it first, or give \
                 this run another --job or --output"
            )));
        }
        if !std::mem::replace(&mut self.told, true) {
            StandingBy { job, epoch }.emit();
        }
        Ok(())
    }

    fn stop_listening(&mut self, next: Phase) {
        let before = std::mem::replace(&mut self.phase, next);
        close_with_limit(Duration::ZERO, move || drop(before));
    }
}
