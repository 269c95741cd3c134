//! Files whose beginning was counted before, found again by what they hold: names move when logs are rotated, and
//! packing changes the bytes, but not the text.

use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use xxhash_rust::xxh3::{Xxh3, xxh3_128};

use super::{BytesRead, Counted, Input, Length, LineReader, Shared, damaged, open_file};
use crate::engine::checkpoint::codec::{Damaged, Reader};
use crate::error::Failure;
use crate::limits::{MARK_HEAD_BYTES, MAX_FRAME_BYTES, READ_BUFFER_BYTES};

/// By what a file is known again in which some lines were counted. All of it is of the text, unpacked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mark {
    /// Bytes of those lines with their newlines; `None` where a line was too long to be taken whole.
    bytes: Option<u64>,
    /// Length of the beginning that `head` is of.
    head_bytes: u32,
    head: u128,
    /// Length of the last of the lines, without its newline.
    last_bytes: u32,
    last: u128,
}

impl Mark {
    /// The mark as bytes (docs/FORMAT.md, *State*).
    #[must_use]
    pub fn to_bytes(self) -> Vec<u8> {
        let mut out = Vec::new();
        out.extend_from_slice(&self.bytes.unwrap_or(u64::MAX).to_le_bytes());
        out.extend_from_slice(&self.head_bytes.to_le_bytes());
        out.extend_from_slice(&self.head.to_le_bytes());
        out.extend_from_slice(&self.last_bytes.to_le_bytes());
        out.extend_from_slice(&self.last.to_le_bytes());
        out
    }

    /// How long the beginning is by which it is known, and its XXH3-128.
    #[must_use]
    pub fn head(&self) -> (usize, u128) {
        (self.head_bytes as usize, self.head)
    }

    /// Reads what [`Self::to_bytes`] wrote.
    ///
    /// # Errors
    ///
    /// When these are other bytes.
    pub fn read(bytes: &[u8]) -> Result<Self, Damaged> {
        let mut from = Reader::new(bytes, "what a file is known by");
        let bytes = Some(from.u64()?).filter(|bytes| *bytes != u64::MAX);
        let (head_bytes, head) = (from.u32()?, from.u128()?);
        let (last_bytes, last) = (from.u32()?, from.u128()?);
        from.check(head_bytes as usize <= MARK_HEAD_BYTES)?;
        from.end()?;
        Ok(Self {
            bytes,
            head_bytes,
            head,
            last_bytes,
            last,
        })
    }
}

/// Makes the mark of a file while its lines are counted.
pub struct Marker {
    bytes: Option<u64>,
    head: Xxh3,
    head_bytes: usize,
    last: Vec<u8>,
}

impl Default for Marker {
    fn default() -> Self {
        Self {
            bytes: Some(0),
            head: Xxh3::new(),
            head_bytes: 0,
            last: Vec::new(),
        }
    }
}

impl Marker {
    /// Takes note of the next line, that had a newline behind it.
    pub fn note(&mut self, line: &[u8]) {
        for part in [line, b"\n"] {
            let room = MARK_HEAD_BYTES - self.head_bytes;
            if room > 0 {
                let taken = &part[..part.len().min(room)];
                self.head.update(taken);
                self.head_bytes += taken.len();
            }
        }
        // One that is too long comes cut, and who knows how much of it there was.
        let is_whole = line.len() <= MAX_FRAME_BYTES;
        self.bytes = self.bytes.filter(|_| is_whole);
        self.bytes = self.bytes.map(|bytes| bytes + line.len() as u64 + 1);
        self.last.clear();
        self.last.extend_from_slice(line);
    }

    /// The mark of the lines so far.
    #[must_use]
    pub fn mark(&self) -> Mark {
        Mark {
            bytes: self.bytes,
            head_bytes: self.head_bytes as u32,
            head: self.head.digest128(),
            last_bytes: self.last.len() as u32,
            last: xxh3_128(&self.last),
        }
    }
}

/// The beginning of a file's text.
pub struct Head(Vec<u8>);

impl Head {
    /// Reads it.
    ///
    /// # Errors
    ///
    /// When the file cannot be read, or is damaged.
    pub fn read(path: &Path) -> Result<Self, Failure> {
        let input = Input::File(path.to_owned());
        let reader = LineReader::open(&input, &BytesRead::default())?;
        let mut head = Vec::new();
        let mut beginning = reader.reader.take(MARK_HEAD_BYTES as u64);
        let read = beginning.read_to_end(&mut head);
        read.map_err(|error| damaged(&reader.name, &error))?;
        Ok(Self(head))
    }

