//! The records, field by field as docs/FORMAT.md lists them. Keys in a fixed order, counts as integers.

use std::sync::Arc;

use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};

use crate::engine::barrier::{Answer, ClosedBy, Snapshot, Stage, WindowFacts};
use crate::engine::calendar::{Calendar, WindowId};
use crate::engine::checkpoint::book::StateDigest;
use crate::engine::frame::EventTime;
use crate::engine::ledger::Ledger;
use crate::engine::sketch::Precision;
use crate::engine::sketch::estimate::{Tally, Users};
use crate::limits::PARTITIONS_PER_WINDOW_MAX;

/// The schema of a tick.
pub const STATS_SCHEMA: &str = "headcount.stats/1";
/// The schema of a calendar window's record.
pub const WINDOW_SCHEMA: &str = "headcount.window/1";

/// An object with its keys in the order of the list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pairs<K, V>(pub Vec<(K, V)>);

impl<K: Serialize, V: Serialize> Serialize for Pairs<K, V> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (key, value) in &self.0 {
            map.serialize_entry(key, value)?;
        }
        map.end()
    }
}

/// The ledger as records show it: `read = counted + ignored + quarantined + sum of rejected + pending`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LedgerRecord {
    /// Frames delivered.
    pub read: u64,
    /// Frames that count.
    pub counted: u64,
    /// Of those: late ones.
    pub late: u64,
    /// Of those: by period, frames that came after its retention.
    pub expired: Pairs<&'static str, u64>,
    /// Frames of a placeholder user.
    pub ignored: u64,
    /// Good frames whose time is not believed.
    pub quarantined: u64,
    /// Those by reason.
    pub quarantined_by: Pairs<&'static str, u64>,
    /// Good frames that wait for others to confirm their time.
    pub pending: u64,
    /// Frames without a valid user and time, by reason.
    pub rejected: Pairs<&'static str, u64>,
}

impl LedgerRecord {
    /// A ledger as records show it.
    #[must_use]
    pub fn new(ledger: &Ledger) -> Self {
        Self {
            read: ledger.read,
            counted: ledger.counted,
            late: ledger.late,
            expired: Pairs(ledger.expired().map(|(p, n)| (p.name(), n)).collect()),
            ignored: ledger.ignored,
            quarantined: ledger.quarantined().map(|(_, n)| n).sum(),
            quarantined_by: Pairs(ledger.quarantined().map(|(q, n)| (q.name(), n)).collect()),
            pending: ledger.pending,
            rejected: Pairs(ledger.rejected().map(|(r, n)| (r.name(), n)).collect()),
        }
    }
}

/// Where the input stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SourceRecord {
    #[serde(skip_serializing_if = "Option::is_none")]
    topic: Option<String>,
    /// How many partitions there are, where they are too many to be listed.
    #[serde(skip_serializing_if = "Option::is_none")]
    partitions: Option<usize>,
    /// The next offset of each partition: all before it are reflected.
    #[serde(skip_serializing_if = "Option::is_none")]
    offsets: Option<Pairs<String, i64>>,
    /// Partitions whose clock is ahead of most others', and by how many seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    ahead: Option<Pairs<String, u32>>,
    /// Partitions of which frames were lost, and how many offsets.
    #[serde(skip_serializing_if = "Option::is_none")]
    lost: Option<Pairs<String, u64>>,
}

/// What a service adds to its records and a finished input does not have: these depend on when it ran.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Emitted {
    emitted_at: String,
    epoch: u64,
}

/// How a service itself fares: for people and monitoring, no part of the counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct ProcessRecord {
    /// Time since the start, milliseconds.
    pub uptime_ms: u64,
    /// CPU time of all threads since the start, milliseconds; `None` where the system does not tell.
    pub cpu_ms: Option<u64>,
    /// Resident memory, bytes; `None` where the system does not tell.
    pub resident_bytes: Option<u64>,
    /// Bytes of the frames read since the start.
    pub read_bytes: u64,
    /// Frames that were published and not yet read at the moment of the tick; `None` before the brokers have told.
    pub lag: Option<u64>,
}

