//! A shard: one worker's pages of every sketch.

mod answers;
mod look;
mod saved;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::fmt;
use std::mem;
use std::ops::Range;

use self::saved::Saving;
use super::barrier::Answer;
use super::calendar::{Bounds, Calendar, Period, WindowId};
use super::frame::Sighting;
use super::sketch::Precision;
use super::sketch::estimate::Tally;
use super::sketch::packed::{Packed, Packer};
use super::sketch::share::Share;
use super::trailing::Trailing;
use super::windows::WindowMap;
use crate::limits::RESTING_WINDOWS;

/// Sightings that are recorded one behind the other in each of the windows, so that what they need of one window is
/// fetched from memory together.
const TOGETHER: usize = 64;

/// Where the sketches of windows are kept that nobody is expected to visit soon: outside, by whoever has room.
pub trait Shelf: Send {
    /// The canonical bytes of the whole sketch of a window that was put there.
    ///
    /// # Errors
    ///
    /// When it cannot be read, in words for the operator.
    fn fetch(&mut self, id: WindowId) -> Result<Vec<u8>, String>;
}

/// A window's share: at work, waiting to be packed, packed, or on the shelf.
#[derive(Debug)]
enum Kept {
    Warm(Share),
    /// Listed in `Shard::resting` under this number.
    Resting(u64, Share),
    Packed(Packed),
    Shelved,
}

#[derive(Debug)]
struct Window {
    id: WindowId,
    kept: Kept,
    /// Changed since it was saved; then listed in `Shard::unsaved`.
    unsaved: bool,
    /// Periods in whose windows all users were recorded that are in this one.
    shared: u8,
}

/// A window in which nothing changed when a user was recorded. In every window around it nothing will either, if what is in
/// this one is in those too: a sketch that has all of another one has its users and its ranks.
#[derive(Clone, Copy)]
struct Known {
    bounds: Bounds,
    /// As [`Window::shared`].
    shared: u8,
}

impl Known {
    const NOWHERE: Self = Self {
        bounds: Bounds { start: 0, end: 0 },
        shared: 0,
    };

    fn is_within(&self, around: Bounds) -> bool {
        around.start <= self.bounds.start && self.bounds.end <= around.end
    }
}

/// Some pages of the trailing table and of every calendar window. No other shard has them.
pub struct Shard {
    precision: Precision,
    pages: Range<usize>,
    trailing: Trailing,
    windows: WindowMap<Window>,
    /// Windows that cooled, the first to be packed first, each with the number of its rest. One that was visited since
    /// rests under another number, or not at all.
    resting: VecDeque<(u64, WindowId)>,
    rests: u64,
    packer: Packer,
    saving: Saving,
    /// Answers that are not handed over yet. While a pass over the trailing table is under way, the first waits for it.
    answers: VecDeque<Answer>,
    /// Which of these the pass, or the last one, is for.
    passes_for: usize,
}

impl fmt::Debug for Shard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shard")
            .field("pages", &self.pages)
            .field("windows", &self.windows)
            .finish_non_exhaustive()
    }
}

impl Shard {
    /// An empty shard.
    #[must_use]
    pub fn new(precision: Precision, pages: Range<usize>, calendar: Calendar) -> Self {
        Self {
            precision,
            pages: pages.clone(),
            trailing: Trailing::new(precision, pages),
            windows: WindowMap::new(calendar),
            resting: VecDeque::new(),
            rests: 0,
            packer: Packer::default(),
            saving: Saving::default(),
            answers: VecDeque::new(),
            passes_for: 0,
        }
    }

    /// Records sightings, all of which must fall into this shard's pages.
    pub fn record(&mut self, sightings: &[Sighting]) {
        match self.saving.next_page() {
            None => self.enter(sightings),
            Some(next_page) => self.record_beside(sightings, next_page),
        }
    }

    fn enter(&mut self, sightings: &[Sighting]) {
        for together in sightings.chunks(TOGETHER) {
            self.trailing.record_all(together);
            let mut known = [Known::NOWHERE; TOGETHER];
            for period in Period::ALL {
                for (sighting, known) in together.iter().zip(&mut known) {
                    if sighting.periods & period.bit() != 0 {
                        self.insert(period, sighting, known);
                    }
                }
            }
        }
    }

