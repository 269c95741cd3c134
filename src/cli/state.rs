//! The options of `headcount state`.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

use super::engine::precision;

/// Look into a saved state, or check it
///
/// A state is the directory that `headcount run --state` or `count --state` keeps. It can be looked into while a service
/// has it (but not exported). Nothing in it is changed.
#[derive(Debug, Clone, Args)]
#[command(after_help = super::SEE_ALSO)]
pub struct StateArgs {
    /// What to do
    #[command(subcommand)]
    pub command: StateCommand,
}

/// What can be done with a state.
#[derive(Debug, Clone, Subcommand)]
pub enum StateCommand {
    /// Tell what it holds: offsets, clocks, ledger, windows, what is still to be published
    Show(StateDirectory),
    /// Check every byte of it, and compute its digest anew; exit code 78 if anything is not as it was written
    Verify(StateDirectory),
    /// Print its digest, and the offsets that it reflects
    Digest(StateDirectory),
    /// Write it to a new directory, at a lower precision or in another time zone
    Export(ExportArgs),
}

/// Write a state to a new directory, at a lower precision or in another time zone
///
/// At a lower precision it is, bit for bit, the state of a run with that precision; in rare cases pages of sketches are
/// held otherwise, with the same numbers, and the output says so. To another zone it goes where all of its windows are
/// windows there too. Where it does not, the complaint says how to count again up to the same offsets.
#[derive(Debug, Clone, Args)]
pub struct ExportArgs {
    /// The directory
    #[arg(value_name = "DIR")]
    pub directory: PathBuf,

    /// Where to write the new state: a directory that is not there yet, or is empty
    #[arg(short, long, value_name = "DIR")]
    pub output: PathBuf,

    /// Precision of the new state's sketches, at most that of the state
    #[arg(long, value_name = "P", value_parser = precision, allow_negative_numbers = true)]
    pub precision: Option<u8>,

    /// Time zone of the new state's calendar windows, by its IANA name
    #[arg(long, visible_alias = "tz", value_name = "ZONE")]
    pub timezone: Option<String>,

    /// How to print what was done
    #[arg(short, long, value_name = "FORMAT", default_value = "text")]
    pub format: StateFormat,
}

/// Which state.
#[derive(Debug, Clone, Args)]
pub struct StateDirectory {
    /// The directory
    #[arg(value_name = "DIR")]
    pub directory: PathBuf,

    /// How to print it
    #[arg(short, long, value_name = "FORMAT", default_value = "text")]
    pub format: StateFormat,
}

/// How a state is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum StateFormat {
    /// For people
    Text,
    /// One JSON object
    Json,
}
