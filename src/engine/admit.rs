//! Admission: which frames count, the watermark, and the ledger.
//!
//! Whether a frame counts is decided by its partition's clock, from the partition's frames in their order, and from
//! nothing else: not from batches, ticks, threads or other partitions. When windows are closed depends on all
//! partitions, on which of them are idle, and then on the time that the caller says has passed.
//!
//! Invariants: 1. The ledger balances after every frame. 2. The watermark never falls, walked or not. 3. What a
//! partition's clock says does not depend on the other partitions.

mod joined;
mod look;
mod pace;
mod saved;

use self::pace::{Bearing, Pace};
use super::barrier::{Barrier, Question, Snapshot};
use super::calendar::{Calendar, Period};
use super::catalog::{Ask, Catalog, Completeness, Emission, Passed};
use super::clock::{Claim, ClockRules, Fate, PartitionClock, Quarantine};
use super::frame::{EventTime, Sighting, Verdict};
use super::ledger::Ledger;
use crate::limits::{HOUSEKEEPING_EVERY_S, MAX_EVENT_TIME_S};

/// What the admission goes by.
#[derive(Debug, Clone)]
pub struct Rules {
    /// Where windows begin and end.
    pub calendar: Calendar,
    /// What the partitions' clocks go by.
    pub clock: ClockRules,
    /// How long a period's windows are kept after their end, in seconds behind the watermark.
    pub retention_s: [i64; Period::ALL.len()],
    /// When windows are put out.
    pub emission: Emission,
    /// The periods whose windows are kept, as a set of [`Period::bit`]s.
    pub periods: u8,
}

/// The index of a partition: of a topic's partition, or of a file.
pub type PartitionIndex = usize;

/// Where a frame comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Arrival {
    /// Its partition.
    pub partition: PartitionIndex,
    /// Its offset there.
    pub offset: i64,
    /// When a broker wrote it, by the broker's own clock (`LogAppendTime`), unix seconds. A producer's own time
    /// (`CreateTime`) is no witness: it comes from the same clock as the frame's.
    pub appended: Option<EventTime>,
}

/// What became of a frame at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Admitted {
    /// It counts: for the shards to record.
    Counted(Sighting),
    /// Not yet decided; [`Admission::take_settled`] will tell.
    Held,
    /// It does not count.
    Quarantined(Quarantine),
    /// It was ignored or rejected, as its verdict says.
    Neither,
}

/// What became of a frame that was held.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settled {
    /// The frame's partition.
    pub partition: PartitionIndex,
    /// Its offset there.
    pub offset: i64,
    /// A sighting for the shards to record, or why it does not count.
    pub outcome: Result<Sighting, Quarantine>,
    /// The partition's clock when that was decided; `None` before it was established.
    pub clock: Option<EventTime>,
}

#[derive(Debug, Clone)]
struct Partition {
    clock: PartitionClock,
    /// From when on this partition was followed, if it was not read from its first offset ever.
    since: Option<EventTime>,
    from_zero: bool,
    /// Before this offset frames were lost.
    lost_before: i64,
    /// How many offsets were lost, where any frames were.
    lost: Option<u64>,
    next_offset: i64,
    /// What it is a part of, where that is known.
    origin: Option<u128>,
    /// What its source keeps to find this offset again; nothing here looks into it.
    mark: Vec<u8>,
    /// Whether it is known to hold frames that were not delivered yet.
    unread: bool,
    /// Whether it is known to have had no frames for a while.
    idle: bool,
    /// Whether it will deliver nothing more.
    finished: bool,
    /// What the pace has of it.
    bearing: Bearing,
    /// The offset from which on this run has read it.
    resumed_at: i64,
}

impl Partition {
    /// The clock, if the watermark waits for it.
    fn active_clock(&self) -> Option<EventTime> {
        let is_active = !self.finished && !self.idle;
        self.clock.now().filter(|_| is_active)
    }
}

