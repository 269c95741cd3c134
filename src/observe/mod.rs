//! What happens, as log lines on standard error: one struct a happening, so that wording and fields have one place.

pub mod happenings;
pub mod limiter;
pub mod rejects;

use std::io::{self, IsTerminal};

use tracing_subscriber::filter::LevelFilter;

use crate::cli::LogFormat;

/// Sends log lines to standard error. Does nothing if logging was set up before, as in tests.
pub fn init(format: Option<LogFormat>) {
    let is_terminal = io::stderr().is_terminal();
    let format = format.unwrap_or(if is_terminal {
        LogFormat::Text
    } else {
        LogFormat::Json
    });
    let builder = tracing_subscriber::fmt()
        .with_writer(io::stderr)
        .with_target(false)
        .with_max_level(LevelFilter::INFO);
    let no_color = std::env::var_os("NO_COLOR").is_some_and(|v| !v.is_empty());
    let _ = match format {
        LogFormat::Text => builder.with_ansi(is_terminal && !no_color).try_init(),
        LogFormat::Json => builder.json().flatten_event(true).try_init(),
    };
}
