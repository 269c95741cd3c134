//! A partition's clock, which no single frame can fool.
//!
//! The last 48 frames near the present have a *vote* on it. The median of the counted ones plus a robust spread is the
//! *fence*. What is not ahead of clock or fence is counted at once; what is ahead waits in the *pen* until they reach it.
//! When 36 votes ahead of the clock agree, or are still that many when the first of them is to give way, time has passed
//! on and the clock is established anew among them; a frame that 48 votes or 1,024 frames after it have not confirmed was
//! wrong. At the start frames wait until 12 agree, or there are 48. Votes agree when five sixths of them lie within the spread of their median. docs/DESIGN.md
//! argues for the rule and says what it cannot catch.
//!
//! Everything is decided from the partition's frames, in their order, and from nothing else.
//!
//! Invariants: 1. The clock never falls. 2. Every frame that waits is ahead of the clock and has a vote; every other
//! vote belongs to a counted frame and is not ahead of it. 3. At most 47 frames wait.

mod saved;
mod votes;

use std::collections::VecDeque;

use self::votes::{Vote, Votes};
use super::frame::{EventTime, UserHash};
use crate::limits::{CLOCK_QUORUM, CLOCK_START, CLOCK_VOTES, HELD_FRAMES_MAX, MAX_JUMP_MAX_S};

/// What a clock goes by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClockRules {
    /// How far behind its partition's clock a frame is still on time, in seconds.
    pub lateness_s: u32,
    /// Further behind the clock than this a frame is not believed, in seconds.
    pub max_lateness_s: u32,
    /// How far ahead of the present one frame may be, at the least, in seconds. From `MAX_JUMP_MAX_S` on every frame is
    /// believed at once.
    pub max_jump_s: u32,
}

/// A good frame on its way to be judged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Claim {
    /// Who.
    pub hash: UserHash,
    /// When, as the frame says.
    pub ts: EventTime,
    /// The frame's offset in its partition.
    pub offset: i64,
}

/// Why a good frame was not counted. The names are part of the published records.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Quarantine {
    /// Ahead of its time: the frames after it did not confirm it.
    Ahead,
    /// Further behind its partition's clock than `--max-lateness`.
    Behind,
    /// Ahead of its time when the input ended, with too few frames after it to tell.
    Unconfirmed,
}

impl Quarantine {
    /// All reasons, in the order in which records list them.
    pub const ALL: [Self; 3] = [Self::Ahead, Self::Behind, Self::Unconfirmed];

    /// The name under which records, logs and tables list the reason.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Ahead => "ahead",
            Self::Behind => "behind",
            Self::Unconfirmed => "unconfirmed",
        }
    }
}

/// What became of a frame in the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// It counts.
    Counted {
        /// Whether it lies behind the clock less the lateness.
        late: bool,
    },
    /// It does not.
    Quarantined(Quarantine),
}

#[derive(Debug, Clone, Copy)]
struct Held {
    claim: Claim,
    /// The number of the frame among those of its partition.
    arrival: u64,
}

/// The clock of one partition, and the frames that it does not believe yet.
#[derive(Debug, Clone)]
pub struct PartitionClock {
    rules: ClockRules,
    clock: Option<EventTime>,
    votes: Votes,
    pen: VecDeque<Held>,
    frames: u64,
}

impl PartitionClock {
    /// A clock that has seen nothing.
    #[must_use]
    pub fn new(rules: ClockRules) -> Self {
        Self {
            rules,
            clock: None,
            votes: Votes::new(),
            pen: VecDeque::new(),
            frames: 0,
        }
    }

    /// The greatest event time counted; `None` before the first.
    #[must_use]
    pub fn now(&self) -> Option<EventTime> {
        self.clock
    }

    /// How many frames wait to be confirmed.
    #[must_use]
    pub fn pending(&self) -> usize {
        self.pen.len()
    }

    /// Their event times.
    pub fn waiting(&self) -> impl Iterator<Item = EventTime> {
        self.pen.iter().map(|held| held.claim.ts)
    }

