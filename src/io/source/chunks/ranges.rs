//! A plain file in chunks: the lines that begin in a range of its bytes. Whoever reads one needs to know nothing of the
//! others, so they can be read at the same time and in any order.
//!
//! Reading by position and not by a map of the file into memory: a file that is cut short meanwhile would end the process
//! there, and here it is an error like another.

use std::fs::File;
use std::io::{Seek, SeekFrom};
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::buffer::ChunkBuffer;
use super::read_at_most;
use crate::error::Failure;
use crate::io::source::lines::{BytesRead, Length, damaged};
use crate::limits::{LINE_END_BYTES, MAX_FRAME_BYTES};

pub(super) struct Ranges {
    name: String,
    file: Arc<File>,
    /// Where the first range begins.
    from: u64,
    /// How long the file was when it was opened.
    length: Length,
    /// Whether others may read on where this ends.
    is_shared: bool,
    range_bytes: u64,
    bytes: BytesRead,
}

impl Ranges {
    pub(super) fn new(
        name: String,
        file: &Arc<File>,
        (from, size): (u64, u64),
        is_shared: bool,
        range_bytes: usize,
        bytes: &BytesRead,
    ) -> Self {
        Self {
            name,
            length: Length::told(file, size),
            file: Arc::clone(file),
            from,
            is_shared,
            range_bytes: range_bytes as u64,
            bytes: Arc::clone(bytes),
        }
    }

    pub(super) fn is_within(&self, number: u64) -> bool {
        self.from + number * self.range_bytes < self.length.bytes()
    }

    /// Reads the lines that begin in a range. Returns whether the file ends in it, or in its last line.
    pub(super) fn read(&self, number: u64, buffer: &mut ChunkBuffer) -> Result<bool, Failure> {
        let begin = self.from + number * self.range_bytes;
        // The byte before the range tells whether a line begins where it does.
        let before = u64::from(number > 0);
        let wanted = (before + self.range_bytes) as usize;
        buffer.begin_at(begin - before);
        let read = self.read_on(begin - before, wanted, buffer)?;
        let mut ended = read < wanted;
        self.bytes
            .fetch_add((read as u64).saturating_sub(before), Ordering::Relaxed);
        if number > 0 {
            let first = memchr::memchr(b'\n', buffer.text());
            buffer.skip(first.map_or(read, |newline| newline + 1));
        }
        let text = buffer.text();
        if !ended && text.last().is_some_and(|last| *last != b'\n') {
            let last_line = memchr::memrchr(b'\n', text).map_or(0, |newline| newline + 1);
            ended = self.end_line(begin - before + read as u64, last_line, buffer)?;
        }
        Ok(ended)
    }

    /// Reads the rest of the last line, from this position. Of one that is longer than a frame may be only so much that it
    /// shows: the ranges behind it find its end.
    fn end_line(
        &self,
        mut position: u64,
        line: usize,
        buffer: &mut ChunkBuffer,
    ) -> Result<bool, Failure> {
        let mut wanted = LINE_END_BYTES;
        loop {
            let length = buffer.text().len();
            let read = self.read_on(position, wanted, buffer)?;
            position += read as u64;
            if let Some(newline) = memchr::memchr(b'\n', &buffer.text()[length..]) {
                buffer.truncate(length + newline + 1);
                return Ok(false);
            }
            if read < wanted {
                return Ok(true);
            }
            if buffer.text().len() - line > MAX_FRAME_BYTES {
                return Ok(false);
            }
            wanted = (2 * wanted)
                .min(self.range_bytes as usize)
                .max(LINE_END_BYTES);
        }
    }

    fn read_on(
        &self,
        position: u64,
        wanted: usize,
        buffer: &mut ChunkBuffer,
    ) -> Result<usize, Failure> {
        let read = read_at_most(buffer.room(wanted), |to, done| {
            self.file.read_at(to, position + done as u64)
        });
        let read = read.map_err(|error| damaged(&self.name, &error))?;
        buffer.fill(read);
        Ok(read)
    }

    pub(super) fn finish(&self) -> Result<(), Failure> {
        let now = self.length.check(&self.name)?;
        if self.is_shared {
            // Who reads on from standard input finds it as if it had been read in order. No harm where that is refused.
            let _ = (&*self.file).seek(SeekFrom::Start(now));
        }
        Ok(())
    }
}
