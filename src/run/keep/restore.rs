//! Goes on from a state.

use super::super::pipeline::fresh_shards;
use crate::config::Counting;
use crate::engine::checkpoint::beginning::Beginning;
use crate::error::Failure;
use crate::io::store::Store;

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
        Some(loaded) => {
            let (rules, shards) = (counting.rules.clone(), fresh_shards(counting));
            let restored = Beginning::restore(rules, counting.precision, shards, loaded);
            restored.map_err(|damaged| {
                Failure::State(format!(
                    "{damaged}, although its sums are right; please report it"
                ))
            })?
        }
    };
    beginning.keep_on(|| store.shelf())?;
    Ok(beginning)
}
