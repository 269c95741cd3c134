//! Brackets: whether they pair, and where the innermost container or the depth changes.

use super::maps::{CHUNK, CHUNK_BLOCKS, ChangeMaps, Maps};
use crate::limits::MAX_FRAME_DEPTH;

/// Levels whose types fit the shift register.
const LEVELS: usize = 64;

/// Levels beyond which a frame is too deep: exactly those for which there is no room.
pub(super) const OUTER_WORDS: usize = MAX_FRAME_DEPTH / LEVELS;
const _: () = assert!(MAX_FRAME_DEPTH % LEVELS == 0);

/// The containers that are open. Depth costs a bit a level, never the stack.
#[derive(Clone, Copy)]
pub(super) struct Containers {
    /// Types of the innermost 64, the lowest bit the innermost of all: 1 is an object.
    types: u64,
    /// How many are open.
    depth: usize,
    /// Place of the last bracket, from the first byte of the root.
    last: usize,
    /// Changes that come into force with the next chunk's first byte.
    next_in_object: u64,
    next_at_root: u64,
    /// Not 0 if brackets did not pair, or one stood behind the root.
    wrong: u64,
}

impl Containers {
    /// Behind the brace that opens the root, an object: its members begin with the second byte.
    pub(super) const ROOT: Self = Self {
        types: 1,
        depth: 1,
        last: 0,
        next_in_object: 1 << 1,
        next_at_root: 1 << 1,
        wrong: 0,
    };

    /// Where the root ends, if it does.
    #[inline(always)]
    pub(super) fn end_of_root(&self) -> Option<usize> {
        (self.depth == 0).then_some(self.last)
    }

    /// Enters where contexts change in the chunk that begins at `from`, whose first `count` brackets are listed. The brace
    /// that opens the root is the first of the first chunk. Returns false if brackets do not pair or are too deep.
    #[inline(always)]
    pub(super) fn follow(&mut self, chunk: &[u8], from: usize, count: usize, maps: &mut Maps) -> bool {
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
        // A copy, which stays in registers.
        let mut containers = *self;
        for place in listed {
            let place = usize::from(*place) & (CHUNK - 1);
            let Some(byte) = chunk.get(place) else {
                return false;
            };
            if !containers.pass(*byte, place, changes, outer) {
                return false;
            }
        }
        if let Some(place) = listed.last() {
            containers.last = from + usize::from(*place);
        }
        // What the last byte of a full chunk changes is in force in the next one.
        containers.next_in_object = changes.in_object.0[CHUNK_BLOCKS];
        containers.next_at_root = changes.at_root.0[CHUNK_BLOCKS];
        *self = containers;
        self.wrong == 0
    }

    /// Takes one bracket into account. Without branches but for every 64th level, as brackets come in no foreseeable order.
    /// False if it is too deep.
    #[inline(always)]
    fn pass(
        &mut self,
        byte: u8,
        place: usize,
        changes: &mut ChangeMaps,
        outer: &mut [u64; OUTER_WORDS],
    ) -> bool {
        // In ASCII a brace differs from a square bracket in one bit, and what opens from what closes in another.
        let is_curly = u64::from((byte >> 5) & 1);
        let opens = u64::from((byte >> 1) & 1);
        let (types, depth) = (self.types, self.depth);
        // Behind the root there may be none. Should it close a container that there is not, the depth wraps around; the
        // frame is refused anyway.
        self.wrong |= u64::from(depth == 0);
        self.wrong |= (types ^ is_curly) & (opens ^ 1);
        // The level that the bracket opens or closes.
        let level = depth.wrapping_sub(1).wrapping_add(opens as usize);
        if level % LEVELS == 0 {
            let Some(saved) = outer.get_mut(level / LEVELS) else {
                return false;
            };
            self.types = if opens == 1 { is_curly } else { *saved };
            if opens == 1 {
                *saved = types;
            }
        } else {
            self.types = if opens == 1 {
                (types << 1) | is_curly
            } else {
                types >> 1
            };
        }
        self.depth = level.wrapping_add(opens as usize);
        // What a bracket changes is in force behind it.
        let (word, bit) = ((place + 1) / 64, (place + 1) % 64);
        changes.in_object.0[word] ^= ((types ^ self.types) & 1) << bit;
        changes.at_root.0[word] ^= u64::from((depth == 1) ^ (self.depth == 1)) << bit;
        true
    }
}
