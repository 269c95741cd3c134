//! Frames from files and standard input, one a line; plain, gzip or zstd, told apart by their first bytes.
//!
//! Several files are as many partitions, read side by side by event time: the next line comes from the file whose
//! clock is least, so that windows can close as they would have live.

mod known;

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use flate2::bufread::MultiGzDecoder;

pub use self::known::{Head, Mark, Marker, open_behind};
use super::{Event, Source};
use crate::engine::frame::EventTime;
use crate::error::Failure;
use crate::limits::{MAX_FRAME_BYTES, READ_BUFFER_BYTES};

const GZIP_MAGIC: &[u8] = &[0x1f, 0x8b];
const ZSTD_MAGIC: &[u8] = &[0x28, 0xb5, 0x2f, 0xfd];

/// A file to read, or standard input.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Input {
    /// Standard input; named `-`.
    Stdin,
    /// A file.
    File(PathBuf),
}

impl Input {
    /// The name under which records and messages list the input.
    #[must_use]
    pub fn name(&self) -> String {
        match self {
            Self::Stdin => "-".to_owned(),
            Self::File(path) => path.display().to_string(),
        }
    }

    /// The name in a message to people.
    fn spoken(&self) -> String {
        match self {
            Self::Stdin => "standard input".to_owned(),
            Self::File(_) => self.name(),
        }
    }

    fn open(&self) -> Result<Box<dyn Read + Send>, Failure> {
        match self {
            Self::Stdin => Ok(Box::new(io::stdin())),
            Self::File(path) => Ok(Box::new(open_file(path)?)),
        }
    }
}