/// Admits frames: judges their time, counts them in their windows, and keeps the ledger.
#[derive(Debug, Clone)]
pub struct Admission {
    rules: Rules,
    partitions: Vec<Partition>,
    pace: Pace,
    catalog: Catalog,
    ledger: Ledger,
    as_of: Option<EventTime>,
    watermark: Option<i64>,
    /// Where the clock has walked while all partitions were idle.
    walked: Option<EventTime>,
    /// The clock of the first partition to have one; the least such clock of all.
    first_clock: Option<EventTime>,
    next_housekeeping: Option<i64>,
    ticks: u64,
    settled: Vec<Settled>,
    /// Whether the input has ended.
    ended: bool,
    /// Of one call, kept for its memory.
    fates: Vec<(Claim, Fate)>,
}

impl Admission {
    /// An admission that has seen nothing.
    #[must_use]
    pub fn new(rules: Rules) -> Self {
        let catalog = Catalog::new(&rules);
        Self {
            rules,
            partitions: Vec::new(),
            pace: Pace::default(),
            catalog,
            ledger: Ledger::default(),
            as_of: None,
            watermark: None,
            walked: None,
            first_clock: None,
            next_housekeeping: None,
            ticks: 0,
            settled: Vec::new(),
            ended: false,
            fates: Vec::new(),
        }
    }

    /// From now on, keeps note of what is to be saved.
    pub fn keep_unsaved(&mut self) {
        self.catalog.keep_unsaved();
    }

    /// Adds a partition that will be read from an offset on; `unread` tells whether it holds frames to read. Until
    /// one of these is counted, the watermark waits for it.
    pub fn add_partition(&mut self, start_offset: i64, unread: bool) -> PartitionIndex {
        self.push(Partition {
            clock: PartitionClock::new(self.rules.clock),
            since: None,
            from_zero: start_offset == 0,
            lost_before: 0,
            lost: None,
            next_offset: start_offset,
            origin: None,
            mark: Vec::new(),
            unread,
            idle: false,
            finished: false,
            bearing: Bearing::default(),
            resumed_at: start_offset,
        });
        self.advance_watermark();
        self.partitions.len() - 1
    }

    fn push(&mut self, partition: Partition) {
        self.partitions.push(partition);
        self.bear(self.partitions.len() - 1);
    }

    /// Admits one frame. It may decide about frames before it that were held: see [`Self::take_settled`].
    pub fn admit(&mut self, arrival: Arrival, verdict: Verdict) -> Admitted {
        let partition = &mut self.partitions[arrival.partition];
        partition.next_offset = arrival.offset + 1;
        if std::mem::replace(&mut partition.idle, false) {
            self.bear(arrival.partition);
            // It may be the slowest one that the watermark waits for, and further on than the last of these was.
            self.advance_watermark();
        }
        match verdict {
            Verdict::Rejected(reason) => {
                self.ledger.reject(reason);
                Admitted::Neither
            }
            Verdict::Ignored => {
                self.ledger.read += 1;
                self.ledger.ignored += 1;
                Admitted::Neither
            }
            Verdict::Seen(hash, ts) => {
                let offset = arrival.offset;
                self.judge(arrival, Claim { hash, ts, offset })
            }
        }
    }

    fn judge(&mut self, arrival: Arrival, claim: Claim) -> Admitted {
        self.ledger.read += 1;
        self.ledger.pending += 1;
        let partition = &mut self.partitions[arrival.partition];
        let before = partition.clock.now();
        let fate = partition
            .clock
            .judge(claim, arrival.appended, &mut self.fates);
        self.note_since(arrival.partition, fate.map(|fate| (claim, fate)));
        if fate.is_none() && before.is_none() {
            self.catalog.expect(claim.ts, self.watermark);
        }
        // Before the watermark follows: a frame does not expire because it had to wait.
        if !self.fates.is_empty() {
            self.settle_fates(arrival.partition, before.is_none());
        }
        if before.is_none() {
            self.release_waiting(arrival.partition);
        }
        self.follow_clock(arrival.partition, before);
        match fate.map(|fate| self.conclude(claim, fate, false)) {
            None => Admitted::Held,
            Some(Ok(sighting)) => Admitted::Counted(sighting),
            Some(Err(quarantine)) => Admitted::Quarantined(quarantine),
        }
    }

