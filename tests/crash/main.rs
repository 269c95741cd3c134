//! The state in its file: what is written is what is read, by whoever may read it, and nothing else is ever taken for it.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test that cannot go on says so by panicking"
)]

#[path = "../laws/dice.rs"]
#[allow(dead_code, reason = "the laws throw more kinds of dice")]
mod dice;

#[path = "../support/faulty_vfs.rs"]
mod faulty_vfs;

mod commits;
mod copies;
mod damage;
mod faults;
mod lives;
mod power;
mod real;
mod store;
