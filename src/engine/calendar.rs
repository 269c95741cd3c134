//! Calendar windows in a time zone, and where the trailing ones start.

mod drawn;

use std::sync::Arc;

use jiff::civil::{Date, Weekday};
use jiff::tz::TimeZone;
use jiff::{Span, Timestamp, ToSpan};

use self::drawn::Drawn;
pub use self::drawn::{Redrawn, Undrawable};
use super::frame::EventTime;
use super::offsets::{DAY_S, KNOWN_S, Offsets, Stretch, civil, days, rfc3339};

/// The six lengths of calendar window.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Period {
    /// A minute on the clock.
    Minute,
    /// An hour on the clock.
    Hour,
    /// Midnight to midnight; 23 or 25 hours long where the clock is changed.
    Day,
    /// The week of ISO 8601: from Monday.
    Week,
    /// A calendar month.
    Month,
    /// A calendar year.
    Year,
}

impl Period {
    /// No window of the period is longer, wherever clocks are changed; seconds.
    #[must_use]
    pub fn longest_s(self) -> i64 {
        match self {
            Self::Minute => 60,
            Self::Hour => 2 * 3_600,
            Self::Day => 2 * DAY_S,
            Self::Week => 8 * DAY_S,
            Self::Month => 32 * DAY_S,
            Self::Year => 367 * DAY_S,
        }
    }

    /// All periods, the shortest first.
    pub const ALL: [Self; 6] = [
        Self::Minute,
        Self::Hour,
        Self::Day,
        Self::Week,
        Self::Month,
        Self::Year,
    ];

    /// The name in records and options.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Minute => "minute",
            Self::Hour => "hour",
            Self::Day => "day",
            Self::Week => "week",
            Self::Month => "month",
            Self::Year => "year",
        }
    }

    /// The period's bit in a set of periods.
    #[must_use]
    pub fn bit(self) -> u8 {
        1 << self as u8
    }

    /// The set of all periods.
    #[must_use]
    pub fn all_bits() -> u8 {
        Self::ALL.iter().fold(0, |all, period| all | period.bit())
    }

    /// A length below which no two windows of the period can both end, in seconds: granularity for caches.
    #[must_use]
    pub(crate) fn grain_s(self) -> u32 {
        match self {
            Self::Minute => 60,
            Self::Hour => 3_600,
            Self::Day => 86_400,
            Self::Week => 7 * 86_400,
            Self::Month => 28 * 86_400,
            Self::Year => 365 * 86_400,
        }
    }
}

/// The name of one calendar window: its period and the unix second at which it starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WindowId {
    /// The period.
    pub period: Period,
    /// First second, unix time. May lie before 1970 for the week and the year that hold its first seconds.
    pub start: i64,
}

/// A stretch of event time: `start <= ts < end`, unix seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// First second.
    pub start: i64,
    /// First second after it.
    pub end: i64,
}

impl Bounds {
    /// Whether a second lies inside.
    #[must_use]
    pub fn contains(self, ts: i64) -> bool {
        (self.start..self.end).contains(&ts)
    }
}

/// The calendar of one time zone.
#[derive(Debug, Clone)]
pub struct Calendar {
    zone: TimeZone,
    name: String,
    offsets: Arc<Offsets>,
    is_utc: bool,
    /// Windows that the zone had otherwise; nearly always none.
    drawn: Option<Arc<Drawn>>,
}

impl Calendar {
    /// A calendar for a zone; `name` is what records call it.
    #[must_use]
    pub fn new(zone: TimeZone, name: &str) -> Self {
        Self {
            offsets: Arc::new(Offsets::new(&zone)),
            is_utc: zone == TimeZone::UTC,
            zone,
            name: name.to_owned(),
            drawn: None,
        }
    }

    /// The calendar of UTC.
    #[must_use]
    pub fn utc() -> Self {
        Self::new(TimeZone::UTC, "UTC")
    }

    /// The zone's name, as given.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The window of a period that holds a second.
    ///
    /// Days and longer run from the first instant of a local date to the first of a later one. Minutes and hours are
    /// those of the clock on the wall, and end early where the clock is changed: an hour that the clock shows twice
    /// is two windows. Those that were opened stay as they were, see [`Self::redrawn`].
    #[must_use]
    pub fn window(&self, period: Period, ts: EventTime) -> Bounds {
        let of_zone = self.of_zone(period, ts);
        let Some(drawn) = &self.drawn else {
            return of_zone;
        };
        drawn.window(period, i64::from(ts), of_zone, |second| {
            self.of_zone_at(period, second)
        })
    }

    /// The zone's window that holds a second; of those before 1970 that which holds the first second of 1970.
    fn of_zone_at(&self, period: Period, second: i64) -> Bounds {
        let ts = second.clamp(0, i64::from(EventTime::MAX));
        self.of_zone(period, ts as EventTime)
    }

    fn of_zone(&self, period: Period, ts: EventTime) -> Bounds {
        match period {
            Period::Minute => self.clock_window(i64::from(ts), 60),
            Period::Hour => self.clock_window(i64::from(ts), 3_600),
            _ => self.date_window(period, i64::from(ts)),
        }
    }

