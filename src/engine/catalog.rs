//! The life of calendar windows: which exist, which changed, which are due to be final, packed or forgotten.
//!
//! Invariants: 1. A window is final at most once, and its revisions follow without gaps. 2. In a live run a window that
//! is not yet closed is never evicted. 3. What was counted in a window after its last record is put out before the
//! window is forgotten. 4. The catalog knows a window whenever the shards may hold a sketch of it, or frames
//! wait that may be of it in one of several runs.

mod each_run;
mod joined;
mod last;
mod look;
mod saved;
mod waiting;

use std::collections::BTreeSet;

use self::last::Last;
use self::saved::{Unsaved, Word};
use super::admit::Rules;
use super::barrier::{ClosedBy, Stage, WindowFacts};
use super::calendar::{Bounds, Period, WindowId};
use super::clock::Claim;
use super::frame::EventTime;
use super::ledger::Ledger;
use super::windows::WindowMap;
use crate::limits::WINDOWS_PER_BARRIER;

/// When windows are put out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Emission {
    /// A service: provisional at every tick that follows a change, final when the watermark passes the end, revised at
    /// every tick that follows a change after that.
    Live,
    /// The same without the provisional ones.
    Finals,
    /// A finished input: each window once, when it leaves retention or at the end.
    Once,
    /// An input that another run goes on with: each window that changed since its last record, once in a run, when it leaves
    /// retention or at the end. It is final in the first run that puts it out, and revised in later ones.
    EachRun {
        /// Whether the end shows the others too, without a record of their own.
        unchanged: bool,
    },
}

impl Emission {
    /// Whether windows are put out while the input goes on, open ones too.
    fn is_live(self) -> bool {
        matches!(self, Self::Live | Self::Finals)
    }
}

/// From when on windows are complete.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Completeness {
    /// Not known yet: no window is.
    Unknown,
    /// Windows that start at or after this second.
    Since(i64),
    /// All.
    Always,
}

/// How far time has passed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Passed {
    /// The watermark, unix seconds: event time. Retention goes by it alone.
    pub watermark: Option<i64>,
    /// Where the watermark would be by the clock that walked while all partitions were idle.
    pub walked: Option<i64>,
}

impl Passed {
    /// Windows that end here or before are closed.
    #[must_use]
    pub fn closed(self) -> Option<i64> {
        self.watermark.max(self.walked)
    }
}

/// What a barrier is to put out besides finals that are due and windows that leave retention.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Ask {
    /// The trailing windows.
    pub trailing: bool,
    /// The calendar windows that changed since their last record.
    pub changed: bool,
    /// The input has ended: every window is closed.
    pub end: bool,
    /// What changed since the last time, to be saved.
    pub save: bool,
}

/// What a barrier puts out and tells the shards.
#[derive(Debug, Default)]
pub struct Collected {
    /// Windows to put out.
    pub windows: Vec<WindowFacts>,
    /// Windows to pack.
    pub cooled: Vec<WindowId>,
    /// Windows to forget after they were put out.
    pub evicted: Vec<WindowId>,
    /// Whether something was left for another barrier.
    pub more: bool,
}

impl Collected {
    fn is_full(&mut self) -> bool {
        // Each window to forget may have a last word to be put out.
        let full = self.windows.len() + self.evicted.len() >= WINDOWS_PER_BARRIER;
        self.more |= full;
        full
    }
}

/// What is gone where nothing ever was.
const NEVER: [i64; Period::ALL.len()] = [i64::MIN; Period::ALL.len()];

#[derive(Debug, Clone)]
struct Entry {
    end: i64,
    frames: u64,
    late: u64,
    /// Changed since it was last put out; then listed in `Catalog::dirty` where windows are put out as the input goes on.
    dirty: bool,
    /// Visited since the last barrier.
    visited: bool,
    /// Its sketch is unpacked; then listed in `Catalog::warm`.
    warm: bool,
    /// Changed since it was last saved; then listed in `Catalog::unsaved`.
    unsaved: bool,
    /// What closed it, and the number of its last revision, once its final is out.
    last_word: Option<(ClosedBy, u32)>,
    /// Frames of it that wait: until these are decided about it is not forgotten.
    waiting: u32,
    /// Of the frames that were counted in this run, see `waiting.rs`.
    sum: u64,
    /// What that sum was in its last record, where it is known: of an end that told of frames which waited it is ahead.
    said: Option<u64>,
    /// Whether there is more to say of it than that record did, whatever becomes of the frames that it told of in advance.
    anew: bool,
}

