//! Something kept for each calendar window, found quickly by event time.

use std::collections::BTreeMap;
use std::ops::{Bound, Range};

use super::calendar::{Bounds, Calendar, Period, WindowId};
use super::frame::EventTime;

/// Cached lookups a period: frames of a few neighbouring windows alternate, those of far ones do not.
const WAYS: usize = 8;
const NO_SLOT: usize = usize::MAX;
const EMPTY: Cached = Cached {
    bounds: Bounds { start: 0, end: 0 },
    slot: NO_SLOT,
};

#[derive(Debug, Clone, Copy)]
struct Cached {
    bounds: Bounds,
    slot: usize,
}

/// Where the entry of a window is, until that is removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Slot(usize);

impl Slot {
    /// No entry's.
    pub const NOWHERE: Self = Self(NO_SLOT);
}

/// A map from calendar windows to `T`, looked up by period and second.
#[derive(Debug, Clone)]
pub struct WindowMap<T> {
    calendar: Calendar,
    index: BTreeMap<WindowId, usize>,
    slots: Vec<Option<T>>,
    free: Vec<usize>,
    cache: [[Cached; WAYS]; Period::ALL.len()],
    /// The way of each period that was looked up last: nearly always the one that is wanted again.
    hot: [usize; Period::ALL.len()],
}

impl<T> WindowMap<T> {
    /// An empty map over a calendar's windows.
    #[must_use]
    pub fn new(calendar: Calendar) -> Self {
        Self {
            calendar,
            index: BTreeMap::new(),
            slots: Vec::new(),
            free: Vec::new(),
            cache: [[EMPTY; WAYS]; Period::ALL.len()],
            hot: [0; Period::ALL.len()],
        }
    }

    fn cached(&mut self, period: Period, ts: EventTime) -> &mut Cached {
        let (ways, hot) = (
            &mut self.cache[period as usize],
            &mut self.hot[period as usize],
        );
        if !ways[*hot % WAYS].bounds.contains(i64::from(ts)) {
            *hot = (ts / period.grain_s()) as usize % WAYS;
        }
        let cached = &mut ways[*hot % WAYS];
        if !cached.bounds.contains(i64::from(ts)) {
            let bounds = self.calendar.window(period, ts);
            let id = WindowId {
                period,
                start: bounds.start,
            };
            let slot = self.index.get(&id).copied().unwrap_or(NO_SLOT);
            *cached = Cached { bounds, slot };
        }
        cached
    }

    /// The bounds of the window that holds a second, whether or not the map has it.
    pub fn bounds(&mut self, period: Period, ts: EventTime) -> Bounds {
        self.cached(period, ts).bounds
    }

    /// The entry of the window that holds a second; made if there is none.
    pub fn entry(
        &mut self,
        period: Period,
        ts: EventTime,
        make: impl FnOnce(WindowId, Bounds) -> T,
    ) -> &mut T {
        let (_, slot) = self.slot(period, ts, make);
        self.at(slot)
    }

    /// Where that entry is, and the window's bounds.
    pub fn slot(
        &mut self,
        period: Period,
        ts: EventTime,
        make: impl FnOnce(WindowId, Bounds) -> T,
    ) -> (Bounds, Slot) {
        let Cached { bounds, mut slot } = *self.cached(period, ts);
        if slot == NO_SLOT {
            let id = WindowId {
                period,
                start: bounds.start,
            };
            // A window may fill two ways of the cache; the other one may have made the entry.
            slot = match self.index.get(&id) {
                Some(slot) => *slot,
                None => self.insert(id, make(id, bounds)),
            };
            self.cached(period, ts).slot = slot;
        }
        (bounds, Slot(slot))
    }

    /// The entry that is there.
    ///
    /// # Panics
    ///
    /// If it was removed.
    pub fn at(&mut self, slot: Slot) -> &mut T {
        let entry = self.slots[slot.0].as_mut();
        entry.expect("the slot of a window is occupied")
    }

