//! The threads that read and decode chunks. Whoever admits them lends a hand while it waits.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::thread;

use crossbeam_channel::{Receiver, Sender, bounded};

use super::chunk::{Decoded, Hand, Keep};
use crate::engine::decode::Fields;
use crate::error::Failure;
use crate::io::source::chunks::Chunks;
use crate::run::pipeline::spawn;

/// A chunk to be read and decoded.
pub(super) struct Job {
    pub(super) feed: usize,
    pub(super) number: u64,
    pub(super) chunks: Arc<Chunks>,
}

/// A chunk that was.
pub(super) struct Done {
    pub(super) feed: usize,
    pub(super) number: u64,
    pub(super) decoded: Decoded,
}

enum Report {
    Done(Done),
    /// A thread has died.
    Died,
}

/// All threads that decode, the one that admits among them.
pub(super) struct Crew {
    jobs: Sender<Job>,
    waiting: Receiver<Job>,
    reports: Receiver<Report>,
    own: Hand,
    /// A job of a stream that another thread was reading just then.
    put_off: Option<Job>,
    is_alone: bool,
}

impl Crew {
    /// So many threads, this one among them; `most` jobs are given before one of them was done.
    ///
    /// # Errors
    ///
    /// When the system gives no thread.
    pub(super) fn start(
        threads: usize,
        most: usize,
        fields: &Fields,
        keep: Keep,
        guesses: &Arc<AtomicBool>,
    ) -> Result<Self, Failure> {
        let (jobs, waiting) = bounded(most);
        // A thread that dies has room to say so.
        let (report, reports) = bounded(most + threads);
        for i in 1..threads {
            let hand = Hand::new(fields, keep, guesses);
            let (jobs, report) = (Receiver::clone(&waiting), Sender::clone(&report));
            // Not joined: it may be waiting for a pipe when the run is over.
            drop(spawn(format!("decode-{i}"), move || {
                work_through(hand, &jobs, &report);
            })?);
        }
        Ok(Self {
            jobs,
            waiting,
            reports,
            own: Hand::new(fields, keep, guesses),
            put_off: None,
            is_alone: threads == 1,
        })
    }

    pub(super) fn give(&self, job: Job) {
        self.jobs.send(job).expect("this end listens too");
    }

    /// A chunk that is done; does one itself where none is. There must be jobs that were given and not done.
    ///
    /// # Errors
    ///
    /// When a thread has died.
    pub(super) fn take(&mut self) -> Result<Done, Failure> {
        let report = match self.reports.try_recv() {
            Ok(report) => report,
            Err(_) => match self.lend_a_hand() {
                Some(done) => return Ok(done),
                None => self.reports.recv().unwrap_or(Report::Died),
            },
        };
        match report {
            Report::Done(done) => Ok(done),
            Report::Died => Err(Failure::Internal(
                "a thread that decodes died; the message above says where, please report it"
                    .to_owned(),
            )),
        }
    }

    /// Does not wait for a stream that another thread reads: what that one has read before is to be admitted meanwhile.
    fn lend_a_hand(&mut self) -> Option<Done> {
        let job = self
            .put_off
            .take()
            .or_else(|| self.waiting.try_recv().ok())?;
        let done = self.own.work(&job.chunks, job.number, self.is_alone);
        match done {
            Some((number, decoded)) => Some(Done {
                feed: job.feed,
                number,
                decoded,
            }),
            None => {
                // Whoever reads it reports then, which wakes this thread.
                self.put_off = Some(job);
                None
            }
        }
    }
}

/// Tells if its thread dies.
struct Alarm<'a>(&'a Sender<Report>);

impl Drop for Alarm<'_> {
    fn drop(&mut self) {
        if thread::panicking() {
            let _ = self.0.send(Report::Died);
        }
    }
}

fn work_through(mut hand: Hand, jobs: &Receiver<Job>, report: &Sender<Report>) {
    let _alarm = Alarm(report);
    while let Ok(Job {
        feed,
        number,
        chunks,
    }) = jobs.recv()
    {
        let Some((number, decoded)) = hand.work(&chunks, number, true) else {
            continue;
        };
        let done = Done {
            feed,
            number,
            decoded,
        };
        if report.send(Report::Done(done)).is_err() {
            return;
        }
    }
}
