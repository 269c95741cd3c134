//! The whole service but its threads and its network, simulated: seeded producers and their faults, a topic, consumers in
//! virtual time, and the real engine, held against an exact model that shares no code with it.
//!
//! A failure names its seed; `HEADCOUNT_SIM_SEED=1234 cargo test --test sim` runs that one alone. `HEADCOUNT_SIM_SEEDS`
//! says how many to run, `HEADCOUNT_TEST_LONG=1` runs 10,000.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test that cannot go on says so by panicking"
)]

mod check;
mod clock;
mod consumer;
mod digest;
mod engine;
mod kept;
mod lives;
mod model;
mod output;
mod place;
mod scenario;
mod seeds;
mod settings;
mod steps;
mod traffic;
mod trial;
mod twin;

// The dice and the calendar of the laws: both are the tests' own.
#[path = "../laws/dice.rs"]
#[allow(dead_code, reason = "the laws draw more")]
mod dice;
#[path = "../support/faulty_vfs.rs"]
mod faulty_vfs;
#[path = "../laws/zone.rs"]
#[allow(dead_code, reason = "the laws ask for more")]
mod zone;
