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

/// Without its lock SQLite is not alone any more, and does not know.
#[test]
fn a_copy_leaves_the_state_locked() {
    let home = tempfile::tempdir().unwrap();
    let identity = Identity::from([("job", "users".to_owned())]);
    let mut store = SqliteStore::open(home.path(), identity).unwrap();
    store.load().unwrap();
    let commit = |epoch| Commit {
        epoch,
        changes: Changes::default(),
        digest: StateDigest(7),
        records: Vec::new(),
        acknowledged: Vec::new(),
    };
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
