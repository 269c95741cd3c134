//! The admission's state as bytes and back (docs/FORMAT.md, *State*).

use super::{Admission, Bearing, Partition, PartitionIndex, Rules};
use crate::engine::calendar::{Period, WindowId};
use crate::engine::catalog::Catalog;
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
            bearing: Bearing::default(),
            resumed_at: saved.next_offset,
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

const KNOWN_OF_TIME: &str = "what is known of time";

/// What was saved beside partitions, ledger and windows.
struct Rest {
    as_of: Option<EventTime>,
    watermark: Option<i64>,
    walked: Option<EventTime>,
    first_clock: Option<EventTime>,
    next_seq: u64,
    /// A ledger of nothing but frames that came after a period's retention.
    expired: Ledger,
    retention_s: [i64; Period::ALL.len()],
    gone_until: [i64; Period::ALL.len()],
}

impl Rest {
    fn read(bytes: &[u8]) -> Result<Self, Damaged> {
        let mut from = Reader::new(bytes, KNOWN_OF_TIME);
        let mut rest = Self {
            as_of: from.time()?,
            watermark: from.second()?,
            walked: from.time()?,
            first_clock: from.time()?,
            next_seq: from.u64()?,
            expired: Ledger::default(),
            retention_s: [0; Period::ALL.len()],
            gone_until: [i64::MIN; Period::ALL.len()],
        };
        rest.expired.read_expired(&mut from)?;
        for retention_s in &mut rest.retention_s {
            *retention_s = from.i64()?;
        }
        // Only where a run has kept windows longer than one before it.
        if !from.is_at_end() {
            for gone_until in &mut rest.gone_until {
                *gone_until = from.i64()?;
            }
        }
        from.end()?;
        Ok(rest)
    }
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
        for gone_until in self.catalog.gone_until().into_iter().flatten() {
            rest.extend_from_slice(&gone_until.to_le_bytes());
        }
        saved
    }

    /// Splits off the admission as it is, for the state, before the end of the input settles what waits and closes windows: see
    /// [`Self::save_words`].
    #[must_use]
    pub fn split_at_end(&mut self) -> Self {
        let before = self.catalog.split_at_end();
        // It is the largest part, and split already.
        let after = std::mem::replace(&mut self.catalog, Catalog::new(&self.rules));
        let split = Self {
            catalog: before,
            ..self.clone()
        };
        self.catalog = after;
        split
    }

    /// What is to be saved of this admission, as it was when the input ended, once another one that began as it has settled
    /// what waited and closed windows: what it has said of them since the last call.
    pub fn save_words(&mut self, after: &mut Self) -> SavedAdmission {
        self.catalog.take_words(&mut after.catalog);
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
            restored.push(partition);
        }
        let mut ledger = Reader::new(&saved.ledger, "the ledger");
        restored.ledger = Ledger::read(&mut ledger)?;
        ledger.end()?;
        let rest = Rest::read(&saved.rest)?;
        (restored.as_of, restored.watermark) = (rest.as_of, rest.watermark);
        (restored.walked, restored.first_clock) = (rest.walked, rest.first_clock);
        restored.catalog.restore(rest.next_seq, windows)?;
        restored.ledger.add(&rest.expired);
        restored.catalog.forget_until(rest.gone_until);
        // What the run that saved this has forgotten by then is gone, however long windows are kept from now on.
        let mut gone_until = [i64::MIN; Period::ALL.len()];
        for (period, gone_until) in Period::ALL.into_iter().zip(&mut gone_until) {
            let kept_s = rest.retention_s[period as usize];
            if let Some(watermark) = rest.watermark
                && kept_s < restored.rules.retention_s[period as usize]
            {
                *gone_until = watermark.saturating_sub(kept_s);
            }
        }
        restored.catalog.forget_until(gone_until);
        if !restored.is_sound() {
            return Err(Damaged(KNOWN_OF_TIME));
        }
        let clockless = restored.partitions.iter();
        for partition in clockless.filter(|p| p.clock.now().is_none()) {
            for ts in partition.clock.waiting() {
                restored.catalog.expect_again(ts, restored.watermark);
            }
        }
        Ok(restored)
    }

    /// The greatest event time that was counted.
    ///
    /// # Errors
    ///
    /// When no admission can have saved it.
    pub fn saved_as_of(saved: &SavedAdmission) -> Result<Option<EventTime>, Damaged> {
        Reader::new(&saved.rest, KNOWN_OF_TIME).time()
    }

    /// For how long the run that saved this kept windows, see [`Rules::retention_s`].
    ///
    /// # Errors
    ///
    /// When no admission can have saved it.
    pub fn saved_retention_s(saved: &SavedAdmission) -> Result<[i64; Period::ALL.len()], Damaged> {
        Ok(Rest::read(&saved.rest)?.retention_s)
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
        self.bear(partition);
        self.advance_watermark();
    }
}
