//! The configuration of `replay`.

use std::io::IsTerminal;
use std::path::{Path, PathBuf};

use super::kafka::{check_topic, choose, connection};
use crate::cli::replay::{Compression, PartitionBy, ReplayArgs, SummaryFormat};
use crate::engine::decode::{Fields, Reading};
use crate::error::Failure;
use crate::io::kafka_client::Connection;
use crate::io::source::lines::Input;
use crate::limits::{REPLAY_TIMEOUT_MAX_MS, REPLAY_TIMEOUT_MIN_MS};

/// The configuration of `replay`.
#[derive(Debug, Clone)]
pub struct ReplayConfig {
    /// What is sent.
    pub input: Input,
    /// How to reach the brokers.
    pub connection: Connection,
    /// Where it is sent.
    pub topic: String,
    /// Partitions to create a missing topic with.
    pub partitions: Option<u32>,
    /// How frames are dealt out.
    pub partition_by: PartitionBy,
    /// How batches are packed.
    pub compression: Compression,
    /// Longest time without an acknowledgement, in milliseconds.
    pub timeout_ms: u64,
    /// When frames are due.
    pub tempo: Tempo,
    /// Whether event times are moved to now.
    pub shift_to_now: bool,
    /// Whether the file is sent again and again.
    pub is_loop: bool,
    /// Most frames to send.
    pub frames: Option<u64>,
    /// Lines passed over at the start.
    pub skip: u64,
    /// Where the position is kept.
    pub resume: Option<PathBuf>,
    /// How to print the summary.
    pub format: SummaryFormat,
    /// What frames look like.
    pub fields: Fields,
}

/// When frames are due.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Tempo {
    /// At once.
    Max,
    /// So many a second.
    Rate(f64),
    /// By their event times, so many times as fast.
    Speed(f64),
}

impl ReplayConfig {
    /// Checks the options of `replay`. `env` looks up the aliases of the tool that this one replaces.
    ///
    /// # Errors
    ///
    /// One sentence about the first thing that makes no sense.
    pub fn resolve(
        args: &ReplayArgs,
        env: impl Fn(&str) -> Option<String>,
    ) -> Result<Self, Failure> {
        let usage = |text: &str| Err(Failure::Usage(text.to_owned()));
        let input = if args.file == Path::new("-") {
            Input::Stdin
        } else {
            Input::File(args.file.clone())
        };
        if input == Input::Stdin {
            if args.is_loop {
                return usage("--loop needs a file: standard input cannot be read a second time");
            }
            if std::io::stdin().is_terminal() {
                return usage("nothing to send: name a file, or pipe frames to standard input");
            }
        }
        let topic = choose(args.topic.as_deref(), &env, "topic", "users");
        check_topic("--topic", &topic)?;
        let timeout_ms = u64::try_from(args.timeout.as_millis()).unwrap_or(u64::MAX);
        if !(REPLAY_TIMEOUT_MIN_MS..=REPLAY_TIMEOUT_MAX_MS).contains(&timeout_ms) {
            return usage("--timeout must be 1s to 1d");
        }
        if args.uid_field == args.ts_field {
            return usage("--uid-field and --ts-field must differ");
        }
        if args.resume.as_ref() == Some(&args.file) {
            return usage(
                "--resume names the file that is sent; the position needs one of its own",
            );
        }
        Ok(Self {
            input,
            connection: connection(&args.kafka, &env)?,
            topic,
            partitions: args.partitions,
            partition_by: args.partition_by,
            compression: args.compression,
            timeout_ms,
            tempo: match (args.speed, args.rate) {
                (Some(speed), _) => Tempo::Speed(speed),
                (None, Some(rate)) if rate.is_finite() => Tempo::Rate(rate),
                (None, _) => Tempo::Max,
            },
            shift_to_now: args.shift_to_now,
            is_loop: args.is_loop,
            frames: args.frames,
            skip: args.skip,
            resume: args.resume.clone(),
            format: args.format,
            fields: Fields {
                uid: args.uid_field.clone(),
                ts: args.ts_field.clone(),
                ts_unit: args.ts_unit,
                ignored_uids: Vec::new(),
                reading: Reading::default(),
                instructions: None,
            },
        })
    }
}
