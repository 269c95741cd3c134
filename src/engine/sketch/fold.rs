//! A sketch as it would be at a lower precision.
//!
//! A register is the low bits of the hash, and a rank does not depend on the precision, save for its cap. So a register of
//! the lower precision is the greatest of those that agree in its bits. A rank at the cap says that all bits above the
//! register are zero: then the hash is the register's own number, and its rank at any precision is known.
//!
//! Which pages are exact there is a matter of how many users fell into them. Where these are known one by one, or at least
//! so many that the page cannot be exact, the result is bit for bit that of a sketch which had seen the same users.

use super::Precision;
use super::page::Page;
use super::share::Share;
use crate::engine::frame::UserHash;
use crate::limits::PAGES;

/// A whole sketch at the lower precision.
#[derive(Debug)]
pub struct Folded {
    /// All of its pages.
    pub share: Share,
    /// Pages that are registers here, and might be exact in a sketch that had seen the same users.
    pub undecided: usize,
    /// Whether the number of users is certainly that of such a sketch: all pages are as there, or some page is certainly
    /// not exact, and then every page counts as registers.
    pub is_same_number: bool,
}

/// A page of the result while it comes together.
#[derive(Debug, Clone, Default)]
struct Gathered {
    hashes: Vec<UserHash>,
    /// Registers of source pages that are not exact, as register in the page and rank.
    registers: Vec<(usize, u8)>,
}

/// A register and rank of one precision at a lower one: page, register in it, and rank.
#[must_use]
pub fn fold_register(from: Precision, to: Precision, register: usize, rank: u8) -> super::Place {
    let page_bits = to.bits() - super::PAGE_BITS;
    let folded = register & (to.registers() - 1);
    let rank = if rank == from.max_rank() {
        // All bits above the register are zero.
        to.place(UserHash(register as u64)).rank
    } else {
        rank
    };
    super::Place {
        page: folded >> page_bits,
        register: folded & (to.page_registers() - 1),
        rank,
    }
}

/// Folds the pages of a whole sketch.
///
/// # Panics
///
/// Unless the share is of all pages and `to` is no higher than its precision.
#[must_use]
pub fn fold(whole: &Share, to: Precision) -> Folded {
    let from = whole.precision();
    assert!(to.bits() <= from.bits(), "nothing can be unfolded");
    let mut gathered = vec![Gathered::default(); PAGES];
    for (page, read) in whole.to_pages().iter().enumerate() {
        match read {
            Page::Exact(hashes) => {
                for &hash in hashes {
                    gathered[to.place(hash).page].hashes.push(hash);
                }
            }
            Page::Registers(registers) => {
                for (at, &rank) in registers.iter().enumerate() {
                    if rank == 0 {
                        continue;
                    }
                    let register = page * from.page_registers() + at;
                    let place = fold_register(from, to, register, rank);
                    let gathered = &mut gathered[place.page];
                    gathered.registers.push((place.register, place.rank));
                }
            }
        }
    }
    let (mut undecided, mut certain) = (0, 0);
    let pages = gathered.into_iter().map(|gathered| {
        // Each register that was hit stands for one user at least, and all of these differ.
        let users = gathered.hashes.len() + gathered.registers.len();
        if users > to.page_hashes() {
            certain += 1;
        } else if !gathered.registers.is_empty() {
            undecided += 1;
        }
        gathered.into_page(to)
    });
    let pages = pages.collect();
    Folded {
        share: Share::from_pages(to, 0..PAGES, pages),
        undecided,
        is_same_number: undecided == 0 || certain > 0,
    }
}

impl Gathered {
    fn into_page(self, to: Precision) -> Page {
        let mut page = Page::default();
        for hash in self.hashes {
            page.insert(hash, to);
        }
        if self.registers.is_empty() {
            return page;
        }
        let mut registers = page.to_registers(to);
        for (register, rank) in self.registers {
            registers[register] = registers[register].max(rank);
        }
        Page::Registers(registers)
    }
}
