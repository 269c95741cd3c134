//! One trailing window that somebody asks for.

use super::Trailing;
use crate::engine::sketch::estimate::Tally;

impl Trailing {
    /// Adds up this share for the window that starts after a second: [`Self::tally`] for one window. A pass that is under way
    /// must be finished before.
    #[must_use]
    pub fn tally_one(&self, start: i64) -> Tally {
        let [tally, ..] = self.tally(&[start; 6]);
        tally
    }
}
