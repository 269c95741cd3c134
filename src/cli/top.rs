//! The options of `headcount top`.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use super::duration::parse_duration;
use super::kafka::KafkaArgs;

/// Watch a running service: its six numbers live, how fast it reads, how far it is behind
///
/// Reads the topics that `headcount run` publishes to, as any client can; it asks nothing of the service and commits
/// nothing. On a terminal it takes the whole screen until q or ^C; elsewhere it writes each tick as lines of text.
///
/// With --once it writes the newest tick and ends: with --max-age a health check, whose exit code is 69 when there is
/// no tick or only an older one.
#[derive(Debug, Clone, Args)]
#[command(after_help = super::SEE_ALSO)]
pub struct TopArgs {
    /// How to reach the brokers
    #[command(flatten)]
    pub kafka: KafkaArgs,

    /// Topic of the ticks [default: $STATS_TOPIC, else stats]
    #[arg(
        short,
        long,
        value_name = "TOPIC",
        env = "HEADCOUNT_OUTPUT",
        hide_env = true
    )]
    pub output: Option<String>,

    /// Topic of the calendar windows [default: the output topic's name and -windows]
    #[arg(
        long,
        value_name = "TOPIC",
        env = "HEADCOUNT_WINDOWS_OUTPUT",
        hide_env = true
    )]
    pub windows_output: Option<String>,

    /// The job to watch, where several publish to one topic [default: the first one seen]
    #[arg(long, value_name = "NAME", env = "HEADCOUNT_JOB", hide_env = true)]
    pub job: Option<String>,

    /// Write the newest tick and end
    #[arg(long, env = "HEADCOUNT_ONCE", hide_env = true)]
    pub once: bool,

    /// With --once: the oldest tick that will do, such as 30s
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    #[arg(env = "HEADCOUNT_MAX_AGE", hide_env = true)]
    pub max_age: Option<Duration>,

    /// Where to show it
    #[command(flatten)]
    pub view: ViewArgs,
}

/// Where a live view is shown.
#[derive(Debug, Clone, Default, Args)]
pub struct ViewArgs {
    /// Write lines of text even on a terminal
    #[arg(long, env = "HEADCOUNT_PLAIN", hide_env = true)]
    pub plain: bool,

    /// Write the last screen to this file, as an SVG picture, and nothing to the terminal
    #[arg(long, value_name = "FILE", env = "HEADCOUNT_PICTURE", hide_env = true)]
    pub picture: Option<PathBuf>,
}
