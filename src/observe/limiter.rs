//! A limit on lines of one kind, so that a million bad frames in a row do not become a million lines.

use crate::limits::{LOG_LINES_PER_WINDOW, LOG_WINDOW_MS};

/// Counts lines of one kind.
#[derive(Debug, Default)]
pub struct Limiter {
    window_start_ms: u64,
    lines: u32,
    suppressed: u64,
}

/// What to do with a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// Write it, and say before it how many were left out since the last one.
    Write {
        /// Lines left out.
        left_out: u64,
    },
    /// Leave it out.
    LeaveOut,
}

impl Limiter {
    /// Decides on a line at a moment of a monotonic clock, in milliseconds.
    pub fn decide(&mut self, now_ms: u64) -> Decision {
        if now_ms.saturating_sub(self.window_start_ms) >= LOG_WINDOW_MS {
            self.window_start_ms = now_ms;
            self.lines = 0;
        }
        if self.lines >= LOG_LINES_PER_WINDOW {
            self.suppressed += 1;
            return Decision::LeaveOut;
        }
        self.lines += 1;
        Decision::Write {
            left_out: self.take_left_out(),
        }
    }

    /// Lines left out since this was last asked, or a line was written.
    pub fn take_left_out(&mut self) -> u64 {
        std::mem::take(&mut self.suppressed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_becomes_a_few_lines_and_a_number() {
        let mut limiter = Limiter::default();
        let written = (0..1_000)
            .filter(|_| limiter.decide(1) != Decision::LeaveOut)
            .count();
        assert_eq!(written, LOG_LINES_PER_WINDOW as usize);
        let left_out = 1_000 - u64::from(LOG_LINES_PER_WINDOW);
        assert_eq!(
            limiter.decide(LOG_WINDOW_MS + 1),
            Decision::Write { left_out }
        );
        assert_eq!(
            limiter.decide(LOG_WINDOW_MS + 1),
            Decision::Write { left_out: 0 }
        );
    }
}
