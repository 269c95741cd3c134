//! What is saved of a run so that another one can go on from there: the answers to one barrier, as bytes.
//!
//! Everything is split by whether it is *the same* for whoever counted the same frames (docs/DESIGN.md, *Never lose*), which
//! the digest is made of, and by how it changes, so that only what changed need be written.
//!
//! Invariant: what is read back writes the same bytes again.

pub mod audit;
pub mod beginning;
pub mod book;
pub mod codec;
pub mod keeping;
pub mod union;

use self::codec::Damaged;
use super::admit::Admission;
use super::barrier::ClosedBy;
use super::calendar::{Calendar, Redrawn, WindowId};
use super::frame::EventTime;

/// A partition at a barrier.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SavedPartition {
    /// The offset of its first frame that is not reflected.
    pub next_offset: i64,
    /// Its clock, votes and pen: the same for whoever read the same frames.
    pub clock: Vec<u8>,
    /// From when on it was followed, and whether anything was lost: this depends on when reading began.
    pub reading: Vec<u8>,
}

/// Where a saved window stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SavedStage {
    /// Not yet closed.
    Open,
    /// Closed, but it never had a final because frames of it may be missing.
    Incomplete,
    /// Its final is out, and so many revisions.
    Final(ClosedBy, u32),
}

/// What the catalog knows of a window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SavedWindow {
    /// First unix second after it.
    pub end: i64,
    /// Frames counted in it.
    pub frames: u64,
    /// Of those: late ones.
    pub late: u64,
    /// Where it stands.
    pub stage: SavedStage,
    /// Whether frames were counted in it after its last record.
    pub changed: bool,
    /// What that record had, where it is known: a later run may count just that.
    pub told: Option<Told>,
}

/// How a window's record differs from what was counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Told {
    /// The sum of a hash of each frame that it had and that was not counted, less that of each that it did not have, modulo 2^62.
    pub ahead: u64,
    /// Whether there are frames of the latter kind, or may be.
    pub anew: bool,
}

/// What the admission knew at a barrier.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SavedAdmission {
    /// The partitions, by index.
    pub partitions: Vec<SavedPartition>,
    /// The ledger without `expired`: the same for whoever read the same frames.
    pub ledger: Vec<u8>,
    /// Watermark and the like: these depend on the order in which partitions were read.
    pub rest: Vec<u8>,
    /// The greatest of the partitions' clocks: windows that end after it less their retention are the same for all.
    pub greatest_clock: Option<EventTime>,
    /// The windows that changed since the last time, `None` for those that were forgotten.
    pub windows: Vec<(WindowId, Option<SavedWindow>)>,
}

/// Some pages of a window's sketch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SavedPart {
    /// Which window.
    pub id: WindowId,
    /// The first of the pages.
    pub first_page: usize,
    /// How many pages these are.
    pub pages: usize,
    /// Their canonical bytes.
    pub bytes: Vec<u8>,
}

/// A stretch of the trailing table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SavedStretch {
    /// Which page.
    pub page: usize,
    /// The rank whose seconds these are; 0 for the page's latest users.
    pub rank: u8,
    /// Their canonical bytes.
    pub bytes: Vec<u8>,
}

/// What changed in the shards' sketches since the last time.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SavedSketches {
    /// Of windows.
    pub parts: Vec<SavedPart>,
    /// Of the trailing table.
    pub stretches: Vec<SavedStretch>,
}

/// A final or revision on its way out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SavedRecord {
    /// Its number among all finals and revisions.
    pub seq: u64,
    /// Its window.
    pub id: WindowId,
    /// The record's key.
    pub key: String,
    /// The record.
    pub payload: Vec<u8>,
}

/// One checkpoint: written as a whole or not at all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Commit {
    /// The epoch of the run.
    pub epoch: u64,
    /// What changed.
    pub changes: book::Changes,
    /// The digest of the whole state.
    pub digest: book::StateDigest,
    /// Finals and revisions made since the last checkpoint.
    pub records: Vec<SavedRecord>,
    /// Finals and revisions that the output has taken since the last checkpoint, by `seq`.
    pub acknowledged: Vec<u64>,
}

/// A state as it was saved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Loaded {
    /// The epoch of the run that saved it.
    pub epoch: u64,
    /// Its digest.
    pub digest: book::StateDigest,
    /// The partitions' names, by index.
    pub names: Vec<String>,
    /// What the admission knew; its `windows` are empty.
    pub admission: SavedAdmission,
    /// All windows, each with the hash of its sketch's canonical bytes. One in which nothing was counted has no sketch: what
    /// was said of it at an end of input did not come true, or not yet.
    pub windows: Vec<(WindowId, SavedWindow, Option<u128>)>,
    /// The trailing table.
    pub stretches: Vec<SavedStretch>,
    /// Finals and revisions that the output did not have, by `seq`.
    pub records: Vec<SavedRecord>,
}

impl Loaded {
    /// The calendar with the windows that the state has, where data of its zone has changed since.
    ///
    /// # Errors
    ///
    /// When no run can have saved it.
    pub fn redrawn(&self, calendar: &Calendar) -> Result<Redrawn, Damaged> {
        let opened = self.windows.iter().map(|(id, window, _)| (*id, window.end));
        let newest = Admission::saved_as_of(&self.admission)?;
        let redrawn = calendar.redrawn(opened, newest);
        redrawn.map_err(|_| Damaged("a window"))
    }

    /// The same, with the ends of windows that moved, as the next run would save them.
    ///
    /// # Errors
    ///
    /// See [`Self::redrawn`].
    pub fn redraw(&mut self, calendar: &Calendar) -> Result<Calendar, Damaged> {
        let calendar = self.redrawn(calendar)?.calendar;
        for (id, window, _) in &mut self.windows {
            let ts = EventTime::try_from(id.start.max(1)).map_err(|_| Damaged("a window"))?;
            window.end = calendar.window(id.period, ts).end;
        }
        Ok(calendar)
    }
}
