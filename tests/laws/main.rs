//! Laws of the engine: equalities that hold for every input, derived bounds for what is random, and calendars
//! against an independent oracle. Nothing here but the types of frames is shared with `src/engine`.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test that cannot go on says so by panicking"
)]

mod accuracy;
mod calendar;
mod catalog;
mod clock;
mod clock_flips;
mod clock_gaps;
mod clock_model;
mod dice;
mod fold;
mod look;
mod merging;
mod oracle;
mod outbox;
mod redrawn;
mod replay;
mod retention;
mod saving;
mod script;
mod shards;
mod sketches;
mod trailing;
mod trial;
mod watermark;
mod world;
mod zone;
