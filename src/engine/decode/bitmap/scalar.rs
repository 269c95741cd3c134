//! How numbers and literals are spelled.

use super::bytes::Bytes;

/// Bytes that must follow for the quick way: a sign, 16 digits and a point, and what ends the number.
const QUICK: usize = 24;

/// Whether the text begins with a number or a literal that ends where one may: before `,`, `}`, `]` or white space. The end
/// of the text is no such place, as a frame ends with a brace.
#[inline(always)]
pub(super) fn is_good<B: Bytes>(bytes: B, text: &[u8]) -> bool {
    match text.first_chunk() {
        Some(head) => is_common(bytes, head) || is_any(text),
        None => is_any(text),
    }
}

static ENDS: [bool; 256] = {
    let mut ends = [false; 256];
    let bytes = *b",}] \t\n\r";
    let mut i = 0;
    while i < bytes.len() {
        ends[bytes[i] as usize] = true;
        i += 1;
    }
    ends
};

#[inline(always)]
pub(super) fn ends(byte: u8) -> bool {
    ENDS[usize::from(byte)]
}

/// Whether it is a literal, or a number of at most 16 bytes without an exponent. Without branches, because what follows on
/// what in a frame cannot be foreseen.
#[inline(always)]
fn is_common<B: Bytes>(bytes: B, head: &[u8; QUICK]) -> bool {
    let sign = usize::from(head[0] == b'-');
    let number: &[u8; 16] = head[sign..].first_chunk().expect("sixteen bytes");
    // Bits from 16 on are those of other bytes, so that there always is one.
    let others = !bytes.digits(number);
    let whole = others.trailing_zeros() as usize;
    let behind_point = others & others.wrapping_sub(1);
    let fraction_end = behind_point.trailing_zeros() as usize;
    let has_point = head[sign + whole] == b'.';
    let end = if has_point { fraction_end } else { whole };
    // 16 is within, as is 17 for the end of all bits that there are not.
    let end = end.min(QUICK - 2);
    let is_number = (whole != 0)
        & !((number[0] == b'0') & (whole > 1))
        & (end < 16)
        & (!has_point | (fraction_end > whole + 1))
        & ends(head[sign + end]);
    let first = u32::from_le_bytes([head[0], head[1], head[2], head[3]]);
    let is_false = (first == u32::from_le_bytes(*b"fals")) & (head[4] == b'e');
    let is_four = (first == u32::from_le_bytes(*b"true")) | (first == u32::from_le_bytes(*b"null"));
    let is_literal = (is_false | is_four) & ends(head[4 + usize::from(is_false)]);
    is_number | is_literal
}

/// The same for all numbers, byte by byte.
#[inline(never)]
#[cold]
fn is_any(text: &[u8]) -> bool {
    crate::engine::decode::bytewise::scalar_len(text)
        .and_then(|len| text.get(len))
        .is_some_and(|byte| ends(*byte))
}
