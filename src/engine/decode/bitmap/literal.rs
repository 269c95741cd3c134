//! How literals are spelled, and what may follow on them and on numbers.

/// A literal and what ends it.
const LONGEST: usize = 6;

/// Whether the text begins with a literal that ends where one may: before `,`, `}`, `]` or white space. The end of the text is
/// no such place, as a frame ends with a brace. What else is no number has no place in JSON.
#[inline(always)]
pub(super) fn is_good(text: &[u8]) -> bool {
    match text.first_chunk::<LONGEST>() {
        Some(head) => {
            let first = u32::from_le_bytes([head[0], head[1], head[2], head[3]]);
            let is_false = (first == u32::from_le_bytes(*b"fals")) & (head[4] == b'e');
            let is_true = first == u32::from_le_bytes(*b"true");
            let is_null = first == u32::from_le_bytes(*b"null");
            (is_true | is_null | is_false) & ends(head[4 + usize::from(is_false)])
        }
        None => is_at_end(text),
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

/// The same for the last few bytes of a frame.
#[inline(never)]
#[cold]
fn is_at_end(text: &[u8]) -> bool {
    [&b"true"[..], b"false", b"null"].iter().any(|literal| {
        text.strip_prefix(*literal)
            .and_then(|rest| rest.first())
            .is_some_and(|byte| ends(*byte))
    })
}
