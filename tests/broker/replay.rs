//! `headcount replay`: what is in the topic afterwards is what was in the file, whatever happens in between.

mod resuming;

use crate::mock::cluster;
use crate::support::broker::Broker;
use crate::support::kafka::{create_topic, high_watermarks, read_all};
use crate::support::process::{self, Service, headcount};
use crate::support::wait_until;
use crate::world::{NOON, SOON};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// A frame a line, each different.
fn lines(count: u32) -> Vec<String> {
    let line = |n: u32| {
        let (user, ts) = (n % 97, NOON + n / 100);
        let rest = "x".repeat(n as usize % 300);
        match n % 50 {
            0 => format!("no frame {n}"),
            _ => format!(r#"{{"n":{n},"uid":"u{user}","ts":{ts},"rest":"{rest}"}}"#),
        }
    };
    (0..count).map(line).collect()
}

fn file_of(dir: &Path, lines: &[String]) -> PathBuf {
    let path = dir.join("frames.jsonl");
    fs::write(&path, lines.join("\n") + "\n").unwrap();
    path
}

fn replay(address: &str, topic: &str, options: &[&str], file: &Path) -> Command {
    let mut command = headcount();
    command
        .args(["--log-format", "json", "replay", "-b", address, "-t", topic])
        .args(["--format", "json"])
        .args(options)
        .arg(file);
    command
}

/// The summary, and the last line of stderr.
struct Told {
    code: Option<i32>,
    summary: Value,
    stderr: String,
}

impl Told {
    fn of(output: Output) -> Told {
        let stdout = String::from_utf8(output.stdout).unwrap();
        let stderr = String::from_utf8(output.stderr).unwrap();
        let summary = serde_json::from_str(&stdout);
        Told {
            code: output.status.code(),
            summary: summary.unwrap_or_else(|why| panic!("{why}: {stdout}\n{stderr}")),
            stderr,
        }
    }

    fn run(command: Command) -> Told {
        Told::of(process::run(command, b""))
    }

    fn ok(command: Command) -> Value {
        let told = Told::run(command);
        assert_eq!(told.code, Some(0), "{}", told.stderr);
        told.summary
    }

    /// Waits for the end of a running one.
    fn await_end(service: &mut Service) -> Told {
        let status = service.wait(SOON);
        Told {
            code: status.code(),
            summary: serde_json::from_str(&service.stdout()).unwrap(),
            stderr: service.stderr(),
        }
    }

    fn complaint(&self) -> &str {
        self.stderr.lines().last().unwrap_or_default()
    }
}

/// The payloads of a topic, sorted.
fn held(address: &str, topic: &str) -> Vec<String> {
    let text = |bytes: Option<Vec<u8>>| String::from_utf8(bytes.unwrap()).unwrap();
    let records = read_all(address, topic).into_iter();
    let mut held: Vec<_> = records.map(|record| text(record.payload)).collect();
    held.sort_unstable();
    held
}

fn assert_holds(address: &str, topic: &str, lines: &[String]) {
    let mut expected = lines.to_vec();
    expected.sort_unstable();
    let held = held(address, topic);
    assert_eq!(held.len(), expected.len(), "frames in {topic}");
    assert!(held == expected, "frames in {topic} differ");
}

/// That within each partition the lines come in the order of the file.
fn assert_in_order(address: &str, topic: &str, lines: &[String]) {
    let number: BTreeMap<_, _> = lines.iter().map(String::as_bytes).zip(0..).collect();
    let records = read_all(address, topic);
    for pair in records
        .windows(2)
        .filter(|p| p[0].partition == p[1].partition)
    {
        let [before, after] = [&pair[0], &pair[1]].map(|r| number[r.payload.as_deref().unwrap()]);
        assert!(before < after, "line {after} comes after line {before}");
    }
}

#[test]
fn a_file_arrives_whole_and_in_order_however_it_is_packed_here_and_there() {
    let Some(broker) = Broker::shared() else {
        return;
    };
    let address = broker.address();
    let dir = tempfile::tempdir().unwrap();
    let lines = lines(4_000);
    let plain = file_of(dir.path(), &lines);
    let bytes = fs::read(&plain).unwrap();
    let gzip = dir.path().join("frames.gz");
    let mut encoder = flate2::write::GzEncoder::new(
        fs::File::create(&gzip).unwrap(),
        flate2::Compression::fast(),
    );
    encoder.write_all(&bytes).unwrap();
    encoder.finish().unwrap();
    let zstd = dir.path().join("frames.zst");
    fs::write(&zstd, zstd::encode_all(&bytes[..], 1).unwrap()).unwrap();
    for (compression, file, by) in [
        ("none", &plain, "uid"),
        ("gzip", &gzip, "round-robin"),
        ("snappy", &zstd, "uid"),
        ("lz4", &plain, "round-robin"),
        ("zstd", &gzip, "uid"),
    ] {
        let topic = format!("replay-{compression}");
        create_topic(address, &topic, 3, &[]);
        let options = ["--compression", compression, "--partition-by", by];
        let summary = Told::ok(replay(address, &topic, &options, file));
        for (field, expected) in [("lines", 4_000), ("sent", 4_000), ("acknowledged", 4_000)] {
            assert_eq!(summary[field], expected, "{compression}: {summary}");
        }
        let payload: usize = lines.iter().map(String::len).sum();
        assert_eq!(summary["bytes"], payload);
        assert_holds(address, &topic, &lines);
        assert_in_order(address, &topic, &lines);
        let ends = high_watermarks(address, &topic);
        assert!(ends.values().all(|end| *end > 100), "{ends:?}");
        if by == "round-robin" {
            assert_eq!(ends.into_values().collect::<Vec<_>>(), [1334, 1333, 1333]);
        }
    }
    let users = |partition: i32| {
        let records = read_all(address, "replay-none").into_iter();
        let own = records.filter(move |record| record.partition == partition);
        let frames = own.filter_map(|r| serde_json::from_slice::<Value>(&r.payload?).ok());
        let users = frames.map(|frame| frame["uid"].to_string());
        users.collect::<std::collections::BTreeSet<_>>()
    };
    assert!(users(0).is_disjoint(&users(1)) && users(1).is_disjoint(&users(2)));
}

#[test]
fn standard_input_is_sent_as_it_comes() {
    let Some(broker) = Broker::shared() else {
        return;
    };
    let lines = lines(1_000);
    let command = replay(
        broker.address(),
        "replay-stdin",
        &["--partitions", "2", "--skip", "10", "--frames", "900"],
        Path::new("-"),
    );
    let told = Told::of(process::run(command, lines.join("\r\n").as_bytes()));
    assert_eq!(told.code, Some(0), "{}", told.stderr);
    assert_eq!(told.summary["skipped"], 10);
    assert_eq!(told.summary["acknowledged"], 900);
    let sent: Vec<_> = lines[10..910].iter().map(|l| l.clone() + "\r").collect();
    assert_holds(broker.address(), "replay-stdin", &sent);
    let ends = high_watermarks(broker.address(), "replay-stdin");
    assert_eq!(ends.len(), 2, "it was created with two partitions");
}

#[test]
fn a_missing_topic_is_not_made_unless_told() {
    let Some(broker) = Broker::shared() else {
        return;
    };
    let dir = tempfile::tempdir().unwrap();
    let file = file_of(dir.path(), &lines(3));
    for _ in 0..2 {
        let command = replay(broker.address(), "replay-missing", &[], &file);
        let output = process::run(command, b"");
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(69), "{stderr}");
        assert!(
            stderr.contains("'replay-missing' does not exist"),
            "{stderr}"
        );
        assert!(stderr.contains("--partitions"), "{stderr}");
    }
}

