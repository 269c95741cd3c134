//! Backlogs on a real broker: one partition far slower than the others, brokers that are away, history that flows into
//! what is sent now.

#![allow(
    clippy::disallowed_methods,
    reason = "limits on waiting for other processes are real time"
)]

use crate::mock::cluster;
use crate::oracle::{Oracle, check_order, windows_of};
use crate::support::broker::Broker;
use crate::support::kafka::{Record, read_all};
use crate::support::process::Service;
use crate::support::wait_until;
use crate::world::{Frame, Job, NOON, Published, SOON, Says, log_lines, seen, stop};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::mpsc::{self, TryRecvError};
use std::time::{Duration, Instant};

type Window = (String, i64);

/// What a window holds in the end.
#[derive(Debug, Default, PartialEq, Eq)]
struct Held {
    users: i64,
    frames: i64,
    late: i64,
}

/// What each window holds when all of these were counted, each partition in this order.
fn truth(sent: &[Frame]) -> BTreeMap<Window, Held> {
    let mut clocks: BTreeMap<i32, u32> = BTreeMap::new();
    let mut users: HashSet<(Window, &str)> = HashSet::new();
    let mut truth: BTreeMap<Window, Held> = BTreeMap::new();
    for frame in sent {
        let Says::Seen { user, ts } = &frame.says else {
            continue;
        };
        let clock = clocks.entry(frame.partition).or_insert(*ts);
        *clock = (*clock).max(*ts);
        for window in windows_of(std::slice::from_ref(frame)) {
            let held = truth.entry(window.clone()).or_default();
            held.frames += 1;
            // Behind the default lateness.
            held.late += i64::from(ts + 5 < *clock);
            held.users += i64::from(users.insert((window, user)));
        }
    }
    truth
}

/// The last record of each window that is not provisional tells the truth.
fn check_last_words(windows: &[Published], truth: &BTreeMap<Window, Held>) {
    let words = windows.iter().filter(|r| r.str("/state") != "provisional");
    let last: BTreeMap<_, _> = words.map(|record| (record.window(), record)).collect();
    for (window, record) in last {
        let held = Held {
            users: record.int("/users"),
            frames: record.int("/frames"),
            late: record.int("/late"),
        };
        assert_eq!(held, truth[&window], "{window:?}");
        // So few users are counted exactly.
        assert_eq!(record.int("/lo"), held.users, "{}", record.text);
        assert_eq!(record.int("/hi"), held.users, "{}", record.text);
    }
}

/// No revision but for a frame that came late behind the clock of its own partition: gives how many there were.
fn check_revisions(windows: &[Published]) -> usize {
    let mut late: BTreeMap<Window, i64> = BTreeMap::new();
    let mut revisions = 0;
    for record in windows.iter().filter(|r| r.str("/state") != "provisional") {
        let before = late.insert(record.window(), record.int("/late"));
        if record.is_revised() {
            revisions += 1;
            assert!(before < Some(record.int("/late")), "{}", record.text);
        }
    }
    revisions
}

/// The most memory that a process has had; nothing when it has ended.
fn peak_kib(id: u32) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{id}/status")).ok()?;
    let line = status.lines().find_map(|l| l.strip_prefix("VmHWM:"))?;
    line.trim().strip_suffix(" kB")?.parse().ok()
}

/// Runs to the end of the topic; gives the most memory that was seen in use.
fn peak_kib_of_a_run_to_the_end(job: &Job, options: &[&str]) -> u64 {
    let options = [options, &["-e"]].concat();
    let mut service = Service::spawn(job.command(&options));
    let mut peak = 0;
    let status = wait_until(Duration::from_secs(90), "everything is counted", || {
        peak = peak_kib(service.id()).unwrap_or(0).max(peak);
        service.ended()
    });
    assert!(status.success(), "{status}:\n{}", service.stderr());
    peak
}

const TWENTY_DAYS_S: u32 = 20 * 86_400;

