//! Questions from outside about what is counted. They follow the sightings through every channel, as a barrier does, so
//! that an answer reflects exactly the frames before it; and they change nothing.

pub mod clerk;
pub mod cover;

use std::ops::Range;

use super::barrier::ClosedBy;
use super::calendar::{Bounds, Period, WindowId};
use super::frame::EventTime;
use super::sketch::estimate::Tally;
use super::sketch::packed::Packed;
use super::sketch::share::Share;

/// What is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Select {
    /// The six trailing windows of a tick.
    Trailing,
    /// So many seconds up to the newest.
    Last(u32),
    /// From this second on.
    Since(i64),
    /// The windows that cover a stretch; what ends later than the newest second ends nowhere.
    Cover(Bounds),
    /// The windows of a period that reach into a stretch, and the sketches of those of them that are named here.
    List(List, Vec<WindowId>),
    /// The sketches of these windows, at most [`crate::limits::LOOK_WINDOWS_MAX`].
    Sketches(Vec<WindowId>),
    /// What the admission knows of these windows, without their sketches.
    Listed(Vec<WindowId>),
}

/// Which windows of a period.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct List {
    /// Their period.
    pub period: Period,
    /// The stretch that they reach into.
    pub within: Bounds,
    /// How many at the most.
    pub limit: usize,
    /// Where there are more: whether the newest are wanted, or the oldest.
    pub newest: bool,
}

/// What the shards are asked.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Look {
    /// Seconds after which users of the trailing table are to be counted.
    pub starts: Vec<i64>,
    /// Windows whose sketches are wanted.
    pub sketches: Vec<WindowId>,
}

impl Look {
    /// Whether the shards need not be asked.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.starts.is_empty() && self.sketches.is_empty()
    }
}

/// What the admission knows at the moment of a question.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Known {
    /// Greatest counted event time, or where time has walked to.
    pub as_of: Option<EventTime>,
    /// The watermark, walked or not.
    pub watermark: Option<i64>,
    /// From when on the counts are whole; `None` while that is not known.
    pub since: Option<EventTime>,
    /// From when on windows are complete: `None` for no window, `i64::MIN` for all.
    pub complete_from: Option<i64>,
    /// The next offset of each partition, by index.
    pub offsets: Vec<i64>,
    /// The windows that were selected.
    pub windows: Vec<Listed>,
    /// Of a series: the start of the first window that was left out for the limit.
    pub more: Option<i64>,
    /// Of a cover: stretches of which no window is kept.
    pub missing: Vec<Bounds>,
    /// Of a cover: whether it would take too many windows.
    pub is_too_long: bool,
    /// What the shards are asked.
    pub look: Look,
}

/// A window, as far as the admission knows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Listed {
    /// Which window.
    pub id: WindowId,
    /// First unix second after it.
    pub end: i64,
    /// Frames counted in it.
    pub frames: u64,
    /// Of those: late ones.
    pub late: u64,
    /// Whether every frame of it can have been read.
    pub complete: bool,
    /// What closed it, and the number of its last revision, once its final is out.
    pub last_word: Option<(ClosedBy, u32)>,
}

/// What one shard has to say.
#[derive(Debug, Clone)]
pub struct Seen {
    /// Its pages.
    pub pages: Range<usize>,
    /// One tally for each start of the question.
    pub trailing: Vec<Tally>,
    /// Its part of each sketch of the question.
    pub sketches: Vec<Piece>,
}

/// A shard's part of a window's sketch: handed out as it is kept, since to unpack and count it is not the shard's work.
#[derive(Debug, Clone)]
pub enum Piece {
    /// It has none.
    Nobody,
    /// Unpacked.
    Open(Share),
    /// Packed.
    Packed(Packed),
    /// Where it keeps what has left memory.
    Shelved,
}
