//! Shares at rest: compressed where that pays.

use std::fmt;
use std::ops::Range;

use zstd::bulk::{Compressor, Decompressor};

use super::Precision;
use super::estimate::Tally;
use super::page::Page;
use super::share::{REGISTERS_TAG, Share};
use crate::engine::frame::UserHash;

/// zstd level of a packed share: level 1 packs a dense page to about 3.1 bits a register.
const PACK_LEVEL: i32 = 1;

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

/// Packs and unpacks. Its workspaces and buffers are kept from one share to the next: they are larger than what is
/// packed, and making them anew cost as much as packing.
#[derive(Default)]
pub struct Packer {
    compressor: Option<Compressor<'static>>,
    decompressor: Option<Decompressor<'static>>,
    canonical: Vec<u8>,
    zstd: Vec<u8>,
}

impl fmt::Debug for Packer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Packer").finish_non_exhaustive()
    }
}

impl Packer {
    /// Packs a share: compressed if that pays, otherwise trimmed.
    #[must_use]
    pub fn pack(&mut self, share: Share) -> Packed {
        if share.has_registers() && self.compress(&share).is_some() {
            return Packed::Compressed {
                precision: share.precision(),
                pages: share.pages(),
                canonical_bytes: self.canonical.len(),
                zstd: self.zstd.as_slice().into(),
            };
        }
        // Compressing memory to memory fails only for want of memory; then the share stays as it is.
        Packed::Trimmed(share.trimmed())
    }

    fn compress(&mut self, share: &Share) -> Option<()> {
        self.canonical.clear();
        share.write_canonical(&mut self.canonical);
        if self.compressor.is_none() {
            self.compressor = Compressor::new(PACK_LEVEL).ok();
        }
        self.zstd.clear();
        self.zstd
            .reserve(zstd::zstd_safe::compress_bound(self.canonical.len()));
        let compressor = self.compressor.as_mut()?;
        compressor
            .compress_to_buffer(&self.canonical, &mut self.zstd)
            .ok()?;
        Some(())
    }

    fn decompress(&mut self, zstd: &[u8], canonical_bytes: usize) -> &[u8] {
        let decompressor = self
            .decompressor
            .get_or_insert_with(|| Decompressor::new().expect("a few KiB of memory"));
        self.canonical.clear();
        self.canonical.reserve(canonical_bytes);
        decompressor
            .decompress_to_buffer(zstd, &mut self.canonical)
            .expect("a share packed by this process decompresses");
        &self.canonical
    }

    /// The share as it was before packing.
    #[must_use]
    pub fn unpack(&mut self, packed: Packed) -> Share {
        match packed {
            Packed::Trimmed(share) => share,
            Packed::Compressed {
                precision,
                pages,
                canonical_bytes,
                zstd,
            } => {
                let bytes = self.decompress(&zstd, canonical_bytes);
                let read = canonical_pages(precision, bytes).map(|page| page.to_page(precision));
                Share::of_pages(precision, pages, read.collect())
            }
        }
    }

    /// Adds a packed share's pages to a tally.
    pub fn tally(&mut self, packed: &Packed, tally: &mut Tally) {
        match packed {
            Packed::Trimmed(share) => share.tally(tally),
            Packed::Compressed {
                precision,
                canonical_bytes,
                zstd,
                ..
            } => {
                for page in canonical_pages(*precision, self.decompress(zstd, *canonical_bytes)) {
                    match page {
                        CanonicalPage::Exact(hashes) => {
                            tally.add_exact_page(hashes.iter().map(hash), *precision);
                        }
                        CanonicalPage::Registers(registers) => tally.add_register_page(registers),
                    }
                }
            }
        }
    }
}

impl Packed {
    /// Appends the share's canonical bytes.
    pub fn write_canonical(&self, out: &mut Vec<u8>) {
        match self {
            Self::Trimmed(share) => share.write_canonical(out),
            Self::Compressed {
                canonical_bytes,
                zstd,
                ..
            } => out.extend_from_slice(Packer::default().decompress(zstd, *canonical_bytes)),
        }
    }
}

/// A page as it stands in the canonical bytes.
enum CanonicalPage<'a> {
    /// In ascending order.
    Exact(&'a [[u8; 8]]),
    Registers(&'a [u8]),
}

impl CanonicalPage<'_> {
    fn to_page(&self, p: Precision) -> Page {
        match self {
            Self::Exact(hashes) => {
                let mut hashes: Vec<_> = hashes.iter().map(hash).collect();
                hashes.sort_unstable_by_key(|hash| p.turned(*hash));
                Page::Exact(hashes)
            }
            Self::Registers(registers) => Page::Registers((*registers).into()),
        }
    }
}

fn hash(bytes: &[u8; 8]) -> UserHash {
    UserHash(u64::from_le_bytes(*bytes))
}

/// Reads what [`Share::write_canonical`] wrote.
fn canonical_pages(p: Precision, bytes: &[u8]) -> impl Iterator<Item = CanonicalPage<'_>> {
    let mut rest = bytes;
    std::iter::from_fn(move || {
        let (tag, after) = rest.split_first()?;
        let length = match *tag {
            REGISTERS_TAG => p.page_registers(),
            count => usize::from(count) * size_of::<UserHash>(),
        };
        let (body, after) = after.split_at(length);
        rest = after;
        Some(if *tag == REGISTERS_TAG {
            CanonicalPage::Registers(body)
        } else {
            CanonicalPage::Exact(body.as_chunks().0)
        })
    })
}
