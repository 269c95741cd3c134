//! Signs of life: whether a thread waits for work, and whether it goes on with what it has.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// One thread's. Even while the thread waits for work, odd while it is at some; it grows with each change.
#[derive(Debug, Clone, Default)]
pub(super) struct Pulse(Arc<AtomicU64>);

impl Pulse {
    /// The thread waits for work.
    pub(super) fn rest(&self) {
        self.advance(0);
    }

    /// It has found some, or has done a part of it.
    pub(super) fn work(&self) {
        self.advance(1);
    }

    fn advance(&self, parity: u64) {
        // Nobody else writes it, and nobody concludes anything else from it: there is nothing to order.
        let now = self.0.load(Ordering::Relaxed);
        let step = if now % 2 == parity { 2 } else { 1 };
        self.0.store(now.wrapping_add(step), Ordering::Relaxed);
    }

    fn beat(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// A thread that somebody watches.
#[derive(Debug, Clone)]
pub(super) struct Watched {
    /// The thread's name.
    pub(super) name: String,
    pulse: Pulse,
    seen: u64,
}

impl Watched {
    pub(super) fn new(name: String, pulse: Pulse) -> Self {
        let seen = pulse.beat();
        Self { name, pulse, seen }
    }

    /// Whether it waits for work, or has gone on since the last [`Self::note`].
    pub(super) fn goes_on(&self) -> bool {
        let beat = self.pulse.beat();
        beat.is_multiple_of(2) || beat != self.seen
    }

    /// Takes note of where it is.
    pub(super) fn note(&mut self) {
        self.seen = self.pulse.beat();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_is_stuck_when_it_is_at_work_and_does_not_go_on() {
        let pulse = Pulse::default();
        let mut watched = Watched::new("a".to_owned(), pulse.clone());
        assert!(watched.goes_on(), "it has not begun");
        pulse.work();
        assert!(watched.goes_on());
        watched.note();
        assert!(!watched.goes_on());
        pulse.work();
        assert!(watched.goes_on(), "the next piece of work");
        watched.note();
        pulse.rest();
        watched.note();
        assert!(watched.goes_on(), "it waits for work");
        pulse.rest();
        pulse.work();
        watched.note();
        assert!(!watched.goes_on());
    }
}
