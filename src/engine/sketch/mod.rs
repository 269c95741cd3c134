//! HyperLogLog with exact small sets, cut into pages so that workers can share one logical sketch.
//!
//! A sketch of precision `p` has `2^p` registers in [`PAGES`] pages of equal size. Which register a user hits, and
//! with which rank, depends on the hash alone; so does, for a given *set* of users, everything else here: which pages
//! are still exact, every register, every estimate. Order, repetition and the number of workers leave no trace.

pub mod canonical;
pub mod estimate;
mod few;
pub mod fold;
pub mod packed;
pub mod page;
pub mod share;

use super::frame::UserHash;
use crate::limits::{PAGES, PRECISION_DEFAULT, PRECISION_MAX, PRECISION_MIN};

const PAGE_BITS: u8 = PAGES.trailing_zeros() as u8;
const _: () = assert!(PAGES == 1 << PAGE_BITS);

/// The precision `p` of a sketch: `2^p` registers, standard error about `1.04 / sqrt(2^p)`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Precision(u8);

impl Default for Precision {
    fn default() -> Self {
        Self(PRECISION_DEFAULT)
    }
}

impl Precision {
    /// Accepts 12 to 18.
    #[must_use]
    pub fn new(p: u8) -> Option<Self> {
        (PRECISION_MIN..=PRECISION_MAX)
            .contains(&p)
            .then_some(Self(p))
    }

    /// `p` itself.
    #[must_use]
    pub fn bits(self) -> u8 {
        self.0
    }

    /// Registers in a sketch: `2^p`.
    #[must_use]
    pub fn registers(self) -> usize {
        1 << self.0
    }

    /// Registers in a page: `2^(p-8)`, 512 at p = 17.
    #[must_use]
    pub fn page_registers(self) -> usize {
        1 << (self.0 - PAGE_BITS)
    }

    /// Most users that a page holds as plain hashes: as many as cost what its registers cost (64 at p = 17).
    #[must_use]
    pub fn page_hashes(self) -> usize {
        self.page_registers() / size_of::<UserHash>()
    }

    /// Greatest rank: `64 - p + 1`.
    #[must_use]
    pub fn max_rank(self) -> u8 {
        64 - self.0 + 1
    }

    /// A hash turned so that the register stands on top. In this order users go by page and register, and within a
    /// register by falling rank, since of two hashes the lesser has no fewer zeros in front.
    #[must_use]
    pub(crate) fn turned(self, hash: UserHash) -> u64 {
        hash.0.rotate_right(self.0.into())
    }

    /// Where in the sketch a user is recorded.
    #[must_use]
    pub fn place(self, hash: UserHash) -> Place {
        let register = (hash.0 & (self.registers() as u64 - 1)) as usize;
        let page_bits = self.0 - PAGE_BITS;
        // The convention of Apache DataSketches: the rank counts the zeros in front of the whole hash, so it does
        // not depend on p (only its cap does), and a sketch can be folded to a lower precision.
        let rank = (hash.0.leading_zeros() as u8 + 1).min(self.max_rank());
        Place {
            page: register >> page_bits,
            register: register & (self.page_registers() - 1),
            rank,
        }
    }
}

/// The place of one user in a sketch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// Page, below [`PAGES`].
    pub page: usize,
    /// Register within the page.
    pub register: usize,
    /// Leading zeros of the hash plus one, 1 to [`Precision::max_rank`].
    pub rank: u8,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_pinned() {
        let p17 = Precision::new(17).unwrap();
        let cases = [
            // hash, page, register in page, rank
            (0x0000_0000_0000_0000, 0, 0, 48),
            (0xffff_ffff_ffff_ffff, 255, 511, 1),
            (0x4000_0000_0000_0201, 1, 1, 2),
            (0x0000_0000_0001_ffff, 255, 511, 48),
            (0x0000_8000_0000_0000, 0, 0, 17),
            (0x9cc4_ac7b_a9b5_c5a2, 226, 418, 1),
        ];
        for (hash, page, register, rank) in cases {
            let place = Place {
                page,
                register,
                rank,
            };
            assert_eq!(p17.place(UserHash(hash)), place, "{hash:#x}");
        }
        // A rank does not depend on p, save for the cap.
        let p12 = Precision::new(12).unwrap();
        assert_eq!(p12.place(UserHash(0x0000_8000_0000_0000)).rank, 17);
        assert_eq!(p12.place(UserHash(0)).rank, 53);
    }

    #[test]
    fn sizes() {
        assert!(Precision::new(11).is_none() && Precision::new(19).is_none());
        let hashes: Vec<_> = (12..=18)
            .map(|p| Precision::new(p).unwrap().page_hashes())
            .collect();
        assert_eq!(hashes, [2, 4, 8, 16, 32, 64, 128]);
    }
}
