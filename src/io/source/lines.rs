//! Frames from files and standard input, one a line; plain, gzip or zstd, told apart by their first bytes.

mod known;
mod length;
mod packing;
mod unpacked;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

pub use self::known::{Head, Mark, Marker, open_behind};
pub(super) use self::length::{Length, Shared};
pub(super) use self::packing::Packing;
pub(super) use self::unpacked::{Text, Unpacked, flowing, unpack};
use crate::error::Failure;
use crate::limits::{MAX_FRAME_BYTES, READ_BUFFER_BYTES};

/// What some programs put before the first line of a text in UTF-8.
const BYTE_ORDER_MARK: &[u8] = &[0xef, 0xbb, 0xbf];

/// A line without the byte order mark before it, which says nothing (RFC 8259, section 8.1). Where files were put together it may
/// stand before any line.
#[must_use]
pub fn unmarked(line: &[u8]) -> &[u8] {
    line.strip_prefix(BYTE_ORDER_MARK).unwrap_or(line)
}

/// A file to read, or standard input.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Input {
    /// Standard input; named `-`.
    Stdin,
    /// A file.
    File(PathBuf),
}

impl Input {
    /// The name under which records and messages list the input. Bytes of a file's name that are not UTF-8 stand there as `\xff`, so that
    /// names that differ in them differ here too.
    #[must_use]
    pub fn name(&self) -> String {
        let Self::File(path) = self else {
            return "-".to_owned();
        };
        let mut name = String::new();
        for chunk in path.as_os_str().as_bytes().utf8_chunks() {
            name.push_str(chunk.valid());
            for byte in chunk.invalid() {
                let _ = write!(name, "\\x{byte:02x}");
            }
        }
        name
    }

    /// The name in a message to people.
    pub(super) fn spoken(&self) -> String {
        match self {
            Self::Stdin => "standard input".to_owned(),
            Self::File(_) => self.name(),
        }
    }
}

/// Refuses a file that is named twice, by whatever names: its frames would count twice.
pub(super) fn refuse_twins(inputs: &[Input]) -> Result<(), Failure> {
    let mut seen = BTreeMap::new();
    for input in inputs {
        let Input::File(path) = input else { continue };
        // One that cannot be looked at is refused when it is opened.
        let Ok(metadata) = path.metadata() else {
            continue;
        };
        let identity = (metadata.dev(), metadata.ino());
        if let Some(other) = seen.insert(identity, input).filter(|_| metadata.is_file()) {
            return Err(Failure::Usage(format!(
                "{} and {} are one file, named twice; its frames would count twice",
                other.name(),
                input.name()
            )));
        }
    }
    Ok(())
}

pub(super) fn open_file(path: &Path) -> Result<File, Failure> {
    let refuse = |why: String| Failure::NoInput(format!("cannot read {}: {why}", path.display()));
    let file = File::open(path).map_err(|error| refuse(error.to_string()))?;
    let is_dir = file.metadata().is_ok_and(|m| m.is_dir());
    if is_dir {
        return Err(refuse("it is a directory; name the files in it".to_owned()));
    }
    Ok(file)
}

/// Bytes taken from the inputs so far, as they lie on disk: for a progress bar.
pub type BytesRead = Arc<AtomicU64>;

/// Adds what is read to the bytes that were.
pub(super) struct Counted<R> {
    inner: R,
    bytes: BytesRead,
}

impl<R> Counted<R> {
    pub(super) fn new(inner: R, bytes: &BytesRead) -> Self {
        Self {
            inner,
            bytes: Arc::clone(bytes),
        }
    }
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let n = self.inner.read(buf)?;
        self.bytes.fetch_add(n as u64, Ordering::Relaxed);
        Ok(n)
    }
}

/// One input as lines.
pub struct LineReader {
    name: String,
    reader: Box<dyn Text>,
    /// The part of the line at hand that did not fit the read buffer.
    partial: Vec<u8>,
    lines: i64,
    /// Whether what stands behind the last newline is held back: it may be a line that is still being written.
    holds_rest: bool,
    is_packed: bool,
    /// Of a file.
    length: Option<Length>,
}

