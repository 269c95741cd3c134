//! What the admission says to questions from outside.

use super::Admission;
use crate::engine::calendar::{Bounds, Period};
use crate::engine::catalog::Completeness;
use crate::engine::frame::EventTime;
use crate::engine::look::{Known, Select};
use crate::limits::MAX_EVENT_TIME_S;

/// How time stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standing {
    /// From when on the counts are whole, as in a record.
    pub since: Option<EventTime>,
    /// The watermark, walked or not.
    pub watermark: Option<i64>,
}

impl Admission {
    /// How time stands at this moment.
    #[must_use]
    pub fn standing(&self) -> Standing {
        Standing {
            since: self.since(),
            watermark: self.passed().closed(),
        }
    }

    /// What is known at this moment, of what is asked for, and what the shards are to be asked. Changes nothing that counts.
    pub fn look(&mut self, select: &Select) -> Known {
        let completeness = self.completeness();
        let as_of = self.as_of();
        let newest = i64::from(as_of.unwrap_or(0));
        let mut known = Known {
            as_of,
            watermark: self.passed().closed(),
            since: self.since(),
            complete_from: match completeness {
                Completeness::Unknown => None,
                Completeness::Since(since) => Some(since),
                Completeness::Always => Some(i64::MIN),
            },
            offsets: self.partitions.iter().map(|p| p.next_offset).collect(),
            ..Known::default()
        };
        match select {
            Select::Trailing => {
                let starts = self.rules.calendar.trailing(as_of.unwrap_or(0));
                known.look.starts = starts.to_vec();
            }
            Select::Last(seconds) => known.look.starts = vec![newest - i64::from(*seconds)],
            Select::Since(second) => known.look.starts = vec![second.saturating_sub(1)],
            Select::Cover(stretch) => {
                let stretch = self.open_ended(*stretch, newest);
                let watermark = self.watermark;
                self.catalog
                    .cover(stretch, watermark, completeness, &mut known);
                if !known.is_too_long {
                    known.look.sketches = known.windows.iter().map(|w| w.id).collect();
                }
            }
            Select::List(list, wanted) => {
                self.catalog.list(*list, completeness, &mut known);
                let listed = known.windows.iter().map(|w| w.id);
                known.look.sketches = listed.filter(|id| wanted.contains(id)).collect();
            }
            Select::Listed(ids) => self.catalog.name(ids, completeness, &mut known),
            Select::Sketches(ids) => {
                self.catalog.name(ids, completeness, &mut known);
                known.look.sketches = known.windows.iter().map(|w| w.id).collect();
            }
        }
        known
    }

    /// Nothing lies behind the newest second, so what ends there may as well end with its year: that takes fewer windows.
    fn open_ended(&self, stretch: Bounds, newest: i64) -> Bounds {
        if stretch.end <= newest || stretch.start > newest {
            return stretch;
        }
        let newest = newest.clamp(1, i64::from(MAX_EVENT_TIME_S)) as u32;
        let year = self.rules.calendar.window(Period::Year, newest);
        Bounds {
            start: stretch.start,
            end: stretch.end.max(year.end),
        }
    }
}
