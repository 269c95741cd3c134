//! A worker's share of one sketch: a contiguous run of its pages.

use std::ops::Range;

use super::Precision;
use super::estimate::Tally;
use super::few::{Few, Inserted};
use super::page::Page;
use crate::engine::frame::UserHash;

/// Tag of an exact page in the canonical bytes: the number of its hashes. This one says "registers".
pub(super) const REGISTERS_TAG: u8 = u8::MAX;

/// The pages `pages` of one sketch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Share {
    precision: Precision,
    pages: Range<usize>,
    users: Held,
}

/// How a share holds its users; which of the two depends on their set alone.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Held {
    Few(Few),
    Pages(Vec<Page>),
}

impl Share {
    /// An empty share.
    #[must_use]
    pub fn new(precision: Precision, pages: Range<usize>) -> Self {
        Self {
            precision,
            pages,
            users: Held::Few(Few::default()),
        }
    }

    /// Records a user whose page is in this share.
    pub fn insert(&mut self, hash: UserHash) -> bool {
        if let Held::Few(few) = &mut self.users {
            match few.insert(hash, self.precision, self.pages.len()) {
                Inserted::Known => return false,
                Inserted::New => return true,
                Inserted::NoRoom => {}
            }
        }
        let (precision, first) = (self.precision, self.pages.start);
        let page = precision.place(hash).page - first;
        self.spread()[page].insert(hash, precision)
    }

    /// The share's pages, made of the list if it is one.
    fn spread(&mut self) -> &mut Vec<Page> {
        if let Held::Few(few) = &self.users {
            let mut pages = vec![Page::default(); self.pages.len()];
            for hash in few.hashes(self.precision) {
                let page = self.precision.place(hash).page - self.pages.start;
                pages[page].insert(hash, self.precision);
            }
            self.users = Held::Pages(pages);
        }
        match &mut self.users {
            Held::Pages(pages) => pages,
            Held::Few(_) => unreachable!("it was spread above"),
        }
    }

    /// The union with the same share of another sketch.
    pub fn merge(&mut self, other: &Self) {
        assert_eq!(
            (self.precision, &self.pages),
            (other.precision, &other.pages),
            "only like shares are merged"
        );
        match &other.users {
            Held::Few(few) => {
                for hash in few.hashes(self.precision) {
                    self.insert(hash);
                }
            }
            Held::Pages(theirs) => {
                let precision = self.precision;
                for (ours, theirs) in self.spread().iter_mut().zip(theirs) {
                    ours.merge(theirs, precision);
                }
            }
        }
    }

    /// Adds this share's pages to a tally.
    pub fn tally(&self, tally: &mut Tally) {
        match &self.users {
            Held::Few(few) => {
                let registers = self.pages.len() * self.precision.page_registers();
                tally.add_exact_registers(few.users(), few.ranks(self.precision), registers);
            }
            Held::Pages(pages) => {
                for page in pages {
                    page.tally(self.precision, tally);
                }
            }
        }
    }

    /// Appends the canonical bytes (docs/FORMAT.md): page after page, an exact one as its count and its hashes in
    /// ascending order, another as 255 and its registers. Equal sets give equal bytes.
    pub fn write_canonical(&self, out: &mut Vec<u8>) {
        match &self.users {
            Held::Few(few) => {
                for hashes in few.pages(self.pages.clone(), self.precision) {
                    write_exact(&hashes, out);
                }
            }
            Held::Pages(pages) => {
                for page in pages {
                    write_page(page, out);
                }
            }
        }
    }

    /// The same of one page, counted from the share's first; `None` where the share is not held in pages.
    pub(crate) fn write_canonical_page(&self, page: usize, out: &mut Vec<u8>) -> Option<()> {
        match &self.users {
            Held::Few(_) => None,
            Held::Pages(pages) => {
                write_page(&pages[page], out);
                Some(())
            }
        }
    }

    /// Whether it is held in pages.
    pub(crate) fn is_spread(&self) -> bool {
        matches!(self.users, Held::Pages(_))
    }

    /// Whether packing would compress it.
    pub(crate) fn has_registers(&self) -> bool {
        match &self.users {
            Held::Few(_) => false,
            Held::Pages(pages) => pages.iter().any(|p| matches!(p, Page::Registers(_))),
        }
    }

    /// Gives back what was reserved and not used.
    #[must_use]
    pub(super) fn trimmed(mut self) -> Self {
        match &mut self.users {
            Held::Few(few) => few.trim(),
            Held::Pages(pages) => {
                for page in pages {
                    if let Page::Exact(hashes) = page {
                        hashes.shrink_to_fit();
                    }
                }
            }
        }
        self
    }

    /// A share of these pages, some of which have registers.
    pub(super) fn of_pages(precision: Precision, pages: Range<usize>, read: Vec<Page>) -> Self {
        assert_eq!(pages.len(), read.len(), "a share has all of its pages");
        Self {
            precision,
            pages,
            users: Held::Pages(read),
        }
    }

    /// A share of these pages; how it holds them depends on their users alone.
    pub(super) fn from_pages(precision: Precision, pages: Range<usize>, read: Vec<Page>) -> Self {
        if read.iter().any(|page| matches!(page, Page::Registers(_))) {
            return Self::of_pages(precision, pages, read);
        }
        let mut share = Self::new(precision, pages);
        for page in &read {
            if let Page::Exact(hashes) = page {
                for hash in hashes {
                    share.insert(*hash);
                }
            }
        }
        share
    }

    /// The share's pages.
    pub(super) fn to_pages(&self) -> Vec<Page> {
        let mut spread = self.clone();
        std::mem::take(spread.spread())
    }

    pub(super) fn precision(&self) -> Precision {
        self.precision
    }

    pub(super) fn pages(&self) -> Range<usize> {
        self.pages.clone()
    }
}

fn write_page(page: &Page, out: &mut Vec<u8>) {
    match page {
        Page::Exact(hashes) => {
            let mut hashes = hashes.clone();
            hashes.sort_unstable();
            write_exact(&hashes, out);
        }
        Page::Registers(registers) => {
            out.push(REGISTERS_TAG);
            out.extend_from_slice(registers);
        }
    }
}

fn write_exact(ascending: &[UserHash], out: &mut Vec<u8>) {
    // At most 128 hashes (p = 18), far from the tag.
    out.push(ascending.len() as u8);
    for hash in ascending {
        out.extend_from_slice(&hash.0.to_le_bytes());
    }
}
