//! Brackets: whether they pair, and where the innermost container or the depth changes.

use super::maps::{CHUNK, CHUNK_BLOCKS, ChangeMaps, Maps};
use crate::limits::MAX_FRAME_DEPTH;

/// Levels whose types fit the shift register.
const LEVELS: usize = 64;

/// The containers that are open. Depth costs a bit a level, never the stack.
#[derive(Clone, Copy)]
pub(super) struct Containers {
    /// Types of the innermost 64, the lowest bit the innermost of all: 1 is an object.
    types: u64,
    /// How many are open.
    depth: usize,
    deepest: usize,
    /// Place of the last bracket, from the first byte of the root.
    last: usize,
    /// Changes that come into force with the next chunk's first byte.
    next_in_object: u64,
    next_at_root: u64,
    is_wrong: bool,
}

impl Containers {
    /// Behind the brace that opens the root, an object: its members begin with the second byte.
    pub(super) const ROOT: Self = Self {
        types: 1,
        depth: 1,
        deepest: 1,
        last: 0,
        next_in_object: 1 << 1,
        next_at_root: 1 << 1,
        is_wrong: false,
    };

    /// Whether brackets paired so far, none stood behind the root, and none lay too deep.
    #[inline(always)]
    pub(super) fn are_good(&self) -> bool {
        !self.is_wrong && self.deepest <= MAX_FRAME_DEPTH
    }

    /// Where the root ends, if it does.
    #[inline(always)]
    pub(super) fn end_of_root(&self) -> Option<usize> {
        (self.depth == 0).then_some(self.last)
    }

    /// Enters where contexts change in the chunk that begins at `from`, whose first `count` brackets are listed. The brace
    /// that opens the root is the first of the first chunk. Returns false if there is no going on.
    #[inline(always)]
    pub(super) fn follow(
        &mut self,
        chunk: &[u8],
        from: usize,
        count: usize,
        maps: &mut Maps,
    ) -> bool {
        let Maps {
            brackets,
            changes,
            outer,
            ..
        } = maps;
        changes.in_object.0[0] ^= self.next_in_object;
        changes.at_root.0[0] ^= self.next_at_root;
        let Some(listed) = brackets.get(usize::from(from == 0)..count) else {
            return false;
        };
        for place in listed {
            let place = usize::from(*place) & (CHUNK - 1);
            let Some(byte) = chunk.get(place) else {
                return false;
            };
            if !self.pass(*byte, place, changes, outer) {
                return false;
            }
        }
        if let Some(place) = listed.last() {
            self.last = from + usize::from(*place);
        }
        // What the last byte of a full chunk changes is in force in the next one.
        self.next_in_object = changes.in_object.0[CHUNK_BLOCKS];
        self.next_at_root = changes.at_root.0[CHUNK_BLOCKS];
        true
    }

    /// Takes one bracket into account. Without branches but for every 64th level, as brackets come in no foreseeable order.
    #[inline(always)]
    fn pass(
        &mut self,
        byte: u8,
        place: usize,
        changes: &mut ChangeMaps,
        outer: &mut [u64],
    ) -> bool {
        // In ASCII a brace differs from a square bracket in one bit, and what opens from what closes in another.
        let is_curly = u64::from((byte >> 5) & 1);
        let opens = usize::from((byte >> 1) & 1);
        let was_in_object = self.types & 1;
        let was_at_root = self.depth == 1;
        self.is_wrong |= self.depth == 0;
        // The level that the bracket opens or closes. Behind the root there is none to close: the depth wraps around, which
        // is deeper than any that is good.
        let level = self.depth.wrapping_sub(1 - opens);
        let mismatch = (self.types ^ is_curly) & 1 != 0;
        self.is_wrong |= mismatch & (opens == 0);
        if level % LEVELS == 0 {
            let Some(saved) = outer.get_mut(level / LEVELS) else {
                return false;
            };
            if opens == 1 {
                *saved = self.types;
                self.types = is_curly;
            } else {
                self.types = *saved;
            }
        } else {
            let opened = (self.types << 1) | is_curly;
            let closed = self.types >> 1;
            self.types = if opens == 1 { opened } else { closed };
        }
        self.depth = level.wrapping_add(opens);
        self.deepest = self.deepest.max(self.depth);
        // What a bracket changes is in force behind it.
        let (word, bit) = ((place + 1) / 64, (place + 1) % 64);
        changes.in_object.0[word] ^= (was_in_object ^ (self.types & 1)) << bit;
        changes.at_root.0[word] ^= u64::from(was_at_root ^ (self.depth == 1)) << bit;
        true
    }
}
