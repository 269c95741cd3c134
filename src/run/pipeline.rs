//! Workers and their channels: sightings in batches to the shards, barriers through the same channels behind them.
//!
//! Invariants: 1. A worker sees a barrier after every sighting admitted before it and before every later one. 2. Every
//! channel is bounded; whoever is slowest slows the others down. 3. A thread that dies ends the run with an error.

use std::sync::Arc;
use std::thread::{self, JoinHandle};

use crossbeam_channel::{Receiver, Sender, bounded};

use super::reporter::{Intake, Publisher, Report, Reporter, ToReporter};
use super::web::slip::{Part, ShardSlip};
use crate::config::Counting;
use crate::engine::barrier::{Answer, Barrier, Question};
use crate::engine::frame::Sighting;
use crate::engine::route::{Router, page_ranges};
use crate::engine::shard::Shard;
use crate::engine::sketch::Precision;
use crate::error::Failure;
use crate::limits::{ANSWER_QUEUE_MESSAGES, BARRIER_QUEUE_MESSAGES, WORKER_QUEUE_MESSAGES};

enum Work {
    Batch(Vec<Sighting>),
    Barrier(Arc<Question>),
    Look(ShardSlip),
}

/// Empty shards, one a thread.
#[must_use]
pub fn fresh_shards(counting: &Counting) -> Vec<Shard> {
    let Counting {
        precision, rules, ..
    } = counting;
    let ranges = page_ranges(counting.threads).into_iter();
    ranges
        .map(|pages| Shard::new(*precision, pages, rules.calendar.clone()))
        .collect()
}

/// The running workers and the reporter behind them.
pub struct Pipeline {
    router: Router,
    work: Vec<Sender<Work>>,
    recycled: Receiver<Vec<Sighting>>,
    reports: Sender<ToReporter>,
    workers: Vec<JoinHandle<()>>,
    reporter: JoinHandle<Result<(), Failure>>,
}

impl Pipeline {
    /// Starts a worker for each shard and a reporter that hands joined answers to `publisher`.
    ///
    /// # Errors
    ///
    /// When the system gives no thread.
    pub fn start(
        precision: Precision,
        shards: Vec<Shard>,
        publisher: Box<dyn Publisher>,
    ) -> Result<Self, Failure> {
        let threads = shards.len();
        let (to_recycle, recycled) = bounded(threads * WORKER_QUEUE_MESSAGES);
        let (reports, announced) = bounded(BARRIER_QUEUE_MESSAGES);
        let (mut work, mut workers, mut answers) = (Vec::new(), Vec::new(), Vec::new());
        for (i, shard) in shards.into_iter().enumerate() {
            let (to_worker, inbox) = bounded(WORKER_QUEUE_MESSAGES);
            let (to_reporter, answered) = bounded(ANSWER_QUEUE_MESSAGES);
            let recycle = to_recycle.clone();
            workers.push(spawn(format!("shard-{i}"), move || {
                work_through(shard, &inbox, &recycle, &to_reporter);
            })?);
            work.push(to_worker);
            answers.push(answered);
        }
        let reporter = Reporter::new(announced, answers, publisher);
        Ok(Self {
            router: Router::new(precision, threads),
            work,
            recycled,
            reports,
            workers,
            reporter: spawn("reporter".to_owned(), move || reporter.run())?,
        })
    }

    /// Sends a sighting on its way.
    ///
    /// # Errors
    ///
    /// [`Broken`] when a thread has died; [`Self::finish`] tells why.
    pub fn record(&mut self, sighting: Sighting) -> Result<(), Broken> {
        match self.router.push(sighting) {
            Some(shard) => self.send_batch(shard),
            None => Ok(()),
        }
    }

    fn send_batch(&mut self, shard: usize) -> Result<(), Broken> {
        let empty = self.recycled.try_recv().unwrap_or_default();
        let batch = self.router.take(shard, empty);
        self.work[shard]
            .send(Work::Batch(batch))
            .map_err(|_| Broken)
    }

    /// Sends a barrier behind all sightings.
    ///
    /// # Errors
    ///
    /// [`Broken`] when a thread has died; [`Self::finish`] tells why.
    pub fn barrier(
        &mut self,
        barrier: Barrier,
        partitions: &Arc<[String]>,
        places: &Arc<[String]>,
        intake: Intake,
    ) -> Result<(), Broken> {
        let question = Arc::new(barrier.question);
        for shard in 0..self.router.shards() {
            if self.router.has_sightings(shard) {
                self.send_batch(shard)?;
            }
            self.work[shard]
                .send(Work::Barrier(Arc::clone(&question)))
                .map_err(|_| Broken)?;
        }
        let report = Report {
            snapshot: barrier.snapshot,
            saved: barrier.saved,
            partitions: Arc::clone(partitions),
            places: Arc::clone(places),
            intake,
        };
        self.reports
            .send(ToReporter::Report(Box::new(report)))
            .map_err(|_| Broken)
    }

    /// Passes a question from outside on to all workers, behind all sightings.
    ///
    /// # Errors
    ///
    /// [`Broken`] when a thread has died; [`Self::finish`] tells why.
    pub(super) fn look(&mut self, slip: &ShardSlip) -> Result<(), Broken> {
        for shard in 0..self.router.shards() {
            if self.router.has_sightings(shard) {
                self.send_batch(shard)?;
            }
            let work = Work::Look(slip.clone());
            self.work[shard].send(work).map_err(|_| Broken)?;
        }
        Ok(())
    }

    /// How many workers there are.
    pub(super) fn shards(&self) -> usize {
        self.router.shards()
    }

    /// Ends the workers, lets the reporter put out what it has until `deadline_ms` on its clock, and joins them all.
    ///
    /// # Errors
    ///
    /// What the reporter failed with, or that a thread has died.
    pub fn finish(self, deadline_ms: u64) -> Result<(), Failure> {
        drop(self.work);
        let told = self.reports.send(ToReporter::Finish { deadline_ms });
        drop(self.reports);
        let mut died = false;
        for worker in self.workers {
            died |= worker.join().is_err();
        }
        match self.reporter.join() {
            Ok(Ok(())) if !died && told.is_ok() => Ok(()),
            Ok(Err(failure)) if !died => Err(failure),
            _ => Err(Failure::Internal(
                "a worker thread died; the message above says where, please report it".to_owned(),
            )),
        }
    }
}

/// A thread of the pipeline has ended before its time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Broken;

/// Starts a named thread.
///
/// # Errors
///
/// When the system gives no thread.
pub(super) fn spawn<T: Send + 'static>(
    name: String,
    body: impl FnOnce() -> T + Send + 'static,
) -> Result<JoinHandle<T>, Failure> {
    let failed = |error| Failure::Internal(format!("cannot start a thread: {error}"));
    thread::Builder::new()
        .name(name)
        .spawn(body)
        .map_err(failed)
}

fn work_through(
    mut shard: Shard,
    inbox: &Receiver<Work>,
    recycle: &Sender<Vec<Sighting>>,
    answers: &Sender<Answer>,
) {
    while let Ok(work) = inbox.recv() {
        match work {
            Work::Batch(batch) => {
                shard.record(&batch);
                // A full channel means that enough empty batches wait; this one is freed.
                let _ = recycle.try_send(batch);
            }
            Work::Look(ShardSlip { look, reply }) => {
                // There is room for it, unless whoever asked has left.
                let _ = reply.try_send(Part::Seen(shard.look(&look)));
            }
            Work::Barrier(question) => {
                if answers.send(shard.answer(&question)).is_err() {
                    return;
                }
            }
        }
    }
}
