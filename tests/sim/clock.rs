//! The clock of a partition, written once more from what the engine says about it: every frame that has a vote in one
//! list, and whatever is asked of the votes sorted from scratch.

/// Votes that are kept, votes ahead of the clock that move it and frames that establish it if they agree, and frames after
/// which one that waits is refuted.
const VOTES: usize = 48;
const QUORUM: usize = 36;
const START: usize = 12;
const PATIENCE: u64 = 1_024;
/// With this jump or a greater one every frame is believed.
const ANY_JUMP_S: i64 = 36_600 * 86_400;

#[derive(Debug, Clone, Copy)]
pub struct ClockRules {
    pub lateness_s: i64,
    pub max_lateness_s: i64,
    pub max_jump_s: i64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Judgement {
    Counted { late: bool },
    Ahead,
    Behind,
    Unconfirmed,
}

/// A frame with a vote.
#[derive(Debug, Clone, Copy)]
struct Voter {
    offset: i64,
    ts: i64,
    number: u64,
    waits: bool,
}

/// What became of frames that waited, in the order in which it was decided.
pub type Settled = Vec<(i64, Judgement)>;

#[derive(Debug, Clone)]
pub struct Clock {
    rules: ClockRules,
    now: Option<i64>,
    /// In the order of arrival.
    voters: Vec<Voter>,
    frames: u64,
}

impl Clock {
    pub fn new(rules: ClockRules) -> Self {
        Self {
            rules,
            now: None,
            voters: Vec::new(),
            frames: 0,
        }
    }

    pub fn now(&self) -> Option<i64> {
        self.now
    }

    pub fn waiting(&self) -> usize {
        self.voters.iter().filter(|voter| voter.waits).count()
    }

    /// `None` if the frame waits, or has waited no longer than this call.
    pub fn judge(
        &mut self,
        offset: i64,
        ts: i64,
        appended: Option<i64>,
        settled: &mut Settled,
    ) -> Option<Judgement> {
        if self.rules.max_jump_s >= ANY_JUMP_S {
            return Some(self.count_unless_behind(ts));
        }
        let voter = Voter {
            offset,
            ts,
            number: self.frames,
            waits: false,
        };
        self.frames += 1;
        let witnessed = appended.is_some_and(|at| (at - ts).abs() <= self.rules.max_jump_s);
        if self.now.is_some() {
            self.refute(
                |held| held.number + PATIENCE <= voter.number,
                Judgement::Ahead,
                settled,
            );
            // A quorum whose first vote is about to go decides, whether or not it agrees.
            let is_full = self.voters.len() == VOTES && self.voters[0].waits;
            if is_full && self.waiting() >= QUORUM {
                self.voters.retain(|voter| voter.waits);
                self.establish(settled);
            }
        }
        if self.now.is_some_and(|now| ts <= now) {
            let (median, reach) = self.spread();
            if ts >= median - reach {
                self.enter(voter, settled);
                self.release(settled);
            }
            return Some(self.count_unless_behind(ts));
        }
        if witnessed || self.now.is_some() && ts <= self.fence() {
            self.enter(voter, settled);
            let own = self.count(ts);
            self.release(settled);
            return Some(own);
        }
        let held = Voter {
            waits: true,
            ..voter
        };
        self.enter(held, settled);
        let quorum = if self.now.is_some() { QUORUM } else { START };
        if self.is_decided(quorum) {
            self.voters.retain(|voter| voter.waits);
            self.establish(settled);
        } else if self.now.is_some() {
            self.release(settled);
        }
        None
    }

    pub fn settle(&mut self, settled: &mut Settled) {
        if self.now.is_none() {
            for voter in std::mem::take(&mut self.voters) {
                let judgement = self.count(voter.ts);
                settled.push((voter.offset, judgement));
            }
            return;
        }
        self.refute(|_| true, Judgement::Unconfirmed, settled);
    }

    fn count(&mut self, ts: i64) -> Judgement {
        self.now = self.now.max(Some(ts));
        let late = ts < self.now.unwrap() - self.rules.lateness_s;
        Judgement::Counted { late }
    }

