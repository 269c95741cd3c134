//! For people: the newest windows of each period, the trailing ones, and what became of the frames.

use std::collections::VecDeque;
use std::io::{self, Write};

use comfy_table::presets::NOTHING;
use comfy_table::{CellAlignment, Table as Grid};

use super::Printer;
use crate::engine::calendar::Period;
use crate::engine::report::record::{StatsRecord, WindowRecord};
use crate::limits::TABLE_ROWS;
use crate::view::number::grouped;

#[derive(Default)]
struct Newest {
    rows: VecDeque<WindowRecord>,
    left_out: u64,
}

pub(super) struct Table {
    out: Box<dyn Write + Send>,
    periods: [Newest; Period::ALL.len()],
}

impl Table {
    pub(super) fn new(out: Box<dyn Write + Send>) -> Self {
        Self {
            out,
            periods: Default::default(),
        }
    }

    fn windows(&mut self) -> io::Result<()> {
        for (period, newest) in Period::ALL.into_iter().zip(&self.periods) {
            let Some(any) = newest.rows.front() else {
                continue;
            };
            writeln!(self.out, "\nUsers by {} ({})", period.name(), any.tz)?;
            if newest.left_out > 0 {
                writeln!(
                    self.out,
                    "  ({} earlier ones are left out; --format json or csv prints all)",
                    grouped(newest.left_out)
                )?;
            }
            let mut grid = grid(["start", "users", "95 % interval", "frames", "late"]);
            for row in &newest.rows {
                grid.add_row([
                    row.start.clone(),
                    grouped(row.users),
                    interval(row.lo, row.hi),
                    grouped(row.frames),
                    grouped(row.late),
                ]);
            }
            print(&mut self.out, &grid)?;
        }
        Ok(())
    }

    fn ledger(&mut self, stats: &StatsRecord) -> io::Result<()> {
        let frames = &stats.frames;
        let mut parts = vec![format!("{} counted", grouped(frames.counted))];
        if frames.ignored > 0 {
            parts.push(format!("{} ignored", grouped(frames.ignored)));
        }
        for (reason, n) in &frames.quarantined_by.0 {
            parts.push(format!("{} quarantined ({reason})", grouped(*n)));
        }
        if frames.pending > 0 {
            parts.push(format!("{} pending", grouped(frames.pending)));
        }
        for (reason, n) in &frames.rejected.0 {
            parts.push(format!("{} rejected ({reason})", grouped(*n)));
        }
        write!(
            self.out,
            "\nFrames: {} read = {}",
            grouped(frames.read),
            parts.join(" + ")
        )?;
        if frames.late > 0 {
            write!(self.out, "; {} of them late", grouped(frames.late))?;
        }
        for (period, n) in &frames.expired.0 {
            write!(self.out, "; {} too old for their {period}", grouped(*n))?;
        }
        writeln!(self.out)
    }
}

impl Printer for Table {
    fn window(&mut self, record: &WindowRecord) -> io::Result<()> {
        let period = Period::ALL.into_iter().find(|p| p.name() == record.window);
        if let Some(period) = period {
            let newest = &mut self.periods[period as usize];
            newest.rows.push_back(record.clone());
            if newest.rows.len() > TABLE_ROWS {
                newest.rows.pop_front();
                newest.left_out += 1;
            }
        }
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }

    fn finish(&mut self, stats: &StatsRecord) -> io::Result<()> {
        self.windows()?;
        let rows = stats.trailing_rows();
        if let Some(as_of) = rows[0].as_of.as_deref() {
            writeln!(self.out, "\nUsers as of {as_of}, the greatest time counted")?;
            let mut grid = grid(["last", "users", "95 % interval"]);
            for row in &rows {
                let name = row.name.trim_start_matches("last_").to_owned();
                grid.add_row([name, grouped(row.users), interval(row.lo, row.hi)]);
            }
            print(&mut self.out, &grid)?;
        } else {
            writeln!(self.out, "\nNo frame was counted.")?;
        }
        self.ledger(stats)?;
        self.out.flush()
    }
}

fn grid<const N: usize>(header: [&str; N]) -> Grid {
    let mut grid = Grid::new();
    grid.load_style(NOTHING).set_header(header);
    for column in grid.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    grid
}

fn print(out: &mut dyn Write, grid: &Grid) -> io::Result<()> {
    for line in grid.lines() {
        writeln!(out, " {}", line.trim_end())?;
    }
    Ok(())
}

fn interval(lo: u64, hi: u64) -> String {
    if lo == hi {
        "exact".to_owned()
    } else {
        format!("{} to {}", grouped(lo), grouped(hi))
    }
}
