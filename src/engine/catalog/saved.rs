//! What the catalog knows, to be saved and back.

use super::{Catalog, Emission, Entry, NEVER};
use crate::engine::barrier::ClosedBy;
use crate::engine::calendar::{Period, WindowId};
use crate::engine::checkpoint::codec::Damaged;
use crate::engine::checkpoint::{SavedStage, SavedWindow};
use crate::engine::frame::EventTime;

/// Which windows are to be saved.
#[derive(Debug, Clone, Default)]
pub(super) struct Unsaved {
    /// Changed since they were saved; some were forgotten since.
    changed: Vec<WindowId>,
    /// Forgotten since the last save, and what had been said of them.
    forgotten: Vec<(WindowId, Word)>,
}

/// What was said of a window, see [`Entry`], and how many frames it had.
#[derive(Debug, Clone, Copy)]
pub(super) struct Word {
    pub(super) last: Option<(ClosedBy, u32)>,
    pub(super) said: Option<u64>,
    pub(super) anew: bool,
    pub(super) frames: u64,
}

impl Unsaved {
    pub(super) fn change(&mut self, id: WindowId) {
        self.changed.push(id);
    }

    pub(super) fn forget(&mut self, id: WindowId, word: Word) {
        self.forgotten.push((id, word));
    }
}

impl Catalog {
    /// From now on, keeps note of what is to be saved.
    pub(in crate::engine) fn keep_unsaved(&mut self) {
        self.last = None;
        self.unsaved.get_or_insert_default();
    }

    /// The number that the next final or revision gets.
    pub(in crate::engine) fn next_seq(&self) -> u64 {
        self.next_seq
    }

    /// The windows that changed since the last call, and those that were forgotten.
    pub(in crate::engine) fn save(&mut self) -> Vec<(WindowId, Option<SavedWindow>)> {
        self.last = None;
        let has_later_runs = self.has_later_runs();
        let Some(unsaved) = &mut self.unsaved else {
            return Vec::new();
        };
        let forgotten = std::mem::take(&mut unsaved.forgotten).into_iter();
        // One that only frames had waited in may be here again, with others.
        let mut saved: Vec<_> = forgotten
            .filter(|(id, _)| self.windows.get(*id).is_none())
            .map(|(id, _)| (id, None))
            .collect();
        for id in std::mem::take(&mut unsaved.changed) {
            let Some(entry) = self.windows.get_mut(id) else {
                continue;
            };
            entry.unsaved = false;
            let stage = match entry.last_word {
                Some((closed_by, revision)) => SavedStage::Final(closed_by, revision),
                None if self.open.contains(&(entry.end, id)) => SavedStage::Open,
                None => SavedStage::Incomplete,
            };
            let window = SavedWindow {
                end: entry.end,
                frames: entry.frames,
                late: entry.late,
                stage,
                changed: entry.dirty,
                told: entry.told().filter(|_| has_later_runs),
            };
            saved.push((id, Some(window)));
        }
        saved
    }

    /// Windows that end here or before, and are not here, were forgotten, whatever is kept from now on.
    pub(in crate::engine) fn forget_until(&mut self, gone_until: [i64; Period::ALL.len()]) {
        for (ours, theirs) in self.gone_until.iter_mut().zip(gone_until) {
            *ours = theirs.max(*ours);
        }
    }

    /// See [`Self::forget_until`]; `None` where nothing was ever kept for less time.
    pub(in crate::engine) fn gone_until(&self) -> Option<[i64; Period::ALL.len()]> {
        (self.gone_until != NEVER).then_some(self.gone_until)
    }

    /// This catalog as it is, of which an end changes nothing but what is said; it goes on as that which the end changes.
    pub(in crate::engine) fn split_at_end(&mut self) -> Self {
        self.last = None;
        let before = self.clone();
        if let Some(unsaved) = &mut self.unsaved {
            // For the other one to save.
            for id in std::mem::take(unsaved).changed {
                if let Some(entry) = self.windows.get_mut(id) {
                    entry.unsaved = false;
                }
            }
        }
        before
    }

