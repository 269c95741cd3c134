//! One stream through broker and service.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use headcount::io::kafka_client::Connection;
use headcount::io::published::{Heard, Reader, Tail};
use headcount::view::heard::Tick;
use serde_json::Value;

use crate::Options;
use crate::stage::Stage;
use crate::support::kafka::create_topic;
use crate::support::process::{Service, headcount};
use crate::table;
use crate::usage::{Sampler, Usage};
use crate::verdict::{Verdict, delays_ms};

/// For what should take a second or two.
const SOON: Duration = Duration::from_secs(60);
/// For the service to read what is left when everything is sent.
const CATCH_UP: Duration = Duration::from_secs(300);
/// How long a broker that is restarted is away.
const AWAY: Duration = Duration::from_secs(5);

/// The names of one counting job's topics.
pub struct Job {
    pub topic: String,
    pub stats: String,
    pub windows: String,
}

impl Job {
    /// A job with an input topic of its own, which is made here.
    pub fn new(address: &str, name: &str, partitions: u32) -> Job {
        let topic = format!("{name}-{}", std::process::id());
        create_topic(address, &topic, partitions as i32, &[]);
        Job {
            stats: format!("{topic}-stats"),
            windows: format!("{topic}-stats-windows"),
            topic,
        }
    }
}

/// A tick, and when it was heard after the start of the load, in seconds.
pub struct Heartbeat {
    pub at_s: f64,
    pub tick: Tick,
}

/// The service on a job, and what it publishes.
pub struct Counting {
    pub service: Service,
    reader: Reader,
    start: Instant,
    pub beats: Vec<Heartbeat>,
}

impl Counting {
    /// Starts the service and waits until it reads.
    pub fn start(stage: &Stage, job: &Job, every: &str, threads: u32) -> Counting {
        let mut run = headcount();
        run.args([
            "--log-format",
            "json",
            "run",
            "-b",
            &stage.address,
            "-t",
            &job.topic,
        ])
        .args([
            "-o",
            &job.stats,
            "--every",
            every,
            "--threads",
            &threads.to_string(),
        ]);
        let mut service = Service::spawn(run);
        service.stderr_line("\"reading\"", SOON);
        let connection = Connection::new(stage.address.clone(), Vec::new());
        let tail = Tail {
            ticks: 1_000_000,
            windows: 0,
        };
        let reader = Reader::new(&connection, &job.stats, &job.windows, tail).unwrap();
        Counting {
            service,
            reader,
            start: Instant::now(),
            beats: Vec::new(),
        }
    }

    /// Collects ticks for so long.
    pub fn follow(&mut self, time: Duration) {
        let end = Instant::now() + time;
        while let Some(left) = end
            .checked_duration_since(Instant::now())
            .filter(|left| !left.is_zero())
        {
            if let Some(Heard::Tick(record)) =
                self.reader.next(left.min(Duration::from_millis(100)))
            {
                let at_s = self.start.elapsed().as_secs_f64();
                let tick = Tick::parse(&record.payload).expect("a tick");
                self.beats.push(Heartbeat { at_s, tick });
            }
        }
    }

    /// Frames that the last tick reflects.
    pub fn read(&self) -> u64 {
        self.beats.last().map_or(0, |beat| beat.tick.frames.read)
    }

    /// Frames read a second between each tick and the one before it.
    pub fn rates(&self) -> Vec<f64> {
        let rate = |pair: &[Heartbeat]| {
            let ms = pair[1].tick.process.uptime_ms? - pair[0].tick.process.uptime_ms?;
            let frames = pair[1].tick.frames.read - pair[0].tick.frames.read;
            Some(frames as f64 * 1_000.0 / ms.max(1) as f64)
        };
        self.beats.windows(2).filter_map(rate).collect()
    }
}

/// `headcount replay` into a job's topic.
pub fn replay(stage: &Stage, job: &Job, options: &Options, rate: &str, more: &[&str]) -> Service {
    let mut replay = headcount();
    replay
        .args([
            "--log-format",
            "json",
            "replay",
            "-b",
            &stage.address,
            "-t",
            &job.topic,
        ])
        .args([
            "--format",
            "json",
            "--rate",
            rate,
            "--compression",
            &options.compression,
        ])
        .args(more)
        .arg(&stage.frames);
    Service::spawn(replay)
}

/// What `headcount replay` says at its end.
pub fn summary(replay: &mut Service) -> Value {
    let out = replay.stdout();
    let line = out.lines().find(|line| line.starts_with('{'));
    let ended = replay.ended();
    let line =
        line.unwrap_or_else(|| panic!("replay gave no summary ({ended:?}): {}", replay.stderr()));
    serde_json::from_str(line).expect("a summary is JSON")
}

/// What a whole stream gave.
pub struct Outcome {
    pub summary: Value,
    pub beats: Vec<Heartbeat>,
    pub rates: Vec<f64>,
    pub delays_ms: Vec<i64>,
    pub usage: BTreeMap<&'static str, Usage>,
    pub verdict: Option<Verdict>,
    pub read: u64,
}

/// Replays the whole stream and prints what came of it; returns whether nothing was lost and all counts are right.
pub fn whole(stage: &Stage, options: &Options) -> bool {
    let job = Job::new(&stage.address, "replay", options.partitions);
    stage.own([&job.topic, &job.stats, &job.windows]);
    let every = format!("{}ms", options.every.as_millis());
    let mut counting = Counting::start(stage, &job, &every, options.threads);
    let sampler = Sampler::start();
    sampler.watch("headcount run", counting.service.id());
    watch_broker(stage, &sampler);
    let mut replay = replay(stage, &job, options, &options.rate, &[]);
    sampler.watch("headcount replay", replay.id());
    let mut is_restart_due = options.restart_broker;
    while replay.ended().is_none() {
        counting.follow(Duration::from_millis(100));
        if is_restart_due && is_in_the_middle(stage, &counting) {
            is_restart_due = false;
            restart_broker(stage, &mut counting, &sampler);
        }
    }
    replay.wait(SOON);
    let summary = summary(&mut replay);
    let acknowledged = summary["acknowledged"].as_u64().expect("acknowledged");
    let deadline = Instant::now() + CATCH_UP;
    while counting.read() < acknowledged && Instant::now() < deadline {
        counting.follow(Duration::from_millis(100));
    }
    let (read, rates) = (counting.read(), counting.rates());
    let usage = sampler.stop();
    counting.service.terminate();
    counting.service.wait(SOON);
    let verdict = stage
        .truth
        .as_ref()
        .map(|truth| Verdict::of(&stage.address, &job.stats, &job.windows, truth));
    let outcome = Outcome {
        summary,
        beats: counting.beats,
        rates,
        delays_ms: delays_ms(&stage.address, &job.topic, &job.stats),
        usage,
        verdict,
        read,
    };
    table::print(&outcome, options)
}

fn watch_broker(stage: &Stage, sampler: &Sampler) {
    if let Some(process) = stage.broker.as_ref().and_then(|broker| broker.process()) {
        sampler.watch("broker", process);
    }
}

fn is_in_the_middle(stage: &Stage, counting: &Counting) -> bool {
    let frames = stage
        .truth
        .as_ref()
        .and_then(|truth| truth["frames"].as_u64());
    counting.read() > frames.map_or(0, |frames| frames / 4)
}

fn restart_broker(stage: &Stage, counting: &mut Counting, sampler: &Sampler) {
    let broker = stage
        .broker
        .as_ref()
        .expect("--restart-broker needs a broker of our own");
    broker.stop();
    counting.follow(AWAY);
    broker.restart();
    watch_broker(stage, sampler);
}
