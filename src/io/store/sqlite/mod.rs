//! The state in an SQLite file: a directory with `state.sqlite`, its journal, and a lock that also tells whether there was
//! a state before.
//!
//! Invariants: 1. A checkpoint is one transaction. 2. Every row has a sum, and the head the sum of these, so that a byte
//! that changed, a row that came back and one that is missing are all seen before anything is counted. 3. One process
//! has the directory.

mod file;
pub mod inspect;
mod load;
mod lock;
mod rows;
mod shelf;
#[cfg(test)]
mod tests;
mod trouble;

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};

use rusqlite::{Connection, OpenFlags, Transaction, params};
use zstd::bulk::Compressor;

use self::rows::{
    BadRow, RowKey, StoredSketch, Sum, changed_column, period_number, signed, stage_columns,
    stretch_number, sum_of_partition, sum_of_record, sum_of_stretch, sum_of_window,
};
use self::shelf::SqliteShelf;
use self::trouble::{damaged, trouble, unavailable};
use super::{Store, StoreError};
use crate::engine::checkpoint::{Commit, Loaded, SavedPartition};
use crate::engine::shard::Shelf;
use crate::limits::{
    STATE_BUSY_MS, STATE_CACHE_KIB, STATE_JOURNAL_COMMITS, STATE_JOURNAL_PAGES,
    STATE_WRITER_CACHE_KIB,
};

/// The file's `application_id`: "hcst".
const APPLICATION_ID: i32 = 0x6863_7374;
/// The file's `user_version`: the version of docs/FORMAT.md, *State*.
const FORMAT_VERSION: i32 = 1;
const SCHEMA: &str = include_str!("schema.sql");
const FILE: &str = "state.sqlite";
/// zstd level of a saved sketch: level 1 packs a dense page to about 3.1 bits a register.
const ZSTD_LEVEL: i32 = 1;
/// A copy of the file as it was at the last start, or within the last hour.
const PREVIOUS: &str = "previous.sqlite";

/// What a state must agree on with the run that takes it up, as text by name.
pub type Identity = BTreeMap<&'static str, String>;

/// A state in a directory.
pub struct SqliteStore {
    path: PathBuf,
    connection: Connection,
    identity: Identity,
    /// The sum of each row, and the sum of these.
    sums: BTreeMap<RowKey, i64>,
    total: i64,
    compressor: Compressor<'static>,
    /// Checkpoints that were written since the last ones were moved out of the journal.
    in_journal: u32,
    /// Held for as long as this lives.
    lock: Option<File>,
    /// The state's own file, once it was opened beside the connection: it is closed after that and no sooner. Closing any
    /// descriptor of a file gives up all locks that the process has on it (POSIX), those of SQLite too, and then whoever looks
    /// into the state takes himself for its only user and deletes the journal under us.
    file: Option<File>,
}

impl SqliteStore {
    /// Opens the state in a directory; makes both if there is neither.
    ///
    /// # Errors
    ///
    /// When another process has it, when it is not a state of ours or not for this run, or when the system does not let
    /// it be read or written.
    pub fn open(directory: &Path, identity: Identity) -> Result<Self, StoreError> {
        fs::create_dir_all(directory).map_err(|error| {
            let text = format!(
                "cannot make the directory {} for the state: {error}",
                directory.display()
            );
            StoreError::Unavailable(text)
        })?;
        let lock = lock::take(directory)?;
        let path = directory.join(FILE);
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
            | OpenFlags::SQLITE_OPEN_CREATE
            | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(&path, flags);
        let connection = connection.map_err(|error| trouble(&path, &error))?;
        connection
            .pragma_update(None, "wal_autocheckpoint", STATE_JOURNAL_PAGES)
            .map_err(|error| trouble(&path, &error))?;
        Self::over(connection, path, identity, Some(lock))
    }

