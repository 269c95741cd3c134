//! The on-demand decoder against its reference and against itself on other instructions: generated and mutated frames,
//! borders of blocks and chunks, frames that end where memory does, what fuzzing found.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test that cannot go on says so by panicking"
)]

mod borders;
mod corpus;
mod differences;
mod frames;
mod guard;
mod law;
mod mutated;
