//! A service's publisher: renders records, and carries them from the outbox to the sink.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, bounded};

use super::close_with_limit;
use super::reporter::{Publisher, Report};
use crate::engine::barrier::{Answer, Stage};
use crate::engine::report::outbox::{Kind, Outbox, Outgoing};
use crate::engine::report::record::{Recorder, window_key};
use crate::error::Failure;
use crate::io::clock::Clock;
use crate::io::sink::{Full, Sink};
use crate::limits::{CLOSE_MS, DELIVERY_POLL_MS};
use crate::observe::happenings::caution;
use crate::observe::limiter::{Decision, Limiter};

/// What the output does not have yet, as the consumer loop sees it.
#[derive(Debug, Clone)]
pub(super) struct Unpublished {
    finals: Arc<AtomicUsize>,
    anything: Arc<AtomicBool>,
    changed: Receiver<()>,
    change: Sender<()>,
}

impl Default for Unpublished {
    fn default() -> Self {
        let (change, changed) = bounded(1);
        Self {
            finals: Arc::default(),
            anything: Arc::default(),
            changed,
            change,
        }
    }
}

impl Unpublished {
    pub(super) fn finals(&self) -> usize {
        self.finals.load(Ordering::Relaxed)
    }

    pub(super) fn anything(&self) -> bool {
        self.anything.load(Ordering::Relaxed)
    }

    /// Waits for a change, at most so long.
    pub(super) fn wait(&self, limit: Duration) {
        let _ = self.changed.recv_timeout(limit);
    }

    fn set(&self, outbox: &Outbox) {
        self.finals
            .store(outbox.unpublished_finals(), Ordering::Relaxed);
        self.anything.store(!outbox.is_empty(), Ordering::Relaxed);
        let _ = self.change.try_send(());
    }
}

pub(super) struct ServicePublisher {
    recorder: Recorder,
    outbox: Outbox,
    /// `None` once it is closed.
    sink: Option<Box<dyn Sink>>,
    clock: Arc<dyn Clock>,
    unpublished: Unpublished,
    job: String,
    failures: Limiter,
}

impl ServicePublisher {
    pub(super) fn new(
        recorder: Recorder,
        sink: Box<dyn Sink>,
        clock: Arc<dyn Clock>,
        unpublished: Unpublished,
        job: String,
    ) -> Self {
        Self {
            recorder,
            outbox: Outbox::default(),
            sink: Some(sink),
            clock,
            unpublished,
            job,
            failures: Limiter::default(),
        }
    }

    fn put<T: serde::Serialize>(
        &mut self,
        kind: Kind,
        key: String,
        record: &T,
    ) -> Result<(), Failure> {
        let payload = serde_json::to_vec(record)
            .map_err(|error| Failure::Internal(format!("a record cannot be written: {error}")))?;
        self.outbox.put(Outgoing { kind, key, payload });
        Ok(())
    }

    /// Hands over what the sink takes, and notes what it has.
    fn carry(&mut self, wait: Duration) -> Result<(), Failure> {
        let Some(sink) = &mut self.sink else {
            return Ok(());
        };
        let mut is_full = false;
        while let Some((ticket, record)) = (!is_full).then(|| self.outbox.hand_over()).flatten() {
            is_full = sink.send(ticket, record)? == Err(Full);
            if is_full {
                self.outbox.give_back(ticket);
            }
        }
        for delivery in sink.deliveries(wait) {
            match delivery.result {
                Ok(()) => self.outbox.acknowledge(delivery.ticket),
                Err(why) => {
                    self.outbox.give_back(delivery.ticket);
                    let decision = self.failures.decide(self.clock.monotonic_ms());
                    if let Decision::Write { left_out } = decision {
                        caution(&format!(
                            "a record was not delivered and waits for another try: {why} ({left_out} more like this before)"
                        ));
                    }
                }
            }
        }
        self.unpublished.set(&self.outbox);
        Ok(())
    }
}

impl Publisher for ServicePublisher {
    fn publish(&mut self, report: &Report, answer: &Answer) -> Result<(), Failure> {
        let (snapshot, partitions) = (&report.snapshot, &report.partitions);
        let now_ms = self.clock.unix_ms();
        let coalesced = self.outbox.coalesced();
        // The tick first: its number is in the provisional records that go with it.
        let stats = self
            .recorder
            .stats(snapshot, answer, partitions, now_ms, coalesced);
        if let Some(stats) = stats {
            self.put(Kind::Tick, self.job.clone(), &stats)?;
        }
        for output in self.recorder.windows(snapshot, answer, partitions, now_ms) {
            let kind = match output.stage {
                Stage::Provisional => Kind::Provisional(output.id),
                Stage::Final { seq, .. } => Kind::Final(output.id, seq),
            };
            let key = window_key(&self.job, output.id, output.stage);
            self.put(kind, key, &output.record)?;
        }
        self.carry(Duration::ZERO)
    }

    fn tend(&mut self) -> Result<(), Failure> {
        self.carry(Duration::ZERO)
    }

    fn patience(&self) -> Duration {
        Duration::from_millis(DELIVERY_POLL_MS)
    }

    fn finish(&mut self, deadline_ms: u64) -> Result<(), Failure> {
        self.carry(Duration::ZERO)?;
        while !self.outbox.is_empty() && self.clock.monotonic_ms() < deadline_ms {
            self.carry(Duration::from_millis(DELIVERY_POLL_MS))?;
        }
        if let Some(mut sink) = self.sink.take() {
            sink.abandon();
            close_with_limit(Duration::from_millis(CLOSE_MS), move || drop(sink));
        }
        Ok(())
    }
}
