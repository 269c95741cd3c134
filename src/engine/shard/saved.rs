//! What a shard hands over to be saved, and how it goes on from what was saved.

use std::mem;
use std::ops::Range;

use super::{Kept, Shard, Shelf, Window};
use crate::engine::calendar::WindowId;
use crate::engine::checkpoint::codec::Damaged;
use crate::engine::checkpoint::{SavedPart, SavedSketches, SavedStretch};
use crate::engine::frame::EventTime;
use crate::engine::sketch::share::Share;
use crate::engine::sketch::{Precision, canonical};

/// What a shard knows of what is saved and what is on the shelf.
#[derive(Default)]
pub(super) struct Saving {
    /// `None` where nothing is saved.
    shelf: Option<Box<dyn Shelf>>,
    /// Windows that changed since they were saved; some were evicted since.
    unsaved: Vec<WindowId>,
    /// Windows that were packed since the last save.
    packed: Vec<WindowId>,
    /// Windows that were packed before the last save.
    saved_packed: Vec<WindowId>,
    trouble: Option<String>,
}

impl Saving {
    pub(super) fn note_unsaved(&mut self, id: WindowId) {
        if self.shelf.is_some() {
            self.unsaved.push(id);
        }
    }

    pub(super) fn note_packed(&mut self, id: WindowId) {
        if self.shelf.is_some() {
            self.packed.push(id);
        }
    }

    /// A share from the shelf. Where it cannot be had it is empty, and the next answer says so: nothing that it may have
    /// distorted is put out.
    pub(super) fn fetch(&mut self, id: WindowId, p: Precision, pages: &Range<usize>) -> Share {
        let nobody = || Share::new(p, pages.clone());
        let Some(shelf) = &mut self.shelf else {
            return nobody();
        };
        let share = shelf.fetch(id).and_then(|whole| {
            let place = canonical::locate(p, &whole, pages.clone());
            let share =
                place.and_then(|place| canonical::read_share(p, pages.clone(), &whole[place]));
            share.map_err(|damaged| damaged.to_string())
        });
        share.unwrap_or_else(|why| {
            self.trouble.get_or_insert(why);
            nobody()
        })
    }

    pub(super) fn take_trouble(&mut self) -> Option<String> {
        self.trouble.take()
    }
}

impl Shard {
    /// From now on, keeps note of what is to be saved, and has old windows on this shelf: whatever was saved must be there
    /// before the next save is asked for.
    pub fn keep_on(&mut self, shelf: Box<dyn Shelf>) {
        self.saving.shelf = Some(shelf);
    }

    /// Takes in a window whose sketch is on the shelf.
    ///
    /// # Errors
    ///
    /// When no window of the calendar is that.
    pub fn restore_window(&mut self, id: WindowId) -> Result<(), Damaged> {
        let ts = EventTime::try_from(id.start.max(1)).map_err(|_| Damaged("a window"))?;
        let shelved = |id, _| Window {
            id,
            kept: Kept::Shelved,
            unsaved: false,
        };
        let restored = self.windows.entry(id.period, ts, shelved).id;
        (restored == id).then_some(()).ok_or(Damaged("a window"))
    }

    /// Takes in a stretch of the trailing table, if it is one of this shard's.
    ///
    /// # Errors
    ///
    /// When no table of this precision has it.
    pub fn restore_stretch(&mut self, saved: &SavedStretch) -> Result<(), Damaged> {
        self.trailing.restore(saved)
    }

    pub(super) fn save(&mut self) -> SavedSketches {
        self.shelve();
        let mut saved = SavedSketches::default();
        self.trailing.save(&mut saved.stretches);
        for id in mem::take(&mut self.saving.unsaved) {
            let Some(window) = self.windows.get_mut(id) else {
                continue;
            };
            window.unsaved = false;
            let mut bytes = Vec::new();
            self.write_window(id, &mut bytes);
            saved.parts.push(SavedPart {
                id,
                first_page: self.pages.start,
                pages: self.pages.len(),
                bytes,
            });
        }
        self.saving.saved_packed = mem::take(&mut self.saving.packed);
        saved
    }

    /// Gives up the memory of windows that were packed when the last save was made, and have not changed since.
    fn shelve(&mut self) {
        for id in mem::take(&mut self.saving.saved_packed) {
            if let Some(window) = self.windows.get_mut(id)
                && !window.unsaved
                && matches!(window.kept, Kept::Packed(_))
            {
                window.kept = Kept::Shelved;
            }
        }
    }
}