    /// Judges a frame; `None` means that it waits. Frames before it about which it decides, and itself if it waited for
    /// no longer than this call, are added to `settled`, in the order in which they count.
    ///
    /// `appended` is when a broker wrote the frame by its own clock, unix seconds: a frame that agrees with it needs no
    /// other witness.
    pub fn judge(
        &mut self,
        claim: Claim,
        appended: Option<EventTime>,
        settled: &mut Vec<(Claim, Fate)>,
    ) -> Option<Fate> {
        if self.believes_all() {
            self.let_go(settled);
            return Some(self.count_unless_behind(claim.ts));
        }
        let arrival = self.frames;
        self.frames += 1;
        let witnessed = appended.is_some_and(|at| at.abs_diff(claim.ts) <= self.rules.max_jump_s);
        let Some(clock) = self.clock else {
            if witnessed {
                self.vote(claim.ts, arrival, settled);
                let fate = self.believe(claim.ts);
                self.release(settled);
                return Some(fate);
            }
            self.hold(claim, arrival, settled);
            if self.is_decided(CLOCK_START) {
                self.establish(settled);
            }
            return None;
        };
        self.refute_old(arrival, settled);
        let clock = if self.majority_gives_way() {
            self.establish_anew(settled);
            self.clock.unwrap_or(clock)
        } else {
            clock
        };
        if claim.ts <= clock {
            if self.is_near(claim.ts) {
                self.vote(claim.ts, arrival, settled);
                self.release(settled);
            }
            // What it released came before it, and may have moved the clock.
            return Some(self.count_unless_behind(claim.ts));
        }
        if witnessed || self.is_believable(claim.ts) {
            self.vote(claim.ts, arrival, settled);
            let fate = self.believe(claim.ts);
            self.release(settled);
            return Some(fate);
        }
        self.hold(claim, arrival, settled);
        if self.is_decided(CLOCK_QUORUM) {
            self.establish_anew(settled);
        } else {
            self.release(settled);
        }
        None
    }

    /// Whether no frame has to be confirmed.
    fn believes_all(&self) -> bool {
        u64::from(self.rules.max_jump_s) >= MAX_JUMP_MAX_S
    }

    /// Counts the frames that an earlier run, which did not believe all, has left waiting.
    fn let_go(&mut self, settled: &mut Vec<(Claim, Fate)>) {
        if !self.pen.is_empty() {
            self.votes = Votes::new();
            self.count_up_to(u64::MAX, settled);
        }
    }

    /// Settles the frames that wait, because no others will come. A partition that had too few frames for a clock is
    /// counted whole; of any other, what waits is not confirmed.
    pub fn settle(&mut self, settled: &mut Vec<(Claim, Fate)>) {
        if self.believes_all() {
            self.let_go(settled);
        }
        let counts = self.clock.is_none();
        for held in std::mem::take(&mut self.pen) {
            let fate = if counts {
                self.believe(held.claim.ts)
            } else {
                self.votes.withdraw(held.arrival);
                Fate::Quarantined(Quarantine::Unconfirmed)
            };
            settled.push((held.claim, fate));
        }
    }

    /// Counts a frame.
    fn believe(&mut self, ts: EventTime) -> Fate {
        let clock = self.clock.map_or(ts, |clock| clock.max(ts));
        self.clock = Some(clock);
        let late = clock - ts > self.rules.lateness_s;
        Fate::Counted { late }
    }

    fn count_unless_behind(&mut self, ts: EventTime) -> Fate {
        let behind_s = self.clock.map_or(0, |clock| clock.saturating_sub(ts));
        if behind_s > self.rules.max_lateness_s {
            return Fate::Quarantined(Quarantine::Behind);
        }
        self.believe(ts)
    }

    fn hold(&mut self, claim: Claim, arrival: u64, settled: &mut Vec<(Claim, Fate)>) {
        self.vote(claim.ts, arrival, settled);
        self.pen.push_back(Held { claim, arrival });
    }

    /// Gives a frame its vote. The vote that gives way may be that of a frame that waits: then it was not confirmed.
    fn vote(&mut self, ts: EventTime, arrival: u64, settled: &mut Vec<(Claim, Fate)>) {
        let left = self.votes.push(Vote { ts, arrival });
        if let Some(left) = left
            && let Some(held) = self.pen.pop_front_if(|held| held.arrival == left.arrival)
        {
            settled.push((held.claim, Fate::Quarantined(Quarantine::Ahead)));
        }
    }

    /// Refutes the frames that have waited for so many others. Votes alone might never refute them: where most frames
    /// are far behind the clock, few have one.
    fn refute_old(&mut self, arrival: u64, settled: &mut Vec<(Claim, Fate)>) {
        while let Some(held) = self
            .pen
            .pop_front_if(|held| arrival - held.arrival >= HELD_FRAMES_MAX)
        {
            self.votes.withdraw(held.arrival);
            settled.push((held.claim, Fate::Quarantined(Quarantine::Ahead)));
        }
    }

    /// Votes of counted frames; they are the least ones.
    fn counted_votes(&self) -> usize {
        self.votes.len() - self.pen.len()
    }

