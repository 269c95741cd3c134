//! The oracle: everything the engine has to say, from plain sets and the rules of the design, the slow way.

use std::collections::{BTreeMap, BTreeSet};

use headcount::engine::admit::Rules;
use headcount::engine::catalog::{Ask, Emission};
use headcount::engine::frame::{UserHash, Verdict};
use headcount::limits::MAX_EVENT_TIME_S;

use super::script::Step;
use super::zone::Zone;

pub type Users = BTreeSet<UserHash>;
/// Period by its place in `Period::ALL`, and first second.
pub type Key = (usize, i64);

#[derive(Debug, Clone)]
struct Partition {
    from_zero: bool,
    clock: Option<i64>,
    first_clock: Option<i64>,
    unread: bool,
    idle: bool,
    finished: bool,
    offset: i64,
}

#[derive(Debug, Clone)]
struct Window {
    end: i64,
    users: Users,
    frames: u64,
    late: u64,
    changed: bool,
    closed: bool,
    /// What closed it, and how often it was revised, once it is final.
    last_word: Option<(Closed, u32)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Closed {
    EventTime,
    Idle,
    End,
}

/// What a window's record says of its place in the window's life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Said {
    Provisional,
    Final(Closed),
    Revised(Closed, u32),
}

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Counts {
    pub read: u64,
    pub counted: u64,
    pub late: u64,
    pub ignored: u64,
    pub quarantined: BTreeMap<&'static str, u64>,
    pub pending: u64,
    pub rejected: BTreeMap<&'static str, u64>,
    pub expired: BTreeMap<usize, u64>,
}

/// A window that has to be put out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Due {
    pub end: i64,
    pub users: Users,
    pub frames: u64,
    pub late: u64,
    pub complete: bool,
    pub said: Said,
}

/// What the barriers raised at one moment have to say, together.
#[derive(Debug, Clone)]
pub struct Expected {
    pub ask: Ask,
    pub tick: Option<u64>,
    pub as_of: Option<i64>,
    pub watermark: Option<i64>,
    pub since: Option<i64>,
    pub counts: Counts,
    pub offsets: Vec<i64>,
    /// Start and users of each trailing window.
    pub trailing: Vec<(i64, Users)>,
    pub due: BTreeMap<Key, Due>,
    pub evicted: BTreeSet<Key>,
    /// The `seq` of the first final or revision among them.
    pub first_seq: u64,
}

#[derive(Debug, Clone)]
pub struct Oracle {
    zone: Zone,
    lateness_s: i64,
    max_lateness_s: i64,
    retention_s: [i64; 6],
    emission: Emission,
    periods: u8,
    partitions: Vec<Partition>,
    windows: BTreeMap<Key, Window>,
    last_seen: BTreeMap<UserHash, i64>,
    counts: Counts,
    as_of: Option<i64>,
    watermark: Option<i64>,
    walked: Option<i64>,
    ticks: u64,
    next_seq: u64,
}

impl Oracle {
    pub fn new(zone: Zone, rules: &Rules) -> Self {
        Self {
            zone,
            lateness_s: rules.clock.lateness_s.into(),
            max_lateness_s: rules.clock.max_lateness_s.into(),
            retention_s: rules.retention_s,
            emission: rules.emission,
            periods: rules.periods,
            partitions: Vec::new(),
            windows: BTreeMap::new(),
            last_seen: BTreeMap::new(),
            counts: Counts::default(),
            as_of: None,
            watermark: None,
            walked: None,
            ticks: 0,
            next_seq: 1,
        }
    }

    pub fn play(&mut self, step: &Step) {
        match *step {
            Step::Add { start, unread } => self.partitions.push(Partition {
                from_zero: start == 0,
                clock: None,
                first_clock: None,
                unread,
                idle: false,
                finished: false,
                offset: start,
            }),
            Step::Frame { partition, verdict } => self.frame(partition, verdict),
            Step::ReachEnd(partition) => self.partitions[partition].unread = false,
            Step::Rest(partition) => self.partitions[partition].idle = true,
            Step::Walk(second) => self.walk(second.into()),
            Step::Finish(partition) => {
                self.partitions[partition].finished = true;
                self.partitions[partition].unread = false;
            }
            Step::Pass(partition) => self.partitions[partition].offset += 1,
            Step::Barrier(_) => {}
        }
        self.move_watermark();
    }

    fn frame(&mut self, partition: usize, verdict: Verdict) {
        self.partitions[partition].offset += 1;
        self.partitions[partition].idle = false;
        self.counts.read += 1;
        match verdict {
            Verdict::Rejected(reason) => {
                *self.counts.rejected.entry(reason.name()).or_default() += 1;
            }
            Verdict::Ignored => self.counts.ignored += 1,
            Verdict::Seen(user, ts) => self.count(partition, user, ts.into()),
        }
    }

    fn count(&mut self, partition: usize, user: UserHash, ts: i64) {
        let partition = &mut self.partitions[partition];
        if partition
            .clock
            .is_some_and(|clock| clock - ts > self.max_lateness_s)
        {
            *self.counts.quarantined.entry("behind").or_default() += 1;
            return;
        }
        partition.clock = partition.clock.max(Some(ts));
        partition.first_clock = partition.first_clock.or(Some(ts));
        let late = ts < partition.clock.unwrap() - self.lateness_s;
        self.as_of = self.as_of.max(Some(ts));
        self.counts.counted += 1;
        self.counts.late += u64::from(late);
        let last = self.last_seen.entry(user).or_insert(ts);
        *last = ts.max(*last);
        self.move_watermark();
        for period in (0..6).filter(|period| self.periods >> period & 1 == 1) {
            let (start, end) = self.zone.window(period, ts);
            if self.is_expired(period, end) {
                *self.counts.expired.entry(period).or_default() += 1;
                continue;
            }
            let window = self
                .windows
                .entry((period, start))
                .or_insert_with(|| Window {
                    end,
                    users: Users::new(),
                    frames: 0,
                    late: 0,
                    changed: false,
                    closed: false,
                    last_word: None,
                });
            window.users.insert(user);
            window.frames += 1;
            window.late += u64::from(late);
            window.changed = true;
        }
    }

