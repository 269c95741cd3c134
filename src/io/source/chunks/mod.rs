//! Inputs in chunks of whole lines, so that several threads can work on one input. Which lines a chunk has depends on the
//! input alone, or on how it came; the lines and their order never do.
//!
//! A plain file is cut at fixed places, and each of its chunks is read by whoever decodes it. Whatever else there is (a
//! pipe, a packed file) is read by one at a time, who decodes the chunk when the next one reads on.

mod buffer;
mod ranges;
mod stream;

use std::fs::File;
use std::io::{self, BufReader, Read, Seek};
use std::os::fd::AsFd;
use std::os::unix::fs::{FileExt, FileTypeExt};
use std::sync::Arc;

use parking_lot::Mutex;

pub use buffer::ChunkBuffer;
use ranges::Ranges;
use stream::Stream;

use super::lines::{
    BytesRead, Counted, Input, Length, LineReader, Packing, Unpacked, damaged, flowing, open_file,
    read_at_most, refuse_twins, unpack,
};
use crate::error::Failure;
use crate::limits::{CHUNK_BYTES, CHUNK_FILES, PIPE_BYTES, READ_BUFFER_BYTES, SMALL_CHUNK_BYTES};

/// What was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Extent {
    /// The number of the chunk in its input, from 0.
    pub number: u64,
    /// Whether the input has ended: nothing that lies behind this chunk is of it.
    pub ended: bool,
}

/// Why a chunk could not be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Torn {
    /// The number of the chunk in its input: whoever waits for it must hear of it under this one.
    pub number: u64,
    /// What to tell.
    pub why: Failure,
}

/// An input in chunks.
pub struct Chunks(Kind);

enum Kind {
    Ranges(Ranges),
    Stream(Mutex<Stream>),
}

impl Chunks {
    /// Opens an input, and looks whether it is packed. `bytes` is added to while reading; a chunk has so many bytes, and
    /// what it takes to end its last line.
    ///
    /// # Errors
    ///
    /// When it cannot be opened or its first bytes cannot be read.
    pub fn open(input: &Input, bytes: &BytesRead, chunk_bytes: usize) -> Result<Self, Failure> {
        let name = input.spoken();
        let failed = |error: io::Error| damaged(&name, &error);
        let mut file = match input {
            Input::File(path) => open_file(path)?,
            Input::Stdin => File::from(io::stdin().as_fd().try_clone_to_owned().map_err(failed)?),
        };
        let kind = file.metadata().map_err(failed)?;
        let mut head = [0; Packing::HEAD_BYTES];
        if kind.is_file() {
            // Who redirects standard input may have read a part of it.
            let from = file.stream_position().map_err(failed)?;
            let length = read_at_most(&mut head, |to, done| file.read_at(to, from + done as u64));
            let length = length.map_err(failed)?;
            let packing = Packing::of(&name, &head[..length])?;
            if packing == Packing::Plain {
                let is_shared = matches!(input, Input::Stdin);
                let ranges = Ranges::new(
                    name,
                    &Arc::new(file),
                    (from, kind.len()),
                    is_shared,
                    chunk_bytes,
                    bytes,
                );
                return Ok(Self(Kind::Ranges(ranges)));
            }
            let file = Arc::new(file);
            let opened = Length::told(&file, kind.len());
            let text = Unpacked::new(file, from, packing, bytes);
            let text = Box::new(BufReader::with_capacity(0, text));
            let stream = Stream::new(name, text, None, chunk_bytes).of_length(Some(opened));
            return Ok(Self(Kind::Stream(Mutex::new(stream))));
        }
        if kind.file_type().is_fifo() {
            // Fewer and longer reads. The system may refuse, which only costs time.
            let _ = rustix::pipe::fcntl_setpipe_size(&file, PIPE_BYTES);
        }
        let waits = file.try_clone().map_err(failed)?;
        let mut counted = Counted::new(file, bytes);
        let length = read_at_most(&mut head, |to, _| counted.read(to)).map_err(failed)?;
        let head = &head[..length];
        let packing = Packing::of(&name, head)?;
        let whole = io::Cursor::new(head.to_vec()).chain(counted);
        let text = match packing {
            Packing::Plain => flowing(whole),
            Packing::Gzip | Packing::Zstd => {
                let packed = BufReader::with_capacity(READ_BUFFER_BYTES, whole);
                flowing(unpack(packing, packed).map_err(failed)?)
            }
        };
        let stream = Stream::new(name, text, Some(waits.into()), chunk_bytes);
        Ok(Self(Kind::Stream(Mutex::new(stream))))
    }