    /// Notes from when on a partition is followed, by the first frame to count of those that came behind a loss.
    fn note_since(&mut self, index: PartitionIndex, own: Option<(Claim, Fate)>) {
        let partition = &mut self.partitions[index];
        if partition.since.is_none() {
            let mut fates = self.fates.iter().copied().chain(own);
            let counts = fates.any(|(claim, fate)| {
                matches!(fate, Fate::Counted { .. }) && claim.offset >= partition.lost_before
            });
            partition.since = partition.clock.now().filter(|_| counts);
        }
    }

    /// Records of an earlier run may have told of frames that waited.
    fn doubt_quarantined(&mut self) {
        for (claim, fate) in &self.fates {
            if matches!(fate, Fate::Quarantined(_)) {
                self.catalog.doubt(claim.ts);
            }
        }
    }

    /// What waits in a partition that has a clock is ahead of it: no window is kept for that, and no record goes on telling of it.
    fn release_waiting(&mut self, partition: PartitionIndex) {
        let clock = &self.partitions[partition].clock;
        if clock.now().is_some() {
            for ts in clock.waiting() {
                self.catalog.doubt(ts);
                self.catalog.release(ts);
            }
        }
    }

    /// Enters what became of frames that waited, and tells; `had_no_clock` tells whether their windows were kept for them.
    fn settle_fates(&mut self, partition: PartitionIndex, had_no_clock: bool) {
        self.doubt_quarantined();
        let clock = self.partitions[partition].clock.now();
        let resumed_at = self.partitions[partition].resumed_at;
        let mut fates = std::mem::take(&mut self.fates);
        for (claim, fate) in fates.drain(..) {
            let outcome = self.conclude(claim, fate, claim.offset < resumed_at);
            if had_no_clock {
                self.catalog.release(claim.ts);
            }
            self.settled.push(Settled {
                partition,
                offset: claim.offset,
                outcome,
                clock,
            });
        }
        self.fates = fates;
    }

    /// Enters what became of a frame. One that an earlier run has left waiting is in the last records of windows that are gone by
    /// now, where ends of runs tell of such.
    fn conclude(
        &mut self,
        claim: Claim,
        fate: Fate,
        was_left: bool,
    ) -> Result<Sighting, Quarantine> {
        let Claim { hash, ts, .. } = claim;
        self.ledger.pending -= 1;
        match fate {
            Fate::Quarantined(reason) => {
                self.ledger.quarantine(reason);
                Err(reason)
            }
            Fate::Counted { late } => {
                self.ledger.counted += 1;
                self.ledger.late += u64::from(late);
                let periods = if was_left && self.catalog.has_later_runs() {
                    let mut told = Ledger::default();
                    self.catalog.count(claim, late, self.watermark, &mut told)
                } else {
                    let ledger = &mut self.ledger;
                    self.catalog.count(claim, late, self.watermark, ledger)
                };
                Ok(Sighting { hash, ts, periods })
            }
        }
    }

