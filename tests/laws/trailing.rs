//! The trailing table against calendar sketches of the same sets, and against sets.

use std::collections::BTreeMap;

use headcount::engine::frame::{EventTime, Sighting, UserHash};
use headcount::engine::sketch::Precision;
use headcount::engine::sketch::estimate::Users;
use headcount::engine::trailing::Trailing;
use headcount::engine::trailing::lanes::Lanes;
use headcount::limits::{BATCH_SIGHTINGS, MAX_EVENT_TIME_S, PAGES, PASS_CELLS};

use super::dice::Dice;
use super::sketches::{crowd, into_page};
use super::trial::{count, sketch};
use super::world::precision;

pub fn sighting(hash: UserHash, ts: EventTime) -> Sighting {
    Sighting {
        hash,
        ts,
        periods: 0,
    }
}

fn table(sightings: &[(UserHash, EventTime)], p: Precision) -> Trailing {
    let mut table = Trailing::new(p, 0..PAGES);
    for (hash, ts) in sightings {
        table.record(&sighting(*hash, *ts));
    }
    table
}

fn canonical(table: &Trailing) -> Vec<u8> {
    let mut bytes = Vec::new();
    table.write_canonical(&mut bytes);
    bytes
}

/// The window that starts after `start`, by a sketch of the users last seen in it.
fn expected(last: &BTreeMap<UserHash, EventTime>, start: i64, p: Precision) -> Users {
    let inside = last.iter().filter(|(_, ts)| i64::from(**ts) > start);
    count(&sketch(inside.map(|(hash, _)| hash), p), p)
}

fn last_seen(sightings: &[(UserHash, EventTime)]) -> BTreeMap<UserHash, EventTime> {
    let mut last = BTreeMap::new();
    for (hash, ts) in sightings {
        let seen = last.entry(*hash).or_insert(*ts);
        *seen = (*ts).max(*seen);
    }
    last
}

fn check(table: &Trailing, last: &BTreeMap<UserHash, EventTime>, starts: [i64; 6], p: Precision) {
    for (tally, start) in table.tally(&starts).iter().zip(starts) {
        assert_eq!(
            tally.users(p),
            expected(last, start, p),
            "after {start}, p = {}",
            p.bits()
        );
    }
}

#[test]
fn a_trailing_window_says_what_a_calendar_window_of_the_same_users_says() {
    let mut dice = Dice::new(1);
    for p in 12..=18 {
        let p = precision(p);
        // About a third, all and three times of what pages hold as hashes, and mostly registers.
        for per_page in [p.page_hashes() / 3, p.page_hashes(), p.page_hashes() * 3] {
            let users = dice.hashes(per_page * PAGES);
            let sightings: Vec<_> = (0..users.len() * 2)
                .map(|_| (dice.pick(&users), 1_000_000 + dice.below(10_000) as u32))
                .collect();
            let table = table(&sightings, p);
            let last = last_seen(&sightings);
            let starts = [0, 1_000_000, 1_005_000, 1_009_000, 1_009_900, 1_010_000];
            check(&table, &last, starts, p);
            check(
                &table,
                &last,
                starts.map(|s| s + dice.between(-1_000, 1_000)),
                p,
            );
        }
    }
}

#[test]
fn below_at_and_above_a_pages_limit_both_kinds_of_window_are_exact_alike() {
    let mut dice = Dice::new(2);
    for p in 12..=18 {
        let p = precision(p);
        let limit = p.page_hashes();
        for users in [limit - 1, limit, limit + 1, limit + 2] {
            let crowd = crowd(200, users, p, &mut dice);
            // All in one second, where only their hashes tell them apart; and each in a second of its own.
            for spread in [0, 1] {
                let mut sightings: Vec<_> = (0..users as u32)
                    .map(|i| (crowd[i as usize], 1_000 + i * spread))
                    .collect();
                // Somebody of long ago has to make way for all of them.
                let ghosts = super::sketches::crowd(200, limit + 2, p, &mut dice);
                sightings.extend(ghosts.into_iter().map(|ghost| (ghost, 500)));
                dice.shuffle(&mut sightings);
                let table = table(&sightings, p);
                let last = last_seen(&sightings);
                check(&table, &last, [0, 499, 500, 999, 1_000, 1_001], p);
                let of_crowd = table.tally(&[999; 6])[0].users(p);
                assert_eq!(of_crowd.is_exact(), users <= limit, "p = {}", p.bits());
                let ends = [
                    1_002,
                    1_010,
                    1_000 + limit as i64,
                    1_001 + limit as i64,
                    2_000,
                    -5,
                ];
                check(&table, &last, ends, p);
            }
        }
    }
}

