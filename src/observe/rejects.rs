//! Frames in the log that did not count: a few lines, and a number for the others.

use super::happenings::{FrameRejected, RejectsLeftOut, WhyNot};
use super::limiter::{Decision, Limiter};

/// Logs rejected and quarantined frames, within the limit on such lines.
#[derive(Debug, Default)]
pub struct RejectLog {
    limiter: Limiter,
}

impl RejectLog {
    /// The line for a frame that did not count, if one is due at this moment of a monotonic clock; `topic` is empty for files.
    pub fn line<'a>(
        &mut self,
        now_ms: u64,
        topic: &'a str,
        partition: &'a str,
        offset: i64,
        why: WhyNot,
    ) -> Option<FrameRejected<'a>> {
        match self.limiter.decide(now_ms) {
            Decision::LeaveOut => None,
            Decision::Write { left_out } => Some(FrameRejected {
                partition,
                topic,
                offset,
                why,
                left_out,
            }),
        }
    }

    /// The line for those that were left out and that no later line has told of.
    pub fn rest(&mut self) -> Option<RejectsLeftOut> {
        let left_out = self.limiter.take_left_out();
        (left_out > 0).then_some(RejectsLeftOut { left_out })
    }
}