/// One tick: the trailing windows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct StatsRecord {
    /// Distinct users of the 60 s up to `as_of`.
    pub users_last_minute: u64,
    /// Of the 3,600 s.
    pub users_last_hour: u64,
    /// Of the 86,400 s.
    pub users_last_day: u64,
    /// Of the 604,800 s.
    pub users_last_week: u64,
    /// Since one calendar month ago.
    pub users_last_month: u64,
    /// Since one calendar year ago.
    pub users_last_year: u64,
    schema: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    job: Option<String>,
    /// Greatest counted event time; `null` before the first counted frame.
    pub as_of: Option<EventTime>,
    /// From when on the counts are whole (docs/FORMAT.md).
    pub since: Option<EventTime>,
    /// The event time before which no frame on time is expected any more.
    pub watermark: Option<i64>,
    #[serde(flatten)]
    emitted: Option<Emitted>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tick: Option<u64>,
    /// The 95 % intervals.
    pub intervals: Pairs<&'static str, (u64, u64)>,
    /// The ledger.
    pub frames: LedgerRecord,
    #[serde(skip_serializing_if = "Option::is_none")]
    coalesced: Option<Coalesced>,
    #[serde(skip_serializing_if = "Option::is_none")]
    process: Option<ProcessRecord>,
    precision: u8,
    /// The zone.
    pub tz: String,
    source: SourceRecord,
    #[serde(skip_serializing_if = "Option::is_none")]
    state_digest: Option<String>,
    /// Only in the last tick of a service that stops as it should.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    stopped: bool,
    /// [`Self::as_of`] as RFC 3339 in the zone, for people.
    #[serde(skip)]
    as_of_text: Option<String>,
}

/// One trailing window of a tick.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrailingRow {
    /// `last_minute` to `last_year`.
    pub name: &'static str,
    /// Its last instant, RFC 3339 in the zone.
    pub as_of: Option<String>,
    /// Distinct users.
    pub users: u64,
    /// Lower bound of the 95 % interval.
    pub lo: u64,
    /// Upper bound.
    pub hi: u64,
}

impl StatsRecord {
    /// Adds the digest of the state that was saved at the tick's barrier.
    pub fn reflect(&mut self, digest: StateDigest) {
        self.state_digest = Some(format!("{:032x}", digest.0));
    }

    /// Says that no tick follows.
    pub fn take_leave(&mut self) {
        self.stopped = true;
    }

    /// The trailing windows, the shortest first.
    #[must_use]
    pub fn trailing_rows(&self) -> Vec<TrailingRow> {
        let users = [
            self.users_last_minute,
            self.users_last_hour,
            self.users_last_day,
            self.users_last_week,
            self.users_last_month,
            self.users_last_year,
        ];
        let rows = self.intervals.0.iter().zip(users);
        rows.map(|((name, (lo, hi)), users)| TrailingRow {
            name,
            as_of: self.as_of_text.clone(),
            users,
            lo: *lo,
            hi: *hi,
        })
        .collect()
    }
}

/// Records that a slow output topic never got, because newer ones took their place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Coalesced {
    /// Ticks.
    pub ticks: u64,
    /// Provisional window records.
    pub provisionals: u64,
}

/// One calendar window.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct WindowRecord {
    /// The period's name.
    pub window: &'static str,
    /// First instant, RFC 3339 in the zone.
    pub start: String,
    /// First instant after it.
    pub end: String,
    /// The zone.
    pub tz: String,
    /// Distinct users.
    pub users: u64,
    /// Lower bound of the 95 % interval.
    pub lo: u64,
    /// Upper bound; equal bounds mean that the number is exact.
    pub hi: u64,
    /// Frames counted in it.
    pub frames: u64,
    /// Of those: late ones.
    pub late: u64,
    /// `provisional`, `final` or `revised`.
    pub state: &'static str,
    /// `event_time`, `idle` or `end`; not in provisional records.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub closed_by: Option<&'static str>,
    /// Whether every frame of it can have been read.
    pub complete: bool,
    /// The number of the window's revision, without gaps from 1, 0 in the final; not in provisional records.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub revision: Option<u32>,
    /// The number among all finals and revisions, without gaps; not in provisional records.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seq: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tick: Option<u64>,
    schema: &'static str,
    /// Shared: thousands of windows may close at one moment, each with the offsets of hundreds of partitions.
    #[serde(flatten)]
    context: Option<Arc<Context>>,
}

