//! Workers and their channels: sightings in batches to the shards, barriers through the same channels behind them.
//!
//! Invariants: 1. A worker sees a barrier after every sighting admitted before it and before every later one. 2. Every
//! channel is bounded; whoever is slowest slows the others down. 3. A thread that dies ends the run with an error.

use std::sync::Arc;
use std::thread::{self, JoinHandle};

use crossbeam_channel::{Receiver, Sender, bounded};

use super::pulse::Watched;
use super::reporter::{Intake, Publisher, Report, Reporter, ToReporter};
use super::web::slip::{Part, ShardSlip};
use super::worker::{Work, Worker};
use crate::config::Counting;
use crate::engine::barrier::{Answer, Barrier};
use crate::engine::frame::Sighting;
use crate::engine::route::{Router, page_ranges};
use crate::engine::shard::Shard;
use crate::engine::sketch::Precision;
use crate::error::Failure;
use crate::limits::{ANSWER_QUEUE_MESSAGES, BARRIER_QUEUE_MESSAGES, WORKER_QUEUE_MESSAGES};

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

/// Who has a shard.
enum Owner {
    Worker(Sender<Work>),
    /// The thread that admits.
    Here(Box<Shard>, Sender<Answer>),
}

/// The running workers and the reporter behind them.
pub struct Pipeline {
    router: Router,
    owners: Vec<Owner>,
    recycled: Receiver<Vec<Sighting>>,
    reports: Sender<ToReporter>,
    workers: Vec<JoinHandle<()>>,
    reporter: JoinHandle<Result<(), Failure>>,
    watched: Vec<Watched>,
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
        let (mut owners, mut workers, mut answers) = (Vec::new(), Vec::new(), Vec::new());
        let mut watched = Vec::new();
        for (i, shard) in shards.into_iter().enumerate() {
            let (to_worker, inbox) = bounded(WORKER_QUEUE_MESSAGES);
            let (to_reporter, answered) = bounded(ANSWER_QUEUE_MESSAGES);
            let recycle = to_recycle.clone();
            let mut worker = Worker::new(shard, inbox, recycle, to_reporter);
            let name = format!("shard-{i}");
            watched.push(Watched::new(name.clone(), worker.pulse()));
            workers.push(spawn(name, move || while worker.turn() {})?);
            owners.push(Owner::Worker(to_worker));
            answers.push(answered);
        }
        let reporter = Reporter::new(announced, answers, publisher);
        watched.push(Watched::new("reporter".to_owned(), reporter.pulse()));
        Ok(Self {
            router: Router::new(precision, threads),
            owners,
            recycled,
            reports,
            workers,
            reporter: spawn("reporter".to_owned(), move || reporter.run())?,
            watched,
        })
    }

    /// The same without workers: whoever records has the shards too, so that one thread does all.
    ///
    /// # Errors
    ///
    /// When the system gives no thread.
    pub fn here(
        precision: Precision,
        shards: Vec<Shard>,
        publisher: Box<dyn Publisher>,
    ) -> Result<Self, Failure> {
        let number = shards.len();
        let (reports, announced) = bounded(BARRIER_QUEUE_MESSAGES);
        let (mut owners, mut answers) = (Vec::new(), Vec::new());
        for shard in shards {
            let (to_reporter, answered) = bounded(ANSWER_QUEUE_MESSAGES);
            owners.push(Owner::Here(Box::new(shard), to_reporter));
            answers.push(answered);
        }
        let reporter = Reporter::new(announced, answers, publisher);
        let watched = vec![Watched::new("reporter".to_owned(), reporter.pulse())];
        Ok(Self {
            router: Router::new(precision, number),
            owners,
            recycled: bounded(0).1,
            reports,
            workers: Vec::new(),
            reporter: spawn("reporter".to_owned(), move || reporter.run())?,
            watched,
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
        match &mut self.owners[shard] {
            Owner::Worker(work) => {
                let empty = self.recycled.try_recv().unwrap_or_default();
                let batch = self.router.take(shard, empty);
                work.send(Work::Batch(batch)).map_err(|_| Broken)
            }
            Owner::Here(owned, _) => {
                self.router.visit(shard, |batch| owned.record(batch));
                Ok(())
            }
        }
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
            match &mut self.owners[shard] {
                Owner::Worker(work) => {
                    let barrier = Work::Barrier(Arc::clone(&question));
                    work.send(barrier).map_err(|_| Broken)?;
                }
                Owner::Here(owned, answers) => {
                    // There is room: more answers fit than barriers may be under way.
                    answers.send(owned.answer(&question)).map_err(|_| Broken)?;
                }
            }
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
            match &mut self.owners[shard] {
                Owner::Worker(work) => {
                    work.send(Work::Look(slip.clone())).map_err(|_| Broken)?;
                }
                Owner::Here(owned, _) => {
                    // There is room for it, unless whoever asked has left.
                    let _ = slip.reply.try_send(Part::Seen(owned.look(&slip.look)));
                }
            }
        }
        Ok(())
    }

    /// Its threads, for whoever watches them.
    pub(super) fn watched(&self) -> Vec<Watched> {
        self.watched.clone()
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
        drop(self.owners);
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
