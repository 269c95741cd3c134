//! Lines of several inputs against the order in which one thread would read them line by line.

use std::path::{Path, PathBuf};

use super::*;
use crate::io::source::lines::{BytesRead, Input};

fn write(dir: &Path, name: &str, text: &str) -> PathBuf {
    let path = dir.join(name);
    std::fs::write(&path, text).unwrap();
    path
}

fn start(files: &[PathBuf], threads: usize, chunk_bytes: usize, keep: Keep) -> Lines {
    let inputs: Vec<_> = files.iter().cloned().map(Input::File).collect();
    let open = |input: &Input| {
        let chunks = Chunks::open(input, &BytesRead::default(), chunk_bytes).unwrap();
        Opened { chunks, line: 0 }
    };
    let from = inputs.iter().map(open).collect();
    Lines::start(from, threads, &Fields::default(), keep).unwrap()
}

/// Input, offset and text of each line, -1 and nothing for an end; an input's clock is its greatest time so far.
/// Which input, which line, what stands there.
type Seen = Vec<(usize, i64, String)>;

fn all(lines: &mut Lines, most: usize) -> (Seen, Result<(), Failure>) {
    let mut clocks = vec![None; lines.feeds.len()];
    let mut seen = Vec::new();
    while !lines.is_finished() {
        let taken = lines.take(most, |next| match next {
            Next::Line {
                input,
                offset,
                verdict,
                text,
            } => {
                if let Verdict::Seen(_, ts) = verdict {
                    clocks[input] = clocks[input].max(Some(ts));
                }
                let text = text.map(|text| String::from_utf8_lossy(text).into_owned());
                seen.push((input, offset, text.unwrap_or_default()));
                Then::Go(clocks[input])
            }
            Next::End(input) => {
                seen.push((input, -1, String::new()));
                Then::Go(None)
            }
        });
        if taken.is_err() {
            return (seen, taken);
        }
    }
    (seen, Ok(()))
}

/// The same order by hand: always a line of the input whose clock is least.
fn by_hand(texts: &[String]) -> Vec<(usize, i64, String)> {
    let mut inputs: Vec<_> = texts.iter().map(|text| text.lines().enumerate()).collect();
    let mut clocks: BTreeMap<usize, Option<EventTime>> =
        (0..texts.len()).map(|i| (i, None)).collect();
    let mut seen = Vec::new();
    while let Some((&input, _)) = clocks
        .iter()
        .min_by_key(|(input, clock)| (**clock, **input))
    {
        let Some((offset, line)) = inputs[input].next() else {
            clocks.remove(&input);
            seen.push((input, -1, String::new()));
            continue;
        };
        let ts = line
            .split("\"ts\":")
            .nth(1)
            .and_then(|ts| ts.strip_suffix('}'));
        let ts = ts.and_then(|ts| ts.parse().ok());
        let clock = clocks.get_mut(&input).unwrap();
        *clock = (*clock).max(ts);
        seen.push((input, offset as i64, line.to_owned()));
    }
    seen
}

fn frame(ts: u32) -> String {
    format!("{{\"uid\":\"u{ts}\",\"ts\":{ts}}}\n")
}

#[test]
fn lines_of_several_files_come_by_event_time_whoever_decodes_them() {
    let dir = tempfile::tempdir().unwrap();
    let texts = [
        (1..200).map(|i| frame(1_000 + 3 * i)).collect::<String>(),
        (1..90)
            .map(|i| frame(1_000 + 7 * i + (i * 31) % 5))
            .collect(),
        "junk\n".to_owned() + &frame(1_100) + "\n\n" + &frame(1_200).repeat(40),
        String::new(),
        frame(5_000).trim_end().to_owned(),
    ];
    let names = ["a", "b", "c", "d", "e"];
    let files: Vec<_> = names
        .iter()
        .zip(&texts)
        .map(|(name, text)| write(dir.path(), name, text))
        .collect();
    let expected = by_hand(&texts);
    for threads in [1, 2, 3, 8] {
        for chunk_bytes in [1, 40, 1_000, 1 << 20] {
            let mut lines = start(&files, threads, chunk_bytes, Keep::All);
            let (seen, outcome) = all(&mut lines, 7 * threads);
            assert_eq!(outcome, Ok(()));
            assert_eq!(seen, expected, "{threads} threads, chunks of {chunk_bytes}");
        }
    }
}

