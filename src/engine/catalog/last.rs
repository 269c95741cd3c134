//! The windows that the last frame was counted in: mostly those of the next one.

use crate::engine::calendar::{Bounds, Period};
use crate::engine::frame::EventTime;
use crate::engine::windows::Slot;

/// A frame's windows, all of them noted as visited, changed and not saved. So it holds only until something is put out,
/// saved or forgotten.
#[derive(Debug, Clone)]
pub(super) struct Last {
    pub(super) slots: [Slot; Period::ALL.len()],
    /// How many of the slots there are.
    pub(super) windows: usize,
    pub(super) periods: u8,
    /// What all of the windows hold.
    common: Bounds,
    /// The watermark at which the first of them expires.
    expires: i64,
}

impl Last {
    pub(super) const NONE: Self = Self {
        slots: [Slot::NOWHERE; Period::ALL.len()],
        windows: 0,
        periods: 0,
        common: Bounds {
            start: i64::MIN,
            end: i64::MAX,
        },
        expires: i64::MAX,
    };

    /// Takes in a window. Each period has but one.
    pub(super) fn add(&mut self, period: Period, slot: Slot, bounds: Bounds, retention_s: i64) {
        self.slots[self.windows] = slot;
        self.windows += 1;
        self.periods |= period.bit();
        self.common.start = self.common.start.max(bounds.start);
        self.common.end = self.common.end.min(bounds.end);
        self.expires = self.expires.min(bounds.end + retention_s);
    }

    /// Whether a frame is counted in these windows and no others.
    pub(super) fn holds(&self, ts: EventTime, watermark: Option<i64>) -> bool {
        self.common.contains(i64::from(ts)) && watermark.is_none_or(|w| w < self.expires)
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Ask, Catalog, Completeness, Emission, Passed};
    use crate::engine::admit::Rules;
    use crate::engine::calendar::{Calendar, Period};
    use crate::engine::clock::{Claim, ClockRules};
    use crate::engine::frame::UserHash;
    use crate::engine::ledger::Ledger;

    fn catalog(emission: Emission) -> Catalog {
        let mut catalog = Catalog::new(&Rules {
            calendar: Calendar::utc(),
            clock: ClockRules {
                lateness_s: 30,
                max_lateness_s: 1_000,
                max_jump_s: 60,
            },
            retention_s: [300, 7_200, 100_000, 0, 0, 0],
            emission,
            periods: Period::Minute.bit() | Period::Hour.bit() | Period::Day.bit(),
        });
        catalog.keep_unsaved();
        catalog
    }

    fn dice(seed: &mut u64, below: u64) -> u32 {
        *seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        ((*seed >> 33) % below) as u32
    }

    #[test]
    fn what_is_remembered_of_the_last_frame_changes_nothing() {
        for emission in [Emission::Live, Emission::Finals, Emission::Once] {
            let (mut remembers, mut forgets) = (catalog(emission), catalog(emission));
            let (mut ours, mut theirs) = (Ledger::default(), Ledger::default());
            let (mut now, mut seed, mut held) = (1_767_312_000_u32, 41, 0);
            for _ in 0..30_000 {
                now += dice(&mut seed, 4) * u32::from(dice(&mut seed, 10) == 0);
                now += 3_000 * u32::from(dice(&mut seed, 500) == 0);
                let back = [0, 0, 1, 70, 4_000][dice(&mut seed, 5) as usize];
                let (ts, late) = (now - dice(&mut seed, back + 1), back > 60);
                let watermark = Some(i64::from(now) - 30);
                held += u32::from(
                    (remembers.last.as_ref()).is_some_and(|last| last.holds(ts, watermark)),
                );
                let claim = Claim {
                    hash: UserHash(u64::from(ts)),
                    ts,
                    offset: 0,
                };
                let periods = remembers.count(claim, late, watermark, &mut ours);
                forgets.last = None;
                assert_eq!(periods, forgets.count(claim, late, watermark, &mut theirs));
                assert_eq!(ours, theirs);
                let passed = Passed {
                    watermark,
                    walked: None,
                };
                let ask = Ask {
                    changed: dice(&mut seed, 2) == 0,
                    ..Ask::default()
                };
                if dice(&mut seed, 60) == 0 {
                    let [a, b] = [&mut remembers, &mut forgets]
                        .map(|one| one.collect(ask, passed, Completeness::Always));
                    assert_eq!((a.windows, a.cooled), (b.windows, b.cooled));
                    assert_eq!((a.evicted, a.more), (b.evicted, b.more));
                }
                if dice(&mut seed, 90) == 0 {
                    assert_eq!(remembers.save(), forgets.save());
                }
            }
            assert!(held > 10_000, "hardly ever remembered: {held}");
            assert!(ours.expired().count() > 0, "none expired");
        }
    }
}
