//! When a frame is due. An open loop: the schedule knows nothing of how sending goes.

use crate::config::Tempo;
use crate::engine::frame::EventTime;

/// The schedule of one replay.
#[derive(Debug)]
pub(super) struct Pace {
    tempo: Tempo,
    /// When the first frame of this round was due, in milliseconds of the monotonic clock.
    start_ms: Option<f64>,
    /// Frames asked about so far.
    frames: u64,
    /// The first event time of this round, and the greatest.
    times: Option<(EventTime, EventTime)>,
    last_due_ms: f64,
}

impl Pace {
    pub(super) fn new(tempo: Tempo) -> Self {
        Self {
            tempo,
            start_ms: None,
            frames: 0,
            times: None,
            last_due_ms: 0.0,
        }
    }

    /// When the next frame is due, which has this event time. The first one is due now.
    pub(super) fn due_ms(&mut self, ts: Option<EventTime>, now_ms: u64) -> u64 {
        let since_start_ms = match self.tempo {
            Tempo::Max => return 0,
            Tempo::Rate(rate) => self.frames as f64 * 1_000.0 / rate,
            Tempo::Speed(speed) => {
                if let Some(ts) = ts {
                    let (first, greatest) = self.times.unwrap_or((ts, ts));
                    self.times = Some((first, greatest.max(ts)));
                }
                let (first, greatest) = self.times.unwrap_or_default();
                f64::from(greatest - first) * 1_000.0 / speed
            }
        };
        self.frames += 1;
        let start_ms = *self.start_ms.get_or_insert(now_ms as f64);
        self.last_due_ms = start_ms + since_start_ms;
        self.last_due_ms as u64
    }

    /// The file begins anew, one second of event time after its last frame.
    pub(super) fn next_round(&mut self) {
        if let (Tempo::Speed(speed), Some(_)) = (self.tempo, self.start_ms) {
            self.start_ms = Some(self.last_due_ms + 1_000.0 / speed);
            self.times = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dues(pace: &mut Pace, times: &[Option<EventTime>], now_ms: u64) -> Vec<u64> {
        times.iter().map(|ts| pace.due_ms(*ts, now_ms)).collect()
    }

    #[test]
    fn a_rate_spaces_frames_evenly_whatever_the_clock_says_meanwhile() {
        let mut pace = Pace::new(Tempo::Rate(4.0));
        assert_eq!(dues(&mut pace, &[None; 3], 1_000), [1_000, 1_250, 1_500]);
        // A stall of an hour: what is overdue stays due when it was.
        assert_eq!(dues(&mut pace, &[None; 2], 3_601_000), [1_750, 2_000]);
        pace.next_round();
        assert_eq!(pace.due_ms(None, 5), 2_250);
        let mut slow = Pace::new(Tempo::Rate(0.5));
        assert_eq!(dues(&mut slow, &[None; 2], 0), [0, 2_000]);
    }

    #[test]
    fn a_speed_follows_the_greatest_event_time() {
        let mut pace = Pace::new(Tempo::Speed(60.0));
        let times = [None, Some(100), Some(160), None, Some(130), Some(220)];
        assert_eq!(
            dues(&mut pace, &times, 500),
            [500, 500, 1_500, 1_500, 1_500, 2_500]
        );
        pace.next_round();
        assert_eq!(
            dues(&mut pace, &[Some(100), Some(160)], 9_000),
            [2_516, 3_516]
        );
    }

    #[test]
    fn at_full_speed_all_is_due() {
        let mut pace = Pace::new(Tempo::Max);
        assert_eq!(dues(&mut pace, &[Some(7), Some(9_000)], 50), [0, 0]);
    }
}
