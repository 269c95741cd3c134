//! The exact counts of a traffic: sets of users, counted.
//!
//! The oracle of the tests and of the demo: plain sets and plain arithmetic, nothing shared with the engine.

use std::collections::hash_map::DefaultHasher;
use std::collections::{BTreeMap, HashSet};
use std::hash::BuildHasherDefault;
use std::io::{self, Write};

use serde::Serialize;

use super::calendar::Period;

/// Sets with a fixed hash: only their sizes are used, but a run should not depend on the system's randomness.
type Users = HashSet<u32, BuildHasherDefault<DefaultHasher>>;

/// Exact counts, built up frame by frame.
///
/// Memory: about 40 bytes for each window that had a frame, 4 for each user, and 5 to 10 for each user of each
/// window that may still get frames.
#[derive(Debug)]
pub struct Truth {
    disorder_s: u32,
    frames: u64,
    first_ts: Option<u32>,
    last_ts: Option<u32>,
    seen: LastSeen,
    /// One for each of [`Period::ALL`].
    windows: [Windows; 6],
}

/// The windows of one period, by their start in unix seconds.
#[derive(Debug, Default)]
struct Windows {
    open: BTreeMap<i64, Window>,
    closed: BTreeMap<i64, Count>,
    /// Windows that start before this have been closed.
    closed_before: Option<i64>,
}

#[derive(Debug, Default)]
struct Window {
    users: Users,
    frames: u64,
}

#[derive(Debug, Clone, Copy)]
struct Count {
    users: u32,
    frames: u64,
}

/// The exact counts of all frames, as `--truth` writes them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Report {
    /// Number of frames.
    pub frames: u64,
    /// Number of users seen at least once.
    pub unique: u32,
    /// The least `ts`, unix seconds; nothing without frames.
    pub first_ts: Option<u32>,
    /// The greatest `ts`, unix seconds; nothing without frames.
    pub last_ts: Option<u32>,
    /// Distinct users of each calendar window in UTC that had a frame.
    pub windows: ByPeriod<u32>,
    /// Frames of each calendar window in UTC that had one.
    pub window_frames: ByPeriod<u64>,
    /// Distinct users of the trailing windows as of `last_ts`.
    pub trailing: Trailing,
}

/// A number for each window of each period, by the window's start in unix seconds.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct ByPeriod<T> {
    /// By minute.
    pub minute: BTreeMap<i64, T>,
    /// By hour.
    pub hour: BTreeMap<i64, T>,
    /// By day.
    pub day: BTreeMap<i64, T>,
    /// By ISO week.
    pub week: BTreeMap<i64, T>,
    /// By month.
    pub month: BTreeMap<i64, T>,
    /// By year.
    pub year: BTreeMap<i64, T>,
}

/// Distinct users with a sighting at `ts > as_of − length`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Trailing {
    /// The last 60 s.
    pub last_minute: u32,
    /// The last 3,600 s.
    pub last_hour: u32,
    /// The last 86,400 s.
    pub last_day: u32,
    /// The last 604,800 s.
    pub last_week: u32,
    /// Since the same time of day one month ago, clamped to that month's last day.
    pub last_month: u32,
    /// Since the same time of day one year ago, clamped to that month's last day.
    pub last_year: u32,
}

impl Truth {
    /// Counts of no frames yet. `disorder_s` is how far (seconds) a frame may lie behind the greatest `ts`
    /// before it, [`Plan::disorder_s`](super::Plan::disorder_s) for a plan's traffic; `u32::MAX` allows any
    /// order and keeps all sets in memory.
    pub fn new(disorder_s: u32) -> Self {
        Self {
            disorder_s,
            frames: 0,
            first_ts: None,
            last_ts: None,
            seen: LastSeen::default(),
            windows: Default::default(),
        }
    }

    /// Counts a frame of user number `user` (an array is kept up to the greatest) at `ts`, unix seconds from 1.
    ///
    /// # Panics
    ///
    /// When the frame belongs to a window that `disorder_s` allowed to close: the counts would be wrong.
    pub fn add(&mut self, user: u32, ts: u32) {
        self.frames += 1;
        self.first_ts = Some(self.first_ts.map_or(ts, |first| first.min(ts)));
        let last_ts = self.last_ts.map_or(ts, |last| last.max(ts));
        self.last_ts = Some(last_ts);

        self.seen.add(user, ts);
        let horizon = i64::from(last_ts) - i64::from(self.disorder_s);
        for (period, windows) in Period::ALL.into_iter().zip(&mut self.windows) {
            windows.add(period, user, i64::from(ts), horizon);
        }
    }

