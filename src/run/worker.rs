//! A worker: takes batches and barriers in turn, and answers barriers in slices between batches.

use std::sync::Arc;

use crossbeam_channel::{Receiver, Sender};

use super::pulse::Pulse;
use super::web::slip::{Part, ShardSlip};
use crate::engine::barrier::{Answer, Question};
use crate::engine::frame::Sighting;
use crate::engine::shard::Shard;
use crate::observe::failpoint::Failpoint;

pub(super) enum Work {
    Batch(Vec<Sighting>),
    Barrier(Arc<Question>),
    Look(ShardSlip),
}

/// One shard, and the channels to it and from it.
pub(super) struct Worker {
    shard: Shard,
    inbox: Receiver<Work>,
    /// Where batches go for their memory.
    recycle: Sender<Vec<Sighting>>,
    answers: Sender<Answer>,
    pulse: Pulse,
}

impl Worker {
    pub(super) fn new(
        shard: Shard,
        inbox: Receiver<Work>,
        recycle: Sender<Vec<Sighting>>,
        answers: Sender<Answer>,
    ) -> Self {
        Self {
            shard,
            inbox,
            recycle,
            answers,
            pulse: Pulse::default(),
        }
    }

    /// Its sign of life.
    pub(super) fn pulse(&self) -> Pulse {
        self.pulse.clone()
    }

    /// Takes a message, for which it waits only if there is nothing else to do, and does one slice of what is under way.
    /// Returns false when there is nothing more to come.
    pub(super) fn turn(&mut self) -> bool {
        let work = if self.shard.is_busy() {
            // Also where nothing more can come: what is under way is finished all the same.
            self.inbox.try_recv().ok()
        } else {
            self.pulse.rest();
            match self.inbox.recv() {
                Ok(work) => Some(work),
                Err(_) => return false,
            }
        };
        self.pulse.work();
        Failpoint::WorkerTurn.pass();
        match work {
            Some(Work::Batch(batch)) => {
                self.shard.record(&batch);
                // A full channel means that enough empty batches wait; this one is freed.
                let _ = self.recycle.try_send(batch);
            }
            Some(Work::Barrier(question)) => self.shard.ask(&question),
            Some(Work::Look(ShardSlip { look, reply })) => {
                // There is room for it, unless whoever asked has left.
                let _ = reply.try_send(Part::Seen(self.shard.look(&look)));
            }
            None => {}
        }
        if !self.shard.is_busy() {
            return true;
        }
        match self.shard.step() {
            (_, Some(answer)) => self.answers.send(answer).is_ok(),
            (_, None) => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use crossbeam_channel::bounded;

    use super::*;
    use crate::engine::calendar::{Calendar, Period, WindowId};
    use crate::engine::frame::{EventTime, UserHash};
    use crate::engine::shard::Shelf;
    use crate::engine::sketch::Precision;
    use crate::limits::{PAGES, PASS_CELLS};

    const START: EventTime = 1_767_225_600;

    /// Somebody in every cell of every second register from this one on: no window fills, so every cell is looked at.
    fn everybody(p: Precision, from: u64, ts: EventTime) -> Vec<Sighting> {
        let ranks = 1..=u32::from(p.max_rank());
        let hashes = ranks.flat_map(|rank| {
            let top = if rank == u32::from(p.max_rank()) {
                0
            } else {
                1 << (64 - rank)
            };
            (from..p.registers() as u64)
                .step_by(2)
                .map(move |register| UserHash(top | register))
        });
        let sighting = |hash| Sighting {
            hash,
            ts,
            periods: Period::Minute.bit() | Period::Day.bit(),
        };
        hashes.map(sighting).collect()
    }

    fn question(save: bool) -> Arc<Question> {
        let ago = [60, 3_600, 86_400, 604_800, 2_678_400, 31_536_000];
        Arc::new(Question {
            trailing: Some(ago.map(|s| i64::from(START) - s)),
            save,
            ..Question::default()
        })
    }

    struct Bare;

    impl Shelf for Bare {
        fn fetch(&mut self, _: WindowId) -> Result<Vec<u8>, String> {
            Err("nothing is shelved here".to_owned())
        }
    }

    /// A shard that has seen everybody in every second register, some of them in a small window too.
    fn shard(p: Precision) -> Shard {
        let mut shard = Shard::new(p, 0..PAGES, Calendar::utc());
        shard.keep_on(Box::new(Bare));
        shard.record(&everybody(p, 0, START));
        let few: Vec<_> = everybody(p, 0, START - 600)
            .into_iter()
            .step_by(50_000)
            .collect();
        shard.record(&few);
        shard
    }

    fn a_batch_between_every_two_slices(p: Precision, save: bool) {
        let question = || question(save);
        let mut straight = shard(p);
        let expected = straight.answer(&question());
        assert_eq!(expected.saved.is_some(), save);

        let cells = usize::from(p.max_rank()) * p.registers();
        let slices = cells.div_ceil(PASS_CELLS);
        // A save copies as much again.
        let most = slices * if save { 6 } else { 2 };
        let (work, inbox) = bounded(most + 2);
        let (recycle, recycled) = bounded(most + 2);
        let (answers, answered) = bounded(2);
        let mut worker = Worker::new(shard(p), inbox, recycle, answers);
        work.send(Work::Barrier(question())).unwrap();
        // Others, in all pages: each batch would change every number.
        let batch: Vec<_> = everybody(p, 1, START).into_iter().step_by(97).collect();
        for _ in 0..most {
            work.send(Work::Batch(batch.clone())).unwrap();
        }
        let mut turns = 0;
        while answered.is_empty() {
            assert!(worker.turn());
            turns += 1;
            assert_eq!(recycled.len(), turns - 1, "a batch each turn but the first");
        }
        assert!(turns >= slices, "{turns} turns for {slices} slices");
        assert_eq!(answered.recv(), Ok(expected.clone()));

        // All of the batches are in the next answer, those that had to wait too.
        work.send(Work::Barrier(question())).unwrap();
        drop(work);
        while worker.turn() {}
        straight.record(&batch);
        let later = straight.answer(&question());
        assert!(later != expected);
        assert_eq!(answered.recv(), Ok(later));
    }

    #[test]
    fn between_two_slices_of_a_tick_a_worker_takes_a_batch_and_its_answer_does_not_show_it() {
        for p in [12, 17] {
            a_batch_between_every_two_slices(Precision::new(p).unwrap(), false);
        }
    }

    #[test]
    fn between_two_slices_of_a_save_too() {
        for p in [12, 17] {
            a_batch_between_every_two_slices(Precision::new(p).unwrap(), true);
        }
    }
}
