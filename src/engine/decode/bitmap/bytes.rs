//! A block of 64 bytes in registers, and the questions that are asked of it.

use super::maps::{BLOCK, ByteMaps, StructureMaps};

/// The code points that a backslash may stand before, beside `"` and `u`.
pub(super) const LETTERS: [u8; 7] = *b"\\/bfnrt";

/// Blocks of 64 bytes, one bit of an answer for each byte, the first byte's the lowest. As for [`Lanes`], a value of a
/// type that needs certain instructions proves that the CPU has them.
///
/// [`Lanes`]: super::lanes::Lanes
pub(super) trait Bytes: Copy {
    type Block: Copy;

    fn load(self, bytes: &[u8; BLOCK]) -> Self::Block;
    /// Fewer bytes, spaces behind them. Reads nothing beyond `bytes`.
    fn load_partial(self, bytes: &[u8]) -> Self::Block;
    /// Enters what each byte is as the bitmaps' word `at`.
    fn classify(self, block: Self::Block, maps: &mut ByteMaps, at: usize);
    /// The same for the few classes that lead to keys.
    fn classify_structure(self, block: Self::Block, maps: &mut StructureMaps, at: usize);
    fn equal(self, block: Self::Block, byte: u8) -> u64;
    /// The same for a letter, large or small; `letter` is the small one.
    fn equal_letter(self, block: Self::Block, letter: u8) -> u64;
    /// Hexadecimal digits.
    fn hex(self, block: Self::Block) -> u64;
    /// Decimal digits.
    fn digits(self, block: Self::Block) -> u64;
    /// Whether a block that follows on `before` is not UTF-8. A character that goes on behind it is no mistake here.
    fn breaks_utf8(self, block: Self::Block, before: Self::Block) -> bool;
    /// The bits of `word` where `mask` has some, close together from the lowest on.
    fn extract(self, word: u64, mask: u64) -> u64;
    /// The lowest bits of `word`, one for each bit of `mask`, at the places of these.
    fn deposit(self, word: u64, mask: u64) -> u64;
    /// For each bit of `word` the parity of all bits up to it, itself included.
    #[inline(always)]
    fn parities(self, word: u64) -> u64 {
        let word = word ^ (word << 1);
        let word = word ^ (word << 2);
        let word = word ^ (word << 4);
        let word = word ^ (word << 8);
        let word = word ^ (word << 16);
        word ^ (word << 32)
    }
    /// Asks for the memory at this distance behind the first byte; there need not be any.
    fn prefetch(self, bytes: &[u8; BLOCK], distance: usize);

    /// The bytes from `at` on as a block, spaces behind the end.
    #[inline(always)]
    fn block_at(self, text: &[u8], at: usize) -> Self::Block {
        let rest = &text[at..];
        match rest.first_chunk::<BLOCK>() {
            Some(block) => self.load(block),
            None => self.load_partial(rest),
        }
    }
}

/// What a 16-byte table lookup by the low half of a byte is to find: the byte itself if it is a mark. Elsewhere what no byte
/// equals that is led there.
pub(super) const MARK_BY_LOW_HALF: [u8; 16] = by_low_half(b" \"\t\n\r\\");

/// The same for signs, once bit 5 is set in all bytes: it turns `[` and `]` into `{` and `}`, and leaves the others alone.
pub(super) const SIGN_BY_LOW_HALF: [u8; 16] = by_low_half(b"{},:");

/// A table in which each of the bytes stands where its low half leads to.
pub(super) const fn by_low_half(bytes: &[u8]) -> [u8; 16] {
    let mut table = [0xff; 16];
    let mut i = 0;
    while i < bytes.len() {
        let at = (bytes[i] & 15) as usize;
        assert!(table[at] == 0xff, "two bytes for one place");
        table[at] = bytes[i];
        i += 1;
    }
    table
}

/// Table lookups over the halves of neighbouring bytes that find every mistake of two bytes in UTF-8: Keiser and Lemire,
/// "Validating UTF-8 In Less Than One Instruction Per Byte" (2021). A bit that is set in all three is a mistake.
pub(super) mod utf8 {
    const TOO_SHORT: u8 = 1 << 0;
    const TOO_LONG: u8 = 1 << 1;
    const OVERLONG_3: u8 = 1 << 2;
    const TOO_LARGE: u8 = 1 << 3;
    const SURROGATE: u8 = 1 << 4;
    const OVERLONG_2: u8 = 1 << 5;
    const OVERLONG_4: u8 = 1 << 6;
    const TOO_LARGE_1000: u8 = 1 << 6;
    /// Two continuation bytes: a mistake unless a three-byte or four-byte character is under way.
    pub(in super::super) const TWO_CONTINUATIONS: u8 = 1 << 7;
    const CARRY: u8 = TOO_SHORT | TOO_LONG | TWO_CONTINUATIONS;

    /// By the high half of the first byte.
    pub(in super::super) const FIRST_HIGH: [u8; 16] = [
        TOO_LONG,
        TOO_LONG,
        TOO_LONG,
        TOO_LONG,
        TOO_LONG,
        TOO_LONG,
        TOO_LONG,
        TOO_LONG,
        TWO_CONTINUATIONS,
        TWO_CONTINUATIONS,
        TWO_CONTINUATIONS,
        TWO_CONTINUATIONS,
        TOO_SHORT | OVERLONG_2,
        TOO_SHORT,
        TOO_SHORT | OVERLONG_3 | SURROGATE,
        TOO_SHORT | TOO_LARGE | TOO_LARGE_1000 | OVERLONG_4,
    ];
    /// By the low half of the first byte.
    pub(in super::super) const FIRST_LOW: [u8; 16] = [
        CARRY | OVERLONG_3 | OVERLONG_2 | OVERLONG_4,
        CARRY | OVERLONG_2,
        CARRY,
        CARRY,
        CARRY | TOO_LARGE,
        CARRY | TOO_LARGE | TOO_LARGE_1000,
        CARRY | TOO_LARGE | TOO_LARGE_1000,
        CARRY | TOO_LARGE | TOO_LARGE_1000,
        CARRY | TOO_LARGE | TOO_LARGE_1000,
        CARRY | TOO_LARGE | TOO_LARGE_1000,
        CARRY | TOO_LARGE | TOO_LARGE_1000,
        CARRY | TOO_LARGE | TOO_LARGE_1000,
        CARRY | TOO_LARGE | TOO_LARGE_1000,
        CARRY | TOO_LARGE | TOO_LARGE_1000 | SURROGATE,
        CARRY | TOO_LARGE | TOO_LARGE_1000,
        CARRY | TOO_LARGE | TOO_LARGE_1000,
    ];
    /// By the high half of the second byte.
    pub(in super::super) const SECOND_HIGH: [u8; 16] = [
        TOO_SHORT,
        TOO_SHORT,
        TOO_SHORT,
        TOO_SHORT,
        TOO_SHORT,
        TOO_SHORT,
        TOO_SHORT,
        TOO_SHORT,
        TOO_LONG | OVERLONG_2 | TWO_CONTINUATIONS | OVERLONG_3 | TOO_LARGE_1000 | OVERLONG_4,
        TOO_LONG | OVERLONG_2 | TWO_CONTINUATIONS | OVERLONG_3 | TOO_LARGE,
        TOO_LONG | OVERLONG_2 | TWO_CONTINUATIONS | SURROGATE | TOO_LARGE,
        TOO_LONG | OVERLONG_2 | TWO_CONTINUATIONS | SURROGATE | TOO_LARGE,
        TOO_SHORT,
        TOO_SHORT,
        TOO_SHORT,
        TOO_SHORT,
    ];
}
