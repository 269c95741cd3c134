//! Tables joined, and folded to a lower precision.

use std::cmp::Reverse;

use super::{LatestUsers, Trailing};
use crate::engine::frame::{EventTime, UserHash};
use crate::engine::sketch::Precision;
use crate::engine::sketch::fold::fold_register;

impl Trailing {
    /// The union with the same share of another table: as if one had seen the sightings of both.
    ///
    /// # Panics
    ///
    /// Unless both are of one precision and the same pages.
    pub fn merge(&mut self, other: &Self) {
        let of = |table: &Self| (table.precision, table.first_page, table.pages);
        assert_eq!(of(self), of(other), "only like tables are merged");
        let registers = self.precision.page_registers();
        for (rank, row) in other.rows.iter().enumerate() {
            for (at, second) in row.iter().enumerate().filter(|(_, second)| **second > 0) {
                self.raise(rank, at / registers, at % registers, *second);
            }
        }
        let kept = self.precision.page_hashes() + 1;
        for (page, latest) in other.latest.iter().enumerate() {
            for (second, hash) in &latest.pairs {
                // The list itself is asked whether it holds the user.
                self.latest[page].record(*hash, *second, EventTime::MAX, kept);
                self.changed[0][page] = true;
            }
        }
    }

    fn raise(&mut self, rank: usize, page: usize, register: usize, second: EventTime) {
        let registers = self.precision.page_registers();
        if self.rows[rank].is_empty() {
            self.rows[rank] = vec![0; self.pages * registers];
            self.newest[rank] = vec![0; self.pages];
        }
        let known = &mut self.rows[rank][page * registers + register];
        *known = (*known).max(second);
        let newest = &mut self.newest[rank][page];
        *newest = (*newest).max(second);
        self.changed[rank + 1][page] = true;
    }

    /// The table as one of a lower precision would be that had seen the same sightings, bit for bit; `None` where the
    /// latest users of a page are not known as far back as they would be there.
    ///
    /// # Panics
    ///
    /// Unless it is a table of all pages and `to` is no higher than its precision.
    #[must_use]
    pub fn fold(&self, to: Precision) -> Option<Self> {
        let mut folded = Self::new(to, 0..self.pages);
        let registers = self.precision.page_registers();
        for (rank, row) in (1u8..).zip(&self.rows) {
            for (register, second) in row.iter().enumerate().filter(|(_, second)| **second > 0) {
                let place = fold_register(self.precision, to, register, rank);
                let rank = usize::from(place.rank) - 1;
                folded.raise(rank, place.page, place.register, *second);
            }
        }
        let mut found = vec![Vec::new(); self.pages];
        // Of the users of a page none is unknown that is later than this.
        let mut known_from = vec![None; self.pages];
        let kept = self.precision.page_hashes() + 1;
        for (page, latest) in self.latest.iter().enumerate() {
            for &(second, hash) in &latest.pairs {
                found[to.place(hash).page].push((second, hash));
            }
            let first = latest.pairs.front().filter(|_| latest.pairs.len() == kept);
            for register in page * registers..(page + 1) * registers {
                let page = fold_register(self.precision, to, register, 0).page;
                known_from[page] = known_from[page].max(first.copied());
            }
        }
        for (page, (found, known_from)) in found.into_iter().zip(known_from).enumerate() {
            folded.changed[0][page] = !found.is_empty();
            folded.latest[page] = latest(found, known_from, to.page_hashes() + 1)?;
        }
        Some(folded)
    }
}

fn latest(
    mut found: Vec<(EventTime, UserHash)>,
    known_from: Option<(EventTime, UserHash)>,
    kept: usize,
) -> Option<LatestUsers> {
    found.sort_unstable_by_key(|pair| Reverse(*pair));
    found.truncate(kept);
    let is_known = found.len() == kept && found.last().copied() >= known_from;
    (known_from.is_none() || is_known).then(|| LatestUsers {
        pairs: found.into_iter().rev().collect(),
    })
}
