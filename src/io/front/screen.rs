//! A live view on a terminal's whole screen.

use std::io;
use std::time::Duration;

use ratatui::DefaultTerminal;
use ratatui::crossterm::event::{self, Event, KeyCode, KeyEventKind, KeyModifiers};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::{Change, Front, Wish};
use crate::error::Failure;
use crate::view::Model;
use crate::view::screen::{Theme, draw};

/// The terminal of standard output, in raw mode on its alternate screen until this is closed or dropped.
pub struct Screen {
    terminal: DefaultTerminal,
    theme: Theme,
    is_open: bool,
}

impl Screen {
    /// Takes the terminal over. A panic gives it back before it is reported.
    ///
    /// # Errors
    ///
    /// When there is no terminal that could be taken over.
    pub fn open(theme: Theme) -> Result<Self, Failure> {
        let terminal = ratatui::try_init().map_err(|error| lost(&error))?;
        Ok(Self {
            terminal,
            theme,
            is_open: true,
        })
    }
}

impl Front for Screen {
    fn show(&mut self, model: &Model, _change: Change, now_ms: u64) -> Result<(), Failure> {
        let theme = self.theme;
        let drawn = self
            .terminal
            .draw(|frame| draw(frame, model, now_ms, theme));
        drawn.map(drop).map_err(|error| lost(&error))
    }

    fn wish(&mut self) -> Result<Option<Wish>, Failure> {
        if has_hung_up() {
            return Ok(Some(Wish::Quit));
        }
        while event::poll(Duration::ZERO).map_err(|error| lost(&error))? {
            // A new size needs nothing: each drawing asks for it.
            let Event::Key(key) = event::read().map_err(|error| lost(&error))? else {
                continue;
            };
            if key.kind == KeyEventKind::Release {
                continue;
            }
            let is_control = key.modifiers.contains(KeyModifiers::CONTROL);
            return Ok(Some(match key.code {
                KeyCode::Char('c' | 'd') if is_control => Wish::Quit,
                KeyCode::Char('q') | KeyCode::Esc => Wish::Quit,
                KeyCode::Char(c) if !is_control => Wish::Key(c),
                _ => continue,
            }));
        }
        Ok(None)
    }

    fn is_live(&self) -> bool {
        true
    }

    fn close(&mut self) -> Result<(), Failure> {
        match std::mem::take(&mut self.is_open) {
            true => ratatui::try_restore().map_err(|error| lost(&error)),
            false => Ok(()),
        }
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        // Whoever wants to know closes it.
        let _ = self.close();
    }
}

/// Whether the terminal is gone. Asked for a key then, the terminal library reads for ever.
fn has_hung_up() -> bool {
    let stdout = io::stdout();
    let mut asked = [PollFd::new(&stdout, PollFlags::empty())];
    let gone = PollFlags::HUP | PollFlags::ERR | PollFlags::NVAL;
    poll(&mut asked, Some(&Timespec::default())).is_ok() && asked[0].revents().intersects(gone)
}

fn lost(error: &io::Error) -> Failure {
    Failure::Output(format!(
        "the terminal cannot be used for a live view: {error}; try --plain"
    ))
}
