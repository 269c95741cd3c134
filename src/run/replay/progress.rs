//! How it goes, on standard error when that is a terminal.

use std::sync::atomic::Ordering;

use indicatif::{HumanCount, ProgressBar};

use super::summary::Counts;
use crate::config::{ReplayConfig, Tempo};
use crate::io::source::lines::BytesRead;
use crate::limits::PROGRESS_EVERY_MS;
use crate::run::progress::{bar, total_bytes};

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
        let inputs = std::slice::from_ref(&config.input);
        // How often a loop will read it nobody knows; and bytes that were read ahead tell little of when the last frame
        // of a schedule is due.
        let tells_end = !config.is_loop && config.tempo == Tempo::Max;
        let total = total_bytes(inputs).filter(|_| tells_end);
        Self {
            bar: bar(total, "waiting for the brokers"),
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
