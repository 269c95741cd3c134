//! A live view as lines on a stream.

use std::io::Write;

use super::{Change, Front, Wish};
use crate::error::Failure;
use crate::view::{Model, lines};

/// Writes each tick as a small table, and news as a line.
pub struct Plain<W> {
    out: W,
}

impl<W: Write> Plain<W> {
    /// A view that goes to a stream.
    pub fn new(out: W) -> Self {
        Self { out }
    }
}

impl<W: Write> Front for Plain<W> {
    fn show(&mut self, model: &Model, change: Change, _now_ms: u64) -> Result<(), Failure> {
        let written = match change {
            Change::Tick => lines::tick(model, &mut self.out),
            Change::News => lines::news(model, &mut self.out),
            Change::Time => Ok(()),
        };
        written.map_err(|error| Failure::writing("standard output", &error))
    }

    fn wish(&mut self) -> Result<Option<Wish>, Failure> {
        Ok(None)
    }

    fn is_live(&self) -> bool {
        false
    }

    fn close(&mut self) -> Result<(), Failure> {
        Ok(())
    }
}
