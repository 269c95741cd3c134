//! What a person sees of a service: published records, read back, as a screen or as lines of text.
//!
//! Pure: records, keys and the time come in as arguments, and what comes out is a buffer of cells or text. Terminals are
//! in [`crate::io::front`].

mod digits;
pub mod heard;
pub mod lines;
pub mod model;
pub mod number;
pub mod picture;
pub mod screen;

pub use model::Model;

/// The six trailing windows, the shortest first.
pub const WINDOWS: [&str; 6] = ["minute", "hour", "day", "week", "month", "year"];
