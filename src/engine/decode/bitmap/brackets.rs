//! Brackets: whether they pair, and where the innermost container or the depth changes.
//!
//! The brackets of many blocks are packed into a word first, a bit for each; what is between them does not matter here. So
//! following them is a matter of registers, and what they change is spread out over the blocks again afterwards.

use super::bytes::Bytes;
use super::lanes::{Lanes, OneLane};
use super::maps::{BLOCK, Maps};
use crate::limits::MAX_FRAME_DEPTH;

/// Levels whose types are at hand before brackets are passed, and most brackets that are passed at once.
const LEVELS: usize = u64::BITS as usize;

/// Room for the types of all levels, and for what is written behind them without a look at how many there are.
pub(super) const OUTER_WORDS: usize = MAX_FRAME_DEPTH / LEVELS + 2;

/// The containers that are open. Depth costs a bit a level, never the stack.
#[derive(Clone, Copy)]
pub(super) struct Containers {
    /// Types of the innermost ones, the lowest bit the innermost of all: 1 is an object.
    types: u128,
    /// How many these are.
    inner: usize,
    /// How many there are further out. Their types are put away, the outermost first.
    outer: usize,
    /// Place of the last bracket, from the first byte of the root.
    last: usize,
}

/// Up to 64 brackets, close together, the first one's bit the lowest.
#[derive(Clone, Copy, Default)]
struct Packed {
    opens: u64,
    /// Braces rather than square brackets.
    is_curly: u64,
    count: u32,
}

/// Which of the brackets of a `Packed` change something.
#[derive(Clone, Copy)]
struct Changes {
    in_object: u64,
    at_root: u64,
}

impl Containers {
    /// Behind the brace that opens the root, an object.
    pub(super) const ROOT: Self = Self {
        types: 1,
        inner: 1,
        outer: 0,
        last: 0,
    };

    /// Where the root ends, if it does.
    #[inline(always)]
    pub(super) fn end_of_root(&self) -> Option<usize> {
        (self.depth() == 0).then_some(self.last)
    }

    /// Enters where contexts change in the chunk that begins at `from`, whose blocks `used` have brackets. The brace that
    /// opens the root is the first byte of the first chunk. Returns false if brackets do not pair or are too deep.
    #[inline(always)]
    pub(super) fn follow<B: Bytes>(
        &mut self,
        bytes: B,
        from: usize,
        used: u64,
        maps: &mut Maps,
    ) -> bool {
        let mut rest = used;
        if from == 0 {
            let first = maps.tokens.bracket.word(0) & !1;
            maps.tokens.bracket.put(0, first);
            rest ^= u64::from(first == 0);
        }
        if !self.close_flat_root(from, rest, maps) && !self.follow_all(bytes, from, rest, maps) {
            return false;
        }
        if from == 0 {
            let changes = &mut maps.changes;
            changes.in_object.0[0] |= 1;
            changes.at_root.0[0] |= 1;
        }
        true
    }

    #[inline(always)]
    fn follow_all<B: Bytes>(
        &mut self,
        bytes: B,
        from: usize,
        mut rest: u64,
        maps: &mut Maps,
    ) -> bool {
        // A copy, which stays in registers.
        let mut containers = *self;
        while rest != 0 {
            let blocks = rest;
            let packed = pack(bytes, &mut rest, maps);
            let Some(changes) = containers.pass(bytes, packed, &mut maps.outer) else {
                return false;
            };
            containers.last = from + spread(bytes, blocks ^ rest, changes, maps);
        }
        *self = containers;
        true
    }

    /// Takes a chunk whose only bracket closes the root, which has no container in it: what is left to do in a frame of little
    /// else than its fields. Returns whether it is one.
    #[inline(always)]
    fn close_flat_root(&mut self, from: usize, used: u64, maps: &mut Maps) -> bool {
        let block = used.trailing_zeros() as usize;
        let bracket = maps.tokens.bracket.word(block);
        let is_close = bracket & maps.tokens.close.word(block) & maps.bytes.bit5.word(block) != 0;
        let is_flat = used.is_power_of_two() && bracket.is_power_of_two();
        if !(is_flat && is_close && self.depth() == 1) {
            return false;
        }
        maps.changes.in_object.put(block, bracket);
        maps.changes.at_root.put(block, bracket);
        self.types = 0;
        self.inner = 0;
        self.last = from + block * BLOCK + bracket.trailing_zeros() as usize;
        true
    }

    /// How many containers are open.
    #[inline(always)]
    fn depth(&self) -> usize {
        self.inner + self.outer
    }

