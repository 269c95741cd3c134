//! Results on standard output: for people, as JSON lines, as CSV.

mod csv;
mod json;
mod table;

use std::io::{self, Write};

use crate::cli::count::Format;
use crate::engine::report::record::{StatsRecord, WindowRecord};

/// Prints the records of a finished input.
pub trait Printer: Send {
    /// Prints, or keeps for later, one calendar window.
    ///
    /// # Errors
    ///
    /// As the output has it.
    fn window(&mut self, record: &WindowRecord) -> io::Result<()>;

    /// Hands over what is ready to be read, so that it does not end with this process.
    ///
    /// # Errors
    ///
    /// As the output has it.
    fn flush(&mut self) -> io::Result<()>;

    /// Prints the trailing windows and the ledger, and all that was kept.
    ///
    /// # Errors
    ///
    /// As the output has it.
    fn finish(&mut self, stats: &StatsRecord) -> io::Result<()>;
}

/// The printer of a format.
#[must_use]
pub fn printer(format: Format, out: Box<dyn Write + Send>) -> Box<dyn Printer> {
    match format {
        Format::Table => Box::new(table::Table::new(out)),
        Format::Json => Box::new(json::Json::new(out)),
        Format::Csv => Box::new(csv::Csv::new(out)),
    }
}
