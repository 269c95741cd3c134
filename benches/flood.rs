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

fn main() {
    let numbers: Vec<u64> = std::env::args().filter_map(|a| a.parse().ok()).collect();
    let rounds = numbers.first().copied().unwrap_or(5);
    let frames = numbers.get(1).copied().unwrap_or(400_000);
    let Some(broker) = Broker::start("flood") else {
        return;
    };
    fill(broker.address(), frames);
    let silent = silent_server();
    let mut rates = [Vec::new(), Vec::new()];
    // The first run reads from a cold broker.
    measure(broker.address(), frames, None);
    for round in 0..rounds {
        for i in [round % 2, (round + 1) % 2] {
            let target = (i == 1).then_some(silent.as_str());
            let (rate, answered, refused) = measure(broker.address(), frames, target);
            let name = ["asked", "spared"][i as usize];
            println!(
                "round {round}, {name}: {rate:.0} frames/s, {answered} answers, {refused} refusals"
            );
            rates[i as usize].push(rate);
        }
    }
    let [asked, spared] = rates.map(|mut of| {
        of.sort_by(f64::total_cmp);
        of[of.len() / 2]
    });
    println!(
        "median: {asked:.0} frames/s under the flood, {spared:.0} beside it: {:.3}",
        asked / spared
    );
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

/// Reads the topic to its end; gives frames a second from the first tick's moment of reading to the end, and what the flood got.
fn measure(address: &str, frames: u64, target: Option<&str>) -> (f64, u64, u64) {
    let mut run = headcount();
    run.args([
        "--log-format",
        "json",
        "run",
        "-b",
        address,
        "-t",
        "flood",
        "-o",
        "-",
        "-e",
    ])
    .args(["--every", "1s", "--http", "127.0.0.1:0"]);
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
    let rate = frames as f64 / start.elapsed().as_secs_f64();
    let got = flood.end();
    service.wait(SOON);
    (rate, got.0, got.1)
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
