//! Traffic while a test makes trouble, and trouble that lasts for a while.
#![allow(
    clippy::disallowed_methods,
    reason = "how long brokers or processes are away is real time"
)]

use crate::support::wait_until;
use crate::world::{Frame, Job, SOON};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::{Duration, Instant};

/// Runs `body` while batches from this number on are sent, one after the other with a pause between. Gives what it gave, and
/// the number of the first batch that was not sent.
pub fn under_load<T>(
    job: &Job,
    from: u32,
    pause: Duration,
    batch: impl Fn(u32) -> Vec<Frame> + Sync,
    body: impl FnOnce() -> T,
) -> (T, u32) {
    // When this is dropped, also by a test that fails, the producer ends.
    let (go_on, told) = mpsc::channel::<()>();
    std::thread::scope(|scope| {
        let go_on = go_on;
        let batch = &batch;
        let producer = scope.spawn(move || {
            let mut number = from;
            while told.recv_timeout(pause) == Err(RecvTimeoutError::Timeout) {
                job.send(&batch(number));
                number += 1;
            }
            number
        });
        let outcome = body();
        drop(go_on);
        let sent = producer.join().expect("it gets all frames through");
        (outcome, sent)
    })
}

/// Something is away for so long; there is nothing to wait for but time.
pub fn outlast(duration: Duration) {
    let start = Instant::now();
    wait_until(duration + SOON, "time passes", || {
        (start.elapsed() >= duration).then_some(())
    });
}
