//! Which windows' records are old enough to be deleted from a compacted topic (`--forget`).

use crate::engine::calendar::{Calendar, Period, WindowId};
use crate::engine::frame::EventTime;
use crate::limits::FORGET_LOOK_BACK_S;

/// Names windows as the watermark leaves them behind.
///
/// Every window of the calendar is named, whether or not it had frames: a deletion of nothing does no harm, and so records
/// of an earlier run are found too. The first time it begins `FORGET_LOOK_BACK_S` before what is due.
#[derive(Debug, Clone)]
pub struct Forget {
    calendar: Calendar,
    after_s: [Option<i64>; Period::ALL.len()],
    next: [Option<i64>; Period::ALL.len()],
}

impl Forget {
    /// `after_s` tells for each period how long after their end its windows are forgotten, in seconds, if ever.
    #[must_use]
    pub fn new(calendar: Calendar, after_s: [Option<i64>; Period::ALL.len()]) -> Self {
        Self {
            calendar,
            after_s,
            next: [None; Period::ALL.len()],
        }
    }

    /// The windows that are due by this watermark (unix seconds) and were not named before, at most so many.
    pub fn due(&mut self, watermark: i64, most: usize) -> Vec<WindowId> {
        let mut due = Vec::new();
        for period in Period::ALL {
            let Some(after_s) = self.after_s[period as usize] else {
                continue;
            };
            let cut = watermark - after_s;
            let next = self.next[period as usize].get_or_insert(cut - FORGET_LOOK_BACK_S);
            *next = (*next).max(0);
            while due.len() < most
                && *next < cut
                && let Ok(second) = EventTime::try_from(*next)
            {
                let bounds = self.calendar.window(period, second);
                if bounds.end > cut {
                    break;
                }
                due.push(WindowId {
                    period,
                    start: bounds.start,
                });
                *next = bounds.end;
            }
        }
        due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY_S: i64 = 86_400;
    const NOON: i64 = 1_774_612_800;

    #[test]
    fn each_window_is_named_once_when_the_watermark_has_left_it_behind() {
        let mut after_s = [None; Period::ALL.len()];
        after_s[Period::Hour as usize] = Some(DAY_S);
        let mut forget = Forget::new(Calendar::utc(), after_s);
        let first = forget.due(NOON, usize::MAX);
        assert_eq!(first.len() as i64, FORGET_LOOK_BACK_S / 3_600);
        assert_eq!(first.last().unwrap().start, NOON - DAY_S - 3_600);
        assert_eq!(forget.due(NOON + 3_599, usize::MAX), []);
        let hour = |start| WindowId {
            period: Period::Hour,
            start,
        };
        let then = forget.due(NOON + 3 * 3_600, 2);
        assert_eq!(then, [hour(NOON - DAY_S), hour(NOON - DAY_S + 3_600)]);
        let rest = forget.due(NOON + 3 * 3_600, usize::MAX);
        assert_eq!(rest, [hour(NOON - DAY_S + 7_200)]);
    }

    #[test]
    fn nothing_is_named_where_nothing_is_to_be_forgotten_or_time_has_hardly_begun() {
        let mut never = Forget::new(Calendar::utc(), [None; Period::ALL.len()]);
        assert_eq!(never.due(NOON, usize::MAX), []);
        let mut all = Forget::new(Calendar::utc(), [Some(DAY_S); Period::ALL.len()]);
        assert_eq!(all.due(1_000, usize::MAX), []);
        assert_eq!(all.due(DAY_S + 120, usize::MAX).len(), 2);
    }
}
