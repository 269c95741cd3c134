//! When a frame is due. An open loop: the schedule knows nothing of how sending goes.

use crate::config::Tempo;
use crate::engine::decode::TsUnit;

/// The schedule of one replay.
#[derive(Debug)]
pub(super) struct Pace {
    tempo: Tempo,
    per_second: f64,
    /// When the first frame of this round was due, in milliseconds of the monotonic clock.
    start_ms: Option<f64>,
    /// Frames asked about so far.
    frames: u64,
    /// The first event time of this round, and the greatest, in their unit.
    times: Option<(u64, u64)>,
    last_due_ms: f64,
}

impl Pace {
    /// A schedule for event times in this unit.
    pub(super) fn new(tempo: Tempo, unit: TsUnit) -> Self {
        Self {
            tempo,
            per_second: unit.per_second() as f64,
            start_ms: None,
            frames: 0,
            times: None,
            last_due_ms: 0.0,
        }
    }

    /// When the next frame is due, which has this event time. The first one is due now.
    pub(super) fn due_ms(&mut self, ts: Option<u64>, now_ms: u64) -> u64 {
        let since_start_ms = match self.tempo {
            Tempo::Max => return 0,
            Tempo::Rate(rate) => self.frames as f64 * 1_000.0 / rate,
            Tempo::Speed(speed) => {
                if let Some(ts) = ts {
                    let (first, greatest) = self.times.unwrap_or((ts, ts));
                    self.times = Some((first, greatest.max(ts)));
                }
                let (first, greatest) = self.times.unwrap_or_default();
                (greatest - first) as f64 * 1_000.0 / self.per_second / speed
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

    fn dues(pace: &mut Pace, times: &[Option<u64>], now_ms: u64) -> Vec<u64> {
        times.iter().map(|ts| pace.due_ms(*ts, now_ms)).collect()
    }

    #[test]
    fn a_rate_spaces_frames_evenly_whatever_the_clock_says_meanwhile() {
        let mut pace = Pace::new(Tempo::Rate(4.0), TsUnit::Seconds);
        assert_eq!(dues(&mut pace, &[None; 3], 1_000), [1_000, 1_250, 1_500]);
        // A stall of an hour: what is overdue stays due when it was.
        assert_eq!(dues(&mut pace, &[None; 2], 3_601_000), [1_750, 2_000]);
        pace.next_round();
        assert_eq!(pace.due_ms(None, 5), 2_250);
        let mut slow = Pace::new(Tempo::Rate(0.5), TsUnit::Seconds);
        assert_eq!(dues(&mut slow, &[None; 2], 0), [0, 2_000]);
    }

    #[test]
    fn a_speed_follows_the_greatest_event_time() {
        let mut pace = Pace::new(Tempo::Speed(60.0), TsUnit::Seconds);
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
    fn a_speed_is_as_fine_as_the_unit() {
        let mut pace = Pace::new(Tempo::Speed(2.0), TsUnit::Millis);
        let times = [Some(7_100), Some(7_350), Some(7_200), Some(9_100)];
        assert_eq!(dues(&mut pace, &times, 50), [50, 175, 175, 1_050]);
        pace.next_round();
        assert_eq!(pace.due_ms(Some(7_100), 0), 1_550);
        let second = 1_795_411_000_u64 * 1_000_000_000;
        let mut pace = Pace::new(Tempo::Speed(1.0), TsUnit::Nanos);
        let times = [Some(second), Some(second + 3_000_000)];
        assert_eq!(dues(&mut pace, &times, 0), [0, 3]);
    }

    #[test]
    fn at_full_speed_all_is_due() {
        let mut pace = Pace::new(Tempo::Max, TsUnit::Seconds);
        assert_eq!(dues(&mut pace, &[Some(7), Some(9_000)], 50), [0, 0]);
    }
}
