//! The options of `headcount completions` and `headcount man`: what a package puts beside the program.

use std::path::PathBuf;

use clap::Args;
use clap_complete::Shell;

/// Print the completions for a shell
///
/// For bash, `headcount completions bash > /etc/bash_completion.d/headcount`, or for one user
/// `~/.local/share/bash-completion/completions/headcount`; for zsh `_headcount` in a folder of `$fpath`; for fish
/// `~/.config/fish/completions/headcount.fish`.
#[derive(Debug, Clone, Args)]
#[command(after_help = super::SEE_ALSO)]
pub struct CompletionsArgs {
    /// The shell that is to complete
    #[arg(value_name = "SHELL")]
    pub shell: Shell,
}

/// Write the manual pages
///
/// Writes headcount.1 and a page for each subcommand, such as headcount-run.1, to a directory. Without one it prints
/// headcount.1, for `headcount man | man -l -`.
#[derive(Debug, Clone, Args)]
#[command(after_help = super::SEE_ALSO)]
pub struct ManArgs {
    /// The directory, which is made if it is missing
    #[arg(value_name = "DIR")]
    pub directory: Option<PathBuf>,
}
