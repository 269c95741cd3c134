//! A zone's distance from UTC, as a table: asking the zone's rules for every window of a long history cost more than
//! counting it. Beside it the arithmetic of dates, and times as text.

use std::ops::Range;

use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::limits::MAX_EVENT_TIME_S;

pub(super) const DAY_S: i64 = 86_400;
/// The seconds that the table is good for: every event time, and every window that holds one.
pub(super) const KNOWN_S: Range<i64> = -2 * 366 * DAY_S..MAX_EVENT_TIME_S as i64 + 2 * 366 * DAY_S;

/// A stretch of time in which a zone's offset does not change: `start <= ts < end`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stretch {
    pub(super) start: i64,
    pub(super) end: i64,
    /// Seconds to add to unix time for the time on the wall.
    pub(super) offset_s: i64,
}

/// All stretches of a zone within [`KNOWN_S`], in order; the first and last have no outer end.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Offsets(Vec<Stretch>);

impl Offsets {
    pub(super) fn new(zone: &TimeZone) -> Self {
        let at = |second| Timestamp::from_second(second).unwrap_or(Timestamp::MIN);
        let first = at(KNOWN_S.start);
        let mut stretches = vec![Stretch {
            start: i64::MIN,
            end: i64::MAX,
            offset_s: zone.to_offset(first).seconds().into(),
        }];
        for change in zone.following(first) {
            let second = change.timestamp().as_second();
            if second >= KNOWN_S.end {
                break;
            }
            let offset_s = i64::from(change.offset().seconds());
            if let Some(last) = stretches.last_mut()
                && last.offset_s != offset_s
            {
                last.end = second;
                stretches.push(Stretch {
                    start: second,
                    end: i64::MAX,
                    offset_s,
                });
            }
        }
        Self(stretches)
    }

    /// The stretch that holds a second.
    pub(super) fn at(&self, second: i64) -> Stretch {
        self.0[self.0.partition_point(|stretch| stretch.end <= second)]
    }
}

/// Year, month and day of month of a day since 1970, in the Gregorian calendar: Howard Hinnant's `civil_from_days`.
pub(super) fn civil(day: i64) -> (i64, i64, i64) {
    // Years begin in March here, so that the leap day is the last of its year.
    let day = day + 719_468;
    let (era, of_era) = (day.div_euclid(146_097), day.rem_euclid(146_097));
    let year = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let shifted = (5 * of_year + 2) / 153;
    let of_month = of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 {
        shifted + 3
    } else {
        shifted - 9
    };
    (year + era * 400 + i64::from(month <= 2), month, of_month)
}

/// The day since 1970 of a date: Howard Hinnant's `days_from_civil`.
pub(super) fn days(year: i64, month: i64, of_month: i64) -> i64 {
    let year = year - i64::from(month <= 2);
    let (era, of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let of_year = (153 * (month + if month > 2 { -3 } else { 9 }) + 2) / 5 + of_month - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

/// A local second as RFC 3339, with its offset (whole minutes) or `Z`. For the years of [`KNOWN_S`].
pub(super) fn rfc3339(local: i64, offset_s: Option<i64>) -> String {
    let (day, second) = (local.div_euclid(DAY_S), local.rem_euclid(DAY_S));
    let (year, month, of_month) = civil(day);
    let mut text = String::with_capacity("2026-01-01T00:00:00+00:00".len());
    two_digits(&mut text, year / 100);
    two_digits(&mut text, year % 100);
    for (mark, number) in [
        ('-', month),
        ('-', of_month),
        ('T', second / 3_600),
        (':', second / 60 % 60),
        (':', second % 60),
    ] {
        text.push(mark);
        two_digits(&mut text, number);
    }
    match offset_s {
        None => text.push('Z'),
        Some(offset_s) => {
            text.push(if offset_s < 0 { '-' } else { '+' });
            two_digits(&mut text, offset_s.abs() / 3_600);
            text.push(':');
            two_digits(&mut text, offset_s.abs() / 60 % 60);
        }
    }
    text
}

/// Appends a number below 100.
fn two_digits(text: &mut String, number: i64) {
    for digit in [number / 10, number % 10] {
        text.push(char::from(b'0' + (digit % 10) as u8));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_and_texts_are_those_of_the_library() {
        for (name, step) in [
            ("UTC", 86_399),
            ("Europe/Zurich", 40_009),
            ("America/St_Johns", 70_001),
            ("Europe/London", 70_003),
        ] {
            let zone = TimeZone::get(name).unwrap();
            let offsets = Offsets::new(&zone);
            for second in KNOWN_S.step_by(step) {
                let at = Timestamp::from_second(second).unwrap();
                let offset = zone.to_offset(at);
                let offset_s = i64::from(offset.seconds());
                assert_eq!(offsets.at(second).offset_s, offset_s, "{name} {second}");
                let text = at.display_with_offset(offset).to_string();
                assert_eq!(rfc3339(second + offset_s, Some(offset_s)), text);
                assert_eq!(rfc3339(second, None), at.to_string());
                let (year, month, of_month) = civil(second.div_euclid(DAY_S));
                assert_eq!(days(year, month, of_month), second.div_euclid(DAY_S));
            }
        }
    }

    #[test]
    fn stretches_follow_one_another_and_differ() {
        let offsets = Offsets::new(&TimeZone::get("Africa/Casablanca").unwrap());
        assert!(offsets.0.len() > 100);
        for pair in offsets.0.windows(2) {
            assert_eq!(pair[0].end, pair[1].start);
            assert_ne!(pair[0].offset_s, pair[1].offset_s);
        }
    }
}
