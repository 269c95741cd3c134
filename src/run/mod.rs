//! The wiring: the only threads and channels. What they carry is decided in `engine`, where it goes in `io`.

pub mod count;
pub mod driver;
pub mod pipeline;
pub mod reporter;
