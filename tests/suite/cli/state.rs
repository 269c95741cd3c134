//! The options of a state, and what is said of states that cannot be used.

use std::fs;

use headcount::io::store::sqlite::{Identity, SqliteStore};

use super::usage::{check_all, folder};

#[test]
fn what_makes_no_sense_about_a_state_is_refused_in_a_sentence() {
    let dir = folder();
    check_all(
        dir.path(),
        &[
            (
                "run --checkpoint-interval 1ms",
                2,
                &["--checkpoint-interval", "100ms to 1h"],
            ),
            ("run --on-gap maybe", 2, &["--on-gap", "fail", "continue"]),
            ("run --until 5", 2, &["--until '5'", "0:1500"]),
            ("run --until 0:-5", 2, &["--until '0:-5'", "0:1500"]),
            (
                "run --until x:0:5",
                2,
                &["--until 'x:0:5'", "of the topics"],
            ),
            (
                "run -t a,b --until 0:5",
                2,
                &["--until '0:5'", "users:0:1500"],
            ),
            ("run --until 0:5,0:6", 2, &["--until '0:6'"]),
            ("run --until 0:5 -e", 2, &["--until", "--exit-at-end"]),
            ("state show", 2, &["<DIR>"]),
        ],
    );
}

#[test]
fn a_state_that_cannot_be_used_is_named_with_what_to_do() {
    let dir = folder();
    let path = |name: &str| dir.path().join(name);
    fs::create_dir(path("damaged")).expect("a folder");
    fs::write(path("damaged/state.sqlite"), [7; 4_096]).expect("a file");
    let taken = SqliteStore::open(&path("taken"), Identity::new());
    let taken = taken.expect("a new state");
    fs::write(path("file"), "").expect("a file");
    check_all(
        dir.path(),
        &[
            (
                "run --state damaged",
                78,
                &["damaged", "nothing was changed"],
            ),
            ("run --state taken", 75, &["another headcount", "taken"]),
            ("run --state file", 74, &["cannot make the directory file"]),
            ("state verify damaged", 78, &["damaged"]),
            (
                "state show taken",
                66,
                &["empty", "nothing was counted yet"],
            ),
            ("state digest nowhere", 66, &["no state in nowhere"]),
        ],
    );
    drop(taken);
    let hash = ("hash", "xxh3_64 seed 0".to_owned());
    let other: Identity = [hash, ("job", "other".to_owned())].into();
    drop(SqliteStore::open(&path("other"), other));
    check_all(
        dir.path(),
        &[("run --state other", 78, &["job 'other'", "'users'"])],
    );
}
