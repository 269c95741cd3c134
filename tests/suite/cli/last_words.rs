//! `count --state`: what a run says of windows, and what later ones say of them again, where frames still wait.

use serde_json::Value;

use super::going_on::{Printed, append, count, killed_at};
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
    let said = count(dir.path(), "state", &files);
    assert_eq!(rows(&said), [], "nothing has changed");
    assert!(!said.stderr.contains("forgotten"), "{}", said.stderr);
    let mut again = Printed::default();
    again.take(&said);
    assert_eq!(again.stats, with_state.stats);
}

#[test]
fn what_was_told_and_is_not_confirmed_by_the_end_is_taken_back_from_all_its_windows() {
    let dir = tempfile::tempdir().unwrap();
    let first = 1_767_225_600;
    let few = line("a", first).repeat(4) + &line("z", first + 217_800);
    append(&dir.path().join("few"), few.as_bytes());
    append(&dir.path().join("many"), b"");
    let files = ["few", "many"];
    let mut printed = Printed::default();
    printed.take(&count(dir.path(), "state", &files));
    append(
        &dir.path().join("few"),
        line("a", first).repeat(20).as_bytes(),
    );
    let later = (1..41).map(|day| line("c", first + day * 86_400).repeat(20));
    append(
        &dir.path().join("many"),
        later.collect::<String>().as_bytes(),
    );
    printed.take(&count(dir.path(), "state", &files));
    let mut at_once = Printed::default();
    at_once.take(&count(dir.path(), "one", &files));
    printed.windows.retain(|_, numbers| numbers[3] != 0);
    assert_eq!(printed.windows, at_once.windows);
}

/// Numbers below `n`, the same for the same seed.
fn dice(seed: u32) -> impl FnMut(u32) -> u32 {
    let mut state = u64::from(seed) * 2 + 1;
    move |n| {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(9);
        (state >> 33) as u32 % n
    }
}

/// Frames of a file that goes on at this clock, some late, some far ahead, some rubbish. Too few for a clock, often.
fn more(clock: &mut u32, dice: &mut impl FnMut(u32) -> u32) -> String {
    let mut text = String::new();
    for _ in 0..[0, 1, 2, 5, 11, 12, 13, 30][dice(8) as usize] {
        *clock += [0, 0, 1, 20, 61, 600, 3_700, 40_000][dice(8) as usize];
        let ts = match dice(20) {
            0 => *clock + [100, 1 << 20, 1 << 24][dice(3) as usize],
            1 => *clock - [10, 1_000, 4_000][dice(3) as usize],
            _ => *clock,
        };
        match dice(40) {
            0 => text.push_str("rubbish\n"),
            user => text.push_str(&line(&format!("u{user}"), ts)),
        }
    }
    text
}

#[test]
fn the_last_words_on_files_that_grow_are_those_of_one_run_over_them() {
    let files = ["a", "b", "c"];
    let keep = ["--retain-minutes", "3y", "--retain-hours", "3y"];
    for seed in 0..12 {
        let dir = tempfile::tempdir().unwrap();
        let mut dice = dice(seed);
        let mut clocks = [0; 3].map(|_| 1_767_225_600 + dice(3 * 86_400));
        let mut printed = Printed::default();
        for _ in 0..4 {
            for (file, clock) in files.iter().zip(&mut clocks) {
                append(&dir.path().join(file), more(clock, &mut dice).as_bytes());
            }
            printed.take(&count(dir.path(), "state", &[&keep[..], &files].concat()));
            let again = rows(&count(dir.path(), "state", &[&keep[..], &files].concat()));
            assert_eq!(again, [], "seed {seed}: nothing has changed");
        }
        let mut at_once = Printed::default();
        at_once.take(&count(dir.path(), "one", &[&keep[..], &files].concat()));
        // Frames that counted for an end alone, and were quarantined later, leave windows without any.
        printed.windows.retain(|_, numbers| numbers[3] != 0);
        assert_eq!(printed.windows, at_once.windows, "seed {seed}");
        assert_eq!(printed.stats, at_once.stats, "seed {seed}");
    }
}

