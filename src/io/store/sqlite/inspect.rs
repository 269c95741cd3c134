//! A state looked into from outside, while a service may have it: nothing is locked and nothing is written.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;

use rusqlite::Connection;

use super::rows::BadRow;
use super::shelf::SqliteShelf;
use super::{
    FILE, StoreError, check_format, damaged, harden, load, lock, open_to_read, read_identity,
    trouble,
};
use crate::engine::checkpoint::Loaded;
use crate::engine::shard::Shelf;

/// A state that is being looked into.
pub struct Inspected {
    path: PathBuf,
    connection: Arc<Mutex<Connection>>,
    identity: BTreeMap<String, String>,
    /// Held for as long as this lives, where nobody else may have the state meanwhile.
    _lock: Option<File>,
}

impl Inspected {
    /// Opens the state in a directory, or a copy of its file, which may have any name.
    ///
    /// # Errors
    ///
    /// When there is none, or it is not one of ours.
    pub fn open(directory: &Path) -> Result<Self, StoreError> {
        let path = if directory.is_file() {
            directory.to_owned()
        } else {
            directory.join(FILE)
        };
        // Not by opening it: to close it again would take away the locks that this process has on it.
        let readable = rustix::fs::access(&path, rustix::fs::Access::READ_OK);
        match readable {
            Ok(()) if path.is_file() => {}
            Err(why) if why != rustix::io::Errno::NOENT => {
                return Err(StoreError::Missing(format!(
                    "the state in {} cannot be read: {why}; who owns it can",
                    directory.display()
                )));
            }
            _ => {
                return Err(StoreError::Missing(format!(
                    "there is no state in {}: {FILE} is not there",
                    directory.display()
                )));
            }
        }
        let connection = open_to_read(&path).map_err(|error| trouble(&path, &error))?;
        harden(&connection).map_err(|error| trouble(&path, &error))?;
        check_format(&connection, &path)?;
        let identity = read_identity(&connection).map_err(|error| trouble(&path, &error))?;
        Ok(Self {
            path,
            connection: Arc::new(Mutex::new(connection)),
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

    /// All of it; `None` before the first checkpoint. A state may be written meanwhile: from now on only what this has seen is seen,
    /// by [`Self::shelf`] too.
    ///
    /// # Errors
    ///
    /// When it is not what was written.
    pub fn load(&mut self) -> Result<Option<Loaded>, StoreError> {
        let connection = self.connection.lock();
        if connection.is_autocommit() {
            let begun = connection.execute_batch("BEGIN");
            begun.map_err(|error| trouble(&self.path, &error))?;
        }
        match load::load(&connection) {
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
        let shelf = SqliteShelf::over(Arc::clone(&self.connection));
        Ok(Box::new(
            shelf.map_err(|error| trouble(&self.path, &error))?,
        ))
    }
}
