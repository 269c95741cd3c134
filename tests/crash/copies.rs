//! The copy that is put aside: whatever goes wrong with it, the live state goes on, and the copy before it is there.

use headcount::io::store::{Store, StoreError};
use std::fs;
use std::os::unix::fs::symlink;

use super::commits::{Commits, open, reopen, tempdir};
use super::store::sorted;

#[test]
fn a_copy_that_cannot_be_written_harms_neither_the_state_nor_the_copy_before_it() {
    let directory = tempdir();
    let path = |name: &str| directory.path().join(name);
    let mut store = reopen(directory.path());
    let mut commits = Commits::new(11, 6);
    (0..5).for_each(|_| store.commit(&commits.next()).unwrap());
    store.keep_copy().unwrap();
    let first = fs::read(path("previous.sqlite")).unwrap();
    // No room; nothing that a file can be; not to be made.
    let obstacles: [&dyn Fn(); 3] = [
        &|| symlink("/dev/full", path("previous.unfinished")).unwrap(),
        &|| fs::create_dir(path("previous.unfinished")).unwrap(),
        &|| symlink("/nowhere/at/all", path("previous.unfinished")).unwrap(),
    ];
    for obstacle in obstacles {
        obstacle();
        store.commit(&commits.next()).unwrap();
        let refused = store.keep_copy();
        assert!(
            matches!(refused, Err(StoreError::Unavailable(_))),
            "{refused:?}"
        );
        assert_eq!(fs::read(path("previous.sqlite")).unwrap(), first);
        store.commit(&commits.next()).unwrap();
        let live = sorted(store.load().unwrap());
        drop(store);
        store = open(directory.path()).unwrap();
        assert_eq!(sorted(store.load().unwrap()), live, "it goes on");
        fs::remove_file(path("previous.unfinished"))
            .or_else(|_| fs::remove_dir(path("previous.unfinished")))
            .unwrap();
    }
    store.keep_copy().unwrap();
    assert_ne!(fs::read(path("previous.sqlite")).unwrap(), first);
    assert!(!path("previous.unfinished").exists());
}

#[test]
fn what_is_left_of_a_copy_that_was_cut_short_is_in_nobodys_way() {
    let directory = tempdir();
    let path = |name: &str| directory.path().join(name);
    let mut store = reopen(directory.path());
    let mut commits = Commits::new(12, 6);
    (0..5).for_each(|_| store.commit(&commits.next()).unwrap());
    let live = sorted(store.load().unwrap());
    let whole = fs::read(path("state.sqlite")).unwrap();
    for length in [0, 1, 100, whole.len() / 2, whole.len()] {
        drop(store);
        fs::write(path("previous.unfinished"), &whole[..length]).unwrap();
        store = reopen(directory.path());
        assert_eq!(sorted(store.load().unwrap()), live);
        store.keep_copy().unwrap();
        assert!(!path("previous.unfinished").exists());
    }
    drop(store);
    fs::rename(path("previous.sqlite"), path("state.sqlite")).unwrap();
    assert_eq!(sorted(reopen(directory.path()).load().unwrap()), live);
}

/// A disk that has changed the file since it was opened.
#[test]
fn a_damaged_state_does_not_take_the_place_of_a_good_copy() {
    let directory = tempdir();
    let path = |name: &str| directory.path().join(name);
    let mut store = reopen(directory.path());
    let mut commits = Commits::new(13, 6);
    (0..8).for_each(|_| store.commit(&commits.next()).unwrap());
    store.keep_copy().unwrap();
    let good = fs::read(path("previous.sqlite")).unwrap();
    let mut bytes = fs::read(path("state.sqlite")).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle..].fill(0x55);
    fs::write(path("state.sqlite"), &bytes).unwrap();
    let refused = store.keep_copy();
    assert!(
        matches!(refused, Err(StoreError::Damaged(_))),
        "{refused:?}"
    );
    assert_eq!(fs::read(path("previous.sqlite")).unwrap(), good);
}