    /// Only a change of the offset cuts a window; a change of the zone's abbreviation does not.
    fn clock_window(&self, ts: i64, length: i64) -> Bounds {
        let Stretch {
            start: since,
            end: until,
            offset_s,
        } = self.offsets.at(ts);
        let start = ts - (ts + offset_s).rem_euclid(length);
        Bounds {
            start: start.max(since),
            end: (start + length).min(until),
        }
    }

    fn date_window(&self, period: Period, ts: i64) -> Bounds {
        // Far from any change of the offset, midnights are a matter of arithmetic.
        let stretch = self.offsets.at(ts);
        let (first, next) = local_days(period, ts + stretch.offset_s);
        let bounds = Bounds {
            start: first * DAY_S - stretch.offset_s,
            end: next * DAY_S - stretch.offset_s,
        };
        let far = stretch.start.saturating_add(DAY_S) <= bounds.start
            && bounds.end <= stretch.end.saturating_sub(DAY_S);
        if far {
            bounds
        } else {
            self.date_window_near_change(period, ts)
        }
    }

    fn date_window_near_change(&self, period: Period, ts: i64) -> Bounds {
        let date = self.zone.to_datetime(timestamp(ts)).date();
        let (first, length) = match period {
            Period::Week => {
                let into = i64::from(date.weekday().since(Weekday::Monday));
                (date.saturating_sub(into.days()), 1.week())
            }
            Period::Month => (date.first_of_month(), 1.month()),
            Period::Year => (date.first_of_year(), 1.year()),
            _ => (date, 1.day()),
        };
        let next = first.saturating_add(length);
        let (start, end) = (self.midnight(first), self.midnight(next));
        if ts < end {
            return Bounds { start, end };
        }
        // The clock was set back over midnight: the old date shows once more after the new one has begun.
        let after_next = next.saturating_add(length);
        Bounds {
            start: end,
            end: self.midnight(after_next),
        }
    }

    /// The first instant of a local date. Where the clock jumps over midnight, the day starts after the jump.
    fn midnight(&self, date: Date) -> i64 {
        self.local(date.at(0, 0, 0, 0))
    }

    fn local(&self, at: jiff::civil::DateTime) -> i64 {
        self.zone
            .to_ambiguous_timestamp(at)
            .compatible()
            .map_or(i64::MAX, Timestamp::as_second)
    }

    /// Where the six trailing windows start, as of a second: a window holds `start < ts <= as_of`.
    ///
    /// Minute, hour, day and week are 60, 3,600, 86,400 and 604,800 s long. Month and year go back one calendar month
    /// and year on the local clock, clamped to the last day of a shorter month.
    #[must_use]
    pub fn trailing(&self, as_of: EventTime) -> [i64; 6] {
        let as_of = i64::from(as_of);
        let local = self.zone.to_datetime(timestamp(as_of));
        let back = |span: Span| self.local(local.saturating_sub(span));
        [
            as_of - 60,
            as_of - 3_600,
            as_of - 86_400,
            as_of - 604_800,
            back(1.month()),
            back(1.year()),
        ]
    }

    /// A second as RFC 3339 in the zone; `Z` in UTC, and where the zone is off by a fraction of a minute.
    #[must_use]
    pub fn rfc3339(&self, second: i64) -> String {
        if !KNOWN_S.contains(&second) {
            return self.rfc3339_far_off(second);
        }
        let offset_s = self.offsets.at(second).offset_s;
        // RFC 3339 has no seconds in an offset (Liberia until 1972): rounded, the time would read back wrong.
        if self.is_utc || offset_s % 60 != 0 {
            return rfc3339(second, None);
        }
        rfc3339(second + offset_s, Some(offset_s))
    }

    fn rfc3339_far_off(&self, second: i64) -> String {
        let at = timestamp(second);
        let offset = self.zone.to_offset(at);
        if self.is_utc || offset.seconds() % 60 != 0 {
            return at.to_string();
        }
        at.display_with_offset(offset).to_string()
    }
}

/// The first local day of the window that holds a local second, and the first of the next one, in days since 1970.
fn local_days(period: Period, local: i64) -> (i64, i64) {
    let day = local.div_euclid(DAY_S);
    let (year, _, of_month) = civil(day);
    match period {
        Period::Week => {
            // 1 January 1970 was a Thursday.
            let monday = day - (day + 3).rem_euclid(7);
            (monday, monday + 7)
        }
        Period::Month => {
            let first = day - (of_month - 1);
            // No month has more than 31 days, so this falls into the next one.
            let next = first + 31;
            (first, next - (civil(next).2 - 1))
        }
        Period::Year => (days(year, 1, 1), days(year + 1, 1, 1)),
        _ => (day, day + 1),
    }
}

/// Event times and the bounds of their windows lie well inside what jiff can name (years -9999 to 9999).
fn timestamp(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap_or(if second < 0 {
        Timestamp::MIN
    } else {
        Timestamp::MAX
    })
}
