//! A whole state into a new directory: there when it is complete, and not before.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use xxhash_rust::xxh3::xxh3_128;

use crate::engine::calendar::{Period, WindowId};
use crate::engine::checkpoint::book::{Book, Changes, StateDigest};
use crate::engine::checkpoint::{Commit, SavedPartition, SavedRecord, SavedStretch, SavedWindow};
use crate::engine::frame::EventTime;
use crate::engine::sketch::Precision;
use crate::error::Failure;
use crate::io::store::Store;
use crate::io::store::sqlite::{Identity, SqliteStore};
use crate::limits::SKETCHES_PER_COMMIT;

/// Everything that a state holds but its sketches.
pub(super) struct Whole {
    pub(super) epoch: u64,
    pub(super) partitions: Vec<(String, SavedPartition)>,
    pub(super) greatest_clock: Option<EventTime>,
    pub(super) ledger: Vec<u8>,
    pub(super) rest: Vec<u8>,
    pub(super) windows: BTreeMap<WindowId, SavedWindow>,
    pub(super) stretches: Vec<SavedStretch>,
    pub(super) records: Vec<SavedRecord>,
}

/// What the new state must agree on with whoever takes it up.
pub(super) struct Terms {
    pub(super) identity: Identity,
    pub(super) precision: Precision,
    pub(super) retention_s: [i64; Period::ALL.len()],
}

/// The canonical bytes of a window's sketch, if it has one.
pub(super) type SketchOf<'a> = dyn FnMut(WindowId) -> Result<Option<Vec<u8>>, Failure> + 'a;

/// Writes a state to a directory that must not be there yet, or be empty. Returns its digest.
///
/// # Errors
///
/// When the directory is taken, or cannot be written to; or when a sketch cannot be had.
pub(super) fn write(
    directory: &Path,
    terms: Terms,
    whole: Whole,
    sketch_of: &mut SketchOf<'_>,
) -> Result<StateDigest, Failure> {
    refuse_taken(directory)?;
    let unfinished = beside(directory)?;
    let failed = |error: io::Error| Failure::writing(&directory.display().to_string(), &error);
    // Not removed here: another one may be at work in it.
    if unfinished.exists() {
        return Err(Failure::Usage(format!(
            "{} is there: it is left of one that was cut short, or another one is writing it; remove it if nobody does",
            unfinished.display()
        )));
    }
    let mut store = SqliteStore::open(&unfinished, terms.identity.clone())?;
    let written = write_to(&mut store, &terms, whole, sketch_of);
    drop(store);
    let moved = written.and_then(|digest| {
        let parent = unfinished.parent().filter(|p| !p.as_os_str().is_empty());
        fs::rename(&unfinished, directory)
            .and_then(|()| File::open(parent.unwrap_or(Path::new(".")))?.sync_all())
            .map_err(failed)?;
        Ok(digest)
    });
    if moved.is_err() {
        // What is left of it is not worth another word.
        let _ = fs::remove_dir_all(&unfinished);
    }
    moved
}

/// Refuses a directory with anything in it.
pub(super) fn refuse_taken(directory: &Path) -> Result<(), Failure> {
    let is_free = match fs::read_dir(directory) {
        Ok(mut entries) => entries.next().is_none(),
        Err(error) => error.kind() == io::ErrorKind::NotFound,
    };
    if is_free {
        return Ok(());
    }
    Err(Failure::Usage(format!(
        "{} is there already, and is no empty directory; name a new one with --output",
        directory.display()
    )))
}

fn beside(directory: &Path) -> Result<PathBuf, Failure> {
    let mut name = directory.file_name().map(ToOwned::to_owned);
    let name = name.as_mut().ok_or_else(|| {
        Failure::Usage(format!(
            "--output {} is no name for a new directory",
            directory.display()
        ))
    })?;
    name.push(".unfinished");
    Ok(directory.with_file_name(name))
}

fn write_to(
    store: &mut SqliteStore,
    terms: &Terms,
    mut whole: Whole,
    sketch_of: &mut SketchOf<'_>,
) -> Result<StateDigest, Failure> {
    let mut book = Book::new(terms.precision, terms.retention_s);
    whole.stretches.iter().for_each(|s| book.restore_stretch(s));
    let windows: Vec<_> = std::mem::take(&mut whole.windows).into_iter().collect();
    let mut stretches = std::mem::take(&mut whole.stretches);
    let mut records = std::mem::take(&mut whole.records);
    // The first one also where there are no windows.
    let mut chunks = windows.chunks(SKETCHES_PER_COMMIT);
    let mut chunk = chunks.next().unwrap_or_default();
    loop {
        let next = chunks.next();
        let mut sketches = Vec::new();
        for (id, window) in chunk {
            let sketch = sketch_of(*id)?;
            book.restore_window(*id, window, sketch.as_deref().map(xxh3_128));
            sketches.extend(sketch.map(|bytes| (*id, bytes)));
        }
        // What costs as much as all that was written is left to the last commit: none before it is ever looked into.
        let (digest, partitions) = match next {
            Some(_) => (StateDigest(0), Vec::new()),
            None => {
                let (partitions, ledger) = (std::mem::take(&mut whole.partitions), &whole.ledger);
                let digest = book.digest(&partitions, ledger, whole.greatest_clock);
                (digest, partitions)
            }
        };
        let windows = chunk.iter().map(|(id, window)| (*id, Some(*window)));
        store.commit(&Commit {
            epoch: whole.epoch,
            changes: Changes {
                partitions,
                ledger: whole.ledger.clone(),
                rest: whole.rest.clone(),
                windows: windows.collect(),
                sketches,
                stretches: std::mem::take(&mut stretches),
            },
            digest,
            records: std::mem::take(&mut records),
            acknowledged: Vec::new(),
        })?;
        match next {
            Some(next) => chunk = next,
            None => return Ok(digest),
        }
    }
}
