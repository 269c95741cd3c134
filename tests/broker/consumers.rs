//! Several consumers in one process: who reads and decodes has no say in what is counted.

use crate::support::broker::Broker;
use crate::support::kafka::{add_partitions, read_all};
use crate::support::process::{headcount, run_ok};
use crate::world::{Frame, Job, NOON, Published, Says, bad, seen, stop};
use std::collections::BTreeMap;
use tempfile::TempDir;

const PARTITIONS: i32 = 5;

/// Two hours over five partitions that are not alike: late frames, flipped bits, rubbish.
fn frames() -> Vec<Frame> {
    let frame = |n: u32| {
        let partition = (n * n % PARTITIONS as u32) as i32;
        let now = NOON + n / 4 + 100 * partition as u32;
        match n {
            n if n % 97 == 5 => bad(partition, "uid_missing", Some(b"{}")),
            n if n % 83 == 2 => bad(partition, "tombstone", None),
            n if n % 89 == 7 => seen(partition, n, now ^ (1 << (n % 29))),
            n if n % 61 == 3 => seen(partition, n % 50, now - n * 3 % 4_000),
            n => seen(partition, n * 7 % 900, now),
        }
    };
    (0..28_800).map(frame).collect()
}

/// What one run comes to: the digest of its state, and the numbers in the last word on each window.
type Outcome = (String, BTreeMap<String, [i64; 5]>);

/// Runs the job on topics of its own for the results, with a state of its own.
fn outcome(job: &Job, name: &str, options: &[&str]) -> Outcome {
    let job = Job {
        stats: format!("{}-{name}", job.topic),
        windows: format!("{}-{name}-windows", job.topic),
        ..job.clone()
    };
    let directory = TempDir::new().expect("a directory");
    let state = directory.path().display().to_string();
    let mut command = job.command(&["--state", &state, "--max-jump", "60s"]);
    // What is published has no part in this; without transactions it is over sooner.
    command.args(["--exclusive", "false"]);
    command.args(options);
    run_ok(command, b"");
    let mut digest = headcount();
    digest.args(["state", "digest", &state]);
    let words = job.window_records().up_to_now();
    let word = |record: &Published| {
        let (period, start) = record.window();
        let numbers = ["/users", "/lo", "/hi", "/frames", "/late"];
        (format!("{period} {start}"), numbers.map(|n| record.int(n)))
    };
    // What a flipped bit threw far behind may be forgotten earlier or later, as the partitions take turns.
    let kept = words.iter().filter(|r| r.window().1 >= i64::from(NOON));
    // In the order of their numbers, so that the last one on a window stays.
    (run_ok(digest, b"").0, kept.map(word).collect())
}

#[test]
fn the_same_bytes_for_any_number_of_consumers() {
    let Some(broker) = Broker::shared() else {
        return;
    };
    let job = Job::with_topic(broker.address(), "consumers", PARTITIONS);
    job.send(&frames());
    let to_end = outcome(&job, "1", &["-e"]);
    for (consumers, threads) in [("2", "1"), ("3", "2"), ("8", "5")] {
        let options = ["-e", "--consumers", consumers, "--threads", threads];
        assert_eq!(outcome(&job, consumers, &options), to_end, "{consumers}");
    }
    let until = ["--until", "0:2000,1:5000,3:0,4:4321"];
    let (stopped, _) = outcome(&job, "until-1", &until);
    assert_ne!(stopped, to_end.0);
    let by_three = [&until[..], &["--consumers", "3"]].concat();
    assert_eq!(outcome(&job, "until-3", &by_three).0, stopped);
}

#[test]
fn what_is_not_counted_is_put_aside_whole_whoever_read_it() {
    let Some(broker) = Broker::shared() else {
        return;
    };
    let job = Job::with_topic(broker.address(), "consumers-aside", PARTITIONS);
    let sent = frames();
    job.send(&sent);
    let aside = |consumers: &str| {
        let topics =
            ["rejects", "quarantine"].map(|kind| format!("{}-{kind}-{consumers}", job.topic));
        let options = [
            "--rejects-topic",
            &topics[0],
            "--quarantine-topic",
            &topics[1],
        ];
        let more = ["--consumers", consumers, "--max-jump", "60s"];
        job.run_to_end(&[&options[..], &more].concat());
        topics.map(|topic| {
            let records = read_all(broker.address(), &topic);
            let mut payloads: Vec<_> = records.into_iter().map(|record| record.payload).collect();
            payloads.sort();
            payloads
        })
    };
    let [rejected, quarantined] = aside("1");
    let is_bad = |frame: &&Frame| matches!(frame.says, Says::Rejected(_));
    let mut expected: Vec<_> = sent
        .iter()
        .filter(is_bad)
        .map(|f| f.payload.clone())
        .collect();
    expected.sort();
    assert_eq!(rejected, expected);
    assert!(!quarantined.is_empty(), "flipped bits");
    assert_eq!(aside("3"), [rejected, quarantined]);
}

#[test]
fn partitions_that_appear_are_shared_out() {
    let Some(broker) = Broker::shared() else {
        return;
    };
    let address = broker.address();
    let job = Job::with_topic(address, "consumers-live", 2);
    let per_partition = |partition: i32, minutes: std::ops::Range<u32>| -> Vec<Frame> {
        let frame = |n| seen(partition, n % 7, NOON + n * 60);
        minutes.map(frame).collect()
    };
    job.send(&per_partition(0, 0..100));
    job.send(&per_partition(1, 0..100));
    let options = [
        "--consumers",
        "3",
        "--every",
        "200ms",
        "--on-gap",
        "continue",
    ];
    let mut service = job.start(&options);
    let mut ticks = job.ticks();
    ticks.until("both partitions", |tick| tick.reflected() == 200);
    // Each of the four has a consumer: two of them have another one's thread.
    add_partitions(address, &job.topic, 4);
    job.send(&per_partition(2, 100..150));
    job.send(&per_partition(3, 100..150));
    ticks.until("four partitions", |tick| tick.reflected() == 300);
    ticks.until("no lag", |tick| {
        tick.value.pointer("/process/lag") == Some(&0.into())
    });
    stop(&mut service);
}
