//! The oracle: everything the engine has to say, from plain sets and the rules of the design, the slow way.

use std::collections::{BTreeMap, BTreeSet};

use headcount::engine::admit::Rules;
use headcount::engine::catalog::{Ask, Emission};
use headcount::engine::frame::{UserHash, Verdict};

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
    is_final: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Counts {
    pub read: u64,
    pub counted: u64,
    pub late: u64,
    pub ignored: u64,
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
    pub is_final: bool,
    pub by_event_time: bool,
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
    /// The `seq` of the first final among them.
    pub first_seq: u64,
}

#[derive(Debug, Clone)]
pub struct Oracle {
    zone: Zone,
    lateness_s: i64,
    retention_s: [i64; 6],
    live: bool,
    periods: u8,
    partitions: Vec<Partition>,
    windows: BTreeMap<Key, Window>,
    last_seen: BTreeMap<UserHash, i64>,
    counts: Counts,
    as_of: Option<i64>,
    watermark: Option<i64>,
    ticks: u64,
    next_seq: u64,
}

impl Oracle {
    pub fn new(zone: Zone, rules: &Rules) -> Self {
        Self {
            zone,
            lateness_s: rules.lateness_s.into(),
            retention_s: rules.retention_s,
            live: rules.emission == Emission::Live,
            periods: rules.periods,
            partitions: Vec::new(),
            windows: BTreeMap::new(),
            last_seen: BTreeMap::new(),
            counts: Counts::default(),
            as_of: None,
            watermark: None,
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
                finished: false,
                offset: start,
            }),
            Step::Frame { partition, verdict } => self.frame(partition, verdict),
            Step::ReachEnd(partition) => self.partitions[partition].unread = false,
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
                    is_final: false,
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

    fn move_watermark(&mut self) {
        if self
            .partitions
            .iter()
            .any(|p| p.unread && p.clock.is_none())
        {
            return;
        }
        let active = self.partitions.iter().filter(|p| !p.finished);
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
        let starts = self.zone.trailing(self.as_of.unwrap_or(0));
        let trailing = starts.map(|start| {
            let inside = self.last_seen.iter().filter(|(_, last)| **last > start);
            (start, inside.map(|(user, _)| *user).collect())
        });
        let mut expected = Expected {
            ask,
            tick: ask.trailing.then_some(self.ticks),
            as_of: self.as_of,
            watermark: self.watermark,
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
        let finals = expected.due.values().filter(|due| due.is_final).count();
        self.next_seq += finals as u64;
        expected
    }

    fn put_out(&mut self, key: Key, ask: Ask, expected: &mut Expected) {
        let complete = self.is_complete(key.1);
        let end = self.windows[&key].end;
        let over = self.has_passed(end);
        let expired = self.is_expired(key.0, end);
        let live = self.live;
        let window = self.windows.get_mut(&key).unwrap();
        let (becomes_final, provisional);
        if live {
            becomes_final = (over || ask.end) && !window.closed && complete;
            window.closed |= over || ask.end;
            window.is_final |= becomes_final;
            // What is about to be forgotten has its last word now.
            let said = ask.changed || expired;
            provisional = said && window.changed && !window.is_final;
            window.changed &= !ask.changed;
        } else {
            becomes_final = expired || ask.end;
            provisional = false;
        }
        if becomes_final || provisional {
            let due = Due {
                end,
                users: window.users.clone(),
                frames: window.frames,
                late: window.late,
                complete,
                is_final: becomes_final,
                by_event_time: over,
            };
            expected.due.insert(key, due);
        }
        if expired || (!live && ask.end) {
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
