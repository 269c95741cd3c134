//! How fast a topic is read: `headcount run` against loops that throw every frame away, alternately, in one run.
//!
//!     cargo bench --bench consume -- --broker HOST:PORT [--frames N] [--partitions P] [--compression C] [--pairs N]
//!                                    [--against default,ours,spin] [--trickle SECONDS] [-- OPTIONS OF headcount run]
//!
//! The topic is named after what is in it, made and filled where it is missing, and read twice before anything is measured.
//! `default` is a bare loop on librdkafka's own configuration and the C library's allocator; `ours` reads as headcount does,
//! with its settings, allocator and waits, and drops the frames; `spin` is the same and never sleeps.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::disallowed_methods,
    reason = "a measurement that cannot go on says so by panicking; it is about real time"
)]

#[path = "bare.rs"]
mod bare;
#[path = "trickle.rs"]
mod trickle;

use std::io::Write;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use clap::Parser;
use headcount::config::From;
use headcount::io::clock::{Clock, SystemClock};
use headcount::io::kafka_client::Connection;
use headcount::io::source::kafka::{Consumers, Order, Reader, consumers};
use headcount::io::source::{Event, Source};
use procfs::process::Process;
use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};

/// Compare how fast headcount and bare loops read a topic
#[derive(Debug, Clone, Parser)]
struct Options {
    /// The broker, HOST:PORT
    #[arg(long)]
    broker: String,

    /// Frames in the topic
    #[arg(long, default_value_t = 1_000_000)]
    frames: u64,

    /// Partitions of the topic
    #[arg(long, default_value_t = 1)]
    partitions: i32,

    /// How the topic is compressed
    #[arg(long, default_value = "none")]
    compression: String,

    /// Pairs of runs
    #[arg(long, default_value_t = 5)]
    pairs: usize,

    /// The loops to compare with
    #[arg(long, value_delimiter = ',', default_value = "default,ours,spin")]
    against: Vec<String>,

    /// The program that is `ours` and `spin` (benches/consume/ours.rs), with headcount's allocator
    #[arg(long)]
    ours: Option<String>,

    /// The program to measure
    #[arg(long, default_value = env!("CARGO_BIN_EXE_headcount"))]
    headcount: String,

    /// Be this loop
    #[arg(long, hide = true)]
    be: Option<String>,

    /// Measure instead what 1,000 frames a second cost, for so many seconds each, and how long one of them takes
    #[arg(long, value_name = "SECONDS")]
    trickle: Option<u64>,

    /// The topic, if it is not named after what is in it
    #[arg(long, hide = true)]
    topic: Option<String>,

    /// What `cargo bench` calls every bench with
    #[arg(long, hide = true)]
    bench: bool,

    /// More options of `headcount run`
    #[arg(last = true)]
    options: Vec<String>,
}

/// What a run took.
#[derive(Debug, Clone, Copy)]
struct Took {
    wall_s: f64,
    cpu_s: f64,
    peak_mib: f64,
}

impl Options {
    fn topic(&self) -> String {
        self.topic.clone().unwrap_or_else(|| {
            format!(
                "consume-{}-{}-{}",
                self.frames, self.partitions, self.compression
            )
        })
    }

    fn headcount(&self) -> Command {
        let mut command = Command::new(&self.headcount);
        command.env_clear();
        command
    }

    fn counting(&self) -> Command {
        let mut command = self.headcount();
        let topic = self.topic();
        command.args([
            "run",
            "-b",
            &self.broker,
            "-t",
            &topic,
            "-e",
            "-o",
            "-",
            "--every",
            "1h",
        ]);
        command.args(&self.options);
        command
    }

    /// This program again, or the one with our allocator, as a loop.
    fn bare(&self, kind: &str) -> Command {
        let own = std::env::current_exe().unwrap();
        let program = match (kind, &self.ours) {
            ("default", _) | (_, None) => own,
            (_, Some(ours)) => ours.into(),
        };
        let mut command = Command::new(program);
        command.args(["--be", kind, "--broker", &self.broker]);
        command.args(["--frames", &self.frames.to_string()]);
        command.args(["--partitions", &self.partitions.to_string()]);
        command.args(["--compression", &self.compression]);
        if let Some(topic) = &self.topic {
            command.args(["--topic", topic]);
        }
        command
    }

    fn command(&self, kind: &str) -> Command {
        match kind {
            "headcount" => self.counting(),
            kind => self.bare(kind),
        }
    }

    /// Makes and fills the topic, unless it is there and whole.
    fn fill(&self) {
        if self.held() == self.frames {
            return;
        }
        let frames = self.frames.to_string();
        let generate = self
            .headcount()
            .args(["generate", "--frames", &frames])
            .stdout(Stdio::piped())
            .spawn();
        let mut generate = generate.unwrap();
        let replay = self
            .headcount()
            .args(["replay", "-b", &self.broker, "-t", &self.topic()])
            .args(["--partitions", &self.partitions.to_string()])
            .args(["--compression", &self.compression, "-"])
            .stdin(generate.stdout.take().unwrap())
            .status();
        assert!(replay.unwrap().success() && generate.wait().unwrap().success());
        assert_eq!(self.held(), self.frames, "frames in the topic");
    }

