//! The rule of the clock once more, slowly: from its description, sorting everything each time.

use headcount::engine::clock::{Claim, ClockRules, Fate, PartitionClock, Quarantine};
use headcount::engine::frame::UserHash;

use super::clock::{DAY, HOUR, START, YEAR};
use super::dice::Dice;

/// A frame that has a vote: its number and time, and whether it still waits.
#[derive(Debug, Clone, Copy)]
struct Voter {
    frame: usize,
    ts: i64,
    waits: bool,
}

struct Model {
    max_jump: i64,
    lateness: i64,
    max_lateness: i64,
    clock: Option<i64>,
    voters: Vec<Voter>,
    fates: Vec<Option<Fate>>,
}

fn median(values: &[i64]) -> i64 {
    let mut sorted = values.to_vec();
    sorted.sort_unstable();
    sorted[(sorted.len() - 1) / 2]
}

impl Model {
    fn new(rules: ClockRules) -> Self {
        Self {
            max_jump: rules.max_jump_s.into(),
            lateness: rules.lateness_s.into(),
            max_lateness: rules.max_lateness_s.into(),
            clock: None,
            voters: Vec::new(),
            fates: Vec::new(),
        }
    }

    /// Median and reach of some votes.
    fn present(&self, times: &[i64]) -> (i64, i64) {
        let middle = median(times);
        let off: Vec<_> = times.iter().map(|ts| (ts - middle).abs()).collect();
        (middle, self.max_jump.max(6 * median(&off)))
    }

    fn counted_times(&self) -> Vec<i64> {
        let counted = self.voters.iter().filter(|v| !v.waits);
        counted.map(|v| v.ts).collect()
    }

    fn fence(&self) -> i64 {
        let (median, reach) = self.present(&self.counted_times());
        median + reach
    }

    fn quarantine(&mut self, frame: usize, why: Quarantine) {
        self.fates[frame] = Some(Fate::Quarantined(why));
    }

    fn count(&mut self, frame: usize, ts: i64) {
        let clock = self.clock.map_or(ts, |clock| clock.max(ts));
        if clock - ts > self.max_lateness {
            return self.quarantine(frame, Quarantine::Behind);
        }
        self.clock = Some(clock);
        let late = ts < clock - self.lateness;
        self.fates[frame] = Some(Fate::Counted { late });
    }

    fn vote(&mut self, frame: usize, ts: i64, waits: bool) {
        if self.voters.len() == 48 {
            let oldest = self.voters.remove(0);
            if oldest.waits {
                self.quarantine(oldest.frame, Quarantine::Ahead);
            }
        }
        self.voters.push(Voter { frame, ts, waits });
    }

    /// Counts what waits up to a time, in the order of arrival.
    fn count_waiting(&mut self, bound: i64) -> bool {
        let mut any = false;
        for i in 0..self.voters.len() {
            let Voter { frame, ts, waits } = self.voters[i];
            if waits && ts <= bound {
                self.voters[i].waits = false;
                self.count(frame, ts);
                any = true;
            }
        }
        any
    }

    fn release(&mut self) {
        let mut bound = self.clock.unwrap();
        loop {
            let waiting: Vec<_> = self.voters.iter().filter(|v| v.waits).copied().collect();
            let any = self.count_waiting(bound);
            // What had to wait has no vote once it is reached.
            let is_reached =
                |v: &Voter| waiting.iter().any(|w| w.frame == v.frame && w.ts <= bound);
            self.voters.retain(|v| !is_reached(v));
            let fence = self.fence().max(self.clock.unwrap());
            if !any && fence <= bound {
                return;
            }
            bound = fence;
        }
    }

    fn establish(&mut self) {
        let all: Vec<_> = self.voters.iter().map(|v| v.ts).collect();
        let (median, reach) = self.present(&all);
        let bound = median + reach;
        let clock = all.iter().filter(|ts| **ts <= bound).max().unwrap();
        let behind = clock - self.max_lateness;
        for voter in self.voters.clone() {
            if voter.ts < behind {
                self.quarantine(voter.frame, Quarantine::Behind);
            }
        }
        self.voters.retain(|v| v.ts >= behind);
        self.count_waiting(bound);
        self.release();
    }

    /// Whether what waits says what time it is.
    fn is_decided(&self, quorum: usize) -> bool {
        let waiting = self.voters.iter().filter(|v| v.waits);
        let times: Vec<_> = waiting.map(|v| v.ts).collect();
        if times.len() < quorum || times.len() == 48 {
            return times.len() == 48;
        }
        let (median, reach) = self.present(&times);
        let near = times.iter().filter(|ts| (*ts - median).abs() <= reach);
        6 * near.count() >= 5 * times.len()
    }

    fn refute_old(&mut self, now: usize) {
        for voter in self.voters.clone() {
            if voter.waits && now - voter.frame >= 1_024 {
                self.quarantine(voter.frame, Quarantine::Ahead);
                self.voters.retain(|v| v.frame != voter.frame);
            }
        }
    }

