//! The options of `headcount replay`.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};

use super::duration::parse_duration;
use super::kafka::KafkaArgs;
use crate::engine::decode::TsUnit;
use crate::limits::{REPLAY_PARTITIONS_MAX, REPLAY_RATE_MAX};

/// Send a file of JSON lines to a Kafka topic, at full speed, at a rate, or by the frames' own times
///
/// Each line is one record, its bytes as they are; plain, gzip or zstd. The producer is idempotent and waits for all
/// replicas, and what is not acknowledged yet is bounded in frames and bytes, so that nothing is lost, doubled or out of
/// order within a partition over a broker's restart, and memory stays small. A frame that the topic refuses as too large
/// is named by its line, and its neighbours are sent.
///
/// --rate and --speed are open loops: each frame has a moment at which it is due, and after a stall of the brokers or of
/// the input all that is overdue goes out as fast as it can, as real traffic would. Event times are taken in whole
/// --ts-unit: where that is s, --speed sends the frames of one second when it begins.
///
/// A summary ends every run, also one that fails or is interrupted.
#[derive(Debug, Clone, Args)]
#[command(after_help = super::SEE_ALSO)]
pub struct ReplayArgs {
    /// File to send, one frame a line; - is standard input
    #[arg(value_name = "FILE")]
    pub file: PathBuf,

    /// How to reach the brokers
    #[command(flatten)]
    pub kafka: KafkaArgs,

    /// Topic to send to [default: $USERS_TOPIC, else users]
    #[arg(
        short,
        long,
        value_name = "TOPIC",
        env = "HEADCOUNT_TOPIC",
        hide_env = true
    )]
    pub topic: Option<String>,

    /// Create the topic with so many partitions if it is missing
    #[arg(long, value_name = "N", env = "HEADCOUNT_PARTITIONS", hide_env = true)]
    #[arg(value_parser = clap::value_parser!(u32).range(1..=i64::from(REPLAY_PARTITIONS_MAX)))]
    pub partitions: Option<u32>,

    /// Which partition a frame goes to: by its user, or in turn
    #[arg(long, value_name = "HOW", default_value = "uid")]
    #[arg(env = "HEADCOUNT_PARTITION_BY", hide_env = true)]
    pub partition_by: PartitionBy,

    /// How batches are packed
    #[arg(long, value_name = "CODEC", default_value = "lz4")]
    #[arg(env = "HEADCOUNT_COMPRESSION", hide_env = true)]
    pub compression: Compression,

    /// Give up when no acknowledgement has come for so long, 1s to 1d
    #[arg(long, value_name = "DURATION", default_value = "60s", value_parser = parse_duration)]
    #[arg(env = "HEADCOUNT_TIMEOUT", hide_env = true)]
    pub timeout: Duration,

    /// Frames a second, or max; fractions are fine [default: max]
    #[arg(short, long, value_name = "PER_SECOND", value_parser = parse_rate, allow_negative_numbers = true)]
    #[arg(env = "HEADCOUNT_RATE", hide_env = true, help_heading = "Pace")]
    pub rate: Option<f64>,

    /// Go by the frames' ts, so many times as fast, such as 60x; a frame without a ts goes with the one before it, and
    /// one whose ts lies behind it is due at once
    #[arg(short, long, value_name = "FACTOR", value_parser = parse_speed, conflicts_with = "rate")]
    #[arg(env = "HEADCOUNT_SPEED", hide_env = true, help_heading = "Pace")]
    #[arg(allow_negative_numbers = true)]
    pub speed: Option<f64>,

    /// Add whole seconds to every ts, so that the first one becomes now; no other byte changes, and frames that are not
    /// good are sent as they are. Faster than --speed 1x the later ones run ahead of the wall clock
    #[arg(
        long,
        env = "HEADCOUNT_SHIFT_TO_NOW",
        hide_env = true,
        help_heading = "Pace"
    )]
    pub shift_to_now: bool,

    /// Begin again at the end of the file, until ^C or --frames; with --shift-to-now time goes on from round to round
    #[arg(
        long = "loop",
        env = "HEADCOUNT_LOOP",
        hide_env = true,
        help_heading = "Extent"
    )]
    pub is_loop: bool,

    /// Stop after so many frames
    #[arg(
        short = 'n',
        long,
        value_name = "N",
        env = "HEADCOUNT_FRAMES",
        hide_env = true,
        help_heading = "Extent"
    )]
    pub frames: Option<u64>,

    /// Pass over the first N lines (of the first round)
    #[arg(long, value_name = "N", default_value_t = 0)]
    #[arg(env = "HEADCOUNT_SKIP", hide_env = true, help_heading = "Extent")]
    pub skip: u64,

    /// Keep the position in this file, and go on from it if it exists: the same command run again sends what is left
    ///
    /// The file is replaced every second and at the end. Frames that were under way when a run died are looked for in
    /// the topic and not sent again when they are there. Delete the file to start anew.
    #[arg(
        long,
        value_name = "FILE",
        env = "HEADCOUNT_RESUME",
        hide_env = true,
        help_heading = "Extent"
    )]
    pub resume: Option<PathBuf>,

    /// How to print the summary
    #[arg(short, long, value_name = "FORMAT", default_value = "text")]
    #[arg(env = "HEADCOUNT_FORMAT", hide_env = true)]
    pub format: SummaryFormat,

    /// Root key of the user id, for --partition-by uid
    #[arg(
        long,
        value_name = "NAME",
        default_value = "uid",
        env = "HEADCOUNT_UID_FIELD",
        hide_env = true,
        help_heading = "Frames"
    )]
    pub uid_field: String,

    /// Root key of the event time, for --speed and --shift-to-now
    #[arg(
        long,
        value_name = "NAME",
        default_value = "ts",
        env = "HEADCOUNT_TS_FIELD",
        hide_env = true,
        help_heading = "Frames"
    )]
    pub ts_field: String,

    /// What the event time counts since 1970: seconds, milliseconds, microseconds or nanoseconds
    #[arg(
        long,
        value_name = "UNIT",
        default_value = "s",
        env = "HEADCOUNT_TS_UNIT",
        hide_env = true,
        help_heading = "Frames"
    )]
    pub ts_unit: TsUnit,
}