/// What a service's window record says of the moment it was put out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct Context {
    job: String,
    as_of: Option<EventTime>,
    since: Option<EventTime>,
    watermark: Option<i64>,
    #[serde(flatten)]
    emitted: Emitted,
    ledger: LedgerRecord,
    source: SourceRecord,
}

/// What makes a service's records its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Service {
    /// The job's name.
    pub job: String,
    /// The input topic or topics, comma-separated.
    pub topic: String,
    /// The start's unix time in milliseconds.
    pub epoch: u64,
}

/// Puts records together.
#[derive(Debug, Clone)]
pub struct Recorder {
    precision: Precision,
    calendar: Calendar,
    service: Option<Service>,
    last_tick: u64,
}

/// A window's record, and what its key and place in the outbox are made from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WindowOutput {
    /// Which window.
    pub id: WindowId,
    /// Where it stands.
    pub stage: Stage,
    /// The record.
    pub record: WindowRecord,
}

impl Recorder {
    /// A recorder; `service` is absent for a finished input, whose records depend on the input alone.
    #[must_use]
    pub fn new(precision: Precision, calendar: Calendar, service: Option<Service>) -> Self {
        Self {
            precision,
            calendar,
            service,
            last_tick: 0,
        }
    }

    /// The tick of a barrier, if it asked for trailing windows. `partitions` names the partitions by index; `health` is
    /// a service's.
    pub fn stats(
        &mut self,
        snapshot: &Snapshot,
        answer: &Answer,
        partitions: &[String],
        now_ms: u64,
        health: Option<(Coalesced, ProcessRecord)>,
    ) -> Option<StatsRecord> {
        let tallies = answer.trailing.as_ref()?;
        self.last_tick = snapshot.tick.unwrap_or(self.last_tick);
        let users = tallies.each_ref().map(|tally| self.users(tally));
        let names = [
            "last_minute",
            "last_hour",
            "last_day",
            "last_week",
            "last_month",
            "last_year",
        ];
        let intervals = names.into_iter().zip(users.map(|u| (u.lo, u.hi)));
        Some(StatsRecord {
            users_last_minute: users[0].users,
            users_last_hour: users[1].users,
            users_last_day: users[2].users,
            users_last_week: users[3].users,
            users_last_month: users[4].users,
            users_last_year: users[5].users,
            schema: STATS_SCHEMA,
            job: self.service.as_ref().map(|s| s.job.clone()),
            as_of: snapshot.as_of,
            since: snapshot.since,
            watermark: snapshot.watermark,
            emitted: self.emitted(now_ms),
            tick: self.service.as_ref().and(snapshot.tick),
            intervals: Pairs(intervals.collect()),
            frames: LedgerRecord::new(&snapshot.ledger),
            coalesced: health.map(|(coalesced, _)| coalesced),
            process: health.map(|(_, process)| process),
            precision: self.precision.bits(),
            tz: self.calendar.name().to_owned(),
            source: self.source(snapshot, partitions),
            state_digest: None,
            stopped: false,
            as_of_text: snapshot.as_of.map(|at| self.calendar.rfc3339(at.into())),
        })
    }

    /// The windows of a barrier, in its order.
    #[must_use]
    pub fn windows(
        &self,
        snapshot: &Snapshot,
        answer: &Answer,
        partitions: &[String],
        now_ms: u64,
    ) -> Vec<WindowOutput> {
        if snapshot.windows.is_empty() {
            return Vec::new();
        }
        let context = self.context(snapshot, partitions, now_ms).map(Arc::new);
        snapshot
            .windows
            .iter()
            .zip(&answer.windows)
            .map(|(facts, tally)| WindowOutput {
                id: facts.id,
                stage: facts.stage,
                record: self.window(facts, self.users(tally), context.clone()),
            })
            .collect()
    }

    fn users(&self, tally: &Tally) -> Users {
        tally.users(self.precision)
    }

