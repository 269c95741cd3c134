//! The options of `headcount demo`.

use std::time::Duration;

use clap::Args;

use super::duration::parse_duration;
use super::http::HttpArgs;
use super::top::ViewArgs;

/// Show it at work: a broker in memory, made-up traffic, live counts beside the true ones
///
/// Needs nothing installed. Starts a mock Kafka cluster inside this process, sends made-up frames to it, counts them
/// with the real service, reads the published ticks as any client would, and shows each beside the true count at the
/// same offsets. On a terminal it takes the whole screen, with keys to pause the traffic, to send ten times as much, and
/// to send rubbish; elsewhere it writes lines of text.
#[derive(Debug, Clone, Args)]
#[command(after_help = super::SEE_ALSO)]
pub struct DemoArgs {
    /// How long to run [default: until ^C]
    #[arg(long = "for", value_name = "DURATION", value_parser = parse_duration)]
    #[arg(env = "HEADCOUNT_FOR", hide_env = true)]
    pub run_for: Option<Duration>,

    /// Where to show it
    #[command(flatten)]
    pub view: ViewArgs,

    /// Frames sent a second, 1 to 5000
    #[arg(
        short,
        long,
        value_name = "PER_SECOND",
        default_value_t = 1_000,
        env = "HEADCOUNT_RATE",
        hide_env = true,
        allow_negative_numbers = true
    )]
    pub rate: u32,

    /// Users to draw from
    #[arg(
        short,
        long,
        value_name = "N",
        default_value_t = 100_000,
        env = "HEADCOUNT_USERS",
        hide_env = true,
        allow_negative_numbers = true
    )]
    pub users: u32,

    /// Time between two ticks
    #[arg(long, value_name = "DURATION", default_value = "1s", value_parser = parse_duration)]
    #[arg(env = "HEADCOUNT_EVERY", hide_env = true)]
    pub every: Duration,

    /// Worker threads of the service
    #[arg(
        long,
        value_name = "N",
        default_value_t = 2,
        env = "HEADCOUNT_THREADS",
        hide_env = true,
        allow_negative_numbers = true
    )]
    pub threads: usize,

    /// Choose one of the many traffics
    #[arg(
        long,
        value_name = "N",
        default_value_t = 1,
        env = "HEADCOUNT_SEED",
        hide_env = true
    )]
    pub seed: u64,

    /// Where it answers over HTTP
    #[command(flatten)]
    pub http: HttpArgs,
}