/// Twenty days in `n` frames; one in ten was a minute to five hours on its way, which is less than minutes are kept.
fn twenty_days(partition: i32, n: u32) -> impl Iterator<Item = (u32, u32)> {
    let mut state = partition as u32 + 1;
    let mut dice = move || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        state >> 8
    };
    (0..n).map(move |i| {
        let ts = NOON + (u64::from(i) * u64::from(TWENTY_DAYS_S) / u64::from(n)) as u32;
        let delay = 60 + dice() % (5 * 3_600 - 60);
        let is_late = dice() % 10 == 0;
        (dice() % 300, if is_late { ts - delay } else { ts })
    })
}

/// A frame of about this many bytes.
fn padded(partition: i32, user: u32, ts: u32, bytes: usize) -> Frame {
    let mut frame = seen(partition, user, ts);
    let pad = "x".repeat(bytes);
    frame.payload = Some(format!(r#"{{"pad":"{pad}","uid":"{user}","ts":{ts}}}"#).into_bytes());
    frame
}

/// How many frames each of the small partitions holds, and the slow one.
const SMALL: u32 = 15_000;
const LARGE: u32 = 2_750;

/// Four partitions, of which the second is empty. A broker hands out partitions in equal shares of bytes, so the third,
/// whose twenty days take a hundred times as many bytes, comes a hundred times slower than the others.
fn one_is_slow() -> Vec<Frame> {
    let small = |p: i32| twenty_days(p, SMALL).map(move |(user, ts)| seen(p, user, ts));
    let large = twenty_days(2, LARGE).map(|(user, ts)| padded(2, user, ts, 40_000));
    small(0).chain(small(3)).chain(large).collect()
}

/// How much of the slow partition the ticks reflect when the small ones are read to their ends.
fn read_of_the_slow_one(ticks: &[Published]) -> f64 {
    let offsets = ticks.iter().map(Published::offsets);
    let small = i64::from(SMALL);
    let mut then = offsets.filter(|at| at["0"] == small && at["3"] == small);
    then.next().expect("the last tick")["2"] as f64 / f64::from(LARGE)
}

#[test]
fn a_partition_a_hundred_times_slower_than_the_others_costs_no_revision() {
    let Some(broker) = Broker::shared() else {
        return;
    };
    let topic = Job::with_topic(broker.address(), "slow", 4);
    let sent = one_is_slow();
    topic.send(&sent);
    let truth = truth(&sent);
    let mut slow = Vec::new();
    // Apart as far as they please, then kept together: that changes the order of reading, never what is counted.
    for (skew, consumers) in [("366d", "1"), ("6h", "1"), ("6h", "3")] {
        let job = Job {
            stats: format!("slow-{skew}-{consumers}"),
            windows: format!("slow-{skew}-{consumers}-windows"),
            ..topic.clone()
        };
        let together = ["--max-skew", skew, "--consumers", consumers];
        let clock = [&together[..], &["--max-jump", "60s"]].concat();
        let options = [&clock[..], &["--every", "100ms", "--threads", "2"]].concat();
        let peak_kib = peak_kib_of_a_run_to_the_end(&job, &options);
        let (ticks, windows) = job.published();
        let finals = check_order(&windows);
        assert!(finals.keys().eq(truth.keys()), "one final for each window");
        check_last_words(&windows, &truth);
        assert!(check_revisions(&windows) > 0, "frames came hours late");
        assert!((1..256 << 10).contains(&peak_kib), "{peak_kib} KiB");
        slow.push(read_of_the_slow_one(&ticks));
    }
    // A tick may come a while after the others have ended, and the hand on the brake grips a few rounds late.
    assert!(slow[0] < 0.4, "it is not slow: {slow:?}");
    assert!(slow[1] > 0.6, "the others did not wait: {slow:?}");
    assert!(slow[2] > 0.6, "those of other consumers did not: {slow:?}");
}

/// Frames at the turn of the minute after `NOON`, none of them late: the clock of the first three partitions is a few
/// seconds beyond it and that of the last one behind, so the minute stays open, but not for long once time walks.
fn at_the_turn() -> Vec<Frame> {
    let frame = |n: u32| match n % 4 {
        3 => seen(3, n, NOON + 50),
        p => seen(p as i32, n, NOON + 59 + n / 20 * 4),
    };
    (0..40).map(frame).collect()
}

/// The frames of a topic in the order in which they came there: two producers agree on none.
fn as_written(job: &Job) -> Vec<Frame> {
    let records = read_all(&job.address, &job.topic).into_iter();
    let frame = |record: Record| {
        let payload = record.payload.expect("a frame");
        let value: Value = serde_json::from_slice(&payload).expect("a JSON text");
        let user = value["uid"].as_str().expect("a user");
        let ts = value["ts"].as_u64().expect("a second") as u32;
        seen(record.partition, user, ts)
    };
    records.map(frame).collect()
}

#[test]
fn brokers_away_for_longer_than_the_idle_timeout_make_nothing_idle() {
    let Some(broker) = Broker::start("silent") else {
        return;
    };
    let job = Job::with_topic(broker.address(), "silent", 4);
    let turn = at_the_turn();
    job.send(&turn);
    let mut service = job.start(&["--every", "500ms", "--idle-timeout", "1s"]);
    let mut ticks = job.ticks();
    // When this is dropped, also by a test that fails, the producer ends.
    let (go_on, told) = mpsc::channel::<()>();
    let batches = std::thread::scope(|scope| {
        // The partitions are busy until the broker dies, and have frames under way while it is dead.
        let producer = scope.spawn(|| {
            let until_told = (1..).inspect(|_| job.send(&turn));
            let told = told;
            let mut batches =
                until_told.skip_while(|_| told.try_recv() == Err(TryRecvError::Empty));
            batches.next().expect("there is no end of numbers")
        });
        let go_on = go_on;
        ticks.until("some of them", |tick| tick.reflected() > 200);
        broker.kill();
        // It takes five seconds, more than the timeout and the rest of the minute.
        broker.restart();
        // The old producer waits longer between its tries than the timeout: that would be users who are silent.
        let mut again = 0;
        wait_until(SOON, "it hears from the brokers", || {
            job.send(&turn);
            again += 1;
            service.stderr().contains("answer again").then_some(())
        });
        drop(go_on);
        again + producer.join().expect("it gets all frames through")
    });
    let beyond: Vec<_> = (0..80).map(|n| seen(n % 4, n, NOON + 70)).collect();
    job.send(&beyond);
    let sent = (1 + batches) * turn.len() + beyond.len();
    ticks.until("all frames", |tick| tick.reflected() == sent as i64);
    let stderr = stop(&mut service);
    let written = as_written(&job);
    assert_eq!(written.len(), sent);
    let oracle = Oracle::of(&written);
    let (ticks, windows) = job.published();
    ticks.iter().for_each(|tick| oracle.check_tick(tick));
    windows.iter().for_each(|r| oracle.check_window(r));
    let finals: Vec<_> = check_order(&windows).into_values().collect();
    assert_eq!(finals.len(), 1, "{finals:?}");
    assert_eq!(finals[0].str("/closed_by"), "event_time");
    assert!(windows.iter().all(|r| !r.is_revised()), "a revision");
    let away = log_lines(&stderr, "trying again");
    assert_eq!(away.len(), 1, "{stderr}");
}

/// When the history ends and the present begins.
const SEAM: u32 = NOON + 2 * 86_400;

/// Two days up to the seam. The frames of the last partition are large, so it comes there last.
fn history() -> Vec<Frame> {
    let days = |n: u32| (0..n).map(move |i| (i * 7 % 300, NOON + i * (172_800 / n)));
    let small = |p: i32| days(9_600).map(move |(user, ts)| seen(p, user, ts));
    let large = days(2_400).map(|(user, ts)| padded(2, user, ts, 20_000));
    small(0).chain(small(1)).chain(large).collect()
}

/// A minute of the present.
fn present(number: u32) -> Vec<Frame> {
    let frame = |n: u32| seen(n as i32 % 3, (number + n) % 300, SEAM + number * 60 + n / 2);
    (0..120).map(frame).collect()
}

/// Windows that are over, of the periods whose length is always the same.
fn over(windows: impl Iterator<Item = Window>, watermark: i64) -> BTreeSet<Window> {
    let length_s = [("minute", 60), ("hour", 3_600), ("day", 86_400)];
    let is_over = |(name, start): &Window| {
        let of_name = length_s.iter().find(|(period, _)| period == name);
        of_name.is_some_and(|(_, length_s)| start + length_s <= watermark)
    };
    windows.filter(is_over).collect()
}

#[test]
fn backfill_flows_into_live_without_a_seam() {
    let Some(broker) = Broker::shared() else {
        return;
    };
    let job = Job::with_topic(broker.address(), "seam", 3);
    let mut sent = history();
    job.send(&sent);
    let old = sent.len() as i64;
    // When this is dropped, also by a test that fails, the producer ends.
    let (go_on, told) = mpsc::channel::<()>();
    let (last, mut service) = std::thread::scope(|scope| {
        let producer = scope.spawn(|| {
            let told = told;
            let until_told = (0..).take_while(|_| told.try_recv() == Err(TryRecvError::Empty));
            let batches = until_told.map(present);
            batches
                .inspect(|batch| job.send(batch))
                .flatten()
                .collect::<Vec<_>>()
        });
        let go_on = go_on;
        // Not to be waited for by the first tick.
        let at_once = ["--exclusive", "false"];
        let service = job.start(&[&["--every", "100ms"], &at_once[..]].concat());
        let mut ticks = job.ticks();
        let first = ticks.until("frames", |_| true);
        assert!(first.reflected() < old, "nothing is left to be read back");
        ticks.until("the present", |tick| tick.reflected() > old + 1_200);
        drop(go_on);
        sent.extend(producer.join().expect("all frames are sent"));
        let sent = sent.len() as i64;
        let last = job
            .ticks()
            .until("all frames", |tick| tick.reflected() == sent);
        (last, service)
    });
    stop(&mut service);
    let (ticks, windows) = job.published();
    let oracle = Oracle::of(&sent);
    ticks.iter().for_each(|tick| oracle.check_tick(tick));
    let present = windows.iter().rev().take(200);
    present.for_each(|record| oracle.check_window(record));
    let finals = check_order(&windows);
    let truth = truth(&sent);
    let all = over(truth.keys().cloned(), last.int("/watermark"));
    assert!(finals.keys().eq(&all), "one final for each that is over");
    check_last_words(&windows, &truth);
    assert!(windows.iter().all(|r| !r.is_revised()), "a revision");
}

#[test]
fn time_that_walks_stands_still_while_the_brokers_are_away() {
    let (cluster, job) = cluster("mock-walk", 1);
    job.send(&[seen(0, "Ada", NOON + 57), seen(0, "Bob", NOON + 58)]);
    let mut service = job.start(&["--every", "200ms", "--idle-timeout", "1s"]);
    let as_of = |tick: &Published| tick.get("/as_of").as_i64();
    job.ticks()
        .until("walking", |tick| as_of(tick) > Some(i64::from(NOON) + 58));
    // Seven seconds later the minute would be over.
    (1..=3).for_each(|id| cluster.broker_down(id).expect("it goes down"));
    service.stderr_line("trying again", SOON);
    let over = Instant::now() + Duration::from_secs(9);
    let mut ticks = job.ticks();
    while Instant::now() < over {
        ticks.next(Duration::from_millis(500));
    }
    (1..=3).for_each(|id| cluster.broker_up(id).expect("it comes back"));
    service.stderr_line("answer again", SOON);
    job.send(&[seen(0, "Eve", NOON + 59)]);
    let minute = job
        .window_records()
        .until("a closed minute", Published::is_final);
    assert_eq!(
        (minute.int("/frames"), minute.str("/closed_by")),
        (3, "idle")
    );
    stop(&mut service);
    let (_, windows) = job.published();
    assert!(windows.iter().all(|r| !r.is_revised()), "it was not early");
}
