//! Goes on from a state.

use super::super::pipeline::fresh_shards;
use crate::config::Counting;
use crate::engine::admit::Admission;
use crate::engine::checkpoint::book::Book;
use crate::engine::checkpoint::codec::Damaged;
use crate::engine::checkpoint::{Loaded, SavedRecord};
use crate::engine::shard::Shard;
use crate::error::Failure;
use crate::io::store::Store;

/// Where a run begins: at a state, or with nothing.
pub(in crate::run) struct Beginning {
    pub(in crate::run) admission: Admission,
    pub(in crate::run) shards: Vec<Shard>,
    pub(in crate::run) book: Book,
    /// Finals and revisions that the output does not have.
    pub(in crate::run) records: Vec<SavedRecord>,
    /// The partitions that the state knows, in their order.
    pub(in crate::run) places: Vec<String>,
    /// The epoch of the run that saved it; 0 for none.
    pub(in crate::run) epoch: u64,
}

impl Beginning {
    /// With nothing; nothing is saved either.
    pub(in crate::run) fn fresh(counting: &Counting) -> Self {
        Self {
            admission: Admission::new(counting.rules.clone()),
            shards: fresh_shards(counting),
            book: Book::new(counting.precision, counting.rules.retention_s),
            records: Vec::new(),
            places: Vec::new(),
            epoch: 0,
        }
    }

    /// At the state in a store; from then on what changes can be saved there.
    ///
    /// # Errors
    ///
    /// When the state cannot be used.
    pub(in crate::run) fn of(counting: &Counting, store: &mut dyn Store) -> Result<Self, Failure> {
        let mut beginning = match store.load()? {
            None => Self::fresh(counting),
            Some(loaded) => Self::restore(counting, loaded).map_err(|damaged| {
                Failure::State(format!(
                    "{damaged}, although its sums are right; please report it"
                ))
            })?,
        };
        beginning.admission.keep_unsaved();
        for shard in &mut beginning.shards {
            shard.keep_on(store.shelf()?);
        }
        Ok(beginning)
    }

    fn restore(counting: &Counting, loaded: Loaded) -> Result<Self, Damaged> {
        let mut begun = Self::fresh(counting);
        let windows = loaded.windows.iter().map(|(id, window, _)| (*id, *window));
        begun.admission = Admission::restore(counting.rules.clone(), &loaded.admission, windows)?;
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
}
