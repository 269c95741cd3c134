//! The windows of several catalogs in one.

use super::{Catalog, Entry};
use crate::engine::calendar::Period;
use crate::engine::frame::EventTime;

impl Catalog {
    /// Adds what was counted in the windows of another catalog of the same calendar, but for those that are expired at this
    /// watermark, and those that one of all the catalogs to be joined may have forgotten. What was said of them is left behind.
    pub(in crate::engine) fn join(&mut self, other: &Self, watermark: Option<i64>, all: &[&Self]) {
        self.last = None;
        self.forget_until(other.gone_until);
        let windows = Period::ALL
            .into_iter()
            .flat_map(|p| other.windows.of_period(p));
        for (id, theirs) in windows {
            let ts = EventTime::try_from(id.start.max(1)).unwrap_or(EventTime::MAX);
            // The order of the catalogs must not matter, so it is not enough to look at those that came before.
            let is_gone = |one: &&Self| one.is_gone(id, theirs.end, watermark);
            if theirs.frames == 0 || all.iter().any(is_gone) {
                continue;
            }
            let open = &mut self.open;
            let ours = self.windows.entry(id.period, ts, |id, bounds| {
                open.insert((bounds.end, id));
                Entry::new(bounds.end)
            });
            ours.frames += theirs.frames;
            ours.late += theirs.late;
            ours.dirty = true;
            ours.note_unsaved(id, &mut self.unsaved);
        }
    }
}
