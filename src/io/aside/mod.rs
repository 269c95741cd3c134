//! Where frames go that were not counted, for whoever wants to look at them or feed them back: unchanged, with the
//! reason beside them.

pub mod kafka;
pub mod lines;

use std::time::Duration;

use crate::engine::frame::EventTime;
use crate::error::Failure;

/// A frame that was not counted.
#[derive(Debug, Clone, Copy)]
pub struct Stray<'a> {
    /// Its topic; empty for files.
    pub topic: &'a str,
    /// The number of its partition, or the name of its file.
    pub partition: &'a str,
    /// Its offset, or the number of its line less one.
    pub offset: i64,
    /// Why it was not counted.
    pub reason: &'static str,
    /// Its partition's clock when that was decided, unix seconds; `None` before it was established.
    pub clock: Option<EventTime>,
    /// The frame; `None` for a record without a value.
    pub frame: Option<&'a [u8]>,
}

/// A place for such frames.
pub trait Aside {
    /// Hands over one frame.
    ///
    /// # Errors
    ///
    /// When it cannot be kept and no later one could.
    fn put(&mut self, stray: &Stray<'_>) -> Result<(), Failure>;

    /// Whether so much is under way that nothing more should be read for the moment.
    fn is_full(&self) -> bool;

    /// Waits so long for answers. Returns what the place says of frames that it did not take since the last call: how
    /// many, and why the last of them.
    fn tend(&mut self, wait: Duration) -> Option<(u64, String)>;

    /// Sees to it that what was handed over outlives this process: a checkpoint that has passed those frames is about to be
    /// saved. Waits at most so long.
    ///
    /// # Errors
    ///
    /// When what was handed over cannot be written.
    fn keep(&mut self, limit: Duration) -> Result<(), Failure>;

    /// Waits until everything is kept, as long as there is time for it. Returns how many frames may be missing.
    ///
    /// # Errors
    ///
    /// When what was handed over cannot be written.
    fn finish(&mut self, is_time_left: &mut dyn FnMut() -> bool) -> Result<u64, Failure>;
}
