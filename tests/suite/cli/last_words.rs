//! `count --state`: what a run says of windows, and what later ones say of them again, where frames still wait.

use serde_json::Value;

use super::going_on::{Printed, append, count};
use super::{Said, line, run_in};

/// The windows that a run printed: period, start, frames, state.
fn rows(said: &Said) -> Vec<(String, String, u64, String)> {
    assert_eq!(said.code, Some(0), "{}", said.stderr);
    let records = said.stdout.lines().map(|record| {
        let record: Value = serde_json::from_str(record).unwrap();
        let text = |field: &str| record[field].as_str().unwrap_or_default().to_owned();
        let frames = record["frames"].as_u64().unwrap_or_default();
        (text("window"), text("start"), frames, text("state"))
    });
    records.filter(|(window, ..)| !window.is_empty()).collect()
}

#[test]
fn what_was_said_of_frames_that_wait_is_neither_repeated_nor_taken_back() {
    let dir = tempfile::tempdir().unwrap();
    let first = 1_767_225_600;
    // Too few for their file to have a clock: they wait, and each end tells of them.
    append(
        &dir.path().join("few"),
        line("a", first).repeat(5).as_bytes(),
    );
    let said = rows(&count(dir.path(), "state", &["few"]));
    assert_eq!(said.len(), 6, "{said:?}");
    assert!(
        said.iter()
            .all(|(_, _, frames, state)| (*frames, state.as_str()) == (5, "final"))
    );
    let nothing = rows(&count(dir.path(), "state", &["few"]));
    assert_eq!(nothing, [], "nothing has changed");

    append(&dir.path().join("few"), line("b", first + 60).as_bytes());
    let said = rows(&count(dir.path(), "state", &["few"]));
    let minutes: Vec<_> = said.iter().filter(|row| row.0 == "minute").collect();
    let [(_, start, 1, state)] = minutes[..] else {
        panic!("{said:?}");
    };
    assert_eq!(
        (start.as_str(), state.as_str()),
        ("2026-01-01T00:01:00Z", "final")
    );
    assert_eq!(said.len(), 6, "{said:?}");

    // Far behind their retention, minutes are forgotten; the frames of the first two still wait.
    let later = (1..41).map(|hour| line("c", first + hour * 3_600));
    append(
        &dir.path().join("many"),
        later.collect::<String>().as_bytes(),
    );
    let said = rows(&count(dir.path(), "state", &["few", "many"]));
    let again: Vec<_> = said
        .iter()
        .filter(|row| row.0 == "minute" && *row.1 < *"2026-01-01T01:00:00Z")
        .collect();
    assert!(again.is_empty(), "{again:?}");
    assert_eq!(said.iter().filter(|row| row.0 == "minute").count(), 40);

    // More of them, and they count: what the others' last records lacked is not there to be told.
    let more = (0..20).map(|n| line(&format!("d{n}"), first + 144_000 + n));
    append(&dir.path().join("few"), more.collect::<String>().as_bytes());
    let said = rows(&count(dir.path(), "state", &["few", "many"]));
    let year = said.iter().find(|row| row.0 == "year").unwrap();
    assert_eq!((year.2, year.3.as_str()), (66, "revised"));
}

#[test]
fn a_file_of_few_frames_counts_however_far_the_others_go_on() {
    let dir = tempfile::tempdir().unwrap();
    let first = 1_767_225_600;
    let few = line("a", first).repeat(5) + &line("b", first + 60);
    append(&dir.path().join("few"), few.as_bytes());
    // By their end the minutes and hours of the first file are forgotten.
    let later = (1..41).map(|day| line("c", first + day * 86_400).repeat(20));
    append(
        &dir.path().join("many"),
        later.collect::<String>().as_bytes(),
    );
    let mut without = Printed::default();
    let files = ["few", "many"];
    let args = ["count", "--format", "json", "few", "many"];
    without.take(&run_in(dir.path(), &args));
    let mut with_state = Printed::default();
    let said = count(dir.path(), "state", &files);
    with_state.take(&said);
    assert_eq!(with_state.windows, without.windows);
    assert_eq!(with_state.rows, without.rows);
    let again = rows(&count(dir.path(), "state", &files));
    assert_eq!(again, [], "nothing has changed");
}
