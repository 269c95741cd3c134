//! The lines of files, decoded by several threads and handed over in order.
//!
//! Several files are as many partitions, read side by side by event time: the next line comes from the file whose
//! clock is least, so that windows can close as they would have live. Chunks of lines are decoded ahead; which of them are
//! is nobody's business: the lines come in the same order for any number of threads.

mod chunk;
mod crew;
#[cfg(test)]
mod tests;

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

pub(super) use self::chunk::Keep;
use self::chunk::{Decoded, Line};
use self::crew::{Crew, Done, Job};
use crate::engine::admit::PartitionIndex;
use crate::engine::decode::{Fields, Guess};
use crate::engine::frame::{EventTime, Verdict};
use crate::error::Failure;
use crate::io::source::chunks::{Chunks, Opened};
use crate::limits::CHUNKS_AHEAD_PER_THREAD;
use crate::observe::happenings::UnitMistaken;

/// What comes next.
pub(super) enum Next<'l> {
    /// A line.
    Line {
        /// The input.
        input: PartitionIndex,
        /// The number of the line in it, from 0.
        offset: i64,
        /// What it comes to.
        verdict: Verdict,
        /// The line itself, if it was to be kept.
        text: Option<&'l [u8]>,
    },
    /// An input has ended.
    End(PartitionIndex),
}

/// What to do after that.
pub(super) enum Then {
    /// Go on; with the clock of the line's input.
    Go(Option<EventTime>),
    /// Stop, for the time being or for good.
    Stop,
}

/// The lines of all inputs.
pub(super) struct Lines {
    feeds: Vec<Feed>,
    /// Unfinished inputs, the least clock first; one without a clock comes before all others.
    queue: BinaryHeap<Reverse<(Option<EventTime>, usize)>>,
    crew: Crew,
    guess: Guess,
    guesses: Arc<AtomicBool>,
    holds_rests: bool,
    /// What stood behind the last newline of inputs that have ended.
    rests: Vec<(usize, i64, Vec<u8>)>,
}

/// One input.
struct Feed {
    chunks: Arc<Chunks>,
    /// Chunks that are given to be decoded before the one at hand is through.
    ahead: u64,
    given: u64,
    taken: u64,
    arrived: BTreeMap<u64, Decoded>,
    at_hand: Decoded,
    line: i64,
}

impl Lines {
    /// The lines of these inputs, decoded by so many threads.
    ///
    /// # Errors
    ///
    /// When the system gives no thread.
    pub(super) fn start(
        inputs: Vec<Opened>,
        threads: usize,
        fields: &Fields,
        keep: Keep,
    ) -> Result<Self, Failure> {
        let all = if threads == 1 {
            1
        } else {
            CHUNKS_AHEAD_PER_THREAD * threads
        };
        let ahead = (all / inputs.len().max(1)).max(1);
        let guesses = Arc::new(AtomicBool::new(true));
        let crew = Crew::start(threads, ahead * inputs.len().max(1), fields, keep, &guesses)?;
        let feed = |Opened { chunks, line }| Feed {
            chunks: Arc::new(chunks),
            ahead: ahead as u64,
            given: 0,
            taken: 0,
            arrived: BTreeMap::new(),
            at_hand: Decoded::default(),
            line,
        };
        Ok(Self {
            queue: (0..inputs.len()).map(|i| Reverse((None, i))).collect(),
            feeds: inputs.into_iter().map(feed).collect(),
            crew,
            guess: Guess::new(fields.ts_unit),
            guesses,
            holds_rests: false,
            rests: Vec::new(),
        })
    }

    /// From now on what stands behind the last newline of an input is held back. Text must be kept.
    pub(super) fn hold_rests(&mut self) {
        self.holds_rests = true;
    }

    /// What stands behind the last newline of each finished input that has such, with the offset that it would have.
    pub(super) fn take_rests(&mut self) -> Vec<(usize, i64, Vec<u8>)> {
        std::mem::take(&mut self.rests)
    }

