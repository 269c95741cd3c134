//! Where `replay` sends frames to: explicit partitions of one topic, with an answer for every frame.

pub mod kafka;
pub mod topic;

use std::time::Duration;

use crate::error::Failure;

/// What became of one frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivery {
    /// The ticket it was sent under.
    pub ticket: u64,
    /// The partition it was sent to.
    pub partition: usize,
    /// What the topic said.
    pub answer: Answer,
}

/// What the topic says of one frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// It is there, on all replicas; at this offset if that was told.
    Acknowledged(Option<i64>),
    /// It is not there, and never will be: the topic takes no frame so large.
    TooLarge,
    /// It may be there or not, and no later frame will be.
    Failed(Failure),
}

/// The target takes nothing more for the moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Full;

/// An end that takes frames and answers for each, within a partition in the order of sending.
pub trait Target {
    /// Hands over one frame.
    ///
    /// # Errors
    ///
    /// When no frame will ever be taken again.
    fn send(
        &mut self,
        ticket: u64,
        partition: usize,
        frame: &[u8],
    ) -> Result<Result<(), Full>, Failure>;

    /// Waits so long, and appends the answers that came.
    fn deliveries(&mut self, wait: Duration, into: &mut Vec<Delivery>);
}