    fn is_expired(&self, period: usize, end: i64) -> bool {
        self.has_passed(end + self.retention_s[period])
    }

    fn has_passed(&self, second: i64) -> bool {
        self.watermark.is_some_and(|watermark| watermark >= second)
    }

    /// Time walks on while nothing can come: everything that is still followed rests, and there is a time to walk from.
    fn walk(&mut self, second: i64) {
        let followed = self.partitions.iter().filter(|p| !p.finished);
        if self.as_of.is_some() && followed.filter(|p| !p.idle).count() == 0 {
            self.walked = self.walked.max(Some(second.min(MAX_EVENT_TIME_S.into())));
        }
    }

    fn as_of(&self) -> Option<i64> {
        self.as_of.max(self.walked)
    }

    /// The watermark of the records: it closes windows wherever it comes from.
    fn closing(&self) -> Option<i64> {
        self.watermark
            .max(self.walked.map(|at| at - self.lateness_s))
    }

    fn move_watermark(&mut self) {
        if self
            .partitions
            .iter()
            .any(|p| p.unread && p.clock.is_none())
        {
            return;
        }
        let active = self.partitions.iter().filter(|p| !p.finished && !p.idle);
        let slowest = active.filter_map(|p| p.clock).min();
        self.watermark = self
            .watermark
            .max(slowest.map(|clock| clock - self.lateness_s));
    }

    fn since(&self) -> Option<i64> {
        let firsts = |from_zero: bool| {
            let partitions = self.partitions.iter();
            partitions
                .filter(move |p| p.from_zero == from_zero)
                .map(|p| p.first_clock)
        };
        if firsts(false).next().is_none() {
            return firsts(true).flatten().min();
        }
        let joined: Option<Vec<i64>> = firsts(false).collect();
        joined?.into_iter().max()
    }

    fn is_complete(&self, start: i64) -> bool {
        let from_zero = self.partitions.iter().all(|p| p.from_zero);
        from_zero || self.since().is_some_and(|since| start >= since)
    }

    /// What barriers raised now have to say; notes that they have said it.
    pub fn barrier(&mut self, ask: Ask) -> Expected {
        self.ticks += u64::from(ask.trailing);
        let starts = self.zone.trailing(self.as_of().unwrap_or(0));
        let trailing = starts.map(|start| {
            let inside = self.last_seen.iter().filter(|(_, last)| **last > start);
            (start, inside.map(|(user, _)| *user).collect())
        });
        let mut expected = Expected {
            ask,
            tick: ask.trailing.then_some(self.ticks),
            as_of: self.as_of(),
            watermark: self.closing(),
            since: self.since(),
            counts: self.counts.clone(),
            offsets: self.partitions.iter().map(|p| p.offset).collect(),
            trailing: if ask.trailing {
                trailing.to_vec()
            } else {
                Vec::new()
            },
            due: BTreeMap::new(),
            evicted: BTreeSet::new(),
            first_seq: self.next_seq,
        };
        for key in self.windows.keys().copied().collect::<Vec<_>>() {
            self.put_out(key, ask, &mut expected);
        }
        for key in &expected.evicted {
            self.windows.remove(key);
        }
        let numbered = expected.due.values();
        let numbered = numbered.filter(|due| due.said != Said::Provisional);
        self.next_seq += numbered.count() as u64;
        expected
    }

    fn put_out(&mut self, key: Key, ask: Ask, expected: &mut Expected) {
        let complete = self.is_complete(key.1);
        let end = self.windows[&key].end;
        let closed_by = if self.has_passed(end) {
            Closed::EventTime
        } else if self.closing().is_some_and(|at| at >= end) {
            Closed::Idle
        } else {
            Closed::End
        };
        let expired = self.is_expired(key.0, end);
        let once = self.emission == Emission::Once;
        let window = self.windows.get_mut(&key).unwrap();
        let over = closed_by != Closed::End || ask.end;
        let becomes_final = if once {
            expired || ask.end
        } else {
            over && !window.closed && complete
        };
        window.closed |= over;
        // What is about to be forgotten has its last word now.
        let speaks = (ask.changed || expired) && window.changed && !once;
        let said = match &mut window.last_word {
            None if becomes_final => {
                window.last_word = Some((closed_by, 0));
                Some(Said::Final(closed_by))
            }
            Some((closed_by, revision)) if speaks => {
                *revision += 1;
                Some(Said::Revised(*closed_by, *revision))
            }
            None if speaks && self.emission == Emission::Live => Some(Said::Provisional),
            _ => None,
        };
        if let Some(said) = said {
            window.changed = false;
            let due = Due {
                end,
                users: window.users.clone(),
                frames: window.frames,
                late: window.late,
                complete,
                said,
            };
            expected.due.insert(key, due);
        }
        if expired || (once && ask.end) {
            expected.evicted.insert(key);
        }
    }

    /// The windows that are still kept.
    pub fn kept(&self) -> impl Iterator<Item = (Key, &Users)> {
        self.windows
            .iter()
            .map(|(key, window)| (*key, &window.users))
    }

    pub fn watermark(&self) -> Option<i64> {
        self.watermark
    }
}
