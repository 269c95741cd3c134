//! Options as typed become one checked, immutable configuration. Nothing is opened here but the files that
//! options stand in.

mod count;
mod counting;
mod demo;
pub mod file;
mod http;
mod kafka;
mod nearest;
pub mod properties;
mod replay;
mod run;
mod top;
pub mod variables;

pub use count::CountConfig;
pub use counting::Counting;
pub use demo::DemoConfig;
pub use http::HttpConfig;
pub use replay::{ReplayConfig, Tempo};
pub use run::{From, OutputConfig, RunConfig, StateConfig};
pub use top::{TopConfig, ViewConfig};
