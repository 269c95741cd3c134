//! Kill it, starve it, corrupt it: the count is the same, and no final is lost. Against a real Apache Kafka broker (skipped
//! aloud where none can run), in short forms; `HEADCOUNT_TEST_LONG` asks for the long ones.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test that cannot go on says so by panicking"
)]

#[path = "../laws/dice.rs"]
#[allow(dead_code, reason = "the laws throw more kinds of dice")]
mod dice;

#[path = "../broker/oracle.rs"]
#[allow(dead_code, reason = "the tests of the service use more of it")]
mod oracle;

#[path = "../support/mod.rs"]
mod support;

#[path = "../broker/world.rs"]
#[allow(dead_code, reason = "the tests of the service use more of it")]
mod world;

mod case;
mod clocks;
mod frozen;
mod killed;
mod load;
mod outages;
mod poison;
mod refused;
mod soak;
