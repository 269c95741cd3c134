//! Frames in doubt: sent by an earlier run that died before it knew their fate. The topic's last records tell.

use std::collections::VecDeque;
use std::sync::atomic::Ordering;
use std::time::Duration;

use xxhash_rust::xxh3::xxh3_128;

use crate::error::Failure;
use crate::io::target::topic::Topic;
use crate::limits::{RECORD_OVERHEAD_BYTES, REPLAY_REFUSALS_IN_A_ROW, REPLAY_TAIL_RECORDS};
use crate::run::Stop;

/// For each partition the records behind the last one that is known to be acknowledged, by their digests.
#[derive(Debug)]
pub(super) struct Doubt {
    tails: Vec<VecDeque<(u128, i64)>>,
    /// Frames of a partition that were not found, one after the other.
    misses: Vec<u64>,
    /// Batches as large as this are always taken.
    max_message_bytes: usize,
}

impl Doubt {
    /// Nothing is in doubt.
    pub(super) fn none(partitions: usize) -> Self {
        Self {
            tails: vec![VecDeque::new(); partitions],
            misses: vec![0; partitions],
            max_message_bytes: 0,
        }
    }

    /// Reads the topic from these offsets to its present end. With it comes, if frames cannot be looked for in all
    /// partitions, the reason.
    ///
    /// # Errors
    ///
    /// When the topic is out of reach.
    pub(super) fn read(
        topic: &Topic,
        offsets: &[Option<i64>],
        max_message_bytes: Option<usize>,
        patience: Duration,
        stop: &Stop,
    ) -> Result<(Self, Option<String>), Failure> {
        let mut doubt = Self::none(offsets.len());
        doubt.max_message_bytes = max_message_bytes.unwrap_or(0);
        let mut why = None;
        let mut ranges = Vec::new();
        for (partition, offset) in offsets.iter().enumerate() {
            let (low, high) = topic.watermarks(partition)?;
            match offset {
                Some(offset) if *offset > high => {
                    return Err(Failure::Data(format!(
                        "partition {partition} of the topic ends at {high}, before the position at {offset}: was the topic made anew? Delete the position file to start anew"
                    )));
                }
                Some(offset) if low <= *offset => ranges.push((partition, *offset, high)),
                _ if low == high && low == 0 => {}
                Some(_) => why = Some(format!("records of partition {partition} are deleted")),
                None => why = Some(format!("the place in partition {partition} is unknown")),
            }
        }
        let mut room = REPLAY_TAIL_RECORDS;
        let is_allowed = topic.read(&ranges, patience, &mut |record| {
            if let Some(record) = record {
                let digest = xxh3_128(record.payload);
                doubt.tails[record.partition].push_back((digest, record.offset));
                room -= 1;
            }
            room > 0 && !stop.load(Ordering::Relaxed)
        })?;
        if room == 0 {
            why = Some(format!("it has over {REPLAY_TAIL_RECORDS} new records"));
        }
        if !is_allowed {
            why = Some("no right to read it".to_owned());
        }
        Ok((doubt, why))
    }

    /// The offset of the next frame of a partition if it is in the topic already. Frames are asked about in their order.
    ///
    /// Records of others may lie between ours, but ours are in order and without a gap other than a frame that was
    /// refused as too large: the first other frame that is missing ends the search.
    pub(super) fn find(&mut self, partition: usize, frame: &[u8]) -> Option<i64> {
        let tail = &mut self.tails[partition];
        if tail.is_empty() {
            return None;
        }
        let digest = xxh3_128(frame);
        if let Some(at) = tail.iter().position(|(record, _)| *record == digest) {
            self.misses[partition] = 0;
            return tail.drain(..=at).next_back().map(|(_, offset)| offset);
        }
        self.misses[partition] += 1;
        let was_taken = frame.len() + RECORD_OVERHEAD_BYTES <= self.max_message_bytes;
        if was_taken || self.misses[partition] > REPLAY_REFUSALS_IN_A_ROW {
            *tail = VecDeque::new();
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn doubt(records: &[&str]) -> Doubt {
        Doubt {
            tails: vec![
                (40..)
                    .zip(records)
                    .map(|(offset, r)| (xxh3_128(r.as_bytes()), offset))
                    .collect(),
            ],
            misses: vec![0],
            max_message_bytes: RECORD_OVERHEAD_BYTES + 10,
        }
    }

    fn asked(doubt: &mut Doubt, frames: &[&str]) -> Vec<Option<i64>> {
        let ask = |frame: &&str| doubt.find(0, frame.as_bytes());
        frames.iter().map(ask).collect()
    }

    #[test]
    fn what_is_there_is_found_in_order_and_what_comes_after_the_first_gap_is_not() {
        let mut all = doubt(&["a", "foreign", "b", "b", "c"]);
        assert_eq!(
            asked(&mut all, &["a", "b", "b", "b", "c"]),
            [Some(40), Some(42), Some(43), None, None]
        );
        assert_eq!(asked(&mut doubt(&[]), &["a"]), [None]);
        // As many as are there: of equal frames none is lost.
        assert_eq!(
            asked(&mut doubt(&["a", "a"]), &["a", "a", "a"]),
            [Some(40), Some(41), None]
        );
    }

    #[test]
    fn a_frame_that_may_have_been_refused_does_not_end_the_search() {
        let large = "too large for the topic";
        assert_eq!(
            asked(&mut doubt(&["a", "b"]), &["a", large, "b", "c"]),
            [Some(40), None, Some(41), None]
        );
    }
}
