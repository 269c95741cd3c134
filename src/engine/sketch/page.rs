//! One page of a sketch: a small set of plain hashes until they would cost more than registers.

use super::Precision;
use super::estimate::Tally;
use crate::engine::frame::UserHash;

/// Room that an exact page begins with: growing to it step by step cost more than the room.
const FIRST_HASHES: usize = 8;

/// A page of registers, or the exact set of the few users that fell into it.
///
/// Invariants: 1. `Exact` holds at most [`Precision::page_hashes`] distinct hashes; one more distinct hash turns it
/// into `Registers`, so which of the two it is depends on the set alone. 2. `Registers` has exactly
/// [`Precision::page_registers`] bytes, and registers only grow.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Page {
    /// Distinct hashes in the order of [`Precision::turned`]: by register, the greatest rank first.
    Exact(Vec<UserHash>),
    /// One rank a register, 0 where nobody was seen.
    Registers(Box<[u8]>),
}

impl Default for Page {
    fn default() -> Self {
        Self::Exact(Vec::new())
    }
}

impl Page {
    /// Records a user whose place lies in this page. Returns whether that changed the page.
    pub fn insert(&mut self, hash: UserHash, p: Precision) -> bool {
        match self {
            Self::Exact(hashes) => {
                let turned = p.turned(hash);
                let Err(at) = hashes.binary_search_by_key(&turned, |h| p.turned(*h)) else {
                    return false;
                };
                if hashes.len() < p.page_hashes() {
                    if hashes.capacity() == 0 {
                        hashes.reserve_exact(FIRST_HASHES.min(p.page_hashes()));
                    }
                    hashes.insert(at, hash);
                } else {
                    let mut registers = registers_of(hashes, p);
                    raise(&mut registers, hash, p);
                    *self = Self::Registers(registers);
                }
                true
            }
            Self::Registers(registers) => raise(registers, hash, p),
        }
    }

    /// The union of both pages.
    pub fn merge(&mut self, other: &Self, p: Precision) {
        match other {
            Self::Exact(hashes) => {
                for &hash in hashes {
                    self.insert(hash, p);
                }
            }
            Self::Registers(theirs) => {
                if let Self::Exact(hashes) = self {
                    *self = Self::Registers(registers_of(hashes, p));
                }
                if let Self::Registers(ours) = self {
                    for (our, their) in ours.iter_mut().zip(theirs) {
                        *our = (*our).max(*their);
                    }
                }
            }
        }
    }

    /// Adds the page to a tally.
    pub fn tally(&self, p: Precision, tally: &mut Tally) {
        match self {
            Self::Exact(hashes) => {
                let runs = hashes.chunk_by(|a, b| p.place(*a).register == p.place(*b).register);
                let ranks = runs.map(|run| p.place(run[0]).rank);
                tally.add_exact_registers(hashes.len(), ranks, p.page_registers());
            }
            Self::Registers(registers) => tally.add_register_page(registers),
        }
    }

    /// The page as registers, whichever way it is kept.
    #[must_use]
    pub fn to_registers(&self, p: Precision) -> Box<[u8]> {
        match self {
            Self::Exact(hashes) => registers_of(hashes, p),
            Self::Registers(registers) => registers.clone(),
        }
    }
}

fn registers_of(hashes: &[UserHash], p: Precision) -> Box<[u8]> {
    let mut registers = vec![0; p.page_registers()].into_boxed_slice();
    for &hash in hashes {
        raise(&mut registers, hash, p);
    }
    registers
}

fn raise(registers: &mut [u8], hash: UserHash, p: Precision) -> bool {
    let place = p.place(hash);
    let register = &mut registers[place.register];
    let grown = place.rank > *register;
    *register = (*register).max(place.rank);
    grown
}
