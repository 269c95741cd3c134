//! Damaged files: seen for what they are, or the same state, or an earlier one; never another one, never a panic.

use headcount::engine::checkpoint::Loaded;
use headcount::io::store::{Store, StoreError};
use std::fs;
use std::ops::Range;
use std::path::Path;
use std::thread;

use super::commits::{Commits, open, reopen, tempdir};
use super::dice::Dice;
use super::real::{self, SMALLEST, Size};
use super::store::sorted;

const DATABASE: &str = "state.sqlite";
const JOURNAL: &str = "state.sqlite-wal";

/// What is right for any run of the tests, or for a long one.
fn short_or_long<T>(short: T, long: T) -> T {
    match std::env::var_os("HEADCOUNT_TEST_LONG") {
        Some(_) => long,
        None => short,
    }
}

/// The file of the smallest state that a run can have, closed in good order.
fn small_state() -> Vec<u8> {
    let directory = tempdir();
    real::live(&mut reopen(directory.path()), SMALLEST, |_| ());
    assert!(!directory.path().join(JOURNAL).exists());
    fs::read(directory.path().join(DATABASE)).unwrap()
}

/// What a run that takes the state up gets, and whether it can go on with it: write a checkpoint that is there afterwards.
fn take_up(directory: &Path) -> Result<(Option<Loaded>, Option<Loaded>), StoreError> {
    let mut store = open(directory)?;
    let loaded = store.load()?;
    store.commit(&Commits::new(77, 3).next())?;
    drop(store);
    let again = open(directory)?.load()?;
    Ok((loaded, again))
}

fn put(directory: &Path, database: &[u8], journal: Option<&[u8]>) {
    for name in [JOURNAL, "state.sqlite-shm"] {
        let _ = fs::remove_file(directory.join(name));
    }
    fs::write(directory.join(DATABASE), database).unwrap();
    if let Some(journal) = journal {
        fs::write(directory.join(JOURNAL), journal).unwrap();
    }
}

fn verdict(bytes: &[u8], directory: &Path) -> Result<(Option<Loaded>, Option<Loaded>), StoreError> {
    put(directory, bytes, None);
    take_up(directory)
}

/// How often damage was seen, and how often it said nothing.
#[derive(Debug, Default, Clone, Copy)]
struct Counts {
    seen: usize,
    harmless: usize,
}

impl Counts {
    fn note(&mut self, seen: bool) {
        *(if seen {
            &mut self.seen
        } else {
            &mut self.harmless
        }) += 1;
    }
}

/// Does work on every number, on all cores, each thread in a directory of its own in which a state was once made.
fn count(numbers: Range<usize>, step: usize, work: impl Fn(usize, &Path) -> bool + Sync) -> Counts {
    let workers = thread::available_parallelism().map_or(1, usize::from);
    let all = thread::scope(|scope| {
        let start = |worker: usize| {
            let (work, numbers) = (&work, numbers.clone());
            scope.spawn(move || {
                let directory = tempdir();
                drop(reopen(directory.path()));
                let mut counts = Counts::default();
                for number in numbers.step_by(step).skip(worker).step_by(workers) {
                    counts.note(work(number, directory.path()));
                }
                counts
            })
        };
        let threads: Vec<_> = (0..workers).map(start).collect();
        let counts = threads.into_iter().map(|t| t.join().unwrap());
        counts.collect::<Vec<_>>()
    });
    all.into_iter().fold(Counts::default(), |a, b| Counts {
        seen: a.seen + b.seen,
        harmless: a.harmless + b.harmless,
    })
}

/// Whether damage was seen; panics if what is read is neither that nor as expected.
fn is_seen<T>(found: Result<T, StoreError>, is_expected: impl Fn(&T) -> bool, what: &str) -> bool {
    match found {
        Err(StoreError::Damaged(_) | StoreError::Foreign(_)) => true,
        Err(other) => panic!("{what}: {other}"),
        Ok(found) => {
            assert!(is_expected(&found), "{what} changes the state unseen");
            false
        }
    }
}

#[test]
fn every_byte_of_the_smallest_state_is_seen_to_be_damaged_or_says_nothing() {
    let good = small_state();
    let directory = tempdir();
    drop(reopen(directory.path()));
    let expected = verdict(&good, directory.path()).unwrap();
    assert!(
        expected
            .0
            .as_ref()
            .is_some_and(|l| !l.stretches.is_empty() && !l.records.is_empty())
    );
    // One bit of each byte, or all eight.
    let bits = short_or_long(1, 8);
    let counts = count(0..good.len() * bits, 1, |number, directory| {
        let (at, bit) = (number / bits, if bits == 1 { number } else { number % 8 });
        let mut bytes = good.clone();
        bytes[at] ^= 1 << (bit % 8);
        let what = format!("bit {} of byte {at}", bit % 8);
        is_seen(
            verdict(&bytes, directory),
            |found| *found == expected,
            &what,
        )
    });
    println!("of {} bytes, {bits} bits of each: {counts:?}", good.len());
    assert_eq!(counts.seen + counts.harmless, good.len() * bits);
    assert!(counts.seen > 1_000, "{counts:?}");
}

