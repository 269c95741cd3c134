//! Checkpoints as a run might make them, and stores in directories that go away.

use headcount::engine::barrier::ClosedBy;
use headcount::engine::calendar::{Period, WindowId};
use headcount::engine::checkpoint::book::{Changes, StateDigest};
use headcount::engine::checkpoint::{
    Commit, SavedPartition, SavedRecord, SavedStage, SavedStretch, SavedWindow, Told,
};
use headcount::io::store::sqlite::{Identity, SqliteStore};
use headcount::io::store::{Store, StoreError};
use std::path::Path;
use tempfile::TempDir;

use super::dice::Dice;

pub fn identity() -> Identity {
    [("job", "users".to_owned()), ("precision", "12".to_owned())].into()
}

/// In memory where there is such a place: thousands of files are written, and none need outlive its test.
pub fn tempdir() -> TempDir {
    tempfile::tempdir_in("/dev/shm")
        .or_else(|_| tempfile::tempdir())
        .expect("a directory")
}

pub fn open(directory: &Path) -> Result<SqliteStore, StoreError> {
    SqliteStore::open(directory, identity())
}

/// A store that was opened and loaded, as a run does.
pub fn reopen(directory: &Path) -> SqliteStore {
    let mut store = open(directory).expect("a good state");
    store.load().expect("a good state");
    store
}

fn bytes(dice: &mut Dice, max: usize) -> Vec<u8> {
    let length = dice.below(max) + 1;
    // Runs of equal bytes, as registers have.
    let (a, b) = (dice.below(256) as u8, dice.below(256) as u8);
    (0..length)
        .map(|_| if dice.once_in(3) { a } else { b })
        .collect()
}

fn window_id(dice: &mut Dice, range: usize) -> WindowId {
    WindowId {
        period: dice.pick(&Period::ALL),
        start: 60 * dice.below(range) as i64,
    }
}

/// Makes checkpoints that could follow one another.
#[derive(Clone)]
pub struct Commits {
    dice: Dice,
    /// How many different windows there are of each period.
    range: usize,
    sketched: Vec<WindowId>,
    unpublished: Vec<u64>,
    next_seq: u64,
    epoch: u64,
}

impl Commits {
    pub fn new(seed: u64, range: usize) -> Self {
        Self {
            dice: Dice::new(seed),
            range,
            sketched: Vec::new(),
            unpublished: Vec::new(),
            next_seq: 1,
            epoch: 1,
        }
    }

    pub fn next(&mut self) -> Commit {
        self.epoch += u64::from(self.dice.once_in(5));
        let windows = self.windows();
        let sketches = self.sketches(&windows);
        let dice = &mut self.dice;
        let partition = |i: usize| {
            let saved = SavedPartition {
                next_offset: (i as i64) << 33,
                clock: vec![i as u8; 40],
                reading: vec![1; 13],
            };
            (format!("users/{i}"), saved)
        };
        let stretches = (0..dice.below(6)).map(|_| SavedStretch {
            page: dice.below(256),
            rank: dice.below(54) as u8,
            bytes: bytes(dice, 60),
        });
        let stretches = stretches.collect();
        let changes = Changes {
            partitions: (0..3).map(partition).collect(),
            ledger: bytes(dice, 80),
            rest: bytes(dice, 30),
            windows,
            sketches,
            stretches,
        };
        let digest = StateDigest(u128::from(dice.hash().0) << 64 | u128::from(dice.hash().0));
        let (records, acknowledged) = self.records();
        Commit {
            epoch: self.epoch,
            changes,
            digest,
            records,
            acknowledged,
        }
    }

    fn windows(&mut self) -> Vec<(WindowId, Option<SavedWindow>)> {
        let dice = &mut self.dice;
        let mut windows: Vec<(WindowId, Option<SavedWindow>)> = Vec::new();
        for _ in 0..dice.below(5) {
            let id = window_id(dice, self.range);
            if windows.iter().any(|(other, _)| *other == id) {
                continue;
            }
            let frames = dice.below(1_000) as u64 + 1;
            let changed = dice.once_in(2);
            let window = SavedWindow {
                end: id.start + 60,
                frames,
                late: frames / 3,
                stage: dice.pick(&[
                    SavedStage::Open,
                    SavedStage::Incomplete,
                    SavedStage::Final(ClosedBy::EventTime, 0),
                    SavedStage::Final(ClosedBy::Idle, 7),
                    SavedStage::Final(ClosedBy::End, 1),
                ]),
                changed,
                told: (changed && dice.once_in(2)).then(|| Told {
                    ahead: dice.bits() >> 2,
                    anew: dice.once_in(2),
                }),
            };
            let is_known = self.sketched.contains(&id);
            windows.push((id, (!is_known || !dice.once_in(3)).then_some(window)));
        }
        windows
    }

    fn sketches(
        &mut self,
        windows: &[(WindowId, Option<SavedWindow>)],
    ) -> Vec<(WindowId, Vec<u8>)> {
        let mut sketches = Vec::new();
        for (id, window) in windows {
            if window.is_none() {
                self.sketched.retain(|known| known != id);
            } else if !self.sketched.contains(id) || self.dice.once_in(2) {
                self.sketched.push(*id);
                sketches.push((*id, bytes(&mut self.dice, 400)));
            }
        }
        sketches
    }

    fn records(&mut self) -> (Vec<SavedRecord>, Vec<u64>) {
        let dice = &mut self.dice;
        let mut acknowledged = std::mem::take(&mut self.unpublished);
        self.unpublished = acknowledged.split_off(dice.below(acknowledged.len() + 1));
        let mut records = Vec::new();
        for _ in 0..dice.below(4) {
            records.push(SavedRecord {
                seq: self.next_seq,
                id: window_id(dice, self.range),
                key: format!("users|{}", self.next_seq),
                payload: bytes(dice, 50),
            });
            self.unpublished.push(self.next_seq);
            self.next_seq += 1;
        }
        (records, acknowledged)
    }
}
