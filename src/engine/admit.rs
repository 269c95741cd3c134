//! Admission: each partition's clock, the watermark, and the ledger.
//!
//! The decisions depend on the frames and the order in which they are delivered, and on nothing else: not on batches,
//! ticks or threads.
//!
//! Invariants: 1. The ledger balances after every frame. 2. The watermark never falls. 3. A partition's clock never
//! falls.

use super::barrier::{Barrier, Question, Snapshot};
use super::calendar::{Calendar, Period};
use super::catalog::{Ask, Catalog, Completeness, Emission};
use super::frame::{EventTime, Sighting, Verdict};
use super::ledger::Ledger;
use crate::limits::HOUSEKEEPING_EVERY_S;

/// What the admission goes by.
#[derive(Debug, Clone)]
pub struct Rules {
    /// Where windows begin and end.
    pub calendar: Calendar,
    /// How far behind its partition's clock a frame is still on time, in seconds.
    pub lateness_s: u32,
    /// How long a period's windows are kept after their end, in seconds behind the watermark.
    pub retention_s: [i64; Period::ALL.len()],
    /// When windows are put out.
    pub emission: Emission,
    /// The periods whose windows are kept, as a set of [`Period::bit`]s.
    pub periods: u8,
}

/// The index of a partition: of a topic's partition, or of a file.
pub type PartitionIndex = usize;

#[derive(Debug)]
struct Partition {
    /// Greatest counted event time.
    clock: Option<EventTime>,
    /// From when on this partition was followed, if it was not read from its first offset ever.
    since: Option<EventTime>,
    from_zero: bool,
    next_offset: i64,
    /// Whether it is known to hold frames that were not delivered yet.
    unread: bool,
    /// Whether it will deliver nothing more.
    finished: bool,
}

/// Admits frames: judges their time, counts them in their windows, and keeps the ledger.
#[derive(Debug)]
pub struct Admission {
    rules: Rules,
    partitions: Vec<Partition>,
    catalog: Catalog,
    ledger: Ledger,
    as_of: Option<EventTime>,
    watermark: Option<i64>,
    /// The clock of the first partition to have one; the least such clock of all.
    first_clock: Option<EventTime>,
    next_housekeeping: Option<i64>,
    ticks: u64,
}

impl Admission {
    /// An admission that has seen nothing.
    #[must_use]
    pub fn new(rules: Rules) -> Self {
        let catalog = Catalog::new(&rules);
        Self {
            rules,
            partitions: Vec::new(),
            catalog,
            ledger: Ledger::default(),
            as_of: None,
            watermark: None,
            first_clock: None,
            next_housekeeping: None,
            ticks: 0,
        }
    }

    /// Adds a partition that will be read from an offset on; `unread` tells whether it holds frames to read. Until
    /// one of these is delivered, the watermark waits for it.
    pub fn add_partition(&mut self, start_offset: i64, unread: bool) -> PartitionIndex {
        self.partitions.push(Partition {
            clock: None,
            since: None,
            from_zero: start_offset == 0,
            next_offset: start_offset,
            unread,
            finished: false,
        });
        self.advance_watermark();
        self.partitions.len() - 1
    }

    /// Admits one frame. `next_offset` is the offset after it. Returns what the shards have to record.
    pub fn admit(
        &mut self,
        partition: PartitionIndex,
        next_offset: i64,
        verdict: Verdict,
    ) -> Option<Sighting> {
        self.partitions[partition].next_offset = next_offset;
        match verdict {
            Verdict::Rejected(reason) => {
                self.ledger.reject(reason);
                None
            }
            Verdict::Ignored => {
                self.ledger.read += 1;
                self.ledger.ignored += 1;
                None
            }
            Verdict::Seen(hash, ts) => {
                self.ledger.read += 1;
                self.ledger.counted += 1;
                let late = self.advance_clock(partition, ts);
                self.ledger.late += u64::from(late);
                let periods = self
                    .catalog
                    .count(ts, late, self.watermark, &mut self.ledger);
                Some(Sighting { hash, ts, periods })
            }
        }
    }

    /// Moves a partition's clock; returns whether the frame is late.
    fn advance_clock(&mut self, index: PartitionIndex, ts: EventTime) -> bool {
        let partition = &mut self.partitions[index];
        let before = partition.clock;
        let clock = before.map_or(ts, |clock| clock.max(ts));
        partition.clock = Some(clock);
        self.as_of = self.as_of.max(Some(ts));
        partition.since = partition.since.or(Some(clock));
        if before.is_none() {
            self.first_clock = Some(self.first_clock.map_or(ts, |first| first.min(ts)));
        }
        if before != Some(clock) {
            // Only the slowest partition's clock moves the watermark.
            let slowest = self.watermark.map(|w| w + i64::from(self.rules.lateness_s));
            if before.is_none_or(|b| slowest.is_none_or(|s| i64::from(b) <= s)) {
                self.advance_watermark();
            }
        }
        i64::from(ts) < i64::from(clock) - i64::from(self.rules.lateness_s)
    }

