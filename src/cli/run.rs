//! The options of `headcount run`.

use std::time::Duration;

use clap::Args;

use super::duration::parse_duration;
use super::engine::EngineArgs;
use super::kafka::KafkaArgs;

/// Count live from Kafka, and publish the counts to Kafka every 5 seconds
///
/// Reads all partitions of the input topic and publishes two kinds of JSON records: to the output topic, every 5
/// seconds, how many distinct users the last minute, hour, day, week, month and year had (a tick); to the windows
/// topic, each calendar window while it changes (provisional) and once when it is closed (final). docs/FORMAT.md
/// lists every field.
///
/// Without saved state a restart reads again what the topic still holds (--from earliest), so that its numbers are
/// right. Brokers that are down and topics that do not exist yet are waited for.
#[derive(Debug, Clone, Args)]
#[command(after_help = super::SEE_ALSO)]
pub struct RunArgs {
    /// How to reach the brokers
    #[command(flatten)]
    pub kafka: KafkaArgs,

    /// Topics to read, comma-separated [default: $USERS_TOPIC, else users]
    #[arg(
        short,
        long,
        value_name = "TOPIC,...",
        env = "HEADCOUNT_TOPIC",
        hide_env = true
    )]
    pub topic: Option<String>,

    /// Topic for the ticks; - prints all records to standard output instead [default: $STATS_TOPIC, else stats]
    #[arg(
        short,
        long,
        value_name = "TOPIC",
        env = "HEADCOUNT_OUTPUT",
        hide_env = true
    )]
    pub output: Option<String>,

    /// Topic for the calendar windows [default: the output topic's name and -windows]
    #[arg(
        long,
        value_name = "TOPIC",
        env = "HEADCOUNT_WINDOWS_OUTPUT",
        hide_env = true
    )]
    pub windows_output: Option<String>,

    /// The job's name: the key of its records, and in them [default: the input topic's name]
    #[arg(long, value_name = "NAME", env = "HEADCOUNT_JOB", hide_env = true)]
    pub job: Option<String>,

    /// Consumer group under which offsets are committed, for lag tools only [default: headcount- and the job's name]
    #[arg(
        short = 'G',
        long,
        value_name = "NAME",
        env = "HEADCOUNT_GROUP",
        hide_env = true
    )]
    pub group: Option<String>,

    /// Time between two ticks, 100ms to 1h
    #[arg(long, value_name = "DURATION", default_value = "5s", value_parser = parse_duration)]
    #[arg(env = "HEADCOUNT_EVERY", hide_env = true)]
    pub every: Duration,

    /// Where to start reading: earliest, latest, or the first frames published at or after an RFC 3339 time
    #[arg(
        long,
        value_name = "WHERE",
        default_value = "earliest",
        env = "HEADCOUNT_FROM",
        hide_env = true
    )]
    pub from: String,

    /// Stop when everything that the topic held at the start is counted; open windows are then closed
    #[arg(short, long, env = "HEADCOUNT_EXIT_AT_END", hide_env = true)]
    pub exit_at_end: bool,

    /// What frames look like and how they are counted
    #[command(flatten)]
    pub engine: EngineArgs,
}