/// All windows within retention.
#[derive(Debug, Clone)]
pub struct Catalog {
    emission: Emission,
    periods: Vec<Period>,
    retention_s: [i64; Period::ALL.len()],
    /// Windows that end here or before, and are not here, were forgotten by a run that kept its windows for less time: they are
    /// not to begin anew.
    gone_until: [i64; Period::ALL.len()],
    windows: WindowMap<Entry>,
    /// Not yet closed, by end.
    open: BTreeSet<(i64, WindowId)>,
    dirty: Vec<WindowId>,
    warm: Vec<WindowId>,
    /// `None` where nothing is saved.
    unsaved: Option<Unsaved>,
    /// The windows of the last frame, unless anything but frames has come since.
    last: Option<Last>,
    next_seq: u64,
    /// The window up to which an end has been put out.
    ended_at: Option<WindowId>,
    /// Of each period: the windows that start before are not looked at again, since frames wait in all of them.
    passed_over: [i64; Period::ALL.len()],
    /// Of these, those in which none waits any more.
    overdue: Vec<WindowId>,
}

impl Catalog {
    /// An empty catalog.
    #[must_use]
    pub fn new(rules: &Rules) -> Self {
        let kept = Period::ALL.into_iter();
        Self {
            emission: rules.emission,
            periods: kept.filter(|p| rules.periods & p.bit() != 0).collect(),
            retention_s: rules.retention_s,
            gone_until: NEVER,
            windows: WindowMap::new(rules.calendar.clone()),
            open: BTreeSet::new(),
            dirty: Vec::new(),
            warm: Vec::new(),
            unsaved: None,
            last: None,
            next_seq: 1,
            ended_at: None,
            passed_over: NEVER,
            overdue: Vec::new(),
        }
    }

    /// Counts a frame in its windows and returns the set of periods that still take it.
    pub fn count(
        &mut self,
        claim: Claim,
        late: bool,
        watermark: Option<i64>,
        ledger: &mut Ledger,
    ) -> u8 {
        let summand = self.summand(claim, late);
        match &self.last {
            Some(last) if last.holds(claim.ts, watermark) => {
                for slot in &last.slots[..last.windows] {
                    let entry = self.windows.at(*slot);
                    entry.frames += 1;
                    entry.late += u64::from(late);
                    entry.sum = entry.sum.wrapping_add(summand);
                }
                last.periods
            }
            _ => self.count_elsewhere(claim.ts, (late, summand), watermark, ledger),
        }
    }

    /// Whether a window takes no more frames.
    fn is_gone(&self, id: WindowId, end: i64, watermark: Option<i64>) -> bool {
        let was_forgotten =
            end <= self.gone_until[id.period as usize] && self.windows.get(id).is_none();
        let is_expired = || is_expired(self.retention_s[id.period as usize], end, watermark);
        let is_waited_for = || self.windows.get(id).is_some_and(|entry| entry.waiting > 0);
        was_forgotten || (is_expired() && !is_waited_for())
    }

    /// [`Self::count`] where the windows are to be looked up.
    fn count_elsewhere(
        &mut self,
        ts: EventTime,
        (late, summand): (bool, u64),
        watermark: Option<i64>,
        ledger: &mut Ledger,
    ) -> u8 {
        let mut periods = 0;
        let mut last = Last::NONE;
        for &period in &self.periods {
            let Bounds { start, end } = self.windows.bounds(period, ts);
            let id = WindowId { period, start };
            if self.is_gone(id, end, watermark) {
                ledger.expire(period);
                continue;
            }
            periods |= period.bit();
            let open = &mut self.open;
            let (bounds, slot) = self.windows.slot(period, ts, |id, bounds| {
                open.insert((bounds.end, id));
                Entry::new(bounds.end)
            });
            last.add(period, slot, bounds, self.retention_s[period as usize]);
            let entry = self.windows.at(slot);
            entry.frames += 1;
            entry.late += u64::from(late);
            entry.sum = entry.sum.wrapping_add(summand);
            entry.anew = true;
            entry.visited = true;
            entry.note_unsaved(id, &mut self.unsaved);
            if !entry.warm {
                entry.warm = true;
                self.warm.push(id);
            }
            if !entry.dirty && self.emission != Emission::Once {
                entry.dirty = true;
                if self.emission.is_live() {
                    self.dirty.push(id);
                }
            }
        }
        // Whoever counts among expired windows has more to do than to count.
        self.last = (last.windows == self.periods.len()).then_some(last);
        periods
    }

