//! What no test of a whole program can see.

use std::os::unix::fs::MetadataExt;

use super::*;
use crate::engine::checkpoint::book::{Changes, StateDigest};

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