    /// 1 if the innermost container is an object.
    #[inline(always)]
    fn is_in_object(&self) -> u64 {
        self.types as u64 & 1
    }

    /// 1 if it is the root.
    #[inline(always)]
    fn is_at_root(&self) -> u64 {
        u64::from(self.depth() == 1)
    }

    /// Takes brackets into account; returns which of them change contexts. None if they do not pair or are too deep.
    #[inline(always)]
    fn pass<B: Bytes>(
        &mut self,
        bytes: B,
        packed: Packed,
        outer: &mut [u64; OUTER_WORDS],
    ) -> Option<Changes> {
        let Packed {
            opens,
            is_curly,
            count,
        } = packed;
        if self.depth() == 0 {
            // Behind the root there may be none.
            return None;
        }
        let all = low(count);
        if self.inner > LEVELS || self.outer > 0 {
            self.make_room(outer);
        }
        // Most containers have none in them: a bracket that opens and the next one closes. They are dealt with all at once:
        // both brackets change a context, or neither does. Far in they may be too deep, and go the usual way.
        let may_be_too_deep = self.depth() + LEVELS >= MAX_FRAME_DEPTH;
        let leaf = opens & ((!opens & all) >> 1) & u64::from(may_be_too_deep).wrapping_sub(1);
        if leaf & (is_curly ^ (is_curly >> 1)) != 0 {
            return None;
        }
        let others = all & !(leaf | (leaf << 1));
        let (was_in_object, was_at_root) = (self.is_in_object(), self.is_at_root());
        let rest = Packed {
            opens: bytes.extract(opens, others),
            is_curly: bytes.extract(is_curly, others),
            count: others.count_ones(),
        };
        let changes = self.pass_runs(rest, outer)?;
        let is_last = others.leading_zeros() == all.leading_zeros();
        if self.depth() == 0 && !is_last {
            // The one that closes the root is among them; behind it there is a container with none in it.
            return None;
        }
        let in_object = bytes.deposit(changes.in_object, others);
        let at_root = bytes.deposit(changes.at_root, others);
        // What holds before each leaf.
        let around = OneLane(bytes).prefix_xor(in_object, &mut { was_in_object });
        let at_root_around = OneLane(bytes).prefix_xor(at_root, &mut { was_at_root });
        let by_leaf = leaf & (around ^ is_curly);
        let at_root_by_leaf = leaf & at_root_around;
        Some(Changes {
            in_object: in_object | by_leaf | (by_leaf << 1),
            at_root: at_root | at_root_by_leaf | (at_root_by_leaf << 1),
        })
    }

    /// The same run by run: brackets that all open, and then such that all close. The steps are the same however long a run
    /// is. No more than 64 containers may be at hand, and no fewer if there are as many.
    #[inline(always)]
    fn pass_runs(&mut self, packed: Packed, outer: &mut [u64; OUTER_WORDS]) -> Option<Changes> {
        let Packed {
            opens,
            is_curly,
            count,
        } = packed;
        let (was_in_object, was_at_root) = (self.is_in_object(), self.is_at_root());
        // Of a run that opens the last one is the innermost, of one that closes the first.
        let from_behind = is_curly.reverse_bits();
        // What holds behind each bracket.
        let (mut in_object, mut at_root) = (opens & is_curly, 0_u64);
        let (mut types, mut depth, mut deepest) = (self.types, self.depth(), 0);
        let mut mismatch = 0;
        let mut at = 0;
        while at < count {
            // Behind the root there may be none.
            mismatch |= u64::from(depth == 0);
            let run = (opens >> at).trailing_ones();
            let opened = from_behind << at;
            let opened = opened.checked_shr(u64::BITS - run).unwrap_or(0);
            types = (types << run) | u128::from(opened);
            depth = depth.wrapping_add(run as usize);
            deepest = deepest.max(depth);
            at += run;

            // A run that closes ends with the brackets, whatever the bits behind them are.
            let run = (opens.checked_shr(at).unwrap_or(0).trailing_zeros()).min(count - at);
            let closed = is_curly.checked_shr(at).unwrap_or(0);
            mismatch |= (types as u64 ^ closed) & low(run);
            // More than there are: the depth wraps around, and the frame is refused below.
            mismatch |= u64::from(run as usize > depth);
            let behind = (types >> 1) as u64 & low(run);
            in_object |= behind.wrapping_shl(at);
            // Behind the one that leaves the root alone.
            let last_inner = depth.wrapping_sub(2);
            let leaves_root = u64::from(last_inner < run as usize);
            at_root |= leaves_root.wrapping_shl(at.wrapping_add(last_inner as u32));
            types >>= run;
            depth = depth.wrapping_sub(run as usize);
            at += run;
        }
        if mismatch != 0 || deepest > MAX_FRAME_DEPTH {
            return None;
        }
        self.inner = depth - self.outer;
        self.types = types;
        if self.inner == 0 && self.outer > 0 {
            // All that were at hand are closed; the one around them was not seen above.
            self.make_room(outer);
            in_object |= self.is_in_object() << (count - 1);
        }
        let change = |behind: u64, before: u64| behind ^ ((behind << 1) | before);
        Some(Changes {
            in_object: change(in_object, was_in_object),
            at_root: change(at_root, was_at_root),
        })
    }

