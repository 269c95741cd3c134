//! Tests against a real Apache Kafka broker (skipped aloud where none can run) and a mock cluster in memory.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test that cannot go on says so by panicking"
)]

#[path = "../support/mod.rs"]
mod support;

mod backlog;
mod consumers;
mod demo;
mod harness;
mod load;
mod log;
mod mock;
mod oracle;
mod outage;
mod output;
mod reading;
mod real;
mod replay;
mod rivals;
mod secure;
mod time;
mod top;
mod units;
mod watched;
mod web;
mod world;
