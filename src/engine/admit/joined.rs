//! Several admissions as one.

use super::{Admission, Rules};
use crate::engine::checkpoint::SavedAdmission;

impl Admission {
    /// What an admission would save that had all partitions of these, in their order, and has put out nothing yet. The
    /// windows that one of these may have forgotten are not in it.
    #[must_use]
    pub fn joined(rules: Rules, parts: Vec<Self>) -> SavedAdmission {
        let mut joined = Self::new(rules);
        joined.keep_unsaved();
        // None of them has forgotten a window that the latest watermark does not expire.
        joined.watermark = parts.iter().filter_map(|part| part.watermark).max();
        let catalogs: Vec<_> = parts.iter().map(|part| &part.catalog).collect();
        for catalog in &catalogs {
            joined.catalog.join(catalog, joined.watermark, &catalogs);
        }
        for part in parts {
            for partition in part.partitions {
                joined.push(partition);
            }
            joined.ledger.add(&part.ledger);
            joined.as_of = joined.as_of.max(part.as_of);
            let firsts = [joined.first_clock, part.first_clock];
            joined.first_clock = firsts.into_iter().flatten().min();
        }
        joined.save()
    }
}
