//! The model: everything the service has to say, from plain sets and the rules of the documentation, the slow way.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use super::clock::{Clock, ClockRules, Judgement};
use super::scenario::{Meaning, Slot, Topic, User};
use super::steps::{Ask, Fate, Heard, Step};
use super::zone::Zone;

/// Period by its place in `PERIODS`, and first second.
pub type Key = (usize, i64);

/// Partition and offset.
type Place = (usize, i64);

pub const PERIODS: [&str; 6] = ["minute", "hour", "day", "week", "month", "year"];

#[derive(Debug, Clone)]
pub struct Rules {
    pub zone: Arc<Zone>,
    pub clock: ClockRules,
    pub retention_s: [i64; 6],
    pub provisionals: bool,
    pub periods: u8,
    pub precision: u8,
}

#[derive(Debug, Clone)]
struct Partition {
    clock: Clock,
    from_zero: bool,
    /// Before this offset frames were lost.
    lost_before: i64,
    has_lost: bool,
    first_clock: Option<i64>,
    since: Option<i64>,
    unread: bool,
    idle: bool,
    finished: bool,
    next_offset: i64,
}

#[derive(Debug, Clone)]
pub struct Window {
    pub end: i64,
    pub users: HashSet<usize>,
    pub frames: u64,
    pub late: u64,
    pub changed: bool,
    closed: bool,
    /// What closed it and the number of its last revision, once it is final.
    last_word: Option<(&'static str, u64)>,
}

/// The ledger as records show it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Counts {
    pub read: u64,
    pub counted: u64,
    pub late: u64,
    pub ignored: u64,
    pub pending: u64,
    pub quarantined: BTreeMap<&'static str, u64>,
    pub rejected: BTreeMap<&'static str, u64>,
    pub expired: BTreeMap<&'static str, u64>,
}

/// A number of users, and whether the record has to say that it is exact.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Number {
    pub users: usize,
    pub exact: bool,
}

/// A window that has to be put out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Due {
    pub end: i64,
    pub users: Number,
    pub frames: u64,
    pub late: u64,
    pub complete: bool,
    /// What closed it and the number of the revision, 0 for the final; `None` for a provisional record.
    pub last_word: Option<(&'static str, u64)>,
}

/// What the barriers raised at one moment have to say, together.
#[derive(Debug, Clone)]
pub struct Expected {
    pub tick: Option<(u64, [Number; 6])>,
    pub as_of: Option<i64>,
    pub watermark: Option<i64>,
    pub since: Option<i64>,
    pub counts: Counts,
    pub offsets: Vec<i64>,
    pub ahead: BTreeMap<String, i64>,
    pub due: BTreeMap<Key, Due>,
    /// The `seq` of the first final or revision among them.
    pub first_seq: u64,
}

#[derive(Clone)]
pub struct Model {
    rules: Rules,
    topic: Arc<Topic>,
    partitions: Vec<Partition>,
    windows: BTreeMap<Key, Window>,
    recent: [(i64, i64); 6],
    last_seen: HashMap<usize, i64>,
    counts: Counts,
    as_of: Option<i64>,
    walked: Option<i64>,
    watermark: Option<i64>,
    kept_house_at: Option<i64>,
    ticks: u64,
    next_seq: u64,
}

impl Model {
    pub fn new(rules: Rules, topic: Arc<Topic>) -> Self {
        Self {
            rules,
            topic,
            partitions: Vec::new(),
            windows: BTreeMap::new(),
            recent: [(0, 0); 6],
            last_seen: HashMap::new(),
            counts: Counts::default(),
            as_of: None,
            walked: None,
            watermark: None,
            kept_house_at: None,
            ticks: 0,
            next_seq: 1,
        }
    }

