//! A live view of which the last screen ends up in an SVG file.

use std::fs;
use std::path::{Path, PathBuf};

use ratatui::Terminal;
use ratatui::backend::TestBackend;

use super::{Change, Front, Wish};
use crate::error::Failure;
use crate::limits::{PICTURE_COLUMNS, PICTURE_ROWS};
use crate::view::Model;
use crate::view::picture::svg;
use crate::view::screen::{Theme, draw};

/// A terminal in memory, and where its picture goes.
pub struct Picture {
    terminal: Terminal<TestBackend>,
    path: PathBuf,
}

impl Picture {
    /// A view whose last screen goes to a file, which is made now: a path that cannot be written should be told early.
    ///
    /// # Errors
    ///
    /// A file that cannot be made.
    pub fn new(path: &Path) -> Result<Self, Failure> {
        fs::write(path, "")
            .map_err(|error| Failure::writing(&path.display().to_string(), &error))?;
        let Ok(terminal) = Terminal::new(TestBackend::new(PICTURE_COLUMNS, PICTURE_ROWS));
        Ok(Self {
            terminal,
            path: path.to_owned(),
        })
    }
}

impl Front for Picture {
    fn show(&mut self, model: &Model, _change: Change, now_ms: u64) -> Result<(), Failure> {
        let theme = Theme { has_color: true };
        let Ok(_) = self
            .terminal
            .draw(|frame| draw(frame, model, now_ms, theme));
        Ok(())
    }

    fn wish(&mut self) -> Result<Option<Wish>, Failure> {
        Ok(None)
    }

    fn is_live(&self) -> bool {
        false
    }

    fn close(&mut self) -> Result<(), Failure> {
        let picture = svg(self.terminal.backend().buffer());
        fs::write(&self.path, picture)
            .map_err(|error| Failure::writing(&self.path.display().to_string(), &error))
    }
}