    /// What a barrier puts out and tells the shards, at most `WINDOWS_PER_BARRIER` windows of it.
    pub fn collect(&mut self, ask: Ask, passed: Passed, completeness: Completeness) -> Collected {
        self.last = None;
        let mut collected = Collected::default();
        match self.emission {
            Emission::Live | Emission::Finals => {
                self.close(ask.end, passed, completeness, &mut collected);
                if ask.changed {
                    self.put_out_changed(completeness, &mut collected);
                }
                self.list_expired(passed.watermark, &mut collected);
                for i in 0..collected.evicted.len() {
                    let id = collected.evicted[i];
                    self.put_out_change(id, completeness, &mut collected);
                }
            }
            Emission::Once => {
                self.list_expired(passed.watermark, &mut collected);
                if ask.end {
                    self.evict_all(&mut collected);
                }
                for i in 0..collected.evicted.len() {
                    let id = collected.evicted[i];
                    self.finish(id, passed, completeness, &mut collected);
                }
            }
            Emission::EachRun { unchanged } => {
                self.list_expired(passed.watermark, &mut collected);
                for i in 0..collected.evicted.len() {
                    let id = collected.evicted[i];
                    self.put_out_last(id, passed, completeness, &mut collected);
                }
                if ask.end {
                    self.put_out_end(unchanged, passed, completeness, &mut collected);
                }
            }
        }
        for id in &collected.evicted {
            self.forget(*id);
        }
        self.drop_stale();
        collected.cooled = self.cool(passed.closed());
        collected
    }

    /// Closes windows whose end has passed. One that is not complete stays provisional for ever: its number may be too
    /// low, and must not pass for the last word.
    fn close(
        &mut self,
        end_of_input: bool,
        passed: Passed,
        completeness: Completeness,
        collected: &mut Collected,
    ) {
        while let Some(&(end, id)) = self.open.first() {
            if !end_of_input && passed.closed().is_none_or(|at| at < end) {
                return;
            }
            if collected.is_full() {
                return;
            }
            self.open.pop_first();
            if let Some(entry) = self.windows.get_mut(id) {
                entry.note_unsaved(id, &mut self.unsaved);
            }
            if is_complete(id, completeness) {
                self.finish(id, passed, completeness, collected);
            }
        }
    }

    fn finish(
        &mut self,
        id: WindowId,
        passed: Passed,
        completeness: Completeness,
        collected: &mut Collected,
    ) {
        let seq = self.next_seq;
        let Some(entry) = self.windows.get_mut(id) else {
            return;
        };
        assert!(entry.last_word.is_none(), "a window is final at most once");
        let has_passed = |at: Option<i64>| at.is_some_and(|at| entry.end <= at);
        let closed_by = if has_passed(passed.watermark) {
            ClosedBy::EventTime
        } else if has_passed(passed.walked) {
            ClosedBy::Idle
        } else {
            ClosedBy::End
        };
        entry.last_word = Some((closed_by, 0));
        entry.said = Some(entry.sum);
        (entry.dirty, entry.anew) = (false, false);
        entry.note_unsaved(id, &mut self.unsaved);
        let stage = Stage::Final { seq, closed_by };
        collected.windows.push(entry.facts(id, completeness, stage));
        self.next_seq += 1;
    }

    fn put_out_changed(&mut self, completeness: Completeness, collected: &mut Collected) {
        while !self.dirty.is_empty() && !collected.is_full() {
            if let Some(id) = self.dirty.pop() {
                self.put_out_change(id, completeness, collected);
            }
        }
    }

    /// Puts out a window that changed since its last record.
    fn put_out_change(
        &mut self,
        id: WindowId,
        completeness: Completeness,
        collected: &mut Collected,
    ) {
        let Some(entry) = self.windows.get_mut(id) else {
            return;
        };
        if !std::mem::replace(&mut entry.dirty, false) {
            return;
        }
        entry.anew = false;
        entry.note_unsaved(id, &mut self.unsaved);
        if entry.last_word.is_some() {
            entry.said = Some(entry.sum);
        }
        let stage = match &mut entry.last_word {
            None if self.emission == Emission::Finals => return,
            None => Stage::Provisional,
            Some((closed_by, revision)) => {
                let seq = self.next_seq;
                self.next_seq += 1;
                *revision += 1;
                Stage::Revised {
                    seq,
                    closed_by: *closed_by,
                    revision: *revision,
                }
            }
        };
        collected.windows.push(entry.facts(id, completeness, stage));
    }

