//! The load test behind `scripts/replay`: a stream goes through a broker into the service, and one table says what came
//! of it.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::disallowed_methods,
    reason = "a measurement that cannot go on says so by panicking; it is about real time"
)]

#[path = "../../tests/support/mod.rs"]
mod support;

mod limit;
mod run;
mod stage;
mod table;
mod usage;
mod verdict;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use headcount::cli::parse_duration;
use stage::Stage;

/// Replay a stream through a broker while `headcount run` counts it, and print one table
///
/// The broker is a real Apache Kafka on this machine, of its own for the time of the test, or the one that the environment
/// variable BROKER names (HOST:PORT); the topics are new ones, deleted at the end. Without FILE a stream is generated, once, below target/.
#[derive(Debug, Clone, Parser)]
#[command(
    name = "scripts/replay",
    bin_name = "scripts/replay",
    max_term_width = 110
)]
pub struct Options {
    /// Frames to replay, one a line; plain, .gz or .zst
    #[arg(value_name = "FILE")]
    file: Option<PathBuf>,

    /// The exact counts of FILE, as `headcount generate --truth` writes them
    #[arg(long, value_name = "FILE", requires = "file")]
    truth: Option<PathBuf>,

    /// Frames to generate
    #[arg(
        short = 'n',
        long,
        value_name = "N",
        default_value_t = 1_000_000,
        conflicts_with = "file"
    )]
    frames: u64,

    /// Users to draw from
    #[arg(
        short,
        long,
        value_name = "N",
        default_value_t = 100_000,
        conflicts_with = "file"
    )]
    users: u32,

    /// Event time from the first frame to the last
    #[arg(
        short,
        long,
        value_name = "DURATION",
        default_value = "1h",
        conflicts_with = "file"
    )]
    span: String,

    /// Frames a second to send, or max
    #[arg(short, long, value_name = "N|max", default_value = "max")]
    rate: String,

    /// Partitions of the input topic
    #[arg(short, long, value_name = "N", default_value_t = 4)]
    partitions: u32,

    /// How the frames are compressed on their way: none, gzip, snappy, lz4 or zstd
    #[arg(short, long, value_name = "CODEC", default_value = "lz4")]
    compression: String,

    /// Worker threads of the service
    #[arg(long, value_name = "N", default_value_t = 1)]
    threads: u32,

    /// Time between two ticks of the service
    #[arg(long, value_name = "DURATION", default_value = "5s", value_parser = parse_duration)]
    every: Duration,

    /// Stop the broker in the middle, and start it again 5 s later; not with BROKER
    #[arg(long)]
    restart_broker: bool,

    /// Raise the rate until the lag grows, and name the limit
    ///
    /// Each rate is 1.6 times the last one; the gap between the last one kept and the first one lost is then halved three
    /// times. A rate is lost when the lag grows by more than 2 % of it while it is held and ends above what half a second
    /// brings; it could not be sent when less than 97 % of it went out.
    #[arg(long, conflicts_with_all = ["restart_broker", "rate", "truth", "span"])]
    find_limit: bool,

    /// With --find-limit: how long each rate is held
    #[arg(long, value_name = "DURATION", default_value = "15s", value_parser = parse_duration)]
    step: Duration,

    /// With --find-limit: the first rate, frames a second
    #[arg(long, value_name = "N", default_value_t = 5_000)]
    start_at: u64,

    /// What `cargo bench` calls every bench with
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() -> ExitCode {
    let options = Options::parse();
    if let Err((code, why)) = stage::check(&options) {
        eprintln!("scripts/replay: {why}");
        return ExitCode::from(code);
    }
    std::panic::set_hook(Box::new(|panic| {
        let why = panic.payload_as_str().unwrap_or("it cannot go on");
        eprintln!("scripts/replay: {why}");
    }));
    let Some(stage) = Stage::set(&options) else {
        eprintln!("scripts/replay: no broker: install Java 17 and Maven, or name one in BROKER");
        return ExitCode::from(69);
    };
    let is_well = match options.find_limit {
        true => limit::find(&stage, &options),
        false => run::whole(&stage, &options),
    };
    stage.leave();
    ExitCode::from(u8::from(!is_well))
}