    fn count_unless_behind(&mut self, ts: i64) -> Judgement {
        match self.now {
            Some(now) if ts < now - self.rules.max_lateness_s => Judgement::Behind,
            _ => self.count(ts),
        }
    }

    fn enter(&mut self, voter: Voter, settled: &mut Settled) {
        if self.voters.len() == VOTES {
            let oldest = self.voters.remove(0);
            if oldest.waits {
                settled.push((oldest.offset, Judgement::Ahead));
            }
        }
        self.voters.push(voter);
    }

    fn refute(&mut self, is_wrong: impl Fn(&Voter) -> bool, why: Judgement, settled: &mut Settled) {
        self.voters.retain(|voter| {
            let wrong = voter.waits && is_wrong(voter);
            if wrong {
                settled.push((voter.offset, why));
            }
            !wrong
        });
    }

    /// Median and reach of the votes of counted frames.
    fn spread(&self) -> (i64, i64) {
        self.spread_of(|voter| !voter.waits)
    }

    fn spread_of(&self, has_say: impl Fn(&Voter) -> bool) -> (i64, i64) {
        let lower_middle = |mut values: Vec<i64>| {
            values.sort_unstable();
            values[(values.len() - 1) / 2]
        };
        let voters = self.voters.iter().filter(|voter| has_say(voter));
        let times: Vec<i64> = voters.map(|voter| voter.ts).collect();
        let median = lower_middle(times.clone());
        let deviation = lower_middle(times.into_iter().map(|ts| (ts - median).abs()).collect());
        (median, self.rules.max_jump_s.max(6 * deviation))
    }

    fn fence(&self) -> i64 {
        let (median, reach) = self.spread();
        median + reach
    }

    /// First what the clock has reached, then what clock or fence reach as long as that is any. It has no vote any more.
    fn release(&mut self, settled: &mut Settled) {
        self.reach_up_to(self.now.unwrap(), settled);
        loop {
            let before = self.waiting();
            self.reach_up_to(self.now.unwrap().max(self.fence()), settled);
            if self.waiting() == before {
                return;
            }
        }
    }

    fn reach_up_to(&mut self, bound: i64, settled: &mut Settled) {
        let reached = |voter: &Voter| voter.waits && voter.ts <= bound;
        let gone: Vec<u64> = self
            .voters
            .iter()
            .filter(|v| reached(v))
            .map(|v| v.number)
            .collect();
        self.count_up_to(bound, settled);
        self.voters.retain(|voter| !gone.contains(&voter.number));
    }

    /// Whether what waits says what time it is: so many votes of which five sixths are near their median, or all.
    fn is_decided(&self, quorum: usize) -> bool {
        let waiting = self.waiting();
        if waiting < quorum || waiting == VOTES {
            return waiting == VOTES;
        }
        let (median, reach) = self.spread_of(|voter| voter.waits);
        let near = |voter: &&Voter| voter.waits && (voter.ts - median).abs() <= reach;
        6 * self.voters.iter().filter(near).count() >= 5 * waiting
    }

    fn count_up_to(&mut self, bound: i64, settled: &mut Settled) {
        for at in 0..self.voters.len() {
            let Voter {
                offset, ts, waits, ..
            } = self.voters[at];
            if waits && ts <= bound {
                self.voters[at].waits = false;
                let judgement = self.count_unless_behind(ts);
                settled.push((offset, judgement));
            }
        }
    }

    /// All that vote wait; the clock is the greatest of them that their own fence takes.
    fn establish(&mut self, settled: &mut Settled) {
        let (median, reach) = self.spread_of(|_| true);
        let bound = median + reach;
        let believed = self.voters.iter().map(|voter| voter.ts);
        let clock = believed.filter(|ts| *ts <= bound).max().unwrap();
        let first = clock - self.rules.max_lateness_s;
        self.refute(|voter| voter.ts < first, Judgement::Behind, settled);
        self.count_up_to(bound, settled);
        self.release(settled);
    }
}