#[test]
fn a_state_that_was_cut_off_is_refused_or_lacks_nothing() {
    let good = small_state();
    let directory = tempdir();
    drop(reopen(directory.path()));
    let expected = verdict(&good, directory.path()).unwrap();
    let step = short_or_long(61, 1);
    let counts = count(0..good.len(), step, |length, directory| {
        let cut = verdict(&good[..length], directory);
        is_seen(
            cut,
            |found| *found == expected,
            &format!("a cut at {length}"),
        )
    });
    println!("of {} lengths: {counts:?}", good.len() / step);
    // Of the last page the unused end may be missing: it counts as zeros.
    assert!(counts.harmless * step < 4_096, "{counts:?}");
}

/// Killed before the journal was moved into the database; then the journal is damaged: SQLite ends it there.
#[test]
fn a_damaged_journal_is_seen_or_leaves_an_earlier_state() {
    let directory = tempdir();
    let mut generations = Vec::new();
    let mut files = Vec::new();
    let mut store = reopen(directory.path());
    let size = Size {
        checkpoints: 5,
        frames: 60,
        ..SMALLEST
    };
    real::live(&mut store, size, |store| {
        generations.push(sorted(store.load().unwrap()));
        let read = |name| fs::read(directory.path().join(name)).unwrap();
        files = vec![read(DATABASE), read(JOURNAL)];
    });
    let [database, journal] = &files[..] else {
        panic!("two files");
    };
    // The state as it was made, before the first checkpoint.
    generations.push(None);
    let load = |directory: &Path| open(directory).and_then(|mut store| store.load());
    let is_one = |found: &Option<Loaded>| generations.contains(&sorted(found.clone()));
    let step = short_or_long(97, 1);
    let flipped = count(0..journal.len(), step, |at, directory| {
        let mut bytes = journal.clone();
        bytes[at] ^= 1 << (at % 8);
        put(directory, database, Some(&bytes));
        is_seen(
            load(directory),
            is_one,
            &format!("byte {at} of the journal"),
        )
    });
    let cut = count(0..journal.len(), step, |length, directory| {
        put(directory, database, Some(&journal[..length]));
        is_seen(load(directory), is_one, &format!("a journal of {length}"))
    });
    println!(
        "of {} bytes: {flipped:?}, of as many cuts: {cut:?}",
        journal.len() / step
    );
    assert!(flipped.harmless > 0 && cut.harmless > 0);
}

/// Damage as disks do it: bits, sectors, pages in the wrong place, pages as they were before, an end too early or too late.
fn damage(bytes: &mut Vec<u8>, before: &[u8], dice: &mut Dice) -> &'static str {
    const SECTOR: usize = 512;
    const PAGE: usize = 4_096;
    let pages = bytes.len() / PAGE;
    let page = |at: usize| at * PAGE..(at + 1) * PAGE;
    match dice.below(7) {
        0 => {
            for _ in 0..=dice.below(8) {
                let at = dice.below(bytes.len());
                bytes[at] ^= 1 << dice.below(8);
            }
            "bits"
        }
        1 => {
            let at = dice.below(bytes.len());
            let end = bytes.len().min(at + 1 + dice.below(PAGE));
            bytes[at..end].fill_with(|| dice.bits() as u8);
            "random bytes"
        }
        2 => {
            let at = dice.below(bytes.len() / SECTOR) * SECTOR;
            bytes[at..at + SECTOR].fill(if dice.once_in(2) { 0 } else { 0xff });
            "a sector"
        }
        3 => {
            let (from, to) = (dice.below(pages), dice.below(pages));
            bytes.copy_within(page(from), to * PAGE);
            "a page in the wrong place"
        }
        4 => {
            // Writes that were lost.
            for _ in 0..=dice.below(4) {
                let at = page(dice.below(before.len() / PAGE));
                bytes[at.clone()].copy_from_slice(&before[at]);
            }
            "pages of before"
        }
        5 => {
            bytes.truncate(dice.below(bytes.len()));
            "a cut"
        }
        _ => {
            let more = dice.below(3 * PAGE);
            bytes.extend((0..more).map(|_| dice.bits() as u8));
            "more bytes"
        }
    }
}

#[test]
fn random_damage_of_a_large_state_is_seen_or_says_nothing() {
    let directory = tempdir();
    let mut files = Vec::new();
    let mut store = reopen(directory.path());
    let size = Size {
        frames: 40_000,
        users: 20_000,
        span_s: 12 * 3_600,
        checkpoints: 3,
    };
    real::live(&mut store, size, |store| {
        // All of it into the one file.
        store.keep_copy().unwrap();
        files.push(fs::read(directory.path().join("previous.sqlite")).unwrap());
    });
    drop(store);
    let good = fs::read(directory.path().join(DATABASE)).unwrap();
    let before = &files[1];
    assert!(
        good.len() > 1 << 19 && before.len() <= good.len(),
        "{}",
        good.len()
    );
    let load = |directory: &Path| open(directory).and_then(|mut store| store.load());
    put(directory.path(), &good, None);
    let expected = sorted(load(directory.path()).unwrap());
    let counts = count(0..short_or_long(150, 10_000), 1, |seed, directory| {
        let mut dice = Dice::new(seed as u64);
        let mut bytes = good.clone();
        let how = damage(&mut bytes, before, &mut dice);
        put(directory, &bytes, None);
        let is_it = |found: &Option<Loaded>| sorted(found.clone()) == expected;
        is_seen(load(directory), is_it, &format!("seed {seed}, {how}"))
    });
    println!("a state of {} bytes: {counts:?}", good.len());
    assert!(counts.seen > counts.harmless);
}
