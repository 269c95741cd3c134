//! What one of several runs over a growing input puts out.

use std::collections::BTreeSet;

use super::{Catalog, Collected, Completeness, Emission, Entry, Passed};
use crate::engine::barrier::Stage;
use crate::engine::calendar::{Bounds, WindowId};
use crate::engine::frame::EventTime;
use crate::limits::WINDOWS_PER_BARRIER;

impl Catalog {
    /// Puts out a window that is to be forgotten if it changed since its last record. What that told of and was not counted is not
    /// taken back: the frames went on waiting, or a line on its end, and the window is older than anybody waits.
    pub(super) fn put_out_last(
        &mut self,
        id: WindowId,
        passed: Passed,
        completeness: Completeness,
        collected: &mut Collected,
    ) {
        let entry = self.windows.get(id);
        if entry.is_some_and(|entry| entry.said().is_none()) {
            self.put_out_news(id, passed, completeness, collected);
        }
    }

    /// A frame of this second waits: none of its windows is forgotten meanwhile, for it must not expire because it had to wait. A
    /// file of a few frames may wait for its next ones until the end of the run.
    pub(in crate::engine) fn expect(&mut self, ts: EventTime, watermark: Option<i64>) {
        if !matches!(self.emission, Emission::EachRun { .. }) {
            return;
        }
        for &period in &self.periods {
            let Bounds { start, end } = self.windows.bounds(period, ts);
            if self.is_gone(WindowId { period, start }, end, watermark) {
                continue;
            }
            let open = &mut self.open;
            let entry = self.windows.entry(period, ts, |id, bounds| {
                open.insert((bounds.end, id));
                Entry::new(bounds.end)
            });
            entry.waiting += 1;
        }
    }

    /// A frame of this second that had waited has been decided about.
    pub(in crate::engine) fn release(&mut self, ts: EventTime) {
        if !matches!(self.emission, Emission::EachRun { .. }) {
            return;
        }
        for &period in &self.periods {
            let start = self.windows.bounds(period, ts).start;
            let id = WindowId { period, start };
            // Where it was gone when the frame came, it was for all that wait.
            let Some(entry) = self.windows.get_mut(id).filter(|entry| entry.waiting > 0) else {
                continue;
            };
            entry.waiting -= 1;
            if entry.waiting == 0 && entry.frames == 0 && entry.last_word.is_none() {
                self.open.remove(&(entry.end, id));
                self.windows.remove(id);
            }
        }
    }

    /// Frames of this second that had waited do not count: a record that told of them is not repeated by others in their place.
    pub(in crate::engine) fn doubt(&mut self, ts: EventTime) {
        if !matches!(self.emission, Emission::EachRun { .. }) {
            return;
        }
        for &period in &self.periods {
            let start = self.windows.bounds(period, ts).start;
            let id = WindowId { period, start };
            if let Some(entry) = self.windows.get_mut(id)
                && entry.said.take_if(|_| entry.dirty).is_some()
            {
                entry.note_unsaved(id, &mut self.unsaved);
            }
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
        if entry.dirty && entry.said == Some(entry.told()) {
            // What the record told of in advance has come true.
            entry.dirty = false;
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
