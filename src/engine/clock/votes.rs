//! The last frames of a partition that say something about its present, in the order of arrival and in that of time.

use std::collections::VecDeque;

use crate::engine::frame::EventTime;
use crate::limits::CLOCK_VOTES;

/// Multiples of the median absolute deviation that a fence is away from the median. Of evenly spaced frames the
/// newest is 2 deviations away, so the next may come after a pause of 4: as long as all the votes took together.
const DEVIATIONS: u64 = 6;

/// One frame's word on the present.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Vote {
    pub(super) ts: EventTime,
    /// The number of the frame among those of its partition.
    pub(super) arrival: u64,
}

/// At most `CLOCK_VOTES` votes.
#[derive(Debug, Clone)]
pub(super) struct Votes {
    arrived: VecDeque<Vote>,
    /// The same, by time: as many as `arrived` from `first` on. There is room for more, so that where frames come in order
    /// hardly any vote ever moves.
    sorted: [EventTime; ROOM],
    first: usize,
}

const ROOM: usize = 4 * CLOCK_VOTES;

impl Votes {
    pub(super) fn new() -> Self {
        Self {
            arrived: VecDeque::with_capacity(CLOCK_VOTES),
            sorted: [0; ROOM],
            first: 0,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.arrived.len()
    }

    /// The votes in the order of their arrival.
    pub(super) fn arrived(&self) -> impl Iterator<Item = &Vote> {
        self.arrived.iter()
    }

    /// The number of the frame whose vote is the next to give way.
    pub(super) fn oldest(&self) -> Option<u64> {
        self.arrived.front().map(|vote| vote.arrival)
    }

    /// Takes a vote in; the oldest gives way where there is no room.
    pub(super) fn push(&mut self, vote: Vote) -> Option<Vote> {
        let oldest = if self.len() == CLOCK_VOTES {
            self.arrived.pop_front()
        } else {
            None
        };
        self.arrived.push_back(vote);
        let filled = self.len() - usize::from(oldest.is_none());
        let sorted = &mut self.sorted[self.first..];
        // The place of the leaving vote is the hole; those between it and the new one's place move by one.
        let hole = match oldest {
            Some(oldest) if oldest.ts == vote.ts => return Some(oldest),
            Some(oldest) => place(&sorted[..filled], oldest.ts),
            None => filled,
        };
        let place = place(&sorted[..filled], vote.ts);
        if hole == 0 && place == filled {
            self.slide(vote.ts);
        } else if place > hole {
            sorted.copy_within(hole + 1..place, hole);
            sorted[place - 1] = vote.ts;
        } else {
            sorted.copy_within(place..hole, place + 1);
            sorted[place] = vote.ts;
        }
        oldest
    }

    /// The least vote gives way to one that is greater than all others.
    fn slide(&mut self, ts: EventTime) {
        let end = self.first + self.len();
        if end < ROOM {
            self.first += 1;
            self.sorted[end] = ts;
        } else {
            self.sorted.copy_within(self.first + 1..end, 0);
            self.first = 0;
            self.sorted[self.len() - 1] = ts;
        }
    }

    /// Takes back the vote of a frame.
    pub(super) fn withdraw(&mut self, arrival: u64) {
        let Ok(at) = self.arrived.binary_search_by_key(&arrival, |v| v.arrival) else {
            return;
        };
        self.arrived.remove(at);
        self.sort();
    }

    /// Forgets all votes for a time before this one.
    pub(super) fn forget_before(&mut self, ts: EventTime) {
        self.arrived.retain(|vote| vote.ts >= ts);
        self.sort();
    }

    fn sort(&mut self) {
        self.first = 0;
        for (sorted, vote) in self.sorted.iter_mut().zip(&self.arrived) {
            *sorted = vote.ts;
        }
        let len = self.len();
        self.sorted[..len].sort_unstable();
    }

    /// The `counted` least votes, by time.
    pub(super) fn counted(&self, counted: usize) -> Present<'_> {
        Present(&self.sorted[self.first..][..counted])
    }

    /// All votes but the `counted` least ones, by time.
    pub(super) fn waiting(&self, counted: usize) -> Present<'_> {
        Present(&self.sorted[self.first..][counted..self.len()])
    }
}

/// What some votes, by time, say about the present. There is at least one.
#[derive(Debug, Clone, Copy)]
pub(super) struct Present<'a>(&'a [EventTime]);

