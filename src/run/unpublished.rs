//! What the output does not have yet, as the consumer loop sees it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicUsize, Ordering};
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, bounded};

use super::Stop;
use super::keep::Saves;
use crate::engine::report::outbox::Outbox;
use crate::io::clock::Clock;
use crate::limits::{POLL_MAX_MS, UNPUBLISHED_FINALS_MAX, UNREACHABLE_END_MS};
use crate::observe::happenings::Cause;

/// What the output does not have yet, as the consumer loop sees it.
#[derive(Debug, Clone)]
pub(super) struct Unpublished {
    finals: Arc<AtomicUsize>,
    anything: Arc<AtomicBool>,
    cause: Arc<AtomicU8>,
    changed: Receiver<()>,
    change: Sender<()>,
}

impl Default for Unpublished {
    fn default() -> Self {
        let (change, changed) = bounded(1);
        Self {
            finals: Arc::default(),
            anything: Arc::default(),
            cause: Arc::default(),
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

    /// Why finals wait.
    pub(super) fn cause(&self) -> Cause {
        match self.cause.load(Ordering::Relaxed) {
            cause if cause == Cause::State as u8 => Cause::State,
            cause if cause == Cause::Another as u8 => Cause::Another,
            _ => Cause::Output,
        }
    }

    /// Whether so many finals wait that nothing more should be read.
    pub(super) fn is_behind(&self) -> bool {
        self.finals() > UNPUBLISHED_FINALS_MAX
    }

    /// Waits for a change, at most so long.
    pub(super) fn wait(&self, limit: Duration) {
        let _ = self.changed.recv_timeout(limit);
    }

    /// Waits until the output has caught up, or needs a checkpoint for that, at most [`UNREACHABLE_END_MS`] without any
    /// progress of it, and no longer than until `stop` is raised. `meanwhile` is called now and then, with the time.
    pub(super) fn wait_until_caught_up(
        &self,
        clock: &dyn Clock,
        stop: &Stop,
        saves: &Saves,
        meanwhile: &mut dyn FnMut(u64),
    ) {
        let (mut least, mut since_ms) = (self.finals(), clock.monotonic_ms());
        let ends = || saves.have_failed() || stop.load(Ordering::Relaxed);
        while self.is_behind() && !saves.is_pressing() && !ends() {
            self.wait(Duration::from_millis(POLL_MAX_MS));
            let (finals, now_ms) = (self.finals(), clock.monotonic_ms());
            meanwhile(now_ms);
            if finals < least {
                (least, since_ms) = (finals, now_ms);
            }
            if now_ms - since_ms > UNREACHABLE_END_MS {
                return;
            }
        }
    }

    /// `stands_by` is whether another instance publishes: then nothing is owed.
    pub(super) fn set(&self, outbox: &Outbox, finals: usize, stands_by: bool) {
        self.finals.store(finals, Ordering::Relaxed);
        let owes = !outbox.is_empty() && !stands_by;
        self.anything.store(owes, Ordering::Relaxed);
        let cause = match (stands_by, outbox.unsaved_finals() > 0) {
            (true, _) => Cause::Another,
            (false, true) => Cause::State,
            (false, false) => Cause::Output,
        };
        self.cause.store(cause as u8, Ordering::Relaxed);
        let _ = self.change.try_send(());
    }
}
