//! The service on a mock cluster in memory, which can do what no broker of ours would on demand: fail and hang.
//!
//! A mock partition keeps 5 MiB or 100,000 records and forgets what is older, so the streams here are small.

use crate::oracle::{Oracle, check_order, windows_of};
use crate::support::process::Service;
use crate::support::wait_until;
use crate::world::{Frame, Job, NOON, Published, SOON, Tail, bad, log_lines, seen, stop};
use headcount::limits::{ASIDE_IN_FLIGHT_FRAMES, FRAMES_PER_ROUND};
use rdkafka::mocking::{MockCluster, MockCoordinator};
use rdkafka::producer::DefaultProducerContext;
use rdkafka::types::{RDKafkaApiKey, RDKafkaRespErr};
use std::time::Duration;

pub type Cluster = MockCluster<'static, DefaultProducerContext>;

/// A cluster of three with the topics of a job: the mock does not create any at a client's wish.
pub fn cluster(name: &str, partitions: i32) -> (Cluster, Job) {
    let cluster = MockCluster::new(3).expect("a mock cluster");
    let job = Job::new(&cluster.bootstrap_servers(), name);
    for (topic, partitions) in [(&job.topic, partitions), (&job.stats, 1), (&job.windows, 1)] {
        cluster.create_topic(topic, partitions, 3).expect("a topic");
    }
    (cluster, job)
}

/// Twenty seconds of event time a batch.
pub fn batch(number: u32, partitions: u32) -> Vec<Frame> {
    let frame = |n: u32| {
        let partition = (n % partitions) as i32;
        match n {
            33 => bad(partition, "uid_missing", Some(b"{}")),
            _ => seen(
                partition,
                (number * 13 + n) % 170,
                NOON + number * 20 + n / 3,
            ),
        }
    };
    (0..60).map(frame).collect()
}

/// Sends batch after batch, paced by the ticks, until so many ticks have come; gives what was sent.
fn feed(job: &Job, from: u32, partitions: u32, ticks: &mut Tail, until: usize) -> Vec<Frame> {
    let mut sent = Vec::new();
    for number in from.. {
        if ticks.seen.len() >= until {
            break;
        }
        let frames = batch(number, partitions);
        job.send(&frames);
        sent.extend(frames);
        ticks.next(Duration::from_millis(150));
    }
    sent
}

fn assert_exact(sent: &[Frame], job: &Job) -> Vec<Published> {
    let (ticks, windows) = job.published();
    let oracle = Oracle::of(sent);
    ticks.iter().for_each(|tick| oracle.check_tick(tick));
    windows
        .iter()
        .for_each(|record| oracle.check_window(record));
    let finals = check_order(&windows);
    let watermark = ticks.last().expect("a tick").int("/watermark");
    let over = |(name, start): &(String, i64)| name == "minute" && start + 60 <= watermark;
    let minutes: Vec<_> = windows_of(sent).into_iter().filter(over).collect();
    assert!(minutes.iter().all(|minute| finals.contains_key(minute)));
    ticks
}

#[test]
fn a_topic_without_frames_has_ticks_too() {
    let (_cluster, job) = cluster("mock-idle", 2);
    let mut service = job.start(&["--every", "300ms"]);
    let mut ticks = job.ticks();
    for number in 1..=2 {
        let tick = ticks.until("a tick", |_| true);
        assert_eq!(tick.int("/tick"), number);
        assert_eq!(tick.int("/frames/read"), 0);
        assert_eq!(tick.int("/users_last_year"), 0);
        assert!(tick.get("/as_of").is_null(), "{tick:?}");
    }
    // What is read later is no matter of a beat that was missed.
    job.send(&batch(0, 2));
    ticks.until("all frames", |tick| tick.int("/frames/read") == 60);
    stop(&mut service);
}

#[test]
fn every_record_is_the_exact_count_at_its_offsets() {
    for partitions in [1, 4] {
        let (_cluster, job) = cluster("mock-live", partitions as i32);
        let mut sent = batch(0, partitions);
        job.send(&sent);
        let mut service = job.start(&["--every", "400ms", "--threads", "2"]);
        let mut ticks = job.ticks();
        sent.extend(feed(&job, 1, partitions, &mut ticks, 8));
        ticks.until("all frames", |tick| tick.reflected() == sent.len() as i64);
        stop(&mut service);
        let ticks = assert_exact(&sent, &job);
        let beat = |pair: &[Published]| pair[1].ms("/emitted_at") - pair[0].ms("/emitted_at");
        let mut beats: Vec<_> = ticks[..ticks.len() - 1].windows(2).map(beat).collect();
        beats.sort_unstable();
        let median = beats[beats.len() / 2];
        assert!((300..=500).contains(&median), "{beats:?} ms");
    }
}

