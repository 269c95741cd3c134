//! UTF-8, looked at only where there are bytes beyond ASCII.

use super::bytes::Bytes;
use super::maps::{BLOCK, CHUNK_BLOCKS};

/// What was found so far.
#[derive(Default, Clone, Copy)]
pub(super) struct Utf8 {
    is_wrong: bool,
    /// A character goes on behind the last block.
    is_cut: bool,
}

impl Utf8 {
    /// Checks the chunk that begins at `from`, whose blocks `high` are not all ASCII.
    #[inline(always)]
    pub(super) fn check<B: Bytes>(&mut self, bytes: B, root: &[u8], from: usize, high: u64) {
        // A block of ASCII breaks off what the one before it began.
        self.is_wrong |= self.is_cut & (high & 1 == 0);
        self.is_cut = false;
        let mut blocks = high;
        while blocks != 0 {
            let block = blocks.trailing_zeros() as usize;
            blocks &= blocks - 1;
            let at = from + block * BLOCK;
            let before = match at.checked_sub(BLOCK) {
                Some(before) => bytes.block_at(root, before),
                None => bytes.load(&[0; BLOCK]),
            };
            self.is_wrong |= bytes.breaks_utf8(bytes.block_at(root, at), before);
            let Some(whole) = root[at..].first_chunk() else {
                // Spaces follow, which break off what is cut.
                continue;
            };
            let is_cut = is_cut(whole);
            if block == CHUNK_BLOCKS - 1 {
                self.is_cut = is_cut;
            } else {
                self.is_wrong |= is_cut & ((high >> (block + 1)) & 1 == 0);
            }
        }
    }

    #[inline(always)]
    pub(super) fn is_good(&self) -> bool {
        !self.is_wrong
    }

    /// Whether no character is under way.
    #[inline(always)]
    pub(super) fn is_over(&self) -> bool {
        !self.is_cut
    }
}

/// Whether a character begins in the block and goes on behind it.
#[inline(always)]
fn is_cut(block: &[u8; BLOCK]) -> bool {
    (block[BLOCK - 1] >= 0xc0) | (block[BLOCK - 2] >= 0xe0) | (block[BLOCK - 3] >= 0xf0)
}
