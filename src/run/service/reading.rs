//! Taking what the consumers have gathered, and admitting it.

use std::time::Duration;

use super::super::gather::Gathered;
use super::super::pipeline::Broken;
use super::Run;
use crate::engine::frame::Verdict;
use crate::error::Failure;
use crate::limits::{BYTES_PER_ROUND, FRAMES_PER_ROUND, POLL_MAX_MS};
use crate::observe::happenings::WhyNot;

impl Run<'_> {
    /// Reads for a while; returns how many frames came.
    pub(super) fn round(&mut self, now_ms: u64) -> Result<Result<usize, Broken>, Failure> {
        let until_tick = self
            .next_tick_ms
            .map_or(POLL_MAX_MS, |at| at.saturating_sub(now_ms));
        let mut wait = Duration::from_millis(until_tick.min(POLL_MAX_MS));
        if self.reads_nothing() {
            // What is waited for then is a survey.
            wait = Duration::ZERO;
        }
        let (mut read, mut read_bytes) = (0, 0);
        let (driver, quiet) = (&mut self.driver, &mut self.quiet);
        // What is reflected already counts here too: a long row of it must not hold up a tick.
        for _ in 0..FRAMES_PER_ROUND {
            if read_bytes > BYTES_PER_ROUND || driver.aside.is_full() {
                break;
            }
            let Some((gathered, payload)) = self.source.next(wait)? else {
                break;
            };
            wait = Duration::ZERO;
            let outcome = match *gathered {
                Gathered::Frame {
                    arrival,
                    verdict,
                    bytes,
                    ..
                } => {
                    let partition = arrival.partition;
                    if arrival.offset < driver.admission.next_offset(partition) {
                        // It is reflected already; a client may deliver again what it has delivered.
                        continue;
                    }
                    read += 1;
                    read_bytes += bytes;
                    quiet.frame(partition, now_ms);
                    driver.intake.read_bytes += bytes as u64;
                    let admitted = driver.admit(arrival, payload, verdict);
                    if let Verdict::Rejected(reason) = verdict {
                        let (topic, name) = &self.places[partition];
                        let why = WhyNot::Rejected(reason);
                        let rejects = &mut self.rejects;
                        if let Some(line) = rejects.line(now_ms, topic, name, arrival.offset, why) {
                            line.emit();
                        }
                    }
                    admitted.map(drop)
                }
                Gathered::ReachedEnd(partition) => {
                    quiet.reach_end(partition);
                    driver.admission.reach_end(partition);
                    Ok(())
                }
                Gathered::Finished(partition) => driver.finish(partition),
                Gathered::WentOn(_) => Ok(()),
            };
            if outcome.is_err() {
                return Ok(Err(Broken));
            }
        }
        Ok(Ok(read))
    }
}
