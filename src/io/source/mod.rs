//! Where frames come from.

pub mod chunks;
pub mod kafka;
pub mod lines;

use std::time::Duration;

use crate::engine::admit::PartitionIndex;
use crate::engine::frame::EventTime;
use crate::error::Failure;

/// What a source has to say.
#[derive(Debug)]
pub enum Event<'a> {
    /// A frame.
    Frame {
        /// Its partition.
        partition: PartitionIndex,
        /// Its offset.
        offset: i64,
        /// When a broker wrote it, by its own clock (`LogAppendTime`), unix seconds.
        appended: Option<EventTime>,
        /// Its bytes; `None` for a record without a value.
        payload: Option<&'a [u8]>,
    },
    /// A partition was read to where it ends for now.
    ReachedEnd(PartitionIndex),
    /// A partition is read to its end and will deliver nothing more.
    Finished(PartitionIndex),
}

/// A source of frames in partitions. Within a partition frames come in its order.
pub trait Source {
    /// Waits up to `wait` for something to happen and hands it, and perhaps more that has happened, to `on`, which returns
    /// the partition's clock. Returns whether anything happened.
    ///
    /// # Errors
    ///
    /// When the source can deliver nothing more and waiting would not help.
    fn poll(
        &mut self,
        wait: Duration,
        on: &mut dyn FnMut(Event<'_>) -> Result<Option<EventTime>, Failure>,
    ) -> Result<bool, Failure>;
}
