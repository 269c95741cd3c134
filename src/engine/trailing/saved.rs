//! The trailing table in stretches, to be saved and back (docs/FORMAT.md, *State*).

use super::{LatestUsers, Trailing, write_seconds};
use crate::engine::checkpoint::SavedStretch;
use crate::engine::checkpoint::codec::{Damaged, Reader};
use crate::engine::frame::{EventTime, UserHash};

impl Trailing {
    /// Hands over the stretches that changed since the last call.
    pub fn save(&mut self, out: &mut Vec<SavedStretch>) {
        assert!(
            !self.is_passing(),
            "a pass is ended before anything is saved"
        );
        self.settle();
        for page in 0..self.pages {
            self.save_page(page, out);
        }
    }

    /// The same of one page, counted from the share's first. During a pass it must be one that the pass is about to look
    /// at, so that nothing of it waits.
    pub(in crate::engine) fn save_page(&mut self, page: usize, out: &mut Vec<SavedStretch>) {
        let registers = self.precision.page_registers();
        for (rank, changed) in (0u8..).zip(&mut self.changed) {
            if !std::mem::take(&mut changed[page]) {
                continue;
            }
            let mut bytes = Vec::new();
            match usize::from(rank).checked_sub(1) {
                None => self.latest[page].write_canonical(&mut bytes),
                Some(row) => {
                    bytes.reserve_exact(registers * size_of::<EventTime>());
                    let stretch = page * registers..(page + 1) * registers;
                    write_seconds(&self.rows[row], stretch, &mut bytes);
                }
            }
            let page = self.first_page + page;
            out.push(SavedStretch { page, rank, bytes });
        }
    }

    /// Takes in a stretch that was saved, if its page is in this share.
    ///
    /// # Errors
    ///
    /// When no table of this precision can have saved it.
    pub fn restore(&mut self, saved: &SavedStretch) -> Result<(), Damaged> {
        let pages = self.first_page..self.first_page + self.pages;
        if !pages.contains(&saved.page) {
            return Ok(());
        }
        let page = saved.page - self.first_page;
        let mut from = Reader::new(&saved.bytes, "the trailing table");
        let Some(row) = usize::from(saved.rank).checked_sub(1) else {
            let kept = self.precision.page_hashes() + 1;
            let latest = LatestUsers::read(kept, &mut from)?;
            let of_page = |hash: UserHash| self.precision.place(hash).page == saved.page;
            from.check(latest.pairs.iter().all(|(_, hash)| of_page(*hash)))?;
            self.latest[page] = latest;
            return from.end();
        };
        from.check(row < self.rows.len())?;
        let registers = self.precision.page_registers();
        if self.rows[row].is_empty() {
            self.rows[row] = vec![0; self.pages * registers];
            self.newest[row] = vec![0; self.pages];
        }
        for second in &mut self.rows[row][page * registers..(page + 1) * registers] {
            *second = from.u32()?;
            self.newest[row][page] = self.newest[row][page].max(*second);
        }
        from.end()
    }
}

impl LatestUsers {
    fn read(kept: usize, from: &mut Reader<'_>) -> Result<Self, Damaged> {
        let users = usize::from(from.u16()?);
        from.check(users <= kept)?;
        let mut latest = Self::default();
        latest.pairs.reserve_exact(kept);
        for _ in 0..users {
            let pair = (from.u32()?, UserHash(from.u64()?));
            from.check(latest.pairs.front().is_none_or(|later| pair < *later))?;
            latest.pairs.push_front(pair);
        }
        Ok(latest)
    }
}
