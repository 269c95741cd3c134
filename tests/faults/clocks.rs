//! The clock on the wall jumps; what is counted does not care.

use crate::case::{Case, last_words, part};
use crate::load::under_load;
use crate::oracle::{Oracle, windows_of};
use crate::support::broker::Broker;
use crate::support::kafka::create_topic;
use crate::support::process::Service;
use crate::support::{short_or_long, skip, wait_until};
use crate::world::{Frame, Job, NOON, Published, SOON, bad, seen, stop, unix_ms};
use clap::Parser;
use headcount::cli::{Cli, Command};
use headcount::config::RunConfig;
use headcount::error::Failure;
use headcount::io::clock::{Clock, SystemClock};
use headcount::run::service::{Gauges, run};
use rdkafka::mocking::MockCluster;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::time::Duration;

const HOUR_MS: i64 = 3_600_000;
const DAY_MS: i64 = 24 * HOUR_MS;
const TEN_YEARS_MS: i64 = 3_652 * DAY_MS;
/// By how much the clock is off, one after the other.
const JUMPS_MS: [i64; 7] = [
    HOUR_MS,
    DAY_MS,
    TEN_YEARS_MS,
    0,
    -HOUR_MS,
    -DAY_MS,
    -TEN_YEARS_MS,
];

/// The machine's clocks; the one on the wall is off by as much as it is told.
struct Jumping {
    clock: SystemClock,
    off_ms: AtomicI64,
}

impl Clock for Jumping {
    fn monotonic_ms(&self) -> u64 {
        self.clock.monotonic_ms()
    }

    fn unix_ms(&self) -> u64 {
        let off_ms = self.off_ms.load(Ordering::Relaxed);
        self.clock.unix_ms().saturating_add_signed(off_ms)
    }
}

/// Twenty seconds of event time over two partitions.
fn batch(number: u32) -> Vec<Frame> {
    let frame = |n: u32| match n {
        33 => bad(n as i32 % 2, "uid_missing", Some(b"{}")),
        _ => {
            let ts = NOON + number * 20 + n / 3;
            seen(n as i32 % 2, (number * 13 + n) % 170, ts)
        }
    };
    (0..60).map(frame).collect()
}

fn configure(job: &Job, state: &Path) -> RunConfig {
    let state = state.display().to_string();
    let arguments = [
        "headcount",
        "run",
        "-b",
        &job.address,
        "-t",
        &job.topic,
        "-o",
        &job.stats,
        "--state",
        &state,
        "--checkpoint-interval",
        "100ms",
        "--every",
        "200ms",
        "--max-jump",
        "36600d",
    ];
    let parsed = Cli::try_parse_from(arguments).expect("valid options");
    let Command::Run(args) = parsed.command else {
        panic!("it is run");
    };
    RunConfig::resolve(&args, |_| None).expect("options that make sense")
}

/// Runs the service in this process, with this clock, while `body` lasts.
fn live<T>(config: &RunConfig, clock: &Arc<Jumping>, body: impl FnOnce() -> T) -> T {
    let stop = Arc::new(AtomicBool::new(false));
    /// Also when `body` panics.
    struct Raised(Arc<AtomicBool>);
    impl Drop for Raised {
        fn drop(&mut self) {
            self.0.store(true, Ordering::Relaxed);
        }
    }
    std::thread::scope(|scope| {
        let raised = Raised(Arc::clone(&stop));
        let clock = Arc::clone(clock) as Arc<dyn Clock>;
        let service = scope.spawn(move || {
            // The life before it gives its state away a moment after its end.
            wait_until(SOON, "the state is free", || {
                match run(config, Arc::clone(&clock), &stop, &Gauges::default(), None) {
                    Err(Failure::Taken(_)) => None,
                    ended => Some(ended),
                }
            })
        });
        let outcome = body();
        drop(raised);
        service.join().expect("no panic").expect("a clean end");
        outcome
    })
}

fn assert_exact(sent: &[Frame], ticks: &[Published], windows: &[Published]) {
    let oracle = Oracle::of(sent);
    ticks.iter().for_each(|tick| oracle.check_tick(tick));
    windows
        .iter()
        .for_each(|record| oracle.check_window(record));
}

