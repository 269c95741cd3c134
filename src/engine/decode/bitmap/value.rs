//! What stands behind a root key: the only two values of a frame that are ever looked at.

use super::bytes::Bytes;
use super::literal;
use crate::engine::decode::value::Raw;

/// The value behind the key whose closing quote is at `key_end`; none where the frame ends before it does. Numbers are taken
/// as far as their bytes go and something that may end them follows, strings to their closing quote.
#[inline(always)]
pub(super) fn behind<B: Bytes>(bytes: B, root: &[u8], key_end: usize) -> Option<Raw<'_>> {
    let colon = skip_space(root, key_end + 1)?;
    if root[colon] != b':' {
        return None;
    }
    let start = skip_space(root, colon + 1)?;
    Some(match root[start] {
        b'"' => string(bytes, &root[start + 1..])?,
        b'-' | b'0'..=b'9' => {
            let text = &root[start..];
            let digits = bytes.digits(bytes.block_at(text, 0)).trailing_ones() as usize;
            if text.get(digits).is_some_and(|byte| literal::ends(*byte)) {
                return Some(Raw::Number(&text[..digits]));
            }
            let is_part = |byte: &u8| byte.is_ascii_digit() || b"+-.eE".contains(byte);
            let len = text.iter().position(|byte| !is_part(byte))?;
            if !literal::ends(text[len]) {
                return None;
            }
            Raw::Number(&text[..len])
        }
        b'n' if root[start..].starts_with(b"null") => Raw::Null,
        _ => Raw::Other,
    })
}

/// The first place from `at` on that is not white space.
#[inline(always)]
pub(super) fn skip_space(text: &[u8], at: usize) -> Option<usize> {
    let is_space = |byte: u8| matches!(byte, b' ' | b'\t' | b'\n' | b'\r');
    match text.get(at) {
        Some(byte) if !is_space(*byte) => Some(at),
        _ => {
            let rest = text.get(at..)?;
            Some(at + rest.iter().position(|byte| !is_space(*byte))?)
        }
    }
}

/// The string that the text begins with, behind its opening quote.
#[inline(always)]
fn string<B: Bytes>(bytes: B, text: &[u8]) -> Option<Raw<'_>> {
    let head = bytes.block_at(text, 0);
    let quotes = bytes.equal(head, b'"');
    let escapes = bytes.equal(head, b'\\');
    // Below the lowest quote there must be no backslash.
    let before = quotes ^ quotes.wrapping_sub(1);
    if quotes != 0 && escapes & before == 0 {
        return text.get(..quotes.trailing_zeros() as usize).map(Raw::Plain);
    }
    long_string(text)
}

/// The same where it has escapes or is longer than a block.
#[inline(never)]
fn long_string(text: &[u8]) -> Option<Raw<'_>> {
    let mut at = 0;
    let mut has_escape = false;
    loop {
        at += memchr::memchr2(b'"', b'\\', text.get(at..)?)?;
        if text[at] == b'"' {
            break;
        }
        has_escape = true;
        at += 2;
    }
    let text = &text[..at];
    Some(if has_escape {
        Raw::Escaped(text)
    } else {
        Raw::Plain(text)
    })
}
