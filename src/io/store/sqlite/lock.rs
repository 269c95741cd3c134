//! One process has a state directory at a time. The lock's file also tells whether a state was made there: an empty
//! database is a new one to SQLite, even where all of it was lost.

use std::fs::{File, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::path::Path;

use super::{StoreError, unavailable};

const LOCK: &str = "lock";
const MADE: &[u8] = b"a state was made here\n";

/// Takes the lock of a directory, for as long as the file is open.
pub(super) fn take(directory: &Path) -> Result<File, StoreError> {
    let path = directory.join(LOCK);
    let mut options = File::options();
    let file = options.create(true).truncate(false).read(true).write(true);
    let file = file
        .open(&path)
        .map_err(|error| unavailable(&path, &error))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(StoreError::Locked(format!(
            "another headcount has the state in {}; there can be one at a time: stop it first, or name another directory with --state",
            directory.display()
        ))),
        Err(TryLockError::Error(error)) => Err(unavailable(&path, &error)),
    }
}

/// Whether a state was made in the directory before.
pub(super) fn was_made(mut lock: &File) -> io::Result<bool> {
    lock.rewind()?;
    let mut read = Vec::new();
    lock.take(MADE.len() as u64).read_to_end(&mut read)?;
    Ok(!read.is_empty())
}

/// Notes that one was.
pub(super) fn note_made(lock: &mut File) -> io::Result<()> {
    lock.rewind()?;
    lock.write_all(MADE)?;
    lock.sync_all()
}
