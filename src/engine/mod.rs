//! The core: pure. No clock, socket, file, thread, environment or log; time is an argument, so that one seeded
//! test can drive it through years in seconds. It uses nothing of ours but [`crate::limits`].

pub mod admit;
pub mod barrier;
pub mod calendar;
pub mod catalog;
pub mod checkpoint;
pub mod clock;
pub mod decode;
pub mod frame;
pub mod ledger;
pub mod look;
mod offsets;
pub mod report;
pub mod route;
pub mod shard;
pub mod sketch;
pub mod trailing;
pub mod windows;