    fn insert(&mut self, period: Period, sighting: &Sighting, known: &mut Known) {
        let (precision, pages) = (self.precision, &self.pages);
        if known.shared & period.bit() != 0
            && known.is_within(self.windows.bounds(period, sighting.ts))
        {
            return;
        }
        let make = |id, _| Window {
            id,
            kept: Kept::Warm(Share::new(precision, pages.clone())),
            unsaved: false,
            shared: u8::MAX,
        };
        let (bounds, slot) = self.windows.slot(period, sighting.ts, make);
        let window = self.windows.at(slot);
        if !matches!(window.kept, Kept::Warm(_)) {
            let nobody = Kept::Warm(Share::new(precision, pages.clone()));
            let share = match mem::replace(&mut window.kept, nobody) {
                Kept::Warm(share) | Kept::Resting(_, share) => share,
                Kept::Packed(packed) => self.packer.unpack(packed),
                Kept::Shelved => self.saving.fetch(window.id, precision, pages),
            };
            window.kept = Kept::Warm(share);
        }
        let Kept::Warm(share) = &mut window.kept else {
            return;
        };
        if share.insert(sighting.hash) {
            window.shared &= sighting.periods;
            if !window.unsaved {
                window.unsaved = true;
                self.saving.note_unsaved(window.id);
            }
        } else if known.shared == 0 {
            *known = Known {
                bounds,
                shared: window.shared,
            };
        }
    }

    /// A window of few users is packed at once, which costs next to nothing; another one when enough others rest.
    fn cool(&mut self, id: WindowId) {
        let nobody = Share::new(self.precision, self.pages.clone());
        let Some(Window { kept, .. }) = self.windows.get_mut(id) else {
            return;
        };
        match mem::replace(kept, Kept::Warm(nobody)) {
            Kept::Warm(share) if share.has_registers() => {
                self.rests += 1;
                *kept = Kept::Resting(self.rests, share);
                self.resting.push_back((self.rests, id));
            }
            Kept::Warm(share) => {
                *kept = Kept::Packed(self.packer.pack(share));
                self.saving.note_packed(id);
            }
            other => *kept = other,
        }
        while self.resting.len() > RESTING_WINDOWS {
            self.pack_longest_at_rest();
        }
    }

    fn pack_longest_at_rest(&mut self) {
        let Some((rest, id)) = self.resting.pop_front() else {
            return;
        };
        let Some(Window { kept, .. }) = self.windows.get_mut(id) else {
            return;
        };
        if !matches!(kept, Kept::Resting(current, _) if *current == rest) {
            return;
        }
        let nobody = Kept::Warm(Share::new(self.precision, self.pages.clone()));
        if let Kept::Resting(_, share) = mem::replace(kept, nobody) {
            *kept = Kept::Packed(self.packer.pack(share));
            self.saving.note_packed(id);
        }
    }

    fn tally(&mut self, id: WindowId) -> Tally {
        let mut tally = Tally::default();
        match self.windows.get(id).map(|window| &window.kept) {
            Some(Kept::Warm(share) | Kept::Resting(_, share)) => share.tally(&mut tally),
            Some(Kept::Packed(packed)) => self.packer.tally(packed, &mut tally),
            Some(Kept::Shelved) => {
                let share = self.saving.fetch(id, self.precision, &self.pages);
                share.tally(&mut tally);
            }
            None => Share::new(self.precision, self.pages.clone()).tally(&mut tally),
        }
        tally
    }

    /// Appends the canonical bytes of this shard's pages of a window (docs/FORMAT.md). The bytes of all shards, one
    /// behind the other, are those of the window, for any number of shards.
    pub fn write_window(&mut self, id: WindowId, out: &mut Vec<u8>) {
        match self.windows.get(id).map(|window| &window.kept) {
            Some(Kept::Warm(share) | Kept::Resting(_, share)) => share.write_canonical(out),
            Some(Kept::Packed(packed)) => packed.write_canonical(out),
            Some(Kept::Shelved) => {
                let share = self.saving.fetch(id, self.precision, &self.pages);
                share.write_canonical(out);
            }
            None => Share::new(self.precision, self.pages.clone()).write_canonical(out),
        }
    }

    /// Appends the canonical bytes of this shard's pages of the trailing table, which add up likewise.
    pub fn write_trailing(&self, out: &mut Vec<u8>) {
        self.trailing.write_canonical(out);
    }

    /// The windows of which this shard holds anything.
    pub fn windows(&self) -> impl Iterator<Item = WindowId> {
        self.windows.ids()
    }
}
