//! What a service manager hears: when the service is up, how it fares, that it goes on, and nothing any more once a part of it
//! is stuck.

use crate::mock::{Cluster, batch, cluster};
use crate::support::process::Service;
use crate::support::supervisor::Ear;
use crate::world::{Job, SOON, stop};
use std::time::Duration;

const WATCHDOG: Duration = Duration::from_secs(2);

/// A service under the eyes of a supervisor.
fn watched(job: &Job, options: &[&str], failpoint: Option<&str>) -> (Service, Ear) {
    let ear = Ear::new();
    let mut command = job.command(options);
    ear.watch(&mut command, WATCHDOG);
    if let Some(failpoint) = failpoint {
        command.env("HEADCOUNT_FAILPOINT", failpoint);
    }
    (Service::spawn(command), ear)
}

/// The watchdog must have been fed all the while: never longer than half of its time, and what a busy machine needs, apart.
fn fed(ear: &mut Ear, times: usize) {
    for _ in 0..times {
        ear.until("WATCHDOG=1", 2 * WATCHDOG);
    }
}

fn is_fed(words: &[String]) -> bool {
    words.iter().any(|word| word == "WATCHDOG=1")
}

fn mock(name: &str) -> (Cluster, Job) {
    let (cluster, job) = cluster(name, 2);
    job.send(&batch(0, 2));
    (cluster, job)
}

#[test]
fn it_is_ready_once_it_reads_and_not_before_however_long_the_brokers_are_away() {
    let (cluster, job) = mock("watched-ready");
    for id in 1..=3 {
        cluster.broker_down(id).expect("it goes down");
    }
    let (mut service, mut ear) = watched(&job, &["--every", "200ms"], None);
    assert_eq!(
        ear.until("EXTEND_TIMEOUT_USEC=", SOON),
        "EXTEND_TIMEOUT_USEC=30000000"
    );
    let status = ear.until("STATUS=The brokers", SOON);
    assert!(status.contains("out of reach"), "{status}");

    for id in 1..=3 {
        cluster.broker_up(id).expect("it comes back");
    }
    ear.until("READY=1", SOON);
    let before: Vec<_> = ear.heard.iter().filter(|w| *w == "WATCHDOG=1").collect();
    assert!(before.is_empty(), "{:#?}", ear.heard);
    // The partitions are known, and what is in them will be read.
    service.stderr_line("\"reading\"", SOON);
    let status = ear.until("STATUS=Counting: ", SOON);
    assert!(status.contains(" frames read"), "{status}");
    fed(&mut ear, 3);
    stop(&mut service);
    ear.until("STOPPING=1", SOON);
    let ready = ear.heard.iter().filter(|word| *word == "READY=1");
    assert_eq!(ready.count(), 1);
}

#[test]
fn a_topic_that_is_missing_is_waited_for() {
    let cluster = Cluster::new(1).expect("a mock cluster");
    let job = Job::new(&cluster.bootstrap_servers(), "watched-missing");
    for topic in [&job.stats, &job.windows] {
        cluster.create_topic(topic, 1, 1).expect("a topic");
    }
    let (mut service, mut ear) = watched(&job, &["--every", "200ms"], None);
    ear.until("STATUS=The brokers or the input topic", SOON);
    assert!(!ear.heard.contains(&"READY=1".to_owned()));
    cluster
        .create_topic(&job.topic, 1, 1)
        .expect("the input topic");
    ear.until("READY=1", SOON);
    stop(&mut service);
}

#[test]
fn brokers_that_go_away_or_fall_silent_do_not_starve_the_watchdog() {
    let (cluster, job) = mock("watched-outage");
    let (mut service, mut ear) = watched(&job, &["--every", "200ms"], None);
    ear.until("READY=1", SOON);
    job.ticks()
        .until("the first frames", |tick| tick.reflected() == 60);
    for id in 1..=3 {
        cluster.broker_down(id).expect("it goes down");
    }
    ear.until("STATUS=The brokers", SOON);
    fed(&mut ear, 4);
    for id in 1..=3 {
        cluster.broker_up(id).expect("it comes back");
    }
    ear.until("STATUS=Counting: ", SOON);
    // They take what is asked and never answer.
    let for_ever = Duration::from_secs(1_000);
    cluster
        .broker_round_trip_time(-1, for_ever)
        .expect("a mock broker can hang");
    fed(&mut ear, 6);
    stop(&mut service);
}

#[test]
fn whoever_stands_by_is_up() {
    let (_cluster, job) = mock("watched-rivals");
    let (mut first, mut ear) = watched(&job, &["--every", "200ms"], None);
    ear.until("READY=1", SOON);
    job.ticks().until("the first one publishes", |_| true);
    let (mut second, mut its_ear) = watched(&job, &["--every", "200ms"], None);
    its_ear.until("READY=1", SOON);
    second.stderr_line("standing by", SOON);
    its_ear.until("STATUS=Standing by", SOON);
    fed(&mut its_ear, 2);
    stop(&mut first);
    its_ear.until("STATUS=Counting: ", SOON);
    stop(&mut second);
}

#[test]
fn a_thread_that_is_stuck_starves_the_watchdog() {
    for (failpoint, thread) in [
        ("worker_turn:40:hang", Some("shard-")),
        ("report:20:hang", Some("reporter")),
        ("tick:20:hang", None),
    ] {
        let name = format!("watched-{}", failpoint.replace([':', '_'], "-"));
        let (_cluster, job) = mock(&name);
        let options = ["--every", "200ms", "--threads", "2"];
        let (mut service, mut ear) = watched(&job, &options, Some(failpoint));
        ear.until("READY=1", SOON);
        fed(&mut ear, 1);
        match thread {
            Some(thread) => {
                let line = service.stderr_line("a thread is stuck", SOON);
                assert!(line.contains(thread), "{line}");
                ear.until(&format!("STATUS=Thread {thread}"), SOON);
            }
            // It is the one that would say so: wait until it is silent for the watchdog's whole time.
            None => while is_fed(&ear.listen(WATCHDOG)) {},
        }
        let words = ear.listen(2 * WATCHDOG);
        assert!(!is_fed(&words), "{failpoint}: {words:?}");
        assert!(
            service.ended().is_none(),
            "it is the supervisor who ends it"
        );
    }
}