    fn window(
        &self,
        facts: &WindowFacts,
        users: Users,
        context: Option<Arc<Context>>,
    ) -> WindowRecord {
        let last_tick = Some(self.last_tick);
        let (state, closed_by, revision, seq, tick) = match facts.stage {
            Stage::Provisional => ("provisional", None, None, None, last_tick),
            Stage::Final { seq, closed_by } => ("final", Some(closed_by), Some(0), Some(seq), None),
            Stage::Revised {
                seq,
                closed_by,
                revision,
            } => ("revised", Some(closed_by), Some(revision), Some(seq), None),
        };
        WindowRecord {
            window: facts.id.period.name(),
            start: self.calendar.rfc3339(facts.id.start),
            end: self.calendar.rfc3339(facts.end),
            tz: self.calendar.name().to_owned(),
            users: users.users,
            lo: users.lo,
            hi: users.hi,
            frames: facts.frames,
            late: facts.late,
            state,
            closed_by: closed_by.map(ClosedBy::name),
            complete: facts.complete,
            revision,
            seq,
            tick,
            schema: WINDOW_SCHEMA,
            context,
        }
    }

    fn emitted(&self, now_ms: u64) -> Option<Emitted> {
        self.service.as_ref().map(|service| Emitted {
            emitted_at: rfc3339_ms(now_ms),
            epoch: service.epoch,
        })
    }

    fn context(&self, snapshot: &Snapshot, partitions: &[String], now_ms: u64) -> Option<Context> {
        Some(Context {
            job: self.service.as_ref()?.job.clone(),
            as_of: snapshot.as_of,
            since: snapshot.since,
            watermark: snapshot.watermark,
            emitted: self.emitted(now_ms)?,
            ledger: LedgerRecord::new(&snapshot.ledger),
            source: match partitions.len() {
                0..=PARTITIONS_PER_WINDOW_MAX => self.source(snapshot, partitions),
                too_many => SourceRecord {
                    topic: self.topic(),
                    partitions: Some(too_many),
                    offsets: None,
                    ahead: None,
                    lost: None,
                },
            },
        })
    }

    fn topic(&self) -> Option<String> {
        self.service.as_ref().map(|s| s.topic.clone())
    }

    fn source(&self, snapshot: &Snapshot, partitions: &[String]) -> SourceRecord {
        let offsets = partitions.iter().cloned();
        SourceRecord {
            topic: self.topic(),
            partitions: None,
            offsets: Some(Pairs(
                offsets.zip(snapshot.offsets.iter().copied()).collect(),
            )),
            ahead: named(&snapshot.ahead, partitions),
            lost: named(&snapshot.lost, partitions),
        }
    }
}

/// What is known of some partitions, by name, if there are any.
fn named<T: Copy>(known: &[(usize, T)], partitions: &[String]) -> Option<Pairs<String, T>> {
    let known = known.iter();
    let named = known.filter_map(|(index, what)| Some((partitions.get(*index)?.clone(), *what)));
    Some(Pairs(named.collect())).filter(|named: &Pairs<_, _>| !named.0.is_empty())
}

/// The key of a window's record. A provisional one has a key of its own, so that compaction never lets it take the
/// place of a final.
#[must_use]
pub fn window_key(job: &str, id: WindowId, stage: Stage) -> String {
    let [key, provisional] = window_keys(job, id);
    match stage {
        Stage::Provisional => provisional,
        Stage::Final { .. } | Stage::Revised { .. } => key,
    }
}

/// Both keys under which there may be records of a window.
#[must_use]
pub fn window_keys(job: &str, id: WindowId) -> [String; 2] {
    let key = format!("{job}|{}|{}", id.period.name(), id.start);
    let provisional = format!("{key}|provisional");
    [key, provisional]
}

fn rfc3339_ms(unix_ms: u64) -> String {
    let at = i64::try_from(unix_ms)
        .ok()
        .and_then(|ms| jiff::Timestamp::from_millisecond(ms).ok())
        .unwrap_or(jiff::Timestamp::MAX);
    format!("{at:.3}")
}

#[cfg(test)]
mod tests;
