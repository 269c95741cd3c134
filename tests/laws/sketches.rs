//! Sketches are functions of sets: order, repetition, grouping and packing leave no trace in their bytes.

use std::collections::BTreeSet;
use std::ops::Range;

use headcount::engine::frame::UserHash;
use headcount::engine::sketch::Precision;
use headcount::engine::sketch::estimate::Tally;
use headcount::engine::sketch::packed::{Packed, Packer};
use headcount::engine::sketch::page::Page;
use headcount::engine::sketch::share::Share;
use headcount::limits::{PAGES, PRECISION_MAX, PRECISION_MIN};
use proptest::prelude::*;

use super::dice::Dice;
use super::trial::{bytes, count, sketch};
use super::world::precision;

/// The pages that the hashes of these tests fall into: so few that their limits are met from both sides.
const FEW: Range<usize> = 7..10;

/// Puts a hash into a page: its low `p` bits are register and page, the lowest of them the register.
pub fn into_page(hash: u64, page: usize, p: Precision) -> UserHash {
    let page_bits = p.bits() - 8;
    let mask = 0xffu64 << page_bits;
    UserHash(hash & !mask | (page as u64) << page_bits)
}

/// Distinct hashes that all fall into one page.
pub fn crowd(page: usize, users: usize, p: Precision, dice: &mut Dice) -> Vec<UserHash> {
    let mut crowd = BTreeSet::new();
    while crowd.len() < users {
        // Half of them with high ranks, so that registers differ.
        let zeros = dice.below(2) * dice.below(60);
        crowd.insert(into_page(dice.bits() >> zeros, page, p));
    }
    let mut crowd: Vec<_> = crowd.into_iter().collect();
    dice.shuffle(&mut crowd);
    crowd
}

fn few(p: u8, hashes: &[u64]) -> Vec<UserHash> {
    let page = |h: u64| FEW.start + (h >> 61) as usize % FEW.len();
    hashes
        .iter()
        .map(|h| into_page(*h, page(*h), precision(p)))
        .collect()
}

fn share(p: u8, hashes: &[UserHash]) -> Share {
    let mut share = Share::new(precision(p), FEW);
    for hash in hashes {
        share.insert(*hash);
    }
    share
}

fn union(a: &Share, b: &Share) -> Share {
    let mut union = a.clone();
    union.merge(b);
    union
}

fn tally(share: &Share) -> Tally {
    let mut tally = Tally::default();
    share.tally(&mut tally);
    tally
}

