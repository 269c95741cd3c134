//! A broker that goes and comes, or stays away; a replay that dies: nothing is lost, and nothing is there twice.

use super::{Told, assert_holds, assert_in_order, file_of, lines, replay};
use crate::support::broker::Broker;
use crate::support::kafka::{create_topic, high_watermarks};
use crate::support::process::Service;
use crate::support::wait_until;
use crate::world::SOON;
use std::fs;
use std::path::Path;
use std::process::Command;

const TOPIC: &str = "resumed";

/// Waits until the topic has more than so many frames.
fn await_frames(address: &str, more_than: i64) {
    wait_until(SOON, "frames arrive", || {
        let there: i64 = high_watermarks(address, TOPIC).into_values().sum();
        (there > more_than).then_some(())
    });
}

fn kept(address: &str, dir: &Path, file: &Path, options: &[&str]) -> Command {
    let mut command = replay(address, TOPIC, options, file);
    command.arg("--resume").arg(dir.join("position"));
    command
}

#[test]
fn a_broker_that_restarts_in_mid_replay_costs_nothing() {
    let Some(broker) = Broker::start("replay-restart") else {
        return;
    };
    let address = broker.address();
    let dir = tempfile::tempdir().unwrap();
    let lines = lines(6_000);
    let file = file_of(dir.path(), &lines);
    create_topic(address, TOPIC, 3, &[]);
    let mut service = Service::spawn(replay(address, TOPIC, &["-r", "800"], &file));
    await_frames(address, 500);
    broker.kill();
    service.stderr_line("no acknowledgement for 5 s", SOON);
    broker.restart();
    service.stderr_line("answer again", SOON);
    let told = Told::await_end(&mut service);
    assert_eq!(told.code, Some(0), "{}", told.stderr);
    assert_eq!(told.summary["acknowledged"], 6_000);
    assert_holds(address, TOPIC, &lines);
    assert_in_order(address, TOPIC, &lines);
    // Open loop: what was overdue was not put off by the outage.
    let seconds = told.summary["seconds"].as_f64().unwrap();
    assert!(seconds < 6_000.0 / 800.0 + 15.0, "{seconds} s");
}

#[test]
fn a_broker_that_stays_away_is_given_up_on_and_the_same_command_completes_it() {
    let Some(broker) = Broker::start("replay-away") else {
        return;
    };
    let address = broker.address();
    let dir = tempfile::tempdir().unwrap();
    let lines = lines(4_000);
    let file = file_of(dir.path(), &lines);
    create_topic(address, TOPIC, 3, &[]);
    let command = |rate: &str| {
        let options = [
            "-r",
            rate,
            "--timeout",
            "3s",
            "--partition-by",
            "round-robin",
        ];
        kept(address, dir.path(), &file, &options)
    };
    let mut service = Service::spawn(command("1000"));
    await_frames(address, 500);
    broker.kill();
    let told = Told::await_end(&mut service);
    assert_eq!(told.code, Some(69), "{}", told.stderr);
    let acknowledged = told.summary["acknowledged"].as_u64().unwrap();
    assert!(acknowledged >= 500, "{}", told.summary);
    assert!(told.summary["in_doubt"].as_u64().unwrap() > 0);
    let complaint = told.complaint();
    assert!(
        complaint.contains("frames sent were acknowledged"),
        "{complaint}"
    );
    assert!(
        complaint.contains("run the same command again"),
        "{complaint}"
    );
    // Nobody there at all: one sentence, and the position stays what it is.
    let told = crate::support::process::run(command("max"), b"");
    assert_eq!(told.status.code(), Some(69));
    broker.restart();
    let summary = Told::ok(command("max"));
    let skipped = summary["skipped"].as_u64().unwrap();
    let rest = summary["found"].as_u64().unwrap() + summary["sent"].as_u64().unwrap();
    assert_eq!(skipped + rest, 4_000, "{summary}");
    assert_eq!(skipped, acknowledged, "{summary}");
    assert_holds(address, TOPIC, &lines);
    assert_in_order(address, TOPIC, &lines);
    // Once more: nothing is left to do.
    let summary = Told::ok(command("max"));
    assert_eq!(
        (&summary["sent"], &summary["found"]),
        (&0.into(), &0.into())
    );
    assert_eq!(summary["skipped"], 4_000);
}

