//! The admission's state as bytes and back (docs/FORMAT.md, *State*).

use super::{Admission, Partition, PartitionIndex, Rules};
use crate::engine::calendar::{Period, WindowId};
use crate::engine::checkpoint::codec::{Damaged, Reader, put_len, put_second, put_time};
use crate::engine::checkpoint::{SavedAdmission, SavedPartition, SavedWindow};
use crate::engine::clock::PartitionClock;
use crate::engine::frame::EventTime;
use crate::engine::ledger::Ledger;
use crate::limits::SOURCE_MARK_MAX_BYTES;

impl Partition {
    fn save(&self) -> SavedPartition {
        let mut saved = SavedPartition {
            next_offset: self.next_offset,
            ..SavedPartition::default()
        };
        self.clock.write(&mut saved.clock);
        put_time(&mut saved.reading, self.since);
        saved.reading.push(u8::from(self.from_zero));
        saved
            .reading
            .extend_from_slice(&self.lost_before.to_le_bytes());
        put_second(&mut saved.reading, self.lost.map(u64::cast_signed));
        // Nobody's origin is 0: the brokers have it for "none" too.
        let origin = self.origin.unwrap_or(0);
        saved.reading.extend_from_slice(&origin.to_le_bytes());
        if !self.mark.is_empty() {
            put_len(&mut saved.reading, self.mark.len());
            saved.reading.extend_from_slice(&self.mark);
        }
        saved
    }

    fn restore(rules: &Rules, saved: &SavedPartition) -> Result<Self, Damaged> {
        let mut clock = Reader::new(&saved.clock, "a partition's clock");
        let mut reading = Reader::new(&saved.reading, "how a partition was read");
        let restored = Self {
            clock: PartitionClock::read(rules.clock, &mut clock)?,
            since: reading.time()?,
            from_zero: reading.bool()?,
            lost_before: reading.i64()?,
            lost: reading.second()?.map(i64::cast_unsigned),
            origin: Some(reading.u128()?).filter(|origin| *origin != 0),
            next_offset: saved.next_offset,
            mark: read_mark(&mut reading)?,
            // Until it is known that it is not: the watermark must not go on without it.
            unread: true,
            idle: false,
            finished: false,
        };
        clock.end()?;
        reading.end()?;
        Ok(restored)
    }
}

/// Only sources that find their offsets by themselves, such as files, keep something.
fn read_mark(reading: &mut Reader<'_>) -> Result<Vec<u8>, Damaged> {
    if reading.is_at_end() {
        return Ok(Vec::new());
    }
    let len = reading.len(1, SOURCE_MARK_MAX_BYTES)?;
    reading.bytes(len).map(<[u8]>::to_vec)
}

impl Admission {
    /// What is to be saved at this moment; of the windows those that changed since the last call.
    pub(super) fn save(&mut self) -> SavedAdmission {
        assert!(self.settled.is_empty(), "what was settled is on its way");
        let mut saved = SavedAdmission {
            partitions: self.partitions.iter().map(Partition::save).collect(),
            greatest_clock: self.partitions.iter().filter_map(|p| p.clock.now()).max(),
            windows: self.catalog.save(),
            ..SavedAdmission::default()
        };
        self.ledger.write(&mut saved.ledger);
        let rest = &mut saved.rest;
        put_time(rest, self.as_of);
        put_second(rest, self.watermark);
        put_time(rest, self.walked);
        put_time(rest, self.first_clock);
        rest.extend_from_slice(&self.catalog.next_seq().to_le_bytes());
        self.ledger.write_expired(rest);
        for retention_s in self.rules.retention_s {
            rest.extend_from_slice(&retention_s.to_le_bytes());
        }
        saved
    }

    /// What is to be saved of this admission, as it was when the input ended, once another one that began as it has settled
    /// what waited and closed windows.
    pub fn save_words(&mut self, after: &Self) -> SavedAdmission {
        self.catalog.take_words(&after.catalog);
        self.save()
    }

    /// An admission that goes on from what was saved. Its partitions are those that were saved, in their order; whether they
    /// hold anything to read is for [`Self::resume`] to say.
    ///
    /// # Errors
    ///
    /// When no admission can have saved it.
    pub fn restore(
        rules: Rules,
        saved: &SavedAdmission,
        windows: impl IntoIterator<Item = (WindowId, SavedWindow)>,
    ) -> Result<Self, Damaged> {
        let mut restored = Self::new(rules);
        for partition in &saved.partitions {
            let partition = Partition::restore(&restored.rules, partition)?;
            restored.partitions.push(partition);
        }
        let mut ledger = Reader::new(&saved.ledger, "the ledger");
        restored.ledger = Ledger::read(&mut ledger)?;
        ledger.end()?;
        let mut rest = Reader::new(&saved.rest, "what is known of time");
        restored.as_of = rest.time()?;
        restored.watermark = rest.second()?;
        restored.walked = rest.time()?;
        restored.first_clock = rest.time()?;
        restored.catalog.restore(rest.u64()?, windows)?;
        restored.ledger.read_expired(&mut rest)?;
        for _ in Period::ALL {
            // That of the run that saved it: what it forgot since is gone, and what this one keeps longer begins now.
            rest.i64()?;
        }
        rest.check(restored.is_sound())?;
        rest.end()?;
        Ok(restored)
    }

    /// The greatest event time that was counted.
    ///
    /// # Errors
    ///
    /// When no admission can have saved it.
    pub fn saved_as_of(saved: &SavedAdmission) -> Result<Option<EventTime>, Damaged> {
        Reader::new(&saved.rest, "what is known of time").time()
    }

    /// For how long the run that saved this kept windows, see [`Rules::retention_s`].
    ///
    /// # Errors
    ///
    /// When no admission can have saved it.
    pub fn saved_retention_s(saved: &SavedAdmission) -> Result<[i64; Period::ALL.len()], Damaged> {
        let bytes = size_of::<[i64; Period::ALL.len()]>();
        let from = saved.rest.len().checked_sub(bytes);
        let damaged = Damaged("what is known of time");
        let mut last = Reader::new(&saved.rest[from.ok_or(damaged)?..], damaged.0);
        let mut retention_s = [0; Period::ALL.len()];
        for retention_s in &mut retention_s {
            *retention_s = last.i64()?;
        }
        Ok(retention_s)
    }

    fn is_sound(&self) -> bool {
        let waiting: usize = self.partitions.iter().map(|p| p.clock.pending()).sum();
        let clocks = || self.partitions.iter().filter_map(|p| p.clock.now());
        self.ledger.pending == waiting as u64
            && self.as_of == clocks().max()
            && self.first_clock.is_some() == self.as_of.is_some()
            && self
                .first_clock
                .is_none_or(|first| Some(first) <= self.as_of)
            && self
                .watermark
                .is_none_or(|w| Some(w) <= self.as_of.map(i64::from))
    }

    /// Goes on in a partition that was restored; `unread` tells whether it holds frames to read.
    pub fn resume(&mut self, partition: PartitionIndex, unread: bool) {
        self.partitions[partition].unread = unread;
        self.advance_watermark();
    }
}
