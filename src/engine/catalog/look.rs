//! What the catalog says to questions from outside.

use super::{Catalog, Completeness, Entry, is_complete};
use crate::engine::calendar::{Bounds, Period, WindowId};
use crate::engine::frame::EventTime;
use crate::engine::look::cover::cover;
use crate::engine::look::{Known, List, Listed};
use crate::limits::{LOOK_WINDOWS_MAX, MAX_EVENT_TIME_S, MIN_EVENT_TIME_S};

impl Entry {
    fn listed(&self, id: WindowId, completeness: Completeness) -> Listed {
        Listed {
            id,
            end: self.end,
            frames: self.frames,
            late: self.late,
            complete: is_complete(id, completeness),
            last_word: self.last_word,
        }
    }
}

impl Catalog {
    /// The windows of a period that reach into a stretch, by start.
    pub(in crate::engine) fn list(
        &mut self,
        list: List,
        completeness: Completeness,
        known: &mut Known,
    ) {
        let from = list
            .within
            .start
            .clamp(i64::from(MIN_EVENT_TIME_S), i64::from(MAX_EVENT_TIME_S));
        let first = self.windows.bounds(list.period, from as EventTime).start;
        let mut windows = self
            .windows
            .range(list.period, first..list.within.end.max(first));
        let mut found = Vec::new();
        // One without frames is that of frames which still wait to be confirmed.
        let mut next = || match list.newest {
            true => windows.rfind(|(_, entry)| entry.frames > 0),
            false => windows.find(|(_, entry)| entry.frames > 0),
        };
        while found.len() < list.limit {
            let Some((id, entry)) = next() else { break };
            if entry.end > list.within.start {
                found.push(entry.listed(id, completeness));
            }
        }
        known.more = next()
            .filter(|(_, entry)| entry.end > list.within.start)
            .map(|(id, _)| id.start);
        if list.newest {
            found.reverse();
        }
        known.windows = found;
    }

    /// Those of these windows that are here.
    pub(in crate::engine) fn name(
        &self,
        ids: &[WindowId],
        completeness: Completeness,
        known: &mut Known,
    ) {
        let found = ids.iter().filter_map(|id| {
            let entry = self.windows.get(*id).filter(|entry| entry.frames > 0)?;
            Some(entry.listed(*id, completeness))
        });
        known.windows = found.collect();
    }

    /// The windows with frames that cover a stretch, and what is not covered because it is not kept any more.
    pub(in crate::engine) fn cover(
        &self,
        stretch: Bounds,
        watermark: Option<i64>,
        completeness: Completeness,
        known: &mut Known,
    ) {
        let periods = &self.periods;
        let is_kept = |period: Period, window: Bounds| {
            let id = WindowId {
                period,
                start: window.start,
            };
            periods.contains(&period) && !self.is_gone(id, window.end, watermark)
        };
        let kept_from = periods.iter().map(|period| {
            let expired = watermark.map(|w| w.saturating_sub(self.retention_s[*period as usize]));
            expired.map_or(i64::MIN, |expired| {
                expired.max(self.gone_until[*period as usize])
            })
        });
        let kept_from = kept_from.min().unwrap_or(i64::MAX);
        let found = cover(self.windows.calendar(), stretch, kept_from, &is_kept);
        let Some(found) = found else {
            known.is_too_long = true;
            return;
        };
        let windows = found.windows.iter().filter_map(|(id, _)| {
            let entry = self.windows.get(*id).filter(|entry| entry.frames > 0)?;
            Some(entry.listed(*id, completeness))
        });
        known.windows = windows.collect();
        known.missing = found.missing;
        known.is_too_long = known.windows.len() > LOOK_WINDOWS_MAX;
    }
}