impl LineReader {
    /// Opens an input, and looks whether it is packed. `bytes` is added to while reading.
    ///
    /// # Errors
    ///
    /// When it cannot be opened or its first bytes cannot be read.
    pub fn open(input: &Input, bytes: &BytesRead) -> Result<Self, Failure> {
        let Input::File(path) = input else {
            return Self::new(input.spoken(), Box::new(io::stdin()), bytes);
        };
        let name = input.spoken();
        let file = Arc::new(open_file(path)?);
        let length = Length::of(&file);
        let mut head = [0; Packing::HEAD_BYTES];
        let packing = match &length {
            Some(_) => {
                let read = read_at_most(&mut head, |to, done| file.read_at(to, done as u64));
                let read = read.map_err(|error| damaged(&name, &error))?;
                Packing::of(&name, &head[..read])?
            }
            None => Packing::Plain,
        };
        if packing == Packing::Plain {
            let opened = Self::new(name, Box::new(Shared(file)), bytes)?;
            return Ok(Self { length, ..opened });
        }
        let text = Unpacked::new(file, 0, packing, bytes);
        Ok(Self {
            is_packed: true,
            length,
            ..Self::of(
                name,
                Box::new(BufReader::with_capacity(READ_BUFFER_BYTES, text)),
            )
        })
    }

    /// The same over anything that can be read; `name` is how messages call it.
    ///
    /// # Errors
    ///
    /// When its first bytes cannot be read.
    pub fn new(
        name: String,
        input: Box<dyn Read + Send>,
        bytes: &BytesRead,
    ) -> Result<Self, Failure> {
        let counted = Counted::new(input, bytes);
        let mut raw = BufReader::with_capacity(READ_BUFFER_BYTES, counted);
        let head = raw.fill_buf().map_err(|error| damaged(&name, &error))?;
        let packing = Packing::of(&name, head)?;
        let reader: Box<dyn Text> = match packing {
            Packing::Plain => Box::new(raw),
            Packing::Gzip | Packing::Zstd => {
                let text = unpack(packing, raw).map_err(|error| damaged(&name, &error))?;
                Box::new(BufReader::with_capacity(READ_BUFFER_BYTES, text))
            }
        };
        Ok(Self {
            is_packed: packing != Packing::Plain,
            ..Self::of(name, reader)
        })
    }

    fn of(name: String, reader: Box<dyn Text>) -> Self {
        Self {
            name,
            reader,
            partial: Vec::new(),
            lines: 0,
            holds_rest: false,
            is_packed: false,
            length: None,
        }
    }

    /// Of a packed file that was read to its end, no memory is held until somebody asks whether there is more.
    fn rest_at_end(&mut self) -> Result<(), Failure> {
        let buffer = self.reader.fill_buf();
        if buffer
            .map_err(|error| damaged(&self.name, &error))?
            .is_empty()
        {
            self.reader = flowing(io::empty());
        }
        Ok(())
    }

    /// Hands the next line to `on`, without its newline. Returns `None` at the end of the input.
    fn next<T>(&mut self, on: impl FnOnce(i64, &[u8]) -> T) -> Result<Option<T>, Failure> {
        self.partial.clear();
        loop {
            let buffer = match self.reader.fill_buf() {
                Ok(buffer) => buffer,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(damaged(&self.name, &error)),
            };
            if buffer.is_empty() {
                // One that is too long is that already, whatever else will stand in it.
                let may_grow = self.holds_rest && self.partial.len() <= MAX_FRAME_BYTES;
                if self.partial.is_empty() || may_grow {
                    return Ok(None);
                }
                self.lines += 1;
                return Ok(Some(on(self.lines - 1, &self.partial)));
            }
            if let Some(end) = memchr::memchr(b'\n', buffer) {
                self.lines += 1;
                let result = if self.partial.is_empty() {
                    on(self.lines - 1, &buffer[..end])
                } else {
                    keep(&mut self.partial, &buffer[..end]);
                    on(self.lines - 1, &self.partial)
                };
                self.reader.consume(end + 1);
                return Ok(Some(result));
            }
            let length = buffer.len();
            keep(&mut self.partial, buffer);
            self.reader.consume(length);
        }
    }

    /// For who reads it on in another way.
    pub(super) fn into_parts(self) -> Parts {
        Parts {
            name: self.name,
            reader: self.reader,
            lines: self.lines,
            length: self.length,
        }
    }

