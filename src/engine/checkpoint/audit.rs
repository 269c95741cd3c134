//! Looks through a whole state: whether it is one, what it says, and whether its digest is that of what it holds.

use super::book::{Book, StateDigest};
use super::codec::Damaged;
use super::{Loaded, SavedPartition};
use crate::engine::admit::{Admission, Rules};
use crate::engine::calendar::Calendar;
use crate::engine::catalog::Emission;
use crate::engine::clock::ClockRules;
use crate::engine::shard::{Shard, Shelf};
use crate::engine::sketch::{Precision, canonical};
use crate::limits::{MAX_JUMP_MAX_S, PAGES};

/// What a state was found to hold.
#[derive(Debug)]
pub struct Audit {
    /// Clocks, ledger, windows.
    pub admission: Admission,
    /// The digest of what it holds.
    pub digest: StateDigest,
}

/// Takes up a state as a run would, and computes its digest anew. `calendar` is that of [`Loaded::redrawn`]; `periods` those
/// whose windows were counted.
///
/// # Errors
///
/// When no run can have saved it.
pub fn audit(
    loaded: &Loaded,
    precision: Precision,
    calendar: &Calendar,
    periods: u8,
) -> Result<Audit, Damaged> {
    let retention_s = Admission::saved_retention_s(&loaded.admission)?;
    let rules = Rules {
        calendar: calendar.clone(),
        // No frame is judged.
        clock: ClockRules {
            lateness_s: 0,
            max_lateness_s: u32::MAX,
            max_jump_s: MAX_JUMP_MAX_S as u32,
        },
        retention_s,
        emission: Emission::Live,
        periods,
    };
    let windows = loaded.windows.iter().map(|(id, window, _)| (*id, *window));
    let admission = Admission::restore(rules, &loaded.admission, windows)?;
    let mut shard = Shard::new(precision, 0..PAGES, calendar.clone());
    let mut book = Book::new(precision, retention_s);
    for (id, window, sketch) in &loaded.windows {
        book.restore_window(*id, window, *sketch);
    }
    for stretch in &loaded.stretches {
        shard.restore_stretch(stretch)?;
        book.restore_stretch(stretch);
    }
    let names = loaded.names.iter().cloned();
    let partitions: Vec<(String, SavedPartition)> = names
        .zip(loaded.admission.partitions.iter().cloned())
        .collect();
    let indices = 0..partitions.len();
    let greatest_clock = indices.filter_map(|i| admission.clock(i)).max();
    let digest = book.digest(&partitions, &loaded.admission.ledger, greatest_clock);
    Ok(Audit { admission, digest })
}

/// Reads every sketch from the shelf; returns how many there are.
///
/// # Errors
///
/// When one cannot be read, or is none.
pub fn audit_sketches(
    loaded: &Loaded,
    precision: Precision,
    shelf: &mut dyn Shelf,
) -> Result<usize, String> {
    let mut sketches = 0;
    for (id, ..) in loaded
        .windows
        .iter()
        .filter(|(.., sketch)| sketch.is_some())
    {
        let whole = shelf.fetch(*id)?;
        canonical::read_share(precision, 0..PAGES, &whole).map_err(|why| why.to_string())?;
        sketches += 1;
    }
    Ok(sketches)
}
