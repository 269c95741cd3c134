//! The memory that a chunk is read into, kept from chunk to chunk.

use crate::limits::{COPY_ALIGNMENT, KEPT_CHUNK_BYTES, MAX_FRAME_BYTES};

/// Lines that were read together.
#[derive(Debug, Default)]
pub struct ChunkBuffer {
    /// All of it was written at some time; what is of the chunk lies from `start` to `end`.
    bytes: Vec<u8>,
    start: usize,
    end: usize,
}

impl ChunkBuffer {
    /// The lines, without their newlines; a longer one than a frame may be is cut behind the byte that is too many.
    pub fn lines(&self) -> impl Iterator<Item = &[u8]> {
        let mut rest = self.text();
        std::iter::from_fn(move || {
            if rest.is_empty() {
                return None;
            }
            let line = match memchr::memchr(b'\n', rest) {
                Some(end) => {
                    let line = &rest[..end];
                    rest = &rest[end + 1..];
                    line
                }
                None => std::mem::take(&mut rest),
            };
            Some(&line[..line.len().min(MAX_FRAME_BYTES + 1)])
        })
    }

    /// Whether a newline stands behind the last line.
    #[must_use]
    pub fn is_terminated(&self) -> bool {
        self.text().last().is_none_or(|last| *last == b'\n')
    }

    /// The bytes of all lines; the last of them may lack its newline.
    pub(super) fn text(&self) -> &[u8] {
        &self.bytes[self.start..self.end]
    }

    /// Forgets the lines, and the memory too where a long one has made it large.
    pub(super) fn clear(&mut self) {
        (self.start, self.end) = (0, 0);
        if self.bytes.capacity() > KEPT_CHUNK_BYTES {
            self.bytes = Vec::new();
        }
    }

    /// Forgets the lines; what is read next is the input's at this position, or any that agrees with it modulo
    /// [`COPY_ALIGNMENT`].
    pub(super) fn begin_at(&mut self, position: u64) {
        self.clear();
        if self.bytes.capacity() == 0 {
            self.bytes.reserve_exact(KEPT_CHUNK_BYTES);
        }
        let address = self.bytes.as_ptr().addr();
        let lead = (position as usize).wrapping_sub(address) % COPY_ALIGNMENT;
        self.room(lead);
        (self.start, self.end) = (lead, lead);
    }

    /// Room for so many bytes behind the text.
    pub(super) fn room(&mut self, bytes: usize) -> &mut [u8] {
        let until = self.end + bytes;
        if until > self.bytes.capacity() {
            // For a line that is longer than most, at once as much as the longest needs: it is moved once at the most.
            // Memory that is not touched costs nothing.
            let most = until.max(MAX_FRAME_BYTES + KEPT_CHUNK_BYTES);
            let capacity = if until <= KEPT_CHUNK_BYTES {
                KEPT_CHUNK_BYTES
            } else {
                most
            };
            self.bytes.truncate(self.end);
            self.bytes.reserve_exact(capacity - self.end);
        }
        if until > self.bytes.len() {
            self.bytes.resize(until, 0);
        }
        &mut self.bytes[self.end..until]
    }

    /// Takes so many bytes of the room into the text.
    pub(super) fn fill(&mut self, bytes: usize) {
        self.end += bytes;
    }

    /// Leaves so many bytes of the text out at its beginning.
    pub(super) fn skip(&mut self, bytes: usize) {
        self.start += bytes;
    }

    /// Leaves all but so many bytes of the text out.
    pub(super) fn truncate(&mut self, bytes: usize) {
        self.end = self.end.min(self.start + bytes);
    }
}