    /// Hands to `on` every line that ends in what can be read at once, so that those of a slow pipe need not wait for
    /// the next. Returns false at the end of the input. Not to be mixed with [`next`](Self::next).
    ///
    /// # Errors
    ///
    /// When the input cannot be read on.
    pub fn block(&mut self, on: &mut dyn FnMut(&[u8])) -> Result<bool, Failure> {
        let buffer = loop {
            match self.reader.fill_buf() {
                Ok(buffer) => break buffer,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(damaged(&self.name, &error)),
            }
        };
        if buffer.is_empty() {
            if !self.partial.is_empty() {
                self.lines += 1;
                on(&self.partial);
                self.partial.clear();
            }
            return Ok(false);
        }
        let mut start = 0;
        for end in memchr::memchr_iter(b'\n', buffer) {
            self.lines += 1;
            if self.partial.is_empty() {
                on(&buffer[start..end]);
            } else {
                keep(&mut self.partial, &buffer[start..end]);
                on(&self.partial);
                self.partial.clear();
            }
            start = end + 1;
        }
        let length = buffer.len();
        keep(&mut self.partial, &buffer[start..]);
        self.reader.consume(length);
        Ok(true)
    }
}

/// Reads until the buffer is full or nothing comes any more. `read` is told how much there is.
pub(super) fn read_at_most(
    to: &mut [u8],
    mut read: impl FnMut(&mut [u8], usize) -> io::Result<usize>,
) -> io::Result<usize> {
    let mut done = 0;
    while done < to.len() {
        match read(&mut to[done..], done) {
            Ok(0) => break,
            Ok(n) => done += n,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(done)
}

/// What is read, under which name, how many lines were before it, and of a file how long that was.
pub(super) struct Parts {
    pub(super) name: String,
    pub(super) reader: Box<dyn Text>,
    pub(super) lines: i64,
    pub(super) length: Option<Length>,
}

/// Appends to a line, but no more than it takes to see that the frame is too large.
fn keep(line: &mut Vec<u8>, part: &[u8]) {
    let room = (MAX_FRAME_BYTES + 1).saturating_sub(line.len());
    line.extend_from_slice(&part[..part.len().min(room)]);
}

pub(super) fn damaged(name: &str, error: &io::Error) -> Failure {
    if error.raw_os_error().is_some() {
        return Failure::NoInput(format!("cannot read on in {name}: {error}"));
    }
    Failure::Data(format!(
        "cannot read on in {name}: {error}; check the file or transfer it again"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reader_of(bytes: &[u8], buffer: usize) -> LineReader {
        let text = Counted::new(io::Cursor::new(bytes.to_vec()), &BytesRead::default());
        let text = BufReader::with_capacity(buffer, text);
        LineReader::of(String::new(), Box::new(text))
    }

    fn lines_of(bytes: &[u8], buffer: usize) -> Vec<Vec<u8>> {
        let mut reader = reader_of(bytes, buffer);
        let mut lines = Vec::new();
        while reader.block(&mut |line| lines.push(line.to_vec())).unwrap() {}
        assert_eq!(reader.lines, lines.len() as i64);
        let mut reader = reader_of(bytes, buffer);
        let mut one_by_one = Vec::new();
        while let Some(line) = reader.next(|_, line| line.to_vec()).unwrap() {
            one_by_one.push(line);
        }
        assert_eq!(reader.lines, lines.len() as i64);
        assert_eq!(one_by_one, lines);
        lines
    }

    #[test]
    fn lines_are_cut_at_every_border_of_the_buffer() {
        let text = b"one\n\ntwo\r\nthree, a long one\nno newline at the end";
        let expected: Vec<_> = text.split(|b| *b == b'\n').map(<[u8]>::to_vec).collect();
        for buffer in 1..text.len() + 2 {
            assert_eq!(lines_of(text, buffer), expected, "buffer of {buffer}");
        }
        assert_eq!(lines_of(b"a\nb\n", 3), [b"a", b"b"]);
        assert!(lines_of(b"", 3).is_empty());
    }

    #[test]
    fn a_line_that_is_too_large_is_cut_and_its_neighbours_are_not() {
        let mut text = b"first\n".to_vec();
        text.resize(text.len() + MAX_FRAME_BYTES + 100_000, b'x');
        text.extend_from_slice(b"\nlast\n");
        let lines = lines_of(&text, 1 << 16);
        assert_eq!(lines.len(), 3);
        assert_eq!(lines[1].len(), MAX_FRAME_BYTES + 1);
        assert_eq!(
            (&lines[0][..], &lines[2][..]),
            (&b"first"[..], &b"last"[..])
        );
    }
}
