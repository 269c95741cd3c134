//! The load test in a short form: a small stream, an unoptimised build, a broker that is restarted, a limit that is found.

use crate::support::broker::Broker;
use crate::support::process::{run, run_ok};
use std::path::Path;
use std::process::Command;

/// The script, on the build that the tests use; nothing where no broker can run.
fn replay(options: &[&str]) -> Option<Command> {
    Broker::shared()?;
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut script = Command::new(root.join("scripts/replay"));
    script
        .args(options)
        .env("PROFILE", "dev")
        .env_remove("BROKER");
    Some(script)
}

#[test]
fn a_broker_that_is_restarted_in_the_middle_costs_no_frame() {
    let options = [
        "--frames", "30000", "--users", "20000", "--span", "20m", "--every", "500ms",
    ];
    let more = ["--rate", "5000", "--threads", "2", "--restart-broker"];
    let Some(script) = replay(&[&options[..], &more].concat()) else {
        return;
    };
    let (out, _) = run_ok(script, b"");
    for expected in [
        "nothing lost and nothing twice: 30,000 lines, as many acknowledged, as many read",
        "counts: 25 calendar and 6 trailing windows against the truth: frames equal in all",
        "delay of 30,000 frames",
        "lag at the ticks",
        "headcount run",
        "headcount replay",
        "broker",
    ] {
        assert!(out.contains(expected), "no {expected:?} in:\n{out}");
    }
}

#[test]
fn the_limit_is_found_and_named() {
    let options = [
        "--find-limit",
        "--frames",
        "20000",
        "--step",
        "2s",
        "--start-at",
        "3000",
    ];
    let Some(script) = replay(&options) else {
        return;
    };
    let output = run(script, b"");
    let out = String::from_utf8(output.stdout).unwrap();
    // On a machine that other tests keep busy even little may be too much; then it says so and fails.
    match output.status.code() {
        Some(0) => {
            assert!(out.contains("kept for as long as it was held: "), "{out}");
            let is_named = out.contains("what limits: ") || out.contains("no limit was found");
            assert!(is_named, "{out}");
        }
        code => {
            let err = String::from_utf8(output.stderr).unwrap();
            assert_eq!(code, Some(1), "{out}{err}");
            assert!(
                out.contains("not even the first rate was kept"),
                "{out}{err}"
            );
        }
    }
}

#[test]
fn what_makes_no_sense_is_told() {
    let Some(mut script) = replay(&["--find-limit", "--restart-broker"]) else {
        return;
    };
    let output = script.output().unwrap();
    assert!(!output.status.success());
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(stderr.contains("cannot be used with"), "{stderr}");
}
