//! What one of several runs over a growing input puts out.

use std::collections::BTreeSet;

use super::{Catalog, Collected, Completeness, Passed};
use crate::engine::barrier::Stage;
use crate::engine::calendar::WindowId;
use crate::limits::WINDOWS_PER_BARRIER;

impl Catalog {
    /// Puts out a window that is to be forgotten, if anything was counted in it since its last record. What that told of and was not
    /// counted is not taken back: the frames went on waiting, or a line on its end, and the window is older than anybody waits.
    pub(super) fn put_out_last(
        &mut self,
        id: WindowId,
        passed: Passed,
        completeness: Completeness,
        collected: &mut Collected,
    ) {
        if self.windows.get(id).is_some_and(|entry| entry.anew) {
            self.put_out_news(id, passed, completeness, collected);
        }
    }

    /// Puts out a window if it changed since its last record.
    fn put_out_news(
        &mut self,
        id: WindowId,
        passed: Passed,
        completeness: Completeness,
        collected: &mut Collected,
    ) {
        let Some(entry) = self.windows.get_mut(id) else {
            return;
        };
        if entry.frames == 0 && entry.last_word.is_none() {
            // No more than a frame that waits.
            return;
        }
        if entry.dirty && entry.is_as_told() {
            // What the record told of in advance has come true.
            (entry.dirty, entry.anew) = (false, false);
            entry.note_unsaved(id, &mut self.unsaved);
            return;
        }
        if entry.dirty && entry.last_word.is_none() {
            self.open.remove(&(entry.end, id));
            self.finish(id, passed, completeness, collected);
        } else {
            self.put_out_change(id, completeness, collected);
        }
    }

    /// Puts out what changed, in the order of the windows, and on demand shows the others.
    pub(super) fn put_out_end(
        &mut self,
        unchanged: bool,
        passed: Passed,
        completeness: Completeness,
        collected: &mut Collected,
    ) {
        let evicted: BTreeSet<_> = collected.evicted.iter().copied().collect();
        loop {
            let rest = self.windows.ids_after(self.ended_at);
            let rest: Vec<_> = rest.take(WINDOWS_PER_BARRIER).collect();
            if rest.is_empty() {
                return;
            }
            for id in rest {
                if collected.is_full() {
                    return;
                }
                self.ended_at = Some(id);
                if evicted.contains(&id) {
                    continue;
                }
                let before = collected.windows.len();
                self.put_out_news(id, passed, completeness, collected);
                if unchanged
                    && collected.windows.len() == before
                    && let Some(entry) = self.windows.get(id).filter(|entry| entry.frames > 0)
                {
                    // Only for people: it has its record already, and gets no other.
                    let facts = entry.facts(id, completeness, Stage::Provisional);
                    collected.windows.push(facts);
                }
            }
        }
    }
}