    /// Puts containers away, or fetches them, until 64 are at hand or there are no more.
    #[cold]
    #[inline(never)]
    fn make_room(&mut self, outer: &mut [u64; OUTER_WORDS]) {
        let place = |level: usize| (level / LEVELS % (OUTER_WORDS - 1), (level % LEVELS) as u32);
        if let Some(more @ 1..) = self.inner.checked_sub(LEVELS) {
            // The outermost one first.
            let types =
                ((self.types >> LEVELS) as u64).reverse_bits() >> (LEVELS - more.min(LEVELS));
            let (word, bit) = place(self.outer);
            outer[word] = (outer[word] & low(bit)) | (types << bit);
            outer[word + 1] = types.checked_shr(u64::BITS - bit).unwrap_or(0);
            self.types &= u128::from(u64::MAX);
            (self.inner, self.outer) = (LEVELS, self.outer + more);
        } else {
            let fetched = (LEVELS - self.inner).min(self.outer);
            let (word, bit) = place(self.outer - fetched);
            let above = outer[word + 1].checked_shl(u64::BITS - bit).unwrap_or(0);
            let types = ((outer[word] >> bit) | above) & low(fetched as u32);
            let types = types.reverse_bits().checked_shr(u64::BITS - fetched as u32);
            self.types |= u128::from(types.unwrap_or(0)) << self.inner;
            (self.inner, self.outer) = (self.inner + fetched, self.outer - fetched);
        }
    }
}

/// The lowest so many bits, up to all 64.
#[inline(always)]
fn low(bits: u32) -> u64 {
    1_u64.checked_shl(bits).unwrap_or(0).wrapping_sub(1)
}

/// Packs the brackets of as many of the blocks as there is room for, and takes these from `rest`, which is not empty.
#[inline(always)]
fn pack<B: Bytes>(bytes: B, rest: &mut u64, maps: &Maps) -> Packed {
    let mut packed = Packed::default();
    while *rest != 0 {
        let block = rest.trailing_zeros() as usize;
        let bracket = maps.tokens.bracket.word(block);
        let count = bracket.count_ones();
        if packed.count + count > u64::BITS {
            break;
        }
        *rest &= *rest - 1;
        let opens = bytes.extract(maps.tokens.open.word(block), bracket);
        // In ASCII a brace differs from a square bracket in one bit.
        let is_curly = bytes.extract(maps.bytes.bit5.word(block), bracket);
        packed.opens |= opens << packed.count;
        packed.is_curly |= is_curly << packed.count;
        packed.count += count;
    }
    packed
}

/// Enters which brackets of these blocks change something, the first of them as the lowest bit of `changes`. Returns where in
/// the chunk the last one is.
#[inline(always)]
fn spread<B: Bytes>(bytes: B, mut blocks: u64, changes: Changes, maps: &mut Maps) -> usize {
    let Changes {
        mut in_object,
        mut at_root,
    } = changes;
    let mut last = 0;
    while blocks != 0 {
        let block = blocks.trailing_zeros() as usize;
        blocks &= blocks - 1;
        let bracket = maps.tokens.bracket.word(block);
        let into = &mut maps.changes;
        into.in_object.put(block, bytes.deposit(in_object, bracket));
        into.at_root.put(block, bytes.deposit(at_root, bracket));
        // In two steps, because there may be 64 of them, and there is at least one.
        let but_one = bracket.count_ones().wrapping_sub(1);
        in_object = in_object.wrapping_shr(but_one) >> 1;
        at_root = at_root.wrapping_shr(but_one) >> 1;
        last = (block + 1) * 64 - 1 - bracket.leading_zeros() as usize;
    }
    last
}