    /// XXH3-128 of its first bytes; `None` where it has fewer.
    #[must_use]
    pub fn digest(&self, bytes: usize) -> Option<u128> {
        self.0.get(..bytes).map(xxh3_128)
    }
}

/// Opens a file behind so many lines, if these are those that the mark was made of; with what goes on making its mark.
///
/// # Errors
///
/// When the file cannot be read, or is damaged.
pub fn open_behind(
    path: &Path,
    head: &Head,
    (lines, mark): (i64, &Mark),
    bytes: &BytesRead,
) -> Result<Option<(LineReader, Marker)>, Failure> {
    let (length, digest) = mark.head();
    if head.digest(length) != Some(digest) {
        return Ok(None);
    }
    let input = Input::File(path.to_owned());
    let reader = match mark.bytes.filter(|_| !is_packed(&input)) {
        Some(behind) => seek(&input, lines, mark, behind, bytes)?,
        None => skip(&input, lines, mark, bytes)?,
    };
    let mut so_far = Xxh3::new();
    so_far.update(&head.0[..mark.head_bytes as usize]);
    let marker = |last| Marker {
        bytes: mark.bytes,
        head: so_far,
        head_bytes: mark.head_bytes as usize,
        last,
    };
    Ok(reader.map(|(reader, last)| (reader, marker(last))))
}

fn is_packed(input: &Input) -> bool {
    // What cannot be opened says so when it is read.
    let reader = LineReader::open(input, &BytesRead::default());
    reader.is_ok_and(|reader| reader.is_packed)
}

type Behind = Option<(LineReader, Vec<u8>)>;

/// Nothing is read but the last of the lines.
fn seek(
    input: &Input,
    lines: i64,
    mark: &Mark,
    behind: u64,
    bytes: &BytesRead,
) -> Result<Behind, Failure> {
    let Input::File(path) = input else {
        return Ok(None);
    };
    let mut file = open_file(path)?;
    let failed = |error: io::Error| damaged(&input.name(), &error);
    // With the newlines before and behind it; the first line has none before it.
    let tail = (u64::from(mark.last_bytes) + 2).min(behind);
    let Some(from) = behind.checked_sub(tail) else {
        return Ok(None);
    };
    file.seek(SeekFrom::Start(from)).map_err(failed)?;
    let mut last = Vec::new();
    let mut read = Read::by_ref(&mut file).take(tail);
    read.read_to_end(&mut last).map_err(failed)?;
    if lines > 0 {
        let is_cut_off = last.len() as u64 == tail && last.pop() == Some(b'\n');
        let begins = last.len().checked_sub(mark.last_bytes as usize);
        let before = begins.map(|begins| last.drain(..begins).collect::<Vec<_>>());
        if !is_cut_off || !before.is_some_and(|b| b.is_empty() || b == b"\n") {
            return Ok(None);
        }
    }
    if xxh3_128(&last) != mark.last {
        return Ok(None);
    }
    bytes.fetch_add(behind, Ordering::Relaxed);
    let mut reader = LineReader::over(input, file, bytes);
    reader.lines = lines;
    Ok(Some((reader, last)))
}

/// Where the place is not known in bytes of the file, it is looked for in lines.
fn skip(input: &Input, lines: i64, mark: &Mark, bytes: &BytesRead) -> Result<Behind, Failure> {
    let mut reader = LineReader::open(input, bytes)?;
    reader.holds_rest = true;
    let mut last = Vec::new();
    for line in 1..=lines {
        let keep = |_, text: &[u8]| {
            if line == lines {
                last.extend_from_slice(text);
            }
        };
        if reader.next(keep)?.is_none() {
            return Ok(None);
        }
    }
    if reader.is_packed {
        reader.rest_at_end()?;
        reader.reader.rest();
    }
    Ok((xxh3_128(&last) == mark.last).then_some((reader, last)))
}

impl LineReader {
    fn over(input: &Input, file: File, bytes: &BytesRead) -> Self {
        let file = Arc::new(file);
        let length = Length::of(&file);
        let counted = Counted {
            inner: Shared(file),
            bytes: Arc::clone(bytes),
        };
        Self {
            length,
            ..Self::of(
                input.spoken(),
                Box::new(BufReader::with_capacity(READ_BUFFER_BYTES, counted)),
            )
        }
    }
}