#[test]
fn errors_of_the_brokers_in_mid_stream_cost_nothing() {
    use RDKafkaRespErr as E;
    let (cluster, job) = cluster("mock-errors", 2);
    let mut sent = batch(0, 2);
    job.send(&sent);
    let mut service = job.start(&["--every", "200ms"]);
    let mut ticks = job.ticks();
    ticks.until("the first frames", |tick| tick.reflected() == 60);
    // The test's own clients take their part of the errors.
    for (number, (api, error)) in (1..).zip([
        (
            RDKafkaApiKey::Fetch,
            E::RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION,
        ),
        (RDKafkaApiKey::Fetch, E::RD_KAFKA_RESP_ERR__TRANSPORT),
        (
            RDKafkaApiKey::Produce,
            E::RD_KAFKA_RESP_ERR_NOT_ENOUGH_REPLICAS,
        ),
        // No cut connection here: the mock acknowledges the second try without having kept the records of the first.
        (RDKafkaApiKey::Metadata, E::RD_KAFKA_RESP_ERR__TRANSPORT),
    ]) {
        let frames = batch(number, 2);
        cluster.request_errors(api, &[error; 6]);
        job.send(&frames);
        sent.extend(frames);
        ticks.until("more frames", |tick| tick.reflected() == sent.len() as i64);
    }
    stop(&mut service);
    assert_exact(&sent, &job);
}

#[test]
fn an_offset_that_a_broker_disowns_in_error_is_read_all_the_same() {
    for consumers in ["1", "2"] {
        read_although_disowned(consumers);
    }
}

fn read_although_disowned(consumers: &str) {
    let (cluster, job) = cluster(&format!("mock-offset-{consumers}"), 1);
    let mut sent = batch(0, 1);
    job.send(&sent);
    let mut service = job.start(&["--every", "200ms", "--consumers", consumers]);
    // No other consumer is there that could take the error in its place; the last frame tells when it was read.
    service.stderr_line("frame rejected", SOON);
    // As a new leader does that has not caught up.
    let disowned = RDKafkaRespErr::RD_KAFKA_RESP_ERR_OFFSET_OUT_OF_RANGE;
    cluster.request_errors(RDKafkaApiKey::Fetch, &[disowned; 3]);
    let frames = batch(1, 1);
    job.send(&frames);
    sent.extend(frames);
    service.stderr_line("frame rejected", SOON);
    let stderr = stop(&mut service);
    assert_exact(&sent, &job);
    assert_eq!(log_lines(&stderr, "frames are gone").len(), 0, "{stderr}");
}

/// A service with a tick under way to a broker that has fallen silent.
#[test]
fn a_topic_for_rejected_frames_that_takes_nothing_holds_reading_back_and_the_log_says_so() {
    let (cluster, job) = cluster("mock-aside", 1);
    let aside = "mock-aside-rejects";
    cluster.create_topic(aside, 1, 1).expect("a topic");
    for (topic, leader) in [
        (job.topic.as_str(), 1),
        (&job.stats, 1),
        (&job.windows, 1),
        (aside, 3),
    ] {
        let led = cluster.partition_leader(topic, 0, Some(leader));
        led.expect("a leader");
        let publisher = MockCoordinator::Transaction(format!("headcount/{}/{topic}", job.topic));
        cluster.coordinator(publisher, 1).expect("a coordinator");
    }
    cluster.broker_down(3).expect("it goes down");
    let broken = ASIDE_IN_FLIGHT_FRAMES as usize + 10 * FRAMES_PER_ROUND;
    let mut sent: Vec<_> = (0..broken).map(|_| bad(0, "json", Some(b"{"))).collect();
    sent.extend(batch(0, 1));
    job.send(&sent);
    let mut service = job.start(&["--every", "100ms", "--rejects-topic", aside]);
    service.stderr_line("reading waits for it", SOON);
    let held_back = job.ticks().until("what was read", |_| true).reflected();
    assert!(held_back < broken as i64, "{held_back} of {broken}");
    cluster.broker_up(3).expect("it comes back");
    let all = sent.len() as i64;
    job.ticks()
        .until("all frames", |tick| tick.reflected() == all);
    let stderr = stop(&mut service);
    assert!(log_lines(&stderr, "could not be put aside").is_empty());
    assert_exact(&sent, &job);
}

fn silenced(name: &str) -> (Cluster, Service) {
    let (cluster, job) = cluster(name, 1);
    job.send(&batch(0, 1));
    let service = job.start(&["--every", "100ms"]);
    job.ticks()
        .until("the first frames", |tick| tick.reflected() == 60);
    let for_ever = Duration::from_secs(1_000);
    cluster
        .broker_round_trip_time(-1, for_ever)
        .expect("a mock broker can hang");
    (cluster, service)
}

#[test]
fn a_broker_that_hangs_does_not_hinder_the_end() {
    let (_cluster, mut service) = silenced("mock-hang");
    let stderr = stop(&mut service);
    assert_eq!(log_lines(&stderr, "stopped").len(), 1, "{stderr}");
}

#[test]
fn a_second_signal_ends_it_at_once() {
    let (_cluster, mut service) = silenced("mock-twice");
    service.terminate();
    // Signals within `ONE_SIGNAL_MS` are one, so the second one is sent until it is taken for one.
    let status = wait_until(Duration::from_secs(2), "it leaves", || {
        service.terminate();
        service.ended()
    });
    assert_eq!(status.code(), Some(130));
}
