//! What makes no sense is refused in one sentence that names it, with the exit code that the help documents.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

use super::{line, run_in, run_with};
use crate::support::skip;

/// A folder with a good file `a`.
pub(super) fn folder() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("a"), line("a", 7)).unwrap();
    dir
}

pub(super) fn check_all(dir: &Path, cases: &[(&str, i32, &[&str])]) {
    for (args, code, words) in cases {
        let split: Vec<&str> = args
            .split(' ')
            .map(|word| word.trim_matches('\''))
            .collect();
        run_in(dir, &split).check_complaint(*code, words, args);
    }
}

#[test]
fn values_that_make_no_sense_are_refused() {
    let dir = folder();
    check_all(
        dir.path(),
        &[
            (
                "count --timezone Mars/Olympus a",
                2,
                &["--timezone", "'Mars/Olympus'", "Europe/Zurich"],
            ),
            ("count --tz '' a", 2, &["--timezone", "''", "Europe/Zurich"]),
            (
                "count --precision 11 a",
                2,
                &["--precision", "12 to 18", "11"],
            ),
            (
                "count --precision 19 a",
                2,
                &["--precision", "12 to 18", "19"],
            ),
            ("count --threads 0 a", 2, &["--threads", "1 to 64", "0"]),
            ("count --threads 65 a", 2, &["--threads", "1 to 64", "65"]),
            (
                "count --lateness 500ms a",
                2,
                &["--lateness", "whole seconds"],
            ),
            ("count --lateness 367d a", 2, &["--lateness", "366 days"]),
            (
                "count --uid-field x --ts-field x a",
                2,
                &["--uid-field", "--ts-field", "differ"],
            ),
            (
                "count --retain-days 36601d a",
                2,
                &["--retain-days", "36600 days"],
            ),
            ("generate --truth - -n 1", 2, &["--truth", "file"]),
            (
                "generate -n 1 -r 1 -s 1s",
                2,
                &["--frames", "--rate", "--span"],
            ),
            ("generate -u 0", 2, &["at least 1 user"]),
        ],
    );
}

#[test]
fn inputs_that_cannot_be_read_are_named() {
    let dir = folder();
    fs::create_dir(dir.path().join("d")).unwrap();
    check_all(
        dir.path(),
        &[
            ("count missing", 66, &["missing", "No such file"]),
            ("count a missing", 66, &["missing", "No such file"]),
            ("count missing/a", 66, &["missing/a", "No such file"]),
            ("count a/b", 66, &["a/b", "Not a directory"]),
            (
                "count d",
                66,
                &["cannot read d:", "directory", "name the files in it"],
            ),
            ("count -- --nope", 66, &["--nope", "No such file"]),
            ("count a a", 2, &["a is named twice"]),
            ("count - -", 2, &["named twice"]),
        ],
    );
    let locked = dir.path().join("locked");
    fs::write(&locked, line("a", 7)).unwrap();
    fs::set_permissions(&locked, fs::Permissions::from_mode(0o000)).unwrap();
    if fs::read(&locked).is_err() {
        run_in(dir.path(), &["count", "locked"]).check_complaint(
            66,
            &["locked", "Permission denied"],
            "a file without permission",
        );
    }
}

#[test]
fn an_input_that_fails_while_it_is_read_is_not_called_damaged() {
    // Opening succeeds, reading does not, and no transfer would help.
    if !Path::new("/proc/self/mem").exists() {
        return skip("no /proc/self/mem, which fails when it is read");
    }
    run_in(Path::new("/"), &["count", "/proc/self/mem"]).check_complaint(
        66,
        &["/proc/self/mem", "Input/output error"],
        "an unreadable file",
    );
}

#[test]
fn a_file_under_two_names_is_refused() {
    let dir = folder();
    symlink("a", dir.path().join("link")).unwrap();
    for other in ["./a", "link", dir.path().join("a").to_str().unwrap()] {
        run_in(dir.path(), &["count", "a", other]).check_complaint(2, &["twice"], other);
    }
}

#[test]
fn torn_and_damaged_archives_are_named() {
    use std::io::Write;
    let dir = folder();
    let text: String = (0..5_000)
        .map(|i| line(&format!("u{i}"), 1_000 + i))
        .collect();
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(text.as_bytes()).unwrap();
    let gzip = gzip.finish().unwrap();
    let mut zstd = zstd::Encoder::new(Vec::new(), 1).unwrap();
    // As the zstd command does.
    zstd.include_checksum(true).unwrap();
    zstd.write_all(text.as_bytes()).unwrap();
    let zstd = zstd.finish().unwrap();
    for (name, whole) in [("gz", gzip), ("zst", zstd)] {
        let mut damaged = whole.clone();
        let middle = damaged.len() / 2;
        damaged[middle..middle + 8].fill(0xff);
        let rubbish_behind = [&whole[..], b"rubbish"].concat();
        for (how, bytes) in [
            ("torn", &whole[..middle]),
            ("nearly whole", &whole[..whole.len() - 1]),
            ("all but empty", &whole[..5]),
            ("damaged", &damaged[..]),
            ("rubbish behind", &rubbish_behind[..]),
        ] {
            fs::write(dir.path().join(name), bytes).unwrap();
            let mut said = run_in(dir.path(), &["count", "--window", "year", name]);
            // What was read before the damage showed may have been rubbish already, and logged as such.
            let complaint = said.stderr.find("headcount: ").unwrap_or(0);
            said.stderr.drain(..complaint);
            said.check_complaint(65, &[name, "transfer it again"], &format!("{how} {name}"));
        }
        fs::write(dir.path().join(name), &whole).unwrap();
        assert_eq!(run_in(dir.path(), &["count", name]).code, Some(0));
    }
}

