//! One line a window, the trailing ones last. No field can hold a comma, a quote or a line break: all are numbers,
//! times and fixed names.

use std::io::{self, Write};

use super::Printer;
use crate::engine::report::record::{StatsRecord, WindowRecord};

pub(super) struct Csv {
    out: Box<dyn Write + Send>,
    has_header: bool,
}

impl Csv {
    pub(super) fn new(out: Box<dyn Write + Send>) -> Self {
        Self {
            out,
            has_header: false,
        }
    }

    fn header(&mut self) -> io::Result<()> {
        if std::mem::replace(&mut self.has_header, true) {
            return Ok(());
        }
        writeln!(self.out, "window,start,end,tz,users,lo,hi,frames,late")
    }
}

impl Printer for Csv {
    fn window(&mut self, r: &WindowRecord) -> io::Result<()> {
        self.header()?;
        writeln!(
            self.out,
            "{},{},{},{},{},{},{},{},{}",
            r.window, r.start, r.end, r.tz, r.users, r.lo, r.hi, r.frames, r.late
        )
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }

    fn finish(&mut self, stats: &StatsRecord) -> io::Result<()> {
        self.header()?;
        for row in stats.trailing_rows() {
            // A trailing window does not hold its first instant and holds its last; frames are not counted in it.
            writeln!(
                self.out,
                "{},,{},{},{},{},{},,",
                row.name,
                row.as_of.as_deref().unwrap_or(""),
                stats.tz,
                row.users,
                row.lo,
                row.hi
            )?;
        }
        self.out.flush()
    }
}