    fn frame(&mut self, ts: i64, appended: Option<i64>) {
        let frame = self.fates.len();
        self.fates.push(None);
        let witnessed = appended.is_some_and(|at| (at - ts).abs() <= self.max_jump);
        let Some(clock) = self.clock else {
            self.vote(frame, ts, !witnessed);
            if witnessed {
                self.count(frame, ts);
                self.release();
            } else if self.is_decided(12) {
                self.establish();
            }
            return;
        };
        self.refute_old(frame);
        let waiting = self.voters.iter().filter(|v| v.waits).count();
        if waiting >= 36 && self.voters.len() == 48 && self.voters[0].waits {
            self.voters.retain(|v| v.waits);
            self.establish();
        }
        let clock = self.clock.unwrap_or(clock);
        let (median, reach) = self.present(&self.counted_times());
        if ts <= clock {
            if median - ts <= reach {
                self.vote(frame, ts, false);
                self.release();
            }
            self.count(frame, ts);
        } else if witnessed || ts <= median + reach {
            self.vote(frame, ts, false);
            self.count(frame, ts);
            self.release();
        } else {
            self.vote(frame, ts, true);
            if self.is_decided(36) {
                self.voters.retain(|v| v.waits);
                self.establish();
            } else {
                self.release();
            }
        }
    }

    fn end(&mut self) {
        let whole = self.clock.is_none();
        for voter in self.voters.clone() {
            if voter.waits && whole {
                let clock = self.clock.map_or(voter.ts, |clock| clock.max(voter.ts));
                self.clock = Some(clock);
                let late = voter.ts < clock - self.lateness;
                self.fates[voter.frame] = Some(Fate::Counted { late });
            } else if voter.waits {
                self.quarantine(voter.frame, Quarantine::Unconfirmed);
            }
        }
    }
}

/// Times of every kind of trouble at once.
fn times(dice: &mut Dice) -> Vec<u32> {
    let mut now = START + dice.below(YEAR as usize) as u32;
    let step = dice.pick(&[1, 2, 3, 20, 200, 5_000]);
    let backlog = dice.pick(&[2, 3, 1_000]);
    let often = [3, 5, 10, 30, 100, 1_000];
    let [flip, jump, late, crowd] = [0; 4].map(|_| dice.pick(&often));
    let mut burst = (0, 0);
    let n = dice.between(1, 2_500);
    let mut gap = 0;
    (0..n)
        .map(|_| {
            now += dice.below(step) as u32;
            if dice.once_in(10 * jump) {
                gap = dice.pick(&[61, 120, HOUR, DAY, 30 * DAY]);
                now += gap;
            }
            if dice.once_in(20 * flip) {
                burst = (dice.below(60), 1 << dice.below(31));
            }
            if burst.0 > 0 {
                burst.0 -= 1;
                return now ^ burst.1;
            }
            match () {
                () if dice.once_in(flip) => now ^ (1 << dice.below(31)),
                () if dice.once_in(late) => now - dice.below(5 * 3_600) as u32,
                () if gap > 0 && dice.once_in(backlog) => now - dice.below(gap as usize) as u32,
                () if dice.once_in(crowd) => now + HOUR,
                () => now,
            }
        })
        .collect()
}

#[test]
fn every_frame_has_the_fate_that_the_description_of_the_rule_gives_it() {
    let mut dice = Dice::new(5);
    for stream in 0..1_500 {
        let rules = ClockRules {
            lateness_s: dice.pick(&[0, 5, 3_600]),
            max_lateness_s: dice.pick(&[3_600, 86_400, 100 * 86_400, u32::MAX]),
            max_jump_s: dice.pick(&[0, 60, 60, 60, 600]),
        };
        let (mut clock, mut model) = (PartitionClock::new(rules), Model::new(rules));
        let times = times(&mut dice);
        let mut fates = vec![None; times.len()];
        let mut settled = Vec::new();
        let appends = dice.once_in(4);
        for (i, ts) in times.iter().enumerate() {
            let claim = Claim {
                hash: UserHash(i as u64),
                ts: *ts,
                offset: i as i64,
            };
            let appended = (appends && dice.once_in(3)).then(|| ts + dice.below(200) as u32);
            fates[i] = clock.judge(claim, appended, &mut settled);
            for (claim, fate) in settled.drain(..) {
                let before = fates[claim.offset as usize].replace(fate);
                assert_eq!(before, None, "decided twice");
            }
            model.frame((*ts).into(), appended.map(i64::from));
            assert_eq!(
                fates[..=i],
                model.fates,
                "stream {stream}, frame {i}, {rules:?}: {times:?}"
            );
            assert_eq!(clock.now().map(i64::from), model.clock);
        }
        clock.settle(&mut settled);
        for (claim, fate) in settled.drain(..) {
            fates[claim.offset as usize] = Some(fate);
        }
        model.end();
        assert_eq!(fates, model.fates, "the end of stream {stream}");
        assert!(fates.iter().all(Option::is_some));
    }
}