    fn insert(&mut self, id: WindowId, value: T) -> usize {
        let slot = self.free.pop().unwrap_or_else(|| {
            self.slots.push(None);
            self.slots.len() - 1
        });
        self.slots[slot] = Some(value);
        self.index.insert(id, slot);
        slot
    }

    /// The entry of a window.
    #[must_use]
    pub fn get(&self, id: WindowId) -> Option<&T> {
        self.slots[*self.index.get(&id)?].as_ref()
    }

    /// The entry of a window.
    pub fn get_mut(&mut self, id: WindowId) -> Option<&mut T> {
        self.slots[*self.index.get(&id)?].as_mut()
    }

    /// Takes a window out of the map.
    pub fn remove(&mut self, id: WindowId) -> Option<T> {
        let slot = self.index.remove(&id)?;
        for cached in self.cache.iter_mut().flatten() {
            if cached.slot == slot {
                *cached = EMPTY;
            }
        }
        self.free.push(slot);
        self.slots[slot].take()
    }

    /// The windows of a period, the oldest first.
    pub fn of_period(&self, period: Period) -> impl Iterator<Item = (WindowId, &T)> {
        let from = WindowId {
            period,
            start: i64::MIN,
        };
        let to = WindowId {
            period,
            start: i64::MAX,
        };
        self.index
            .range(from..=to)
            .filter_map(|(id, slot)| Some((*id, self.slots[*slot].as_ref()?)))
    }

    /// The windows of a period that start within a range, the oldest first.
    pub fn range(
        &self,
        period: Period,
        starts: Range<i64>,
    ) -> impl DoubleEndedIterator<Item = (WindowId, &T)> {
        let at = |start| WindowId { period, start };
        let range = at(starts.start)..at(starts.end);
        self.index
            .range(range)
            .filter_map(|(id, slot)| Some((*id, self.slots[*slot].as_ref()?)))
    }

    /// The calendar.
    #[must_use]
    pub fn calendar(&self) -> &Calendar {
        &self.calendar
    }

    /// All windows, by period and start.
    pub fn ids(&self) -> impl Iterator<Item = WindowId> {
        self.index.keys().copied()
    }

    /// Those behind this one, in that order.
    pub fn ids_after(&self, id: Option<WindowId>) -> impl Iterator<Item = WindowId> {
        let from = id.map_or(Bound::Unbounded, Bound::Excluded);
        let behind = self.index.range((from, Bound::Unbounded));
        behind.map(|(id, _)| *id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_are_found_made_and_removed() {
        let mut map = WindowMap::new(Calendar::utc());
        for ts in [0u32, 59, 60, 119, 3_600, 59, 600_000_000, 61] {
            *map.entry(Period::Minute, ts, |_, _| 0) += 1;
        }
        let counts: Vec<_> = map
            .of_period(Period::Minute)
            .map(|(id, n)| (id.start, *n))
            .collect();
        assert_eq!(counts, [(0, 3), (60, 3), (3_600, 1), (600_000_000, 1)]);
        let first = WindowId {
            period: Period::Minute,
            start: 0,
        };
        assert_eq!(map.remove(first), Some(3));
        assert_eq!(map.remove(first), None);
        *map.entry(Period::Minute, 1, |_, _| 0) += 1;
        assert_eq!(map.get(first), Some(&1));
    }

    #[test]
    fn a_window_in_two_ways_of_the_cache_is_one_window() {
        let mut map = WindowMap::new(Calendar::utc());
        // Two seconds of one January that differ in ts / 28 days.
        for ts in [28 * 86_400 - 1, 28 * 86_400] {
            *map.entry(Period::Month, ts, |_, _| 0) += 1;
        }
        assert_eq!(
            map.of_period(Period::Month)
                .map(|(_, n)| *n)
                .collect::<Vec<_>>(),
            [2]
        );
        map.remove(WindowId {
            period: Period::Month,
            start: 0,
        });
        for ts in [28 * 86_400 - 1, 28 * 86_400] {
            *map.entry(Period::Month, ts, |_, _| 0) += 1;
        }
        assert_eq!(
            map.of_period(Period::Month)
                .map(|(_, n)| *n)
                .collect::<Vec<_>>(),
            [2]
        );
    }
}
