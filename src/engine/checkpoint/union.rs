//! Several states as one: as if one run had read all of their partitions, and had put out nothing yet.
//!
//! Partitions stand side by side, sketches and table are maxima, ledger and windows are sums. A window that one of the states
//! may have forgotten is in none: what is kept goes by the latest of the watermarks and the least retention of each period.

use std::collections::BTreeMap;

use super::codec::Damaged;
use super::{Loaded, SavedPartition, SavedStretch, SavedWindow};
use crate::engine::admit::{Admission, Rules};
use crate::engine::calendar::{Calendar, Period, WindowId};
use crate::engine::catalog::Emission;
use crate::engine::clock::ClockRules;
use crate::engine::frame::EventTime;
use crate::engine::sketch::{Precision, canonical};
use crate::engine::trailing::Trailing;
use crate::limits::{MAX_JUMP_MAX_S, PAGES};

/// One of the states.
#[derive(Debug)]
pub struct Part<'a> {
    /// The names that its partitions get, by index; no other state has one of them.
    pub names: Vec<String>,
    /// All of it.
    pub loaded: &'a Loaded,
    /// Its clocks, ledger and windows, taken up.
    pub admission: Admission,
}

/// Everything of the union but its sketches.
#[derive(Debug)]
pub struct Union {
    /// Partitions by name.
    pub partitions: Vec<(String, SavedPartition)>,
    /// The greatest of their clocks.
    pub greatest_clock: Option<EventTime>,
    /// See [`super::SavedAdmission::ledger`].
    pub ledger: Vec<u8>,
    /// See [`super::SavedAdmission::rest`].
    pub rest: Vec<u8>,
    /// The windows that none of the states can have forgotten.
    pub windows: BTreeMap<WindowId, SavedWindow>,
    /// The trailing table.
    pub stretches: Vec<SavedStretch>,
    /// How long periods are kept.
    pub retention_s: [i64; Period::ALL.len()],
}

/// The union of states of one precision and calendar.
///
/// # Errors
///
/// When no run can have saved one of them.
pub fn unite(
    parts: Vec<Part<'_>>,
    precision: Precision,
    calendar: &Calendar,
) -> Result<Union, Damaged> {
    let mut retention_s = [i64::MAX; Period::ALL.len()];
    let mut table = Trailing::new(precision, 0..PAGES);
    let (mut partitions, mut admissions) = (Vec::new(), Vec::new());
    for part in parts {
        let kept_s = Admission::saved_retention_s(&part.loaded.admission)?;
        for (least_s, kept_s) in retention_s.iter_mut().zip(kept_s) {
            *least_s = kept_s.min(*least_s);
        }
        let mut theirs = Trailing::new(precision, 0..PAGES);
        for stretch in &part.loaded.stretches {
            theirs.restore(stretch)?;
        }
        table.merge(&theirs);
        // As they were saved: the rules below are not those that their clocks go by.
        let saved = part.loaded.admission.partitions.iter().cloned();
        partitions.extend(part.names.into_iter().zip(saved));
        admissions.push(part.admission);
    }
    let rules = Rules {
        calendar: calendar.clone(),
        // No frame is judged.
        clock: ClockRules {
            lateness_s: 0,
            max_lateness_s: u32::MAX,
            max_jump_s: MAX_JUMP_MAX_S as u32,
        },
        retention_s,
        emission: Emission::EachRun { unchanged: false },
        periods: Period::all_bits(),
    };
    let joined = Admission::joined(rules, admissions);
    let mut stretches = Vec::new();
    table.save(&mut stretches);
    let windows = joined.windows.into_iter();
    Ok(Union {
        partitions,
        greatest_clock: joined.greatest_clock,
        ledger: joined.ledger,
        rest: joined.rest,
        windows: windows.filter_map(|(id, w)| Some((id, w?))).collect(),
        stretches,
        retention_s,
    })
}

/// The canonical bytes of the union of some whole sketches; `None` of none.
///
/// # Errors
///
/// When one of them is no sketch.
pub fn unite_sketches(
    precision: Precision,
    mut sketches: Vec<Vec<u8>>,
) -> Result<Option<Vec<u8>>, Damaged> {
    if sketches.len() < 2 {
        return Ok(sketches.pop());
    }
    let mut shares = sketches
        .iter()
        .map(|bytes| canonical::read_share(precision, 0..PAGES, bytes));
    let Some(first) = shares.next() else {
        return Ok(None);
    };
    let mut union = first?;
    for share in shares {
        union.merge(&share?);
    }
    let mut bytes = Vec::new();
    union.write_canonical(&mut bytes);
    Ok(Some(bytes))
}
