//! Which partitions have nothing to read, and since when: only the brokers can say so, and a survey that fails says
//! nothing. Time is an argument.

use crate::engine::admit::PartitionIndex;

/// What is known of one partition's end.
#[derive(Debug, Clone, Copy)]
struct Ending {
    /// Whether its end was reached and no frame came since.
    at_end: bool,
    /// When its last frame came, or reading began; milliseconds on the monotonic clock.
    last_frame_ms: u64,
    /// Its high watermark by the last survey, and since when it is known that nothing came behind it.
    quiet: Option<(i64, u64)>,
    /// Its high watermark by the last survey.
    high: Option<i64>,
    /// Whether frames that were there a survey ago are not read yet.
    lags: bool,
}

/// Follows all partitions.
#[derive(Debug)]
pub(super) struct Quiet {
    idle_ms: u64,
    partitions: Vec<Ending>,
    /// Silence before this moment does not count: the brokers were silent then.
    not_before_ms: u64,
}

impl Quiet {
    /// `idle_ms` is how long a partition must have had nothing to read to be idle.
    pub(super) fn new(idle_ms: u64) -> Self {
        Self {
            idle_ms,
            partitions: Vec::new(),
            not_before_ms: 0,
        }
    }

    pub(super) fn add_partition(&mut self, now_ms: u64) {
        self.partitions.push(Ending {
            at_end: false,
            last_frame_ms: now_ms,
            quiet: None,
            high: None,
            lags: false,
        });
    }

    pub(super) fn frame(&mut self, partition: PartitionIndex, now_ms: u64) {
        let ending = &mut self.partitions[partition];
        ending.at_end = false;
        ending.last_frame_ms = now_ms;
        ending.quiet = None;
    }

    pub(super) fn reach_end(&mut self, partition: PartitionIndex) {
        self.partitions[partition].at_end = true;
    }

    /// The brokers did not answer: what they did not say until now is no silence of the users.
    pub(super) fn lose_touch(&mut self, now_ms: u64) {
        self.not_before_ms = now_ms;
        for ending in &mut self.partitions {
            ending.quiet = None;
        }
    }

    /// Takes a survey's word on a partition: its high watermark, asked for at `asked_ms` when `next_offset` was the next
    /// to be read. Returns whether the partition is idle.
    ///
    /// A position below the high watermark may still be the end, behind which a transaction's marker lies: then the
    /// time counts from when that high watermark was first seen at the end.
    pub(super) fn survey(
        &mut self,
        partition: PartitionIndex,
        high: i64,
        next_offset: i64,
        asked_ms: u64,
    ) -> bool {
        let ending = &mut self.partitions[partition];
        ending.lags = ending.high.is_some_and(|before| next_offset < before) && !ending.at_end;
        ending.high = Some(high);
        if !ending.at_end {
            return false;
        }
        let (_, since_ms) = match ending.quiet {
            Some(quiet) if quiet.0 == high => quiet,
            _ if high <= next_offset => (high, ending.last_frame_ms.max(self.not_before_ms)),
            _ => (high, asked_ms),
        };
        ending.quiet = Some((high, since_ms));
        asked_ms.saturating_sub(since_ms) >= self.idle_ms
    }

    /// Whether frames of a partition that were there a survey ago are not read yet.
    pub(super) fn lags(&self, partition: PartitionIndex) -> bool {
        self.partitions[partition].lags
    }

    /// When a partition's last frame came, or reading began.
    pub(super) fn last_frame_ms(&self, partition: PartitionIndex) -> u64 {
        self.partitions[partition].last_frame_ms
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn quiet() -> Quiet {
        let mut quiet = Quiet::new(30_000);
        quiet.add_partition(1_000);
        quiet
    }

    #[test]
    fn a_partition_is_idle_when_its_end_was_seen_to_stand_still_for_the_timeout() {
        let mut quiet = quiet();
        quiet.frame(0, 10_000);
        assert!(!quiet.survey(0, 7, 7, 60_000), "its end was not reached");
        quiet.reach_end(0);
        assert!(!quiet.survey(0, 7, 7, 39_999));
        assert!(quiet.survey(0, 7, 7, 40_000));
        quiet.frame(0, 41_000);
        quiet.reach_end(0);
        assert!(!quiet.survey(0, 8, 8, 70_999));
        assert!(quiet.survey(0, 8, 8, 71_000));
    }

    #[test]
    fn a_broker_that_does_not_answer_makes_nothing_idle() {
        let mut quiet = quiet();
        quiet.frame(0, 10_000);
        quiet.reach_end(0);
        quiet.lose_touch(35_000);
        quiet.lose_touch(100_000);
        assert!(
            !quiet.survey(0, 7, 7, 101_000),
            "the users may have been cut off too"
        );
        assert!(!quiet.survey(0, 7, 7, 129_999));
        assert!(quiet.survey(0, 7, 7, 130_000));
    }

    #[test]
    fn frames_that_were_published_but_not_read_keep_a_partition_awake() {
        let mut quiet = quiet();
        quiet.frame(0, 10_000);
        quiet.reach_end(0);
        assert!(!quiet.survey(0, 9, 7, 45_000));
        assert!(!quiet.survey(0, 10, 7, 80_000), "it grows");
        assert!(!quiet.survey(0, 10, 7, 109_999));
        assert!(
            quiet.survey(0, 10, 7, 110_000),
            "the marker of a transaction"
        );
    }

    #[test]
    fn a_partition_lags_when_what_a_survey_knew_is_not_read_by_the_next() {
        let mut quiet = quiet();
        assert!(!quiet.survey(0, 100, 0, 5_000) && !quiet.lags(0));
        assert!(!quiet.survey(0, 150, 90, 10_000) && quiet.lags(0));
        assert!(!quiet.survey(0, 200, 150, 15_000) && !quiet.lags(0));
    }
}