    /// Distinct users of the trailing windows as of a unix second from the greatest `ts` on, as
    /// [`LastSeen::trailing`].
    pub fn trailing(&self, as_of: u32) -> Trailing {
        self.seen.trailing(as_of)
    }

    /// The greatest `ts` so far, unix seconds.
    pub fn last_ts(&self) -> Option<u32> {
        self.last_ts
    }

    /// All counts.
    pub fn finish(self) -> Report {
        let trailing = self
            .last_ts
            .map(|as_of| self.trailing(as_of))
            .unwrap_or_default();
        let unique = self.seen.users();
        let counts = self.windows.map(Windows::finish);
        Report {
            frames: self.frames,
            unique,
            first_ts: self.first_ts,
            last_ts: self.last_ts,
            windows: ByPeriod::of(&counts, |count| count.users),
            window_frames: ByPeriod::of(&counts, |count| count.frames),
            trailing,
        }
    }
}

/// When each user was seen last: enough for the trailing windows, and in any order of the frames.
#[derive(Debug, Default)]
pub struct LastSeen {
    /// The greatest `ts` of each user, by number; 0 for one never seen. Of a large population few may ever be seen, so there are only the
    /// pages that have one.
    greatest: Vec<Option<Box<Page>>>,
}

const PAGE_USERS: usize = 1_024;
type Page = [u32; PAGE_USERS];

impl LastSeen {
    /// Takes note of user number `user` at `ts`, unix seconds from 1.
    pub fn add(&mut self, user: u32, ts: u32) {
        let (page, at) = (user as usize / PAGE_USERS, user as usize % PAGE_USERS);
        if page >= self.greatest.len() {
            self.greatest.resize(page + 1, None);
        }
        let page = self.greatest[page].get_or_insert_with(|| Box::new([0; PAGE_USERS]));
        page[at] = page[at].max(ts);
    }

    fn seen(&self) -> impl Iterator<Item = u32> {
        let pages = self.greatest.iter().flatten();
        pages
            .flat_map(|page| page.iter().copied())
            .filter(|ts| *ts > 0)
    }

    /// Users seen at least once.
    pub fn users(&self) -> u32 {
        self.seen().count() as u32
    }

    /// Distinct users of the trailing windows as of a unix second from the greatest `ts` on. (Of an earlier
    /// one the counts are too low: a user's later sighting hides the one before.)
    pub fn trailing(&self, as_of: u32) -> Trailing {
        let count = |period: Period| {
            let since = period.before(i64::from(as_of));
            self.seen().filter(|ts| i64::from(*ts) > since).count() as u32
        };
        Trailing {
            last_minute: count(Period::Minute),
            last_hour: count(Period::Hour),
            last_day: count(Period::Day),
            last_week: count(Period::Week),
            last_month: count(Period::Month),
            last_year: count(Period::Year),
        }
    }
}

impl Windows {
    fn add(&mut self, period: Period, user: u32, ts: i64, horizon: i64) {
        let start = period.start_of(ts);
        assert!(
            self.closed_before.is_none_or(|closed| start >= closed),
            "ts {ts} lies further behind the greatest one than the disorder that was announced"
        );
        if !self.open.contains_key(&start) {
            self.close_before(period.start_of(horizon));
        }
        let window = self.open.entry(start).or_default();
        window.users.insert(user);
        window.frames += 1;
    }

    fn close_before(&mut self, start: i64) {
        let still_open = self.open.split_off(&start);
        for (start, window) in std::mem::replace(&mut self.open, still_open) {
            self.closed.insert(start, window.count());
        }
        self.closed_before = self.closed_before.max(Some(start));
    }

    fn finish(mut self) -> BTreeMap<i64, Count> {
        self.closed.extend(
            self.open
                .iter()
                .map(|(start, window)| (*start, window.count())),
        );
        self.closed
    }
}

impl Window {
    fn count(&self) -> Count {
        Count {
            users: self.users.len() as u32,
            frames: self.frames,
        }
    }
}

impl<T> ByPeriod<T> {
    fn of(counts: &[BTreeMap<i64, Count>; 6], number: impl Fn(&Count) -> T) -> Self {
        let [minute, hour, day, week, month, year] = counts.each_ref().map(|windows| {
            windows
                .iter()
                .map(|(start, count)| (*start, number(count)))
                .collect()
        });
        Self {
            minute,
            hour,
            day,
            week,
            month,
            year,
        }
    }
}

impl Report {
    /// Writes the counts as one indented JSON object and a line end.
    ///
    /// # Errors
    ///
    /// What the writer returns.
    pub fn write(&self, mut out: impl Write) -> io::Result<()> {
        serde_json::to_writer_pretty(&mut out, self).map_err(io::Error::from)?;
        out.write_all(b"\n")
    }
}
