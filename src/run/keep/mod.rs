//! Keeps the state: has what the reporter puts together written on a thread of its own.
//!
//! Invariant: a checkpoint that cannot be written is tried again for a while, then the run ends: the state stays as the
//! one before it left it, and nothing was published that it does not have.

pub(super) mod restore;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, TryRecvError, bounded};

use super::pipeline::spawn;
use crate::engine::checkpoint::Commit;
use crate::engine::checkpoint::keeping::Keeping;
use crate::engine::report::outbox::Outbox;
use crate::error::Failure;
use crate::io::clock::Clock;
use crate::io::store::{Store, StoreError};
use crate::limits::{
    COMMIT_RETRY_MS, COMMIT_TRIES_MAX, COPY_EVERY_MS, DELIVERY_POLL_MS, STATE_CLOSE_MS,
    UNPUBLISHED_FINALS_MAX, UNSAVED_FINALS_MAX,
};
use crate::observe::failpoint::Failpoint;
use crate::observe::happenings::{NoCopyKept, StateNotWritten};

const _: () = assert!(UNSAVED_FINALS_MAX < UNPUBLISHED_FINALS_MAX);

/// What the consumer loop may know of the keeping.
#[derive(Debug, Clone)]
pub(super) struct Saves(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    under_way: AtomicBool,
    unsaved_finals: AtomicUsize,
    /// Whether the end of the input was not saved, since a checkpoint before it was not written in time.
    lacks_end: AtomicBool,
    /// Whether nothing more will be saved: a checkpoint could not be.
    has_failed: AtomicBool,
    changed: Receiver<()>,
    change: Sender<()>,
}

impl Default for Saves {
    fn default() -> Self {
        let (change, changed) = bounded(1);
        Self(Arc::new(Shared {
            under_way: AtomicBool::default(),
            unsaved_finals: AtomicUsize::default(),
            lacks_end: AtomicBool::default(),
            has_failed: AtomicBool::default(),
            changed,
            change,
        }))
    }
}

impl Saves {
    /// Whether a checkpoint is under way: until it is written there can be no other.
    pub(super) fn is_under_way(&self) -> bool {
        self.0.under_way.load(Ordering::Acquire)
    }

    /// Whether a checkpoint could not be written, so that the run ends.
    pub(super) fn have_failed(&self) -> bool {
        self.0.has_failed.load(Ordering::Acquire)
    }

    /// Begins one, once no other is under way; false if that took longer than `wait_ms`, or none is written any more. Sketches
    /// that are on the shelf after it must have been written before it.
    pub(super) fn begin(&self, wait_ms: u64) -> bool {
        // Each try waits for a change, or for a part of the time.
        const TRIES: u64 = 20;
        for _ in 0..TRIES {
            if self.have_failed() {
                return false;
            }
            if !self.is_under_way() {
                self.0.under_way.store(true, Ordering::Release);
                return true;
            }
            let limit = Duration::from_millis(wait_ms / TRIES);
            let _ = self.0.changed.recv_timeout(limit);
        }
        false
    }

    /// Nothing more is saved, although there is more to be.
    pub(super) fn give_up(&self) {
        self.0.lacks_end.store(true, Ordering::Release);
    }

    /// The one under way could not be written: nobody needs to wait for it, or for others.
    fn fail(&self) {
        self.0.has_failed.store(true, Ordering::Release);
        let _ = self.0.change.try_send(());
    }

    /// The one under way is written.
    pub(super) fn end(&self) {
        self.0.under_way.store(false, Ordering::Release);
        let _ = self.0.change.try_send(());
    }

    /// Whether so many finals wait for a checkpoint that one should not wait for its time.
    pub(super) fn is_pressing(&self) -> bool {
        self.0.unsaved_finals.load(Ordering::Relaxed) >= UNSAVED_FINALS_MAX && !self.is_under_way()
    }
}

/// Has checkpoints written.
pub(super) struct Keeper {
    /// `None` once there is nothing more to write.
    to_write: Option<Sender<Commit>>,
    written: Receiver<Result<(), StoreError>>,
    saves: Saves,
    /// Whether the writing thread was waited for in vain.
    is_given_up: bool,
}