/// Refuses a file that is named twice, by whatever names: its frames would count twice.
fn refuse_twins(inputs: &[Input]) -> Result<(), Failure> {
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

fn open_file(path: &Path) -> Result<File, Failure> {
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

struct Counted<R> {
    inner: R,
    bytes: BytesRead,
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
    reader: Box<dyn BufRead + Send>,
    /// The part of the line at hand that did not fit the read buffer.
    partial: Vec<u8>,
    lines: i64,
    /// Whether what stands behind the last newline is held back: it may be a line that is still being written.
    holds_rest: bool,
    is_packed: bool,
}

impl LineReader {
    /// Opens an input, and looks whether it is packed. `bytes` is added to while reading.
    ///
    /// # Errors
    ///
    /// When it cannot be opened or its first bytes cannot be read.
    pub fn open(input: &Input, bytes: &BytesRead) -> Result<Self, Failure> {
        Self::new(input.spoken(), input.open()?, bytes)
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
        let counted = Counted {
            inner: input,
            bytes: Arc::clone(bytes),
        };
        let mut raw = BufReader::with_capacity(READ_BUFFER_BYTES, counted);
        let head = raw.fill_buf().map_err(|error| damaged(&name, &error))?;
        let is_packed = head.starts_with(GZIP_MAGIC) || head.starts_with(ZSTD_MAGIC);
        let reader: Box<dyn BufRead + Send> = if head.starts_with(GZIP_MAGIC) {
            let plain = MultiGzDecoder::new(raw);
            Box::new(BufReader::with_capacity(READ_BUFFER_BYTES, plain))
        } else if head.starts_with(ZSTD_MAGIC) {
            let plain = zstd::Decoder::with_buffer(raw).map_err(|e| damaged(&name, &e))?;
            Box::new(BufReader::with_capacity(READ_BUFFER_BYTES, plain))
        } else {
            Box::new(raw)
        };
        Ok(Self {
            name,
            reader,
            partial: Vec::new(),
            lines: 0,
            holds_rest: false,
            is_packed,
        })
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
                if self.partial.is_empty() || self.holds_rest {
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

/// Appends to a line, but no more than it takes to see that the frame is too large.
fn keep(line: &mut Vec<u8>, part: &[u8]) {
    let room = (MAX_FRAME_BYTES + 1).saturating_sub(line.len());
    line.extend_from_slice(&part[..part.len().min(room)]);
}

fn damaged(name: &str, error: &io::Error) -> Failure {
    if error.raw_os_error().is_some() {
        return Failure::NoInput(format!("cannot read on in {name}: {error}"));
    }
    Failure::Data(format!(
        "cannot read on in {name}: {error}; check the file or transfer it again"
    ))
}

/// Files read side by side.
pub struct LineSource {
    readers: Vec<LineReader>,
    /// Unfinished files, the least clock first; a file without a clock comes before all others.
    queue: BinaryHeap<Reverse<(Option<EventTime>, usize)>>,
}

impl LineSource {
    /// Opens all inputs; the partitions' indices are those of the inputs. `bytes` is added to while reading.
    ///
    /// # Errors
    ///
    /// The first input that cannot be opened.
    pub fn open(inputs: &[Input], bytes: &BytesRead) -> Result<Self, Failure> {
        refuse_twins(inputs)?;
        let readers: Vec<_> = inputs
            .iter()
            .map(|input| LineReader::open(input, bytes))
            .collect::<Result<_, _>>()?;
        Ok(Self::over(readers))
    }

    fn over(readers: Vec<LineReader>) -> Self {
        Self {
            queue: (0..readers.len()).map(|i| Reverse((None, i))).collect(),
            readers,
        }
    }

    /// Reads on from where these readers are. Of each input what stands behind its last newline is held back; see
    /// [`Self::take_rests`].
    ///
    /// # Errors
    ///
    /// When two of the inputs are one file.
    pub fn on_from(inputs: &[Input], mut readers: Vec<LineReader>) -> Result<Self, Failure> {
        refuse_twins(inputs)?;
        for reader in &mut readers {
            reader.holds_rest = true;
        }
        Ok(Self::over(readers))
    }

    /// What stands behind the last newline of each finished input that has such, with the offset that it would have.
    pub fn take_rests(&mut self) -> Vec<(usize, i64, Vec<u8>)> {
        let readers = self.readers.iter_mut().enumerate();
        let rests = readers.map(|(i, r)| (i, r.lines, std::mem::take(&mut r.partial)));
        rests.filter(|(.., rest)| !rest.is_empty()).collect()
    }

    /// Whether every line was delivered.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        self.queue.is_empty()
    }
}

impl Source for LineSource {
    fn poll(
        &mut self,
        _wait: Duration,
        on: &mut dyn FnMut(Event<'_>) -> Result<Option<EventTime>, Failure>,
    ) -> Result<bool, Failure> {
        let Some(mut first) = self.queue.peek_mut() else {
            return Ok(false);
        };
        let partition = first.0.1;
        let line = self.readers[partition].next(|offset, line| {
            on(Event::Frame {
                partition,
                offset,
                appended: None,
                payload: Some(line),
            })
        })?;
        if let Some(clock) = line {
            // An equal clock leaves the heap alone, which is the common case with one file.
            let clock = clock?;
            if first.0.0 != clock {
                first.0.0 = clock;
            }
        } else {
            std::collections::binary_heap::PeekMut::pop(first);
            on(Event::Finished(partition))?;
        }
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn reader_of(bytes: &[u8], buffer: usize) -> LineReader {
        LineReader {
            name: String::new(),
            reader: Box::new(BufReader::with_capacity(
                buffer,
                io::Cursor::new(bytes.to_vec()),
            )),
            partial: Vec::new(),
            lines: 0,
            holds_rest: false,
            is_packed: false,
        }
    }

    fn lines_of(bytes: &[u8], buffer: usize) -> Vec<Vec<u8>> {
        let mut reader = reader_of(bytes, buffer);
        let mut lines = Vec::new();
        while let Some(line) = reader.next(|_, line| line.to_vec()).unwrap() {
            lines.push(line);
        }
        assert_eq!(reader.lines, lines.len() as i64);
        assert_eq!(lines, blocks_of(bytes, buffer));
        lines
    }

    fn blocks_of(bytes: &[u8], buffer: usize) -> Vec<Vec<u8>> {
        let mut reader = reader_of(bytes, buffer);
        let mut lines = Vec::new();
        while reader.block(&mut |line| lines.push(line.to_vec())).unwrap() {}
        assert_eq!(reader.lines, lines.len() as i64);
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

    fn all_events(files: &[PathBuf]) -> Vec<(usize, i64, String)> {
        let inputs: Vec<_> = files.iter().cloned().map(Input::File).collect();
        let mut source = LineSource::open(&inputs, &BytesRead::default()).unwrap();
        let mut clocks = vec![None; files.len()];
        let mut events = Vec::new();
        let mut on = |event: Event<'_>| {
            Ok(match event {
                Event::Frame {
                    partition,
                    offset,
                    payload,
                    ..
                } => {
                    let text = String::from_utf8_lossy(payload.unwrap()).into_owned();
                    clocks[partition] = clocks[partition].max(text.parse().ok());
                    events.push((partition, offset, text));
                    clocks[partition]
                }
                Event::Finished(p) | Event::ReachedEnd(p) => {
                    events.push((p, -1, "end".to_owned()));
                    None
                }
            })
        };
        while source.poll(Duration::ZERO, &mut on).unwrap() {}
        events
    }

    #[test]
    fn files_are_read_side_by_side_by_event_time() {
        let dir = tempfile::tempdir().unwrap();
        let file = |name: &str, text: &str| {
            let path = dir.path().join(name);
            std::fs::write(&path, text).unwrap();
            path
        };
        let events = all_events(&[file("a", "1\n5\n9\n"), file("b", "junk\n2\n6\n")]);
        let order: Vec<_> = events.iter().map(|(_, _, text)| text.as_str()).collect();
        assert_eq!(order, ["1", "junk", "2", "5", "6", "9", "end", "end"]);
    }

    #[test]
    fn gzip_and_zstd_are_read_directly() {
        let dir = tempfile::tempdir().unwrap();
        let gz = dir.path().join("x");
        // Two members in one file, as `cat a.gz b.gz` makes.
        let mut bytes = Vec::new();
        for text in ["1\n2\n", "3\n"] {
            let mut encoder =
                flate2::write::GzEncoder::new(&mut bytes, flate2::Compression::fast());
            encoder.write_all(text.as_bytes()).unwrap();
        }
        std::fs::write(&gz, &bytes).unwrap();
        let zst = dir.path().join("y");
        std::fs::write(&zst, zstd::encode_all(&b"4\n5"[..], 1).unwrap()).unwrap();
        let events = all_events(&[gz.clone(), zst]);
        let texts: Vec<_> = events.iter().map(|(_, _, t)| t.as_str()).collect();
        assert_eq!(texts, ["1", "4", "2", "3", "end", "5", "end"]);

        std::fs::write(&gz, &bytes[..bytes.len() - 4]).unwrap();
        let mut source = LineSource::open(&[Input::File(gz)], &BytesRead::default()).unwrap();
        let result = loop {
            match source.poll(Duration::ZERO, &mut |_| Ok(None)) {
                Ok(true) => {}
                other => break other,
            }
        };
        assert!(matches!(result, Err(Failure::Data(_))));
    }
}
