//! Blocks without SIMD: the twin that the fast ones are held to, and what runs where these are not to be had.

use super::bytes::Bytes;
use super::lanes::OneLane;
use super::maps::{BLOCK, ByteMaps, StructureMaps};
use super::{Found, Job, Work};

/// Plain Rust, for any CPU.
#[derive(Clone, Copy, Debug)]
pub(super) struct Portable;

impl Portable {
    pub(super) fn run<'f, J: Job>(self, work: Work<'f, '_>) -> Option<Found<'f>> {
        J::run(self, OneLane(self), OneLane(self), work)
    }
}

/// What is known of each byte, one byte of the word a bitmap, in the order of `ByteMaps::rows`.
static KNOWN: [u64; 256] = {
    let mut known = [0; 256];
    let mut i = 0;
    while i < 256 {
        let byte = i as u8;
        let is_sign = matches!(byte, b'{' | b'}' | b'[' | b']' | b',' | b':' | 0x0c | 0x1a);
        let is_mark = matches!(byte, b' ' | b'\t' | b'\n' | b'\r' | b'"' | b'\\');
        let is_letter = matches!(byte, b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't');
        let bits = [
            is_sign,
            is_mark,
            is_letter,
            byte & (1 << 1) != 0,
            byte & (1 << 5) != 0,
            byte & (1 << 6) != 0,
            byte & (1 << 7) != 0,
        ];
        let mut row = 0;
        while row < bits.len() {
            known[i] |= (bits[row] as u64) << (8 * row);
            row += 1;
        }
        i += 1;
    }
    known
};

/// One bit for each byte of which the question is true.
#[inline(always)]
fn bits(block: &[u8; BLOCK], is_so: impl Fn(u8) -> bool) -> u64 {
    let mut bits = 0;
    for (i, byte) in block.iter().enumerate() {
        bits |= u64::from(is_so(*byte)) << i;
    }
    bits
}

impl Bytes for Portable {
    type Block = [u8; BLOCK];

    #[inline(always)]
    fn load(self, bytes: &[u8; BLOCK]) -> [u8; BLOCK] {
        *bytes
    }

    #[inline(always)]
    fn load_partial(self, bytes: &[u8]) -> [u8; BLOCK] {
        let mut block = [b' '; BLOCK];
        let count = bytes.len().min(BLOCK);
        block[..count].copy_from_slice(&bytes[..count]);
        block
    }

    #[inline(always)]
    fn classify(self, block: [u8; BLOCK], maps: &mut ByteMaps, at: usize) {
        let mut words = [0_u64; 7];
        for (i, eight) in block.as_chunks::<8>().0.iter().enumerate() {
            // Eight bytes at once: one bit of each, in each of seven bytes of a word.
            let mut known = 0;
            for (bit, byte) in eight.iter().enumerate() {
                known |= KNOWN[usize::from(*byte)] << bit;
            }
            for (row, word) in words.iter_mut().enumerate() {
                *word |= ((known >> (8 * row)) & 0xff) << (8 * i);
            }
        }
        for (row, word) in maps.rows().into_iter().zip(words) {
            row.put(at, word);
        }
    }

    #[inline(always)]
    fn classify_structure(self, block: [u8; BLOCK], maps: &mut StructureMaps, at: usize) {
        maps.backslash.put(at, bits(&block, |byte| byte == b'\\'));
        maps.quote.put(at, bits(&block, |byte| byte == b'"'));
        maps.open.put(at, bits(&block, |byte| byte | 0x20 == b'{'));
        maps.close.put(at, bits(&block, |byte| byte | 0x20 == b'}'));
    }

    #[inline(always)]
    fn equal(self, block: [u8; BLOCK], byte: u8) -> u64 {
        bits(&block, |other| other == byte)
    }

    #[inline(always)]
    fn hex(self, block: [u8; BLOCK]) -> u64 {
        bits(&block, |byte| byte.is_ascii_hexdigit())
    }

    #[inline(always)]
    fn equal_letter(self, block: [u8; BLOCK], letter: u8) -> u64 {
        bits(&block, |byte| byte | 0x20 == letter)
    }

    #[inline(always)]
    fn digits(self, block: [u8; BLOCK]) -> u64 {
        bits(&block, |byte| byte.is_ascii_digit())
    }

    #[inline(always)]
    fn breaks_utf8(self, block: [u8; BLOCK], before: [u8; BLOCK]) -> bool {
        // A character may have begun in the block before, in its last three bytes.
        let begun = (1..=3)
            .find(|back| before[BLOCK - back] >= 0xc0)
            .unwrap_or(0);
        let mut text = [0; 3 + BLOCK];
        text[..3].copy_from_slice(&before[BLOCK - 3..]);
        text[3..].copy_from_slice(&block);
        match std::str::from_utf8(&text[3 - begun..]) {
            Ok(_) => false,
            // One that goes on behind the end is no mistake yet.
            Err(error) => error.error_len().is_some(),
        }
    }

    #[inline(always)]
    fn extract(self, word: u64, mut mask: u64) -> u64 {
        let (mut extracted, mut count) = (0, 0);
        while mask != 0 {
            extracted |= ((word >> mask.trailing_zeros()) & 1) << count;
            mask &= mask - 1;
            count += 1;
        }
        extracted
    }

    #[inline(always)]
    fn deposit(self, mut word: u64, mut mask: u64) -> u64 {
        let mut deposited = 0;
        while mask != 0 {
            deposited |= (word & 1) << mask.trailing_zeros();
            mask &= mask - 1;
            word >>= 1;
        }
        deposited
    }

    #[inline(always)]
    fn prefetch(self, _: &[u8; BLOCK], _: usize) {}
}
