//! Log lines while a live view has the screen: kept for it instead of written across it.

use std::collections::VecDeque;
use std::fmt::{self, Write};
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

impl Drop for Taken {
    fn drop(&mut self) {
        IS_TAKEN.store(false, Ordering::Relaxed);
    }
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
