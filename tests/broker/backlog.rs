//! Backlogs under bad conditions: a partition far slower than the others, brokers that go away meanwhile, and frames that
//! keep coming.
#![allow(
    clippy::disallowed_methods,
    reason = "limits on waiting for other processes are real time"
)]

use crate::mock::cluster;
use crate::oracle::{Oracle, check_order, windows_of};
use crate::support::broker::Broker;
use crate::world::{Frame, Job, NOON, Published, SOON, seen, stop};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

const DAYS: u32 = 4;
const HOUR: u32 = 3_600;

/// A partition's frames over four days; one in fifty is up to five hours late in it.
fn days(partition: i32, n: u32) -> Vec<Frame> {
    let frame = |i: u32| {
        let now = NOON + (u64::from(i) * u64::from(DAYS * 24 * HOUR) / u64::from(n)) as u32;
        let late = if i > 50 && i.is_multiple_of(50) {
            i * 7_919 % (5 * HOUR)
        } else {
            0
        };
        seen(partition, i * 31 % 700, now - late)
    };
    (0..n).map(frame).collect()
}

/// Each window has one final, and records agree with the frames before their offsets; one in 150 is checked, because each
/// check goes through all frames.
fn assert_right(sent: &[Frame], windows: &[Published]) {
    let oracle = Oracle::of(sent);
    windows
        .iter()
        .step_by(150)
        .for_each(|r| oracle.check_window(r));
    let finals = check_order(windows);
    let all: Vec<_> = windows_of(sent).into_iter().collect();
    let found: Vec<_> = finals.keys().cloned().collect();
    assert_eq!(found, all, "a final for each window");
}

#[test]
fn a_partition_a_hundred_times_slower_than_the_others_costs_no_revision() {
    let (cluster, job) = cluster("mock-throttled", 4);
    // A fetch from the mock brings one batch, so one of 60 frames in 30 ms makes 2,000 frames a second at most.
    let slow = days(2, 2_400);
    let input = [(0, 1), (1, 1), (2, 3), (3, 2)].map(|(p, leader)| (&job.topic, p, leader));
    let outputs = [(&job.stats, 0, 1), (&job.windows, 0, 2)];
    for (topic, partition, leader) in input.into_iter().chain(outputs) {
        let led = cluster.partition_leader(topic, partition, Some(leader));
        led.expect("a leader");
    }
    let mut sent = [days(0, 20_000), days(1, 15_000)].concat();
    job.send(&sent);
    slow.chunks(60).for_each(|batch| job.send(batch));
    sent.extend(slow);
    let slowed = cluster.broker_round_trip_time(3, Duration::from_millis(30));
    slowed.expect("it can be slowed down");
    job.run_to_end(&["--every", "100ms"]);
    let (ticks, windows) = job.published();
    let others_end = ticks.iter().position(|tick| {
        let offsets = tick.offsets();
        offsets["0"] == 20_000 && offsets["1"] == 15_000
    });
    let others_end = others_end.expect("they come to their end");
    let halfway = &ticks[others_end / 2];
    assert!(ticks.len() > 10, "it takes a while: {} ticks", ticks.len());
    assert!(halfway.offsets()["2"] < 2_400, "{}", halfway.text);
    assert_right(&sent, &windows);
    let mut last: BTreeMap<_, &Published> = BTreeMap::new();
    for record in windows.iter().filter(|r| r.str("/state") != "provisional") {
        if let Some(before) = last.insert(record.window(), record) {
            // A frame that was on time in its own partition comes before the final.
            assert!(record.int("/late") > before.int("/late"), "{}", record.text);
        }
    }
    for tick in &ticks {
        let resident = tick.int("/process/resident_bytes");
        assert!(resident < 256 << 20, "{resident} bytes");
    }
}

