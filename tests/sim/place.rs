//! Where the state is kept: in memory, or in SQLite's file on a disk that fails and loses its power.

use std::path::PathBuf;

use headcount::engine::checkpoint::{Commit, Loaded};
use headcount::io::store::memory::MemoryStore;
use headcount::io::store::sqlite::SqliteStore;
use headcount::io::store::{Store, StoreError};

use super::dice::Dice;
use super::faulty_vfs::FaultyDisk;
use super::faulty_vfs::disk::{Fault, Files, Lasting};

/// How many operations of the disk a checkpoint takes, or a few more.
const OPERATIONS: usize = 40;

/// What goes wrong while a checkpoint is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mishap {
    /// One operation of it fails, or all from then on.
    Fault,
    /// The disk does not work at all.
    Failing,
    /// The process is killed: what it has handed to the disk stays.
    Kill,
    /// The power goes.
    Cut,
}

pub enum Place {
    Memory(MemoryStore),
    File {
        disk: FaultyDisk,
        store: Option<SqliteStore>,
    },
}

/// What a place held at some moment, to be put back.
pub enum Copied {
    Memory(MemoryStore),
    File(Files),
}

impl Place {
    pub fn memory() -> Self {
        Self::Memory(MemoryStore::default())
    }

    pub fn file(dice: &mut Dice) -> Self {
        Self::File {
            disk: FaultyDisk::new(dice.bits(), Files::new()),
            store: None,
        }
    }

    /// Another process takes up what is there.
    pub fn open(&mut self) -> Option<Loaded> {
        let loaded = match self {
            Self::Memory(store) => store.load(),
            Self::File { disk, store } => {
                let opened = store.insert(open(disk).expect("the disk is well"));
                opened.load()
            }
        };
        loaded.expect("it is well")
    }

    /// What is there now, to whoever has it open.
    pub fn load(&mut self) -> Option<Loaded> {
        let loaded = match self {
            Self::Memory(store) => store.load(),
            Self::File { store, .. } => store.as_mut().expect("it is open").load(),
        };
        loaded.expect("it is well")
    }

    /// Tries to write a checkpoint.
    pub fn commit(
        &mut self,
        commit: &Commit,
        mishap: Option<Mishap>,
        dice: &mut Dice,
    ) -> Result<(), StoreError> {
        match self {
            Self::Memory(store) => {
                let is_written = match mishap {
                    None => true,
                    Some(Mishap::Fault | Mishap::Failing) => false,
                    Some(Mishap::Kill | Mishap::Cut) => dice.once_in(2),
                };
                if is_written {
                    store.commit(commit)?;
                }
                // Who dies is told nothing.
                match mishap {
                    None => Ok(()),
                    Some(_) => Err(StoreError::Unavailable("as was asked for".to_owned())),
                }
            }
            Self::File { disk, store } => {
                let at = disk.get().operations() + 1 + dice.below(OPERATIONS) as u64;
                match mishap {
                    None => {}
                    Some(Mishap::Fault) => {
                        let fault = dice.pick(&[Fault::Full, Fault::Io, Fault::Short]);
                        let lasting = dice.pick(&[Lasting::Once, Lasting::FromThenOn]);
                        disk.get().fail_at(at, fault, lasting);
                    }
                    Some(Mishap::Failing) => {
                        let now = disk.get().operations() + 1;
                        disk.get().fail_at(now, Fault::Io, Lasting::FromThenOn);
                    }
                    Some(Mishap::Kill) => disk.get().fail_at(at, Fault::Io, Lasting::FromThenOn),
                    Some(Mishap::Cut) => disk.get().cut_at(at),
                }
                let result = store.as_mut().expect("it is open").commit(commit);
                if matches!(mishap, Some(Mishap::Fault | Mishap::Failing)) {
                    disk.get().heal();
                }
                result
            }
        }
    }

    /// The process is gone; what it has handed to the disk is there.
    pub fn kill(&mut self, dice: &mut Dice) {
        if let Self::File { disk, store } = self {
            // Before the file is closed: that would tidy it up.
            let files = disk.get().files();
            let killed = std::mem::replace(disk, FaultyDisk::new(dice.bits(), files));
            *store = None;
            drop(killed);
        }
    }

    /// The power goes, and comes back.
    pub fn cut(&mut self, dice: &mut Dice) {
        if let Self::File { disk, store } = self {
            let rebooted = disk.reboot(dice.bits());
            let cut = std::mem::replace(disk, rebooted);
            *store = None;
            drop(cut);
        }
    }

    pub fn copy(&self) -> Copied {
        match self {
            Self::Memory(store) => Copied::Memory(store.snapshot()),
            Self::File { disk, .. } => Copied::File(disk.get().files()),
        }
    }

    pub fn put_back(&mut self, copied: &Copied, dice: &mut Dice) {
        *self = match copied {
            Copied::Memory(store) => Self::Memory(store.snapshot()),
            Copied::File(files) => Self::File {
                disk: FaultyDisk::new(dice.bits(), files.clone()),
                store: None,
            },
        };
    }
}

fn open(disk: &FaultyDisk) -> Result<SqliteStore, StoreError> {
    let failed = |error: rusqlite::Error| StoreError::Unavailable(error.to_string());
    let connection = disk.open("state.sqlite").map_err(failed)?;
    // The disk knows neither locks nor shared memory. Few pages before a checkpoint of the journal: they are to happen.
    connection
        .execute_batch("PRAGMA locking_mode = EXCLUSIVE; PRAGMA wal_autocheckpoint = 30;")
        .map_err(failed)?;
    let identity = [("job", "job".to_owned())].into();
    SqliteStore::over(connection, PathBuf::from("state.sqlite"), identity, None)
}