#[test]
fn a_replay_that_is_killed_goes_on_without_a_loss_or_a_double() {
    let Some(broker) = Broker::shared() else {
        return;
    };
    let address = broker.address();
    let dir = tempfile::tempdir().unwrap();
    let mut lines = lines(20_000);
    // Equal frames are where a search for what is there could go wrong; a refused one leaves a gap.
    for (n, line) in (5_000..).zip(&mut lines[5_000..9_000]) {
        *line = format!(r#"{{"uid":"u{}","ts":1}}"#, n % 5);
    }
    for n in [2_000, 6_000, 14_000] {
        lines[n] = "z".repeat(30_000);
    }
    let file = file_of(dir.path(), &lines);
    create_topic(address, TOPIC, 3, &[("max.message.bytes", "20000")]);
    let command = |rate: &str| {
        let options = ["-r", rate, "--compression", "none"];
        kept(address, dir.path(), &file, &options)
    };
    for until in [1_500, 5_500, 8_000, 13_000] {
        let mut service = Service::spawn(command("6000"));
        await_frames(address, until);
        service.signal("KILL");
        service.wait(SOON);
        assert!(dir.path().join("position").exists());
    }
    let told = Told::run(command("max"));
    assert_eq!(told.summary["in_doubt"], 0, "{}", told.summary);
    assert_eq!(told.summary["lines"], 20_000);
    let taken: Vec<_> = lines.into_iter().filter(|l| l.len() < 20_000).collect();
    assert_holds(address, TOPIC, &taken);
}

#[test]
fn shifted_rounds_that_are_cut_short_go_on_with_the_same_shift() {
    let Some(broker) = Broker::start("replay-rounds") else {
        return;
    };
    let address = broker.address();
    let dir = tempfile::tempdir().unwrap();
    let file = file_of(dir.path(), &lines(700));
    create_topic(address, TOPIC, 2, &[]);
    let options = ["--loop", "--shift-to-now", "-n", "4000", "-r", "2000"];
    for until in [200, 1_000, 2_100] {
        let mut service = Service::spawn(kept(address, dir.path(), &file, &options));
        await_frames(address, until);
        service.signal("KILL");
        service.wait(SOON);
    }
    let summary = Told::ok(kept(address, dir.path(), &file, &options));
    assert_eq!(summary["outcome"], "done");
    let held = super::held(address, TOPIC);
    assert_eq!(held.len(), 4_000);
    let mut once = held.clone();
    once.dedup();
    let frames = |held: &[String]| held.iter().filter(|l| l.starts_with('{')).count();
    assert_eq!(frames(&once), frames(&held), "no frame is there twice");
}

#[test]
fn a_position_is_good_for_its_own_replay_only() {
    let Some(broker) = Broker::shared() else {
        return;
    };
    let dir = tempfile::tempdir().unwrap();
    let file = file_of(dir.path(), &lines(50));
    let position = dir.path().join("position");
    let run = |topic: &str, options: &[&str]| {
        let mut command = replay(broker.address(), topic, options, &file);
        command
            .args(["--partitions", "2", "--resume"])
            .arg(&position);
        let output = crate::support::process::run(command, b"");
        (
            output.status.code(),
            String::from_utf8(output.stderr).unwrap(),
        )
    };
    assert_eq!(run("replay-own", &[]).0, Some(0));
    let other = &["--partition-by", "round-robin"][..];
    for (topic, options, words) in [
        ("replay-other", &[][..], "the topic was replay-own"),
        ("replay-own", other, "--partition-by was uid"),
    ] {
        let (code, stderr) = run(topic, options);
        assert_eq!(code, Some(2), "{stderr}");
        assert!(stderr.contains(words), "{stderr}");
    }
    fs::write(&position, "rubbish").unwrap();
    let (code, stderr) = run("replay-own", &[]);
    assert_eq!(code, Some(65), "{stderr}");
}