#[test]
fn exactly_64_and_65_users_of_one_page_at_the_default_precision() {
    let p = precision(17);
    for (users, exact) in [(64u64, true), (65, false)] {
        // Registers 0 to 64 of page 3, rank 1: nothing random about it.
        let hashes = (0..users).map(|i| UserHash(1 << 63 | 3 << 9 | i));
        let sightings: Vec<_> = hashes.map(|hash| (hash, 10)).collect();
        let found = table(&sightings, p).tally(&[9; 6])[5].users(p);
        assert_eq!(found.is_exact(), exact);
        assert!(found.lo <= users && users <= found.hi);
        assert_eq!(found.users, users, "no two share a register");
        assert_eq!(found, expected(&last_seen(&sightings), 9, p));
    }
}

#[test]
fn order_and_repetition_leave_no_trace_in_the_table() {
    let mut dice = Dice::new(3);
    for p in [12, 14, 17] {
        let p = precision(p);
        let users = crowd(77, p.page_hashes() * 3, p, &mut dice);
        for _ in 0..10 {
            // Few seconds, so that many pairs differ by hash only.
            let mut sightings: Vec<_> = (0..users.len() * 3)
                .map(|_| (dice.pick(&users), 100 + dice.below(6) as u32))
                .collect();
            let first = canonical(&table(&sightings, p));
            sightings.extend(sightings.clone());
            dice.shuffle(&mut sightings);
            assert!(canonical(&table(&sightings, p)) == first);
            sightings.sort_unstable_by_key(|(hash, ts)| (*ts, *hash));
            assert!(canonical(&table(&sightings, p)) == first, "oldest first");
            sightings.reverse();
            assert!(canonical(&table(&sightings, p)) == first, "newest first");
        }
    }
}

/// The bytes as docs/FORMAT.md has them: page after page, for each rank each register's latest second, then the number
/// of the latest users, one more than a page holds by name, and their pairs, the latest first.
fn written_by_hand(last: &BTreeMap<UserHash, EventTime>, p: u8) -> Vec<u8> {
    let page_bits = u32::from(p - 8);
    let page_of = |hash: &UserHash| (hash.0 >> page_bits & 0xff) as usize;
    let (registers, ranks) = (1usize << page_bits, 65 - usize::from(p));
    let mut bytes = Vec::new();
    for page in 0..256 {
        let users: Vec<_> = last
            .iter()
            .filter(|(hash, _)| page_of(hash) == page)
            .collect();
        let mut table = vec![0u32; ranks * registers];
        for (hash, ts) in &users {
            let rank = (hash.0.leading_zeros() as usize + 1).min(ranks);
            let register = hash.0 as usize % registers;
            let second = &mut table[(rank - 1) * registers + register];
            *second = (*second).max(**ts);
        }
        bytes.extend(table.iter().flat_map(|second| second.to_le_bytes()));
        let mut pairs: Vec<_> = users.iter().map(|(hash, ts)| (**ts, hash.0)).collect();
        pairs.sort_unstable_by(|a, b| b.cmp(a));
        pairs.truncate(registers / 8 + 1);
        bytes.extend((pairs.len() as u16).to_le_bytes());
        for (ts, hash) in pairs {
            bytes.extend(ts.to_le_bytes());
            bytes.extend(hash.to_le_bytes());
        }
    }
    bytes
}

#[test]
fn the_tables_bytes_are_those_that_its_format_describes() {
    for p in [12, 13, 17] {
        let mut dice = Dice::new(u64::from(p) + 10);
        let mut users = dice.hashes(3 * 256 * precision(p).page_hashes() / 4);
        users.extend(crowd(
            41,
            3 * precision(p).page_hashes(),
            precision(p),
            &mut dice,
        ));
        let sightings: Vec<_> = (0..users.len() * 2)
            .map(|_| (dice.pick(&users), 1_000 + dice.below(500) as u32))
            .collect();
        let written = written_by_hand(&last_seen(&sightings), p);
        assert!(
            canonical(&table(&sightings, precision(p))) == written,
            "p = {p}"
        );
    }
}

#[test]
fn any_split_of_the_table_is_the_whole() {
    let mut dice = Dice::new(4);
    let p = precision(12);
    let sightings: Vec<_> = (0..20_000)
        .map(|_| (dice.hash(), 1 + dice.below(100_000) as u32))
        .collect();
    let whole = table(&sightings, p);
    let starts = [0, 10, 50_000, 90_000, 99_000, 99_999];
    for shares in [2, 3, 64, 256] {
        let (mut all, mut sums) = (Vec::new(), None);
        for range in headcount::engine::route::page_ranges(shares) {
            let mut part = Trailing::new(p, range.clone());
            for (hash, ts) in &sightings {
                if range.contains(&p.place(*hash).page) {
                    part.record(&sighting(*hash, *ts));
                }
            }
            part.write_canonical(&mut all);
            let tallies = part.tally(&starts);
            match &mut sums {
                None => sums = Some(tallies),
                Some(sums) => sums
                    .iter_mut()
                    .zip(&tallies)
                    .for_each(|(sum, t)| sum.merge(t)),
            }
        }
        assert!(all == canonical(&whole), "{shares} shares");
        assert_eq!(sums.unwrap(), whole.tally(&starts));
    }
}

