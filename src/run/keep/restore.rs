//! Goes on from a state.

use super::super::pipeline::fresh_shards;
use crate::config::Counting;
use crate::engine::calendar::Redrawn;
use crate::engine::checkpoint::Loaded;
use crate::engine::checkpoint::beginning::Beginning;
use crate::engine::checkpoint::codec::Damaged;
use crate::error::Failure;
use crate::io::store::Store;
use crate::observe::happenings::ZoneChanged;

/// With nothing; nothing is saved either.
pub(in crate::run) fn begin_anew(counting: &Counting) -> Beginning {
    let shards = fresh_shards(counting);
    Beginning::fresh(counting.rules.clone(), counting.precision, shards)
}

/// At the state in a store; from then on what changes can be saved there.
///
/// # Errors
///
/// When the state cannot be used.
pub(in crate::run) fn begin_at(
    counting: &Counting,
    store: &mut dyn Store,
) -> Result<Beginning, Failure> {
    let mut beginning = match store.load()? {
        None => begin_anew(counting),
        Some(loaded) => restore(counting.clone(), loaded).map_err(|damaged| {
            Failure::State(format!(
                "{damaged}, although its sums are right; please report it"
            ))
        })?,
    };
    beginning.keep_on(|| store.shelf())?;
    Ok(beginning)
}

fn restore(mut counting: Counting, loaded: Loaded) -> Result<Beginning, Damaged> {
    let Redrawn {
        calendar,
        kept,
        moved,
    } = loaded.redrawn(&counting.rules.calendar)?;
    if kept + moved > 0 {
        let zone = calendar.name();
        ZoneChanged { zone, kept, moved }.emit();
    }
    counting.rules.calendar = calendar;
    let shards = fresh_shards(&counting);
    Beginning::restore(counting.rules, counting.precision, shards, loaded)
}