    /// Whether there was so much of the input when it was opened that this chunk is worth being read ahead.
    #[must_use]
    pub fn is_worth_reading(&self, number: u64) -> bool {
        match &self.0 {
            Kind::Ranges(ranges) => ranges.is_within(number),
            Kind::Stream(_) => true,
        }
    }

    /// Reads the chunk of this number, or of a stream whichever is next. Where another thread reads a stream just now it
    /// waits for that, or, unless it may, returns nothing.
    ///
    /// # Errors
    ///
    /// When the input cannot be read on, or is damaged.
    pub fn read(
        &self,
        number: u64,
        buffer: &mut ChunkBuffer,
        may_wait: bool,
    ) -> Option<Result<Extent, Torn>> {
        match &self.0 {
            Kind::Ranges(ranges) => {
                let ended = ranges.read(number, buffer);
                let torn = |why| Torn { number, why };
                Some(ended.map(|ended| Extent { number, ended }).map_err(torn))
            }
            Kind::Stream(stream) if may_wait => Some(stream.lock().read(buffer)),
            Kind::Stream(stream) => Some(stream.try_lock()?.read(buffer)),
        }
    }

    /// From now on, one of so many inputs that has only been begun takes no memory to be read on.
    fn rest_begun(&mut self, inputs: usize) {
        if inputs > 1
            && let Kind::Stream(stream) = &mut self.0
        {
            stream.get_mut().rest_begun();
        }
    }

    /// Leaves an input that was read to its end.
    ///
    /// # Errors
    ///
    /// When it is shorter now than it was: nobody knows what is missing.
    pub fn finish(&self) -> Result<(), Failure> {
        match &self.0 {
            Kind::Ranges(ranges) => ranges.finish(),
            Kind::Stream(stream) => stream.lock().finish(),
        }
    }
}

/// An input, and where it is read on.
pub struct Opened {
    /// What comes.
    pub chunks: Chunks,
    /// The number of its first line.
    pub line: i64,
}

/// Opens the inputs.
///
/// # Errors
///
/// The first one that cannot be opened, or is named twice.
pub fn open(inputs: &[Input], bytes: &BytesRead) -> Result<Vec<Opened>, Failure> {
    refuse_twins(inputs)?;
    let chunk_bytes = chunk_bytes(inputs.len());
    let opened = inputs.iter().map(|input| {
        let mut chunks = Chunks::open(input, bytes, chunk_bytes)?;
        chunks.rest_begun(inputs.len());
        Ok(Opened { chunks, line: 0 })
    });
    opened.collect()
}

/// Reads the inputs on from where these readers are.
///
/// # Errors
///
/// When two of the inputs are one file.
pub fn on_from(inputs: &[Input], readers: Vec<LineReader>) -> Result<Vec<Opened>, Failure> {
    refuse_twins(inputs)?;
    let chunk_bytes = chunk_bytes(inputs.len());
    let behind = readers.into_iter().map(|reader| {
        let parts = reader.into_parts();
        let stream = Stream::new(parts.name, parts.reader, None, chunk_bytes);
        let stream = stream.of_length(parts.length);
        let mut chunks = Chunks(Kind::Stream(Mutex::new(stream)));
        chunks.rest_begun(inputs.len());
        Opened {
            chunks,
            line: parts.lines,
        }
    });
    Ok(behind.collect())
}

fn chunk_bytes(files: usize) -> usize {
    if files > CHUNK_FILES {
        SMALL_CHUNK_BYTES
    } else {
        CHUNK_BYTES
    }
}

#[cfg(test)]
mod tests;
