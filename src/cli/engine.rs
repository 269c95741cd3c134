//! The options that `run` and `count` share: what a frame looks like and how it is counted.

use std::time::Duration;

use clap::builder::PossibleValue;
use clap::{Args, ValueEnum};

use super::duration::parse_duration;
use crate::engine::decode::TsUnit;
use crate::limits::{MAX_THREADS, PRECISION_MAX, PRECISION_MIN};

/// How frames are read and counted.
#[derive(Debug, Clone, Args)]
pub struct EngineArgs {
    /// Threads, 1 to 64: with count those that decode, with run those that own the sketches; the counts are the same bytes
    /// for any number [default: one a core with count, 1 with run]
    #[arg(
        long,
        value_name = "N",
        env = "HEADCOUNT_THREADS",
        hide_env = true,
        allow_negative_numbers = true,
        value_parser = threads
    )]
    pub threads: Option<usize>,

    /// Sketches have 2^P registers, P from 12 to 18: a window of many users takes 2^P bytes (128 KiB at 17) and has a
    /// standard error of 104 % / sqrt(2^P) (0.29 % at 17, 0.81 % at 14)
    #[arg(
        long,
        value_name = "P",
        default_value_t = 17,
        env = "HEADCOUNT_PRECISION",
        hide_env = true,
        allow_negative_numbers = true,
        value_parser = precision
    )]
    #[arg(help_heading = "Counting")]
    pub precision: u8,

    /// Time zone of the calendar windows, by its IANA name, such as Europe/Zurich
    #[arg(long, visible_alias = "tz", value_name = "ZONE", default_value = "UTC")]
    #[arg(env = "HEADCOUNT_TIMEZONE", hide_env = true, help_heading = "Counting")]
    pub timezone: String,

    /// How far behind its partition's newest frame a frame is still on time; windows close that much later
    #[arg(long, value_name = "DURATION", default_value = "5s", value_parser = parse_duration)]
    #[arg(env = "HEADCOUNT_LATENESS", hide_env = true, help_heading = "Counting")]
    pub lateness: Duration,

    /// Frames further behind their partition's newest are quarantined, not counted [default: the longest retention
    /// and 366 days]
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    #[arg(
        env = "HEADCOUNT_MAX_LATENESS",
        hide_env = true,
        help_heading = "Counting"
    )]
    pub max_lateness: Option<Duration>,

    /// How far ahead of its partition's last frames one frame may be and count at once; where traffic is sparse it is
    /// more. One further ahead waits until others confirm its time, or is quarantined
    #[arg(long, value_name = "DURATION", default_value = "60s", value_parser = parse_duration)]
    #[arg(env = "HEADCOUNT_MAX_JUMP", hide_env = true, help_heading = "Counting")]
    pub max_jump: Duration,

    /// Root field that holds the user id: a string, or an integer of up to 64 bits
    #[arg(
        long,
        value_name = "NAME",
        default_value = "uid",
        env = "HEADCOUNT_UID_FIELD",
        hide_env = true
    )]
    #[arg(help_heading = "Frames")]
    pub uid_field: String,

    /// Root field that holds the event time: a number, or a string holding one; see --ts-unit
    #[arg(
        long,
        value_name = "NAME",
        default_value = "ts",
        env = "HEADCOUNT_TS_FIELD",
        hide_env = true
    )]
    #[arg(help_heading = "Frames")]
    pub ts_field: String,

    /// What the event time counts since 1970: seconds, milliseconds, microseconds or nanoseconds
    #[arg(
        long,
        value_name = "UNIT",
        default_value = "s",
        env = "HEADCOUNT_TS_UNIT",
        hide_env = true
    )]
    #[arg(help_heading = "Frames")]
    pub ts_unit: TsUnit,

    /// A user id that stands for nobody, such as - or anonymous (repeatable; null also means the JSON null)
    #[arg(long, value_name = "VALUE", env = "HEADCOUNT_IGNORE_UID", hide_env = true, value_delimiter = None)]
    #[arg(help_heading = "Frames", allow_hyphen_values = true)]
    pub ignore_uid: Vec<String>,

    /// What reads the frames: on-demand looks at all of a frame but keeps only the two fields, with the fastest
    /// instructions of this CPU; avx512, avx2 and portable are the same with those; simd-json, several times as slow, is
    /// the reference for it
    #[arg(
        long,
        value_name = "NAME",
        default_value = "on-demand",
        env = "HEADCOUNT_DECODER",
        hide_env = true
    )]
    #[arg(help_heading = "Frames")]
    pub decoder: DecoderName,

    /// How much of a frame is looked at: full counts only frames that are JSON to their end; fields stops once it has
    /// the user id and the event time, for producers that are trusted
    #[arg(
        long,
        value_name = "HOW",
        default_value = "full",
        env = "HEADCOUNT_VALIDATE",
        hide_env = true
    )]
    #[arg(help_heading = "Frames")]
    pub validate: Validation,

    /// How long minutes are kept after their end, behind the watermark
    #[arg(long, value_name = "DURATION", default_value = "6h", value_parser = parse_duration)]
    #[arg(
        env = "HEADCOUNT_RETAIN_MINUTES",
        hide_env = true,
        help_heading = "Retention"
    )]
    pub retain_minutes: Duration,

    /// How long hours are kept
    #[arg(long, value_name = "DURATION", default_value = "40d", value_parser = parse_duration)]
    #[arg(
        env = "HEADCOUNT_RETAIN_HOURS",
        hide_env = true,
        help_heading = "Retention"
    )]
    pub retain_hours: Duration,

    /// How long days are kept
    #[arg(long, value_name = "DURATION", default_value = "3y", value_parser = parse_duration)]
    #[arg(
        env = "HEADCOUNT_RETAIN_DAYS",
        hide_env = true,
        help_heading = "Retention"
    )]
    pub retain_days: Duration,

    /// How long ISO weeks are kept
    #[arg(long, value_name = "DURATION", default_value = "3y", value_parser = parse_duration)]
    #[arg(
        env = "HEADCOUNT_RETAIN_WEEKS",
        hide_env = true,
        help_heading = "Retention"
    )]
    pub retain_weeks: Duration,

    /// How long months are kept
    #[arg(long, value_name = "DURATION", default_value = "3y", value_parser = parse_duration)]
    #[arg(
        env = "HEADCOUNT_RETAIN_MONTHS",
        hide_env = true,
        help_heading = "Retention"
    )]
    pub retain_months: Duration,

    /// How long years are kept
    #[arg(long, value_name = "DURATION", default_value = "3y", value_parser = parse_duration)]
    #[arg(
        env = "HEADCOUNT_RETAIN_YEARS",
        hide_env = true,
        help_heading = "Retention"
    )]
    pub retain_years: Duration,
}

/// The values of `--decoder`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum DecoderName {
    /// Ours, with the fastest instructions.
    OnDemand,
    /// Ours with AVX-512.
    Avx512,
    /// Ours with AVX2.
    Avx2,
    /// Ours without SIMD.
    Portable,
    /// The reference.
    SimdJson,
}

/// The values of `--validate`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Validation {
    /// The whole frame.
    Full,
    /// Up to the later of the two fields.
    Fields,
}

/// Here, because the engine does not know of command lines.
impl ValueEnum for TsUnit {
    fn value_variants<'a>() -> &'a [Self] {
        &Self::ALL
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        Some(PossibleValue::new(self.symbol()))
    }
}

fn threads(text: &str) -> Result<usize, String> {
    within(text, 1, MAX_THREADS)
}

pub(super) fn precision(text: &str) -> Result<u8, String> {
    within(text, PRECISION_MIN, PRECISION_MAX)
}

fn within<T>(text: &str, least: T, most: T) -> Result<T, String>
where
    T: std::str::FromStr + Copy + PartialOrd + std::fmt::Display,
{
    match text.parse() {
        Ok(number) if (least..=most).contains(&number) => Ok(number),
        _ => Err(format!("give a whole number, {least} to {most}")),
    }
}
