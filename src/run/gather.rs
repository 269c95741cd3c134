//! What frames came down to, in batches: decoded where they are read, and admitted later in the same order, perhaps on
//! another thread. A frame itself is gone by then, but for those that may have to be put aside.

use std::ops::Range;
use std::time::Duration;

use super::set_aside::Keeps;
use crate::engine::admit::{Arrival, PartitionIndex};
use crate::engine::decode::{Decoder, Fields, WrongUnit};
use crate::engine::frame::Verdict;
use crate::error::Failure;
use crate::io::source::kafka::{Noticed, Order, Reader};
use crate::io::source::{Event, Source};
use crate::limits::{BYTES_PER_ROUND, MESSAGES_PER_CALL};

/// One thing that was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Gathered {
    /// A frame.
    Frame {
        arrival: Arrival,
        verdict: Verdict,
        /// Its length.
        bytes: usize,
        /// Where its bytes are in the batch, if they are there.
        kept: Option<Range<usize>>,
    },
    /// A partition was read to where it ends for now.
    ReachedEnd(PartitionIndex),
    /// A partition is read to its end and will deliver nothing more.
    Finished(PartitionIndex),
    /// A partition goes on elsewhere, as it was ordered: what was gathered of it before is of another past.
    WentOn(PartitionIndex),
}

/// One thing that was read, with the bytes of a frame if they were kept.
pub(super) type Next<'a> = (&'a Gathered, Option<&'a [u8]>);

/// What was gathered in one go. Used again and again, for its memory.
#[derive(Debug, Default)]
pub(super) struct Batch {
    gathered: Vec<Gathered>,
    /// The bytes of frames that may have to be put aside.
    kept: Vec<u8>,
    /// How many are taken out.
    taken: usize,
    /// What else was noticed.
    pub(super) noticed: Noticed,
    /// What the log should say about the unit of the event times.
    pub(super) wrong_unit: Option<WrongUnit>,
    /// Whether it is the answer to a question for the last word.
    pub(super) is_last_word: bool,
}

impl Batch {
    /// Leaves out what is not wanted before the next thing; returns whether there is one.
    pub(super) fn skip_to(&mut self, mut is_wanted: impl FnMut(&Gathered) -> bool) -> bool {
        while let Some(next) = self.gathered.get(self.taken) {
            if is_wanted(next) {
                return true;
            }
            self.taken += 1;
        }
        false
    }

    /// The next thing, with the bytes of a frame if they were kept.
    pub(super) fn take(&mut self) -> Option<Next<'_>> {
        let next = self.gathered.get(self.taken)?;
        self.taken += 1;
        let kept = match next {
            Gathered::Frame { kept, .. } => kept.clone(),
            _ => None,
        };
        Some((next, kept.map(|range| &self.kept[range])))
    }

    /// Whether everything is taken out.
    pub(super) fn is_done(&self) -> bool {
        self.taken == self.gathered.len()
    }

    /// Whether there is nothing in it, nor to say.
    pub(super) fn is_empty(&self) -> bool {
        let Noticed {
            trouble,
            lost_place,
        } = &self.noticed;
        let is_silent = trouble.is_none() && lost_place.is_empty() && self.wrong_unit.is_none();
        self.gathered.is_empty() && is_silent && !self.is_last_word
    }

    /// How often it says of a partition that this goes on elsewhere.
    pub(super) fn went_on(&self, partition: PartitionIndex) -> u32 {
        let says = |gathered: &&Gathered| **gathered == Gathered::WentOn(partition);
        self.gathered.iter().filter(says).count() as u32
    }

    /// Throws everything away, but for the memory.
    pub(super) fn clear(&mut self) {
        self.is_last_word = false;
        self.gathered.clear();
        self.taken = 0;
        self.kept.clear();
        if self.kept.capacity() > BYTES_PER_ROUND {
            self.kept = Vec::new();
        }
    }
}

/// Reads and decodes: one consumer, wherever its thread is.
pub(super) struct Gatherer {
    reader: Reader,
    decoder: Decoder,
    keeps: Keeps,
    /// Partitions that go on elsewhere, which the next batch says before anything else.
    went_on: Vec<PartitionIndex>,
}

impl Gatherer {
    pub(super) fn new(reader: Reader, fields: Fields, keeps: Keeps) -> Self {
        Self {
            reader,
            decoder: Decoder::new(fields),
            keeps,
            went_on: Vec::new(),
        }
    }

    /// Does as it is told.
    pub(super) fn obey(&mut self, order: Order) -> Result<(), Failure> {
        self.reader.obey(order)?;
        if let Order::GoOn { index, .. } = order {
            self.went_on.push(index);
        }
        Ok(())
    }

