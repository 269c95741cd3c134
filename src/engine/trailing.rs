//! All trailing windows from one table.
//!
//! For every rank and register the table keeps the latest second at which a sighting hit it. A register's value for
//! "since S" is then the highest rank whose second is later than S: the sliding HyperLogLog of Chabchoub and Hébrail
//! ("Sliding HyperLogLog: Estimating cardinality in a data stream", ICDMW 2010), laid out as a matrix. So that small
//! numbers are exact, each page also keeps its latest users by name of their hash.
//!
//! Both are maxima, so order and repetition leave no trace. Neither has an upper bound (a later hit hides an earlier
//! one), so a window always ends at the newest second.
//!
//! The same users give the same answer here and in a calendar window, bit for bit.

mod joined;
mod saved;

use std::collections::VecDeque;
use std::hint::black_box;
use std::ops::Range;

use super::frame::{EventTime, Sighting, UserHash};
use super::sketch::Precision;
use super::sketch::estimate::Tally;

/// Registers looked at together while the answers are put together: one page at p = 17.
const STRIPE: usize = 512;
/// Sightings that are fetched from memory together.
const TOGETHER: usize = 16;

/// A worker's share of the table: the pages `pages`.
#[derive(Debug)]
pub struct Trailing {
    precision: Precision,
    first_page: usize,
    pages: usize,
    /// `rows[rank - 1][register]`: the latest second, 0 for never. A row is made when it is first hit.
    rows: Vec<Vec<EventTime>>,
    /// `newest[rank - 1][page]`: the greatest of the row's seconds in the page, so that old stretches are skipped.
    newest: Vec<Vec<EventTime>>,
    latest: Vec<LatestUsers>,
    /// `changed[rank][page]`: whether the row's seconds in the page changed since they were saved; at rank 0 whether the
    /// latest users did.
    changed: Vec<Vec<bool>>,
}

impl Trailing {
    /// An empty table.
    #[must_use]
    pub fn new(precision: Precision, pages: Range<usize>) -> Self {
        let ranks = usize::from(precision.max_rank());
        Self {
            precision,
            first_page: pages.start,
            pages: pages.len(),
            rows: vec![Vec::new(); ranks],
            newest: vec![Vec::new(); ranks],
            latest: vec![LatestUsers::default(); pages.len()],
            changed: vec![vec![false; pages.len()]; ranks + 1],
        }
    }

    /// Records sightings whose pages are in this share.
    pub fn record_all(&mut self, sightings: &[Sighting]) {
        for together in sightings.chunks(TOGETHER) {
            // The processor waits for memory once for all of these, not for one after the other.
            black_box(together.iter().map(|s| self.peek(s)).max());
            for sighting in together {
                self.record(sighting);
            }
        }
    }

    fn peek(&self, sighting: &Sighting) -> EventTime {
        let place = self.precision.place(sighting.hash);
        let at = (place.page - self.first_page) * self.precision.page_registers() + place.register;
        let row = &self.rows[usize::from(place.rank) - 1];
        row.get(at).copied().unwrap_or(0)
    }

    /// Records a sighting whose page is in this share.
    pub fn record(&mut self, sighting: &Sighting) {
        let place = self.precision.place(sighting.hash);
        let page = place.page - self.first_page;
        let registers = self.precision.page_registers();
        let rank = usize::from(place.rank) - 1;
        let row = &mut self.rows[rank];
        if row.is_empty() {
            // Zeroed memory comes untouched from the system: a row costs only the stretches that are hit.
            *row = vec![0; self.pages * registers];
            self.newest[rank] = vec![0; self.pages];
        }
        let second = &mut row[page * registers + place.register];
        let before = *second;
        *second = before.max(sighting.ts);
        let newest = &mut self.newest[rank][page];
        *newest = (*newest).max(sighting.ts);
        self.changed[rank + 1][page] |= before < sighting.ts;
        let kept = self.precision.page_hashes() + 1;
        self.changed[0][page] |= self.latest[page].record(sighting.hash, sighting.ts, before, kept);
    }

    /// Adds this share to the tallies of the windows that start after these seconds.
    #[must_use]
    pub fn tally(&self, starts: &[i64; 6]) -> [Tally; 6] {
        // A start before 1970 admits every second but 0, which means never.
        let starts = starts.map(|s| EventTime::try_from(s.max(0)).unwrap_or(EventTime::MAX));
        let mut tallies: [Tally; 6] = Default::default();
        for page in 0..self.pages {
            let exact =
                starts.map(|s| self.latest[page].users_after(s) <= self.precision.page_hashes());
            for (w, tally) in tallies.iter_mut().enumerate() {
                if exact[w] {
                    let users = self.latest[page].after(starts[w]);
                    tally.add_exact_page(users, self.precision);
                }
            }
            if exact.contains(&false) {
                self.tally_registers(page, &starts, &exact, &mut tallies);
            }
        }
        tallies
    }

