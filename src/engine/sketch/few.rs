//! The users of a window that has few: one short list instead of pages.
//!
//! Most windows of a long history are quiet minutes. Walking 256 pages to count nineteen users cost far more than the
//! users did, and so did the pages' memory.

use std::ops::Range;

use super::Precision;
use crate::engine::frame::UserHash;
use crate::limits::FEW_HASHES_PER_PAGE;

/// Room that a list begins with: quiet minutes seldom need more, and growing costs more than the room.
const FIRST_HASHES: usize = 16;

/// Distinct users in the order of [`Precision::turned`].
///
/// Invariants: 1. Every page's users are at most [`Precision::page_hashes`], so each page of it is an exact one. 2. The
/// list is at most [`FEW_HASHES_PER_PAGE`] times the pages of its share. Whether both hold depends on the set alone.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Few {
    /// Hashes as [`Precision::turned`], ascending.
    keys: Vec<u64>,
}

impl Few {
    /// Records a user; returns whether that was news. Past the bounds the list asks to be turned into pages.
    pub(super) fn insert(&mut self, hash: UserHash, p: Precision, pages: usize) -> Inserted {
        let key = p.turned(hash);
        let Err(at) = self.keys.binary_search(&key) else {
            return Inserted::Known;
        };
        if self.keys.len() >= FEW_HASHES_PER_PAGE * pages {
            return Inserted::NoRoom;
        }
        let page = page(key);
        let before = self.keys[..at].iter().rev();
        let before = before.take_while(|k| self::page(**k) == page).count();
        let after = self.keys[at..].iter();
        let after = after.take_while(|k| self::page(**k) == page).count();
        if before + after >= p.page_hashes() {
            return Inserted::NoRoom;
        }
        if self.keys.capacity() == 0 {
            self.keys.reserve_exact(FIRST_HASHES);
        }
        self.keys.insert(at, key);
        Inserted::New
    }

    /// The users, page after page.
    pub(super) fn hashes(&self, p: Precision) -> impl Iterator<Item = UserHash> {
        self.keys.iter().map(move |k| hash(*k, p))
    }

    /// Number of users.
    pub(super) fn users(&self) -> usize {
        self.keys.len()
    }

    /// The greatest rank of each register that was hit: the first of its run.
    pub(super) fn ranks(&self, p: Precision) -> impl Iterator<Item = u8> {
        let register = move |key: u64| key >> (u64::BITS - u32::from(p.bits()));
        let runs = self.keys.chunk_by(move |a, b| register(*a) == register(*b));
        runs.map(move |run| p.place(hash(run[0], p)).rank)
    }

    /// The users of each of these pages, in ascending order.
    pub(super) fn pages(
        &self,
        pages: Range<usize>,
        p: Precision,
    ) -> impl Iterator<Item = Vec<UserHash>> {
        let mut rest = self.keys.as_slice();
        pages.map(move |wanted| {
            let users = rest.partition_point(|k| page(*k) <= wanted);
            let (here, after) = rest.split_at(users);
            rest = after;
            let mut hashes: Vec<_> = here.iter().map(|k| hash(*k, p)).collect();
            hashes.sort_unstable();
            hashes
        })
    }

    /// Gives back what was reserved and not used.
    pub(super) fn trim(&mut self) {
        self.keys.shrink_to_fit();
    }
}

/// What became of a user that was put into the list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Inserted {
    /// The user was there.
    Known,
    /// The user is there now.
    New,
    /// The list is as long as may be, or a page of it.
    NoRoom,
}

fn hash(key: u64, p: Precision) -> UserHash {
    UserHash(key.rotate_left(u32::from(p.bits())))
}

/// The page is the upper part of the register, which stands on top.
fn page(key: u64) -> usize {
    (key >> (u64::BITS - u32::from(super::PAGE_BITS))) as usize
}
