//! What a replay came to: counted on the way, printed at every end.

use std::io::{self, Write};

use indicatif::HumanCount;
use serde::Serialize;

use crate::cli::replay::SummaryFormat;
use crate::error::Failure;

/// The name of the summary's form.
pub(super) const SCHEMA: &str = "headcount.replay/1";

/// Running counts. `lines = skipped + found + sent` and `sent = acknowledged + refused + under way`, always.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(super) struct Counts {
    /// Lines read, over all rounds.
    pub(super) lines: u64,
    /// Lines passed over: by `--skip`, and those that an earlier run has settled.
    pub(super) skipped: u64,
    /// Lines that the topic had already, from an earlier run that died before it knew.
    pub(super) found: u64,
    /// Frames taken for sending.
    pub(super) sent: u64,
    pub(super) acknowledged: u64,
    /// Bytes of the acknowledged frames.
    pub(super) bytes: u64,
    pub(super) too_large: u64,
    /// Lines of more than the largest frame.
    pub(super) too_long: u64,
    /// Frames that the topic did not take for another reason.
    pub(super) failed: u64,
    /// Frames whose event time would have left its range.
    pub(super) unshifted: u64,
    /// Rounds of the file that were begun.
    pub(super) rounds: u64,
}

impl Counts {
    pub(super) fn refused(&self) -> u64 {
        self.too_large + self.too_long
    }

    pub(super) fn in_doubt(&self) -> u64 {
        self.sent - self.acknowledged - self.refused()
    }
}

/// How it ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Outcome {
    /// All that was to be sent is settled.
    Done,
    /// A signal came before.
    Interrupted,
    /// Something else did.
    Failed,
}

/// Reasons why frames are not in the topic.
#[derive(Debug, Serialize)]
struct Errors {
    too_large: u64,
    too_long: u64,
    failed: u64,
}

/// The whole of it.
#[derive(Debug, Serialize)]
pub(super) struct Summary {
    schema: &'static str,
    outcome: Outcome,
    input: String,
    topic: String,
    partitions: usize,
    lines: u64,
    skipped: u64,
    found: u64,
    sent: u64,
    acknowledged: u64,
    refused: u64,
    in_doubt: u64,
    unshifted: u64,
    rounds: u64,
    bytes: u64,
    seconds: f64,
    frames_per_s: f64,
    mb_per_s: f64,
    errors: Errors,
}

impl Summary {
    pub(super) fn new(
        outcome: Outcome,
        (input, topic, partitions): (String, &str, usize),
        counts: &Counts,
        elapsed_ms: u64,
    ) -> Self {
        // Of a run of no time at all no speed is told.
        let per_s = |n: u64| match elapsed_ms {
            0 => 0.0,
            ms => (n as f64 * 1e6 / ms as f64).round() / 1e3,
        };
        Self {
            schema: SCHEMA,
            outcome,
            input,
            topic: topic.to_owned(),
            partitions,
            lines: counts.lines,
            skipped: counts.skipped,
            found: counts.found,
            sent: counts.sent,
            acknowledged: counts.acknowledged,
            refused: counts.refused(),
            in_doubt: counts.in_doubt(),
            unshifted: counts.unshifted,
            rounds: counts.rounds,
            bytes: counts.bytes,
            seconds: elapsed_ms as f64 / 1e3,
            frames_per_s: per_s(counts.acknowledged),
            mb_per_s: (per_s(counts.bytes) / 1e3).round() / 1e3,
            errors: Errors {
                too_large: counts.too_large,
                too_long: counts.too_long,
                failed: counts.failed,
            },
        }
    }

    pub(super) fn print(&self, format: SummaryFormat) -> Result<(), Failure> {
        let text = match format {
            SummaryFormat::Text => self.text(),
            SummaryFormat::Json => {
                serde_json::to_string(self).map_err(|e| Failure::Internal(e.to_string()))? + "\n"
            }
        };
        let mut stdout = io::stdout().lock();
        stdout
            .write_all(text.as_bytes())
            .and_then(|()| stdout.flush())
            .map_err(|error| Failure::writing("standard output", &error))
    }

    fn text(&self) -> String {
        let n = |count: u64| HumanCount(count).to_string();
        let outcome = match self.outcome {
            Outcome::Done => "done",
            Outcome::Interrupted => "interrupted",
            Outcome::Failed => "failed",
        };
        let mut text = format!(
            "{outcome}: {} lines = {} passed over + {} in the topic already + {} sent\n{} sent = {} acknowledged + {} refused + {} in doubt\n",
            n(self.lines),
            n(self.skipped),
            n(self.found),
            n(self.sent),
            n(self.sent),
            n(self.acknowledged),
            n(self.refused),
            n(self.in_doubt),
        );
        if self.unshifted > 0 {
            text += &format!(
                "{} sent as they were: their ts would have left its range\n",
                n(self.unshifted)
            );
        }
        text += &format!(
            "{} bytes in {:.3} s: {} frames/s, {:.1} MB/s to topic {}, {} partitions\n",
            n(self.bytes),
            self.seconds,
            n(self.frames_per_s.round() as u64),
            self.mb_per_s,
            self.topic,
            self.partitions
        );
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_numbers_add_up_and_speeds_are_rounded() {
        let counts = Counts {
            lines: 10,
            skipped: 1,
            found: 2,
            sent: 7,
            acknowledged: 3,
            bytes: 6_000_000,
            too_large: 1,
            too_long: 1,
            ..Counts::default()
        };
        let name = || ("a".to_owned(), "users", 4);
        let summary = Summary::new(Outcome::Failed, name(), &counts, 1_500);
        let json = serde_json::to_value(&summary).unwrap();
        for (field, value) in [
            ("/sent", 7.0),
            ("/acknowledged", 3.0),
            ("/refused", 2.0),
            ("/in_doubt", 2.0),
            ("/seconds", 1.5),
            ("/frames_per_s", 2.0),
            ("/mb_per_s", 4.0),
            ("/errors/too_long", 1.0),
        ] {
            assert_eq!(
                json.pointer(field).unwrap().as_f64(),
                Some(value),
                "{field}"
            );
        }
        assert_eq!(json["outcome"], "failed");
        let text = summary.text();
        let sum = "7 sent = 3 acknowledged + 2 refused + 2 in doubt";
        assert!(text.contains(sum), "{text}");
        let at_once = Summary::new(Outcome::Done, name(), &counts, 0);
        assert_eq!(at_once.frames_per_s, 0.0);
    }
}
