//! headcount head to head with other programs that can count distinct users, or that only read: `scripts/bench`.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::disallowed_methods,
    reason = "a measurement that cannot go on says so by panicking; it is about real time"
)]

#[path = "../../tests/support/mod.rs"]
mod support;

mod answer;
mod child;
mod contender;
mod instructions;
mod machine;
mod redis;
mod rounds;
mod table;

use std::fs;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use answer::Answer;
use child::{Failure, Signals};
use clap::Parser;
use contender::{Contender, Kind, Place};
use machine::Moment;
use rounds::{Bench, RUN_LIMIT, Section};
use support::broker::Broker;
use table::{Absent, Subject};

/// Users that the frames are drawn from.
pub const USERS: u64 = 100_000;

/// Compare headcount with other programs, alternately, and print one table in Markdown
///
/// Frames are generated, always the same, into target/bench; the topic is filled with them on a Kafka broker that is there for this alone.
#[derive(Debug, Clone, Parser)]
#[command(
    name = "scripts/bench",
    bin_name = "scripts/bench",
    max_term_width = 110
)]
struct Options {
    /// Frames, of some 2 KB each
    #[arg(short = 'n', long, value_name = "N", default_value_t = 1_000_000, value_parser = clap::value_parser!(u64).range(1..))]
    frames: u64,

    /// Rounds, in each of which everybody runs once
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..=1_000))]
    rounds: u64,

    /// Partitions of the topic
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(i32).range(1..=1_000))]
    partitions: i32,

    /// Seconds: who takes longer in a run sits out the rounds that follow
    #[arg(long, value_name = "SECONDS", default_value_t = 60)]
    patience: u64,

    /// Only these, and who they are compared with
    #[arg(long, value_name = "NAME,...", value_delimiter = ',', value_parser = clap::builder::PossibleValuesParser::new(contender::names()))]
    only: Vec<String>,

    /// Keep the generated frames for the next time
    #[arg(long)]
    keep: bool,

    /// Count instructions with callgrind instead
    #[arg(long, conflicts_with_all = ["rounds", "partitions", "only", "frames", "patience"])]
    instructions: bool,

    /// The loops of benches/consume
    #[arg(long, hide = true, default_value = "")]
    bare: String,

    #[arg(long, hide = true, default_value = "")]
    bare_ours: String,

    /// The program of benches/decode
    #[arg(long, hide = true, default_value = "")]
    decode: String,

    /// A Python that has the peers' packages
    #[arg(long, hide = true, default_value = "python3")]
    python: String,

    /// The folder of the program in Kafka Streams
    #[arg(long, hide = true, default_value = "streams")]
    streams: String,

    /// Who is not to be had, and why
    #[arg(long, hide = true, value_name = "NAME=WHY")]
    absent: Vec<String>,

    /// Only look whether the options make sense
    #[arg(long, hide = true)]
    check: bool,

    /// What `cargo bench` calls every bench with
    #[arg(long, hide = true)]
    bench: bool,
}

impl Options {
    fn place(&self) -> Place {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        Place {
            root: root.to_owned(),
            dir: root.join("target/bench"),
            headcount: env!("CARGO_BIN_EXE_headcount").to_owned(),
            bare: self.bare.clone(),
            ours: self.bare_ours.clone(),
            python: self.python.clone(),
            streams: self.streams.clone(),
            frames: self.frames,
            partitions: self.partitions,
            broker: String::new(),
        }
    }

    /// Why somebody is not to be had.
    fn why_absent(&self, name: &str) -> Option<String> {
        let of_name = |one: &String| Some(one.strip_prefix(name)?.strip_prefix('=')?.to_owned());
        self.absent.iter().find_map(of_name)
    }

    /// Those to be compared, and those wanted that are not to be had.
    fn choose(&self, place: &Place) -> (Vec<Contender>, Vec<Absent>) {
        let is_named =
            |name: &str| self.only.is_empty() || self.only.iter().any(|only| only == name);
        let all = contender::all(place);
        let kinds: Vec<Kind> = all
            .iter()
            .filter(|one| is_named(one.name))
            .map(|one| one.kind)
            .collect();
        let (mut chosen, mut absent) = (Vec::new(), Vec::new());
        for one in all {
            let is_needed = kinds.contains(&one.kind)
                && [one.kind.base(), one.kind.control()].contains(&one.name);
            match self.why_absent(one.name) {
                Some(why) if is_named(one.name) => absent.push(Absent {
                    title: one.title,
                    kind: one.kind,
                    why,
                }),
                None if is_named(one.name) || is_needed => chosen.push(one),
                _ => {}
            }
        }
        (chosen, absent)
    }
}

/// How the file comes to be, and how the topic does.
pub fn making(place: &Place) -> (Vec<String>, Vec<String>) {
    let generate = generating(place, place.frames, &place.file(), &place.truth());
    let (topic, partitions) = (place.topic(), place.partitions.to_string());
    let replay = [
        &place.headcount,
        "replay",
        "-b",
        &place.broker,
        "-t",
        &topic,
        "--partitions",
        &partitions,
        "--compression",
        "none",
        &place.file(),
    ];
    (generate, replay.map(str::to_owned).to_vec())
}