    /// Opens the state behind a connection, or makes one there; without a lock of ours whoever opened it sees to it that nobody
    /// else does.
    ///
    /// # Errors
    ///
    /// See [`Self::open`].
    pub fn over(
        connection: Connection,
        path: PathBuf,
        identity: Identity,
        lock: Option<File>,
    ) -> Result<Self, StoreError> {
        prepare(&connection).map_err(|error| trouble(&path, &error))?;
        let compressor = Compressor::new(ZSTD_LEVEL).map_err(|error| unavailable(&path, &error))?;
        let mut store = Self {
            path,
            connection,
            identity,
            sums: BTreeMap::new(),
            total: 0,
            compressor,
            in_journal: 0,
            lock,
            file: None,
        };
        store.make_or_check()?;
        Ok(store)
    }

    /// Whether the directory is locked: without that another process may be at work in it.
    fn is_ours(&self) -> bool {
        self.lock.is_some()
    }

    fn make_or_check(&mut self) -> Result<(), StoreError> {
        let failed = |error: &rusqlite::Error| trouble(&self.path, error);
        let number = |pragma| {
            let read = self
                .connection
                .pragma_query_value(None, pragma, |row| row.get(0));
            read.map_err(|error| failed(&error))
        };
        let (application, version): (i32, i32) =
            (number("application_id")?, number("user_version")?);
        let tables = "SELECT count(*) FROM sqlite_schema";
        let tables: i64 = self
            .connection
            .query_row(tables, [], |row| row.get(0))
            .map_err(|error| failed(&error))?;
        let was_made = self.lock.as_ref().map_or(Ok(false), lock::was_made);
        let was_made = was_made.map_err(|error| unavailable(&self.path, &error))?;
        if application == 0 && version == 0 && tables == 0 {
            if was_made {
                return Err(damaged(&self.path, "nothing is left of it"));
            }
            self.make().map_err(|error| trouble(&self.path, &error))?;
            let noted = self.lock.as_mut().map_or(Ok(()), lock::note_made);
            return noted.map_err(|error| unavailable(&self.path, &error));
        }
        if application != APPLICATION_ID && was_made {
            return Err(damaged(&self.path, "its header is not as it was written"));
        }
        check_format(&self.connection, &self.path)?;
        // The program may write the file, but SQLite will not: it takes its header for that of another version.
        let is_readonly = self.connection.is_readonly("main").unwrap_or(true);
        if is_readonly
            && self.lock.is_some()
            && let Ok(file) = File::options().write(true).open(&self.path)
        {
            self.file = Some(file);
            return Err(damaged(&self.path, "its header is not as it was written"));
        }
        self.check_identity()?;
        // It may have been made just before a crash.
        let noted = self.lock.as_mut().filter(|_| !was_made);
        let noted = noted.map_or(Ok(()), lock::note_made);
        noted.map_err(|error| unavailable(&self.path, &error))
    }

    fn make(&mut self) -> rusqlite::Result<()> {
        let transaction = self.connection.transaction()?;
        transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
        transaction.pragma_update(None, "user_version", FORMAT_VERSION)?;
        transaction.execute_batch(SCHEMA)?;
        for (name, value) in &self.identity {
            let insert = "INSERT INTO identity (name, value) VALUES (?, ?)";
            transaction.execute(insert, params![name, value])?;
        }
        transaction.commit()
    }

    fn check_identity(&self) -> Result<(), StoreError> {
        let found = read_identity(&self.connection).map_err(|error| trouble(&self.path, &error))?;
        for (name, wanted) in &self.identity {
            let found = found.get(*name).map_or("", String::as_str);
            if found != wanted {
                let path = self.path.display();
                return Err(StoreError::Foreign(format!(
                    "{path} is the state of {name} '{found}', and this run has '{wanted}'; run it with the same, or name another directory with --state"
                )));
            }
        }
        Ok(())
    }

    fn write(&mut self, commit: &Commit) -> rusqlite::Result<()> {
        let mut staged = Staged::default();
        let transaction = self.connection.transaction()?;
        write_partitions(&transaction, commit, &mut staged)?;
        write_windows(&transaction, commit, &mut staged)?;
        write_sketches(&transaction, commit, &mut self.compressor, &mut staged)?;
        write_trailing(&transaction, commit, &mut staged)?;
        write_outbox(&transaction, commit, &mut staged)?;
        let total = staged.total(&self.sums, self.total);
        write_head(&transaction, commit, total)?;
        transaction.commit()?;
        staged.settle(&mut self.sums);
        self.total = total;
        Ok(())
    }
}

