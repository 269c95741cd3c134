//! The options of `headcount merge`.

use std::path::PathBuf;

use clap::Args;

use super::state::StateFormat;

/// Merge the states of several sites into one
///
/// The new state is what one run would have that had read all of their partitions: users that several sites saw count
/// once. The states must have the same precision, time zone and windows, and nobody may have them meanwhile; nothing in
/// them is changed. What was still to be published is not taken along: to the new state, no window is published yet.
#[derive(Debug, Clone, Args)]
#[command(after_help = super::SEE_ALSO)]
pub struct MergeArgs {
    /// Directories of states
    #[arg(value_name = "DIR")]
    pub states: Vec<PathBuf>,

    /// States whose partitions get a name before their own, where several have partitions of one name, such as
    /// --as eu=DIR us=DIR
    #[arg(long = "as", value_name = "NAME=DIR", num_args = 1..)]
    pub named: Vec<String>,

    /// Where to write the new state: a directory that is not there yet, or is empty
    #[arg(short, long, value_name = "DIR")]
    pub output: PathBuf,

    /// The new state's job [default: that of the states, joined by + where they differ]
    #[arg(long, value_name = "NAME")]
    pub job: Option<String>,

    /// How to print what was done
    #[arg(short, long, value_name = "FORMAT", default_value = "text")]
    pub format: StateFormat,
}
