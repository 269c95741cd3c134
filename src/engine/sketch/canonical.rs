//! The canonical bytes of a sketch (docs/FORMAT.md): page after page, an exact one as the number of its hashes and these in
//! ascending order, any other as 255 and its registers. Read here from outside: nothing in them is believed.

use std::ops::Range;

use super::Precision;
use super::page::Page;
use super::share::{REGISTERS_TAG, Share};
use crate::engine::checkpoint::codec::{Damaged, Reader};
use crate::engine::frame::UserHash;
use crate::limits::PAGES;

/// Where in a whole sketch's bytes some pages are.
///
/// # Errors
///
/// When these are not the bytes of a whole sketch.
pub fn locate(p: Precision, whole: &[u8], pages: Range<usize>) -> Result<Range<usize>, Damaged> {
    let mut from = Reader::new(whole, "a sketch");
    let (mut at, mut begin) = (0, 0);
    let mut end = 0;
    for page in 0..PAGES {
        if page == pages.start {
            begin = at;
        }
        let length = body_length(p, from.u8()?, from)?;
        from.bytes(length)?;
        at += 1 + length;
        if page + 1 == pages.end {
            end = at;
        }
    }
    from.end()?;
    Ok(begin..end)
}

fn body_length(p: Precision, tag: u8, from: Reader<'_>) -> Result<usize, Damaged> {
    if tag == REGISTERS_TAG {
        return Ok(p.page_registers());
    }
    from.check(usize::from(tag) <= p.page_hashes())?;
    Ok(usize::from(tag) * size_of::<UserHash>())
}

/// Puts the bytes of some pages in their place among those of a whole sketch.
///
/// # Errors
///
/// When one of both is not what it should be.
pub fn splice(
    p: Precision,
    whole: &mut Vec<u8>,
    pages: Range<usize>,
    part: &[u8],
) -> Result<(), Damaged> {
    let place = locate(p, whole, pages)?;
    whole.splice(place, part.iter().copied());
    Ok(())
}

/// The bytes of a sketch of nobody.
#[must_use]
pub fn nobody() -> Vec<u8> {
    vec![0; PAGES]
}

/// Reads the share that some pages of a sketch are.
///
/// # Errors
///
/// When these are not the bytes of as many pages, or a user or rank stands where it cannot.
pub fn read_share(p: Precision, pages: Range<usize>, bytes: &[u8]) -> Result<Share, Damaged> {
    let mut from = Reader::new(bytes, "a sketch");
    let mut read = Vec::with_capacity(pages.len());
    for page in pages.clone() {
        read.push(read_page(p, page, &mut from)?);
    }
    from.end()?;
    Ok(Share::from_pages(p, pages, read))
}

fn read_page(p: Precision, page: usize, from: &mut Reader<'_>) -> Result<Page, Damaged> {
    let tag = from.u8()?;
    let body = from.bytes(body_length(p, tag, *from)?)?;
    if tag == REGISTERS_TAG {
        from.check(body.iter().all(|rank| *rank <= p.max_rank()))?;
        return Ok(Page::Registers(body.into()));
    }
    let (hashes, _) = body.as_chunks();
    let mut hashes: Vec<_> = hashes
        .iter()
        .map(|bytes| UserHash(u64::from_le_bytes(*bytes)))
        .collect();
    from.check(hashes.is_sorted_by(|a, b| a < b))?;
    from.check(hashes.iter().all(|hash| p.place(*hash).page == page))?;
    hashes.sort_unstable_by_key(|hash| p.turned(*hash));
    Ok(Page::Exact(hashes))
}
