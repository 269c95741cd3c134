//! A shard against a sketch a window that every sighting of it goes into.

use std::collections::BTreeMap;

use jiff::tz::TimeZone;

use super::*;
use crate::engine::frame::UserHash;
use crate::limits::{PAGES, PRECISION_MIN};

/// Numbers that are the same each time: Sebastiano Vigna's splitmix64.
fn mixed(n: u64) -> u64 {
    let z = n.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// Sightings over a few days with a change of the clock by half an hour, in no order, of users who come again; some of
/// them are too late for a few of their windows.
fn sightings(seed: u64, count: u64) -> Vec<Sighting> {
    // The clocks of Lord Howe Island go back at 2026-04-04T15:00:00Z.
    const CHANGE: u64 = 1_775_314_800;
    (0..count)
        .map(|i| {
            let dice = mixed(seed << 32 | i);
            let spread = [90, 3_600, 5 * 86_400][(dice % 3) as usize];
            let late = (dice >> 16).is_multiple_of(16);
            Sighting {
                hash: UserHash(mixed(dice >> 32 & 0x3ff)),
                ts: (CHANGE - spread / 2 + (dice >> 8) % spread) as u32,
                periods: if late { (dice >> 24) as u8 } else { u8::MAX } & Period::all_bits(),
            }
        })
        .collect()
}

#[test]
fn what_is_known_in_a_window_is_in_all_around_it() {
    let precision = Precision::new(PRECISION_MIN).expect("a precision");
    for zone in ["UTC", "Australia/Lord_Howe", "Asia/Kathmandu"] {
        let calendar = Calendar::new(TimeZone::get(zone).expect("a zone"), zone);
        for seed in 0..8 {
            let pages = 0..PAGES;
            let mut shard = Shard::new(precision, pages.clone(), calendar.clone());
            let mut plain = BTreeMap::new();
            for batch in sightings(seed, 6_000).chunks(500) {
                shard.record(batch);
                for sighting in batch {
                    for period in Period::ALL {
                        if sighting.periods & period.bit() != 0 {
                            let start = calendar.window(period, sighting.ts).start;
                            let share = plain
                                .entry(WindowId { period, start })
                                .or_insert_with(|| Share::new(precision, pages.clone()));
                            share.insert(sighting.hash);
                        }
                    }
                }
            }
            assert!(shard.windows().eq(plain.keys().copied()), "{zone} {seed}");
            for (id, share) in plain {
                let (mut found, mut expected) = (Vec::new(), Vec::new());
                shard.write_window(id, &mut found);
                share.write_canonical(&mut expected);
                assert_eq!(found, expected, "{id:?} in {zone}, {seed}");
            }
        }
    }
}