/// How frames are dealt out to partitions. Both depend on the file alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum PartitionBy {
    /// All frames of a user to one partition; frames that name no user by a hash of their bytes
    Uid,
    /// By the number of the line; frames are not decoded for it
    RoundRobin,
}

/// The codecs that the client library is built with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
#[allow(missing_docs)]
pub enum Compression {
    None,
    Gzip,
    Snappy,
    Lz4,
    Zstd,
}

impl Compression {
    /// The client library's name for it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Gzip => "gzip",
            Self::Snappy => "snappy",
            Self::Lz4 => "lz4",
            Self::Zstd => "zstd",
        }
    }
}

/// The forms of the summary.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum SummaryFormat {
    /// For people
    Text,
    /// One JSON object
    Json,
}

/// Frames a second; infinite for `max`.
fn parse_rate(text: &str) -> Result<f64, String> {
    if text == "max" {
        return Ok(f64::INFINITY);
    }
    match text.parse::<f64>() {
        Ok(rate) if rate > 0.0 && rate <= REPLAY_RATE_MAX => Ok(rate),
        _ => Err(format!(
            "'{text}' is neither max nor a number of frames a second above 0"
        )),
    }
}

/// A factor, with or without an x behind it.
fn parse_speed(text: &str) -> Result<f64, String> {
    match text.strip_suffix('x').unwrap_or(text).parse::<f64>() {
        Ok(speed) if speed > 0.0 && speed <= REPLAY_RATE_MAX => Ok(speed),
        _ => Err(format!("'{text}' is no factor above 0, such as 60x or 0.5")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_and_factors_are_read() {
        for (text, rate) in [
            ("max", f64::INFINITY),
            ("1", 1.0),
            ("0.5", 0.5),
            ("1e6", 1e6),
        ] {
            assert_eq!(parse_rate(text), Ok(rate), "{text}");
        }
        for (text, speed) in [("60x", 60.0), ("60", 60.0), ("0.25x", 0.25)] {
            assert_eq!(parse_speed(text), Ok(speed), "{text}");
        }
        for text in ["", "0", "-1", "NaN", "inf", "1e300", "x", "60xx", "fast"] {
            assert!(parse_rate(text).unwrap_err().contains(text), "{text}");
            assert!(parse_speed(text).unwrap_err().contains(text), "{text}");
        }
    }
}