    /// A frame of 2 KB.
    fn one_frame(&self) -> String {
        let mut generate = self.headcount();
        let made = generate.args(["generate", "--frames", "1"]).output();
        String::from_utf8(made.unwrap().stdout).unwrap()
    }

    /// Makes the topic, with one frame in it.
    fn make_topic(&self) {
        let mut replay = self.headcount();
        replay
            .args(["replay", "-b", &self.broker, "-t", &self.topic()])
            .args(["--partitions", &self.partitions.to_string(), "-"])
            .stdin(Stdio::piped())
            .stderr(Stdio::null());
        let mut replay = replay.spawn().unwrap();
        let mut stdin = replay.stdin.take().unwrap();
        stdin.write_all(self.one_frame().as_bytes()).unwrap();
        drop(stdin);
        assert!(replay.wait().unwrap().success(), "the topic is made");
    }

    /// Frames in the topic.
    fn held(&self) -> u64 {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", &self.broker);
        let client: BaseConsumer = config.create().unwrap();
        let limit = Duration::from_secs(10);
        let high = |partition| {
            let (_, high) = client
                .fetch_watermarks(&self.topic(), partition, limit)
                .ok()?;
            Some(high as u64)
        };
        (0..self.partitions).filter_map(high).sum()
    }
}

/// Compares, or is one of the loops itself.
pub fn main() {
    let options = Options::parse();
    match options.be.as_deref() {
        Some("default") => {
            bare::read(
                &options.broker,
                &options.topic(),
                options.partitions,
                options.frames,
            );
        }
        Some("ours") => ours(&options, Duration::from_millis(50)),
        Some("spin") => ours(&options, Duration::ZERO),
        Some(other) => panic!("no loop is called {other}"),
        None => match options.trickle {
            Some(seconds) => trickle::compare(&options, seconds),
            None => compare(&options),
        },
    }
}

/// What headcount reads a topic with, from the beginning of all partitions.
fn reader(options: &Options) -> Reader {
    let connection = Connection::new(options.broker.clone(), Vec::new());
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let topics = [options.topic()];
    let Consumers { mut readers, .. } =
        consumers(&connection, "bare-loop", &topics, From::Earliest, 1, &clock).unwrap();
    let mut reader = readers.remove(0);
    for partition in 0..options.partitions {
        let order = Order::Follow {
            index: partition as usize,
            topic: 0,
            partition,
            offset: 0,
            end: None,
        };
        reader.obey(order).unwrap();
    }
    reader
}

/// Reads the topic as headcount does, and drops the frames.
fn ours(options: &Options, wait: Duration) {
    let mut reader = reader(options);
    let mut read = 0;
    while read < options.frames {
        let mut on = |event: Event<'_>| {
            read += u64::from(matches!(event, Event::Frame { .. }));
            Ok(None)
        };
        reader.poll(wait, &mut on).unwrap();
    }
}

/// Runs a program to its end.
fn measure(mut command: Command) -> Took {
    let children_s = || {
        let stat = Process::myself().unwrap().stat().unwrap();
        (stat.cutime + stat.cstime) as f64 / procfs::ticks_per_second() as f64
    };
    let (before_s, began) = (children_s(), Instant::now());
    let mut child = command
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let (status, peak_mib) = watch(&mut child);
    assert!(status.success(), "{command:?} fails with {status}");
    Took {
        wall_s: began.elapsed().as_secs_f64(),
        cpu_s: children_s() - before_s,
        peak_mib,
    }
}

fn watch(child: &mut Child) -> (ExitStatus, f64) {
    let process = Process::new(child.id() as i32).unwrap();
    let mut peak_kib = 0;
    loop {
        if let Ok(status) = process.status() {
            peak_kib = peak_kib.max(status.vmhwm.unwrap_or(0));
        }
        if let Some(status) = child.try_wait().unwrap() {
            return (status, peak_kib as f64 / 1024.0);
        }
        std::thread::park_timeout(Duration::from_millis(5));
    }
}

fn compare(options: &Options) {
    options.fill();
    for _ in 0..2 {
        measure(options.bare("default"));
    }
    for other in &options.against {
        let (mut ratios, mut cpu, mut peaks) = (Vec::new(), Vec::new(), Vec::new());
        for _ in 0..options.pairs {
            let theirs = measure(options.command(other));
            let ours = measure(options.command("headcount"));
            println!("{other}: {theirs:?}  headcount: {ours:?}");
            ratios.push(theirs.wall_s / ours.wall_s);
            cpu.push(ours.cpu_s / theirs.cpu_s);
            peaks.push(ours.peak_mib);
        }
        let (least, most) = (
            peaks.iter().copied().reduce(f64::min),
            peaks.iter().copied().reduce(f64::max),
        );
        println!(
            "{} against {other}, median of {}: {:.2} x the frames a second ({:.2?}), {:.2} x the CPU, peak {:.0} to {:.0} MiB",
            options.topic(),
            options.pairs,
            median(&mut ratios),
            ratios,
            median(&mut cpu),
            least.unwrap_or_default(),
            most.unwrap_or_default(),
        );
    }
}

fn median(of: &mut [f64]) -> f64 {
    of.sort_by(f64::total_cmp);
    of[of.len() / 2]
}