impl Store for SqliteStore {
    fn load(&mut self) -> Result<Option<Loaded>, StoreError> {
        let read = match load::load(&self.connection) {
            Ok(Some(read)) => read,
            Ok(None) => return Ok(None),
            Err(BadRow::Sqlite(error)) => return Err(trouble(&self.path, &error)),
            Err(error @ BadRow::Sum(_)) => return Err(damaged(&self.path, &error.to_string())),
        };
        (self.sums, self.total) = (read.sums, read.total);
        Ok(Some(read.loaded))
    }

    fn lives(&mut self) -> Result<Vec<u64>, StoreError> {
        let lives = self.lock.as_ref().map_or(Ok(Vec::new()), lock::lives);
        lives.map_err(|error| unavailable(&self.path, &error))
    }

    fn note_life(&mut self, epoch: u64) -> Result<(), StoreError> {
        let lock = self.lock.as_mut();
        let noted = lock.map_or(Ok(()), |lock| lock::note_life(lock, epoch));
        noted.map_err(|error| unavailable(&self.path, &error))
    }

    fn commit(&mut self, commit: &Commit) -> Result<(), StoreError> {
        self.write(commit)
            .map_err(|error| trouble(&self.path, &error))
    }

    fn tidy(&mut self) {
        self.in_journal += 1;
        if self.in_journal >= STATE_JOURNAL_COMMITS {
            self.in_journal = 0;
            // Where this fails nothing is lost, and if it is the disk the next checkpoint says so.
            let moved = self
                .connection
                .query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(()));
            drop(moved);
        }
    }

    fn keep_copy(&mut self) -> Result<(), StoreError> {
        self.copy_aside()
    }

    fn shelf(&self) -> Result<Box<dyn Shelf>, StoreError> {
        let shelf = SqliteShelf::open(&self.path);
        Ok(Box::new(
            shelf.map_err(|error| trouble(&self.path, &error))?,
        ))
    }
}

/// Sums of rows that a transaction writes, `None` where it deletes one. Of one that it writes twice the last counts.
#[derive(Default)]
struct Staged(BTreeMap<RowKey, Option<i64>>);

impl Staged {
    fn put(&mut self, key: RowKey, sum: i64) {
        self.0.insert(key, Some(sum));
    }

    fn delete(&mut self, key: RowKey) {
        self.0.insert(key, None);
    }

    fn total(&self, sums: &BTreeMap<RowKey, i64>, mut total: i64) -> i64 {
        for (key, sum) in &self.0 {
            let before = sums.get(key).copied().unwrap_or(0);
            total = total.wrapping_sub(before).wrapping_add(sum.unwrap_or(0));
        }
        total
    }

    fn settle(self, sums: &mut BTreeMap<RowKey, i64>) {
        for (key, sum) in self.0 {
            match sum {
                Some(sum) => drop(sums.insert(key, sum)),
                None => drop(sums.remove(&key)),
            }
        }
    }
}

fn write_partitions(
    to: &Transaction<'_>,
    commit: &Commit,
    staged: &mut Staged,
) -> rusqlite::Result<()> {
    let mut put = to.prepare_cached("REPLACE INTO partition VALUES (?, ?, ?, ?, ?, ?)")?;
    for (position, (name, partition)) in (0..).zip(&commit.changes.partitions) {
        let sum = sum_of_partition(position, name, partition);
        let SavedPartition {
            next_offset,
            clock,
            reading,
        } = partition;
        put.execute(params![position, name, next_offset, clock, reading, sum])?;
        staged.put(RowKey::Partition(position), sum);
    }
    Ok(())
}