impl Present<'_> {
    /// The median; of an even number the lower one.
    pub(super) fn median(self) -> EventTime {
        self.0[(self.0.len() - 1) / 2]
    }

    /// How far a frame may be from the median of the votes: `max_jump_s` or 6 median absolute
    /// deviations, whichever is more (the identifier of Hampel: "The influence curve and its role in robust
    /// estimation", JASA 69, 1974).
    pub(super) fn reach(self, max_jump_s: u32) -> u64 {
        let votes = self.0;
        let middle = (votes.len() - 1) / 2;
        let median = votes[middle];
        // The deviation is the least that half of the votes are within. They stand in a row, the median among them; the
        // further on such a row begins, the less it reaches back and the more ahead.
        let (mut from, mut to) = (0, middle);
        while from < to {
            let begin = (from + to) / 2;
            let reaches_ahead = votes[begin + middle] - median >= median - votes[begin];
            (from, to) = if reaches_ahead {
                (from, begin)
            } else {
                (begin + 1, to)
            };
        }
        let ahead = votes[from + middle] - median;
        let deviation = match from.checked_sub(1) {
            Some(before) => ahead.min(median - votes[before]),
            None => ahead,
        };
        u64::from(max_jump_s).max(DEVIATIONS * u64::from(deviation))
    }

    /// Whether five sixths of the votes lie within the reach of their median.
    pub(super) fn agrees(self, max_jump_s: u32) -> bool {
        let (median, reach) = (self.median(), self.reach(max_jump_s));
        let near = self.0.iter();
        let near = near.filter(|ts| u64::from(ts.abs_diff(median)) <= reach);
        6 * near.count() >= 5 * self.0.len()
    }
}

/// Where among the votes by time one for this time stands, or would. Mostly they come in order.
fn place(sorted: &[EventTime], ts: EventTime) -> usize {
    match sorted {
        [first, ..] if ts <= *first => 0,
        [.., last] if ts > *last => sorted.len(),
        _ => sorted.partition_point(|other| *other < ts),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn slow_reach(sorted: &[EventTime], max_jump_s: u32) -> u64 {
        let median = sorted[(sorted.len() - 1) / 2];
        let mut deviations: Vec<_> = sorted.iter().map(|ts| ts.abs_diff(median)).collect();
        deviations.sort_unstable();
        let deviation = deviations[(sorted.len() - 1) / 2];
        u64::from(max_jump_s).max(6 * u64::from(deviation))
    }

    /// In any order, or mostly in that of time.
    fn times() -> impl Strategy<Value = Vec<u32>> {
        let any_order = prop::collection::vec(prop_oneof![0u32..40, any::<u32>()], 1..200);
        let step = prop_oneof![20 => 0u32..3, 1 => 0u32..100];
        let in_order = prop::collection::vec((step, 0u32..2), 1..400).prop_map(|steps| {
            let mut now = 1_000;
            let tick = |(step, back): (u32, u32)| {
                now += step;
                now - back * step.min(5)
            };
            steps.into_iter().map(tick).collect()
        });
        prop_oneof![any_order, in_order]
    }

    proptest! {
        #[test]
        fn the_sorted_votes_are_those_that_arrived(
            times in times(),
            gone in prop::collection::vec(0u64..200, 0..20),
            forgotten in 0u32..40,
        ) {
            let mut votes = Votes::new();
            let mut model: Vec<Vote> = Vec::new();
            for (arrival, ts) in times.into_iter().enumerate() {
                let vote = Vote { ts, arrival: arrival as u64 };
                let left = if model.len() == CLOCK_VOTES { Some(model.remove(0)) } else { None };
                model.push(vote);
                prop_assert_eq!(votes.push(vote), left);
                if gone.contains(&vote.arrival) {
                    let first = model[0].arrival;
                    votes.withdraw(first);
                    model.remove(0);
                }
                if arrival % 70 == 69 {
                    votes.forget_before(forgotten);
                    model.retain(|vote| vote.ts >= forgotten);
                }
                let mut sorted: Vec<_> = model.iter().map(|vote| vote.ts).collect();
                sorted.sort_unstable();
                prop_assert_eq!(&votes.sorted[votes.first..][..votes.len()], &sorted[..]);
                for counted in 1..=sorted.len() {
                    prop_assert_eq!(votes.counted(counted).median(), sorted[(counted - 1) / 2]);
                    prop_assert_eq!(votes.counted(counted).reach(60), slow_reach(&sorted[..counted], 60));
                    prop_assert_eq!(votes.waiting(counted - 1).reach(7), slow_reach(&sorted[counted - 1..], 7));
                }
            }
        }
    }
}
