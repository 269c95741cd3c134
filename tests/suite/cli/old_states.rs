//! States of released versions: each is taken up as it was saved, and counting goes on from it.
//!
//! `tests/suite/states/FORMAT` has states of a version of docs/FORMAT.md, *State*: `count*` of the first part of `whole`, in two
//! zones and precisions, and `run` of a service that was killed while it read a backlog. None is ever made anew; a new version
//! gets a folder of its own beside them.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::run_in;

fn kept(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/suite/states")
        .join(name)
}

fn unpacked(path: &Path) -> Vec<u8> {
    let packed = fs::File::open(path).expect("a state in the tree");
    zstd::decode_all(packed).expect("zstd")
}

/// What `state verify` says of `state` in a folder.
fn verify(dir: &Path, state: &str) -> Value {
    let said = run_in(dir, &["state", "verify", state, "--format", "json"]);
    assert_eq!(said.code, Some(0), "{}", said.stderr);
    serde_json::from_str(&said.stdout).expect("one JSON object")
}

/// A folder with one of the states in `old`.
fn folder_with(version: &Path, name: &str) -> tempfile::TempDir {
    let dir = tempfile::tempdir().expect("a folder");
    fs::create_dir(dir.path().join("old")).expect("a folder");
    let bytes = unpacked(&version.join(format!("{name}.sqlite.zst")));
    fs::write(dir.path().join("old/state.sqlite"), bytes).expect("a file");
    dir
}

fn versions() -> Vec<PathBuf> {
    let found = fs::read_dir(kept("")).expect("a folder").map(|entry| {
        let entry = entry.expect("an entry");
        entry.path()
    });
    let versions: Vec<_> = found.collect();
    assert!(!versions.is_empty());
    versions
}

#[test]
fn a_state_of_every_released_version_is_taken_up_as_it_was_saved() {
    for version in versions() {
        for name in ["count", "count-lord-howe", "run"] {
            let dir = folder_with(&version, name);
            let saved = fs::read_to_string(version.join(format!("{name}.json"))).expect("a file");
            let saved: Value = serde_json::from_str(&saved).expect("JSON");
            assert_eq!(verify(dir.path(), "old"), saved, "{name}");
        }
        let dir = folder_with(&version, "run");
        let shown = run_in(dir.path(), &["state", "show", "old", "--format", "json"]);
        let shown: Value = serde_json::from_str(&shown.stdout).expect("one JSON object");
        assert_eq!(shown["unpublished"], 935);
        assert_eq!(shown["frames"]["counted"], 7_168);
        assert_eq!(shown["windows"]["minute"]["final"], 360);
    }
}

#[test]
fn counting_goes_on_from_a_state_of_every_released_version() {
    for version in versions() {
        let whole = unpacked(&version.join("whole.zst"));
        for (name, options) in [
            ("count", &[][..]),
            (
                "count-lord-howe",
                &["--precision", "12", "--tz", "Australia/Lord_Howe"],
            ),
        ] {
            let dir = folder_with(&version, name);
            fs::write(dir.path().join("log"), &whole).expect("a file");
            for state in ["old", "new"] {
                let args = ["count", "--format", "json", "--state", state];
                let said = run_in(dir.path(), &[&args, options, &["log"]].concat());
                assert_eq!(said.code, Some(0), "{name} {state}: {}", said.stderr);
            }
            let at_once = verify(dir.path(), "new");
            assert_eq!(at_once["offsets"]["log"], 6_000);
            assert_eq!(verify(dir.path(), "old"), at_once, "{name}");
        }
    }
}
