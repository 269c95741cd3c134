//! The watermark, and what it waits for. Of the partitions it has the sum, so that a frame of one of ten thousand does not look
//! at all the others.
//!
//! Invariant: what the pace has of a partition is what the partition is, whenever the watermark follows ([`Admission::bear`] after
//! every change).

use std::collections::BTreeMap;

use super::{Admission, Partition, PartitionIndex};
use crate::engine::frame::EventTime;

/// What a partition means to the watermark.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Bearing {
    /// Nothing: it is idle, has ended, or has never had a frame.
    #[default]
    Nothing,
    /// The watermark does not pass this clock.
    At(EventTime),
    /// It has no clock yet, and frames to read that may give it one.
    Awaited,
    /// It was joined behind its beginning and has nothing to read: it is whole from now on, if it is known what time it is.
    Joining,
}

/// All partitions' bearings as one.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Pace {
    /// How many partitions are at each clock.
    at: BTreeMap<EventTime, usize>,
    awaited: usize,
    joining: usize,
}

impl Pace {
    fn add(&mut self, bearing: Bearing) {
        match bearing {
            Bearing::Nothing => {}
            Bearing::At(clock) => *self.at.entry(clock).or_default() += 1,
            Bearing::Awaited => self.awaited += 1,
            Bearing::Joining => self.joining += 1,
        }
    }

    fn remove(&mut self, bearing: Bearing) {
        match bearing {
            Bearing::Nothing => {}
            Bearing::At(clock) => {
                let left = self.at.get_mut(&clock).map_or(0, |count| {
                    *count -= 1;
                    *count
                });
                if left == 0 {
                    self.at.remove(&clock);
                }
            }
            Bearing::Awaited => self.awaited -= 1,
            Bearing::Joining => self.joining -= 1,
        }
    }

    /// The pace of these, from nothing but what they are.
    fn of(partitions: &[Partition]) -> Self {
        let mut pace = Self::default();
        for partition in partitions {
            pace.add(partition.bearing());
        }
        pace
    }
}

impl Partition {
    fn bearing(&self) -> Bearing {
        if self.clock.now().is_some() {
            return self.active_clock().map_or(Bearing::Nothing, Bearing::At);
        }
        // What a partition held before it was joined is gone by now, so it is older than what was counted since.
        // Not so where frames were lost, even all up to what is its beginning now.
        let is_joined = !self.from_zero && self.lost.is_none();
        match self.unread {
            true => Bearing::Awaited,
            false if is_joined && self.since.is_none() => Bearing::Joining,
            false => Bearing::Nothing,
        }
    }
}

impl Admission {
    /// Takes up in the pace how a partition has changed.
    pub(super) fn bear(&mut self, partition: PartitionIndex) {
        let partition = &mut self.partitions[partition];
        let bearing = partition.bearing();
        let before = std::mem::replace(&mut partition.bearing, bearing);
        if before != bearing {
            self.pace.remove(before);
            self.pace.add(bearing);
        }
    }

    /// Draws the conclusions from a partition's clock that has perhaps moved.
    pub(super) fn follow_clock(&mut self, index: PartitionIndex, before: Option<EventTime>) {
        let Some(clock) = self.partitions[index].clock.now() else {
            return;
        };
        if before == Some(clock) {
            return;
        }
        self.bear(index);
        self.as_of = self.as_of.max(Some(clock));
        if before.is_none() {
            self.first_clock = Some(self.first_clock.map_or(clock, |first| first.min(clock)));
        }
        // Only the slowest partition's clock moves the watermark.
        let slowest = self.watermark.map(|w| w + self.lateness_s());
        if before.is_none_or(|b| slowest.is_none_or(|s| i64::from(b) <= s)) {
            self.advance_watermark();
        }
    }

    pub(super) fn lateness_s(&self) -> i64 {
        i64::from(self.rules.clock.lateness_s)
    }

    /// Moves the watermark up to the slowest partition's clock, less the lateness, unless it waits for a partition's first frame.
    pub(super) fn advance_watermark(&mut self) {
        debug_assert_eq!(self.pace, Pace::of(&self.partitions));
        if self.pace.joining > 0 && self.as_of.is_some() {
            for index in 0..self.partitions.len() {
                if self.partitions[index].bearing == Bearing::Joining {
                    self.partitions[index].since = self.as_of;
                    self.bear(index);
                }
            }
        }
        if self.pace.awaited > 0 {
            return;
        }
        let slowest = self.pace.at.first_key_value();
        let reached = slowest.map(|(clock, _)| i64::from(*clock) - self.lateness_s());
        self.watermark = self.watermark.max(reached);
    }
}
