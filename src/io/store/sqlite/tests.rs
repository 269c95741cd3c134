//! What no test of a whole program can see.

use std::os::unix::fs::MetadataExt;

use super::inspect::Inspected;
use super::*;
use crate::engine::calendar::{Period, WindowId};
use crate::engine::checkpoint::book::{Changes, StateDigest};
use crate::engine::checkpoint::{SavedStage, SavedWindow};

/// Locks by `fcntl` on a file, of anybody.
fn locks(path: &Path) -> usize {
    let inode = format!(":{} ", fs::metadata(path).unwrap().ino());
    let locks = fs::read_to_string("/proc/locks").unwrap();
    let is_its = |line: &&str| line.contains("POSIX") && line.contains(&inode);
    locks.lines().filter(is_its).count()
}

fn store(home: &Path) -> SqliteStore {
    let identity = Identity::from([("job", "users".to_owned())]);
    let mut store = SqliteStore::open(home, identity).unwrap();
    store.load().unwrap();
    store
}

fn commit(epoch: u64) -> Commit {
    Commit {
        epoch,
        changes: Changes::default(),
        digest: StateDigest(7),
        records: Vec::new(),
        acknowledged: Vec::new(),
    }
}

/// Without its lock SQLite is not alone any more, and does not know.
#[test]
fn a_copy_leaves_the_state_locked() {
    let home = tempfile::tempdir().unwrap();
    let mut store = store(home.path());
    store.commit(&commit(1)).unwrap();
    let path = home.path().join(FILE);
    let before = locks(&path);
    assert!(before > 0, "locks are not to be seen in /proc/locks");
    for epoch in 2..4 {
        store.keep_copy().unwrap();
        assert_eq!(locks(&path), before);
        store.commit(&commit(epoch)).unwrap();
    }
    let copy = fs::metadata(home.path().join(PREVIOUS)).unwrap();
    assert!(copy.len() > 0);
}

/// What it holds is then in the one file, where all damage is seen, whoever was the last to close it.
#[test]
fn nothing_is_left_in_the_journal_of_a_store_that_was_closed() {
    let home = tempfile::tempdir().unwrap();
    let mut store = store(home.path());
    let shelf = store.shelf().unwrap();
    store.commit(&commit(1)).unwrap();
    let journal = home.path().join("state.sqlite-wal");
    assert!(fs::metadata(&journal).unwrap().len() > 0);
    drop(store);
    assert_eq!(fs::metadata(&journal).unwrap().len(), 0);
    drop(shelf);
    assert!(self::store(home.path()).load().unwrap().is_some());
}

/// Its offsets and its sketches are of one checkpoint, however many are written while it is looked into.
#[test]
fn whoever_looks_into_a_state_sees_one_moment_of_it() {
    let home = tempfile::tempdir().unwrap();
    let mut store = store(home.path());
    let id = |start| WindowId {
        period: Period::Minute,
        start,
    };
    let window = |frames| SavedWindow {
        end: 120,
        frames,
        late: 0,
        stage: SavedStage::Open,
        changed: false,
        told: None,
    };
    let with = |windows, sketches| Commit {
        changes: Changes {
            windows,
            sketches,
            ..Changes::default()
        },
        ..commit(1)
    };
    let (changes, goes) = (id(60), id(120));
    let both = |frames| {
        vec![
            (changes, Some(window(frames))),
            (goes, Some(window(frames))),
        ]
    };
    let before = vec![1; 300];
    let sketches = vec![(changes, before.clone()), (goes, before.clone())];
    store.commit(&with(both(1), sketches)).unwrap();
    let mut inspected = Inspected::open(home.path()).unwrap();
    let loaded = inspected.load().unwrap().unwrap();
    let mut shelf = inspected.shelf().unwrap();
    let now = vec![(changes, Some(window(2))), (goes, None)];
    store
        .commit(&with(now, vec![(changes, vec![2; 300])]))
        .unwrap();
    assert_eq!(inspected.load().unwrap().unwrap(), loaded);
    for id in [changes, goes] {
        assert_eq!(shelf.fetch(id), Ok(before.clone()), "{id:?}");
    }
    drop((inspected, shelf));
    let mut inspected = Inspected::open(home.path()).unwrap();
    assert_ne!(inspected.load().unwrap().unwrap(), loaded);
    assert_eq!(inspected.shelf().unwrap().fetch(changes), Ok(vec![2; 300]));
}