#[test]
fn a_clock_on_the_wall_that_jumps_changes_no_count_and_closes_nothing() {
    let cluster = MockCluster::new(1).expect("a mock cluster");
    let job = Job::new(&cluster.bootstrap_servers(), "jumps");
    for (topic, partitions) in [(&job.topic, 2), (&job.stats, 1), (&job.windows, 1)] {
        cluster.create_topic(topic, partitions, 1).expect("a topic");
    }
    let directory = tempfile::TempDir::new().expect("a directory");
    let config = configure(&job, directory.path());
    let clock = Arc::new(Jumping {
        clock: SystemClock::new(),
        off_ms: AtomicI64::new(0),
    });
    let mut sent = Vec::new();
    let mut number = 0;
    let mut epochs = Vec::new();
    // Each life ends with the clock far off, and the next one begins there.
    for jumps in [&JUMPS_MS[..3], &JUMPS_MS[3..6], &JUMPS_MS[6..]] {
        live(&config, &clock, || {
            for off_ms in jumps {
                clock.off_ms.store(*off_ms, Ordering::Relaxed);
                // Two minutes of event time.
                for _ in 0..6 {
                    job.send(&batch(number));
                    sent.extend(batch(number));
                    number += 1;
                }
                let all = sent.len() as i64;
                let mut ticks = job.ticks();
                let tick = ticks.until("all frames", |tick| tick.reflected() == all);
                let is_off = |tick: &Published| tick.ms("/emitted_at") - tick.timestamp_ms - off_ms;
                // It tells the time as it was told, and goes on ticking.
                let tick = match is_off(&tick).abs() {
                    0..60_000 => tick,
                    _ => ticks.until("of that time", |tick| is_off(tick).abs() < 60_000),
                };
                epochs.push(tick.int("/epoch"));
                ticks.until("one more", |_| true);
            }
        });
    }
    assert!(epochs.is_sorted(), "an epoch after another: {epochs:?}");
    epochs.dedup();
    assert_eq!(epochs.len(), 3, "one for each life: {epochs:?}");
    let (ticks, windows) = job.published();
    assert_exact(&sent, &ticks, &windows);
    let (finals, _) = last_words(&windows);
    let watermark = ticks.last().expect("many").int("/watermark");
    let minutes = windows_of(&sent).into_iter();
    for window in minutes.filter(|(name, start)| name == "minute" && start + 60 <= watermark) {
        assert!(
            finals.contains_key(&window),
            "{window:?} is over but not final"
        );
    }
    let closed_by = finals.values().map(|r| r.str("/closed_by").to_owned());
    assert!(closed_by.into_iter().all(|by| by == "event_time"));
}

/// The library that shifts a process' clock on the wall, made in a folder.
fn shifting_library(folder: &Path) -> Option<PathBuf> {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/faults/wall_clock.c");
    let library = folder.join("wall_clock.so");
    let mut cc = std::process::Command::new("cc");
    cc.args(["-shared", "-fPIC", "-O1", "-Wall", "-Werror", "-o"]);
    let made = cc.arg(&library).arg(source).arg("-ldl").status().ok()?;
    assert!(made.success(), "it compiles");
    Some(library)
}

/// The same for the whole process, client library included, against a real broker.
#[test]
fn a_process_whose_clock_on_the_wall_jumps_counts_as_ever() {
    if !short_or_long(false, true) {
        return;
    }
    let folder = tempfile::TempDir::new().expect("a directory");
    let Some(library) = shifting_library(folder.path()) else {
        return skip("no cc");
    };
    let Some(broker) = Broker::shared() else {
        return;
    };
    let case = Case::new(broker, "wall-clock", &["--retain-minutes", "30d"]);
    for topic in [&case.job.stats, &case.job.windows] {
        // By themselves brokers refuse records from more than an hour ahead.
        let ahead = ("message.timestamp.after.max.ms", "9223372036854775807");
        create_topic(&case.job.address, topic, 1, &[ahead]);
    }
    let off = folder.path().join("off");
    // Mapped by the process: written in place.
    let set = |off_ms: i64| {
        let mut file = std::fs::File::options();
        let file = file.create(true).truncate(false).write(true).open(&off);
        let seconds = off_ms / 1_000;
        let written = file.and_then(|mut file| file.write_all(&seconds.to_ne_bytes()));
        written.expect("it can be written");
    };
    set(0);
    let mut command = case.command("2");
    command
        .env("LD_PRELOAD", library)
        .env("HEADCOUNT_TEST_WALL_CLOCK", &off);
    case.job.send(&part(0));
    let mut service = Service::spawn(command);
    service.stderr_line("\"reading\"", SOON);
    let mut ticks = case.job.ticks();
    let pause = Duration::from_millis(300);
    under_load(&case.job, 1, pause, part, || {
        for ms in [JUMPS_MS, JUMPS_MS.map(|ms| -ms)].concat() {
            set(ms);
            let now = unix_ms();
            let is_off = |tick: &Published| (tick.ms("/emitted_at") - now - ms).abs() < 60_000;
            ticks.until("of that time", is_off);
            let reached = ticks.seen.last().expect("one").reflected();
            ticks.until("more frames", |tick| tick.reflected() > reached + 2_000);
            println!("off by {ms} ms: ticks and frames as ever");
        }
    });
    stop(&mut service);
    case.run_to_end("1");
    case.assert_as_without_an_accident();
}
