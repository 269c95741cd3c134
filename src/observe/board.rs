//! The board between the counting and whoever wants to know: what is known is put up a few times a second, and read from
//! here, so that no request waits for the counting, nor the counting for a request.

use std::collections::VecDeque;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::watch;

use super::facts::{Facts, Publishing, TickNote};
use super::trouble::{Trouble, troubles};
use crate::io::clock::Clock;
pub use crate::io::process::Usage;
use crate::io::process::usage;
use crate::limits::BOARD_TICKS;

/// What is known of a running service.
pub struct Board {
    clock: Arc<dyn Clock>,
    about: About,
    notes: Mutex<Notes>,
    /// Counts what was put up, for those who wait for news.
    news: watch::Sender<u64>,
}

/// What does not change while a service runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct About {
    /// The job's name.
    pub job: String,
    /// The input topics, comma-separated.
    pub topic: String,
    /// The zone.
    pub tz: String,
    /// The sketches' precision.
    pub precision: u8,
    /// Time between two ticks, milliseconds.
    pub every_ms: u64,
}

#[derive(Default)]
struct Notes {
    facts: Option<Arc<Facts>>,
    publishing: Publishing,
    /// The last ticks, the oldest first.
    ticks: VecDeque<Arc<TickNote>>,
}

/// What is known at a moment.
#[derive(Debug, Clone)]
pub struct View {
    /// The moment, milliseconds on the monotonic clock.
    pub now_ms: u64,
    /// The same on the wall, unix milliseconds.
    pub unix_ms: u64,
    /// The consumer loop's; `None` until it has gone round once.
    pub facts: Option<Arc<Facts>>,
    /// The reporter's.
    pub publishing: Publishing,
    /// The last tick.
    pub tick: Option<Arc<TickNote>>,
}

impl View {
    /// What is wrong, what matters most first.
    #[must_use]
    pub fn troubles(&self, about: &About) -> Vec<Trouble> {
        troubles(self, about)
    }
}

impl std::fmt::Debug for Board {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Board")
            .field("about", &self.about)
            .finish_non_exhaustive()
    }
}

impl Board {
    /// An empty board.
    #[must_use]
    pub fn new(about: About, clock: Arc<dyn Clock>) -> Self {
        Self {
            clock,
            about,
            notes: Mutex::default(),
            news: watch::Sender::new(0),
        }
    }

    /// What does not change.
    #[must_use]
    pub fn about(&self) -> &About {
        &self.about
    }

    /// Puts up what the consumer loop knows.
    pub fn note(&self, facts: Facts) {
        let facts = Arc::new(facts);
        self.notes.lock().facts = Some(facts);
        self.tell();
    }

    /// Puts up what the reporter knows.
    pub fn note_publishing(&self, publishing: Publishing) {
        self.notes.lock().publishing = publishing;
    }

    /// Puts up a tick.
    pub fn note_tick(&self, tick: TickNote) {
        let tick = Arc::new(tick);
        {
            let ticks = &mut self.notes.lock().ticks;
            if ticks.len() == BOARD_TICKS {
                ticks.pop_front();
            }
            ticks.push_back(tick);
        }
        self.tell();
    }

    fn tell(&self) {
        self.news.send_modify(|number| *number += 1);
    }

    /// Tells whenever something was put up.
    #[must_use]
    pub fn news(&self) -> watch::Receiver<u64> {
        self.news.subscribe()
    }

    /// What is known now.
    #[must_use]
    pub fn view(&self) -> View {
        let notes = self.notes.lock();
        View {
            now_ms: self.clock.monotonic_ms(),
            unix_ms: self.clock.unix_ms(),
            facts: notes.facts.clone(),
            publishing: notes.publishing.clone(),
            tick: notes.ticks.back().cloned(),
        }
    }

    /// What the process has used.
    #[must_use]
    pub fn usage(&self) -> Option<Usage> {
        usage()
    }

    /// The ticks after one, by epoch and number; all that are here where that one is not known. Without one, the last.
    #[must_use]
    pub fn ticks_after(&self, seen: Option<(u64, u64)>) -> Vec<Arc<TickNote>> {
        let notes = self.notes.lock();
        let Some(seen) = seen else {
            return notes.ticks.back().cloned().into_iter().collect();
        };
        // All of them are of one epoch: whoever comes from another instance, older or younger, knows none.
        let is_new = |note: &&Arc<TickNote>| note.epoch != seen.0 || note.tick > seen.1;
        notes.ticks.iter().filter(is_new).cloned().collect()
    }
}
