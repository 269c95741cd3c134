//! What happens, as log lines on standard error and counters: one struct a happening, so that wording and fields have one
//! place. And what is known of a running service at a moment, for whoever wants to know.

pub mod board;
pub mod counts;
pub mod facts;
pub mod failpoint;
pub mod happenings;
pub mod limiter;
pub mod rejects;
pub mod screen;
pub mod trouble;

use std::backtrace::{Backtrace, BacktraceStatus};
use std::io::{self, IsTerminal};
use std::panic::PanicHookInfo;
use std::thread;

use tracing_subscriber::Layer;
use tracing_subscriber::filter::{LevelFilter, dynamic_filter_fn};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use crate::cli::LogFormat;

/// Sends log lines to standard error, and panics too. Does nothing if logging was set up before, as in tests.
pub fn init(format: Option<LogFormat>) {
    let is_terminal = io::stderr().is_terminal();
    let format = format.unwrap_or(if is_terminal {
        LogFormat::Text
    } else {
        LogFormat::Json
    });
    let no_color = std::env::var_os("NO_COLOR").is_some_and(|v| !v.is_empty());
    let written = tracing_subscriber::fmt::layer()
        .with_writer(io::stderr)
        .with_target(false);
    let written = match format {
        LogFormat::Text => written.with_ansi(is_terminal && !no_color).boxed(),
        LogFormat::Json => written.json().flatten_event(true).boxed(),
    };
    // Lines that do not go to the terminal cannot spoil a live view there.
    let is_kept = move || is_terminal && screen::is_taken();
    let _ = tracing_subscriber::registry()
        .with(LevelFilter::INFO)
        .with(counts::Count)
        .with(written.with_filter(dynamic_filter_fn(move |_, _| !is_kept())))
        .with(screen::Keep.with_filter(dynamic_filter_fn(move |_, _| is_kept())))
        .try_init();
    std::panic::set_hook(Box::new(tell_panic));
}

/// A panic is a log line as any other, in the format that was asked for.
fn tell_panic(info: &PanicHookInfo<'_>) {
    let backtrace = Backtrace::capture();
    let backtrace =
        (backtrace.status() == BacktraceStatus::Captured).then(|| backtrace.to_string());
    happenings::Panicked {
        thread: thread::current().name().unwrap_or("?"),
        at: &info.location().map(ToString::to_string).unwrap_or_default(),
        what: info.payload_as_str().unwrap_or("?"),
        backtrace: backtrace.as_deref(),
    }
    .emit();
}