#[test]
fn all_widths_of_instructions_say_the_same() {
    let mut dice = Dice::new(5);
    for p in 12..=18 {
        let p = precision(p);
        let sightings: Vec<_> = (0..p.registers() * 2)
            .map(|_| (dice.hash(), 1_000_000 + dice.below(10_000) as u32))
            .collect();
        let table = table(&sightings, p);
        for starts in [
            [0, 1_000_000, 1_005_000, 1_009_000, 1_009_900, 1_010_000],
            [1_004_000; 6],
            [1_009_999, 1_000_001, 1_009_990, -1, 1_000_000, 1_009_998],
        ] {
            let expected = table.tally(&starts);
            for lanes in Lanes::available() {
                assert!(
                    table.tally_by(lanes, &starts) == expected,
                    "{}",
                    lanes.name()
                );
            }
        }
    }
    assert_eq!(Lanes::available()[0].name(), "plain");
}

#[test]
fn a_pass_in_slices_says_what_was_when_it_began_and_no_slice_is_longer_than_its_bound() {
    let mut dice = Dice::new(6);
    for p in [12, 15, 17] {
        let p = precision(p);
        // Every second register at every rank, so that the pass has to look at every cell of the table.
        let everybody = (1..=u32::from(p.max_rank())).flat_map(|rank| {
            let top = (1u64 << 63) >> (rank - 1);
            let top = top & (u64::MAX << p.bits());
            (0..p.registers() as u64)
                .step_by(2)
                .map(move |r| UserHash(top | r))
        });
        let sightings: Vec<_> = everybody
            .map(|hash| (hash, 1_000_000 + dice.below(10_000) as u32))
            .collect();
        let mut stepped = table(&sightings, p);
        let mut plain = table(&sightings, p);
        let starts = [0, 1_000_000, 1_001_000, 1_005_000, 1_009_000, 1_009_500];
        let expected = stepped.tally(&starts);

        stepped.begin(&starts);
        let (mut slices, mut cells) = (0, 0);
        let tallies = loop {
            let slice = stepped.step();
            assert!(slice.cells <= PASS_CELLS && slice.sightings == 0);
            (slices, cells) = (slices + 1, cells + slice.cells);
            if let Some(tallies) = slice.tallies {
                break tallies;
            }
            // Meanwhile users come in, known ones and new ones, in pages before and behind the pass.
            let batch: Vec<_> = (0..500)
                .map(|_| sighting(dice.hash(), 1_000_000 + dice.below(20_000) as u32))
                .collect();
            stepped.record_all(&batch);
            plain.record_all(&batch);
        };
        assert!(tallies == expected);
        assert_eq!(cells, usize::from(p.max_rank()) * p.registers());
        assert!(slices >= cells.div_ceil(PASS_CELLS));
        while stepped.is_busy() {
            let slice = stepped.step();
            assert!(slice.cells == 0 && (1..=BATCH_SIGHTINGS).contains(&slice.sightings));
        }
        assert!(canonical(&stepped) == canonical(&plain));
        assert!(stepped.tally(&starts) == plain.tally(&starts));
    }
}

#[test]
fn the_first_and_the_last_second_of_event_time_are_seconds_like_others() {
    let p = precision(13);
    let user = |i: u64| into_page(1 << 63 | i, 0, p);
    let sightings = [
        (user(0), 1),
        (user(1), MAX_EVENT_TIME_S - 1),
        (user(2), MAX_EVENT_TIME_S),
    ];
    let table = table(&sightings, p);
    let max = i64::from(MAX_EVENT_TIME_S);
    let starts = [-100, 0, 1, max - 2, max - 1, max];
    let found = table.tally(&starts).map(|tally| tally.users(p).users);
    assert_eq!(found, [3, 3, 2, 2, 1, 0]);
}

#[test]
fn every_rank_up_to_its_cap_is_kept() {
    for p in 12..=18 {
        let p = precision(p);
        let limit = p.page_hashes();
        // Ranks from 1 to beyond the cap in one page, and more users than it holds by name.
        let hashes = (0..64u32).flat_map(|zeros| {
            let top = (1u64 << 63) >> zeros;
            [
                into_page(top, 5, p),
                into_page(top | 1, 5, p),
                into_page(top | 2, 5, p),
            ]
        });
        let mut sightings: Vec<_> = (1000..).zip(hashes).map(|(ts, hash)| (hash, ts)).collect();
        sightings.truncate(3 * 64);
        assert!(last_seen(&sightings).len() > limit);
        let table = table(&sightings, p);
        let last = last_seen(&sightings);
        for start in (900..1_200).step_by(11) {
            check(
                &table,
                &last,
                [start, start + 1, start + 2, start + 3, 0, start + 60],
                p,
            );
        }
    }
}
