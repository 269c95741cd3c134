//! A sketch and a table that are folded are those of a lower precision, and what is joined is what one would have seen.

use headcount::engine::checkpoint::SavedStretch;
use headcount::engine::frame::{EventTime, Sighting, UserHash};
use headcount::engine::sketch::Precision;
use headcount::engine::sketch::estimate::Tally;
use headcount::engine::sketch::fold::fold;
use headcount::engine::sketch::share::Share;
use headcount::engine::trailing::Trailing;

use super::dice::Dice;
use super::world::precision;

/// Hashes of random users, and some that stand at the cap of the ranks of several precisions.
fn hashes(count: usize, dice: &mut Dice) -> Vec<UserHash> {
    let mut hashes = dice.hashes(count);
    for bits in [0, 1, 8, 11, 12, 13, 14, 16, 17, 18, 19, 24] {
        if dice.once_in(3) {
            hashes.push(UserHash(dice.bits() & ((1 << bits) - 1)));
        }
    }
    hashes
}

fn share(p: Precision, users: &[UserHash]) -> Share {
    let mut share = Share::new(p, 0..256);
    for user in users {
        share.insert(*user);
    }
    share
}

fn canonical(share: &Share) -> Vec<u8> {
    let mut bytes = Vec::new();
    share.write_canonical(&mut bytes);
    bytes
}

fn users(share: &Share, p: Precision) -> (u64, u64, u64) {
    let mut tally = Tally::default();
    share.tally(&mut tally);
    let users = tally.users(p);
    (users.users, users.lo, users.hi)
}

#[test]
fn a_folded_sketch_is_that_of_the_lower_precision() {
    let (mut decided, mut undecided) = (0, 0);
    let mut dice = Dice::new(1);
    for high in 12..=18 {
        for low in 12..=high {
            for count in [0, 1, 3, 40, 400, 3_000, 9_000, 12_000, 40_000, 200_000] {
                let (from, to) = (precision(high), precision(low));
                let set = hashes(count, &mut dice);
                let (folded, direct) = (fold(&share(from, &set), to), share(to, &set));
                assert!(folded.is_same_number, "{count} users, {high} to {low}");
                assert_eq!(users(&folded.share, to), users(&direct, to));
                if folded.undecided == 0 {
                    assert!(canonical(&folded.share) == canonical(&direct));
                    decided += 1;
                } else {
                    undecided += 1;
                }
            }
        }
    }
    assert!(
        decided > 3 * undecided && undecided > 0,
        "{decided} decided, {undecided} not"
    );
}

#[test]
fn a_fold_says_where_it_does_not_know() {
    let (from, to) = (precision(13), precision(12));
    // Five users of one page, one of which is in another half of it than the others.
    let set: Vec<_> = [0u64, 1, 2, 3, 16]
        .map(|low| UserHash(low | 1 << 60))
        .into();
    let folded = fold(&share(from, &set), to);
    assert_eq!(
        folded.undecided, 1,
        "the page of one user may be exact or not"
    );
    let all_in_one: Vec<_> = (0..5u64)
        .map(|high| UserHash(high << 40 | 1 << 60))
        .collect();
    let folded = fold(&share(from, &all_in_one), to);
    assert!(folded.undecided > 0 && !folded.is_same_number);
}

fn stretches(table: &mut Trailing) -> Vec<SavedStretch> {
    let mut stretches = Vec::new();
    table.save(&mut stretches);
    stretches.sort_by_key(|stretch| (stretch.page, stretch.rank));
    stretches
}

fn table(p: Precision, sightings: &[Sighting]) -> Trailing {
    let mut table = Trailing::new(p, 0..256);
    table.record_all(sightings);
    table
}

fn sightings(count: usize, dice: &mut Dice) -> Vec<Sighting> {
    let users = hashes(count / 3, dice);
    let sighting = |dice: &mut Dice| Sighting {
        hash: users[dice.below(users.len())],
        ts: 1_000_000 + dice.below(5_000) as EventTime,
        periods: 0,
    };
    (0..count).map(|_| sighting(dice)).collect()
}

#[test]
fn a_folded_table_is_that_of_the_lower_precision() {
    let (mut folds, mut refused) = (0, Vec::new());
    let mut dice = Dice::new(2);
    for high in 12..=18 {
        for low in 12..=high {
            for count in [40, 2_000, 60_000] {
                let seen = sightings(count, &mut dice);
                let (from, to) = (precision(high), precision(low));
                match table(from, &seen).fold(to) {
                    Some(mut folded) => {
                        let mut direct = table(to, &seen);
                        assert!(stretches(&mut folded) == stretches(&mut direct));
                        folds += 1;
                    }
                    None => refused.push((high, low, count)),
                }
            }
        }
    }
    assert!(refused.iter().all(|(high, ..)| *high < 17), "{refused:?}");
    assert!(folds > 60, "{folds} folds; refused {refused:?}");
}

#[test]
fn joined_tables_are_one_that_saw_everything() {
    let mut dice = Dice::new(3);
    for p in [12, 14, 17] {
        for count in [20, 900, 30_000] {
            let all = sightings(count, &mut dice);
            let (mut some, mut others) = (Vec::new(), Vec::new());
            for sighting in &all {
                // Some are seen by both.
                let by = dice.below(5);
                some.extend((by != 0).then_some(*sighting));
                others.extend((by < 2).then_some(*sighting));
            }
            let mut joined = Trailing::new(precision(p), 0..256);
            joined.merge(&table(precision(p), &some));
            joined.merge(&table(precision(p), &others));
            let mut direct = table(precision(p), &all);
            assert!(
                stretches(&mut joined) == stretches(&mut direct),
                "p {p}, {count}"
            );
        }
    }
}
