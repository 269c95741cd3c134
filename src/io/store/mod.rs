//! Where the state of a run is kept, from one run to the next.

pub mod memory;
pub mod sqlite;

use crate::engine::checkpoint::{Commit, Loaded};
use crate::engine::shard::Shelf;
use crate::error::Failure;

/// Why a state cannot be used. The texts are for the operator.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// The bytes are not those that were saved.
    #[error("{0}")]
    Damaged(String),
    /// It is a good state, but not one for this run.
    #[error("{0}")]
    Foreign(String),
    /// Another process has it.
    #[error("{0}")]
    Locked(String),
    /// There is none.
    #[error("{0}")]
    Missing(String),
    /// The system does not let it be read or written.
    #[error("{0}")]
    Unavailable(String),
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Damaged(why) | StoreError::Foreign(why) => Self::State(why),
            StoreError::Locked(why) => Self::Taken(why),
            StoreError::Missing(why) => Self::NoInput(why),
            StoreError::Unavailable(why) => Self::Output(why),
        }
    }
}

/// A place for one state.
pub trait Store: Send {
    /// The state; `None` where none was saved yet.
    ///
    /// # Errors
    ///
    /// When there is one that cannot be read.
    fn load(&mut self) -> Result<Option<Loaded>, StoreError>;

    /// Epochs of the newest lives that began here, whether or not they ever saved anything.
    ///
    /// # Errors
    ///
    /// When they cannot be read.
    fn lives(&mut self) -> Result<Vec<u64>, StoreError>;

    /// Notes that a life of this epoch begins, for good when this returns.
    ///
    /// # Errors
    ///
    /// When it was not written.
    fn note_life(&mut self, epoch: u64) -> Result<(), StoreError>;

    /// Writes a checkpoint, for good when this returns.
    ///
    /// # Errors
    ///
    /// When it was not written; then all is as it was before.
    fn commit(&mut self, commit: &Commit) -> Result<(), StoreError>;

    /// Does what can be done when nobody waits for it; called after each checkpoint.
    fn tidy(&mut self);

    /// Puts a copy of what was committed aside, for the case that this is ever damaged.
    ///
    /// # Errors
    ///
    /// When there is none now; the one before it may be there.
    fn keep_copy(&mut self) -> Result<(), StoreError>;

    /// Another door to the sketches that were written.
    ///
    /// # Errors
    ///
    /// When the system does not give one.
    fn shelf(&self) -> Result<Box<dyn Shelf>, StoreError>;
}
