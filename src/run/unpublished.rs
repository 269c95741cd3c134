//! What the output does not have yet, as the consumer loop sees it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, bounded};

use super::Stop;
use super::keep::Saves;
use crate::engine::report::outbox::Outbox;
use crate::io::clock::Clock;
use crate::limits::{POLL_MAX_MS, UNPUBLISHED_FINALS_MAX, UNREACHABLE_END_MS};

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
        while self.is_behind() && !saves.is_pressing() && !stop.load(Ordering::Relaxed) {
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

    pub(super) fn set(&self, outbox: &Outbox, finals: usize) {
        self.finals.store(finals, Ordering::Relaxed);
        self.anything.store(!outbox.is_empty(), Ordering::Relaxed);
        let _ = self.change.try_send(());
    }
}
