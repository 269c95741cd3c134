//! Partitions that deliver nothing more, for now or for good.

use super::{Admission, PartitionIndex};
use crate::engine::calendar::Period;
use crate::engine::frame::EventTime;

impl Admission {
    /// Notes that a partition will deliver nothing more: what is held of it is settled, and the watermark goes on without
    /// it.
    pub fn finish(&mut self, partition: PartitionIndex) {
        let before = self.clock(partition);
        self.settle_all_of(partition);
        self.follow_clock(partition, before);
        self.partitions[partition].finished = true;
        self.partitions[partition].unread = false;
        self.advance_watermark();
    }

    /// Notes that a partition will deliver nothing more in this run. What is held of it goes on waiting: where it has too few
    /// frames for a clock, until a window of them is about to be forgotten. Then they are counted whole, as at an end.
    pub fn close(&mut self, partition: PartitionIndex) {
        self.partitions[partition].finished = true;
        self.partitions[partition].unread = false;
        let due = self.settles_at(partition);
        self.settle_at = self.settle_at.into_iter().chain(due).min();
        self.advance_watermark();
    }

    fn settle_all_of(&mut self, partition: PartitionIndex) {
        let settled = &mut self.partitions[partition];
        settled.clock.settle(&mut self.fates);
        self.note_since(partition, None);
        self.settle_fates(partition);
    }

    /// The watermark before which what waits in a closed partition without a clock is to be settled.
    fn settles_at(&self, partition: PartitionIndex) -> Option<i64> {
        let partition = &self.partitions[partition];
        let since = partition
            .clock
            .waits_since()
            .filter(|_| partition.finished)?;
        let periods = Period::ALL.into_iter();
        let periods = periods.filter(|period| self.rules.periods & period.bit() != 0);
        let kept_s = periods.map(|period| self.rules.retention_s[period as usize]);
        Some(i64::from(since).saturating_add(kept_s.min().unwrap_or(i64::MAX)))
    }

    /// Settles what would expire because it had to wait, before the watermark gets there.
    pub(super) fn settle_before(&mut self, watermark: Option<i64>) {
        if self.settle_at.is_none_or(|at| watermark < Some(at)) {
            return;
        }
        for partition in 0..self.partitions.len() {
            let at = self.settles_at(partition);
            if at.is_some_and(|at| watermark >= Some(at)) {
                self.settle_all_of(partition);
                // It is closed: the watermark does not follow its clock.
                if let Some(clock) = self.clock(partition) {
                    self.note_clock(clock, true);
                }
            }
        }
        let all = 0..self.partitions.len();
        self.settle_at = all.filter_map(|partition| self.settles_at(partition)).min();
    }

    /// Notes how far a partition's clock has come.
    pub(super) fn note_clock(&mut self, clock: EventTime, is_first: bool) {
        self.as_of = self.as_of.max(Some(clock));
        if is_first {
            self.first_clock = Some(self.first_clock.map_or(clock, |first| first.min(clock)));
        }
    }
}
