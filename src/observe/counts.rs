//! How often each happening was logged. The log line is the counter: whoever writes one cannot forget the other.

use std::collections::BTreeMap;

use parking_lot::Mutex;
use tracing::{Event, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;

/// The names of the happenings: of their log lines, and of their counters.
pub const NAMES: [&str; 35] = [
    "address_taken",
    "aside_behind",
    "caution",
    "claim_lost",
    "claim_waits",
    "detail",
    "file_gone",
    "file_renamed",
    "files_resumed",
    "frame_rejected",
    "gap",
    "listening",
    "no_copy_kept",
    "not_put_aside",
    "nothing_saved",
    "output_behind",
    "panicked",
    "partition_ahead",
    "publishing_stuck",
    "question_failed",
    "reached_again",
    "reading",
    "rejects_left_out",
    "resumed",
    "standing_by",
    "state_not_written",
    "stopped",
    "taking_over",
    "thread_stuck",
    "too_old",
    "undelivered",
    "unit_mistaken",
    "unreachable",
    "waiting_to_agree",
    "zone_changed",
];

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_has_a_name_and_every_name_a_line() {
        let source = concat!(
            include_str!("happenings.rs"),
            include_str!("happenings/output.rs"),
            include_str!("happenings/turns.rs")
        );
        let count = |text: &str| source.matches(text).count();
        let lines: usize = ["info!(", "warn!(", "error!("].map(count).iter().sum();
        let named = count("name: \"");
        assert_eq!(named, lines, "a log line without a name is not counted");
        for name in NAMES {
            let line = format!("name: \"{name}\"");
            assert!(count(&line) > 0, "{name} has no line");
        }
        for line in source.split("name: \"").skip(1) {
            let name = line.split('"').next().unwrap();
            assert!(NAMES.contains(&name), "{name} is not listed");
        }
        assert!(NAMES.is_sorted());
    }
}
