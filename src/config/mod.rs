//! Options as typed become one checked, immutable configuration. Nothing is opened here.

mod count;
mod counting;
mod demo;
mod http;
mod kafka;
mod replay;
mod run;
mod top;

pub use count::CountConfig;
pub use counting::Counting;
pub use demo::DemoConfig;
pub use http::HttpConfig;
pub use kafka::environment_properties;
pub use replay::{ReplayConfig, Tempo};
pub use run::{From, OutputConfig, RunConfig, StateConfig};
pub use top::{TopConfig, ViewConfig};
