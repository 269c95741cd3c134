//! The bitmaps of one chunk, by name: one bit for each byte.

use super::brackets::OUTER_WORDS;
use super::keys::FIELDS;
use super::lanes::Lanes;

/// Bytes of a block: one word of each bitmap.
pub(super) const BLOCK: usize = 64;
/// Blocks of a chunk. Bitmaps are made for a chunk, judged, and made anew for the next one, so they stay in the first
/// cache however large a frame is.
pub(super) const CHUNK_BLOCKS: usize = 64;
/// Bytes of a chunk.
pub(super) const CHUNK: usize = CHUNK_BLOCKS * BLOCK;
/// Most lanes of a group.
pub(super) const MAX_LANES: usize = 8;

/// One bitmap of a chunk.
///
/// Longer than a chunk by the lanes of a group, because what lies behind the last block is emptied a group at a time. That also
/// keeps the rows from lying a power of two apart, where they would push each other out of the cache.
#[derive(Clone)]
#[repr(C, align(64))]
pub(super) struct Row(pub(super) [u64; CHUNK_BLOCKS + MAX_LANES]);

impl Row {
    pub(super) const EMPTY: Self = Self([0; CHUNK_BLOCKS + MAX_LANES]);

    /// The words of a group; those of a chunk are numbered from 0.
    #[inline(always)]
    pub(super) fn group<L: Lanes>(&self, lanes: L, group: usize) -> L::Word {
        // The mask changes nothing. It shows the compiler that no check is needed.
        let at = (group * L::COUNT) & (CHUNK_BLOCKS - 1);
        lanes.load(&self.0[at..at + L::COUNT])
    }

    #[inline(always)]
    pub(super) fn put_group<L: Lanes>(&mut self, lanes: L, group: usize, word: L::Word) {
        let at = (group * L::COUNT) & (CHUNK_BLOCKS - 1);
        lanes.store(word, &mut self.0[at..at + L::COUNT]);
    }

    /// The word of a block.
    #[inline(always)]
    pub(super) fn word(&self, block: usize) -> u64 {
        self.0[block & (CHUNK_BLOCKS - 1)]
    }

    #[inline(always)]
    pub(super) fn put(&mut self, block: usize, word: u64) {
        self.0[block & (CHUNK_BLOCKS - 1)] = word;
    }

    /// Empties a group's worth of words from block `blocks` on.
    #[inline(always)]
    pub(super) fn clear_from<L: Lanes>(&mut self, lanes: L, blocks: usize) {
        let at = blocks & (CHUNK_BLOCKS - 1);
        lanes.store(lanes.splat(0), &mut self.0[at..at + L::COUNT]);
    }
}

/// What is known of each byte, whether in a string or not: as few bitmaps as tell all classes apart, because making them is
/// what costs. `classes` has the classes.
#[derive(Clone)]
#[repr(C)]
pub(super) struct ByteMaps {
    /// `{`, `}`, `[`, `]`, `,` and `:`; also the control characters 0x0c and 0x1a, which look like the last two.
    pub(super) sign: Row,
    /// Space, tab, line feed, carriage return, `"` and the backslash.
    pub(super) mark: Row,
    /// What may stand behind a backslash, but for `"` and `u`.
    pub(super) letter: Row,
    /// Bits of the bytes themselves.
    pub(super) bit1: Row,
    pub(super) bit5: Row,
    pub(super) bit6: Row,
    /// 0x80 and above: part of a character of several bytes.
    pub(super) bit7: Row,
}

impl ByteMaps {
    #[inline(always)]
    pub(super) fn rows(&mut self) -> [&mut Row; 7] {
        [
            &mut self.sign,
            &mut self.mark,
            &mut self.letter,
            &mut self.bit1,
            &mut self.bit5,
            &mut self.bit6,
            &mut self.bit7,
        ]
    }
}

/// The little that is enough to find keys: the classes of the bytes that strings and containers begin and end with.
#[derive(Clone)]
#[repr(C)]
pub(super) struct StructureMaps {
    pub(super) backslash: Row,
    pub(super) quote: Row,
    /// `{` and `[`.
    pub(super) open: Row,
    /// `}` and `]`.
    pub(super) close: Row,
}