    fn advance_watermark(&mut self) {
        for p in &mut self.partitions {
            // What a partition held before it was joined is gone by now, so it is older than what was counted since.
            if !p.from_zero && !p.unread && p.since.is_none() && p.clock.is_none() {
                p.since = self.as_of;
            }
        }
        if self
            .partitions
            .iter()
            .any(|p| p.clock.is_none() && p.unread)
        {
            return;
        }
        let active = self.partitions.iter().filter(|p| !p.finished);
        let slowest = active.filter_map(|p| p.clock).min();
        let reached = slowest.map(|clock| i64::from(clock) - i64::from(self.rules.lateness_s));
        self.watermark = self.watermark.max(reached);
    }

    /// Notes that a partition was read to its end (for now): the watermark no longer waits for its first frame.
    pub fn reach_end(&mut self, partition: PartitionIndex) {
        if std::mem::replace(&mut self.partitions[partition].unread, false) {
            self.advance_watermark();
        }
    }

    /// Notes that a partition will deliver nothing more, so that the watermark goes on without it.
    pub fn finish(&mut self, partition: PartitionIndex) {
        self.partitions[partition].finished = true;
        self.partitions[partition].unread = false;
        self.advance_watermark();
    }

    /// Notes an offset that no frame was delivered for, such as a transaction's end.
    pub fn pass(&mut self, partition: PartitionIndex, next_offset: i64) {
        let next = &mut self.partitions[partition].next_offset;
        *next = next_offset.max(*next);
    }

    /// Notes that frames of a partition were lost: it goes on at another offset. Nobody knows when the lost ones were
    /// from, so it is whole only from its next counted frame on, and until then no window is complete.
    pub fn gap(&mut self, partition: PartitionIndex, next_offset: i64) {
        let partition = &mut self.partitions[partition];
        partition.next_offset = next_offset;
        partition.from_zero = false;
        partition.since = None;
    }

    /// Whether windows should be closed and evicted before the next frame is admitted.
    #[must_use]
    pub fn housekeeping_is_due(&self) -> bool {
        match (self.watermark, self.next_housekeeping) {
            (Some(watermark), Some(next)) => watermark >= next,
            (watermark, None) => watermark.is_some(),
            (None, Some(_)) => false,
        }
    }

    /// Raises a barrier. While it says `more`, another one must follow before the next frame (with `trailing` off).
    pub fn barrier(&mut self, ask: Ask) -> Barrier {
        self.next_housekeeping = self.watermark.map(|w| w + i64::from(HOUSEKEEPING_EVERY_S));
        assert!(self.ledger.balances(), "every frame has one verdict");
        let collected = self
            .catalog
            .collect(ask, self.watermark, self.completeness());
        self.ticks += u64::from(ask.trailing);
        Barrier {
            question: Question {
                trailing: ask
                    .trailing
                    .then(|| self.rules.calendar.trailing(self.as_of.unwrap_or(0))),
                windows: collected.windows.iter().map(|facts| facts.id).collect(),
                cooled: collected.cooled,
                evicted: collected.evicted,
            },
            snapshot: Snapshot {
                tick: ask.trailing.then_some(self.ticks),
                as_of: self.as_of,
                watermark: self.watermark,
                since: self.since(),
                ledger: self.ledger.clone(),
                offsets: self.partitions.iter().map(|p| p.next_offset).collect(),
                windows: collected.windows,
            },
            more: collected.more,
        }
    }

    fn completeness(&self) -> Completeness {
        let mut joined = self.partitions.iter().filter(|p| !p.from_zero).peekable();
        if joined.peek().is_none() {
            return Completeness::Always;
        }
        let since = joined.map(|p| p.since.map(i64::from));
        let since: Option<Vec<_>> = since.collect();
        since
            .and_then(|s| s.into_iter().max())
            .map_or(Completeness::Unknown, Completeness::Since)
    }

    /// The record's `since`: of partitions not read from offset 0 the greatest, of all others the least first clock.
    fn since(&self) -> Option<EventTime> {
        match self.completeness() {
            Completeness::Always => self.first_clock,
            Completeness::Since(since) => EventTime::try_from(since).ok(),
            Completeness::Unknown => None,
        }
    }

    /// The ledger.
    #[must_use]
    pub fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// The offset after the last one of a partition that was admitted or passed.
    #[must_use]
    pub fn next_offset(&self, partition: PartitionIndex) -> i64 {
        self.partitions[partition].next_offset
    }

    /// A partition's clock: the greatest event time counted from it.
    #[must_use]
    pub fn clock(&self, partition: PartitionIndex) -> Option<EventTime> {
        self.partitions[partition].clock
    }

    /// The watermark, in unix seconds.
    #[must_use]
    pub fn watermark(&self) -> Option<i64> {
        self.watermark
    }
}
