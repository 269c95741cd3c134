//! Keeps the state: puts checkpoints together on the reporter's thread and writes them on one of its own.
//!
//! Invariants: 1. One checkpoint is under way at a time. 2. A final leaves the outbox only once the checkpoint that has it is
//! written. 3. A checkpoint that cannot be written is tried again for a while, then the run ends: the state stays as the
//! one before it left it, and nothing was published that it does not have.

pub(super) mod restore;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, TryRecvError, bounded};

use super::pipeline::spawn;
use crate::engine::checkpoint::book::{Book, Changes, StateDigest};
use crate::engine::checkpoint::{Commit, SavedAdmission, SavedSketches};
use crate::engine::report::outbox::Outbox;
use crate::engine::shard::Shelf;
use crate::error::Failure;
use crate::io::clock::Clock;
use crate::io::store::{Store, StoreError};
use crate::limits::{
    COMMIT_RETRY_MS, COMMIT_TRIES_MAX, COPY_EVERY_MS, DELIVERY_POLL_MS, UNPUBLISHED_FINALS_MAX,
    UNSAVED_FINALS_MAX,
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
    changed: Receiver<()>,
    change: Sender<()>,
}

impl Default for Saves {
    fn default() -> Self {
        let (change, changed) = bounded(1);
        Self(Arc::new(Shared {
            under_way: AtomicBool::default(),
            unsaved_finals: AtomicUsize::default(),
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

    /// Begins one, once no other is under way; false if that took longer than `wait_ms`. Sketches that are on the shelf
    /// after it must have been written before it.
    pub(super) fn begin(&self, wait_ms: u64) -> bool {
        // Each try waits for a change, or for a part of the time.
        const TRIES: u64 = 20;
        for _ in 0..TRIES {
            if !self.is_under_way() {
                self.0.under_way.store(true, Ordering::Release);
                return true;
            }
            let limit = Duration::from_millis(wait_ms / TRIES);
            let _ = self.0.changed.recv_timeout(limit);
        }
        false
    }

    /// Whether so many finals wait for a checkpoint that one should not wait for its time.
    pub(super) fn is_pressing(&self) -> bool {
        self.0.unsaved_finals.load(Ordering::Relaxed) >= UNSAVED_FINALS_MAX && !self.is_under_way()
    }
}

/// Puts checkpoints together and has them written.
pub(super) struct Keeper {
    book: Book,
    shelf: Box<dyn Shelf>,
    epoch: u64,
    to_write: Sender<Commit>,
    written: Receiver<Result<(), StoreError>>,
    saves: Saves,
    /// What the last checkpoint said of what every one says.
    head: Option<(Changes, StateDigest)>,
    is_under_way: bool,
}

impl Keeper {
    /// Starts the writing thread.
    ///
    /// # Errors
    ///
    /// When the state cannot be opened once more, or the system gives no thread.
    pub(super) fn start(
        mut store: Box<dyn Store>,
        book: Book,
        epoch: u64,
        is_new: bool,
        saves: Saves,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, Failure> {
        let shelf = store.shelf()?;
        let (to_write, commits) = bounded::<Commit>(1);
        let (report, written) = bounded(1);
        // Not joined: a disk that hangs must not keep the process from ending.
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
                    return;
                }
            }
        })?);
        Ok(Self {
            book,
            shelf,
            epoch,
            to_write,
            written,
            saves,
            head: None,
            is_under_way: false,
        })
    }

    /// Has what was handed over at a barrier written. Returns the digest of the state then.
    pub(super) fn save(
        &mut self,
        admission: SavedAdmission,
        sketches: SavedSketches,
        places: &[String],
        outbox: &mut Outbox,
    ) -> Result<StateDigest, Failure> {
        let entered = self
            .book
            .enter(admission, sketches, places, &mut *self.shelf);
        let (changes, digest) = entered.map_err(Failure::State)?;
        let head = Changes {
            partitions: changes.partitions.clone(),
            ledger: changes.ledger.clone(),
            rest: changes.rest.clone(),
            ..Changes::default()
        };
        self.head = Some((head, digest));
        self.write(changes, digest, outbox)?;
        Ok(digest)
    }

    fn write(
        &mut self,
        changes: Changes,
        digest: StateDigest,
        outbox: &mut Outbox,
    ) -> Result<(), Failure> {
        // The consumer loop asks for one at a time; at the end they may follow one another.
        self.wait(outbox)?;
        let (records, acknowledged) = outbox.give_unsaved();
        let commit = Commit {
            epoch: self.epoch,
            changes,
            digest,
            records,
            acknowledged,
        };
        self.is_under_way = true;
        self.to_write.send(commit).map_err(|_| ended())
    }

    /// Takes note of a checkpoint that has been written.
    pub(super) fn tend(&mut self, outbox: &mut Outbox) -> Result<(), Failure> {
        match self.written.try_recv() {
            Ok(result) => self.note(result, outbox)?,
            Err(TryRecvError::Empty) => {}
            Err(TryRecvError::Disconnected) => return Err(ended()),
        }
        let unsaved = outbox.unsaved_finals();
        self.saves
            .0
            .unsaved_finals
            .store(unsaved, Ordering::Relaxed);
        Ok(())
    }

    /// Waits until no checkpoint is being written.
    pub(super) fn wait(&mut self, outbox: &mut Outbox) -> Result<(), Failure> {
        while self.is_under_way {
            let limit = Duration::from_millis(DELIVERY_POLL_MS);
            match self.written.recv_timeout(limit) {
                Ok(result) => self.note(result, outbox)?,
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return Err(ended()),
            }
        }
        Ok(())
    }

    fn note(&mut self, result: Result<(), StoreError>, outbox: &mut Outbox) -> Result<(), Failure> {
        result?;
        outbox.note_saved();
        self.is_under_way = false;
        self.saves.0.under_way.store(false, Ordering::Release);
        let _ = self.saves.0.change.try_send(());
        Ok(())
    }

    /// Whether a checkpoint is being written.
    pub(super) fn is_under_way(&self) -> bool {
        self.is_under_way
    }

    /// At the end of a run: what the output has taken need not be sent again by the next one.
    pub(super) fn trim(&mut self, outbox: &mut Outbox) -> Result<(), Failure> {
        match self.head.take() {
            Some((head, digest)) => self.write(head, digest, outbox),
            None => Ok(()),
        }
    }
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
