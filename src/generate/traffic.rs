//! Who is seen when, and in which order the frames arrive.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::Plan;
use super::dice::{Chance, Dice, Purpose};
use super::frame::FrameWriter;

/// What one frame says, and when it arrives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sent {
    /// The user's number, `0..users`; [`uid_of`](super::uid_of) gives the id.
    pub user: u32,
    /// The frame's `ts`: unix seconds, a fraction floored.
    pub ts: u32,
    /// When the frame arrives, milliseconds after the plan's start; never less than the frame's before it.
    pub arrival_ms: u64,
}

/// A frame on its way. The order of the fields is the order of arrival; frames due at the same millisecond
/// arrive in the order they were made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Event {
    arrival_ms: u64,
    number: u64,
    made_ms: u64,
    user: u32,
}

/// The frames of a plan, in the order of their arrival.
///
/// Keeps in memory what is delayed at one time: 32 bytes × frames per second × share of late ones × delay.
#[derive(Debug)]
pub struct Traffic {
    frames: FrameWriter,
    schedule: Schedule,
    upcoming: Option<Event>,
    delayed: BinaryHeap<Reverse<Event>>,
    start: u32,
}

impl Traffic {
    /// The traffic of `plan`, which is taken as checked ([`Plan::check`]): of an impossible one the frames are
    /// as many as asked for, but times past the range of `ts` stand as its end.
    pub fn new(plan: &Plan) -> Self {
        let mut schedule = Schedule::new(plan);
        let upcoming = schedule.next();
        let frames = FrameWriter::new(plan);
        Self {
            frames,
            schedule,
            upcoming,
            delayed: BinaryHeap::new(),
            start: plan.start,
        }
    }

    /// Puts the next frame, without a line end, in place of what `out` holds, and tells what it says;
    /// after the last frame leaves `out` empty and returns nothing.
    pub fn next_frame(&mut self, out: &mut Vec<u8>) -> Option<Sent> {
        out.clear();
        let event = self.next_event()?;
        let ts = u64::from(self.start).saturating_add(event.made_ms / 1000);
        let ts = u32::try_from(ts).unwrap_or(u32::MAX);
        self.frames
            .write(event.user, ts, (event.made_ms % 1000) as u32, out);
        Some(Sent {
            user: event.user,
            ts,
            arrival_ms: event.arrival_ms,
        })
    }

    fn next_event(&mut self) -> Option<Event> {
        loop {
            // Whatever is still to be made arrives no earlier than it is made, so a delayed frame that is due
            // by then is the next one.
            if let Some(&Reverse(due)) = self.delayed.peek()
                && self
                    .upcoming
                    .is_none_or(|upcoming| due.arrival_ms <= upcoming.made_ms)
            {
                self.delayed.pop();
                return Some(due);
            }
            let event = self.upcoming?;
            self.upcoming = self.schedule.next();
            if event.arrival_ms == event.made_ms {
                return Some(event);
            }
            self.delayed.push(Reverse(event));
        }
    }
}

/// The frames in the order they are made: one at a random moment of each of as many equal slots of the span.
#[derive(Debug)]
struct Schedule {
    dice: Dice,
    made: u64,
    frames: u64,
    /// Length of a slot in 2^-32 ms, so that even 1e9 of them end within a millisecond of the span's end.
    slot: u128,
    users: u32,
    skewed: Chance,
    very_late: Chance,
    late_or_very_late: Chance,
    delay_ms: u64,
    very_late_by_ms: u64,
}

impl Schedule {
    fn new(plan: &Plan) -> Self {
        let very_late = Chance::new(plan.very_late);
        Self {
            dice: Dice::new(plan.seed, Purpose::Schedule),
            made: 0,
            frames: plan.frames,
            slot: (u128::from(plan.span_ms) << 32) / u128::from(plan.frames.max(1)),
            users: plan.users,
            skewed: Chance::new(plan.skew),
            very_late,
            late_or_very_late: very_late.or(Chance::new(plan.late)),
            delay_ms: plan.delay_ms,
            very_late_by_ms: plan.very_late_by_ms,
        }
    }

    fn user(&mut self) -> u32 {
        if self.dice.hit(self.skewed) {
            self.ranked_user()
        } else {
            self.dice.below(self.users)
        }
    }

    /// A user by Zipf's law in integers: ranks 1, 2-3, 4-7, 8-15, ... are equally likely, and so are the ranks
    /// within each of these. (A power or a logarithm may differ in its last bit from one machine to another.)
    fn ranked_user(&mut self) -> u32 {
        let octave = self.dice.below(self.users.checked_ilog2().unwrap_or(0) + 1);
        let first = 1_u32 << octave;
        let beyond = (2 * u64::from(first)).min(u64::from(self.users) + 1);
        let within = (beyond - u64::from(first)) as u32;
        first - 1 + self.dice.below(within)
    }

    fn delay(&mut self) -> u64 {
        let draw = self.dice.bits();
        if self.very_late.holds(draw) {
            self.dice.up_to(self.very_late_by_ms)
        } else if self.late_or_very_late.holds(draw) {
            self.dice.up_to(self.delay_ms)
        } else {
            0
        }
    }
}

impl Iterator for Schedule {
    type Item = Event;

    fn next(&mut self) -> Option<Event> {
        if self.made == self.frames {
            return None;
        }
        let number = self.made;
        self.made += 1;
        let into_slot = (self.slot * u128::from(self.dice.bits())) >> 32;
        let made_ms = ((self.slot * u128::from(number) + into_slot) >> 32) as u64;
        let user = self.user();
        let arrival_ms = made_ms.saturating_add(self.delay());
        Some(Event {
            arrival_ms,
            number,
            made_ms,
            user,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_span_is_filled_evenly_and_not_exceeded() {
        for (frames, span_ms) in [(1, 1), (7, 1_000), (1_000, 10), (100_000, 63_072_000_000)] {
            let plan = Plan {
                frames,
                span_ms,
                late: 0.0,
                ..Plan::default()
            };
            let made: Vec<u64> = Schedule::new(&plan).map(|event| event.made_ms).collect();
            assert_eq!(made.len() as u64, frames);
            assert!(made.is_sorted());
            assert!(made.iter().all(|&ms| ms < span_ms));
            assert!(*made.last().unwrap() + span_ms.div_ceil(frames) + 1 >= span_ms);
        }
    }

    #[test]
    fn skew_prefers_low_numbers_and_stays_in_range() {
        for users in [1, 2, 3, 1_000, 1 << 20, u32::MAX] {
            let plan = Plan {
                frames: 20_000,
                users,
                skew: 1.0,
                ..Plan::default()
            };
            let seen: Vec<u32> = Schedule::new(&plan).map(|event| event.user).collect();
            assert!(seen.iter().all(|&user| user < users));
            let octaves = users.ilog2() as usize + 1;
            let top = seen.iter().filter(|&&user| user == 0).count();
            assert!(
                top * octaves > 18_000 && top * octaves < 22_000,
                "{users} users: the first {top} times"
            );
        }
    }

    #[test]
    fn users_are_drawn_evenly_by_default() {
        let plan = Plan {
            frames: 100_000,
            users: 100,
            ..Plan::default()
        };
        let mut seen = [0_u32; 100];
        for event in Schedule::new(&plan) {
            seen[event.user as usize] += 1;
        }
        assert!(seen.iter().all(|n| (840..1_160).contains(n)), "{seen:?}");
    }
}