fn generating(place: &Place, frames: u64, file: &str, truth: &str) -> Vec<String> {
    let (frames, users) = (frames.to_string(), USERS.to_string());
    let generate = [
        &place.headcount,
        "generate",
        "--frames",
        &frames,
        "--users",
        &users,
        "--span",
        "1h",
        "-o",
        file,
        "--truth",
        truth,
    ];
    generate.map(str::to_owned).to_vec()
}

/// Writes frames and the truth about them, which comes last and says that the frames are whole.
pub fn generate(bench: &Bench, frames: u64, file: &str, truth: &str) -> Result<(), Failure> {
    let Place { dir, .. } = bench.place;
    let part = format!("{truth}.part");
    eprintln!("generating {frames} frames");
    bench.run(
        &generating(bench.place, frames, file, &part),
        None,
        &dir.join("err"),
        RUN_LIMIT,
    )?;
    fs::rename(dir.join(part), dir.join(truth)).unwrap();
    Ok(())
}

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().collect();
    if let [_, role, socket, file] = &words[..]
        && role == "redis-client"
    {
        redis::count(socket, file);
        return ExitCode::SUCCESS;
    }
    let options = Options::parse();
    if options.bare.is_empty() {
        eprintln!("bench: scripts/bench starts this, with what it needs");
        return ExitCode::from(2);
    }
    if options.check {
        return ExitCode::SUCCESS;
    }
    let mut place = options.place();
    fs::create_dir_all(&place.dir).unwrap();
    let result = measure(&options, &mut place);
    if !options.keep {
        let generated = |name: &str| {
            name.starts_with("frames-")
                || name.starts_with("truth-")
                || name.starts_with("instructions-")
        };
        for entry in fs::read_dir(&place.dir).unwrap().flatten() {
            if entry.file_name().to_str().is_some_and(generated) {
                let _ = fs::remove_file(entry.path());
            }
        }
    }
    match result {
        Ok(code) => code,
        Err(Failure::Failed(why)) => {
            eprintln!("bench: {why}");
            ExitCode::FAILURE
        }
        Err(Failure::Interrupted(signal)) => ExitCode::from(128 + signal as u8),
    }
}

fn measure(options: &Options, place: &mut Place) -> Result<ExitCode, Failure> {
    let (signals, began) = (Signals::watch(), Moment::now());
    if options.instructions {
        instructions::print(&bench(options, place, &signals), &options.decode, &began)?;
        return Ok(ExitCode::SUCCESS);
    }
    let subject = subject(&bench(options, place, &signals))?;
    let (chosen, absent) = options.choose(place);
    let mut sections = Vec::new();
    let has = |kind| chosen.iter().any(|one| one.kind == kind);
    if has(Kind::File) {
        sections.push(bench(options, place, &signals).section(Kind::File, &chosen)?);
    }
    // Dropping it ends the broker and deletes its data.
    let _broker = match has(Kind::Kafka).then(|| Broker::start("bench")).flatten() {
        None => None,
        Some(broker) => {
            place.broker = broker.address().to_owned();
            sections.push(topic_section(&bench(options, place, &signals), options)?);
            Some(broker)
        }
    };
    if sections.is_empty() {
        // EX_UNAVAILABLE of sysexits.h; the reasons were said when they were found.
        return Ok(ExitCode::from(69));
    }
    table::print(
        &bench(options, place, &signals),
        &subject,
        &sections,
        &absent,
        &began,
    );
    let failed = sections
        .iter()
        .flat_map(|section| &section.runs)
        .any(|runs| runs.failure.is_some());
    Ok(if failed {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    })
}

fn bench<'a>(options: &Options, place: &'a Place, signals: &'a Signals) -> Bench<'a> {
    Bench {
        place,
        signals,
        rounds: options.rounds as usize,
        patience: Duration::from_secs(options.patience),
    }
}

/// The frames, which are made unless they are there.
fn subject(bench: &Bench) -> Result<Subject, Failure> {
    let place = bench.place;
    let (file, truth) = (place.dir.join(place.file()), place.dir.join(place.truth()));
    if !file.exists() || !truth.exists() {
        generate(bench, place.frames, &place.file(), &place.truth())?;
    }
    let (answer, frames) = Answer::truth(&truth)
        .ok_or_else(|| Failure::Failed("the truth cannot be read".to_owned()))?;
    let bytes = fs::metadata(&file).map_or(0, |file| file.len());
    Ok(Subject {
        frames,
        bytes,
        truth: answer,
    })
}

/// Fills the topic, and compares its readers.
fn topic_section(bench: &Bench, options: &Options) -> Result<Section, Failure> {
    eprintln!("filling the topic");
    let (_, replay) = making(bench.place);
    bench.run(&replay, None, &bench.place.dir.join("err"), RUN_LIMIT)?;
    // Once more, for the commands have the broker's address now.
    let (chosen, _) = options.choose(bench.place);
    bench.section(Kind::Kafka, &chosen)
}
