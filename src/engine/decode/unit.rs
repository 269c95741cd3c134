//! What a `ts` counts, and the doubt whether it does.

use crate::engine::frame::EventTime;
use crate::limits::{HINT_FRAMES, HINT_FROM_S, HINT_UNTIL_S, MAX_EVENT_TIME_S, MIN_EVENT_TIME_S};

/// What an event time counts since the epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum TsUnit {
    /// Seconds.
    #[default]
    Seconds,
    /// Milliseconds.
    Millis,
    /// Microseconds.
    Micros,
    /// Nanoseconds.
    Nanos,
}

impl TsUnit {
    /// All of them, the coarsest first.
    pub const ALL: [Self; 4] = [Self::Seconds, Self::Millis, Self::Micros, Self::Nanos];

    /// The name that options and positions have for it: `s`, `ms`, `us`, `ns`.
    #[must_use]
    pub fn symbol(self) -> &'static str {
        match self {
            Self::Seconds => "s",
            Self::Millis => "ms",
            Self::Micros => "us",
            Self::Nanos => "ns",
        }
    }

    /// The word for many of it.
    #[must_use]
    pub fn plural(self) -> &'static str {
        match self {
            Self::Seconds => "seconds",
            Self::Millis => "milliseconds",
            Self::Micros => "microseconds",
            Self::Nanos => "nanoseconds",
        }
    }

    /// How many of it a second has.
    #[must_use]
    pub fn per_second(self) -> u64 {
        match self {
            Self::Seconds => 1,
            Self::Millis => 1_000,
            Self::Micros => 1_000_000,
            Self::Nanos => 1_000_000_000,
        }
    }

    /// Whole seconds of so many.
    #[must_use]
    pub fn seconds(self, count: u64) -> u64 {
        // One arm each, so that no division is by a variable, and seconds need none.
        match self {
            Self::Seconds => count,
            Self::Millis => count / 1_000,
            Self::Micros => count / 1_000_000,
            Self::Nanos => count / 1_000_000_000,
        }
    }

    /// The event time of so many since the epoch, if it is in range.
    #[must_use]
    pub fn event_time(self, count: u64) -> Option<EventTime> {
        EventTime::try_from(self.seconds(count))
            .ok()
            .filter(|s| (MIN_EVENT_TIME_S..=MAX_EVENT_TIME_S).contains(s))
    }

    /// The same moment of another second, as so many since the epoch. Fits for every event time.
    #[must_use]
    pub fn at_second(self, second: EventTime, count: u64) -> u64 {
        u64::from(second) * self.per_second() + count % self.per_second()
    }

    /// The unit in which this number would be of our days; at most one.
    fn of_our_days(count: u64) -> Option<Self> {
        let days = u64::from(HINT_FROM_S)..u64::from(HINT_UNTIL_S);
        Self::ALL
            .into_iter()
            .find(|unit| days.contains(&unit.seconds(count)))
    }
}

/// All event times so far look like another unit than the one they are read in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WrongUnit {
    /// The one that they are read in.
    pub read_as: TsUnit,
    /// The one that they look like.
    pub looks_like: TsUnit,
}

/// Whether the first event times of a stream all look like one and the same wrong unit.
#[derive(Debug)]
pub struct Guess {
    read_as: TsUnit,
    /// What all so far look like.
    looks_like: Option<TsUnit>,
    /// Event times still to be looked at.
    left: u32,
    /// What was noted of the frame at hand.
    noted: Option<Option<u64>>,
}

impl Guess {
    /// A guess about event times that are read in this unit.
    #[must_use]
    pub fn new(read_as: TsUnit) -> Self {
        Self {
            read_as,
            looks_like: None,
            left: HINT_FRAMES,
            noted: None,
        }
    }

    pub(super) fn begin_frame(&mut self) {
        self.noted = None;
    }

    pub(super) fn noted(&self) -> Option<Option<u64>> {
        self.noted
    }

