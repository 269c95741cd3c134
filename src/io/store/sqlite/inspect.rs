//! A state looked into from outside, while a service may have it: nothing is locked and nothing is written.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};

use rusqlite::{Connection, OpenFlags};

use super::rows::BadRow;
use super::shelf::SqliteShelf;
use super::{FILE, StoreError, check_format, damaged, harden, load, lock, read_identity, trouble};
use crate::engine::checkpoint::Loaded;
use crate::engine::shard::Shelf;

/// A state that is being looked into.
pub struct Inspected {
    path: PathBuf,
    connection: Connection,
    identity: BTreeMap<String, String>,
    /// Held for as long as this lives, where nobody else may have the state meanwhile.
    _lock: Option<File>,
}

impl Inspected {
    /// Opens the state in a directory.
    ///
    /// # Errors
    ///
    /// When there is none, or it is not one of ours.
    pub fn open(directory: &Path) -> Result<Self, StoreError> {
        let path = directory.join(FILE);
        if !path.is_file() {
            return Err(StoreError::Missing(format!(
                "there is no state in {}: {FILE} is not there",
                directory.display()
            )));
        }
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(&path, flags);
        let connection = connection.map_err(|error| trouble(&path, &error))?;
        harden(&connection).map_err(|error| trouble(&path, &error))?;
        check_format(&connection, &path)?;
        let identity = read_identity(&connection).map_err(|error| trouble(&path, &error))?;
        Ok(Self {
            path,
            connection,
            identity,
            _lock: None,
        })
    }

    /// Opens the state in a directory, which nobody else may have meanwhile.
    ///
    /// # Errors
    ///
    /// See [`Self::open`]; also when somebody has it.
    pub fn open_locked(directory: &Path) -> Result<Self, StoreError> {
        // Where there is no state, no lock is left behind.
        drop(Self::open(directory)?);
        let lock = lock::take(directory)?;
        let mut opened = Self::open(directory)?;
        opened._lock = Some(lock);
        Ok(opened)
    }

    /// What a run must agree on with the state.
    #[must_use]
    pub fn identity(&self, name: &str) -> Option<&str> {
        self.identity.get(name).map(String::as_str)
    }

    /// All of it; `None` before the first checkpoint.
    ///
    /// # Errors
    ///
    /// When it is not what was written.
    pub fn load(&mut self) -> Result<Option<Loaded>, StoreError> {
        // One moment of a state that is perhaps being written.
        let transaction = self.connection.transaction();
        let transaction = transaction.map_err(|error| trouble(&self.path, &error))?;
        match load::load(&transaction) {
            Ok(read) => Ok(read.map(|read| read.loaded)),
            Err(BadRow::Sqlite(error)) => Err(trouble(&self.path, &error)),
            Err(error @ BadRow::Sum(_)) => Err(damaged(&self.path, &error.to_string())),
        }
    }

    /// Its sketches.
    ///
    /// # Errors
    ///
    /// When the system does not let them be read.
    pub fn shelf(&self) -> Result<Box<dyn Shelf>, StoreError> {
        let shelf = SqliteShelf::open(&self.path);
        Ok(Box::new(
            shelf.map_err(|error| trouble(&self.path, &error))?,
        ))
    }
}