    /// Hands over what became of frames that were held, in the order in which it was decided.
    pub fn take_settled(&mut self) -> std::vec::Drain<'_, Settled> {
        self.settled.drain(..)
    }

    /// Whether anything was decided about frames that were held.
    #[must_use]
    pub fn has_settled(&self) -> bool {
        !self.settled.is_empty()
    }

    /// Notes that a partition was read to its end (for now): the watermark no longer waits for its first frame.
    pub fn reach_end(&mut self, partition: PartitionIndex) {
        if std::mem::replace(&mut self.partitions[partition].unread, false) {
            self.bear(partition);
            self.advance_watermark();
        }
    }

    /// Notes that a partition has been at its end for a while: the watermark goes on without it until its next frame.
    /// Only who knows that there is nothing to read may say so: a broker's silence is not the users'.
    pub fn rest(&mut self, partition: PartitionIndex) {
        if !std::mem::replace(&mut self.partitions[partition].idle, true) {
            self.bear(partition);
            self.advance_watermark();
        }
    }

    /// Notes that nobody can say any more whether there is something to read: no partition is idle until that is known
    /// again, and time does not walk.
    pub fn wake_all(&mut self) {
        for index in 0..self.partitions.len() {
            self.partitions[index].idle = false;
            self.bear(index);
        }
        self.advance_watermark();
    }

    /// Whether every partition that may still deliver is idle, and there is a clock to walk on from.
    #[must_use]
    pub fn all_rest(&self) -> bool {
        let mut going = self.partitions.iter().filter(|p| !p.finished);
        self.as_of.is_some() && going.all(|p| p.idle)
    }

    /// Lets the clock walk on while all partitions are idle, up to this second, so that the last windows close too. It
    /// closes windows and is the end of the trailing ones; nothing is late, evicted or quarantined because of it.
    pub fn walk_to(&mut self, second: EventTime) {
        if self.all_rest() {
            self.walked = self.walked.max(Some(second.min(MAX_EVENT_TIME_S)));
        }
    }

    /// Notes that a partition will deliver nothing more: what is held of it is settled, and the watermark goes on without
    /// it.
    pub fn finish(&mut self, partition: PartitionIndex) {
        let finished = &mut self.partitions[partition];
        let before = finished.clock.now();
        finished.clock.settle(&mut self.fates);
        self.note_since(partition, None);
        self.settle_fates(partition, before.is_none());
        self.follow_clock(partition, before);
        self.close(partition);
    }

    /// Notes that a partition will deliver nothing more in this run. What is held of it goes on waiting.
    pub fn close(&mut self, partition: PartitionIndex) {
        self.partitions[partition].finished = true;
        self.partitions[partition].unread = false;
        self.bear(partition);
        self.advance_watermark();
    }

    /// Notes an offset that no frame was delivered for, such as a transaction's end.
    pub fn pass(&mut self, partition: PartitionIndex, next_offset: i64) {
        let next = &mut self.partitions[partition].next_offset;
        *next = next_offset.max(*next);
    }

    /// Notes that frames of a partition were lost: it goes on at another offset. Nobody knows when the lost ones were
    /// from, so it is whole only from its next counted frame on, and until then no window is complete.
    pub fn gap(&mut self, index: PartitionIndex, next_offset: i64) {
        let partition = &mut self.partitions[index];
        // Where it was made anew, nobody knows how many.
        let offsets = next_offset.saturating_sub(partition.next_offset).max(0);
        *partition.lost.get_or_insert(0) += offsets.cast_unsigned();
        partition.next_offset = next_offset;
        partition.from_zero = false;
        partition.lost_before = next_offset;
        partition.since = None;
        self.bear(index);
    }

    /// What a partition is a part of: the id of its topic, say. `None` while that is not known.
    #[must_use]
    pub fn origin(&self, partition: PartitionIndex) -> Option<u128> {
        self.partitions[partition].origin
    }

    /// Notes what a partition is a part of. It is saved with the offsets: whoever finds another origin under the same name has
    /// another partition before it.
    pub fn set_origin(&mut self, partition: PartitionIndex, origin: u128) {
        self.partitions[partition].origin = Some(origin);
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
            .collect(ask, self.passed(), self.completeness());
        self.ticks += u64::from(ask.trailing);
        // At the end what was settled for its records alone is not saved: see `save_words`.
        let saved = (ask.save && !ask.end && !self.ended).then(|| Box::new(self.save()));
        self.ended |= ask.end;
        Barrier {
            question: Question {
                trailing: ask
                    .trailing
                    .then(|| self.rules.calendar.trailing(self.as_of().unwrap_or(0))),
                windows: collected.windows.iter().map(|facts| facts.id).collect(),
                cooled: collected.cooled,
                evicted: collected.evicted,
                save: saved.is_some(),
            },
            snapshot: Snapshot {
                tick: ask.trailing.then_some(self.ticks),
                as_of: self.as_of(),
                watermark: self.passed().closed(),
                event_watermark: self.watermark,
                since: self.since(),
                ahead: self.ahead(),
                lost: self.lost(),
                ledger: self.ledger.clone(),
                offsets: self.partitions.iter().map(|p| p.next_offset).collect(),
                windows: collected.windows,
            },
            more: collected.more,
            saved,
        }
    }

    /// The calendar, with the windows that a state had.
    #[must_use]
    pub fn calendar(&self) -> &Calendar {
        &self.rules.calendar
    }

    /// The greatest counted event time, or where the clock has walked if that is later.
    #[must_use]
    pub fn as_of(&self) -> Option<EventTime> {
        self.as_of.max(self.walked)
    }

    fn passed(&self) -> Passed {
        Passed {
            watermark: self.watermark,
            walked: self.walked.map(|at| i64::from(at) - self.lateness_s()),
        }
    }

    /// Partitions whose clock is further ahead of that of most others than one frame may be, and by how many seconds.
    /// While some are being caught up with, all are where their reading has come, which says nothing.
    #[must_use]
    pub fn ahead(&self) -> Vec<(PartitionIndex, u32)> {
        let partitions = self.partitions.iter();
        let mut active: Vec<_> = partitions.filter_map(Partition::active_clock).collect();
        if active.len() < 2 || self.partitions.iter().any(|p| p.unread) {
            return Vec::new();
        }
        active.sort_unstable();
        let usual = active[(active.len() - 1) / 2];
        let ahead = self.partitions.iter().enumerate().filter_map(|(i, p)| {
            let by = p.active_clock()?.checked_sub(usual)?;
            (by > self.rules.clock.max_jump_s).then_some((i, by))
        });
        ahead.collect()
    }

    /// Partitions of which frames were lost, and how many offsets.
    fn lost(&self) -> Vec<(PartitionIndex, u64)> {
        let partitions = self.partitions.iter().enumerate();
        partitions.filter_map(|(i, p)| Some((i, p.lost?))).collect()
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

    /// What the source keeps to find a partition's next offset again; empty where it keeps nothing.
    #[must_use]
    pub fn mark(&self, partition: PartitionIndex) -> &[u8] {
        &self.partitions[partition].mark
    }

    /// Keeps something for the source, to be saved with the offset that it belongs to.
    pub fn set_mark(&mut self, partition: PartitionIndex, mark: Vec<u8>) {
        self.partitions[partition].mark = mark;
    }

    /// A partition's clock: the greatest event time counted from it.
    #[must_use]
    pub fn clock(&self, partition: PartitionIndex) -> Option<EventTime> {
        self.partitions[partition].clock.now()
    }

    /// How many frames of a partition wait to be confirmed.
    #[must_use]
    pub fn pending(&self, partition: PartitionIndex) -> usize {
        self.partitions[partition].clock.pending()
    }

    /// Whether a partition is known to hold frames that were not delivered yet, since reading began.
    #[must_use]
    pub fn is_unread(&self, partition: PartitionIndex) -> bool {
        self.partitions[partition].unread
    }

    /// The least clock with which a partition was established, where reading began.
    #[must_use]
    pub fn first_clock(&self) -> Option<EventTime> {
        self.first_clock
    }

    /// The watermark, in unix seconds. It is event time: the walked clock does not move it.
    #[must_use]
    pub fn watermark(&self) -> Option<i64> {
        self.watermark
    }
}
