//! The command line as typed. What it means is checked in [`crate::config`].

mod complaint;
pub mod config;
pub mod count;
pub mod demo;
pub mod duration;
pub mod engine;
pub mod generate;
pub mod http;
pub mod kafka;
pub mod merge;
pub mod papers;
pub mod query;
pub mod replay;
pub mod run;
pub mod state;
pub mod top;

use std::path::PathBuf;

use clap::{Parser, Subcommand, ValueEnum};

pub use complaint::{facts, one_sentence};
pub use duration::parse_duration;

/// Under the help of every subcommand.
const SEE_ALSO: &str = "Exit codes and environment variables: see 'headcount --help'.";

const AFTER_HELP: &str = "\
Exit codes:
  0    done; also after SIGINT or SIGTERM (run, top, demo), or when the reader of the output leaves
  2    bad usage: an option, topic, zone, value or line of --config that makes no sense
  65   damaged input, such as a torn gzip file
  66   an input file that cannot be read
  69   brokers, topic or partitions out of reach although the run has an end; no tick (top --once);
       no answer (query); an address that cannot be listened on (run --http)
  70   a failure of headcount itself
  74   an output or state that cannot be written; frames that the topic refused (replay)
  75   another instance has the state (run, count, merge, state export)
  76   frames or files are gone that were not read (run, count; without --on-gap continue)
  77   brokers that refuse the user, password or certificate, or whose certificate cannot be trusted
  78   a state that cannot be used: damaged, or of another job, topic, zone or precision
  130  cut short by SIGINT or SIGTERM (replay); left at once by a second one

Environment:
  Every option of run, count, replay, top and demo can be given as HEADCOUNT_ and its name, such as
  HEADCOUNT_BROKER (of a repeatable one, one value), and a property of -X as HEADCOUNT_X_ and
  its name, such as HEADCOUNT_X_SECURITY_PROTOCOL. A flag wins over the environment, and that over
  the file of --config. NO_COLOR turns colours off.";

/// Variables of the tool that this one replaces, and the options for which they stand in where `HEADCOUNT_…` is not set.
pub const ALIASES: [(&str, &str); 3] = [
    ("broker", "KAFKA_BROKER"),
    ("topic", "USERS_TOPIC"),
    ("output", "STATS_TOPIC"),
];

/// Counts distinct users per minute, hour, day, week, month and year
///
/// headcount reads log frames (JSON objects with a `uid` and a `ts`) from Kafka, files or standard input and says how
/// many distinct users there were: exactly while they are few, with an error under 1 % when they are many.
#[derive(Debug, Parser)]
#[command(version, after_long_help = AFTER_HELP, after_help = SEE_ALSO)]
#[command(propagate_version = true, max_term_width = 110)]
pub struct Cli {
    /// Take options from this file, headcount.toml: see 'headcount config --help'. Flags and the environment win over it
    #[arg(
        long,
        global = true,
        value_name = "FILE",
        env = "HEADCOUNT_CONFIG",
        hide_env = true,
        help_heading = "Configuration"
    )]
    pub config: Option<PathBuf>,

    /// How to log to standard error [default: text on a terminal, json otherwise]
    #[arg(
        long,
        global = true,
        value_name = "FORMAT",
        env = "HEADCOUNT_LOG_FORMAT",
        hide_env = true,
        help_heading = "Logging"
    )]
    pub log_format: Option<LogFormat>,

    /// What to do
    #[command(subcommand)]
    pub command: Command,
}

/// The forms of a log line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// For people
    Text,
    /// One JSON object a line
    Json,
}

/// The subcommands; their help is that of their options.
#[derive(Debug, Subcommand)]
#[allow(
    missing_docs,
    reason = "a doc comment here would take the place of the longer one on the options"
)]
pub enum Command {
    Run(Box<run::RunArgs>),
    Count(count::CountArgs),
    Generate(generate::GenerateArgs),
    Replay(Box<replay::ReplayArgs>),
    Top(top::TopArgs),
    Query(query::QueryArgs),
    State(state::StateArgs),
    Merge(merge::MergeArgs),
    Demo(demo::DemoArgs),
    Config(config::ConfigArgs),
    Completions(papers::CompletionsArgs),
    Man(papers::ManArgs),
}

impl Command {
    /// Whether it runs clients of brokers.
    #[must_use]
    pub fn has_clients(&self) -> bool {
        matches!(
            self,
            Self::Run(_) | Self::Replay(_) | Self::Top(_) | Self::Demo(_)
        )
    }

    /// How it reaches brokers, if it does.
    pub fn kafka_mut(&mut self) -> Option<&mut kafka::KafkaArgs> {
        match self {
            Self::Run(args) => Some(&mut args.kafka),
            Self::Replay(args) => Some(&mut args.kafka),
            Self::Top(args) => Some(&mut args.kafka),
            Self::Config(args) => Some(&mut args.command.run_mut().kafka),
            _ => None,
        }
    }
}