    pub fn play(&mut self, step: Step) -> Heard {
        let mut heard = Heard::default();
        match step {
            Step::Add { start, unread } => self.partitions.push(Partition {
                clock: Clock::new(self.rules.clock),
                from_zero: start == 0,
                lost_before: 0,
                has_lost: false,
                first_clock: None,
                since: None,
                unread,
                idle: false,
                finished: false,
                next_offset: start,
            }),
            Step::Deliver { partition, offset } => self.deliver(partition, offset, &mut heard),
            Step::Pass { partition, next } => self.partitions[partition].next_offset = next,
            Step::ReachEnd(partition) => self.partitions[partition].unread = false,
            Step::Rest(partition) => self.partitions[partition].idle = true,
            Step::Walk(second) => {
                if self.all_rest() {
                    self.walked = self.walked.max(Some(second));
                }
            }
            Step::Gap { partition, next } => {
                let partition = &mut self.partitions[partition];
                partition.next_offset = next;
                partition.from_zero = false;
                partition.lost_before = next;
                partition.has_lost = true;
                partition.since = None;
            }
            Step::Finish(index) => {
                let mut settled = Vec::new();
                self.partitions[index].clock.settle(&mut settled);
                self.settle(index, settled, &mut heard);
                self.follow_clocks();
                self.partitions[index].unread = false;
                self.partitions[index].finished = true;
            }
            Step::Close(partition) => {
                let partition = &mut self.partitions[partition];
                (partition.unread, partition.finished) = (false, true);
            }
            Step::Barrier(_) | Step::EndInput => {}
            Step::Resume { partition, unread } => self.partitions[partition].unread = unread,
        }
        self.follow_clocks();
        heard
    }

    /// Another process goes on from here. It does not know what is left to read and who is idle, counts its ticks anew, and
    /// says once more what is not final: whatever was said of it may not have got out.
    pub fn take_up(&mut self) {
        for partition in &mut self.partitions {
            partition.unread = true;
            (partition.idle, partition.finished) = (false, false);
        }
        self.ticks = 0;
        self.kept_house_at = None;
        for window in self.windows.values_mut() {
            window.changed |= window.last_word.is_none();
        }
    }

    /// Takes over from the same model after its end which windows are closed and what was said of them. Where that told more
    /// than was counted here, it has to be taken back unless it comes true.
    pub fn take_words(&mut self, after: &Self) {
        self.next_seq = after.next_seq;
        for (key, said) in &after.windows {
            let window = self.windows.entry(*key).or_insert_with(|| Window {
                end: said.end,
                users: HashSet::new(),
                frames: 0,
                late: 0,
                changed: false,
                closed: false,
                last_word: None,
            });
            if window.closed != said.closed || window.last_word != said.last_word {
                window.changed = window.frames != said.frames;
            }
            (window.closed, window.last_word) = (said.closed, said.last_word);
        }
    }

    /// The number that the next final or revision gets.
    pub fn next_seq(&self) -> u64 {
        self.next_seq
    }

    pub fn partitions(&self) -> usize {
        self.partitions.len()
    }

    /// The offset after the last one of a partition that was read.
    pub fn next_offset(&self, partition: usize) -> i64 {
        self.partitions[partition].next_offset
    }

    /// Frames that were read.
    pub fn read(&self) -> u64 {
        self.counts.read
    }

    fn deliver(&mut self, index: usize, offset: i64, heard: &mut Heard) {
        self.counts.read += 1;
        let topic = Arc::clone(&self.topic);
        let Slot::Frame {
            meaning, appended, ..
        } = &topic.partitions[index].records[offset as usize].slot
        else {
            panic!("a marker is not delivered");
        };
        let partition = &mut self.partitions[index];
        partition.next_offset = offset + 1;
        if std::mem::take(&mut partition.idle) {
            // Awake again, it may be the slowest of those that the watermark waits for.
            self.follow_clocks();
        }
        heard.own = Some(match *meaning {
            Meaning::Rejected(why) => {
                *self.counts.rejected.entry(why).or_default() += 1;
                Fate::Rejected(why)
            }
            Meaning::Ignored => {
                self.counts.ignored += 1;
                Fate::Ignored
            }
            Meaning::Seen { user, ts } => {
                self.counts.pending += 1;
                let mut settled = Vec::new();
                let clock = &mut self.partitions[index].clock;
                let own = clock.judge(offset, ts, *appended, &mut settled);
                // A frame does not expire because it had to wait.
                self.settle(index, settled, heard);
                self.follow_clocks();
                own.map_or(Fate::Held, |own| {
                    self.conclude((index, offset), user, ts, own)
                })
            }
        });
    }

    fn settle(&mut self, index: usize, settled: Vec<(i64, Judgement)>, heard: &mut Heard) {
        for (offset, judgement) in settled {
            let (user, ts) = self.topic.seen(index, offset);
            let fate = self.conclude((index, offset), user, ts, judgement);
            heard.settled.push((index, offset, fate));
        }
        heard.settled.sort_unstable();
    }

