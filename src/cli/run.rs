//! The options of `headcount run`.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};

use super::duration::parse_duration;
use super::engine::EngineArgs;
use super::http::HttpArgs;
use super::kafka::KafkaArgs;

/// Which records of calendar windows are published.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Emit {
    /// Provisional, final and revised ones
    All,
    /// Final and revised ones
    Final,
}

/// What to do when frames are gone before they were read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum OnGap {
    /// Stop, so that somebody may choose
    Fail,
    /// Go on behind the gap
    Continue,
}

/// Count live from Kafka, and publish the counts to Kafka every 5 seconds
///
/// Reads all partitions of the input topic and publishes two kinds of JSON records: to the output topic, every 5
/// seconds, how many distinct users the last minute, hour, day, week, month and year had (a tick); to the windows
/// topic, each calendar window while it changes (provisional), once when it is closed (final), and again when late frames
/// change it afterwards (revised). docs/FORMAT.md lists every field.
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

    /// Also write quarantined frames to this topic, unchanged, with the reason and where they were in headers
    #[arg(
        long,
        value_name = "TOPIC",
        env = "HEADCOUNT_QUARANTINE_TOPIC",
        hide_env = true
    )]
    pub quarantine_topic: Option<String>,

    /// Also write rejected frames to this topic, unchanged, with the reason and where they were in headers
    #[arg(
        long,
        value_name = "TOPIC",
        env = "HEADCOUNT_REJECTS_TOPIC",
        hide_env = true
    )]
    pub rejects_topic: Option<String>,

    /// Delete a period's records from the windows topic this long after their end, such as minute=90d (repeatable)
    #[arg(
        long,
        value_name = "PERIOD=DURATION",
        env = "HEADCOUNT_FORGET",
        hide_env = true,
        value_delimiter = ','
    )]
    pub forget: Vec<String>,

    /// The job's name: the key of its records, and in them [default: the names of the input topics, in their alphabetical order]
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

    /// Which records of calendar windows are published: all, or only final and revised ones
    #[arg(long, value_name = "WHICH", value_enum, default_value_t = Emit::All)]
    #[arg(env = "HEADCOUNT_EMIT", hide_env = true)]
    pub emit: Emit,

    /// How long a partition must have had nothing to read before windows are closed without it, 1s to 1d; when all have,
    /// time goes on by the clock on the wall
    #[arg(long, value_name = "DURATION", default_value = "30s", value_parser = parse_duration)]
    #[arg(env = "HEADCOUNT_IDLE_TIMEOUT", hide_env = true)]
    pub idle_timeout: Duration,

    /// Keep the state in this directory, so that a restart goes on where the last run was
    #[arg(long, value_name = "DIR", env = "HEADCOUNT_STATE", hide_env = true)]
    pub state: Option<PathBuf>,

    /// Stop before these offsets, such as 0:1500,1:1498 (partitions not named are not read); what waits stays waiting and
    /// what is open stays open, so that the last tick can be compared with one of another run
    #[arg(
        long,
        value_name = "PARTITION:OFFSET",
        env = "HEADCOUNT_UNTIL",
        hide_env = true,
        value_delimiter = ',',
        conflicts_with = "exit_at_end"
    )]
    pub until: Vec<String>,

    /// When frames are gone that were not read: stop (exit code 76), or go on without them and say so in every record
    #[arg(long, value_name = "WHAT", default_value = "fail")]
    #[arg(env = "HEADCOUNT_ON_GAP", hide_env = true)]
    pub on_gap: OnGap,

    /// Time between two checkpoints of the state, 100ms to 1h; finals are published once they are in one
    #[arg(long, value_name = "DURATION", default_value = "10s", value_parser = parse_duration)]
    #[arg(env = "HEADCOUNT_CHECKPOINT_INTERVAL", hide_env = true)]
    pub checkpoint_interval: Duration,

    /// Publish only while no other instance of the job publishes to the same topics: another one stands by, and the
    /// brokers refuse what one that was taken for gone still sends. Needs transactions; false for brokers without them
    #[arg(
        long,
        value_name = "BOOL",
        default_value_t = true,
        action = clap::ArgAction::Set,
        env = "HEADCOUNT_EXCLUSIVE",
        hide_env = true
    )]
    pub exclusive: bool,

    /// How long another instance must have published nothing to be taken for gone, 100ms to 1d [default: three ticks, at
    /// least 15s]
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    #[arg(env = "HEADCOUNT_TAKEOVER_AFTER", hide_env = true)]
    pub takeover_after: Option<Duration>,

    /// While a backlog is read: how far ahead of the slowest partition the others may be in event time, 1m to 366d
    #[arg(long, value_name = "DURATION", default_value = "6h", value_parser = parse_duration)]
    #[arg(env = "HEADCOUNT_MAX_SKEW", hide_env = true)]
    pub max_skew: Duration,

    /// Consumers that share the partitions, 1 to 64; with more than one each reads and decodes on a thread of its own
    #[arg(long, value_name = "N", default_value_t = 1)]
    #[arg(env = "HEADCOUNT_CONSUMERS", hide_env = true)]
    pub consumers: usize,

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

    /// Where it answers over HTTP
    #[command(flatten)]
    pub http: HttpArgs,
}
