//! Blocks without SIMD: the twin that the fast ones are held to, and what runs where these are not to be had.

use super::bytes::{Bytes, LETTERS, places_by_fours};
use super::lanes::OneLane;
use super::maps::{BLOCK, ByteMaps};
use super::{Found, Job, Work};

/// Plain Rust, for any CPU.
#[derive(Clone, Copy, Debug)]
pub(super) struct Portable;

impl Portable {
    pub(super) fn run<'f, J: Job>(self, work: Work<'f, '_>) -> Option<Found<'f>> {
        J::run(self, OneLane, work)
    }
}

const BACKSLASH: u16 = 1 << 0;
const QUOTE: u16 = 1 << 1;
const OPEN: u16 = 1 << 2;
const CLOSE: u16 = 1 << 3;
const COMMA: u16 = 1 << 4;
const COLON: u16 = 1 << 5;
const SPACE: u16 = 1 << 6;
const CONTROL: u16 = 1 << 7;
const HIGH: u16 = 1 << 8;
const LETTER: u16 = 1 << 9;

/// The classes of each byte.
static CLASSES: [u16; 256] = {
    let mut classes = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        classes[byte] = match byte as u8 {
            b'\\' => BACKSLASH,
            b'"' => QUOTE,
            b'{' | b'[' => OPEN,
            b'}' | b']' => CLOSE,
            b',' => COMMA,
            b':' => COLON,
            b' ' => SPACE,
            b'\t' | b'\n' | b'\r' => SPACE | CONTROL,
            0..0x20 => CONTROL,
            0x80.. => HIGH,
            _ => 0,
        };
        byte += 1;
    }
    let mut i = 0;
    while i < LETTERS.len() {
        classes[LETTERS[i] as usize] |= LETTER;
        i += 1;
    }
    classes
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
        let mut words = [0_u64; 10];
        for (i, byte) in block.iter().enumerate() {
            let classes = u64::from(CLASSES[usize::from(*byte)]);
            for (class, word) in words.iter_mut().enumerate() {
                *word |= ((classes >> class) & 1) << i;
            }
        }
        let rows = [
            &mut maps.backslash,
            &mut maps.quote,
            &mut maps.open,
            &mut maps.close,
            &mut maps.comma,
            &mut maps.colon,
            &mut maps.space,
            &mut maps.control,
            &mut maps.high,
            &mut maps.letter,
        ];
        for (row, word) in rows.into_iter().zip(words) {
            row.put(at, word);
        }
    }

    #[inline(always)]
    fn classify_structure(self, block: [u8; BLOCK], maps: &mut ByteMaps, at: usize) {
        self.classify(block, maps, at);
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
    fn digits(self, bytes: &[u8; 16]) -> u32 {
        let mut bits = 0;
        for (i, byte) in bytes.iter().enumerate() {
            bits |= u32::from(byte.is_ascii_digit()) << i;
        }
        bits
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
    fn places(self, bits: u64, base: u16, into: &mut [u16; BLOCK]) -> usize {
        places_by_fours(bits, base, into)
    }

    #[inline(always)]
    fn prefetch(self, _: &[u8; BLOCK], _: usize) {}
}