#[test]
fn only_the_text_that_may_be_needed_is_kept() {
    let dir = tempfile::tempdir().unwrap();
    let files = [write(dir.path(), "x", &(frame(7) + "junk\n" + &frame(8)))];
    for (keep, expected) in [
        (Keep::Nothing, ["", "", ""]),
        (Keep::Rejected, ["", "junk", ""]),
        (
            Keep::All,
            [frame(7).trim_end(), "junk", frame(8).trim_end()],
        ),
    ] {
        let (seen, _) = all(&mut start(&files, 2, 1 << 10, keep), 10);
        let texts: Vec<_> = seen
            .iter()
            .take(3)
            .map(|(_, _, text)| text.as_str())
            .collect();
        assert_eq!(texts, expected);
    }
}

#[test]
fn the_unit_is_guessed_from_the_first_event_times_in_order() {
    let dir = tempfile::tempdir().unwrap();
    let millis = |i: u64| format!("{{\"uid\":\"a\",\"ts\":{}}}\n", 1_700_000_000_000 + i);
    let wrong: String = (0..300).map(millis).collect();
    let first = write(dir.path(), "first", &(frame(1_700_000_000) + &wrong));
    let later = write(
        dir.path(),
        "later",
        &(wrong.clone() + &frame(1_700_000_000)),
    );
    let few = write(dir.path(), "few", &millis(1).repeat(99));
    for threads in [1, 2, 5] {
        for chunk_bytes in [10, 1_000, 1 << 20] {
            for (file, early, at_end) in [
                (&first, false, false),
                (&later, true, false),
                (&few, false, true),
            ] {
                let files = [file.clone()];
                let mut lines = start(&files, threads, chunk_bytes, Keep::Nothing);
                all(&mut lines, 100).1.unwrap();
                assert_eq!(lines.unit_mistaken(false).is_some(), early);
                assert_eq!(lines.unit_mistaken(true).is_some(), at_end);
            }
        }
    }
}

#[test]
fn what_was_whole_before_a_tear_is_handed_over_and_then_the_failure() {
    let dir = tempfile::tempdir().unwrap();
    let text: String = (1..30_000).map(frame).collect();
    let mut bytes = zstd::encode_all(text.as_bytes(), 1).unwrap();
    bytes.truncate(bytes.len() - 2);
    let path = dir.path().join("torn");
    std::fs::write(&path, bytes).unwrap();
    let mut first = None;
    for threads in [1, 2, 4] {
        let (seen, outcome) = all(
            &mut start(std::slice::from_ref(&path), threads, 5_000, Keep::All),
            64,
        );
        assert!(matches!(outcome, Err(Failure::Data(_))));
        assert!(!seen.is_empty());
        let first = first.get_or_insert_with(|| seen.clone());
        assert_eq!(seen, *first, "{threads} threads");
    }
}

#[test]
fn a_line_without_a_newline_is_held_back_where_it_may_still_be_written() {
    let dir = tempfile::tempdir().unwrap();
    let whole = write(dir.path(), "whole", &frame(7));
    let open = write(dir.path(), "open", &(frame(8) + "{\"uid\":\"half"));
    let only = write(dir.path(), "only", "half");
    for threads in [1, 3] {
        for chunk_bytes in [1, 7, 1_000] {
            let files = [whole.clone(), open.clone(), only.clone()];
            let mut lines = start(&files, threads, chunk_bytes, Keep::All);
            lines.hold_rests();
            let (seen, outcome) = all(&mut lines, 1);
            assert_eq!(outcome, Ok(()));
            let offsets: Vec<_> = seen
                .iter()
                .map(|(input, offset, _)| (*input, *offset))
                .collect();
            let expected = [(0, 0), (1, 0), (2, -1), (0, -1), (1, -1)];
            assert_eq!(offsets, expected);
            let mut rests = lines.take_rests();
            rests.sort();
            let half = b"{\"uid\":\"half".to_vec();
            assert_eq!(rests, [(1, 1, half), (2, 0, b"half".to_vec())]);
        }
    }
}
