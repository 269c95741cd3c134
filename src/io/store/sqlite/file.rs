//! All of a state in its one file: copied aside, and without a journal once a run has ended.

use std::fs::{self, File};
use std::io::{self, Seek};
use std::path::Path;

use rusqlite::{Connection, OpenFlags};

use super::rows::BadRow;
use super::{PREVIOUS, SqliteStore, StoreError, damaged, harden, load, trouble, unavailable};
use crate::observe::failpoint::Failpoint;

impl SqliteStore {
    /// Moves all of the journal into the file; false where a reader is in the way. The only writer is here.
    fn empty_journal(&self) -> rusqlite::Result<bool> {
        let moved = "PRAGMA wal_checkpoint(TRUNCATE)";
        let is_busy: bool = self.connection.query_row(moved, [], |row| row.get(0))?;
        Ok(!is_busy)
    }

    /// Keeps a copy as [`PREVIOUS`].
    pub(super) fn copy_aside(&mut self) -> Result<(), StoreError> {
        let moved = self.empty_journal();
        if !moved.map_err(|error| trouble(&self.path, &error))? {
            let text = format!("the state {} is being read", self.path.display());
            return Err(StoreError::Unavailable(text));
        }
        let previous = self.path.with_file_name(PREVIOUS);
        let unfinished = previous.with_extension("unfinished");
        let file = match self.file.take() {
            Some(file) => file,
            None => File::open(&self.path).map_err(|error| unavailable(&self.path, &error))?,
        };
        let copied = copy(self.file.insert(file), &unfinished);
        let copied = copied.map_err(|error| unavailable(&unfinished, &error));
        // A file that was damaged since it was opened must not take a good one's place.
        copied.and_then(|()| check_copy(&unfinished))?;
        Failpoint::Copy.pass();
        fs::rename(&unfinished, &previous).map_err(|error| unavailable(&previous, &error))
    }
}

impl Drop for SqliteStore {
    /// A journal ends where its own sums do: a byte of it that changes while nobody counts would pass for an earlier checkpoint.
    /// In the file every change is seen. SQLite does this by itself only if the last to close the file may write.
    fn drop(&mut self) {
        if self.is_ours() {
            // Where it fails nothing is lost: it is read from the journal.
            drop(self.empty_journal());
        }
    }
}

/// Writes the whole of a file into another one, for good.
fn copy(mut from: &File, to: &Path) -> io::Result<()> {
    from.rewind()?;
    let mut to = File::create(to)?;
    io::copy(&mut from, &mut to)?;
    to.sync_all()
}

/// Whether a copy is a good state.
fn check_copy(path: &Path) -> Result<(), StoreError> {
    let check = || -> Result<(), BadRow> {
        // Where it may only be read, SQLite leaves files beside it.
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(path, flags)?;
        harden(&connection)?;
        load::load(&connection).map(drop)
    };
    check().map_err(|error| match error {
        BadRow::Sqlite(error) => trouble(path, &error),
        error @ BadRow::Sum(_) => damaged(path, &error.to_string()),
    })
}