impl StructureMaps {
    #[inline(always)]
    pub(super) fn rows(&mut self) -> [&mut Row; 4] {
        [
            &mut self.backslash,
            &mut self.quote,
            &mut self.open,
            &mut self.close,
        ]
    }
}

/// Tokens: what stands outside of strings, and where strings are.
#[derive(Clone)]
#[repr(C)]
pub(super) struct TokenMaps {
    /// Quotes that begin or end a string.
    pub(super) quote: Row,
    /// From the opening quote of a string to its last byte, the closing quote left out.
    pub(super) inside: Row,
    pub(super) open: Row,
    pub(super) close: Row,
    pub(super) comma: Row,
    pub(super) colon: Row,
    pub(super) space: Row,
    /// All else: bytes of numbers, of `true`, `false` and `null`, and of what has no place in JSON.
    pub(super) scalar: Row,
    pub(super) bracket: Row,
    pub(super) backslash: Row,
    /// Bytes behind a backslash for which there is no letter: `u`, or a mistake.
    pub(super) odd_escape: Row,
}

impl TokenMaps {
    /// A group's words of the first eight.
    #[inline(always)]
    pub(super) fn for_grammar<L: Lanes>(&self, lanes: L, group: usize) -> [L::Word; 8] {
        [
            self.quote.group(lanes, group),
            self.inside.group(lanes, group),
            self.open.group(lanes, group),
            self.close.group(lanes, group),
            self.comma.group(lanes, group),
            self.colon.group(lanes, group),
            self.space.group(lanes, group),
            self.scalar.group(lanes, group),
        ]
    }
}

/// The brackets behind which something changes, such as the kind of the innermost container. The parity of the bits before a
/// byte says which of the two it is there.
#[derive(Clone)]
#[repr(C)]
pub(super) struct ChangeMaps {
    /// Between an object and an array, as the innermost container.
    pub(super) in_object: Row,
    /// Between the root's own members and what is nested in them.
    pub(super) at_root: Row,
}

/// What the grammar leaves to be looked at byte by byte.
#[derive(Clone)]
#[repr(C)]
pub(super) struct FindingMaps {
    /// Closing quotes of root keys that are as long as the name of a field, for each of the two.
    pub(super) candidates: [Row; FIELDS],
    /// Closing quotes of root keys in which there is an escape; filled only where there are any.
    pub(super) escaped_key: Row,
}

/// Everything that is kept of one chunk, about 15 KiB. Made once, used for every frame.
#[derive(Clone)]
#[repr(C)]
pub(super) struct Maps {
    pub(super) bytes: ByteMaps,
    pub(super) structure: StructureMaps,
    pub(super) tokens: TokenMaps,
    pub(super) changes: ChangeMaps,
    pub(super) findings: FindingMaps,
    /// Types of the outer containers, as `brackets` puts them away.
    pub(super) outer: [u64; OUTER_WORDS],
}

impl Maps {
    pub(super) fn new() -> Box<Self> {
        const ROW: Row = Row::EMPTY;
        Box::new(Self {
            bytes: ByteMaps {
                sign: ROW,
                mark: ROW,
                letter: ROW,
                bit1: ROW,
                bit5: ROW,
                bit6: ROW,
                bit7: ROW,
            },
            structure: StructureMaps {
                backslash: ROW,
                quote: ROW,
                open: ROW,
                close: ROW,
            },
            tokens: TokenMaps {
                quote: ROW,
                inside: ROW,
                open: ROW,
                close: ROW,
                comma: ROW,
                colon: ROW,
                space: ROW,
                scalar: ROW,
                bracket: ROW,
                backslash: ROW,
                odd_escape: ROW,
            },
            changes: ChangeMaps {
                in_object: ROW,
                at_root: ROW,
            },
            findings: FindingMaps {
                candidates: [ROW; FIELDS],
                escaped_key: ROW,
            },
            outer: [0; OUTER_WORDS],
        })
    }
}
