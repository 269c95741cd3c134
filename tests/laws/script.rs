//! Scripts: what the sources deliver and when barriers are raised, made by dice.

use headcount::engine::admit::PartitionIndex;
use headcount::engine::catalog::Ask;
use headcount::engine::frame::{EventTime, Reject, UserHash, Verdict};
use headcount::limits::{MAX_EVENT_TIME_S, MIN_EVENT_TIME_S};

use super::dice::Dice;
use super::world::{DAY_S, HOUR_S, end, tick};

#[derive(Debug, Clone, Copy)]
pub enum Step {
    Add {
        start: i64,
        unread: bool,
    },
    Frame {
        partition: PartitionIndex,
        verdict: Verdict,
    },
    ReachEnd(PartitionIndex),
    /// A partition has been at its end for a while.
    Rest(PartitionIndex),
    /// Time walks on, if all partitions rest.
    Walk(EventTime),
    Finish(PartitionIndex),
    Pass(PartitionIndex),
    Barrier(Ask),
}

/// What a script is like.
#[derive(Debug, Clone, Copy)]
pub struct Traffic {
    pub frames: usize,
    pub users: usize,
    pub partitions: usize,
    /// Event time of the first frames.
    pub from: i64,
    /// Most seconds between two frames of a partition.
    pub step_s: i64,
    /// Once in so many frames a partition's time leaps by hours to weeks.
    pub leap_once_in: usize,
    /// Once in so many frames a frame is older than its partition's time, by seconds to months.
    pub late_once_in: usize,
    /// Once in so many frames a barrier is raised.
    pub barrier_once_in: usize,
    /// Whether some partitions are joined behind their first offset, or while the others are being read.
    pub joins: bool,
    /// Whether partitions rest now and then, and time walks on while all do.
    pub idles: bool,
}

pub fn uid(user: usize) -> UserHash {
    UserHash::of(format!("user-{user}@example.org").as_bytes())
}

pub fn seen(partition: PartitionIndex, user: usize, ts: i64) -> Step {
    Step::Frame {
        partition,
        verdict: Verdict::Seen(uid(user), EventTime::try_from(ts).unwrap()),
    }
}

impl Traffic {
    /// The steps; they end with every partition finished and everything put out.
    pub fn script(&self, dice: &mut Dice) -> Vec<Step> {
        let mut steps = Vec::new();
        let mut times = Vec::new();
        let mut from_zero = Vec::new();
        while times.len() < self.partitions {
            from_zero.push(self.add(&mut times, &mut steps, dice));
            if self.joins && times.len() > 1 && dice.once_in(3) {
                break;
            }
        }
        let mut finished = vec![false; self.partitions];
        for _ in 0..self.frames {
            if times.len() < self.partitions && dice.once_in(self.frames / 4) {
                from_zero.push(self.add(&mut times, &mut steps, dice));
            }
            let partition = dice.below(times.len());
            if !finished[partition] {
                steps.push(self.frame(partition, &mut times[partition], dice));
            }
            if dice.once_in(300) {
                steps.push(Step::Pass(partition));
            }
            if from_zero[partition] && dice.once_in(200) {
                steps.push(Step::ReachEnd(partition));
            }
            if self.idles && dice.once_in(60) {
                self.idle(&times, &mut steps, dice);
            }
            if times.len() > 1 && dice.once_in(self.frames) {
                finished[partition] = true;
                steps.push(Step::Finish(partition));
            }
            if dice.once_in(self.barrier_once_in) {
                steps.push(Step::Barrier(Ask {
                    trailing: dice.once_in(2),
                    changed: dice.once_in(2),
                    ..Ask::default()
                }));
            }
        }
        steps.extend((0..times.len()).map(Step::Finish));
        steps.extend([tick(), end(), tick()].map(Step::Barrier));
        steps
    }

    /// Adds a partition; returns whether it is read from its first offset.
    fn add(&self, times: &mut Vec<i64>, steps: &mut Vec<Step>, dice: &mut Dice) -> bool {
        let latest = times.iter().max().copied().unwrap_or(self.from);
        times.push(latest - dice.between(0, 40 * self.step_s));
        let joined = self.joins && dice.once_in(2);
        // One that is joined in its midst holds unread frames: what `since` is then, the design says.
        steps.push(Step::Add {
            start: if joined { dice.between(1, 1_000) } else { 0 },
            unread: joined || dice.once_in(2),
        });
        !joined
    }

    /// Some partitions rest, or all of them; then time may walk on, now and then further than the frames that follow.
    fn idle(&self, times: &[i64], steps: &mut Vec<Step>, dice: &mut Dice) {
        let all = dice.once_in(2);
        let resting = (0..times.len()).filter(|_| all || dice.once_in(2));
        steps.extend(resting.collect::<Vec<_>>().into_iter().map(Step::Rest));
        for _ in 0..dice.below(4) {
            let latest = times.iter().max().copied().unwrap_or(self.from);
            let walked = latest + dice.pick(&[-60, 0, 30, 64, 65, 400, HOUR_S, 7 * HOUR_S, DAY_S]);
            let walked = walked.clamp(MIN_EVENT_TIME_S.into(), u32::MAX.into());
            steps.push(Step::Walk(EventTime::try_from(walked).unwrap()));
            if dice.once_in(2) {
                steps.push(Step::Barrier(tick()));
            }
        }
    }

    fn frame(&self, partition: PartitionIndex, time: &mut i64, dice: &mut Dice) -> Step {
        *time += dice.between(0, self.step_s + 1);
        if dice.once_in(self.leap_once_in) {
            *time += dice.pick(&[HOUR_S, 7 * HOUR_S, DAY_S, 20 * DAY_S]);
        }
        let late = dice.once_in(self.late_once_in);
        let back = [0, 1, 5, 6, 60, HOUR_S, 7 * HOUR_S, 4 * DAY_S, 70 * DAY_S];
        let ts = *time - if late { dice.pick(&back) } else { 0 };
        match dice.below(40) {
            0 => Step::Frame {
                partition,
                verdict: Verdict::Rejected(dice.pick(&Reject::ALL)),
            },
            1 => Step::Frame {
                partition,
                verdict: Verdict::Ignored,
            },
            _ => {
                let ts = ts.clamp(MIN_EVENT_TIME_S.into(), MAX_EVENT_TIME_S.into());
                seen(partition, dice.below(self.users), ts)
            }
        }
    }
}