/// Sets from empty to well over what three pages hold as hashes, with repetitions and high ranks.
fn some_users() -> impl Strategy<Value = (u8, [Vec<u64>; 3])> {
    (PRECISION_MIN..=PRECISION_MAX).prop_flat_map(|p| {
        let limit = precision(p).page_hashes();
        let hash = (any::<u64>(), 0u32..56).prop_map(|(h, zeros)| {
            // The top three bits choose the page, the rest is shifted to give high ranks now and then.
            h & 7 << 61 | (h & !(7 << 61)) >> zeros.saturating_sub(30)
        });
        let pool = prop::collection::vec(hash, 1..limit * 4);
        pool.prop_flat_map(move |pool| {
            let set = || prop::collection::vec(prop::sample::select(pool.clone()), 0..limit * 6);
            (Just(p), [set(), set(), set()])
        })
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn merging_shares_is_commutative_associative_and_idempotent((p, sets) in some_users()) {
        let [a, b, c] = sets.map(|set| share(p, &few(p, &set)));
        prop_assert_eq!(bytes(&union(&a, &b)), bytes(&union(&b, &a)));
        prop_assert_eq!(
            bytes(&union(&union(&a, &b), &c)),
            bytes(&union(&a, &union(&b, &c)))
        );
        prop_assert_eq!(bytes(&union(&a, &a)), bytes(&a));
        prop_assert_eq!(bytes(&union(&union(&a, &b), &a)), bytes(&union(&a, &b)));
        let empty = Share::new(precision(p), FEW);
        prop_assert_eq!(bytes(&union(&a, &empty)), bytes(&a));
        prop_assert_eq!(bytes(&union(&empty, &a)), bytes(&a));
    }

    #[test]
    fn merging_equals_inserting_all_in_any_order((p, sets) in some_users(), seed in any::<u64>()) {
        let mut all: Vec<UserHash> = sets.iter().flat_map(|set| few(p, set)).collect();
        let [a, b, c] = sets.map(|set| share(p, &few(p, &set)));
        let merged = union(&union(&a, &b), &c);
        prop_assert_eq!(bytes(&merged), bytes(&share(p, &all)));
        prop_assert_eq!(tally(&merged), tally(&share(p, &all)));
        Dice::new(seed).shuffle(&mut all);
        let again: Vec<_> = all.iter().chain(&all).copied().collect();
        prop_assert_eq!(bytes(&merged), bytes(&share(p, &again)));
    }

    #[test]
    fn packing_keeps_bytes_and_tally((p, sets) in some_users()) {
        let users: BTreeSet<_> = few(p, &sets[0]).into_iter().collect();
        let [a, b, _] = sets.map(|set| share(p, &few(p, &set)));
        let mut packer = Packer::default();
        let packed = packer.pack(a.clone());
        let limit = precision(p).page_hashes();
        let of_page = |page| users.iter().filter(|u| precision(p).place(**u).page == page).count();
        let has_registers = FEW.into_iter().any(|page| of_page(page) > limit);
        prop_assert_eq!(has_registers, matches!(packed, Packed::Compressed { .. }));
        let mut written = Vec::new();
        packed.write_canonical(&mut written);
        prop_assert_eq!(written, bytes(&a));
        let mut sum = Tally::default();
        packer.tally(&packed, &mut sum);
        prop_assert_eq!(sum, tally(&a));
        let unpacked = packer.unpack(packed);
        prop_assert_eq!(bytes(&unpacked), bytes(&a));
        prop_assert_eq!(tally(&unpacked), tally(&a));
        // What was packed goes on like what was not.
        prop_assert_eq!(bytes(&union(&unpacked, &b)), bytes(&union(&a, &b)));
        let again = packer.pack(unpacked);
        prop_assert_eq!(bytes(&packer.unpack(again)), bytes(&a));
    }

    #[test]
    fn insert_says_whether_the_bytes_changed((p, sets) in some_users()) {
        let mut share = Share::new(precision(p), FEW);
        for hash in few(p, &sets[0]) {
            let before = bytes(&share);
            let changed = share.insert(hash);
            prop_assert_eq!(changed, bytes(&share) != before);
        }
    }

    #[test]
    fn pages_merge_like_sets((p, sets) in some_users()) {
        let p = precision(p);
        let page = |set: &[u64]| {
            let mut page = Page::default();
            for hash in set {
                page.insert(into_page(*hash, 9, p), p);
            }
            page
        };
        let (a, b) = (page(&sets[0]), page(&sets[1]));
        let (mut ab, mut ba) = (a.clone(), b.clone());
        ab.merge(&b, p);
        ba.merge(&a, p);
        let all: BTreeSet<_> = sets[0].iter().chain(&sets[1]).map(|h| into_page(*h, 9, p)).collect();
        for merged in [&ab, &ba] {
            prop_assert_eq!(merged.to_registers(p), page(&[&sets[0][..], &sets[1]].concat()).to_registers(p));
            prop_assert_eq!(matches!(merged, Page::Exact(_)), all.len() <= p.page_hashes());
            if let Page::Exact(hashes) = merged {
                prop_assert_eq!(hashes.len(), all.len());
                prop_assert_eq!(hashes.iter().copied().collect::<BTreeSet<_>>(), all.clone());
            }
        }
    }

    #[test]
    fn a_page_is_exact_by_its_set_alone(p in PRECISION_MIN..=PRECISION_MAX, more in 0usize..2, seed in any::<u64>()) {
        let p = precision(p);
        let mut dice = Dice::new(seed);
        let mut users = crowd(200, p.page_hashes() + more, p, &mut dice);
        // Repetitions before, at and after the limit.
        users.extend(users.clone());
        let first = count(&sketch(&users, p), p);
        prop_assert_eq!(first.is_exact(), more == 0);
        for _ in 0..4 {
            dice.shuffle(&mut users);
            prop_assert_eq!(bytes(&sketch(&users, p)), bytes(&sketch(&users.iter().copied().collect::<BTreeSet<_>>(), p)));
        }
    }
}

/// The largest of [`SIZES`] for which random sets were all counted exactly, by precision: a thousand sets, and twenty
/// thousand of the small ones. docs/FORMAT.md states it.
const EXACT_UP_TO: [(u8, usize); 7] = [
    (12, 2),
    (13, 20),
    (14, 100),
    (15, 500),
    (16, 2_000),
    (17, 8_000),
    (18, 8_000),
];
const SIZES: [usize; 12] = [2, 5, 10, 20, 50, 100, 200, 500, 1_000, 2_000, 5_000, 8_000];

#[test]
fn random_sets_are_exact_up_to_the_documented_size() {
    let measured = EXACT_UP_TO.map(|(p, _)| {
        let mut dice = Dice::new(p.into());
        let all_exact = |size: &&usize| {
            let sets = if **size <= 200 { 20_000 } else { 1_000 };
            (0..sets).all(|_| is_exact(&dice.hashes(**size), p))
        };
        let up_to = SIZES.iter().take_while(all_exact).last();
        (p, up_to.copied().unwrap_or(0))
    });
    println!("all random sets were exact up to: {measured:?}");
    assert_eq!(measured, EXACT_UP_TO);
}

fn is_exact(users: &[UserHash], p: u8) -> bool {
    let found = count(&sketch(users, precision(p)), precision(p));
    assert!(!found.is_exact() || found.users == users.len() as u64);
    found.is_exact()
}

/// The bytes as docs/FORMAT.md has them: page after page, its number of users and their hashes in ascending order, or
/// 255 and its registers.
fn written_by_hand(users: &BTreeSet<UserHash>, p: u8) -> Vec<u8> {
    let page_bits = u32::from(p - 8);
    let registers = 1usize << page_bits;
    let mut bytes = Vec::new();
    for page in 0..256 {
        let inside = users.iter().map(|hash| hash.0);
        let inside: Vec<u64> = inside
            .filter(|hash| hash >> page_bits & 0xff == page)
            .collect();
        if inside.len() <= registers / 8 {
            bytes.push(inside.len() as u8);
            bytes.extend(inside.iter().flat_map(|hash| hash.to_le_bytes()));
            continue;
        }
        bytes.push(255);
        let from = bytes.len();
        bytes.resize(from + registers, 0);
        for hash in inside {
            let rank = (hash.leading_zeros() as u8 + 1).min(65 - p);
            let register = &mut bytes[from + hash as usize % registers];
            *register = rank.max(*register);
        }
    }
    bytes
}

#[test]
fn a_sketchs_bytes_are_those_that_its_format_describes() {
    for p in PRECISION_MIN..=PRECISION_MAX {
        let mut dice = Dice::new(u64::from(p) + 20);
        let mut users = dice.hashes(3 * 256 * precision(p).page_hashes() / 4);
        users.extend(crowd(
            41,
            3 * precision(p).page_hashes(),
            precision(p),
            &mut dice,
        ));
        let written = written_by_hand(&users.iter().copied().collect(), p);
        assert!(bytes(&sketch(&users, precision(p))) == written, "p = {p}");
    }
}

#[test]
fn in_a_number_that_is_not_exact_an_exact_page_counts_as_its_registers() {
    for p in PRECISION_MIN..=PRECISION_MAX {
        let mut dice = Dice::new(u64::from(p) + 30);
        let p = precision(p);
        // One page too many; the others hold users of many ranks in few registers.
        let mut users = crowd(0, p.page_hashes() + 1, p, &mut dice);
        for page in 1..PAGES {
            let crowd = crowd(page, p.page_hashes(), p, &mut dice).into_iter();
            users.extend(crowd.map(|hash| UserHash(hash.0 & !(p.page_registers() as u64 / 2 - 1))));
        }
        let mut as_registers = Tally::default();
        for page in 0..PAGES {
            let mut registers = vec![0; p.page_registers()];
            for place in users
                .iter()
                .map(|user| p.place(*user))
                .filter(|place| place.page == page)
            {
                let register = &mut registers[place.register];
                *register = place.rank.max(*register);
            }
            as_registers.add_register_page(&registers);
        }
        let found = count(&sketch(&users, p), p);
        assert!(!found.is_exact());
        assert_eq!(found, as_registers.users(p));
    }
}

#[test]
fn up_to_5_000_users_are_exact_at_the_default_precision_whatever_their_names() {
    let p = precision(17);
    for set in 0..300 {
        let users: Vec<_> = (0..5_000)
            .map(|user| match set % 3 {
                0 => UserHash::of(format!("{}", set * 5_000 + user).as_bytes()),
                1 => UserHash::of(format!("user-{set}-{user}@example.org").as_bytes()),
                _ => {
                    UserHash::of(format!("{:032x}", (set as u128) << 100 | user as u128).as_bytes())
                }
            })
            .collect();
        let found = count(&sketch(&users, p), p);
        assert_eq!((found.users, found.lo, found.hi), (5_000, 5_000, 5_000));
    }
}

#[test]
fn shares_of_any_split_put_together_are_the_whole() {
    let mut dice = Dice::new(5);
    for p in [12, 17] {
        let p = precision(p);
        let users = dice.hashes(30_000);
        let whole = sketch(&users, p);
        for shares in [1, 2, 3, 8, 16, 64, 256] {
            let mut all = Vec::new();
            let mut sum = Tally::default();
            let ranges = headcount::engine::route::page_ranges(shares);
            for range in ranges {
                let mut share = Share::new(p, range.clone());
                let inside = users.iter().filter(|u| range.contains(&p.place(**u).page));
                for user in inside {
                    share.insert(*user);
                }
                share.write_canonical(&mut all);
                sum.merge(&tally(&share));
            }
            assert!(all == bytes(&whole), "{shares} shares");
            assert_eq!(sum, tally(&whole));
        }
        assert_eq!(PAGES, 256);
    }
}
