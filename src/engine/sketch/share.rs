//! A worker's share of one sketch: a contiguous run of its pages.

use std::mem;
use std::ops::Range;

use super::Precision;
use super::estimate::Tally;
use super::page::Page;
use crate::engine::frame::UserHash;

/// Tag of an exact page in the canonical bytes: the number of its hashes. This one says "registers".
const REGISTERS_TAG: u8 = u8::MAX;
/// zstd level of a packed share: level 1 packs a dense page to about 3.1 bits a register.
const PACK_LEVEL: i32 = 1;

/// The pages `pages` of one sketch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Share {
    precision: Precision,
    first: usize,
    pages: Vec<Page>,
}

impl Share {
    /// An empty share.
    #[must_use]
    pub fn new(precision: Precision, pages: Range<usize>) -> Self {
        Self {
            precision,
            first: pages.start,
            pages: vec![Page::default(); pages.len()],
        }
    }

    /// Records a user whose page is in this share.
    pub fn insert(&mut self, hash: UserHash) -> bool {
        let page = self.precision.place(hash).page;
        self.pages[page - self.first].insert(hash, self.precision)
    }

    /// The union with the same share of another sketch.
    pub fn merge(&mut self, other: &Self) {
        assert_eq!(
            (self.precision, self.first, self.pages.len()),
            (other.precision, other.first, other.pages.len()),
            "only like shares are merged"
        );
        for (ours, theirs) in self.pages.iter_mut().zip(&other.pages) {
            ours.merge(theirs, self.precision);
        }
    }

    /// Adds this share's pages to a tally.
    pub fn tally(&self, tally: &mut Tally) {
        for page in &self.pages {
            match page {
                Page::Exact(hashes) => {
                    tally.add_exact_page(hashes.iter().copied(), self.precision);
                }
                Page::Registers(registers) => {
                    tally.add_register_page(registers);
                }
            }
        }
    }

    /// Appends the canonical bytes (docs/FORMAT.md): page after page, an exact one as its count and its hashes in
    /// ascending order, another as 255 and its registers. Equal sets give equal bytes.
    pub fn write_canonical(&self, out: &mut Vec<u8>) {
        for page in &self.pages {
            match page {
                Page::Exact(hashes) => {
                    let mut hashes = hashes.clone();
                    hashes.sort_unstable();
                    // At most 128 hashes (p = 18), far from the tag.
                    out.push(hashes.len() as u8);
                    for hash in hashes {
                        out.extend_from_slice(&hash.0.to_le_bytes());
                    }
                }
                Page::Registers(registers) => {
                    out.push(REGISTERS_TAG);
                    out.extend_from_slice(registers);
                }
            }
        }
    }

    /// The share at rest: compressed if that pays, otherwise trimmed. Leaves a share without pages.
    #[must_use]
    pub fn pack(&mut self) -> Packed {
        if self.pages.iter().any(|p| matches!(p, Page::Registers(_))) {
            let mut bytes = Vec::new();
            self.write_canonical(&mut bytes);
            // Compressing memory to memory fails only for want of memory; then the share stays as it is.
            if let Ok(packed) = zstd::bulk::compress(&bytes, PACK_LEVEL) {
                return Packed::Compressed {
                    precision: self.precision,
                    pages: self.first..self.first + self.pages.len(),
                    canonical_bytes: bytes.len(),
                    zstd: packed.into_boxed_slice(),
                };
            }
        }
        let mut pages = mem::take(&mut self.pages);
        for page in &mut pages {
            if let Page::Exact(hashes) = page {
                hashes.shrink_to_fit();
            }
        }
        Packed::Trimmed(Self { pages, ..*self })
    }

    /// Reads what [`Self::write_canonical`] wrote. `None` if the bytes are anything else.
    fn read_canonical(precision: Precision, pages: Range<usize>, bytes: &[u8]) -> Option<Self> {
        let mut share = Self::new(precision, pages);
        let mut rest = bytes;
        for page in &mut share.pages {
            let (tag, after) = rest.split_first()?;
            let length = match *tag {
                REGISTERS_TAG => precision.page_registers(),
                count => usize::from(count) * size_of::<UserHash>(),
            };
            let (body, after) = after.split_at_checked(length)?;
            rest = after;
            *page = if *tag == REGISTERS_TAG {
                Page::Registers(body.into())
            } else {
                let (hashes, _) = body.as_chunks::<8>();
                let hashes = hashes.iter().map(|h| UserHash(u64::from_le_bytes(*h)));
                Page::Exact(hashes.collect())
            };
        }
        rest.is_empty().then_some(share)
    }
}

/// A share of a window that nobody is expected to visit soon.
#[derive(Debug, Clone)]
pub enum Packed {
    /// Exact pages only: nothing to gain by compressing hashes.
    Trimmed(Share),
    /// The canonical bytes, compressed.
    Compressed {
        /// Of the share.
        precision: Precision,
        /// Of the share.
        pages: Range<usize>,
        /// Length of the canonical bytes.
        canonical_bytes: usize,
        /// The compressed canonical bytes.
        zstd: Box<[u8]>,
    },
}

impl Packed {
    /// The share as it was before packing.
    #[must_use]
    pub fn unpack(&self) -> Share {
        match self {
            Self::Trimmed(share) => share.clone(),
            Self::Compressed {
                precision,
                pages,
                canonical_bytes,
                zstd,
            } => {
                let bytes = zstd::bulk::decompress(zstd, *canonical_bytes)
                    .expect("a share packed by this process decompresses");
                Share::read_canonical(*precision, pages.clone(), &bytes)
                    .expect("a share packed by this process reads back")
            }
        }
    }
}
