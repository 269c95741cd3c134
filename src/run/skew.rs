//! Keeps partitions of a backlog together in event time, so that windows can close: those too far ahead wait for the
//! slowest. It changes what is open at a time, never what is counted. Time is an argument.

use crate::engine::frame::EventTime;
use crate::limits::STALLED_PARTITION_MS;

/// What is known of a partition.
#[derive(Debug, Clone, Copy)]
pub(super) struct Standing {
    /// Its clock.
    pub(super) clock: Option<EventTime>,
    /// Whether it has frames that were there a while ago and are not read.
    pub(super) unread: bool,
    /// How long it has delivered nothing, milliseconds.
    pub(super) silent_ms: u64,
}

/// Which partitions wait.
#[derive(Debug)]
pub(super) struct Skew {
    max_s: u32,
    waits: Vec<bool>,
}

impl Skew {
    /// `max_s` is how far ahead of the slowest a partition may be, in seconds of event time.
    pub(super) fn new(max_s: u32) -> Self {
        Self {
            max_s,
            waits: Vec::new(),
        }
    }

    /// The partitions that have to wait from now on, and those that may go on, each with `true` for the former.
    ///
    /// The slowest unread partition never waits. One that delivers nothing, as when its broker is down, is not waited
    /// for. `first_clock` stands for the clock of those that have none yet. A partition goes on when half of the
    /// distance is made up: stopping and going on costs the client what it has fetched ahead.
    pub(super) fn decide(
        &mut self,
        standings: &[Standing],
        first_clock: Option<EventTime>,
    ) -> Vec<(usize, bool)> {
        self.waits.resize(standings.len(), false);
        let waits = &self.waits;
        let slowest = standings
            .iter()
            .enumerate()
            .filter(|(i, s)| s.unread && !waits[*i] && s.silent_ms < STALLED_PARTITION_MS)
            .filter_map(|(_, s)| s.clock.or(first_clock))
            .min();
        let mut changes = Vec::new();
        for (i, standing) in standings.iter().enumerate() {
            let ahead_s = match (standing.clock, slowest) {
                (Some(clock), Some(slowest)) => clock.saturating_sub(slowest),
                _ => 0,
            };
            let limit_s = if self.waits[i] {
                self.max_s / 2
            } else {
                self.max_s
            };
            let waits = ahead_s > limit_s;
            if waits != self.waits[i] {
                changes.push((i, waits));
            }
        }
        for (i, waits) in &changes {
            self.waits[*i] = *waits;
        }
        changes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(clock: EventTime) -> Standing {
        Standing {
            clock: Some(clock),
            unread: true,
            silent_ms: 0,
        }
    }

    #[test]
    fn those_ahead_wait_until_half_of_the_distance_is_made_up() {
        let mut skew = Skew::new(3_600);
        assert_eq!(skew.decide(&[at(1_000), at(4_600)], None), []);
        assert_eq!(skew.decide(&[at(1_000), at(4_601)], None), [(1, true)]);
        assert_eq!(skew.decide(&[at(2_800), at(4_601)], None), []);
        assert_eq!(skew.decide(&[at(2_801), at(4_601)], None), [(1, false)]);
    }

    #[test]
    fn only_one_that_is_unread_and_delivers_is_waited_for() {
        let mut skew = Skew::new(60);
        let read = Standing {
            unread: false,
            ..at(1)
        };
        assert_eq!(skew.decide(&[read, at(1_000)], None), []);
        let dead = Standing {
            silent_ms: STALLED_PARTITION_MS,
            ..at(1)
        };
        assert_eq!(skew.decide(&[dead, at(1_000)], None), []);
        assert_eq!(skew.decide(&[at(1), at(1_000)], None), [(1, true)]);
        assert_eq!(skew.decide(&[dead, at(1_000)], None), [(1, false)]);
    }

    #[test]
    fn one_without_a_clock_is_waited_for_where_the_others_began() {
        let mut skew = Skew::new(60);
        let none = Standing {
            clock: None,
            ..at(0)
        };
        assert_eq!(skew.decide(&[none, at(160)], Some(100)), []);
        assert_eq!(skew.decide(&[none, at(161)], Some(100)), [(1, true)]);
        assert_eq!(skew.decide(&[at(110), at(161)], Some(100)), []);
        assert_eq!(skew.decide(&[at(150), at(161)], Some(100)), [(1, false)]);
    }
}