    /// Takes over which windows are closed and what was said of them, but not what was counted in them since: of the windows that
    /// have changed there since the last call.
    pub(in crate::engine) fn take_words(&mut self, after: &mut Self) {
        self.last = None;
        after.last = None;
        self.next_seq = after.next_seq;
        let Some(unsaved) = &mut after.unsaved else {
            return;
        };
        for (id, word) in std::mem::take(&mut unsaved.forgotten) {
            // The others were no more than frames that waited.
            if word.last.is_some() {
                self.take_word(id, word, false);
            }
        }
        for id in std::mem::take(&mut unsaved.changed) {
            let Some(entry) = after.windows.get_mut(id) else {
                continue;
            };
            entry.unsaved = false;
            let is_open = after.open.contains(&(entry.end, id));
            self.take_word(id, entry.word(), is_open);
        }
    }

    fn take_word(&mut self, id: WindowId, word: Word, is_open: bool) {
        let Ok(ts) = EventTime::try_from(id.start.max(1)) else {
            return;
        };
        let open = &mut self.open;
        let entry = self.windows.entry(id.period, ts, |id, bounds| {
            open.insert((bounds.end, id));
            Entry::new(bounds.end)
        });
        let is_same = entry.last_word == word.last && entry.said == word.said;
        // What there is to say of it anew is yet to be said.
        let is_known = word.anew || !entry.anew;
        if is_same && is_known && open.contains(&(entry.end, id)) == is_open {
            return;
        }
        if !is_open {
            open.remove(&(entry.end, id));
        }
        (entry.last_word, entry.said) = (word.last, word.said);
        // A record told more than the state has: unless that comes true it has to be taken back.
        entry.dirty = entry.frames != word.frames || !entry.is_as_told();
        entry.anew = false;
        entry.note_unsaved(id, &mut self.unsaved);
    }

    /// Takes in windows that were saved. Of those that are not final, a record may have been on its way when the run ended:
    /// they are put out once more. The calendar has them, see [`Calendar::redrawn`](crate::engine::calendar::Calendar::redrawn).
    pub(in crate::engine) fn restore(
        &mut self,
        next_seq: u64,
        windows: impl IntoIterator<Item = (WindowId, SavedWindow)>,
    ) -> Result<(), Damaged> {
        self.last = None;
        self.next_seq = next_seq;
        for (id, saved) in windows {
            let damaged = || Damaged("a window");
            let ts = EventTime::try_from(id.start.max(1)).map_err(|_| damaged())?;
            let bounds = self.windows.bounds(id.period, ts);
            if bounds.start != id.start
                || saved.late > saved.frames
                || self.windows.get(id).is_some()
            {
                return Err(damaged());
            }
            let is_final = matches!(saved.stage, SavedStage::Final(..));
            let mut entry = Entry::new(bounds.end);
            (entry.frames, entry.late) = (saved.frames, saved.late);
            if let SavedStage::Final(closed_by, revision) = saved.stage {
                entry.last_word = Some((closed_by, revision));
            }
            if saved.stage == SavedStage::Open {
                self.open.insert((bounds.end, id));
            }
            // The end that the calendar says has to be that of the state before a window behind it can be, and of the last record.
            let is_moved = bounds.end != saved.end;
            if is_moved {
                self.unsaved.get_or_insert_default();
                entry.note_unsaved(id, &mut self.unsaved);
            }
            if self.emission != Emission::Once && (saved.changed || !is_final || is_moved) {
                entry.dirty = true;
                if self.emission.is_live() {
                    self.dirty.push(id);
                }
            }
            entry.take_told(saved.told.filter(|_| !is_moved));
            *self
                .windows
                .entry(id.period, ts, |_, bounds| Entry::new(bounds.end)) = entry;
        }
        Ok(())
    }
}
