//! A frame costs no allocation: the service reads a short and a long topic in this very process, and the difference in what
//! it asks of its allocator is next to nothing. What librdkafka takes for a message is its own, from the C library.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test that cannot go on says so by panicking"
)]

mod counting;
#[path = "../support/mod.rs"]
mod support;

use clap::Parser;
use counting::Counting;
use headcount::cli::{Cli, Command};
use headcount::config::RunConfig;
use headcount::io::clock::SystemClock;
use headcount::run::Stop;
use headcount::run::service::{Gauges, run};
use std::sync::Arc;
use support::broker::Broker;
use support::kafka::{create_topic, produce, read_all};

#[global_allocator]
static ALLOCATOR: Counting = Counting::new();

const PARTITIONS: i32 = 3;
const SHORT: i32 = 20_000;
const LONG: i32 = 120_000;

/// Frames of a hundred users within one second: no window is added and no sketch grows once all of them were seen.
fn fill(address: &str, topic: &str, frames: i32) {
    create_topic(address, topic, PARTITIONS, &[]);
    let frame = |n: i32| {
        let text = format!(
            r#"{{"page":"/{n}","uid":"user-{}","ts":1767268800}}"#,
            n % 100
        );
        (Some(n % PARTITIONS), None, Some(text.into_bytes()))
    };
    produce(address, topic, (0..frames).map(frame), "none");
}

/// What the service asks of the allocator while it reads a topic to its end.
fn asked(address: &str, topic: &str, consumers: &str) -> u64 {
    let output = format!("{topic}-{consumers}-stats");
    let arguments = ["headcount", "run", "-b", address, "-t", topic, "-e"];
    let more = ["-o", &output, "--every", "1h", "--consumers", consumers];
    let Command::Run(args) = Cli::parse_from(arguments.iter().chain(&more)).command else {
        panic!("not another command");
    };
    let config = RunConfig::resolve(&args, |_| None).unwrap();
    let before = ALLOCATOR.asked();
    run(
        &config,
        Arc::new(SystemClock::new()),
        &Arc::new(Stop::new(false)),
        &Gauges::default(),
        None,
    )
    .unwrap();
    let asked = ALLOCATOR.asked() - before;
    let ticks = read_all(address, &output);
    let last = String::from_utf8(ticks.last().unwrap().payload.clone().unwrap()).unwrap();
    assert!(last.contains(r#""users_last_day":100,"#), "{last}");
    asked
}

#[test]
fn a_frame_costs_no_allocation() {
    let Some(broker) = Broker::shared() else {
        return;
    };
    let address = broker.address();
    fill(address, "short", SHORT);
    fill(address, "long", LONG);
    for consumers in ["1", "3"] {
        let (short, long) = (
            asked(address, "short", consumers),
            asked(address, "long", consumers),
        );
        let more = long.saturating_sub(short);
        // Surveys, ticks and growing buffers are by time and by batch; an allocation for each frame would be 100,000.
        assert!(
            more < (LONG - SHORT) as u64 / 100,
            "{consumers} consumers: {short} allocations for {SHORT} frames, {long} for {LONG}"
        );
    }
}
