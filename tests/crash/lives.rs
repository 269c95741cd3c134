//! What a store has been told, over all lives of its process, and what it may therefore hold.

use headcount::io::store::Store;
use headcount::io::store::StoreError;
use headcount::io::store::memory::MemoryStore;
use headcount::io::store::sqlite::SqliteStore;
use std::path::PathBuf;

use super::commits::{Commits, identity};
use super::faulty_vfs::FaultyDisk;
use super::store::sorted;

/// A state on a disk that may fail.
pub fn open(disk: &FaultyDisk) -> Result<SqliteStore, StoreError> {
    let failed = |error: rusqlite::Error| StoreError::Unavailable(error.to_string());
    let connection = disk.open("state.sqlite").map_err(failed)?;
    // The disk knows neither locks nor shared memory. Few pages before a checkpoint of the journal: they are to happen.
    connection
        .execute_batch("PRAGMA locking_mode = EXCLUSIVE; PRAGMA wal_autocheckpoint = 30;")
        .map_err(failed)?;
    SqliteStore::over(connection, PathBuf::from("state.sqlite"), identity(), None)
}

/// The checkpoints that were tried, and how many of them were confirmed.
pub struct Lives {
    /// After each one that was tried what comes next, and what the state is; the first of them empty.
    history: Vec<(Commits, MemoryStore)>,
    confirmed: usize,
}

impl Lives {
    pub fn new(seed: u64) -> Self {
        let nothing = (Commits::new(seed, 6), MemoryStore::default());
        Self {
            history: vec![nothing],
            confirmed: 0,
        }
    }

    pub fn confirmed(&self) -> usize {
        self.confirmed
    }

    /// Tries a checkpoint, so many times as a run would.
    pub fn commit(&mut self, store: &mut SqliteStore, tries: usize) -> Result<(), StoreError> {
        let (mut commits, model) = self.history[self.history.len() - 1].clone();
        let mut model = model.snapshot();
        let commit = commits.next();
        model.commit(&commit)?;
        self.history.push((commits, model));
        let mut result = store.commit(&commit);
        for _ in 1..tries {
            if result.is_ok() {
                break;
            }
            result = store.commit(&commit);
        }
        result?;
        store.tidy();
        self.confirmed = self.history.len() - 1;
        Ok(())
    }

    /// What is in the store must be a checkpoint that was tried, the last confirmed one or a later one; from there on it is
    /// the last.
    pub fn check(&mut self, store: &mut SqliteStore) -> Result<(), String> {
        let found = store.load().map_err(|error| error.to_string())?;
        let found = sorted(found);
        let is_it = |(_, model): &mut (Commits, MemoryStore)| {
            let expected = model.load().expect("a model does not fail");
            sorted(expected) == found
        };
        let at = (self.confirmed..self.history.len()).find(|at| is_it(&mut self.history[*at]));
        let Some(at) = at else {
            let epoch = found.map(|loaded| loaded.epoch);
            return Err(format!(
                "no state since checkpoint {} is what is there, of epoch {epoch:?}",
                self.confirmed
            ));
        };
        self.history.truncate(at + 1);
        self.confirmed = at;
        Ok(())
    }
}