    fn tally_registers(
        &self,
        page: usize,
        starts: &[EventTime; 6],
        exact: &[bool; 6],
        tallies: &mut [Tally; 6],
    ) {
        let registers = self.precision.page_registers();
        let earliest = starts.iter().min().copied().unwrap_or(0);
        let mut values = [[0u8; STRIPE]; 6];
        for stripe in (0..registers).step_by(STRIPE) {
            let width = STRIPE.min(registers - stripe);
            let from = page * registers + stripe;
            for values in &mut values {
                values[..width].fill(0);
            }
            for (rank, row) in (1u8..).zip(&self.rows) {
                let newest = self.newest[usize::from(rank) - 1].get(page);
                if newest.is_none_or(|newest| *newest <= earliest) {
                    continue;
                }
                let seconds = &row[from..from + width];
                for (values, start) in values.iter_mut().zip(starts) {
                    for (value, second) in values.iter_mut().zip(seconds) {
                        *value = if second > start { rank } else { *value };
                    }
                }
            }
            for (w, tally) in tallies.iter_mut().enumerate() {
                if !exact[w] {
                    tally.add_register_page(&values[w][..width]);
                }
            }
        }
    }

    /// Appends the canonical bytes (docs/FORMAT.md): page after page its table, rank by rank, and its latest users,
    /// latest first. Equal sightings give equal bytes.
    pub fn write_canonical(&self, out: &mut Vec<u8>) {
        let registers = self.precision.page_registers();
        for page in 0..self.pages {
            for row in &self.rows {
                write_seconds(row, page * registers..(page + 1) * registers, out);
            }
            self.latest[page].write_canonical(out);
        }
    }
}

/// Appends a stretch of a row.
fn write_seconds(row: &[EventTime], stretch: Range<usize>, out: &mut Vec<u8>) {
    for register in stretch {
        let second = row.get(register).copied().unwrap_or(0);
        out.extend_from_slice(&second.to_le_bytes());
    }
}

/// The latest users of a page, by second and then by hash: one more than an exact page holds, so that "too many for
/// an exact page" can be told.
///
/// Invariant: of all (last second, hash) pairs of the page these are the greatest. A pair that was pushed out can
/// come back only with a later second, so nothing is lost by forgetting it.
#[derive(Debug, Clone, Default)]
struct LatestUsers {
    /// Ascending: a stream mostly in order takes from the front and adds near the back.
    pairs: VecDeque<(EventTime, UserHash)>,
}

impl LatestUsers {
    /// `before` is the latest second that was known of the user's register and rank. No sighting of the user can be
    /// later than that, which mostly tells without a search that the list does not hold the user. Returns whether the list
    /// changed.
    fn record(&mut self, hash: UserHash, ts: EventTime, before: EventTime, kept: usize) -> bool {
        if self.pairs.is_empty() {
            self.pairs.reserve_exact(kept);
        }
        let is_full = self.pairs.len() == kept;
        let least = self.pairs.front().copied().unwrap_or((0, UserHash(0)));
        if is_full && (ts, hash) <= least {
            return false;
        }
        let known = (before >= least.0)
            .then(|| self.pairs.iter().position(|(_, known)| *known == hash))
            .flatten();
        match known {
            Some(i) if ts <= self.pairs[i].0 => return false,
            Some(i) => drop(self.pairs.remove(i)),
            None if is_full => drop(self.pairs.pop_front()),
            None => {}
        }
        let behind = self.pairs.iter().rev();
        let later = behind.take_while(|pair| **pair > (ts, hash)).count();
        self.pairs.insert(self.pairs.len() - later, (ts, hash));
        true
    }

    fn after(&self, start: EventTime) -> impl Iterator<Item = UserHash> {
        let from = self.pairs.len() - self.users_after(start);
        self.pairs.range(from..).map(|(_, hash)| *hash)
    }

    fn users_after(&self, start: EventTime) -> usize {
        self.pairs.len() - self.pairs.partition_point(|(second, _)| *second <= start)
    }

    fn write_canonical(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&(self.pairs.len() as u16).to_le_bytes());
        for (second, hash) in self.pairs.iter().rev() {
            out.extend_from_slice(&second.to_le_bytes());
            out.extend_from_slice(&hash.0.to_le_bytes());
        }
    }
}
