//! Any bytes as an input, read in pieces of any size: the lines are those between the newlines.
#![no_main]
#![allow(clippy::expect_used, reason = "a fuzz target says so by panicking")]

use std::io::{self, Read};

use headcount::io::source::lines::{BytesRead, LineReader};
use libfuzzer_sys::fuzz_target;

/// Gives out its bytes in pieces, each as long as the byte before it says.
struct Pieces {
    bytes: Vec<u8>,
    sizes: Vec<u8>,
    at: usize,
    reads: usize,
}

impl Read for Pieces {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let size = self
            .sizes
            .get(self.reads % self.sizes.len().max(1))
            .copied()
            .unwrap_or(255);
        self.reads += 1;
        let rest = &self.bytes[self.at..];
        let n = usize::from(size.max(1)).min(rest.len()).min(into.len());
        into[..n].copy_from_slice(&rest[..n]);
        self.at += n;
        Ok(n)
    }
}

fuzz_target!(|input: (Vec<u8>, Vec<u8>)| {
    let (bytes, sizes) = input;
    let is_packed =
        bytes.starts_with(&[0x1f, 0x8b]) || bytes.starts_with(&[0x28, 0xb5, 0x2f, 0xfd]);
    let pieces = Pieces {
        bytes: bytes.clone(),
        sizes,
        at: 0,
        reads: 0,
    };
    let Ok(mut reader) =
        LineReader::new("fuzz".to_owned(), Box::new(pieces), &BytesRead::default())
    else {
        return;
    };
    let mut lines = Vec::new();
    loop {
        match reader.block(&mut |line| lines.push(line.to_vec())) {
            Ok(true) => {}
            Ok(false) => break,
            Err(_) => {
                assert!(is_packed, "nothing fails about plain bytes");
                return;
            }
        }
    }
    if is_packed {
        return;
    }
    let mut expected: Vec<Vec<u8>> = bytes
        .split(|byte| *byte == b'\n')
        .map(<[u8]>::to_vec)
        .collect();
    // A newline ends a line; behind the last one there is none.
    if expected.last().is_some_and(Vec::is_empty) {
        expected.pop();
    }
    assert_eq!(lines, expected);
});
