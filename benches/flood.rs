//! What a flood of questions over HTTP costs the counting: `headcount run` reads a topic to its end while a client floods it,
//! and while the same client floods a server that answers nothing, in turn.
//!
//!     cargo bench --bench flood [-- ROUNDS FRAMES]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::disallowed_methods,
    reason = "a measurement that cannot go on says so by panicking; it is about real time"
)]

#[path = "../tests/support/mod.rs"]
mod support;

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use headcount::generate::{Plan, Traffic};
use support::broker::Broker;
use support::kafka::{create_topic, produce};
use support::process::{Service, headcount};

/// Requests a second of the flood, many times the cap. Each asks something else.
const REQUESTS_PER_S: u64 = 200;
const CLIENTS: u64 = 4;
const PARTITIONS: i32 = 4;
const SOON: Duration = Duration::from_secs(120);

/// One run: how fast the topic was read, how much CPU time that took, and what the flood got.
struct Run {
    frames_per_s: f64,
    cpu_s: f64,
    answers: u64,
    refusals: u64,
}

fn main() {
    let numbers: Vec<u64> = std::env::args().filter_map(|a| a.parse().ok()).collect();
    let rounds = numbers.first().copied().unwrap_or(7);
    let frames = numbers.get(1).copied().unwrap_or(1_000_000);
    let Some(broker) = Broker::start("flood") else {
        return;
    };
    fill(broker.address(), frames);
    let silent = silent_server();
    // The first run reads from a cold broker.
    measure(broker.address(), frames, None);
    let (mut rates, mut times) = (Vec::new(), Vec::new());
    for round in 0..rounds {
        // Whichever comes second profits from the other's caches: turn and turn about.
        let asked_first = round % 2 == 0;
        let mut targets = [None, Some(silent.as_str())];
        if !asked_first {
            targets.reverse();
        }
        let [first, second] = targets.map(|target| {
            let run = measure(broker.address(), frames, target);
            let name = if target.is_some() { "spared" } else { "asked" };
            println!(
                "round {round}, {name}: {:.0} frames/s, {:.2} s of CPU, {} answers, {} refusals",
                run.frames_per_s, run.cpu_s, run.answers, run.refusals
            );
            run
        });
        let (asked, spared) = if asked_first {
            (first, second)
        } else {
            (second, first)
        };
        assert!(asked.answers > 0 && asked.refusals > 0, "that was no flood");
        rates.push(asked.frames_per_s / spared.frames_per_s);
        times.push(asked.cpu_s / spared.cpu_s);
    }
    for (what, mut ratios) in [("throughput", rates), ("CPU time", times)] {
        ratios.sort_by(f64::total_cmp);
        println!(
            "{what} under the flood, to that beside it: {:.3} (median of {} pairs, {:.3} to {:.3})",
            ratios[ratios.len() / 2],
            ratios.len(),
            ratios[0],
            ratios[ratios.len() - 1]
        );
    }
}

fn fill(address: &str, frames: u64) {
    create_topic(address, "flood", PARTITIONS, &[]);
    let plan = Plan {
        frames,
        users: 100_000,
        span_ms: 3_600_000,
        ..Plan::default()
    };
    let mut traffic = Traffic::new(&plan);
    let mut n = 0;
    let frames = std::iter::from_fn(|| {
        let mut frame = Vec::new();
        traffic.next_frame(&mut frame)?;
        n += 1;
        Some((Some(n % PARTITIONS), None, Some(frame)))
    });
    produce(address, "flood", frames, "lz4");
}

/// Reads the topic to its end, from the moment of the first partition to that of the last record. The flood is for `target`,
/// or else for the service.
fn measure(address: &str, frames: u64, target: Option<&str>) -> Run {
    let mut run = headcount();
    run.args(["--log-format", "json", "run", "-b", address, "-t", "flood"])
        .args(["-o", "-", "-e", "--every", "1s", "--http", "127.0.0.1:0"]);
    let mut service = Service::spawn(run);
    let line = service.stderr_line("answering over HTTP", SOON);
    let url = line
        .split("http://")
        .nth(1)
        .and_then(|rest| rest.split('/').next())
        .expect("an address");
    let flood = Flood::start(target.unwrap_or(url));
    service.stderr_line("\"reading\"", SOON);
    let start = Instant::now();
    service.stderr_line("\"stopped\"", SOON);
    let frames_per_s = frames as f64 / start.elapsed().as_secs_f64();
    let (answers, refusals) = flood.end();
    service.wait(SOON);
    let stdout = service.stdout();
    let ticks = stdout.lines().rev().find_map(|line| {
        let record: serde_json::Value = serde_json::from_str(line).ok()?;
        record["process"]["cpu_ms"].as_f64()
    });
    Run {
        frames_per_s,
        cpu_s: ticks.expect("a last tick") / 1_000.0,
        answers,
        refusals,
    }
}

struct Flood {
    stop: Arc<AtomicBool>,
    answered: Arc<AtomicU64>,
    refused: Arc<AtomicU64>,
    clients: Vec<thread::JoinHandle<()>>,
}

impl Flood {
    fn start(address: &str) -> Flood {
        let stop = Arc::new(AtomicBool::new(false));
        let (answered, refused) = (Arc::<AtomicU64>::default(), Arc::<AtomicU64>::default());
        let client = |client: u64| {
            let (stop, answered, refused) = (
                Arc::clone(&stop),
                Arc::clone(&answered),
                Arc::clone(&refused),
            );
            let address = address.to_owned();
            thread::spawn(move || {
                let begun = Instant::now();
                let mut n = 0;
                while !stop.load(Ordering::Relaxed) {
                    let due =
                        begun + Duration::from_micros(n * 1_000_000 * CLIENTS / REQUESTS_PER_S);
                    thread::park_timeout(due.saturating_duration_since(Instant::now()));
                    n += 1;
                    match ask(&address, 1 + n * CLIENTS + client) {
                        Some(200) => answered.fetch_add(1, Ordering::Relaxed),
                        Some(_) => refused.fetch_add(1, Ordering::Relaxed),
                        None => 0,
                    };
                }
            })
        };
        let clients = (0..CLIENTS).map(client).collect();
        Flood {
            stop,
            answered,
            refused,
            clients,
        }
    }

    fn end(self) -> (u64, u64) {
        self.stop.store(true, Ordering::Relaxed);
        self.clients
            .into_iter()
            .for_each(|client| client.join().unwrap());
        (
            self.answered.load(Ordering::Relaxed),
            self.refused.load(Ordering::Relaxed),
        )
    }
}

/// One request on a connection of its own; waits for the answer no longer than until the next one is due.
fn ask(address: &str, seconds: u64) -> Option<u16> {
    let mut socket = TcpStream::connect(address).ok()?;
    let patience = Duration::from_micros(1_000_000 * CLIENTS / REQUESTS_PER_S);
    socket.set_read_timeout(Some(patience)).ok()?;
    let request = format!(
        "GET /v1/users?last={seconds}s HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n"
    );
    socket.write_all(request.as_bytes()).ok()?;
    let mut head = [0; 64];
    let length = socket.read(&mut head).ok()?;
    std::str::from_utf8(&head[..length])
        .ok()?
        .split(' ')
        .nth(1)?
        .parse()
        .ok()
}

/// Accepts, and holds the last connections open without a word.
fn silent_server() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    thread::spawn(move || {
        let mut held = std::collections::VecDeque::new();
        for socket in listener.incoming().map_while(Result::ok) {
            held.push_back(socket);
            if held.len() > 64 {
                held.pop_front();
            }
        }
    });
    address
}
