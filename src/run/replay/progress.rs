//! How it goes, on standard error when that is a terminal.

use std::io::{self, IsTerminal};
use std::sync::atomic::Ordering;

use indicatif::{HumanCount, ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::summary::Counts;
use crate::config::ReplayConfig;
use crate::io::source::lines::{BytesRead, Input};
use crate::limits::PROGRESS_EVERY_MS;

/// Bytes of the input, speed, frames under way and the time left.
pub(super) struct Progress {
    bar: ProgressBar,
    read: BytesRead,
    shown_ms: u64,
    /// Frames and bytes at the last look.
    shown: (u64, u64),
}

impl Progress {
    pub(super) fn new(config: &ReplayConfig, read: BytesRead) -> Self {
        let total = match &config.input {
            Input::File(path) if !config.is_loop => std::fs::metadata(path).ok(),
            _ => None,
        };
        let total = total.filter(|m| m.is_file()).map(|m| m.len());
        let template = match total {
            Some(_) => "{bytes}/{total_bytes} {wide_bar} {msg}, {eta} left",
            None => "{spinner} {bytes}, {msg}",
        };
        let target = if io::stderr().is_terminal() {
            ProgressDrawTarget::stderr()
        } else {
            ProgressDrawTarget::hidden()
        };
        let bar = ProgressBar::with_draw_target(total, target);
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style);
        }
        bar.set_message("waiting for the brokers");
        Self {
            bar,
            read,
            shown_ms: 0,
            shown: (0, 0),
        }
    }

    pub(super) fn show(&mut self, now_ms: u64, counts: &Counts, under_way: usize) {
        let elapsed_ms = now_ms.saturating_sub(self.shown_ms);
        if elapsed_ms < PROGRESS_EVERY_MS || self.bar.is_hidden() {
            return;
        }
        let (frames, bytes) = (counts.acknowledged, counts.bytes);
        let rate = (frames - self.shown.0) * 1_000 / elapsed_ms;
        let mb = (bytes - self.shown.1) as f64 / elapsed_ms as f64 / 1e3;
        self.shown_ms = now_ms;
        self.shown = (frames, bytes);
        self.bar.set_position(self.read.load(Ordering::Relaxed));
        self.bar.set_message(format!(
            "{} frames/s, {mb:.1} MB/s, {} under way",
            HumanCount(rate),
            HumanCount(under_way as u64)
        ));
    }

    /// Lets something else be written to standard error.
    pub(super) fn aside(&self, write: impl FnOnce()) {
        self.bar.suspend(write);
    }

    pub(super) fn clear(&self) {
        self.bar.finish_and_clear();
    }
}
