//! Log lines while a live view has the screen: kept for it instead of written across it.

use std::collections::VecDeque;
use std::fmt::{self, Write};
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;

use crate::limits::VIEW_LOG_LINES_MAX;

// Logging is one for the whole process, and so is the screen.
static IS_TAKEN: AtomicBool = AtomicBool::new(false);
static LINES: Mutex<VecDeque<Line>> = Mutex::new(VecDeque::new());

/// A log line for the view.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// Message and fields.
    pub text: String,
    /// Whether it is a warning or an error.
    pub is_warning: bool,
}

/// While it lives, log lines go to the view.
#[derive(Debug)]
pub struct Taken(());

/// Lines that nobody has asked for go where they would have gone without a view.
impl Drop for Taken {
    fn drop(&mut self) {
        give_back(&mut io::stderr());
    }
}

fn give_back(out: &mut dyn io::Write) {
    let mut lines = LINES.lock();
    // Under the lock: a line that is just being kept is either written here, or sees that the screen is free.
    IS_TAKEN.store(false, Ordering::Relaxed);
    for line in lines.drain(..) {
        write_line(out, &line);
    }
}

fn write_line(out: &mut dyn io::Write, line: &Line) {
    // Where standard error is gone there is nobody to tell.
    let _ = writeln!(out, "{}", line.text);
}

/// Takes the log lines over for a view.
#[must_use]
pub fn take() -> Taken {
    IS_TAKEN.store(true, Ordering::Relaxed);
    Taken(())
}

/// The lines since the last call.
#[must_use]
pub fn lines() -> VecDeque<Line> {
    std::mem::take(&mut *LINES.lock())
}

pub(super) fn is_taken() -> bool {
    IS_TAKEN.load(Ordering::Relaxed)
}

/// Keeps events as lines; the oldest give way to those that follow.
pub(super) struct Keep;

impl<S: Subscriber> Layer<S> for Keep {
    fn on_event(&self, event: &Event<'_>, _context: Context<'_, S>) {
        let mut text = Text::default();
        event.record(&mut text);
        let line = Line {
            text: text.message + &text.fields,
            is_warning: *event.metadata().level() <= Level::WARN,
        };
        let mut lines = LINES.lock();
        if !is_taken() {
            write_line(&mut io::stderr(), &line);
            return;
        }
        if lines.len() == VIEW_LOG_LINES_MAX {
            lines.pop_front();
        }
        lines.push_back(line);
    }
}

#[derive(Default)]
struct Text {
    message: String,
    fields: String,
}

impl Visit for Text {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        // Writing into a string does not fail.
        let _ = match field.name() {
            "message" => write!(self.message, "{value:?}"),
            name => write!(self.fields, " {name}={value:?}"),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tracing_subscriber::layer::SubscriberExt;

    #[test]
    fn lines_that_the_view_has_not_shown_are_written_when_the_screen_is_given_back() {
        let subscriber = tracing_subscriber::registry().with(Keep);
        tracing::subscriber::with_default(subscriber, || {
            let taken = take();
            tracing::warn!(left = 3, "shown");
            let shown: Vec<_> = lines().into_iter().map(|line| line.text).collect();
            assert_eq!(shown, ["shown left=3"]);
            for number in 0..=VIEW_LOG_LINES_MAX {
                tracing::info!("not shown {number}");
            }
            let mut out = Vec::new();
            give_back(&mut out);
            assert!(!is_taken());
            let out = String::from_utf8(out).unwrap();
            assert_eq!(out.lines().count(), VIEW_LOG_LINES_MAX);
            assert!(out.starts_with("not shown 1\n"), "{out}");
            drop(taken);
        });
    }
}
