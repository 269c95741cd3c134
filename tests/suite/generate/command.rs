//! `headcount generate` as a command: files, pipes and complaints.

use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Command, Output, Stdio};

use headcount::generate::Plan;
use serde_json::Value;

use super::{bytes, read, truth};

fn generate(options: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_headcount"))
        .arg("generate")
        .args(options)
        .output()
        .unwrap()
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

#[test]
fn the_command_writes_what_the_library_makes() {
    let dir = tempfile::tempdir().unwrap();
    let (frames, counts) = (dir.path().join("frames"), dir.path().join("counts"));
    let options = [
        "--frames",
        "1500",
        "--users",
        "70",
        "--seed",
        "5",
        "--frame-bytes",
        "300",
    ];
    let plan = Plan {
        frames: 1_500,
        users: 70,
        seed: 5,
        population: 5,
        frame_bytes: 300,
        ..Plan::default()
    };

    let out = generate(&options);
    assert!(out.status.success() && out.stderr.is_empty(), "{out:?}");
    assert!(out.stdout == bytes(&plan), "other bytes");

    let out = generate(
        &[
            &options[..],
            &["-o", text(&frames), "--truth", text(&counts)],
        ]
        .concat(),
    );
    assert!(out.status.success() && out.stdout.is_empty(), "{out:?}");
    assert_eq!(std::fs::read(&frames).unwrap(), bytes(&plan));
    let counts: Value = serde_json::from_slice(&std::fs::read(&counts).unwrap()).unwrap();
    assert_eq!(counts, serde_json::to_value(truth(&plan)).unwrap());
    assert_eq!(counts["windows"]["day"]["1767225600"], 70);
    assert_eq!(counts["window_frames"]["day"]["1767225600"], 1_500);
}

#[test]
fn a_reader_that_leaves_early_is_no_error() {
    let mut command = Command::new(env!("CARGO_BIN_EXE_headcount"));
    command
        .args(["generate", "--frames", "100000"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut line = Vec::new();
    BufReader::new(child.stdout.take().unwrap())
        .read_until(b'\n', &mut line)
        .unwrap();
    read(line.trim_ascii_end());
    let mut complaint = String::new();
    child
        .stderr
        .take()
        .unwrap()
        .read_to_string(&mut complaint)
        .unwrap();
    assert!(child.wait().unwrap().success());
    assert_eq!(complaint, "");
}

#[test]
fn what_cannot_be_done_is_told_in_one_line() {
    let dir = tempfile::tempdir().unwrap();
    let nowhere = dir.path().join("missing/file");
    for (options, expected) in [
        (vec!["-o", text(&nowhere)], "missing/file"),
        (vec!["--truth", text(&nowhere)], "missing/file"),
        (
            vec!["--frames", "1", "--rate", "1", "--span", "1s"],
            "two of them determine the third",
        ),
        (vec!["--users", "0"], "at least 1 user"),
    ] {
        let out = generate(&options);
        assert!(!out.status.success(), "{options:?}");
        assert!(out.stdout.is_empty(), "{options:?} wrote frames");
        let complaint = String::from_utf8(out.stderr).unwrap();
        assert!(complaint.contains(expected), "{complaint}");
        assert_eq!(complaint.trim_end().lines().count(), 1, "{complaint}");
    }
}
