//! Which kept windows cover a stretch of time, as few as possible.
//!
//! The stretch is filled with whole windows, the longest first. What is left at its ends, for want of windows that are
//! short enough, is covered by the shortest kept ones that reach over it: the answer is then about a little more than
//! was asked for, never about less, and says so.

use crate::engine::calendar::{Bounds, Calendar, Period, WindowId};
use crate::engine::frame::EventTime;
use crate::limits::{LOOK_STEPS_MAX, MAX_EVENT_TIME_S, MIN_EVENT_TIME_S};

/// A cover.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Cover {
    /// The windows, by start.
    pub windows: Vec<(WindowId, i64)>,
    /// What none of them covers, in order.
    pub missing: Vec<Bounds>,
}

/// Covers a stretch with windows that are kept. What ends at `kept_from` or before is not.
///
/// Returns `None` where it takes too many steps.
#[must_use]
pub fn cover(
    calendar: &Calendar,
    stretch: Bounds,
    kept_from: i64,
    is_kept: &dyn Fn(Period, Bounds) -> bool,
) -> Option<Cover> {
    let (asked_from, end) = (
        stretch.start.max(i64::from(MIN_EVENT_TIME_S)),
        stretch.end.min(i64::from(MAX_EVENT_TIME_S) + 1),
    );
    let start = asked_from.max(kept_from).min(end.max(asked_from));
    let before = Bounds {
        start: asked_from,
        end: start,
    };
    let stretch = Bounds { start, end };
    let mut search = Search {
        calendar,
        is_kept,
        steps: 0,
        found: Vec::new(),
        missing: Vec::from_iter((before.start < before.end).then_some(before)),
    };
    search.fill(stretch, Period::ALL.len())?;
    Some(search.end())
}

struct Search<'a> {
    calendar: &'a Calendar,
    is_kept: &'a dyn Fn(Period, Bounds) -> bool,
    steps: usize,
    found: Vec<(Period, Bounds)>,
    missing: Vec<Bounds>,
}

impl Search<'_> {
    fn step(&mut self) -> Option<()> {
        self.steps += 1;
        (self.steps <= LOOK_STEPS_MAX).then_some(())
    }

    fn window(&self, period: Period, second: i64) -> Bounds {
        let ts = second.clamp(i64::from(MIN_EVENT_TIME_S), i64::from(MAX_EVENT_TIME_S));
        self.calendar.window(period, ts as EventTime)
    }

    /// Fills a stretch with whole windows of the first so many periods.
    fn fill(&mut self, stretch: Bounds, periods: usize) -> Option<()> {
        if stretch.start >= stretch.end {
            return Some(());
        }
        self.step()?;
        let Some(period) = periods.checked_sub(1).map(|i| Period::ALL[i]) else {
            return self.reach_over(stretch);
        };
        // From here on nothing is covered yet.
        let mut from = stretch.start;
        let mut at = stretch.start;
        while at < stretch.end {
            self.step()?;
            let window = self.window(period, at);
            at = window.end;
            // The first second of 1970 is in windows that began before it.
            let is_whole = window.start.max(i64::from(MIN_EVENT_TIME_S)) >= stretch.start
                && window.end <= stretch.end;
            if is_whole && (self.is_kept)(period, window) {
                let gap = Bounds {
                    start: from,
                    end: window.start,
                };
                self.fill(gap, periods - 1)?;
                self.found.push((period, window));
                from = window.end;
            }
        }
        let rest = Bounds {
            start: from,
            end: stretch.end,
        };
        self.fill(rest, periods - 1)
    }

    /// Covers what no whole window fits into with the shortest kept windows that reach over it.
    fn reach_over(&mut self, stretch: Bounds) -> Option<()> {
        let mut at = stretch.start;
        while at < stretch.end {
            self.step()?;
            let kept = Period::ALL
                .into_iter()
                .map(|period| (period, self.window(period, at)))
                .find(|(period, window)| (self.is_kept)(*period, *window));
            let Some((period, window)) = kept else {
                let end = stretch.end;
                self.missing.push(Bounds { start: at, end });
                break;
            };
            self.found.push((period, window));
            at = window.end;
        }
        Some(())
    }

    fn end(mut self) -> Cover {
        self.found.sort_by_key(|(_, w)| (w.start, -w.end));
        let mut windows: Vec<(WindowId, i64)> = Vec::new();
        for (period, Bounds { start, end }) in self.found {
            // One that reached over may hold others.
            if windows.last().is_none_or(|(_, last)| end > *last) {
                windows.push((WindowId { period, start }, end));
            }
        }
        // One that reaches over the first second may reach further back.
        if let (Some(first), Some((id, _))) = (self.missing.first_mut(), windows.first()) {
            first.end = first.end.min(id.start.max(first.start));
        }
        self.missing.retain(|stretch| stretch.start < stretch.end);
        let mut missing: Vec<Bounds> = Vec::new();
        for stretch in self.missing {
            match missing.last_mut() {
                Some(last) if last.end == stretch.start => last.end = stretch.end,
                _ => missing.push(stretch),
            }
        }
        Cover { windows, missing }
    }
}
