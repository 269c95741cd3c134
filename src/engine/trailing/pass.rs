//! A pass over the trailing table, in slices.
//!
//! What the pass says is what the table was when it began, although sightings are recorded between its slices: those in
//! pages that it has behind it go in at once, those in pages that it has before it wait until it is done. The table
//! holds maxima, so it does not matter that they come in later than their fellows.

use std::ops::Range;

use super::lanes::{Lanes, Row};
use super::{EventTime, Trailing};
use crate::engine::frame::Sighting;
use crate::engine::sketch::estimate::Tally;
use crate::limits::{BATCH_SIGHTINGS, PASS_CELLS};

/// A pass that is under way.
#[derive(Debug)]
pub(super) struct Pass {
    /// Where the windows start, the earliest first, and which of the six they are.
    starts: [(EventTime, usize); 6],
    next_page: usize,
    /// In the order of `starts`.
    tallies: [Tally; 6],
}

/// What a slice came to.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Slice {
    /// Cells of the table that were looked at, or copied to be saved with the sketches' bytes as cells of four: at most
    /// [`PASS_CELLS`], or one page.
    pub cells: usize,
    /// Sightings recorded that had waited: at most [`BATCH_SIGHTINGS`].
    pub sightings: usize,
    /// The tallies of the windows, in the order in which they were asked for, once the last page is done.
    pub tallies: Option<[Tally; 6]>,
}

impl Pass {
    fn new(starts: &[i64; 6]) -> Self {
        // A start before 1970 admits every second but 0, which means never.
        let second = |start: i64| EventTime::try_from(start.max(0)).unwrap_or(EventTime::MAX);
        let mut asked = [(0, 0); 6];
        for (window, (to, start)) in asked.iter_mut().zip(starts).enumerate() {
            *to = (second(*start), window);
        }
        asked.sort_unstable();
        Self {
            starts: asked,
            next_page: 0,
            tallies: Default::default(),
        }
    }

    /// The tallies in the order in which the windows were asked for.
    fn finish(self) -> [Tally; 6] {
        let mut asked: [Tally; 6] = Default::default();
        for ((_, window), tally) in self.starts.into_iter().zip(self.tallies) {
            asked[window] = tally;
        }
        asked
    }
}

impl Trailing {
    /// This share's part of the tallies of the windows that start after these seconds, in one go.
    #[must_use]
    pub fn tally(&self, starts: &[i64; 6]) -> [Tally; 6] {
        self.tally_by(self.lanes, starts)
    }

    /// The same with instructions of this width.
    #[must_use]
    pub fn tally_by(&self, lanes: Lanes, starts: &[i64; 6]) -> [Tally; 6] {
        assert!(!self.is_busy(), "what waits would be missing");
        let mut pass = Pass::new(starts);
        while pass.next_page < self.pages {
            self.pass_over_page(lanes, &mut pass);
        }
        pass.finish()
    }

    /// Begins a pass: [`step`](Self::step) does it, and gives the tallies of the windows that start after these seconds as
    /// the table is now.
    pub fn begin(&mut self, starts: &[i64; 6]) {
        self.settle();
        self.pass = Some(Pass::new(starts));
    }

    /// Whether a pass is under way, or sightings wait that came during it.
    #[must_use]
    pub fn is_busy(&self) -> bool {
        self.pass.is_some() || !self.waiting.is_empty()
    }

    /// Whether a pass is under way.
    #[must_use]
    pub fn is_passing(&self) -> bool {
        self.pass.is_some()
    }

    /// Goes on with the pass for no longer than a batch of sightings takes, or records some that have waited for its end.
    pub fn step(&mut self) -> Slice {
        let mut slice = Slice::default();
        if self.pass.is_some() {
            let most = self.most_cells_of_page();
            while self.step_page(&mut slice) && slice.cells + most <= PASS_CELLS {}
        } else {
            let left = self.waiting.len().saturating_sub(BATCH_SIGHTINGS);
            let late = self.waiting.split_off(left);
            slice.sightings = late.len();
            self.enter_all(&late);
            if left == 0 {
                // It is needed again at the next tick at the earliest.
                self.waiting = Vec::new();
            }
        }
        slice
    }

    /// Goes on with a pass by one page; false if there is none, or this was the last page.
    pub(in crate::engine) fn step_page(&mut self, slice: &mut Slice) -> bool {
        let Some(mut pass) = self.pass.take() else {
            return false;
        };
        slice.cells += self.pass_over_page(self.lanes, &mut pass);
        if pass.next_page == self.pages {
            slice.tallies = Some(pass.finish());
            return false;
        }
        self.pass = Some(pass);
        true
    }

    /// Ends what is under way; the tallies of a pass are lost.
    pub(super) fn settle(&mut self) {
        self.pass = None;
        let waiting = std::mem::take(&mut self.waiting);
        self.enter_all(&waiting);
    }

    /// Records what lies in pages that the pass has behind it, and lets the others wait.
    pub(super) fn record_beside(&mut self, sightings: &[Sighting], next_page: usize) {
        for sighting in sightings {
            let page = self.precision.place(sighting.hash).page - self.first_page;
            if page < next_page {
                self.enter(sighting);
            } else {
                self.waiting.push(*sighting);
            }
        }
    }

    /// The first page that a pass under way has before it.
    pub(super) fn next_page(&self) -> Option<usize> {
        self.pass.as_ref().map(|pass| pass.next_page)
    }

    pub(in crate::engine) fn most_cells_of_page(&self) -> usize {
        let rows = self.rows.iter().filter(|row| !row.is_empty()).count();
        rows * self.precision.page_registers()
    }

    fn pass_over_page(&self, lanes: Lanes, pass: &mut Pass) -> usize {
        let page = pass.next_page;
        pass.next_page += 1;
        let latest = &self.latest[page];
        let is_exact = |users: usize| users <= self.precision.page_hashes();
        // The later a window starts, the fewer users it has.
        let starts = pass.starts.map(|(start, _)| start);
        let inexact = starts.partition_point(|start| !is_exact(latest.users_after(*start)));
        for (tally, start) in pass.tallies.iter_mut().zip(starts).skip(inexact) {
            tally.add_exact_page(latest.after(start), self.precision);
        }
        if inexact == 0 {
            return 0;
        }
        let registers = self.precision.page_registers();
        let stretch = page * registers..(page + 1) * registers;
        let starts = &starts[..inexact];
        lanes.add_page(
            self.stretches(page, stretch),
            starts,
            registers,
            &mut pass.tallies[..inexact],
        )
    }

    /// A page's part of each row that was ever hit, by falling rank.
    fn stretches(&self, page: usize, stretch: Range<usize>) -> impl Iterator<Item = Row<'_>> {
        (0..self.rows.len()).rev().filter_map(move |row| {
            Some(Row {
                rank: row as u8 + 1,
                newest: *self.newest[row].get(page)?,
                seconds: self.rows[row].get(stretch.clone())?,
            })
        })
    }
}