#[test]
fn a_frame_too_large_is_refused_by_its_line_and_its_neighbours_are_not() {
    let Some(broker) = Broker::shared() else {
        return;
    };
    let address = broker.address();
    let dir = tempfile::tempdir().unwrap();
    let mut lines = lines(3_000);
    for n in [7, 8, 1_500, 2_999] {
        lines[n] = format!(r#"{{"uid":"a","n":{n},"x":"{}"}}"#, "y".repeat(5_000));
    }
    let file = file_of(dir.path(), &lines);
    // A batch of the usual size would be refused as a whole.
    create_topic(address, "replay-small", 2, &[("max.message.bytes", "4000")]);
    let options = ["--compression", "none", "--partition-by", "round-robin"];
    let told = Told::run(replay(address, "replay-small", &options, &file));
    assert_eq!(told.code, Some(74), "{}", told.stderr);
    assert_eq!(told.summary["refused"], 4);
    assert_eq!(told.summary["errors"]["too_large"], 4);
    assert_eq!(told.summary["acknowledged"], 2_996);
    for line in [8, 9, 1_501, 3_000] {
        let named = format!("the frame in line {line} is refused");
        assert!(told.stderr.contains(&named), "{}", told.stderr);
    }
    let complaint = told.complaint();
    assert!(complaint.contains("4 of 3000 frames"), "{complaint}");
    assert!(complaint.contains("the first in line 8;"), "{complaint}");
    let small: Vec<_> = lines.into_iter().filter(|l| l.len() < 4_000).collect();
    assert_holds(address, "replay-small", &small);
    assert_in_order(address, "replay-small", &small);
}

#[test]
fn a_topic_that_takes_no_frame_is_given_up_on() {
    let Some(broker) = Broker::shared() else {
        return;
    };
    let dir = tempfile::tempdir().unwrap();
    let file = file_of(dir.path(), &lines(5_000));
    create_topic(
        broker.address(),
        "replay-none-at-all",
        1,
        &[("max.message.bytes", "1")],
    );
    let told = Told::run(replay(broker.address(), "replay-none-at-all", &[], &file));
    assert_eq!(told.code, Some(74), "{}", told.stderr);
    let complaint = told.complaint();
    assert!(complaint.contains("frames in a row"), "{complaint}");
    assert_eq!(told.summary["acknowledged"], 0);
}

#[test]
fn rounds_go_on_in_time_until_the_frames_are_sent() {
    let Some(broker) = Broker::shared() else {
        return;
    };
    let address = broker.address();
    let dir = tempfile::tempdir().unwrap();
    let file = file_of(dir.path(), &lines(250));
    let options = ["--partitions", "1", "--loop", "--shift-to-now", "-n", "600"];
    let before = crate::world::unix_ms() / 1_000;
    let summary = Told::ok(replay(address, "replay-loop", &options, &file));
    assert_eq!(
        (&summary["sent"], &summary["rounds"]),
        (&600.into(), &3.into())
    );
    let after = crate::world::unix_ms() / 1_000;
    let records = read_all(address, "replay-loop");
    let frames = records
        .iter()
        .map(|r| serde_json::from_slice::<Value>(r.payload.as_ref()?).ok());
    let times: Vec<_> = frames.map(|frame| frame?["ts"].as_i64()).collect();
    let first = times[1].unwrap();
    assert!((before..=after).contains(&first), "{first}");
    let expected = |n: usize| {
        let (round, line) = (n / 250, n % 250);
        // Each round takes three seconds: its frames have three.
        (line % 50 != 0).then_some(first + 3 * round as i64 + line as i64 / 100)
    };
    for (n, ts) in times.iter().enumerate() {
        assert_eq!(*ts, expected(n), "frame {n}");
    }
    // An empty file has no rounds.
    let empty = dir.path().join("empty");
    fs::write(&empty, "").unwrap();
    let summary = Told::ok(replay(address, "replay-loop", &["--loop"], &empty));
    assert_eq!(summary["sent"], 0);
}

#[test]
fn a_loop_ends_cleanly_when_it_is_told_to_and_a_file_says_where() {
    let Some(broker) = Broker::shared() else {
        return;
    };
    let address = broker.address();
    let dir = tempfile::tempdir().unwrap();
    let lines = lines(300);
    let file = file_of(dir.path(), &lines);
    create_topic(address, "replay-ended", 2, &[]);
    for (options, code) in [(&["--loop", "-r", "500"][..], 0), (&["-r", "20"][..], 130)] {
        let mut service = Service::spawn(replay(address, "replay-ended", options, &file));
        let before: i64 = high_watermarks(address, "replay-ended").into_values().sum();
        wait_until(SOON, "frames arrive", || {
            let now: i64 = high_watermarks(address, "replay-ended").into_values().sum();
            (now > before + 5).then_some(())
        });
        service.signal("INT");
        let told = Told::await_end(&mut service);
        assert_eq!(told.code, Some(code), "{}", told.stderr);
        assert_eq!(told.summary["outcome"], "interrupted");
        assert_eq!(told.summary["in_doubt"], 0);
        let sent = &told.summary["acknowledged"];
        if code == 130 {
            let where_to = format!("interrupted after line {sent}: {sent} of {sent} frames sent");
            assert!(told.complaint().contains(&where_to), "{}", told.complaint());
            assert!(told.complaint().contains(&format!("--skip {sent}")));
        }
    }
}

#[test]
fn errors_that_pass_cost_nothing_and_a_lack_of_rights_ends_it() {
    use rdkafka::mocking::MockCluster;
    use rdkafka::types::{RDKafkaApiKey, RDKafkaRespErr as E};
    let dir = tempfile::tempdir().unwrap();
    let lines = lines(500);
    let file = file_of(dir.path(), &lines);
    let cluster = MockCluster::new(3).unwrap();
    let address = cluster.bootstrap_servers();
    for topic in ["passing", "denied"] {
        cluster.create_topic(topic, 2, 3).unwrap();
    }
    let passing = [E::RD_KAFKA_RESP_ERR_NOT_ENOUGH_REPLICAS; 6];
    cluster.request_errors(RDKafkaApiKey::Produce, &passing);
    let summary = Told::ok(replay(&address, "passing", &[], &file));
    assert_eq!(summary["acknowledged"], 500);
    assert_holds(&address, "passing", &lines);
    let denied = [E::RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED; 20];
    cluster.request_errors(RDKafkaApiKey::Produce, &denied);
    let told = Told::run(replay(&address, "denied", &[], &file));
    assert_eq!(told.code, Some(74), "{}", told.stderr);
    let complaint = told.complaint();
    assert!(
        complaint.contains("no right to write to topic 'denied'"),
        "{complaint}"
    );
    assert_eq!(told.summary["outcome"], "failed");
}

#[test]
fn a_loop_that_leaves_frames_in_doubt_does_not_end_cleanly() {
    let (cluster, job) = cluster("replay-doubt", 1);
    let dir = tempfile::tempdir().unwrap();
    let file = file_of(dir.path(), &lines(300));
    let options = ["--loop", "-r", "300"];
    let mut service = Service::spawn(replay(&job.address, &job.topic, &options, &file));
    wait_until(SOON, "frames arrive", || {
        let there: i64 = high_watermarks(&job.address, &job.topic)
            .into_values()
            .sum();
        (there > 10).then_some(())
    });
    drop(cluster);
    service.stderr_line("no acknowledgement for 5 s", SOON);
    service.signal("INT");
    let told = Told::await_end(&mut service);
    assert_eq!(told.code, Some(130), "{}", told.stderr);
    assert!(told.summary["in_doubt"].as_u64().unwrap() > 0);
    assert!(told.complaint().contains("--resume"), "{}", told.stderr);
}

#[test]
fn a_pipe_that_nobody_writes_to_does_not_hinder_the_end() {
    let (_cluster, job) = cluster("replay-pipe", 1);
    let dir = tempfile::tempdir().unwrap();
    let pipe = dir.path().join("pipe");
    let made = Command::new("mkfifo").arg(&pipe).status().unwrap();
    assert!(made.success());
    let mut service = Service::spawn(replay(&job.address, &job.topic, &[], &pipe));
    let threads = format!("/proc/{}/task", service.id());
    wait_until(SOON, "the pipe is opened beside everything else", || {
        let threads = fs::read_dir(&threads).ok()?.flatten();
        let mut names = threads.filter_map(|t| fs::read_to_string(t.path().join("comm")).ok());
        names.find(|name| name.trim() == "reader")
    });
    service.signal("TERM");
    let told = Told::await_end(&mut service);
    assert_eq!(told.code, Some(130), "{}", told.stderr);
}

#[test]
fn what_comes_before_the_tear_of_an_archive_is_sent_and_the_tear_is_told() {
    let Some(broker) = Broker::shared() else {
        return;
    };
    let dir = tempfile::tempdir().unwrap();
    let lines = lines(20_000);
    let text = lines.join("\n");
    let packed = zstd::encode_all(text.as_bytes(), 1).unwrap();
    let torn = dir.path().join("torn.zst");
    fs::write(&torn, &packed[..packed.len() * 2 / 3]).unwrap();
    let options = ["--partitions", "1"];
    let told = Told::run(replay(broker.address(), "replay-torn", &options, &torn));
    assert_eq!(told.code, Some(65), "{}", told.stderr);
    assert!(told.complaint().contains("transfer it again"));
    let sent = told.summary["acknowledged"].as_u64().unwrap() as usize;
    assert!(sent > 1_000, "{}", told.summary);
    assert_eq!(told.summary["in_doubt"], 0);
    assert_holds(broker.address(), "replay-torn", &lines[..sent]);
}