fn write_windows(
    to: &Transaction<'_>,
    commit: &Commit,
    staged: &mut Staged,
) -> rusqlite::Result<()> {
    let mut put = to.prepare_cached("REPLACE INTO window VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)")?;
    let mut forget = to.prepare_cached("DELETE FROM window WHERE period = ? AND start = ?")?;
    let mut forget_sketch =
        to.prepare_cached("DELETE FROM sketch WHERE period = ? AND start = ?")?;
    for (id, window) in &commit.changes.windows {
        let period = period_number(*id);
        let Some(window) = window else {
            forget.execute(params![period, id.start])?;
            forget_sketch.execute(params![period, id.start])?;
            staged.delete(RowKey::Window(*id));
            staged.delete(RowKey::Sketch(*id));
            continue;
        };
        let sum = sum_of_window(*id, window);
        let (stage, revision) = stage_columns(window.stage);
        let (frames, late) = (signed(window.frames), signed(window.late));
        put.execute(params![
            period,
            id.start,
            window.end,
            frames,
            late,
            stage,
            revision,
            changed_column(window),
            sum
        ])?;
        staged.put(RowKey::Window(*id), sum);
    }
    Ok(())
}

fn write_sketches(
    to: &Transaction<'_>,
    commit: &Commit,
    compressor: &mut Compressor<'_>,
    staged: &mut Staged,
) -> rusqlite::Result<()> {
    let put = "INSERT INTO sketch (period, start, bytes, hash, zstd, sum) VALUES (?, ?, ?, ?, ?, ?)
        ON CONFLICT (period, start) DO UPDATE SET
        bytes = excluded.bytes, hash = excluded.hash, zstd = excluded.zstd, sum = excluded.sum";
    let mut put = to.prepare_cached(put)?;
    for (id, canonical) in &commit.changes.sketches {
        let zstd = compressor
            .compress(canonical)
            .map_err(|error| rusqlite::Error::ToSqlConversionFailure(Box::new(error)))?;
        let sketch = StoredSketch::new(*id, canonical, zstd);
        let sum = sketch.sum();
        let (period, bytes) = (period_number(*id), sketch.bytes as i64);
        let hash = sketch.hash.to_le_bytes();
        put.execute(params![period, id.start, bytes, hash, sketch.zstd, sum])?;
        staged.put(RowKey::Sketch(*id), sum);
    }
    Ok(())
}

fn write_trailing(
    to: &Transaction<'_>,
    commit: &Commit,
    staged: &mut Staged,
) -> rusqlite::Result<()> {
    let mut put = to.prepare_cached("REPLACE INTO trailing VALUES (?, ?, ?)")?;
    for stretch in &commit.changes.stretches {
        let (number, sum) = (stretch_number(stretch), sum_of_stretch(stretch));
        put.execute(params![number, stretch.bytes, sum])?;
        staged.put(RowKey::Trailing(number), sum);
    }
    Ok(())
}

fn write_outbox(
    to: &Transaction<'_>,
    commit: &Commit,
    staged: &mut Staged,
) -> rusqlite::Result<()> {
    let mut put = to.prepare_cached("REPLACE INTO outbox VALUES (?, ?, ?, ?, ?, ?)")?;
    for record in &commit.records {
        let (sum, seq) = (sum_of_record(record), signed(record.seq));
        let (period, start) = (period_number(record.id), record.id.start);
        put.execute(params![seq, period, start, record.key, record.payload, sum])?;
        staged.put(RowKey::Outbox(record.seq), sum);
    }
    let mut trim = to.prepare_cached("DELETE FROM outbox WHERE seq = ?")?;
    for seq in &commit.acknowledged {
        trim.execute(params![signed(*seq)])?;
        staged.delete(RowKey::Outbox(*seq));
    }
    Ok(())
}

fn write_head(to: &Transaction<'_>, commit: &Commit, total: i64) -> rusqlite::Result<()> {
    let digest = commit.digest.0.to_le_bytes();
    let (ledger, rest) = (&commit.changes.ledger, &commit.changes.rest);
    let epoch = commit.epoch.cast_signed();
    let sum = Sum::of("head")
        .int(epoch)
        .bytes(&digest)
        .bytes(ledger)
        .bytes(rest)
        .int(total)
        .done();
    let put = "REPLACE INTO head VALUES (1, ?, ?, ?, ?, ?, ?)";
    to.execute(put, params![epoch, digest, ledger, rest, total, sum])?;
    Ok(())
}

