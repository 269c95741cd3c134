//! headcount: distinct users per minute, hour, day, week, month and year, counted live from a Kafka topic.
//!
//! The way of the data:
//!
//! ```text
//! source --raw frame--> decode --hash, ts--> admit --sighting--> route --> shard 0..N --> report --> sink
//! ```
//!
//! Everything from `decode` to `report` is in [`engine`] and is pure; sources, sinks and clocks are in [`io`]; the
//! only threads and channels are in [`run`].

pub mod cli;
pub mod config;
pub mod engine;
pub mod error;
pub mod generate;
pub mod io;
pub mod limits;
pub mod observe;
pub mod run;
pub mod view;