    /// Whether more event times are to be looked at.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.left > 0
    }

    /// Looks at an event time; none is one before the epoch.
    #[inline]
    pub fn note(&mut self, count: Option<u64>) {
        self.noted = Some(count);
        if self.left > 0 {
            self.look(count);
        }
    }

    #[cold]
    fn look(&mut self, count: Option<u64>) {
        self.left -= 1;
        let unit = count.and_then(TsUnit::of_our_days);
        let is_wrong = unit.is_some_and(|unit| unit != self.read_as);
        if is_wrong && (self.looks_like.is_none() || self.looks_like == unit) {
            self.looks_like = unit;
        } else {
            // One that is right, or wrong in another way, ends it for good.
            self.looks_like = None;
            self.left = 0;
        }
    }

    /// The result, once, when there are enough or no more of them.
    pub fn take(&mut self, at_end: bool) -> Option<WrongUnit> {
        if self.left > 0 && !at_end {
            return None;
        }
        self.left = 0;
        Some(WrongUnit {
            read_as: self.read_as,
            looks_like: self.looks_like.take()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW_S: u64 = 1_468_244_385;

    fn guess(read_as: TsUnit, counts: impl IntoIterator<Item = u64>) -> Guess {
        let mut guess = Guess::new(read_as);
        counts.into_iter().for_each(|count| guess.note(Some(count)));
        guess
    }

    #[test]
    fn a_number_of_our_days_is_of_one_unit() {
        for unit in TsUnit::ALL {
            let per_second = unit.per_second();
            let (from, until) = (u64::from(HINT_FROM_S), u64::from(HINT_UNTIL_S));
            for (count, expected) in [
                (from * per_second, Some(unit)),
                (until * per_second - 1, Some(unit)),
                (from * per_second - 1, None),
                (until * per_second, None),
            ] {
                assert_eq!(TsUnit::of_our_days(count), expected, "{count} {unit:?}");
            }
        }
        assert_eq!(TsUnit::of_our_days(0), None);
        assert_eq!(TsUnit::of_our_days(u64::MAX), None);
    }

    #[test]
    fn every_unit_taken_for_every_other_is_told_once() {
        for read_as in TsUnit::ALL {
            for looks_like in TsUnit::ALL {
                let count = NOW_S * looks_like.per_second();
                let enough = HINT_FRAMES as usize;
                let mut all = guess(read_as, vec![count; enough]);
                let is_wrong = read_as != looks_like;
                let expected = is_wrong.then_some(WrongUnit {
                    read_as,
                    looks_like,
                });
                assert_eq!(all.take(false), expected);
                all.note(Some(count));
                assert_eq!(all.take(true), None, "said already");
                let mut few = guess(read_as, vec![count; enough - 1]);
                assert_eq!(few.take(false), None);
                assert_eq!(few.take(true), expected);
                assert_eq!(few.take(true), None);
            }
        }
    }

    #[test]
    fn a_mixed_stream_says_nothing() {
        let millis = NOW_S * 1_000;
        for other in [NOW_S, 7, 0, NOW_S * 1_000_000, u64::MAX] {
            for counts in [[other, millis], [millis, other]] {
                let then = [millis; 2 * HINT_FRAMES as usize];
                let mut guess = guess(TsUnit::Seconds, counts.into_iter().chain(then));
                assert_eq!(guess.take(true), None, "{counts:?}");
            }
        }
        let mut negative = guess(TsUnit::Seconds, [millis]);
        negative.note(None);
        assert_eq!(negative.take(true), None);
        assert_eq!(guess(TsUnit::Seconds, []).take(true), None);
        // What comes after enough of them does not matter.
        let most = [millis; HINT_FRAMES as usize].into_iter();
        let mut late = guess(TsUnit::Seconds, most.chain([NOW_S]));
        assert!(late.take(false).is_some());
    }

    #[test]
    fn a_moment_is_moved_to_another_second() {
        for unit in TsUnit::ALL {
            let last = unit.per_second() - 1;
            let count = unit.at_second(MAX_EVENT_TIME_S, last);
            assert_eq!(unit.event_time(count), Some(MAX_EVENT_TIME_S));
            assert_eq!(unit.event_time(count + 1), None);
            assert_eq!(count % unit.per_second(), last);
            assert_eq!(unit.event_time(last), None);
        }
    }
}
