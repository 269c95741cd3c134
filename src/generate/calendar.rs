//! Windows of the calendar in UTC, by the arithmetic of the proleptic Gregorian calendar alone.
//!
//! Shares nothing with the engine on purpose: the truth is what the engine's results are compared with, and an
//! error both have in common would not be found.

/// A kind of calendar window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Period {
    /// 60 s.
    Minute,
    /// 3,600 s.
    Hour,
    /// A UTC day.
    Day,
    /// An ISO week: from Monday.
    Week,
    /// A calendar month.
    Month,
    /// A calendar year.
    Year,
}

const DAY_S: i64 = 86_400;

impl Period {
    /// All of them, shortest first.
    pub const ALL: [Self; 6] = [
        Self::Minute,
        Self::Hour,
        Self::Day,
        Self::Week,
        Self::Month,
        Self::Year,
    ];

    /// The start of the window that `ts` lies in; both in unix seconds. (The week of 1 January 1970 starts
    /// before the epoch.)
    pub fn start_of(self, ts: i64) -> i64 {
        let day = ts.div_euclid(DAY_S);
        match self {
            Self::Minute => ts - ts.rem_euclid(60),
            Self::Hour => ts - ts.rem_euclid(3_600),
            Self::Day => day * DAY_S,
            // Day 0 was a Thursday, three days after its Monday.
            Self::Week => (day - (day + 3).rem_euclid(7)) * DAY_S,
            Self::Month => {
                let (year, month, _) = civil_from_days(day);
                days_from_civil(year, month, 1) * DAY_S
            }
            Self::Year => days_from_civil(civil_from_days(day).0, 1, 1) * DAY_S,
        }
    }

    /// The moment one period before `ts`: 60 s to 7 days, or one month or year of the calendar, clamped to the
    /// last day of its month. A trailing window as of `ts` holds what is later than that.
    pub fn before(self, ts: i64) -> i64 {
        match self {
            Self::Minute => ts - 60,
            Self::Hour => ts - 3_600,
            Self::Day => ts - DAY_S,
            Self::Week => ts - 7 * DAY_S,
            Self::Month => months_before(ts, 1),
            Self::Year => months_before(ts, 12),
        }
    }
}

fn months_before(ts: i64, months: i64) -> i64 {
    let (year, month, day) = civil_from_days(ts.div_euclid(DAY_S));
    let count = year * 12 + (month - 1) - months;
    let (year, month) = (count.div_euclid(12), count.rem_euclid(12) + 1);
    let day = day.min(days_in_month(year, month));
    days_from_civil(year, month, day) * DAY_S + ts.rem_euclid(DAY_S)
}

fn days_in_month(year: i64, month: i64) -> i64 {
    let (next_year, next_month) = if month == 12 {
        (year + 1, 1)
    } else {
        (year, month + 1)
    };
    days_from_civil(next_year, next_month, 1) - days_from_civil(year, month, 1)
}

/// Days since 1970-01-01. Years are counted from 1 March, so that the leap day is the last of its year and the
/// months before it have fixed lengths: 153 days for every five.
fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}