#[test]
fn brokers_away_for_longer_than_the_idle_timeout_make_nothing_idle() {
    let (cluster, job) = cluster("mock-away", 2);
    let of = |partition: i32, from: u32, to: u32| {
        (from..to).map(move |i| seen(partition, i % 40, NOON + i))
    };
    // The second one is the slower: were it idle, three minutes would be closed without it.
    let first: Vec<_> = of(0, 0, 200).chain(of(1, 0, 50)).collect();
    job.send(&first);
    let mut service = job.start(&["--every", "200ms", "--idle-timeout", "4s"]);
    let mut ticks = job.ticks();
    ticks.until("the first frames", |tick| tick.reflected() == 250);
    (1..=3).for_each(|id| cluster.broker_down(id).expect("it goes down"));
    service.stderr_line("trying again", SOON);
    // An outage has a length, and nobody is there to ask meanwhile.
    let over = Instant::now() + Duration::from_secs(6);
    while Instant::now() < over {
        ticks.next(Duration::from_millis(500));
    }
    (1..=3).for_each(|id| cluster.broker_up(id).expect("it comes back"));
    service.stderr_line("answer again", SOON);
    // Time for the brokers to be asked once more; less than the timeout.
    (0..10).for_each(|_| drop(ticks.until("one more", |_| true)));
    let rest: Vec<_> = of(1, 50, 200).chain(of(0, 200, 260)).collect();
    job.send(&rest);
    ticks.until("all frames", |tick| tick.reflected() == 460);
    job.window_records().until("the first minute", |r| {
        r.is_final() && r.window() == ("minute".to_owned(), NOON.into())
    });
    stop(&mut service);
    let (_, windows) = job.published();
    let sent = [first, rest].concat();
    let oracle = Oracle::of(&sent);
    windows.iter().for_each(|r| oracle.check_window(r));
    for record in check_order(&windows).values() {
        assert!(!record.is_revised());
        if record.window().1 < i64::from(NOON) + 180 {
            assert_eq!(record.int("/frames"), 120, "{}", record.text);
        }
    }
    assert!(windows.iter().all(|r| !r.is_revised()), "none was early");
}

#[test]
fn a_backlog_flows_into_what_comes_without_a_seam() {
    let Some(broker) = Broker::shared() else {
        return;
    };
    let job = Job::with_topic(broker.address(), "seam", 2);
    let frame = |i: u32| seen((i % 2) as i32, i * 17 % 900, NOON + i * 2);
    let mut sent: Vec<_> = (0..40_000).map(frame).collect();
    job.send(&sent);
    let is_over = AtomicBool::new(false);
    let went_on = std::thread::scope(|scope| {
        let producer = scope.spawn(|| {
            let mut went_on = Vec::new();
            while !is_over.load(Ordering::Relaxed) {
                let from = 40_000 + went_on.len() as u32;
                let batch: Vec<_> = (from..from + 60).map(frame).collect();
                job.send(&batch);
                went_on.extend(batch);
            }
            went_on
        });
        let mut service = job.start(&["--every", "200ms"]);
        let mut ticks = job.ticks();
        ticks.until("the backlog, and more", |tick| tick.reflected() > 41_500);
        is_over.store(true, Ordering::Relaxed);
        let went_on = producer.join().expect("it sends what it has");
        let all = 40_000 + went_on.len() as i64;
        ticks.until("all frames", |tick| tick.reflected() == all);
        stop(&mut service);
        went_on
    });
    sent.extend(went_on);
    let (ticks, windows) = job.published();
    let oracle = Oracle::of(&sent);
    ticks.iter().for_each(|tick| oracle.check_tick(tick));
    windows.iter().for_each(|r| oracle.check_window(r));
    assert!(windows.iter().all(|r| !r.is_revised()), "none was early");
    let finals = check_order(&windows);
    let watermark = ticks.last().expect("a tick").int("/watermark");
    for (name, start) in windows_of(&sent) {
        let is_over = name == "minute" && start + 60 <= watermark;
        let is_there = finals.contains_key(&(name, start));
        assert!(is_there || !is_over, "the minute of {start}");
    }
}
