//! Windows that were drawn by other data of the zone than there is now.
//!
//! Governments move their clocks, and a zone's data follows: then a window that was opened before may end elsewhere than it
//! should by now, or begin there. A sketch cannot be cut, so what was counted stays in the window that it was counted in.
//!
//! Invariants: 1. The windows of a period still lie side by side: each second is in one of them. 2. A window that was opened
//! has the bounds that it was opened with, unless nothing was counted behind the earlier one of its old end and its new one:
//! then it ends where one that begins there does now. 3. Drawing again what was drawn gives the same.

use std::fmt;
use std::sync::Arc;

use super::{Bounds, Calendar, EventTime, Period, WindowId};

/// The windows that a calendar has to keep, by period and start.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Drawn([Vec<Bounds>; Period::ALL.len()]);

/// A calendar that has the windows that were opened, whatever its zone says now.
#[derive(Debug, Clone)]
pub struct Redrawn {
    /// The calendar.
    pub calendar: Calendar,
    /// Windows that stay as they were, although the zone has others now.
    pub kept: usize,
    /// Windows that end elsewhere from now on.
    pub moved: usize,
}

/// Windows that no calendar can have had: two of a period overlap, or one is empty or too long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Undrawable(pub WindowId);

impl fmt::Display for Undrawable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let WindowId { period, start } = self.0;
        let period = period.name();
        write!(
            f,
            "the {period} that starts at {start} cannot stand beside the others"
        )
    }
}

impl Calendar {
    /// The same calendar with windows that were opened, each with its end. Nothing was counted after `newest`.
    ///
    /// # Errors
    ///
    /// When they cannot be the windows of one calendar.
    pub fn redrawn(
        &self,
        opened: impl IntoIterator<Item = (WindowId, i64)>,
        newest: Option<EventTime>,
    ) -> Result<Redrawn, Undrawable> {
        let mut opened: Vec<_> = opened.into_iter().collect();
        opened.sort_unstable();
        let mut redrawn = Redrawn {
            calendar: self.clone(),
            kept: 0,
            moved: 0,
        };
        let mut drawn = Drawn::default();
        for of_period in opened.chunk_by(|a, b| a.0.period == b.0.period) {
            let period = of_period[0].0.period;
            drawn.0[period as usize] = self.redraw(of_period, newest, &mut redrawn)?;
        }
        if drawn != Drawn::default() {
            redrawn.calendar.drawn = Some(Arc::new(drawn));
        }
        Ok(redrawn)
    }

    /// The windows to keep of one period, from the first on that is none of the zone's.
    fn redraw(
        &self,
        opened: &[(WindowId, i64)],
        newest: Option<EventTime>,
        redrawn: &mut Redrawn,
    ) -> Result<Vec<Bounds>, Undrawable> {
        let mut windows = Vec::new();
        let mut last_end = i64::MIN;
        for (i, &(id, end)) in opened.iter().enumerate() {
            let start = id.start;
            let length = end.checked_sub(start);
            let is_sound = length.is_some_and(|s| (1..=id.period.longest_s()).contains(&s));
            if !is_sound || start < last_end {
                return Err(Undrawable(id));
            }
            let of_zone = self.of_zone_at(id.period, start);
            let mut bounds = Bounds { start, end };
            let now = begun_at(start, id.period, &|second| {
                self.of_zone_at(id.period, second)
            });
            if bounds != now {
                let next = opened.get(i + 1).map(|(id, _)| id.start);
                let may_move = newest.is_none_or(|at| i64::from(at) < end.min(now.end))
                    && next.is_none_or(|next| now.end <= next);
                if may_move {
                    bounds = now;
                    redrawn.moved += 1;
                } else {
                    redrawn.kept += 1;
                }
            }
            last_end = bounds.end;
            if bounds != of_zone || !windows.is_empty() {
                windows.push(bounds);
            }
        }
        Ok(windows)
    }
}

impl Drawn {
    /// The window that holds a second, where the zone has `of_zone` and others beside it.
    pub(super) fn window(
        &self,
        period: Period,
        ts: i64,
        mut window: Bounds,
        of_zone: impl Fn(i64) -> Bounds,
    ) -> Bounds {
        let drawn = &self.0[period as usize];
        let at = drawn.partition_point(|one| one.start <= ts);
        let next = drawn.get(at).map_or(i64::MAX, |next| next.start);
        if let Some(before) = at.checked_sub(1).map(|at| drawn[at]) {
            if before.contains(ts) {
                return before;
            }
            let behind = begun_at(before.end, period, &of_zone);
            if behind.contains(ts) && behind.end <= next {
                return behind;
            }
            window.start = window.start.max(before.end);
        }
        window.end = window.end.min(next);
        window
    }
}

/// The window that begins at a second, which may lie within one of the zone's. If that ends soon it is one with the next: a month
/// of an hour would be of no use to anybody.
fn begun_at(start: i64, period: Period, of_zone: &impl Fn(i64) -> Bounds) -> Bounds {
    let of_zone_here = of_zone(start);
    let here = Bounds {
        start,
        ..of_zone_here
    };
    let longer = Bounds {
        start,
        end: of_zone(here.end).end,
    };
    let ends_soon = start - of_zone_here.start > here.end - start;
    let has_room = longer.end - start <= period.longest_s();
    if ends_soon && has_room { longer } else { here }
}
