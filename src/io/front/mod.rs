//! Where a live view is shown: a terminal's whole screen, lines of text, or a picture in a file.

pub mod picture;
pub mod plain;
pub mod screen;

use crate::error::Failure;
use crate::view::Model;

/// What has changed since the model was shown last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// A tick came.
    Tick,
    /// Something happened: the newest news.
    News,
    /// Time went by.
    Time,
}

/// What a person wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wish {
    /// To leave.
    Quit,
    /// What the key of this character does.
    Key(char),
}

/// A place to show a model.
pub trait Front {
    /// Shows the model as it stands at `now_ms`, unix milliseconds.
    ///
    /// # Errors
    ///
    /// When nothing can be shown any more.
    fn show(&mut self, model: &Model, change: Change, now_ms: u64) -> Result<(), Failure>;

    /// What a person asked for since the last call; never waits.
    ///
    /// # Errors
    ///
    /// When the keyboard is gone.
    fn wish(&mut self) -> Result<Option<Wish>, Failure>;

    /// Whether time that goes by changes what is shown.
    fn is_live(&self) -> bool;

    /// Gives the terminal back, or writes what was kept until now. Nothing is shown afterwards.
    ///
    /// # Errors
    ///
    /// When that fails.
    fn close(&mut self) -> Result<(), Failure>;
}