    fn conclude(&mut self, place: Place, user: usize, ts: i64, judgement: Judgement) -> Fate {
        self.counts.pending -= 1;
        let why = match judgement {
            Judgement::Counted { late } => return self.count(place, user, ts, late),
            Judgement::Ahead => "ahead",
            Judgement::Behind => "behind",
            Judgement::Unconfirmed => "unconfirmed",
        };
        *self.counts.quarantined.entry(why).or_default() += 1;
        Fate::Quarantined(why)
    }

    fn count(&mut self, (index, offset): Place, user: usize, ts: i64, late: bool) -> Fate {
        self.counts.counted += 1;
        self.counts.late += u64::from(late);
        let partition = &mut self.partitions[index];
        if offset >= partition.lost_before {
            partition.since = partition.since.or(partition.clock.now());
        }
        let last = self.last_seen.entry(user).or_insert(ts);
        *last = ts.max(*last);
        let mut periods = 0;
        let kept = self.rules.periods;
        for period in (0..6).filter(|period| kept >> period & 1 == 1) {
            let (start, end) = self.window_of(period, ts);
            if self.is_expired(period, end) {
                *self.counts.expired.entry(PERIODS[period]).or_default() += 1;
                continue;
            }
            periods |= 1 << period;
            let window = self.windows.entry((period, start)).or_insert(Window {
                end,
                users: HashSet::new(),
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
        let hash = self.topic.users[user].hash;
        Fate::Counted { hash, ts, periods }
    }

    /// The window that holds a second; most are in the one that the last one was in.
    pub fn window_of(&mut self, period: usize, ts: i64) -> (i64, i64) {
        let (start, end) = self.recent[period];
        if !(start..end).contains(&ts) {
            self.recent[period] = self.rules.zone.window(period, ts);
        }
        self.recent[period]
    }

    fn is_expired(&self, period: usize, end: i64) -> bool {
        self.watermark
            .is_some_and(|watermark| watermark >= end + self.rules.retention_s[period])
    }

    fn follow_clocks(&mut self) {
        let clocks = || self.partitions.iter().map(|p| p.clock.now());
        self.as_of = self.as_of.max(clocks().max().flatten());
        for p in &mut self.partitions {
            p.first_clock = p.first_clock.or(p.clock.now());
            let is_joined = !p.from_zero && !p.has_lost;
            if is_joined && !p.unread && p.since.is_none() && p.clock.now().is_none() {
                p.since = self.as_of;
            }
        }
        let waits = |p: &Partition| p.unread && p.clock.now().is_none();
        if self.partitions.iter().any(waits) {
            return;
        }
        let reached = self.active().min().map(|c| c - self.rules.clock.lateness_s);
        self.watermark = self.watermark.max(reached);
    }

    /// Clocks that the watermark waits for.
    fn active(&self) -> impl Iterator<Item = i64> {
        let active = self.partitions.iter().filter(|p| !p.idle && !p.finished);
        active.filter_map(|p| p.clock.now())
    }

    pub fn all_rest(&self) -> bool {
        self.as_of.is_some() && self.partitions.iter().all(|p| p.idle || p.finished)
    }

    pub fn as_of(&self) -> Option<i64> {
        self.as_of.max(self.walked)
    }

    pub fn clock(&self, partition: usize) -> Option<i64> {
        self.partitions[partition].clock.now()
    }

    pub fn waiting(&self, partition: usize) -> usize {
        self.partitions[partition].clock.waiting()
    }

    pub fn watermark(&self) -> Option<i64> {
        self.watermark
    }

    pub fn housekeeping_is_due(&self) -> bool {
        let due = |watermark| self.kept_house_at.is_none_or(|at| watermark >= at + 3_600);
        self.watermark.is_some_and(due)
    }

    /// Whether all windows are complete, or from which second on those are that start there.
    fn complete_from(&self) -> Option<i64> {
        let joined = self.partitions.iter().filter(|p| !p.from_zero);
        let joined: Option<Vec<i64>> = joined.map(|p| p.since).collect();
        joined.map(|since| since.into_iter().max().unwrap_or(i64::MIN))
    }

    fn since(&self) -> Option<i64> {
        if self.partitions.iter().all(|p| p.from_zero) {
            return self.partitions.iter().filter_map(|p| p.first_clock).min();
        }
        self.complete_from()
    }

    fn ahead(&self) -> BTreeMap<String, i64> {
        let mut clocks: Vec<i64> = self.active().collect();
        if clocks.len() < 2 || self.partitions.iter().any(|p| p.unread) {
            return BTreeMap::new();
        }
        clocks.sort_unstable();
        let usual = clocks[(clocks.len() - 1) / 2];
        let partitions = self.partitions.iter().enumerate();
        let active = partitions.filter(|(_, p)| !p.idle && !p.finished);
        let by = active.filter_map(|(i, p)| Some((i.to_string(), p.clock.now()? - usual)));
        by.filter(|(_, by)| *by > self.rules.clock.max_jump_s)
            .collect()
    }

    /// Whether a sketch still knows all of these users by name.
    fn number(&self, users: impl Iterator<Item = usize>) -> Number {
        let p = self.rules.precision;
        let mut pages = [0usize; 256];
        let mut number = 0;
        for user in users {
            number += 1;
            let User { hash, .. } = self.topic.users[user];
            pages[(hash as usize & ((1 << p) - 1)) >> (p - 8)] += 1;
        }
        Number {
            users: number,
            exact: pages.iter().all(|n| *n <= 1 << (p - 11)),
        }
    }

    /// What barriers raised now have to say; notes that they have said it.
    pub fn barrier(&mut self, ask: Ask) -> Expected {
        self.kept_house_at = self.watermark.or(self.kept_house_at);
        self.ticks += u64::from(ask.trailing);
        let tick = ask.trailing.then(|| {
            let starts = self.rules.zone.trailing(self.as_of().unwrap_or(0));
            let inside = starts.map(|start| {
                let inside = self.last_seen.iter().filter(|(_, last)| **last > start);
                self.number(inside.map(|(user, _)| *user))
            });
            (self.ticks, inside)
        });
        let walked = self.walked.map(|at| at - self.rules.clock.lateness_s);
        let mut expected = Expected {
            tick,
            as_of: self.as_of(),
            watermark: self.watermark.max(walked),
            since: self.since(),
            counts: self.counts.clone(),
            offsets: self.partitions.iter().map(|p| p.next_offset).collect(),
            ahead: self.ahead(),
            due: BTreeMap::new(),
            first_seq: self.next_seq,
        };
        let mut evicted = BTreeSet::new();
        for key in self.windows.keys().copied().collect::<Vec<_>>() {
            let end = self.windows[&key].end;
            let is_expired = self.is_expired(key.0, end);
            self.put_out(key, ask, is_expired, &mut expected);
            if is_expired {
                evicted.insert(key);
            }
        }
        self.windows.retain(|key, _| !evicted.contains(key));
        let last_words = expected.due.values().filter(|due| due.last_word.is_some());
        self.next_seq += last_words.count() as u64;
        expected
    }

    fn put_out(&mut self, key: Key, ask: Ask, is_expired: bool, expected: &mut Expected) {
        let complete = self.complete_from().is_some_and(|from| key.1 >= from);
        let window = &self.windows[&key];
        let is_over = expected.watermark.is_some_and(|at| at >= window.end);
        let closes = !window.closed && (is_over || ask.end);
        let told = window.changed && (ask.changed || is_expired);
        if !closes && !told {
            return;
        }
        let closed_by = match self.watermark {
            Some(watermark) if watermark >= window.end => "event_time",
            _ if is_over => "idle",
            _ => "end",
        };
        let last_word = match window.last_word {
            Some((by, revision)) => Some((by, revision + 1)),
            None => (closes && complete).then_some((closed_by, 0)),
        };
        let users = window.users.iter().copied();
        let due = Due {
            end: window.end,
            users: self.number(users),
            frames: window.frames,
            late: window.late,
            complete,
            last_word,
        };
        let provisionals = self.rules.provisionals;
        let window = self.windows.get_mut(&key).unwrap();
        window.closed |= closes;
        window.last_word = last_word;
        if last_word.is_some() || told {
            window.changed = false;
        }
        if last_word.is_some() || (told && provisionals) {
            expected.due.insert(key, due);
        }
    }

    /// For each period, whether frames came after its retention.
    pub fn has_expired(&self) -> [bool; 6] {
        PERIODS.map(|period| self.counts.expired.contains_key(period))
    }

    /// The windows that are still kept.
    pub fn windows(&self) -> &BTreeMap<Key, Window> {
        &self.windows
    }
}
