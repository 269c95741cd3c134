//! The options of `headcount config`.

use clap::{Args, Subcommand};

use super::run::RunArgs;

const AFTER_HELP: &str = r#"The file:
  # Keys are the long names of options; those above all sections are for every command.
  log-format = "json"
  broker = ["kafka1:9092", "kafka2:9092"]

  # For one command: run, count, replay, top, demo or query.
  [run]
  topic = "users"
  every = "5s"
  threads = 2
  state = "/var/lib/headcount"

  # Properties of the Kafka client, as with -X.
  [kafka]
  security.protocol = "SASL_SSL"
  sasl.mechanism = "SCRAM-SHA-512"
  sasl.username = "headcount"
  sasl.password.file = "/etc/headcount/kafka-password"

Exit codes and environment variables: see 'headcount --help'."#;

/// Check or print the configuration that a run would have
///
/// Flags win over the environment, that over the file named by --config or HEADCOUNT_CONFIG, and that over the defaults.
/// A key that no command has is refused, with the name that it may have been meant to be. query takes its options from
/// [query] alone, so that what a service is given does not become a part of a question to it.
#[derive(Debug, Clone, Args)]
#[command(after_help = AFTER_HELP)]
pub struct ConfigArgs {
    /// What to do
    #[command(subcommand)]
    pub command: ConfigCommand,
}

/// What can be done with the configuration; the options are those of `run`.
#[derive(Debug, Clone, Subcommand)]
pub enum ConfigCommand {
    /// Say ok, or in one sentence what is wrong
    ///
    /// Checks the whole file, and the options of run as 'headcount run' would have them. No broker is asked.
    Check(Box<RunArgs>),
    /// Print it as a configuration file, without secrets, with the place that each value comes from
    ///
    /// What it prints can be given to --config. Secrets are left out; a file that holds one is named.
    Show(Box<RunArgs>),
}

impl ConfigCommand {
    /// The options of the run in question.
    #[must_use]
    pub fn run(&self) -> &RunArgs {
        match self {
            Self::Check(args) | Self::Show(args) => args,
        }
    }

    pub(super) fn run_mut(&mut self) -> &mut RunArgs {
        match self {
            Self::Check(args) | Self::Show(args) => args,
        }
    }
}
