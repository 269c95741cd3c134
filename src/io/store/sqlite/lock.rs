//! One process has a state directory at a time. The lock's file also tells whether a state was made there: an empty
//! database is a new one to SQLite, even where all of it was lost; and the epochs of the newest lives, line by line: one that
//! ends before its first checkpoint leaves nothing else.

use std::fs::{File, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::path::Path;

use super::{StoreError, unavailable};
use crate::limits::LIVES_KEPT;

const LOCK: &str = "lock";
const MADE: &[u8] = b"a state was made here\n";
/// A `u64` and a newline; the first line is no longer than twice that.
const LIFE_BYTES_MAX: u64 = 21 * 2;

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

/// The epochs of the newest lives, in their order. What is no number was cut short by a crash.
pub(super) fn lives(mut lock: &File) -> io::Result<Vec<u64>> {
    lock.rewind()?;
    let mut read = Vec::new();
    lock.take((LIVES_KEPT as u64 + 1) * LIFE_BYTES_MAX)
        .read_to_end(&mut read)?;
    let text = String::from_utf8_lossy(&read);
    Ok(text.lines().filter_map(|line| line.parse().ok()).collect())
}

/// Notes a life behind those before it, of which the oldest are forgotten.
pub(super) fn note_life(lock: &mut File, epoch: u64) -> io::Result<()> {
    let mut all = lives(lock)?;
    all.push(epoch);
    let newest = &all[all.len().saturating_sub(LIVES_KEPT)..];
    let mut text = MADE.to_vec();
    for life in newest {
        text.extend_from_slice(format!("{life}\n").as_bytes());
    }
    lock.rewind()?;
    lock.write_all(&text)?;
    lock.set_len(text.len() as u64)?;
    lock.sync_all()
}
