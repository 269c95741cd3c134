//! The options of `headcount query`.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};

use super::count::PeriodArg;
use super::duration::parse_duration;

/// The forms of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum AnswerFormat {
    /// For people
    Table,
    /// One object
    Json,
    /// One line a number
    Csv,
}

/// Ask a running service, or a saved state, how many users there were
///
/// Without a question it tells the users of the last minute, hour, day, week, month and year. --last and --since count any other
/// stretch up to the newest event time; --from, with --to or without, the users of the calendar windows that cover the
/// stretch; --window a series of calendar windows. Times are RFC 3339, such as 2026-01-31T12:00:00Z, or unix seconds.
#[derive(Debug, Clone, Args)]
#[command(after_help = super::SEE_ALSO)]
pub struct QueryArgs {
    /// Users of so long up to the newest event time, such as 90m
    #[arg(long, value_name = "DURATION", value_parser = parse_duration, conflicts_with_all = ["since", "from", "to", "window"])]
    pub last: Option<Duration>,

    /// Users from this time up to the newest event time
    #[arg(long, value_name = "TIME", conflicts_with_all = ["from", "to", "window"])]
    pub since: Option<String>,

    /// Start of the stretch
    #[arg(long, value_name = "TIME")]
    pub from: Option<String>,

    /// End of the stretch, not in it [default: there is none]
    #[arg(long, value_name = "TIME")]
    pub to: Option<String>,

    /// Each window of this period, not their union
    #[arg(short, long, value_name = "PERIOD")]
    pub window: Option<PeriodArg>,

    /// How many windows at the most, 1 to 1000: the first ones with --from, else the last [default: 100]
    #[arg(
        short = 'n',
        long,
        value_name = "N",
        requires = "window",
        allow_negative_numbers = true
    )]
    pub limit: Option<i64>,

    /// Where the service answers (run --http)
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:9464")]
    pub url: String,

    /// Ask the state in this directory instead, at rest or as its service last saved it
    #[arg(long, value_name = "DIR", conflicts_with_all = ["url", "token_file"])]
    pub state: Option<PathBuf>,

    /// The file with the service's token (run --http-token-file)
    #[arg(long, value_name = "FILE")]
    pub token_file: Option<PathBuf>,

    /// How to print it
    #[arg(short, long, value_name = "FORMAT", default_value = "table")]
    pub format: AnswerFormat,
}
