//! One trailing window that somebody asks for.

use super::{STRIPE, Trailing};
use crate::engine::frame::EventTime;
use crate::engine::sketch::estimate::Tally;

impl Trailing {
    /// Adds up this share for the window that starts after a second. It is [`Self::tally`] for one window, without
    /// the work for the other five.
    #[must_use]
    pub fn tally_one(&self, start: i64) -> Tally {
        let start = EventTime::try_from(start.max(0)).unwrap_or(EventTime::MAX);
        let mut tally = Tally::default();
        for page in 0..self.pages {
            if self.latest[page].users_after(start) <= self.precision.page_hashes() {
                tally.add_exact_page(self.latest[page].after(start), self.precision);
            } else {
                self.tally_one_page(page, start, &mut tally);
            }
        }
        tally
    }

    fn tally_one_page(&self, page: usize, start: EventTime, tally: &mut Tally) {
        let registers = self.precision.page_registers();
        let mut values = [0u8; STRIPE];
        for stripe in (0..registers).step_by(STRIPE) {
            let width = STRIPE.min(registers - stripe);
            let from = page * registers + stripe;
            values[..width].fill(0);
            for (rank, (row, newest)) in (1u8..).zip(self.rows.iter().zip(&self.newest)) {
                if newest.get(page).is_none_or(|newest| *newest <= start) {
                    continue;
                }
                let seconds = &row[from..from + width];
                for (value, second) in values.iter_mut().zip(seconds) {
                    *value = if *second > start { rank } else { *value };
                }
            }
            tally.add_register_page(&values[..width]);
        }
    }
}
