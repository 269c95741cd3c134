//! Damaged files: seen for what they are, or the same state; never another one, never a panic.

use headcount::engine::checkpoint::Loaded;
use headcount::io::store::{Store, StoreError};
use std::fs;
use std::path::Path;
use std::thread;

use super::commits::{Commits, open, reopen, tempdir};

/// The file of a small state, closed in good order.
fn small_state() -> Vec<u8> {
    let directory = tempdir();
    let mut store = reopen(directory.path());
    let mut commits = Commits::new(9, 3);
    for _ in 0..12 {
        store.commit(&commits.next()).unwrap();
    }
    drop(store);
    assert!(!directory.path().join("state.sqlite-wal").exists());
    fs::read(directory.path().join("state.sqlite")).unwrap()
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

fn verdict(bytes: &[u8], directory: &Path) -> Result<(Option<Loaded>, Option<Loaded>), StoreError> {
    for name in ["state.sqlite-wal", "state.sqlite-shm"] {
        let _ = fs::remove_file(directory.join(name));
    }
    fs::write(directory.join("state.sqlite"), bytes).unwrap();
    take_up(directory)
}

#[test]
fn every_byte_of_a_small_state_is_seen_to_be_damaged_or_says_nothing() {
    let good = small_state();
    let workers = thread::available_parallelism().map_or(1, usize::from);
    let counts = thread::scope(|scope| {
        let work = |worker: usize| {
            let good = &good;
            move || {
                let directory = tempdir();
                drop(reopen(directory.path()));
                let expected = verdict(good, directory.path()).unwrap();
                let (mut seen, mut harmless) = (0, 0);
                for at in (worker..good.len()).step_by(workers) {
                    let mut bytes = good.clone();
                    bytes[at] ^= 1 << (at % 8);
                    match verdict(&bytes, directory.path()) {
                        Err(StoreError::Damaged(_) | StoreError::Foreign(_)) => seen += 1,
                        Err(other) => panic!("byte {at}: {other}"),
                        Ok(found) => {
                            assert!(found == expected, "byte {at} changes the state unseen");
                            harmless += 1;
                        }
                    }
                }
                (seen, harmless)
            }
        };
        let threads: Vec<_> = (0..workers).map(|w| scope.spawn(work(w))).collect();
        let counts = threads.into_iter().map(|t| t.join().unwrap());
        counts.fold((0, 0), |(a, b), (c, d)| (a + c, b + d))
    });
    let (seen, harmless): (usize, usize) = counts;
    assert_eq!(seen + harmless, good.len());
    assert!(seen > 1_000, "{seen} seen, {harmless} harmless");
    println!(
        "of {} bytes {seen} were seen, {harmless} say nothing",
        good.len()
    );
}

#[test]
fn a_state_that_was_cut_off_is_refused() {
    let good = small_state();
    let directory = tempdir();
    // What was made once is never taken for new.
    drop(reopen(directory.path()));
    for length in (0..good.len()).step_by(61) {
        let cut = verdict(&good[..length], directory.path());
        assert!(
            matches!(cut, Err(StoreError::Damaged(_))),
            "{length}: {cut:?}"
        );
    }
}