    /// Whether every line was handed over.
    pub(super) fn is_finished(&self) -> bool {
        self.queue.is_empty()
    }

    /// What the log should say about the unit of the event times: once, when enough of them have come, or with `at_end`
    /// any.
    pub(super) fn unit_mistaken(&mut self, at_end: bool) -> Option<UnitMistaken> {
        self.guess.take(at_end).map(UnitMistaken)
    }

    /// Hands over so many lines, if there are so many.
    ///
    /// # Errors
    ///
    /// When an input cannot be read on, or is damaged; the lines before that were handed over.
    pub(super) fn take(
        &mut self,
        mut most: usize,
        mut on: impl FnMut(Next<'_>) -> Then,
    ) -> Result<(), Failure> {
        while most > 0
            && let Some(Reverse((mut clock, input))) = self.queue.pop()
        {
            let others = self.queue.peek().map(|Reverse(least)| *least);
            loop {
                let Some((offset, line)) = self.next_line(input)? else {
                    if let Then::Stop = on(Next::End(input)) {
                        return Ok(());
                    }
                    break;
                };
                let next = Next::Line {
                    input,
                    offset,
                    verdict: line.verdict,
                    text: line.text,
                };
                most -= 1;
                let stops = match on(next) {
                    Then::Go(now) => {
                        clock = now;
                        most == 0
                    }
                    Then::Stop => {
                        most = 0;
                        true
                    }
                };
                if stops || others.is_some_and(|others| others < (clock, input)) {
                    self.queue.push(Reverse((clock, input)));
                    break;
                }
            }
        }
        Ok(())
    }

    fn next_line(&mut self, input: usize) -> Result<Option<(i64, Line<'_>)>, Failure> {
        loop {
            let feed = &mut self.feeds[input];
            if self.holds_rests && feed.at_hand.is_next_open() {
                let rest = feed.at_hand.next().and_then(|line| line.text);
                let rest = rest.unwrap_or_default().to_vec();
                self.rests.push((input, feed.line, rest));
            }
            if feed.at_hand.has_next() {
                break;
            }
            if let Some(failure) = feed.at_hand.failure.take() {
                return Err(failure);
            }
            if feed.at_hand.ended {
                feed.chunks.finish()?;
                return Ok(None);
            }
            self.next_chunk(input)?;
        }
        let feed = &mut self.feeds[input];
        let offset = feed.line;
        feed.line += 1;
        let line = feed.at_hand.next();
        if let Some(event_time) = line.as_ref().and_then(|line| line.event_time) {
            self.guess.note(event_time);
            if !self.guess.is_open() {
                self.guesses.store(false, Ordering::Relaxed);
            }
        }
        Ok(line.map(|line| (offset, line)))
    }

    fn next_chunk(&mut self, input: usize) -> Result<(), Failure> {
        let wanted = self.feeds[input].taken;
        self.feeds[input].give(input, &self.crew);
        loop {
            if let Some(decoded) = self.feeds[input].arrived.remove(&wanted) {
                self.feeds[input].at_hand = decoded;
                self.feeds[input].taken += 1;
                self.feeds[input].give(input, &self.crew);
                return Ok(());
            }
            let Done {
                feed,
                number,
                decoded,
            } = self.crew.take()?;
            self.feeds[feed].arrived.insert(number, decoded);
        }
    }
}

impl Feed {
    /// Gives as many chunks to be decoded as may be under way.
    fn give(&mut self, feed: usize, crew: &Crew) {
        while self.given < self.taken + self.ahead && !self.at_hand.ended {
            let is_wanted = self.given == self.taken;
            if !is_wanted && !self.chunks.is_worth_reading(self.given) {
                return;
            }
            crew.give(Job {
                feed,
                number: self.given,
                chunks: Arc::clone(&self.chunks),
            });
            self.given += 1;
        }
    }
}
