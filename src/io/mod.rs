//! The edges: each a small trait and its implementations. Nothing here decides anything about counts.

pub mod aside;
pub mod clock;
pub mod front;
pub mod http;
pub mod kafka_client;
pub mod print;
pub mod process;
pub mod published;
pub mod sink;
pub mod source;
pub mod store;
pub mod supervisor;
pub mod target;
