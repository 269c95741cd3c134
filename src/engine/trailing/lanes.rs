//! The inner loop of the pass over the trailing table, once for each set of instructions that the processor may have.
//!
//! There is one source for all of them, which the compiler turns into vectors as wide as it is told they may be. So
//! what the widest says is what the narrowest says, and a test compares them.

#![allow(
    unsafe_code,
    reason = "a function for instructions that not every processor has can be called in no other way"
)]

use super::EventTime;
use crate::engine::sketch::estimate::Tally;
use crate::limits::{PAGES, PRECISION_MAX};

/// Registers of a page at the highest precision.
const MAX_PAGE_REGISTERS: usize = (1 << PRECISION_MAX) / PAGES;

/// How wide the pass may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lanes(Width);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Width {
    /// What every processor of the kind has.
    Plain,
    #[cfg(target_arch = "x86_64")]
    Avx2,
    #[cfg(target_arch = "x86_64")]
    Avx512,
}

impl Lanes {
    /// All that this processor has, the widest last.
    #[must_use]
    pub fn available() -> Vec<Self> {
        let mut all = vec![Self(Width::Plain)];
        #[cfg(target_arch = "x86_64")]
        {
            if is_x86_feature_detected!("avx2") {
                all.push(Self(Width::Avx2));
            }
            if is_x86_feature_detected!("avx512f") {
                all.push(Self(Width::Avx512));
            }
        }
        all
    }

    /// The widest of them.
    #[must_use]
    pub fn widest() -> Self {
        Self::available().pop().unwrap_or(Self(Width::Plain))
    }

    /// The name of the instructions.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self.0 {
            Width::Plain => "plain",
            #[cfg(target_arch = "x86_64")]
            Width::Avx2 => "AVX2",
            #[cfg(target_arch = "x86_64")]
            Width::Avx512 => "AVX-512",
        }
    }

    /// Adds the registers of a page to the tallies of windows that start after these seconds, the earliest first. `rows`
    /// are the page's stretches by falling rank, each with its rank and the newest of its seconds. Returns how many cells
    /// of the table were looked at.
    pub(super) fn add_page<'t>(
        self,
        rows: impl Iterator<Item = Row<'t>>,
        starts: &[EventTime],
        registers: usize,
        tallies: &mut [Tally],
    ) -> usize {
        match self.0 {
            Width::Plain => add_page(rows, starts, registers, tallies),
            // SAFETY: the only way to such a value is `available`, which has asked the processor for exactly this.
            #[cfg(target_arch = "x86_64")]
            Width::Avx2 => unsafe { add_page_avx2(rows, starts, registers, tallies) },
            // SAFETY: as above.
            #[cfg(target_arch = "x86_64")]
            Width::Avx512 => unsafe { add_page_avx512(rows, starts, registers, tallies) },
        }
    }
}

/// The seconds of one rank in one page.
pub(super) struct Row<'t> {
    pub(super) rank: u8,
    pub(super) newest: EventTime,
    pub(super) seconds: &'t [EventTime],
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
fn add_page_avx2<'t>(
    rows: impl Iterator<Item = Row<'t>>,
    starts: &[EventTime],
    registers: usize,
    tallies: &mut [Tally],
) -> usize {
    add_page(rows, starts, registers, tallies)
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f")]
fn add_page_avx512<'t>(
    rows: impl Iterator<Item = Row<'t>>,
    starts: &[EventTime],
    registers: usize,
    tallies: &mut [Tally],
) -> usize {
    add_page(rows, starts, registers, tallies)
}

/// A register's value is at least a rank where the greatest second of that rank and all above it lies in the window. So
/// the ranks are gone through from the top, the greatest second so far of each register is kept, and counting the
/// registers in which it lies in a window gives the histogram, without anybody looking for a register's value.
#[inline(always)]
fn add_page<'t>(
    rows: impl Iterator<Item = Row<'t>>,
    starts: &[EventTime],
    registers: usize,
    tallies: &mut [Tally],
) -> usize {
    let mut buffer = [signed(0); MAX_PAGE_REGISTERS];
    let greatest = &mut buffer[..registers];
    let mut signed_starts = [i32::MAX; 6];
    for (to, start) in signed_starts.iter_mut().zip(starts) {
        *to = signed(*start);
    }
    let mut counted = [0; 6];
    // Windows before this one hold all registers already: they are the longest, as each holds all of the next.
    let mut full = 0;
    let mut newest = 0;
    let mut cells = 0;
    for row in rows {
        newest = newest.max(row.newest);
        if full == starts.len() {
            break;
        }
        if row.newest <= starts[full] {
            continue;
        }
        cells += registers;
        let open = starts.partition_point(|start| *start < newest);
        let now = raise_and_count(greatest, row.seconds, &signed_starts[full..open]);
        for (w, now) in (full..open).zip(now) {
            tallies[w].add_registers(row.rank, now - counted[w]);
            counted[w] = now;
        }
        while full < open && counted[full] as usize == registers {
            full += 1;
        }
    }
    for (tally, counted) in tallies.iter_mut().zip(counted) {
        tally.add_registers(0, registers as u32 - counted);
    }
    cells
}

/// Moves a second by half the range, so that it compares as a signed number: the narrower instructions compare no others.
#[inline(always)]
fn signed(second: EventTime) -> i32 {
    (second ^ 1 << 31).cast_signed()
}

#[inline(always)]
fn raise_and_count(greatest: &mut [i32], row: &[EventTime], starts: &[i32]) -> [u32; 6] {
    // One loop for each number of windows, so that all of them are counted in registers.
    match *starts {
        [a] => widen(raise_and_count_each(greatest, row, [a])),
        [a, b] => widen(raise_and_count_each(greatest, row, [a, b])),
        [a, b, c] => widen(raise_and_count_each(greatest, row, [a, b, c])),
        [a, b, c, d] => widen(raise_and_count_each(greatest, row, [a, b, c, d])),
        [a, b, c, d, e] => widen(raise_and_count_each(greatest, row, [a, b, c, d, e])),
        [a, b, c, d, e, f] => raise_and_count_each(greatest, row, [a, b, c, d, e, f]),
        _ => unreachable!("one to six windows are looked at"),
    }
}

#[inline(always)]
fn raise_and_count_each<const W: usize>(
    greatest: &mut [i32],
    row: &[EventTime],
    starts: [i32; W],
) -> [u32; W] {
    let mut counted = [0; W];
    for (greatest, second) in greatest.iter_mut().zip(row) {
        *greatest = (*greatest).max(signed(*second));
        for (counted, start) in counted.iter_mut().zip(starts) {
            *counted += u32::from(*greatest > start);
        }
    }
    counted
}

#[inline(always)]
fn widen<const W: usize>(counted: [u32; W]) -> [u32; 6] {
    let mut all = [0; 6];
    all[..W].copy_from_slice(&counted);
    all
}
