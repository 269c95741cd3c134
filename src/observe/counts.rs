//! How often each happening was logged. The log line is the counter: whoever writes one cannot forget the other.

use std::collections::BTreeMap;

use parking_lot::Mutex;
use tracing::{Event, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;

use super::happenings::NAMES;

// Logging is one for the whole process, and so are its numbers.
static COUNTS: Mutex<BTreeMap<&'static str, u64>> = Mutex::new(BTreeMap::new());

/// Counts events that have one of the happenings' names.
pub(super) struct Count;

impl<S: Subscriber> Layer<S> for Count {
    fn on_event(&self, event: &Event<'_>, _context: Context<'_, S>) {
        let name = event.metadata().name();
        if NAMES.contains(&name) {
            *COUNTS.lock().entry(name).or_default() += 1;
        }
    }
}

/// Every happening and how often it was logged, those that never were too.
#[must_use]
pub fn all() -> Vec<(&'static str, u64)> {
    let counts = COUNTS.lock();
    let count = |name: &&'static str| (*name, counts.get(name).copied().unwrap_or(0));
    NAMES.iter().map(count).collect()
}
