//! What is no text of lines for certain, and packed in no way that is known here: every line of it would be rejected.

use crate::error::Failure;

/// Refuses an input that begins so; `name` is how messages call it.
///
/// # Errors
///
/// When these are the magic bytes of something else.
pub(in crate::io::source) fn refuse_foreign(name: &str, head: &[u8]) -> Result<(), Failure> {
    let (what, tool) = match head {
        [0xfd, b'7', b'z', b'X', ..] => ("packed with xz", "xz -dc"),
        [b'B', b'Z', b'h', b'1'..=b'9', ..] => ("packed with bzip2", "bzip2 -dc"),
        [0x04, 0x22, 0x4d, 0x18, ..] => ("packed with lz4", "lz4 -dc"),
        [b'P', b'K', 0x03, 0x04, ..] => ("a zip archive", "unzip -p"),
        [0xff, 0xfe, ..] | [0xfe, 0xff, ..] => ("text in UTF-16", "iconv -f UTF-16 -t UTF-8"),
        _ => return Ok(()),
    };
    Err(Failure::Data(format!(
        "{name} is {what}; headcount reads lines in UTF-8, plain or packed with gzip or zstd: pipe it in from `{tool}`"
    )))
}
