//! Where a run begins: at a state, or with nothing.

use super::book::Book;
use super::codec::Damaged;
use super::{Loaded, SavedRecord};
use crate::engine::admit::{Admission, Rules};
use crate::engine::shard::{Shard, Shelf};
use crate::engine::sketch::Precision;

/// Everything that a run goes on with.
#[derive(Debug)]
pub struct Beginning {
    /// Clocks, ledger, windows.
    pub admission: Admission,
    /// Sketches.
    pub shards: Vec<Shard>,
    /// What is known of what was saved.
    pub book: Book,
    /// Finals and revisions that the output does not have.
    pub records: Vec<SavedRecord>,
    /// The partitions that the state knows, in their order.
    pub places: Vec<String>,
    /// The epoch of the run that saved it; 0 for none.
    pub epoch: u64,
}

impl Beginning {
    /// With nothing, in empty shards; nothing is saved either.
    #[must_use]
    pub fn fresh(rules: Rules, precision: Precision, shards: Vec<Shard>) -> Self {
        let book = Book::new(precision, rules.retention_s);
        Self {
            admission: Admission::new(rules),
            shards,
            book,
            records: Vec::new(),
            places: Vec::new(),
            epoch: 0,
        }
    }

    /// At a state, in shards that are empty yet. They and the rules have the state's calendar, see [`Loaded::redrawn`].
    ///
    /// # Errors
    ///
    /// When no run can have saved it.
    pub fn restore(
        rules: Rules,
        precision: Precision,
        shards: Vec<Shard>,
        loaded: Loaded,
    ) -> Result<Self, Damaged> {
        let mut begun = Self::fresh(rules.clone(), precision, shards);
        let windows = loaded.windows.iter().map(|(id, window, _)| (*id, *window));
        begun.admission = Admission::restore(rules, &loaded.admission, windows)?;
        for (id, window, sketch) in &loaded.windows {
            begun.book.restore_window(*id, window, *sketch);
        }
        for shard in &mut begun.shards {
            let sketched = loaded
                .windows
                .iter()
                .filter(|(.., sketch)| sketch.is_some());
            for (id, ..) in sketched {
                shard.restore_window(*id)?;
            }
            for stretch in &loaded.stretches {
                shard.restore_stretch(stretch)?;
            }
        }
        for stretch in &loaded.stretches {
            begun.book.restore_stretch(stretch);
        }
        begun.records = loaded.records;
        begun.places = loaded.names;
        begun.epoch = loaded.epoch;
        Ok(begun)
    }

    /// From now on what changes is noted, to be saved; each shard gets a shelf of its own.
    ///
    /// # Errors
    ///
    /// When there is no shelf to be had.
    pub fn keep_on<E>(
        &mut self,
        mut shelf: impl FnMut() -> Result<Box<dyn Shelf>, E>,
    ) -> Result<(), E> {
        self.admission.keep_unsaved();
        for shard in &mut self.shards {
            shard.keep_on(shelf()?);
        }
        Ok(())
    }
}