impl Keeper {
    /// Starts the writing thread.
    ///
    /// # Errors
    ///
    /// When the system gives no thread.
    pub(super) fn start(
        mut store: Box<dyn Store>,
        is_new: bool,
        saves: Saves,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, Failure> {
        let (to_write, commits) = bounded::<Commit>(1);
        let (report, written) = bounded(1);
        // Not joined: a disk that hangs must not keep the process from ending for long.
        drop(spawn("state".to_owned(), move || {
            // What was taken up is a good state, and stays one until something is written to it.
            let mut copy_ms = if is_new {
                clock.monotonic_ms() + COPY_EVERY_MS
            } else {
                0
            };
            while let Ok(commit) = commits.recv() {
                if clock.monotonic_ms() >= copy_ms {
                    copy_ms = clock.monotonic_ms() + COPY_EVERY_MS;
                    if let Err(error) = store.keep_copy() {
                        NoCopyKept {
                            why: &error.to_string(),
                        }
                        .emit();
                    }
                }
                if report.send(write(&mut *store, &commit, &commits)).is_err() {
                    break;
                }
                store.tidy();
            }
            // Whoever waits for the end of this waits for that of the store.
            drop(store);
            drop(report);
        })?);
        Ok(Self {
            to_write: Some(to_write),
            written,
            saves,
            is_given_up: false,
        })
    }

    /// Has a checkpoint written.
    pub(super) fn write(&self, commit: Commit) -> Result<(), Failure> {
        let to_write = self.to_write.as_ref().ok_or_else(ended)?;
        to_write.send(commit).map_err(|_| ended())
    }

    /// Takes note of a checkpoint that has been written.
    pub(super) fn tend(&self, keeping: &mut Keeping, outbox: &mut Outbox) -> Result<(), Failure> {
        match self.written.try_recv() {
            Ok(result) => self.note(result, keeping, outbox)?,
            Err(TryRecvError::Empty) => {}
            // It may, once nothing more is to be written.
            Err(TryRecvError::Disconnected) if self.to_write.is_none() => {}
            Err(TryRecvError::Disconnected) => return Err(ended()),
        }
        let unsaved = outbox.unsaved_finals();
        self.saves
            .0
            .unsaved_finals
            .store(unsaved, Ordering::Relaxed);
        Ok(())
    }

    /// Waits until the checkpoint under way, if there is one, has been written.
    pub(super) fn wait(&self, keeping: &mut Keeping, outbox: &mut Outbox) -> Result<(), Failure> {
        while keeping.is_under_way() {
            let limit = Duration::from_millis(DELIVERY_POLL_MS);
            match self.written.recv_timeout(limit) {
                Ok(result) => self.note(result, keeping, outbox)?,
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return Err(ended()),
            }
        }
        Ok(())
    }

    /// No other checkpoint follows: the one under way is tried once more at the most, and the store is closed then.
    pub(super) fn hurry(&mut self) {
        self.to_write = None;
    }

    /// Waits for the last checkpoint, if it is still under way; an error if the state is not as of the end.
    pub(super) fn wait_for_last(
        &mut self,
        keeping: &mut Keeping,
        outbox: &mut Outbox,
    ) -> Result<(), Failure> {
        if keeping.is_under_way() {
            let limit = Duration::from_millis(STATE_CLOSE_MS);
            let Ok(result) = self.written.recv_timeout(limit) else {
                self.is_given_up = true;
                return Err(behind());
            };
            self.note(result, keeping, outbox)?;
        }
        match self.saves.0.lacks_end.load(Ordering::Acquire) {
            true => Err(behind()),
            false => Ok(()),
        }
    }

    fn note(
        &self,
        result: Result<(), StoreError>,
        keeping: &mut Keeping,
        outbox: &mut Outbox,
    ) -> Result<(), Failure> {
        result.inspect_err(|_| self.saves.fail())?;
        keeping.note_written(outbox);
        self.saves.end();
        Ok(())
    }
}

impl Drop for Keeper {
    /// The store is closed before the process ends.
    fn drop(&mut self) {
        self.to_write = None;
        let limit = Duration::from_millis(STATE_CLOSE_MS);
        // At most one answer is still to come.
        while !self.is_given_up && self.written.recv_timeout(limit).is_ok() {}
    }
}

fn behind() -> Failure {
    let why = "the last checkpoint was not written in time; the state is as of the one before it, and the next run goes on \
               from there";
    Failure::Output(why.to_owned())
}

fn ended() -> Failure {
    Failure::Internal("the thread that writes the state has ended; please report it".to_owned())
}

fn write(
    store: &mut dyn Store,
    commit: &Commit,
    commits: &Receiver<Commit>,
) -> Result<(), StoreError> {
    for _ in 1..COMMIT_TRIES_MAX {
        Failpoint::BeforeCommit.pass();
        match store.commit(commit) {
            Err(StoreError::Unavailable(why)) => StateNotWritten { why: &why }.emit(),
            result => {
                Failpoint::AfterCommit.pass();
                if !commit.acknowledged.is_empty() {
                    Failpoint::Trim.pass();
                }
                return result;
            }
        }
        // No other checkpoint follows before this one is answered for: this waits, unless the run ends.
        let waited = commits.recv_timeout(Duration::from_millis(COMMIT_RETRY_MS));
        if waited == Err(RecvTimeoutError::Disconnected) {
            break;
        }
    }
    store.commit(commit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_waits_for_a_checkpoint_that_could_not_be_written() {
        let saves = Saves::default();
        assert!(saves.begin(0), "none is under way");
        let waiting = saves.clone();
        // Its limit is longer than any test may take: it ends because it is told to.
        let waits = std::thread::spawn(move || waiting.begin(u64::MAX));
        saves.fail();
        assert!(!waits.join().unwrap(), "it may not begin one");
        assert!(saves.have_failed());
    }
}
