//! How an input is packed, and what is no text of lines for certain.

use crate::error::Failure;

/// How an input is packed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::io::source) enum Packing {
    Plain,
    Gzip,
    Zstd,
}

impl Packing {
    /// So many first bytes tell.
    pub(in crate::io::source) const HEAD_BYTES: usize = 4;

    /// By the first bytes: the magic numbers of RFC 1952 and RFC 8878. A zstd file may also begin with a frame to be skipped, as those
    /// of `pzstd` do. `name` is how messages call the input.
    ///
    /// # Errors
    ///
    /// When these are the magic bytes of something that is not read here: every line of it would be rejected.
    pub(in crate::io::source) fn of(name: &str, head: &[u8]) -> Result<Self, Failure> {
        let (what, tool) = match head {
            [0x1f, 0x8b, ..] => return Ok(Self::Gzip),
            [0x28, 0xb5, 0x2f, 0xfd, ..] | [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => {
                return Ok(Self::Zstd);
            }
            [0xfd, b'7', b'z', b'X', ..] => ("packed with xz", "xz -dc"),
            [b'B', b'Z', b'h', b'1'..=b'9', ..] => ("packed with bzip2", "bzip2 -dc"),
            [0x04, 0x22, 0x4d, 0x18, ..] => ("packed with lz4", "lz4 -dc"),
            [b'P', b'K', 0x03, 0x04, ..] => ("a zip archive", "unzip -p"),
            [0xff, 0xfe, ..] | [0xfe, 0xff, ..] => ("text in UTF-16", "iconv -f UTF-16 -t UTF-8"),
            _ => return Ok(Self::Plain),
        };
        Err(Failure::Data(format!(
            "{name} is {what}; headcount reads lines in UTF-8, plain or packed with gzip or zstd: pipe it in from `{tool}`"
        )))
    }
}
