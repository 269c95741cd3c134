//! What a shard hands over to be saved, and how it goes on from what was saved.

use std::mem;
use std::ops::Range;

use super::{Kept, Shard, Shelf, Window};
use crate::engine::calendar::WindowId;
use crate::engine::checkpoint::codec::Damaged;
use crate::engine::checkpoint::{SavedPart, SavedSketches, SavedStretch};
use crate::engine::frame::{EventTime, Sighting};
use crate::engine::sketch::share::Share;
use crate::engine::sketch::{Precision, canonical};
use crate::engine::trailing::Slice;
use crate::limits::{BATCH_SIGHTINGS, PASS_CELLS};

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
    under_way: Option<Save>,
    /// Sightings that came during a save, in pages that it had before it.
    waiting: Vec<Sighting>,
    /// Those of a batch that need not wait; empty between batches.
    behind: Vec<Sighting>,
}

/// A save that is under way: first the windows that are not held in pages, one after the other, then everything else page by
/// page. It has what there was when it began: what is recorded meanwhile goes into pages that it has behind it, or waits.
struct Save {
    /// To be saved as wholes.
    whole: Vec<WindowId>,
    /// To be saved page by page, each with its place in `saved.parts`.
    spread: Vec<(WindowId, usize)>,
    /// Counted from the shard's first.
    next_page: usize,
    saved: SavedSketches,
}

impl Saving {
    /// The first page that a save under way has before it, counted from the shard's first.
    pub(super) fn next_page(&self) -> Option<usize> {
        self.under_way.as_ref().map(|save| save.next_page)
    }

    /// Whether a save is under way, or sightings wait that came during it.
    pub(super) fn is_busy(&self) -> bool {
        self.under_way.is_some() || !self.waiting.is_empty()
    }

    /// Whether a save is under way.
    pub(super) fn is_saving(&self) -> bool {
        self.under_way.is_some()
    }

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
            // Who recorded in it before, and in what else, is not known.
            shared: 0,
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

    /// Begins to save what changed; [`step_save`](Self::step_save) does it.
    pub(super) fn begin_save(&mut self) {
        self.shelve();
        let mut save = Save {
            whole: Vec::new(),
            spread: Vec::new(),
            next_page: 0,
            saved: SavedSketches::default(),
        };
        for id in mem::take(&mut self.saving.unsaved) {
            let Some(window) = self.windows.get_mut(id) else {
                continue;
            };
            window.unsaved = false;
            match &window.kept {
                Kept::Warm(share) | Kept::Resting(_, share) if share.is_spread() => {
                    save.spread.push((id, save.saved.parts.len()));
                    save.saved.parts.push(SavedPart {
                        id,
                        first_page: self.pages.start,
                        pages: self.pages.len(),
                        bytes: Vec::new(),
                    });
                }
                _ => save.whole.push(id),
            }
        }
        self.saving.saved_packed = mem::take(&mut self.saving.packed);
        self.saving.under_way = Some(save);
    }

    /// Goes on with a save, and with a pass over the trailing table that was begun with it, for no longer than a batch takes,
    /// or records some sightings that have waited. Returns what it came to, and all that is saved once it is done.
    pub(super) fn step_save(&mut self) -> (Slice, Option<SavedSketches>) {
        let mut slice = Slice::default();
        let Some(mut save) = self.saving.under_way.take() else {
            let left = self.saving.waiting.len().saturating_sub(BATCH_SIGHTINGS);
            let late = self.saving.waiting.split_off(left);
            slice.sightings = late.len();
            self.enter(&late);
            return (slice, None);
        };
        while let Some(id) = save.whole.pop() {
            slice.cells += self.save_whole(id, &mut save.saved);
            if slice.cells > PASS_CELLS / 2 {
                self.saving.under_way = Some(save);
                return (slice, None);
            }
        }
        // A page is looked at and copied.
        let most = 2 * self.trailing.most_cells_of_page();
        while save.next_page < self.pages.len() && slice.cells + most <= PASS_CELLS.max(most) {
            slice.cells += self.save_page(&mut save);
            self.trailing.step_page(&mut slice);
        }
        if save.next_page < self.pages.len() {
            self.saving.under_way = Some(save);
            return (slice, None);
        }
        (slice, Some(save.saved))
    }

    /// Returns how much it was, in cells of the table.
    fn save_whole(&mut self, id: WindowId, saved: &mut SavedSketches) -> usize {
        let mut bytes = Vec::new();
        self.write_window(id, &mut bytes);
        let cells = bytes.len() / size_of::<EventTime>();
        saved.parts.push(SavedPart {
            id,
            first_page: self.pages.start,
            pages: self.pages.len(),
            bytes,
        });
        cells
    }

    fn save_page(&mut self, save: &mut Save) -> usize {
        let page = save.next_page;
        save.next_page += 1;
        let mut bytes = 0;
        for (id, part) in &save.spread {
            let part = &mut save.saved.parts[*part].bytes;
            let before = part.len();
            let kept = self.windows.get(*id).map(|window| &window.kept);
            let written = match kept {
                Some(Kept::Warm(share) | Kept::Resting(_, share)) => {
                    share.write_canonical_page(page, part)
                }
                _ => None,
            };
            written.expect("a window that is held in pages stays so until the next barrier");
            bytes += part.len() - before;
        }
        let stretches = save.saved.stretches.len();
        self.trailing.save_page(page, &mut save.saved.stretches);
        let stretches = save.saved.stretches[stretches..].iter();
        bytes += stretches.map(|saved| saved.bytes.len()).sum::<usize>();
        bytes / size_of::<EventTime>()
    }

    /// Records what lies in pages that the save has behind it, and lets the others wait.
    pub(super) fn record_beside(&mut self, sightings: &[Sighting], next_page: usize) {
        let mut behind = mem::take(&mut self.saving.behind);
        for sighting in sightings {
            let page = self.precision.place(sighting.hash).page - self.pages.start;
            if page < next_page {
                behind.push(*sighting);
            } else {
                self.saving.waiting.push(*sighting);
            }
        }
        self.enter(&behind);
        behind.clear();
        self.saving.behind = behind;
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
