//! The wiring: the only threads and channels. What they carry is decided in `engine`, where it goes in `io`.

pub mod command;
mod consuming;
pub mod count;
pub mod demo;
pub mod driver;
mod gather;
mod keep;
mod lines;
pub mod papers;
pub mod pipeline;
mod progress;
mod publish;
mod pulse;
pub mod query;
mod quiet;
pub mod replay;
pub mod reporter;
mod scout;
pub mod service;
pub mod set_aside;
pub mod signals;
mod skew;
pub mod state;
mod stdout_sink;
mod teller;
pub mod top;
mod turn;
mod unpublished;
mod viewing;
mod watchdog;
mod web;
mod worker;

use std::sync::atomic::AtomicBool;
use std::time::Duration;

use crossbeam_channel::bounded;

/// Raised when the program is told to stop.
pub type Stop = AtomicBool;

/// Runs `close` on a thread of its own and waits for it no longer than `limit`: closing a Kafka client can hang for
/// ever, and the process leaves without it.
fn close_with_limit(limit: Duration, close: impl FnOnce() + Send + 'static) {
    let (done, closed) = bounded::<()>(1);
    let started = pipeline::spawn("close".to_owned(), move || {
        close();
        drop(done);
    });
    if started.is_ok() {
        // Nothing is ever sent: either the sender is dropped, or the limit is over.
        let _ = closed.recv_timeout(limit);
    }
}
