//! The options of `headcount count`.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};

use super::duration::parse_duration;
use super::engine::EngineArgs;
use super::run::OnGap;
use crate::engine::calendar::Period;

/// Count files or standard input, one frame a line
///
/// Reads JSON lines, plain or packed with gzip or zstd, and prints how many distinct users each minute, hour, day,
/// ISO week, month and year had, and how many the last of each had as of the greatest ts. The output depends on the
/// input alone: not on threads, on when it runs, or on the order in which files are named.
///
/// Several files are read side by side by event time, each with a clock of its own.
///
/// With --state a growing file can be counted again and again: each run counts what is new, and prints the windows that
/// changed (as a table, all of them).
#[derive(Debug, Clone, Args)]
#[command(after_help = super::SEE_ALSO)]
pub struct CountArgs {
    /// Files to read; - is standard input, and so is naming none
    #[arg(value_name = "FILE")]
    pub files: Vec<PathBuf>,

    /// How to print [default: table on a terminal, json otherwise]
    #[arg(
        short,
        long,
        value_name = "FORMAT",
        env = "HEADCOUNT_FORMAT",
        hide_env = true
    )]
    pub format: Option<Format>,

    /// Which calendar windows to count, comma-separated [default: all six]
    #[arg(
        short,
        long,
        value_name = "PERIOD,...",
        value_delimiter = ',',
        env = "HEADCOUNT_WINDOW",
        hide_env = true
    )]
    pub window: Vec<PeriodArg>,

    /// Keep the state in this directory, and go on from it: what was counted of a file before is not counted again
    #[arg(long, value_name = "DIR", env = "HEADCOUNT_STATE", hide_env = true)]
    pub state: Option<PathBuf>,

    /// Time between two checkpoints of the state, 100ms to 1h; the last one is at the end of the input
    #[arg(long, value_name = "DURATION", default_value = "10s", value_parser = parse_duration)]
    #[arg(env = "HEADCOUNT_CHECKPOINT_INTERVAL", hide_env = true)]
    pub checkpoint_interval: Duration,

    /// When a file is another one than the state knows by its name, and the old one is not among those named: stop (exit
    /// code 76), or go on without the rest of the old one
    #[arg(long, value_name = "WHAT", default_value = "fail")]
    #[arg(env = "HEADCOUNT_ON_GAP", hide_env = true)]
    pub on_gap: OnGap,

    /// Also write quarantined frames to this file, unchanged, and to FILE.reasons where they were and why
    #[arg(
        long,
        value_name = "FILE",
        env = "HEADCOUNT_QUARANTINE_FILE",
        hide_env = true
    )]
    pub quarantine_file: Option<PathBuf>,

    /// Also write rejected frames to this file, unchanged, and to FILE.reasons where they were and why
    #[arg(
        long,
        value_name = "FILE",
        env = "HEADCOUNT_REJECTS_FILE",
        hide_env = true
    )]
    pub rejects_file: Option<PathBuf>,

    /// What frames look like and how they are counted
    #[command(flatten)]
    pub engine: EngineArgs,
}

/// The forms of output.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people: the newest windows of each period, and the ledger
    Table,
    /// One object a line: each window once, the trailing windows and the ledger last
    Json,
    /// One line a window, trailing windows last
    Csv,
}

/// A calendar period, as an option's value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
#[allow(missing_docs)]
pub enum PeriodArg {
    Minute,
    Hour,
    Day,
    Week,
    Month,
    Year,
}

impl From<PeriodArg> for Period {
    fn from(arg: PeriodArg) -> Self {
        Self::ALL[arg as usize]
    }
}