#[test]
fn a_topic_that_is_no_topic_name_is_refused() {
    let dir = folder();
    let long = "x".repeat(250);
    for topic in [
        "a b",
        "",
        "a,,b",
        "a/b",
        ".",
        "..",
        "ü",
        "a,b c",
        long.as_str(),
    ] {
        let said = run_in(dir.path(), &["run", "--topic", topic]);
        said.check_complaint(2, &["--topic", "letters, digits"], topic);
    }
    check_all(
        dir.path(),
        &[
            ("run -t a,b,a", 2, &["--topic", "'a' twice"]),
            ("run -o a/b", 2, &["--output", "'a/b'", "letters, digits"]),
            (
                "run --windows-output a/b",
                2,
                &["--windows-output", "'a/b'", "letters, digits"],
            ),
            ("run -t x -o x", 2, &["'x'", "--output"]),
            (
                "run -t x,stats-windows",
                2,
                &["'stats-windows'", "--output"],
            ),
            ("run -t x --windows-output x", 2, &["'x'", "--output"]),
            (
                "run -o y --windows-output y",
                2,
                &["--output", "--windows-output", "differ"],
            ),
            (
                "run -o - --windows-output y",
                2,
                &["--windows-output", "--output -"],
            ),
        ],
    );
}

#[test]
fn run_refuses_what_makes_no_sense_before_it_looks_for_a_broker() {
    let dir = folder();
    check_all(
        dir.path(),
        &[
            (
                "run --from yesterday",
                2,
                &["--from", "'yesterday'", "earliest", "2026-"],
            ),
            (
                "run --from 2026-01-31",
                2,
                &["--from", "'2026-01-31'", "earliest"],
            ),
            ("run --from 2026-01-31T12:00:00", 2, &["--from", "Z"]),
            ("run --every 99ms", 2, &["--every", "100ms to 1h"]),
            ("run --every 61m", 2, &["--every", "100ms to 1h"]),
            ("run --job a|b", 2, &["--job", "|"]),
            ("run --job ''", 2, &["--job"]),
            (
                "run --timezone Mars/Olympus",
                2,
                &["--timezone", "'Mars/Olympus'"],
            ),
            ("run --precision 3", 2, &["--precision", "12 to 18"]),
            ("run --threads 65", 2, &["--threads", "1 to 64"]),
            ("run --consumers 0", 2, &["--consumers", "1 to 64", "0"]),
            ("run --consumers 65", 2, &["--consumers", "1 to 64"]),
        ],
    );
}

#[test]
fn run_refuses_an_empty_group_by_name() {
    let dir = folder();
    check_all(dir.path(), &[("run --group ''", 2, &["--group"])]);
}

#[test]
fn what_the_parser_refuses_is_one_sentence_too() {
    let dir = folder();
    check_all(
        dir.path(),
        &[
            ("count --nope a", 2, &["--nope", "--help"]),
            ("cuont a", 2, &["'cuont'", "'count'"]),
            ("frobnicate", 2, &["'frobnicate'", "--help"]),
            (
                "count --lateness 5 a",
                2,
                &["--lateness", "'5'", "unit", "5s"],
            ),
            (
                "count --lateness 1.5h a",
                2,
                &["--lateness", "'1.5h'", "5s"],
            ),
            ("run --every soon", 2, &["--every", "'soon'", "5s"]),
            ("count --precision abc a", 2, &["--precision", "'abc'"]),
            ("count --precision 300 a", 2, &["--precision", "300"]),
            ("count --threads -1 a", 2, &["--threads"]),
            ("count --threads 1e3 a", 2, &["--threads", "'1e3'"]),
            (
                "count --window decade a",
                2,
                &["--window", "'decade'", "minute", "year"],
            ),
            ("count --format xml a", 2, &["--format", "'xml'", "json"]),
            (
                "count --log-format xml a",
                2,
                &["--log-format", "'xml'", "json"],
            ),
            ("count a --lateness", 2, &["--lateness"]),
            ("count --threads 1 --threads 2 a", 2, &["--threads"]),
            ("generate --frames many", 2, &["--frames", "'many'"]),
            ("demo --for 30", 2, &["--for", "'30'", "5s"]),
        ],
    );
}

#[test]
fn without_a_subcommand_the_help_is_shown_and_the_code_is_that_of_bad_usage() {
    let said = run_in(Path::new("/"), &[]);
    assert_eq!(said.code, Some(2));
    assert_eq!(said.stdout, "");
    assert!(said.stderr.contains("Usage: headcount"), "{}", said.stderr);
}

#[test]
fn an_output_that_cannot_be_written_is_named() {
    let dir = folder();
    check_all(
        dir.path(),
        &[
            (
                "generate -n 1 -o missing/x",
                74,
                &["missing/x", "No such file"],
            ),
            (
                "generate -n 1 --truth missing/x",
                74,
                &["missing/x", "No such file"],
            ),
        ],
    );
    if !Path::new("/dev/full").exists() {
        return skip("no /dev/full to write to");
    }
    let said = run_with(
        dir.path(),
        &["generate", "-n", "1", "-o", "/dev/full"],
        &[],
        b"",
    );
    said.check_complaint(
        74,
        &["/dev/full", "No space left"],
        "generate to a full disk",
    );
    let mut command = crate::support::process::headcount();
    let full = fs::OpenOptions::new()
        .write(true)
        .open("/dev/full")
        .unwrap();
    command.args(["count", "a"]).current_dir(dir.path());
    // The output of `run` is collected; this one goes to the full disk.
    let output = command.stdout(full).output().unwrap();
    assert_eq!(output.status.code(), Some(74));
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(
        stderr.contains("standard output: No space left"),
        "{stderr}"
    );
}