    /// Lists the windows whose retention is over; in a live run only closed ones.
    fn list_expired(&mut self, watermark: Option<i64>, collected: &mut Collected) {
        while !self.overdue.is_empty() && !collected.is_full() {
            let id = self.overdue.pop();
            let is_due = |id: &WindowId| self.windows.get(*id).is_some_and(|e| e.waiting == 0);
            collected.evicted.extend(id.filter(is_due));
        }
        for period in Period::ALL {
            let from = self.passed_over[period as usize];
            for (id, entry) in self.windows.range(period, from..i64::MAX) {
                if !is_expired(self.retention_s[period as usize], entry.end, watermark) {
                    break;
                }
                let is_open = || self.open.contains(&(entry.end, id));
                if self.emission.is_live() && is_open() {
                    break;
                }
                if collected.is_full() {
                    return;
                }
                if entry.waiting == 0 {
                    collected.evicted.push(id);
                }
                // Forgotten, or waited for.
                self.passed_over[period as usize] = id.start + 1;
            }
        }
    }

    /// Between two ticks of a backfill thousands of windows change, become final and are forgotten.
    fn drop_stale(&mut self) {
        if self.dirty.len() > WINDOWS_PER_BARRIER {
            let windows = &self.windows;
            self.dirty
                .retain(|id| windows.get(*id).is_some_and(|entry| entry.dirty));
        }
    }

    fn evict_all(&mut self, collected: &mut Collected) {
        let listed: BTreeSet<_> = collected.evicted.iter().copied().collect();
        for id in self.windows.ids().filter(|id| !listed.contains(id)) {
            if collected.is_full() {
                return;
            }
            collected.evicted.push(id);
        }
    }

    fn forget(&mut self, id: WindowId) {
        if let Some(entry) = self.windows.remove(id) {
            self.open.remove(&(entry.end, id));
            if let Some(unsaved) = &mut self.unsaved {
                unsaved.forget(id, entry.word());
            }
            if entry.warm {
                self.warm.retain(|warm| *warm != id);
            }
        }
    }

    /// Closed windows that nobody visited between the last two barriers.
    fn cool(&mut self, closed: Option<i64>) -> Vec<WindowId> {
        let windows = &mut self.windows;
        let mut cooled = Vec::new();
        self.warm.retain(|id| {
            let Some(entry) = windows.get_mut(*id) else {
                return false;
            };
            let closed = closed.is_some_and(|at| entry.end <= at);
            entry.warm = entry.visited || !closed;
            entry.visited = false;
            if !entry.warm {
                cooled.push(*id);
            }
            entry.warm
        });
        cooled
    }
}

impl Entry {
    fn new(end: i64) -> Self {
        Self {
            end,
            frames: 0,
            late: 0,
            dirty: false,
            visited: false,
            warm: false,
            unsaved: false,
            last_word: None,
            waiting: 0,
            sum: 0,
            said: None,
            anew: false,
        }
    }

    fn note_unsaved(&mut self, id: WindowId, unsaved: &mut Option<Unsaved>) {
        if !self.unsaved
            && let Some(unsaved) = unsaved
        {
            self.unsaved = true;
            unsaved.change(id);
        }
    }

    fn word(&self) -> Word {
        Word {
            last: self.last_word,
            said: self.said,
            anew: self.anew,
            frames: self.frames,
        }
    }

    fn facts(&self, id: WindowId, completeness: Completeness, stage: Stage) -> WindowFacts {
        WindowFacts {
            id,
            end: self.end,
            frames: self.frames,
            late: self.late,
            complete: is_complete(id, completeness),
            stage,
        }
    }
}

fn is_expired(retention_s: i64, end: i64, watermark: Option<i64>) -> bool {
    watermark.is_some_and(|w| end + retention_s <= w)
}

fn is_complete(id: WindowId, completeness: Completeness) -> bool {
    match completeness {
        Completeness::Unknown => false,
        Completeness::Since(since) => id.start >= since,
        Completeness::Always => true,
    }
}
