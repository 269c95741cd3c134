//! What can only be read in order, in chunks: cut behind the last newline that has come.

use std::io;
use std::mem;
use std::os::fd::OwnedFd;

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::buffer::ChunkBuffer;
use super::{Extent, Torn};
use crate::error::Failure;
use crate::io::source::lines::{Length, Text, damaged, flowing};
use crate::limits::{CHUNKS_BEGUN, MAX_FRAME_BYTES};

pub(super) struct Stream {
    name: String,
    reader: Box<dyn Text>,
    /// Where what is to be read comes from, if that may take its time.
    waits: Option<OwnedFd>,
    chunk_bytes: usize,
    /// What was read behind the last newline of the chunk before. No more than that is kept of an input while others are read: there
    /// may be many.
    rest: Vec<u8>,
    number: u64,
    /// After so many chunks the reader has only begun.
    begun: u64,
    /// Whether the rest of a line is to be passed over, because there was too much of it.
    skips: bool,
    ended: bool,
    failed: Option<Failure>,
    /// Of a file.
    length: Option<Length>,
}

impl Stream {
    pub(super) fn new(
        name: String,
        reader: Box<dyn Text>,
        waits: Option<OwnedFd>,
        chunk_bytes: usize,
    ) -> Self {
        Self {
            name,
            reader,
            waits,
            chunk_bytes,
            rest: Vec::new(),
            number: 0,
            begun: 0,
            skips: false,
            ended: false,
            failed: None,
            length: None,
        }
    }

    /// The same of a file that was so long when it was opened.
    pub(super) fn of_length(mut self, length: Option<Length>) -> Self {
        self.length = length;
        self
    }

    /// From now on, nothing is held of the reader while it has only begun.
    pub(super) fn rest_begun(&mut self) {
        self.begun = CHUNKS_BEGUN;
    }

    pub(super) fn finish(&self) -> Result<(), Failure> {
        match &self.length {
            Some(length) => length.check(&self.name).map(drop),
            None => Ok(()),
        }
    }

    /// Bytes of memory that it has between two chunks, beside what its reader has.
    #[cfg(test)]
    pub(super) fn kept_bytes(&self) -> usize {
        self.rest.capacity()
    }

    /// Reads the next chunk: as many lines as it may have, or those that have come, where the next would be waited for.
    pub(super) fn read(&mut self, buffer: &mut ChunkBuffer) -> Result<Extent, Torn> {
        buffer.clear();
        let number = self.number;
        self.number += 1;
        if let Some(failure) = self.failed.take() {
            self.ended = true;
            let why = failure;
            return Err(Torn { number, why });
        }
        if !self.ended {
            let rest = mem::take(&mut self.rest);
            // What is read behind it begins with a page of a pipe.
            buffer.begin_at((rest.len() as u64).wrapping_neg());
            buffer.room(rest.len()).copy_from_slice(&rest);
            buffer.fill(rest.len());
            if let Err(error) = self.fill(buffer) {
                // What was whole before it counts, as if it had been read line by line.
                let whole = memchr::memrchr(b'\n', buffer.text()).map_or(0, |newline| newline + 1);
                buffer.truncate(whole);
                let failure = damaged(&self.name, &error);
                if whole == 0 {
                    self.ended = true;
                    let why = failure;
                    return Err(Torn { number, why });
                }
                self.failed = Some(failure);
            }
        }
        let ended = self.ended;
        if ended {
            self.reader = flowing(io::empty());
        } else if self.number <= self.begun {
            self.reader.rest();
        }
        Ok(Extent { number, ended })
    }

    fn fill(&mut self, buffer: &mut ChunkBuffer) -> io::Result<()> {
        // Where the last line begins: 0 as long as no newline has come.
        let mut line = 0;
        loop {
            let length = buffer.text().len();
            let room = match self.chunk_bytes.checked_sub(length) {
                Some(room) if room > 0 => room,
                _ => self.chunk_bytes,
            };
            let read = match self.reader.read(buffer.room(room)) {
                Ok(read) => read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            if read == 0 {
                self.ended = true;
                return Ok(());
            }
            buffer.fill(read);
            let mut fresh = length;
            if self.skips {
                let Some(newline) = memchr::memchr(b'\n', buffer.text()) else {
                    buffer.truncate(0);
                    continue;
                };
                self.skips = false;
                buffer.skip(newline + 1);
                fresh = 0;
            }
            if let Some(newline) = memchr::memrchr(b'\n', &buffer.text()[fresh..]) {
                line = fresh + newline + 1;
            }
            let text = buffer.text();
            if text.len() - line > MAX_FRAME_BYTES {
                // It shows by now that it is too long.
                self.skips = true;
                return Ok(());
            }
            if line > 0 && (text.len() >= self.chunk_bytes || !self.has_more()) {
                self.rest = text[line..].to_vec();
                buffer.truncate(line);
                return Ok(());
            }
        }
    }

    /// Whether something can be read at once.
    fn has_more(&self) -> bool {
        let Some(waits) = &self.waits else {
            return true;
        };
        let mut fds = [PollFd::new(waits, PollFlags::IN)];
        let now = Timespec {
            tv_sec: 0,
            tv_nsec: 0,
        };
        poll(&mut fds, Some(&now)).is_ok_and(|ready| ready > 0)
    }
}
