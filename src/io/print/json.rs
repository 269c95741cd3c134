//! One object a line.

use std::io::{self, Write};

use serde::Serialize;

use super::Printer;
use crate::engine::report::record::{StatsRecord, WindowRecord};

pub(super) struct Json(pub(super) Box<dyn Write + Send>);

impl Json {
    fn line(&mut self, record: &impl Serialize) -> io::Result<()> {
        serde_json::to_writer(&mut self.0, record)?;
        self.0.write_all(b"\n")
    }
}

impl Printer for Json {
    fn window(&mut self, record: &WindowRecord) -> io::Result<()> {
        self.line(record)
    }

    fn finish(&mut self, stats: &StatsRecord) -> io::Result<()> {
        self.line(stats)?;
        self.0.flush()
    }
}
