//! One object a line.

use std::io::{self, Write};

use serde::Serialize;

use super::Printer;
use crate::engine::report::record::{StatsRecord, WindowRecord};

pub(super) struct Json {
    out: Box<dyn Write + Send>,
    /// A line is put together here: handing each of its many pieces to the stream cost as much as making them.
    line: Vec<u8>,
}

impl Json {
    pub(super) fn new(out: Box<dyn Write + Send>) -> Self {
        Self {
            out,
            line: Vec::new(),
        }
    }

    fn line(&mut self, record: &impl Serialize) -> io::Result<()> {
        self.line.clear();
        serde_json::to_writer(&mut self.line, record)?;
        self.line.push(b'\n');
        self.out.write_all(&self.line)
    }
}

impl Printer for Json {
    fn window(&mut self, record: &WindowRecord) -> io::Result<()> {
        self.line(record)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }

    fn finish(&mut self, stats: &StatsRecord) -> io::Result<()> {
        self.line(stats)?;
        self.out.flush()
    }
}
