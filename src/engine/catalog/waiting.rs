//! Frames that wait to be confirmed, where another run may go on with the input ([`Emission::EachRun`]): an end tells of them before
//! it is known what becomes of them, and their windows wait for them.
//!
//! Which frames a record had beyond those that were counted is known by the sum of a hash of each, modulo 2^62: what was told has
//! come true when that sum is nothing.

use super::{Catalog, Emission, Entry};
use crate::engine::calendar::{Bounds, WindowId};
use crate::engine::checkpoint::Told;
use crate::engine::clock::Claim;
use crate::engine::frame::EventTime;

/// The part of a sum that is kept.
const SUM: u64 = u64::MAX >> 2;

/// A frame in a sum, with whether it counted as late. Odd multipliers and shifts as in the finalizer of MurmurHash3.
fn of_frame(claim: Claim, late: bool) -> u64 {
    let mut bits = claim.hash.0 ^ (u64::from(claim.ts) << 1 | u64::from(late)).rotate_left(31);
    bits = (bits ^ (bits >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
    bits = (bits ^ (bits >> 33)).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    bits ^ (bits >> 33)
}

impl Entry {
    /// Whether its last record had just what was counted.
    pub(super) fn is_as_told(&self) -> bool {
        self.said
            .is_some_and(|said| said.wrapping_sub(self.sum) & SUM == 0)
    }

    /// What is to be known of its last record, where it changed since.
    pub(super) fn told(&self) -> Option<Told> {
        let said = self.said.filter(|_| self.dirty)?;
        Some(Told {
            ahead: said.wrapping_sub(self.sum) & SUM,
            anew: self.anew,
        })
    }

    /// Takes up what [`Self::told`] told, if anything.
    pub(super) fn take_told(&mut self, told: Option<Told>) {
        self.said = match told {
            Some(told) => Some(self.sum.wrapping_add(told.ahead)),
            None => Some(self.sum).filter(|_| !self.dirty),
        };
        self.anew = told.map_or(self.dirty, |told| told.anew);
    }
}

impl Catalog {
    /// Whether another run goes on with the input, and ends tell of frames that wait.
    pub(in crate::engine) fn has_later_runs(&self) -> bool {
        matches!(self.emission, Emission::EachRun { .. })
    }

    /// What a frame adds to the sums of its windows.
    pub(super) fn summand(&self, claim: Claim, late: bool) -> u64 {
        if self.has_later_runs() {
            of_frame(claim, late)
        } else {
            0
        }
    }

    /// A frame of this second waits for its partition's clock: none of its windows is forgotten meanwhile, for it must not expire
    /// because it had to wait. A file of a few frames may wait for its next ones until the end of the run.
    pub(in crate::engine) fn expect(&mut self, ts: EventTime, watermark: Option<i64>) {
        if !self.has_later_runs() {
            return;
        }
        self.last = None;
        for &period in &self.periods {
            let Bounds { start, end } = self.windows.bounds(period, ts);
            let id = WindowId { period, start };
            if self.is_gone(id, end, watermark) {
                continue;
            }
            let open = &mut self.open;
            let entry = self.windows.entry(period, ts, |id, bounds| {
                open.insert((bounds.end, id));
                Entry::new(bounds.end)
            });
            entry.waiting += 1;
            // Saved even if nothing was counted in it: after a crash the frames still wait.
            (entry.dirty, entry.anew) = (true, true);
            entry.note_unsaved(id, &mut self.unsaved);
        }
    }

    /// A frame of this second waits that did when the state was saved. Only windows that no end has told with it wait for it, and
    /// those that are not forgotten yet.
    pub(in crate::engine) fn expect_again(&mut self, ts: EventTime, watermark: Option<i64>) {
        if !self.has_later_runs() {
            return;
        }
        for &period in &self.periods {
            let Bounds { start, end } = self.windows.bounds(period, ts);
            let id = WindowId { period, start };
            let is_gone = self.is_gone(id, end, watermark);
            if let Some(entry) = self.windows.get_mut(id)
                && (!is_gone || entry.anew || entry.last_word.is_none())
            {
                entry.waiting += 1;
            }
        }
    }

    /// A frame of this second that had waited has been decided about.
    pub(in crate::engine) fn release(&mut self, ts: EventTime) {
        if !self.has_later_runs() {
            return;
        }
        self.last = None;
        for at in 0..self.periods.len() {
            let period = self.periods[at];
            let start = self.windows.bounds(period, ts).start;
            let id = WindowId { period, start };
            // Where it was gone when the frame came, it was for all that wait.
            let Some(entry) = self.windows.get_mut(id).filter(|entry| entry.waiting > 0) else {
                continue;
            };
            entry.waiting -= 1;
            if entry.waiting > 0 {
                continue;
            }
            if entry.frames == 0 && entry.last_word.is_none() {
                self.forget(id);
            } else if start < self.passed_over[period as usize] {
                self.overdue.push(id);
            }
        }
    }

    /// A frame of this second that had waited does not count, although a record may have told of it.
    pub(in crate::engine) fn doubt(&mut self, ts: EventTime) {
        if !self.has_later_runs() {
            return;
        }
        for &period in &self.periods {
            let start = self.windows.bounds(period, ts).start;
            let id = WindowId { period, start };
            if let Some(entry) = self.windows.get_mut(id).filter(|entry| entry.dirty) {
                entry.anew = true;
                entry.note_unsaved(id, &mut self.unsaved);
            }
        }
    }
}
