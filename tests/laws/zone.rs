//! A calendar of its own for the oracle: chrono-tz says what the clock on the wall shows, the rest is arithmetic on
//! the stretches between two changes of it.

use chrono::{DateTime, Datelike, Days, Months, NaiveDate, Offset, TimeZone};

const DAY_S: i64 = 86_400;
/// Some years around the event times, whose windows reach a little further than they do.
const FIRST_S: i64 = -3 * 366 * DAY_S;
const LAST_S: i64 = u32::MAX as i64 + 3 * 366 * DAY_S;

/// Periods by their place in `Period::ALL`.
pub const MINUTE: usize = 0;
pub const HOUR: usize = 1;
pub const DAY: usize = 2;
pub const WEEK: usize = 3;
pub const MONTH: usize = 4;
pub const YEAR: usize = 5;

/// A stretch of time in which the clock's distance from UTC does not change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Stretch {
    pub from: i64,
    pub to: i64,
    pub offset: i64,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Zone {
    stretches: Vec<Stretch>,
}

impl Zone {
    pub fn utc() -> Self {
        Self::by(|_| 0)
    }

    pub fn named(name: &str) -> Self {
        let zone: chrono_tz::Tz = name.parse().unwrap();
        Self::by(|second| {
            let at = DateTime::from_timestamp(second, 0).unwrap().naive_utc();
            zone.offset_from_utc_datetime(&at)
                .fix()
                .local_minus_utc()
                .into()
        })
    }

    /// Finds the changes by looking once a day and halving: two that cancel out within a day would be missed.
    fn by(offset_at: impl Fn(i64) -> i64) -> Self {
        let mut stretches = Vec::new();
        let mut from = i64::MIN / 2;
        let mut seen = (FIRST_S, offset_at(FIRST_S));
        while seen.0 < LAST_S {
            let day = (seen.0 + DAY_S, offset_at(seen.0 + DAY_S));
            if day.1 != seen.1 {
                let (mut before, mut after) = (seen.0, day.0);
                while after - before > 1 {
                    let middle = before + (after - before) / 2;
                    if offset_at(middle) == seen.1 {
                        before = middle;
                    } else {
                        after = middle;
                    }
                }
                stretches.push(Stretch {
                    from,
                    to: after,
                    offset: seen.1,
                });
                from = after;
                // The day may hold another change.
                seen = (after, offset_at(after));
            } else {
                seen = day;
            }
        }
        stretches.push(Stretch {
            from,
            to: i64::MAX / 2,
            offset: seen.1,
        });
        Self { stretches }
    }

    /// The first second of each stretch but the first.
    pub fn changes(&self) -> impl Iterator<Item = i64> {
        self.stretches.iter().skip(1).map(|s| s.from)
    }

    fn at(&self, second: i64) -> Stretch {
        let i = self.stretches.partition_point(|s| s.to <= second);
        self.stretches[i]
    }

    /// What the clock on the wall shows, as if it were UTC.
    pub fn local(&self, second: i64) -> i64 {
        second + self.at(second).offset
    }

    pub fn offset(&self, second: i64) -> i64 {
        self.at(second).offset
    }

    /// The stretches that a reading of the clock may belong to.
    fn near(&self, local: i64) -> &[Stretch] {
        let from = self.stretches.partition_point(|s| s.to < local - 2 * DAY_S);
        let to = self
            .stretches
            .partition_point(|s| s.from <= local + 2 * DAY_S);
        &self.stretches[from..to]
    }

    /// The first second at which the clock shows this or more.
    fn first_showing(&self, local: i64) -> i64 {
        let firsts = self.near(local).iter().filter_map(|s| {
            let first = s.from.max(local - s.offset);
            (first < s.to).then_some(first)
        });
        firsts.min().unwrap()
    }

    /// The second at which the clock shows this: the earlier of two; if it skips it, as far after the skip as it
    /// would have been after what the clock showed last.
    pub fn compatible(&self, local: i64) -> i64 {
        let near = self.near(local);
        let showing = near.iter().map(|s| (s, local - s.offset));
        let mut showing = showing.filter(|(s, t)| (s.from..s.to).contains(t));
        if let Some((_, second)) = showing.next() {
            return second;
        }
        let skip = near.windows(2).find(|pair| {
            let change = pair[0].to;
            (change + pair[0].offset..change + pair[1].offset).contains(&local)
        });
        local - skip.unwrap()[0].offset
    }

    /// First second of the window that holds `ts`, and the first one after it.
    pub fn window(&self, period: usize, ts: i64) -> (i64, i64) {
        match period {
            MINUTE => self.clock_window(ts, 60),
            HOUR => self.clock_window(ts, 3_600),
            _ => self.date_window(period, ts),
        }
    }

    fn clock_window(&self, ts: i64, length: i64) -> (i64, i64) {
        let stretch = self.at(ts);
        let shown = ts + stretch.offset;
        let start = shown.div_euclid(length) * length - stretch.offset;
        (start.max(stretch.from), (start + length).min(stretch.to))
    }

    /// A window begins when the clock first shows its first date or a later one; one that would have no second is
    /// none.
    fn date_window(&self, period: usize, ts: i64) -> (i64, i64) {
        let start_of = |date: NaiveDate| {
            self.first_showing(date.and_hms_opt(0, 0, 0).unwrap().and_utc().timestamp())
        };
        // From two windows earlier than the clock says, forward to the one that is followed by a later start.
        let mut date = first_of(period, date_of(self.local(ts)));
        for _ in 0..2 {
            date = first_of(period, date.pred_opt().unwrap());
        }
        loop {
            let next = next_first(period, date);
            let (start, end) = (start_of(date), start_of(next));
            if (start..end).contains(&ts) {
                return (start, end);
            }
            assert!(start <= ts, "no window holds {ts}");
            date = next;
        }
    }

    /// Where the trailing windows start.
    pub fn trailing(&self, as_of: i64) -> [i64; 6] {
        let local = DateTime::from_timestamp(self.local(as_of), 0).unwrap();
        let back = |months: u32| {
            let then = local.naive_utc().checked_sub_months(Months::new(months));
            self.compatible(then.unwrap().and_utc().timestamp())
        };
        [
            as_of - 60,
            as_of - 60 * 60,
            as_of - 24 * 60 * 60,
            as_of - 7 * 24 * 60 * 60,
            back(1),
            back(12),
        ]
    }
}

fn date_of(local: i64) -> NaiveDate {
    DateTime::from_timestamp(local, 0).unwrap().date_naive()
}

fn first_of(period: usize, date: NaiveDate) -> NaiveDate {
    match period {
        DAY => date,
        WEEK => date
            .checked_sub_days(Days::new(date.weekday().num_days_from_monday().into()))
            .unwrap(),
        MONTH => date.with_day(1).unwrap(),
        _ => NaiveDate::from_ymd_opt(date.year(), 1, 1).unwrap(),
    }
}

fn next_first(period: usize, first: NaiveDate) -> NaiveDate {
    match period {
        DAY => first + Days::new(1),
        WEEK => first + Days::new(7),
        MONTH => first + Months::new(1),
        _ => first + Months::new(12),
    }
}
