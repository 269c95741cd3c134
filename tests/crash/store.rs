//! The file holds what was committed, for whoever may have it.

use headcount::engine::checkpoint::Loaded;
use headcount::io::store::memory::MemoryStore;
use headcount::io::store::sqlite::SqliteStore;
use headcount::io::store::{Store, StoreError};
use std::fs;

use super::commits::{Commits, identity, open, reopen, tempdir};

/// Which order rows come in is no matter.
pub fn sorted(loaded: Option<Loaded>) -> Option<Loaded> {
    let mut loaded = loaded?;
    loaded.windows.sort_by_key(|(id, ..)| *id);
    loaded.stretches.sort_by_key(|s| (s.page, s.rank));
    Some(loaded)
}

#[test]
fn what_is_committed_is_read_back_in_the_same_run_and_the_next() {
    for seed in 0..20 {
        let directory = tempdir();
        let mut commits = Commits::new(seed, 10);
        let mut model = MemoryStore::default();
        let mut store = reopen(directory.path());
        for round in 0..60 {
            let commit = commits.next();
            model.commit(&commit).unwrap();
            store.commit(&commit).unwrap();
            if round % 7 == 0 {
                drop(store);
                store = reopen(directory.path());
            }
            let (expected, found) = (model.load().unwrap(), store.load().unwrap());
            assert_eq!(sorted(found), sorted(expected), "seed {seed}, {round}");
        }
        let (mut shelf, mut expected) = (store.shelf().unwrap(), model.shelf().unwrap());
        let windows = model.load().unwrap().unwrap().windows;
        for (id, _, sketch) in windows {
            assert_eq!(shelf.fetch(id).ok(), expected.fetch(id).ok());
            assert_eq!(sketch.is_some(), shelf.fetch(id).is_ok());
        }
    }
}

#[test]
fn a_new_state_is_empty_and_one_process_has_it() {
    let directory = tempdir();
    let mut first = open(directory.path()).unwrap();
    assert_eq!(first.load().unwrap(), None);
    let Err(StoreError::Locked(why)) = open(directory.path()) else {
        panic!("two have one state");
    };
    assert!(why.contains("another headcount has the state in"), "{why}");
    drop(first);
    assert!(open(directory.path()).is_ok());
}

#[test]
fn what_is_not_a_state_for_this_run_is_refused_and_left_alone() {
    let directory = tempdir();
    let path = directory.path().join("state.sqlite");
    reopen(directory.path())
        .commit(&Commits::new(1, 5).next())
        .unwrap();
    let written = fs::read(&path).unwrap();
    let mut other = identity();
    other.insert("job", "other".to_owned());
    let refused = SqliteStore::open(directory.path(), other).err();
    let Some(StoreError::Foreign(why)) = refused else {
        panic!("{refused:?}");
    };
    assert!(
        why.contains("job 'users', and this run has 'other'"),
        "{why}"
    );
    let database = rusqlite::Connection::open(&path).unwrap();
    database.pragma_update(None, "user_version", 2).unwrap();
    drop(database);
    let refused = open(directory.path()).err();
    assert!(matches!(&refused, Some(StoreError::Foreign(why)) if why.contains("format 2")));
    // Something else altogether.
    for bytes in [
        &b"not a database, but long enough to look like one"[..],
        &[0; 8_192],
    ] {
        fs::write(&path, bytes).unwrap();
        let refused = open(directory.path()).err();
        assert!(
            matches!(refused, Some(StoreError::Damaged(_))),
            "{refused:?}"
        );
        assert_eq!(fs::read(&path).unwrap(), bytes, "it is left alone");
    }
    let database = rusqlite::Connection::open(directory.path().join("b.sqlite")).unwrap();
    database.execute_batch("CREATE TABLE t (x)").unwrap();
    drop(database);
    fs::rename(directory.path().join("b.sqlite"), &path).unwrap();
    fs::remove_file(directory.path().join("lock")).unwrap();
    let refused = open(directory.path()).err();
    assert!(
        matches!(refused, Some(StoreError::Foreign(_))),
        "{refused:?}"
    );
    // What was made and is gone is not made anew in silence.
    fs::write(&path, written).unwrap();
    fs::write(directory.path().join("lock"), "a state was made here\n").unwrap();
    drop(reopen(directory.path()));
    fs::remove_file(&path).unwrap();
    let refused = open(directory.path()).err();
    assert!(
        matches!(refused, Some(StoreError::Damaged(_))),
        "{refused:?}"
    );
}

#[test]
fn a_row_that_came_back_or_is_missing_is_seen() {
    let tampering = [
        "DELETE FROM window WHERE start = (SELECT min(start) FROM window)",
        "DELETE FROM sketch WHERE id = (SELECT min(id) FROM sketch)",
        "DELETE FROM trailing WHERE stretch = (SELECT max(stretch) FROM trailing)",
        "DELETE FROM partition WHERE position = 2",
        "DELETE FROM outbox",
        "DELETE FROM head",
        "UPDATE window SET frames = frames + 1",
        "UPDATE partition SET next_offset = next_offset - 1",
        "UPDATE head SET epoch = epoch + 1",
        "UPDATE trailing SET stretch = stretch + 1 WHERE stretch = (SELECT max(stretch) FROM trailing)",
        "INSERT INTO trailing SELECT stretch + 1, bytes, sum FROM trailing ORDER BY stretch DESC LIMIT 1",
    ];
    for sql in tampering {
        let directory = tempdir();
        let mut store = reopen(directory.path());
        let mut commits = Commits::new(4, 5);
        while store
            .load()
            .unwrap()
            .is_none_or(|l| l.records.is_empty() || l.stretches.is_empty() || l.windows.len() < 3)
        {
            store.commit(&commits.next()).unwrap();
        }
        drop(store);
        let database = rusqlite::Connection::open(directory.path().join("state.sqlite")).unwrap();
        assert!(database.execute(sql, []).unwrap() > 0, "{sql}");
        drop(database);
        let loaded = open(directory.path()).unwrap().load();
        assert!(
            matches!(loaded, Err(StoreError::Damaged(_))),
            "{sql}: {loaded:?}"
        );
    }
}

#[test]
fn the_copy_that_was_put_aside_takes_the_place_of_a_damaged_state() {
    let directory = tempdir();
    let path = |name: &str| directory.path().join(name);
    let mut store = reopen(directory.path());
    let mut commits = Commits::new(3, 6);
    (0..9).for_each(|_| store.commit(&commits.next()).unwrap());
    let copied = sorted(store.load().unwrap());
    store.keep_copy().unwrap();
    (0..9).for_each(|_| store.commit(&commits.next()).unwrap());
    assert_ne!(sorted(store.load().unwrap()), copied);
    drop(store);
    let mut bytes = fs::read(path("state.sqlite")).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle..].fill(0x55);
    fs::write(path("state.sqlite"), &bytes).unwrap();
    let refused = open(directory.path()).and_then(|mut store| store.load());
    let Err(StoreError::Damaged(why)) = refused else {
        panic!("{refused:?}");
    };
    assert!(why.contains("previous.sqlite in its place"), "{why}");
    assert_eq!(
        fs::read(path("state.sqlite")).unwrap(),
        bytes,
        "it is left alone"
    );
    fs::rename(path("previous.sqlite"), path("state.sqlite")).unwrap();
    assert_eq!(sorted(reopen(directory.path()).load().unwrap()), copied);
}
