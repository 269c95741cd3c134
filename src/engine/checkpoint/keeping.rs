//! Puts checkpoints together, one at a time, and tells the outbox when one is written.
//!
//! Invariants: 1. One checkpoint is under way at a time. 2. A final leaves the outbox only once the checkpoint that has it is
//! written. 3. What the output has taken is taken out of the state by the next checkpoint, and by no earlier one.

use std::fmt;

use super::book::{Book, Changes, StateDigest};
use super::{Commit, SavedAdmission, SavedSketches};
use crate::engine::report::outbox::Outbox;
use crate::engine::shard::Shelf;

/// Knows what was saved, and what is to be saved next.
pub struct Keeping {
    book: Book,
    shelf: Box<dyn Shelf>,
    epoch: u64,
    /// What the last checkpoint said of what every one says.
    head: Option<(Changes, StateDigest)>,
    is_under_way: bool,
}

impl fmt::Debug for Keeping {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keeping")
            .field("epoch", &self.epoch)
            .field("is_under_way", &self.is_under_way)
            .finish_non_exhaustive()
    }
}

impl Keeping {
    /// Goes on from what the book knows, in a run of this epoch; the shelf has what was written before.
    #[must_use]
    pub fn new(book: Book, shelf: Box<dyn Shelf>, epoch: u64) -> Self {
        Self {
            book,
            shelf,
            epoch,
            head: None,
            is_under_way: false,
        }
    }

    /// Puts together what is to be written of a barrier, whose finals are in the outbox already: the state says that they
    /// are out.
    ///
    /// # Errors
    ///
    /// When the shelf cannot be read, in words for the operator.
    ///
    /// # Panics
    ///
    /// If another checkpoint is under way, which is a defect of the program.
    pub fn save(
        &mut self,
        admission: SavedAdmission,
        sketches: SavedSketches,
        places: &[String],
        outbox: &mut Outbox,
    ) -> Result<Commit, String> {
        let (changes, digest) = self
            .book
            .enter(admission, sketches, places, &mut *self.shelf)?;
        let head = Changes {
            partitions: changes.partitions.clone(),
            ledger: changes.ledger.clone(),
            rest: changes.rest.clone(),
            ..Changes::default()
        };
        self.head = Some((head, digest));
        Ok(self.begin(changes, digest, outbox))
    }

    /// At the end of a run: what the output has taken need not be sent again by the next one. `None` if nothing was saved in
    /// this run.
    ///
    /// # Panics
    ///
    /// See [`Self::save`].
    pub fn trim(&mut self, outbox: &mut Outbox) -> Option<Commit> {
        let (head, digest) = self.head.take()?;
        Some(self.begin(head, digest, outbox))
    }

    fn begin(&mut self, changes: Changes, digest: StateDigest, outbox: &mut Outbox) -> Commit {
        // Else `note_written` would let finals out that are not written.
        assert!(!self.is_under_way, "one checkpoint is under way at a time");
        self.is_under_way = true;
        let (records, acknowledged) = outbox.give_unsaved();
        Commit {
            epoch: self.epoch,
            changes,
            digest,
            records,
            acknowledged,
        }
    }

    /// Takes note that the checkpoint under way is written, for good.
    pub fn note_written(&mut self, outbox: &mut Outbox) {
        outbox.note_saved();
        self.is_under_way = false;
    }

    /// Whether a checkpoint is under way.
    #[must_use]
    pub fn is_under_way(&self) -> bool {
        self.is_under_way
    }
}