    /// Waits up to `wait` for something to read, and adds it to a batch.
    pub(super) fn gather(&mut self, wait: Duration, batch: &mut Batch) -> Result<(), Failure> {
        let (decoder, keeps) = (&mut self.decoder, self.keeps);
        let Batch {
            gathered,
            kept,
            noticed,
            ..
        } = batch;
        // What was noticed of these before is of another past too.
        let lost_place = &mut noticed.lost_place;
        lost_place.retain(|lost| !self.went_on.contains(&lost.partition));
        gathered.extend(self.went_on.drain(..).map(Gathered::WentOn));
        self.reader.poll(wait, &mut |event| {
            gathered.push(match event {
                Event::Frame {
                    partition,
                    offset,
                    appended,
                    payload,
                } => {
                    let verdict = decoder.decode(payload);
                    let keep = |frame: &[u8]| {
                        let start = kept.len();
                        kept.extend_from_slice(frame);
                        start..kept.len()
                    };
                    Gathered::Frame {
                        arrival: Arrival {
                            partition,
                            offset,
                            appended,
                        },
                        verdict,
                        bytes: payload.map_or(0, <[u8]>::len),
                        kept: payload.filter(|_| keeps.wants(verdict)).map(keep),
                    }
                }
                Event::ReachedEnd(partition) => Gathered::ReachedEnd(partition),
                Event::Finished(partition) => Gathered::Finished(partition),
            });
            Ok(None)
        })?;
        self.note(batch, false);
        Ok(())
    }

    /// Tends the client while there is nowhere to gather to.
    pub(super) fn tend(&mut self) -> Result<(), Failure> {
        self.reader.tend()
    }

    /// Adds what is to be said beside frames; with `at_end`, also what could not be told from few of them.
    pub(super) fn note(&mut self, batch: &mut Batch, at_end: bool) {
        let noticed = self.reader.take_noticed();
        batch.noticed.lost_place.extend(noticed.lost_place);
        batch.noticed.trouble = noticed.trouble.or(batch.noticed.trouble.take());
        batch.wrong_unit = self.decoder.take_wrong_unit(at_end).or(batch.wrong_unit);
    }
}

/// A batch with room for what one call brings.
pub(super) fn empty_batch() -> Batch {
    Batch {
        gathered: Vec::with_capacity(MESSAGES_PER_CALL + 1),
        ..Batch::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::frame::Reject;
    use crate::io::source::kafka::LostPlace;

    fn frame(offset: i64, kept: Option<Range<usize>>) -> Gathered {
        Gathered::Frame {
            arrival: Arrival {
                partition: 0,
                offset,
                appended: None,
            },
            verdict: Verdict::Rejected(Reject::Json),
            bytes: 3,
            kept,
        }
    }

    #[test]
    fn what_was_gathered_comes_out_in_order_with_the_bytes_that_were_kept() {
        let mut batch = empty_batch();
        assert!(batch.is_done() && batch.is_empty());
        batch.kept.extend_from_slice(b"onetwo");
        batch.gathered = vec![frame(7, Some(0..3)), frame(8, None), frame(9, Some(3..6))];
        assert_eq!(batch.take().unwrap().1, Some(&b"one"[..]));
        assert_eq!(batch.take().unwrap().1, None);
        let (last, bytes) = batch.take().unwrap();
        assert_eq!(*last, frame(9, Some(3..6)));
        assert_eq!(bytes, Some(&b"two"[..]));
        assert!(batch.take().is_none() && batch.is_done() && !batch.is_empty());
        batch.clear();
        assert!(batch.is_done() && batch.is_empty());
    }

    #[test]
    fn what_is_not_wanted_is_left_out() {
        let mut batch = empty_batch();
        batch.gathered = vec![
            frame(7, None),
            Gathered::WentOn(0),
            frame(0, None),
            Gathered::ReachedEnd(0),
        ];
        let is_wanted = |next: &Gathered| !matches!(next, Gathered::WentOn(_));
        let mut seen = 0;
        while batch.skip_to(is_wanted) {
            assert!(batch.take().is_some_and(|(next, _)| is_wanted(next)));
            seen += 1;
        }
        assert_eq!(seen, 3);
        assert!(batch.is_done());
    }

    #[test]
    fn what_is_only_to_be_said_makes_a_batch_worth_sending() {
        let mut batch = empty_batch();
        batch.noticed.lost_place.push(LostPlace {
            partition: 3,
            parted_at: None,
        });
        assert!(batch.is_done() && !batch.is_empty());
        batch = empty_batch();
        batch.is_last_word = true;
        assert!(!batch.is_empty());
    }
}