#[test]
fn an_end_that_forgets_thousands_of_windows_leaves_nothing_to_be_said_of_them() {
    let dir = tempfile::tempdir().unwrap();
    let first = 1_767_225_600;
    let minutes = (0..5_000).map(|minute| line("a", first + minute * 60));
    append(
        &dir.path().join("minutes"),
        minutes.collect::<String>().as_bytes(),
    );
    let later = line("b", first + 30 * 86_400).repeat(12);
    append(&dir.path().join("later"), later.as_bytes());
    let files = ["minutes", "later"];
    let kept = ["--retain-minutes", "5d"];
    let said = rows(&count(dir.path(), "state", &[&kept[..], &files].concat()));
    let minutes = said.iter().filter(|row| row.0 == "minute");
    assert_eq!(minutes.count(), 5_001);
    for kept in ["5d", "3y", "6h"] {
        let kept = ["--retain-minutes", kept];
        let again = rows(&count(dir.path(), "state", &[&kept[..], &files].concat()));
        assert_eq!(again, [], "nothing has changed");
    }
}

#[test]
fn what_does_not_come_true_is_said_again_however_many_others_count_instead() {
    let first = 1_767_225_600;
    let far = first + 9 * 86_400;
    // Told of in advance, and then not confirmed; a line without its end that goes on as something else.
    let unconfirmed = [
        line("a", first).repeat(8) + &line("a", far).repeat(2),
        line("b", first) + &line("c", first),
    ];
    let unfinished = [
        line("a", first).repeat(20) + line("a", first).trim_end(),
        format!(", rubbish\n{}", line("b", first)),
    ];
    // Behind it so much that the windows are forgotten before the end.
    let days = (1..40).map(|day| line("d", first + day * 86_400));
    let forgotten = [
        unfinished[0].clone(),
        unfinished[1].clone() + &days.collect::<String>(),
    ];
    for (parts, users) in [(unconfirmed, 3), (unfinished, 2), (forgotten, 2)] {
        let dir = tempfile::tempdir().unwrap();
        let mut printed = Printed::default();
        for part in &parts {
            append(&dir.path().join("log"), part.as_bytes());
            printed.take(&count(dir.path(), "state", &["log"]));
        }
        let mut at_once = Printed::default();
        at_once.take(&count(dir.path(), "one", &["log"]));
        printed.windows.retain(|_, numbers| numbers[3] != 0);
        assert_eq!(printed.windows, at_once.windows, "{parts:?}");
        let minute = ("minute".to_owned(), "\"2026-01-01T00:00:00Z\"".to_owned());
        assert_eq!(printed.windows[&minute][0], users);
    }
}

#[test]
fn killed_at_any_checkpoint_a_file_of_few_frames_counts_all_the_same() {
    let dir = tempfile::tempdir().unwrap();
    let first = 1_767_225_600;
    append(
        &dir.path().join("few"),
        line("a", first).repeat(5).as_bytes(),
    );
    let later = (1..40_000).map(|n| line("c", first + 86_400 + n * 60));
    append(
        &dir.path().join("many"),
        later.collect::<String>().repeat(2).as_bytes(),
    );
    let mut without = Printed::default();
    let args = ["count", "--format", "json", "few", "many"];
    without.take(&run_in(dir.path(), &args));
    let mut killed = 0;
    for point in ["before_commit", "after_commit"] {
        for time in 1..=6 {
            let state = format!("{point}{time}");
            let checkpoints = ["--checkpoint-interval", "100ms", "--state", &state];
            let args = [&args[..], &checkpoints].concat();
            let failpoint = format!("{point}:{time}");
            let Some(said) = killed_at(dir.path(), &args, &failpoint) else {
                continue;
            };
            killed += 1;
            let mut printed = Printed::default();
            printed.take(&said);
            printed.take(&run_in(dir.path(), &args));
            assert_eq!(printed.windows, without.windows, "{state}");
        }
    }
    // Before the end and at it, however fast the machine is.
    assert!(killed > 3, "{killed}");
}