/// Refuses a file that is not a state, or one of another version, or whose tables are not as they were made.
fn check_format(connection: &Connection, path: &Path) -> Result<(), StoreError> {
    let number = |pragma| {
        let read = connection.pragma_query_value(None, pragma, |row| row.get(0));
        read.map_err(|error| trouble(path, &error))
    };
    let (application, version): (i32, i32) = (number("application_id")?, number("user_version")?);
    let shown = path.display();
    if application != APPLICATION_ID {
        let text = format!("{shown} is not a state of headcount; name another directory");
        return Err(StoreError::Foreign(text));
    }
    if version > FORMAT_VERSION {
        let text = format!(
            "{shown} has format {version}, this program reads {FORMAT_VERSION}; use the program that wrote it, or name another directory"
        );
        return Err(StoreError::Foreign(text));
    }
    let found = schema(connection).map_err(|error| trouble(path, &error))?;
    let ours = schema_of_ours().map_err(|error| trouble(path, &error))?;
    if version != FORMAT_VERSION || found != ours {
        return Err(damaged(path, "its tables are not as they were made"));
    }
    Ok(())
}

fn read_identity(connection: &Connection) -> rusqlite::Result<BTreeMap<String, String>> {
    let mut select = connection.prepare("SELECT name, value FROM identity")?;
    let rows = select.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
    rows.collect()
}

/// What the tables of a file were made by.
fn schema(of: &Connection) -> rusqlite::Result<Vec<(String, Option<String>)>> {
    let mut select = of.prepare("SELECT name, sql FROM sqlite_schema ORDER BY name")?;
    let rows = select.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
    rows.collect()
}

fn schema_of_ours() -> rusqlite::Result<Vec<(String, Option<String>)>> {
    let ours = Connection::open_in_memory()?;
    ours.execute_batch(SCHEMA)?;
    schema(&ours)
}

/// Opens a file to read it. A copy without a journal is read as it stands, so that no journal is left beside it.
fn open_to_read(path: &Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut journal = path.as_os_str().to_owned();
    journal.push("-wal");
    let is_copy = path.file_name().is_some_and(|name| name != FILE);
    let name = path
        .to_str()
        .filter(|_| is_copy && !Path::new(&journal).exists());
    let Some(name) = name else {
        return Connection::open_with_flags(path, flags);
    };
    // What a URI takes for something else (https://www.sqlite.org/uri.html).
    let name = name
        .replace('%', "%25")
        .replace('?', "%3f")
        .replace('#', "%23");
    let uri = format!("file:{name}?immutable=1");
    Connection::open_with_flags(uri, flags | OpenFlags::SQLITE_OPEN_URI)
}

fn prepare(connection: &Connection) -> rusqlite::Result<()> {
    // A commit is on the disk when it returns, whatever happens to the machine after it.
    connection.pragma_update(None, "synchronous", "full")?;
    harden(connection)?;
    connection.pragma_update(None, "cache_size", -STATE_WRITER_CACHE_KIB)?;
    // SQLite answers before it has changed the mode: only who asks on hears that it failed.
    let mut change = connection.prepare("PRAGMA journal_mode = wal")?;
    let mut rows = change.query([])?;
    while rows.next()?.is_some() {}
    Ok(())
}

/// What keeps a file that somebody has tampered with from doing more than being refused.
fn harden(connection: &Connection) -> rusqlite::Result<()> {
    connection.busy_timeout(std::time::Duration::from_millis(STATE_BUSY_MS))?;
    connection.pragma_update(None, "trusted_schema", false)?;
    connection.pragma_update(None, "cell_size_check", true)?;
    connection.pragma_update(None, "mmap_size", 0)?;
    connection.pragma_update(None, "cache_size", -STATE_CACHE_KIB)
}
