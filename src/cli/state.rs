//! The options of `headcount state`.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

/// Look into a saved state, or check it
///
/// A state is the directory that `headcount run --state` keeps. It can be looked into while a service has it. Nothing in it is
/// changed.
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