/// Year, month 1..=12 and day 1..=31 of a day counted from 1970-01-01.
fn civil_from_days(day: i64) -> (i64, i64, i64) {
    let day = day + 719_468;
    let era = day.div_euclid(146_097);
    let day_of_era = day.rem_euclid(146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let march_month = (5 * day_of_year + 2) / 153;
    let day_of_month = day_of_year - (153 * march_month + 2) / 5 + 1;
    let month = (march_month + 2) % 12 + 1;
    let year = era * 400 + year_of_era + i64::from(month <= 2);
    (year, month, day_of_month)
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::civil::date;
    use jiff::tz::TimeZone;
    use jiff::{Timestamp, ToSpan};

    fn unix(text: &str) -> i64 {
        text.parse::<Timestamp>().unwrap().as_second()
    }

    #[test]
    fn windows_of_known_dates() {
        for (period, ts, start) in [
            (
                Period::Minute,
                "2026-03-31T23:59:59Z",
                "2026-03-31T23:59:00Z",
            ),
            (Period::Hour, "2026-03-31T23:59:59Z", "2026-03-31T23:00:00Z"),
            (Period::Day, "2026-03-31T23:59:59Z", "2026-03-31T00:00:00Z"),
            (Period::Week, "2026-03-31T23:59:59Z", "2026-03-30T00:00:00Z"),
            (Period::Week, "2026-01-01T00:00:00Z", "2025-12-29T00:00:00Z"),
            (Period::Week, "2027-01-03T23:59:59Z", "2026-12-28T00:00:00Z"),
            (Period::Week, "2027-01-04T00:00:00Z", "2027-01-04T00:00:00Z"),
            (Period::Week, "1970-01-01T00:00:01Z", "1969-12-29T00:00:00Z"),
            (
                Period::Month,
                "2024-02-29T12:00:00Z",
                "2024-02-01T00:00:00Z",
            ),
            (
                Period::Month,
                "2026-12-31T23:59:59Z",
                "2026-12-01T00:00:00Z",
            ),
            (Period::Year, "2024-12-31T23:59:59Z", "2024-01-01T00:00:00Z"),
            (Period::Year, "2106-02-07T06:28:14Z", "2106-01-01T00:00:00Z"),
        ] {
            assert_eq!(period.start_of(unix(ts)), unix(start), "{period:?} of {ts}");
        }
    }

    #[test]
    fn trailing_windows_of_known_dates() {
        for (period, ts, before) in [
            (
                Period::Minute,
                "2026-01-01T00:00:30Z",
                "2025-12-31T23:59:30Z",
            ),
            (Period::Week, "2026-01-05T00:00:00Z", "2025-12-29T00:00:00Z"),
            (
                Period::Month,
                "2026-03-31T12:34:56Z",
                "2026-02-28T12:34:56Z",
            ),
            (
                Period::Month,
                "2024-03-30T12:34:56Z",
                "2024-02-29T12:34:56Z",
            ),
            (
                Period::Month,
                "2026-01-31T00:00:00Z",
                "2025-12-31T00:00:00Z",
            ),
            (
                Period::Month,
                "2026-07-31T00:00:00Z",
                "2026-06-30T00:00:00Z",
            ),
            (Period::Year, "2024-02-29T23:59:59Z", "2023-02-28T23:59:59Z"),
            (Period::Year, "2025-02-28T23:59:59Z", "2024-02-28T23:59:59Z"),
        ] {
            assert_eq!(
                period.before(unix(ts)),
                unix(before),
                "{period:?} before {ts}"
            );
        }
    }

    #[test]
    fn every_day_of_the_range_of_ts_agrees_with_jiff() {
        let epoch = date(1970, 1, 1);
        for day in 0..=49_710 {
            let (year, month, day_of_month) = civil_from_days(day);
            let expected = epoch.checked_add(day.days()).unwrap();
            assert_eq!(
                (year, month, day_of_month),
                (
                    i64::from(expected.year()),
                    i64::from(expected.month()),
                    i64::from(expected.day())
                )
            );
            assert_eq!(days_from_civil(year, month, day_of_month), day);
            let monday = epoch
                .checked_add((Period::Week.start_of(day * DAY_S) / DAY_S).days())
                .unwrap();
            assert_eq!(
                monday.iso_week_date(),
                expected.iso_week_date().first_of_week().unwrap()
            );
            for (period, span) in [(Period::Month, 1.month()), (Period::Year, 1.year())] {
                let before = expected.at(1, 2, 3, 0).checked_sub(span).unwrap();
                let before = TimeZone::UTC.to_timestamp(before).unwrap().as_second();
                assert_eq!(
                    period.before(day * DAY_S + 3_723),
                    before,
                    "{period:?} before {expected}"
                );
            }
        }
    }
}
