//! A chunk of lines, decoded: of each line what its admission needs, and the text of those that may have to be put aside.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::engine::decode::{Decoder, Fields};
use crate::engine::frame::Verdict;
use crate::error::Failure;
use crate::io::source::chunks::{ChunkBuffer, Chunks, Extent, Torn};
use crate::io::source::lines::unmarked;
use crate::limits::HINT_FRAMES;

/// Of which lines the text is kept until they are admitted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::run) enum Keep {
    /// Of none.
    Nothing,
    /// Of those that are no good frames.
    Rejected,
    /// Of all: which of them are quarantined turns out when they are admitted.
    All,
}

/// What the lines of a chunk come to.
#[derive(Default)]
pub(super) struct Decoded {
    verdicts: Vec<Verdict>,
    /// Event times for the guess at their unit, each with the number of its line: as many as it may need.
    event_times: Vec<(usize, Option<u64>)>,
    /// The text of the lines that are kept, one behind the other.
    text: Vec<u8>,
    /// For each of these its number and where it ends.
    kept: Vec<(usize, usize)>,
    /// Whether nothing comes behind this.
    pub(super) ended: bool,
    /// Whether the input's end ended the last line, and no newline.
    is_open: bool,
    /// Why nothing comes behind this.
    pub(super) failure: Option<Failure>,
    next: usize,
    next_event_time: usize,
    next_kept: usize,
    next_text: usize,
}

/// A line of a chunk.
pub(super) struct Line<'c> {
    pub(super) verdict: Verdict,
    pub(super) event_time: Option<Option<u64>>,
    pub(super) text: Option<&'c [u8]>,
}

impl Decoded {
    pub(super) fn has_next(&self) -> bool {
        self.next < self.verdicts.len()
    }

    /// Whether the next line may still be being written: there is no newline behind it.
    pub(super) fn is_next_open(&self) -> bool {
        self.is_open && self.next + 1 == self.verdicts.len()
    }

    pub(super) fn next(&mut self) -> Option<Line<'_>> {
        let line = self.next;
        let verdict = *self.verdicts.get(line)?;
        self.next += 1;
        let mut event_time = None;
        if let Some((of, ts)) = self.event_times.get(self.next_event_time)
            && *of == line
        {
            self.next_event_time += 1;
            event_time = Some(*ts);
        }
        let mut text = None;
        if let Some((of, end)) = self.kept.get(self.next_kept)
            && *of == line
        {
            self.next_kept += 1;
            text = Some(&self.text[self.next_text..*end]);
            self.next_text = *end;
        }
        Some(Line {
            verdict,
            event_time,
            text,
        })
    }
}

/// What a thread needs to read and decode chunks.
pub(super) struct Hand {
    decoder: Decoder,
    buffer: ChunkBuffer,
    keep: Keep,
    /// Whether event times are still looked at for their unit.
    guesses: Arc<AtomicBool>,
}

impl Hand {
    pub(super) fn new(fields: &Fields, keep: Keep, guesses: &Arc<AtomicBool>) -> Self {
        Self {
            decoder: Decoder::new(fields.clone()),
            buffer: ChunkBuffer::default(),
            keep,
            guesses: Arc::clone(guesses),
        }
    }

    /// Reads and decodes a chunk; see [`Chunks::read`]. Returns its number too.
    pub(super) fn work(
        &mut self,
        chunks: &Chunks,
        number: u64,
        may_wait: bool,
    ) -> Option<(u64, Decoded)> {
        let mut decoded = Decoded::default();
        match chunks.read(number, &mut self.buffer, may_wait)? {
            Ok(Extent { number, ended }) => {
                decoded.ended = ended;
                decoded.is_open = ended && !self.buffer.is_terminated();
                self.decode(&mut decoded);
                Some((number, decoded))
            }
            Err(Torn { number, why }) => {
                decoded.failure = Some(why);
                Some((number, decoded))
            }
        }
    }

    fn decode(&mut self, to: &mut Decoded) {
        let guesses = self.guesses.load(Ordering::Relaxed);
        for (number, line) in self.buffer.lines().enumerate() {
            let verdict = self.decoder.decode(Some(unmarked(line)));
            to.verdicts.push(verdict);
            if guesses
                && to.event_times.len() < HINT_FRAMES as usize
                && let Some(ts) = self.decoder.noted()
            {
                to.event_times.push((number, ts));
            }
            let keeps = match self.keep {
                Keep::Nothing => false,
                Keep::Rejected => matches!(verdict, Verdict::Rejected(_)),
                Keep::All => true,
            };
            if keeps {
                to.text.extend_from_slice(line);
                to.kept.push((number, to.text.len()));
            }
        }
    }
}