    /// Whether the frames that wait say what time it is: so many that agree, or all that have a vote.
    fn is_decided(&self, quorum: usize) -> bool {
        let waiting = self.pen.len();
        let agree = || {
            let waiting = self.votes.waiting(self.counted_votes());
            waiting.agrees(self.rules.max_jump_s)
        };
        waiting == CLOCK_VOTES || (waiting >= quorum && agree())
    }

    /// Whether a quorum waits and the next vote would refute the first of it. Where honest frames come from anywhere in a
    /// gap, as after an outage, some of them are not ahead and have votes among those that wait: these never agree, nor
    /// do all votes wait.
    fn majority_gives_way(&self) -> bool {
        let first = self.pen.front().map(|held| held.arrival);
        self.pen.len() >= CLOCK_QUORUM
            && self.votes.len() == CLOCK_VOTES
            && first == self.votes.oldest()
    }

    /// Up to where a frame is believed at once. Those that wait have no say in it.
    fn fence(&self) -> u64 {
        let present = self.votes.counted(self.counted_votes());
        u64::from(present.median()) + present.reach(self.rules.max_jump_s)
    }

    /// Whether a frame is not ahead of the fence. The fence is no less than the allowed jump away from the median, which
    /// mostly settles it.
    fn is_believable(&self, ts: EventTime) -> bool {
        let median = self.votes.counted(self.counted_votes()).median();
        let ahead = ts.saturating_sub(median);
        ahead <= self.rules.max_jump_s || u64::from(ts) <= self.fence()
    }

    /// Whether a frame is no further behind the median than one ahead of it might be. What is further back, such as
    /// what a device sends hours later, says nothing about the present.
    fn is_near(&self, ts: EventTime) -> bool {
        let present = self.votes.counted(self.counted_votes());
        let behind = present.median().saturating_sub(ts);
        behind <= self.rules.max_jump_s || u64::from(behind) <= present.reach(self.rules.max_jump_s)
    }

    /// Counts the frames that clock or fence have reached. They lose their votes: others have spoken for the present, and
    /// a burst of wrong ones would be its majority.
    fn release(&mut self, settled: &mut Vec<(Claim, Fate)>) {
        let mut bound = self.clock.map_or(0, u64::from);
        while !self.pen.is_empty() {
            let before = settled.len();
            let reached = self
                .pen
                .iter()
                .filter(|held| u64::from(held.claim.ts) <= bound);
            let reached: Vec<u64> = reached.map(|held| held.arrival).collect();
            self.count_up_to(bound, settled);
            for arrival in &reached {
                self.votes.withdraw(*arrival);
            }
            let fence = self.fence().max(self.clock.map_or(0, u64::from));
            if settled.len() == before && fence <= bound {
                return;
            }
            bound = fence;
        }
    }

    /// Counts what waits up to a time, in the order of arrival.
    fn count_up_to(&mut self, bound: u64, settled: &mut Vec<(Claim, Fate)>) {
        let mut pen = std::mem::take(&mut self.pen);
        pen.retain(|held| {
            let counts = u64::from(held.claim.ts) <= bound;
            if counts {
                settled.push((held.claim, self.count_unless_behind(held.claim.ts)));
            }
            !counts
        });
        self.pen = pen;
    }

    /// Sets the clock by the frames that wait alone.
    fn establish_anew(&mut self, settled: &mut Vec<(Claim, Fate)>) {
        let waiting = self.pen.iter().map(|held| held.claim.ts);
        self.votes.forget_before(waiting.min().unwrap_or(0));
        self.establish(settled);
    }

    /// Sets the clock among the frames that wait, all of which have a vote and which are all that have one: by the
    /// majority of them.
    fn establish(&mut self, settled: &mut Vec<(Claim, Fate)>) {
        let all = self.votes.counted(self.votes.len());
        let bound = u64::from(all.median()) + all.reach(self.rules.max_jump_s);
        let believed = self.pen.iter().map(|held| held.claim.ts);
        let clock = believed.filter(|ts| u64::from(*ts) <= bound).max();
        let first_behind = clock.map_or(0, |c| c.saturating_sub(self.rules.max_lateness_s));
        let (behind, rest) = std::mem::take(&mut self.pen)
            .into_iter()
            .partition(|held| held.claim.ts < first_behind);
        self.pen = rest;
        let behind: VecDeque<Held> = behind;
        for held in behind {
            self.votes.withdraw(held.arrival);
            settled.push((held.claim, Fate::Quarantined(Quarantine::Behind)));
        }
        self.count_up_to(bound, settled);
        self.release(settled);
    }
}
