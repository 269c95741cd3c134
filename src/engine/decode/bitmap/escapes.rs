//! Escapes for which there is no letter: `\u` and four hexadecimal digits, or a mistake.

use super::bytes::Bytes;
use super::maps::{BLOCK, Row};

/// Whether these blocks' escapes are what may stand there. `digits_due` has the lowest bytes of the next block that must be
/// digits still.
///
/// Half a surrogate pair is a good escape here: the grammar of JSON allows it, and only who needs the text behind it has to
/// mind.
#[inline(always)]
pub(super) fn are_good<B: Bytes>(
    bytes: B,
    chunk: &[u8],
    odd: &Row,
    blocks: std::ops::Range<usize>,
    digits_due: &mut u64,
) -> bool {
    let mut wrong = 0;
    for at in blocks {
        let odd = odd.word(at);
        if odd | *digits_due == 0 {
            continue;
        }
        let block = bytes.block_at(chunk, at * BLOCK);
        let unicode = odd & bytes.equal(block, b'u');
        let digits =
            *digits_due | (unicode << 1) | (unicode << 2) | (unicode << 3) | (unicode << 4);
        wrong |= odd & !unicode;
        wrong |= digits & !bytes.hex(block);
        // From an escape in the last four bytes on, the rest of its digits lie in the next block.
        let cut = unicode >> (BLOCK - 4);
        *digits_due = cut | (cut >> 1) | (cut >> 2) | (cut >> 3);
    }
    wrong == 0
}
