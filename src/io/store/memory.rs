//! A store in memory: for rehearsals.

use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::Mutex;
use xxhash_rust::xxh3::xxh3_128;

use super::{Store, StoreError};
use crate::engine::calendar::WindowId;
use crate::engine::checkpoint::book::StateDigest;
use crate::engine::checkpoint::{
    Commit, Loaded, SavedAdmission, SavedPartition, SavedRecord, SavedStretch, SavedWindow,
};
use crate::engine::shard::Shelf;

type Sketches = Arc<Mutex<BTreeMap<WindowId, Vec<u8>>>>;

/// A state that ends with its last clone.
#[derive(Debug, Clone, Default)]
pub struct MemoryStore {
    head: Option<(u64, StateDigest)>,
    lives: Vec<u64>,
    partitions: Vec<(String, SavedPartition)>,
    ledger: Vec<u8>,
    rest: Vec<u8>,
    windows: BTreeMap<WindowId, SavedWindow>,
    stretches: BTreeMap<(usize, u8), Vec<u8>>,
    records: BTreeMap<u64, SavedRecord>,
    sketches: Sketches,
}

impl MemoryStore {
    /// A copy that does not change with this one: what a crash would leave.
    #[must_use]
    pub fn snapshot(&self) -> Self {
        let sketches = Arc::new(Mutex::new(self.sketches.lock().clone()));
        Self {
            sketches,
            ..self.clone()
        }
    }
}

impl Store for MemoryStore {
    fn load(&mut self) -> Result<Option<Loaded>, StoreError> {
        let Some((epoch, digest)) = self.head else {
            return Ok(None);
        };
        let sketches = self.sketches.lock();
        let window = |(id, window): (&WindowId, &SavedWindow)| {
            (*id, *window, sketches.get(id).map(|bytes| xxh3_128(bytes)))
        };
        let stretch = |((page, rank), bytes): (&(usize, u8), &Vec<u8>)| SavedStretch {
            page: *page,
            rank: *rank,
            bytes: bytes.clone(),
        };
        let (names, partitions) = self.partitions.iter().cloned().unzip();
        let clocks = SavedAdmission {
            partitions,
            ledger: self.ledger.clone(),
            rest: self.rest.clone(),
            ..SavedAdmission::default()
        };
        Ok(Some(Loaded {
            epoch,
            digest,
            names,
            admission: clocks,
            windows: self.windows.iter().map(window).collect(),
            stretches: self.stretches.iter().map(stretch).collect(),
            records: self.records.values().cloned().collect(),
        }))
    }

    fn lives(&mut self) -> Result<Vec<u64>, StoreError> {
        Ok(self.lives.clone())
    }

    fn note_life(&mut self, epoch: u64) -> Result<(), StoreError> {
        self.lives.push(epoch);
        Ok(())
    }

    fn commit(&mut self, commit: &Commit) -> Result<(), StoreError> {
        let changes = &commit.changes;
        self.head = Some((commit.epoch, commit.digest));
        self.partitions.clone_from(&changes.partitions);
        self.ledger.clone_from(&changes.ledger);
        self.rest.clone_from(&changes.rest);
        let mut sketches = self.sketches.lock();
        sketches.extend(changes.sketches.iter().cloned());
        for (id, window) in &changes.windows {
            match window {
                Some(window) => drop(self.windows.insert(*id, *window)),
                None => {
                    self.windows.remove(id);
                    sketches.remove(id);
                }
            }
        }
        for stretch in &changes.stretches {
            let at = (stretch.page, stretch.rank);
            self.stretches.insert(at, stretch.bytes.clone());
        }
        let records = commit.records.iter();
        self.records.extend(records.map(|r| (r.seq, r.clone())));
        for seq in &commit.acknowledged {
            self.records.remove(seq);
        }
        Ok(())
    }

    fn tidy(&mut self) {}

    fn keep_copy(&mut self) -> Result<(), StoreError> {
        Ok(())
    }

    fn shelf(&self) -> Result<Box<dyn Shelf>, StoreError> {
        Ok(Box::new(MemoryShelf(Arc::clone(&self.sketches))))
    }
}

struct MemoryShelf(Sketches);

impl Shelf for MemoryShelf {
    fn fetch(&mut self, id: WindowId) -> Result<Vec<u8>, String> {
        let found = self.0.lock().get(&id).cloned();
        found.ok_or_else(|| format!("no sketch of {id:?} was saved"))
    }
}
