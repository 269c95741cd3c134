//! What the service counts from a real broker, and what it publishes there.

use crate::oracle::{Oracle, check_order, windows_of};
use crate::support::broker::Broker;
use crate::support::kafka::high_watermarks;
use crate::support::wait_until;
use crate::world::{
    Frame, Job, NOON, Published, SOON, bad, config, seen, stop, topic_config, traffic, unix_ms,
};
use headcount::generate::{ByPeriod, Plan, Report, Traffic, Truth};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::{Offset, TopicPartitionList};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::time::Duration;

/// 90 minutes before a year, a month and a day begin; the week goes on.
const NEW_YEARS_EVE: u32 = 1_767_220_200;

fn truth(plan: &Plan) -> Report {
    let mut traffic = Traffic::new(plan);
    let mut truth = Truth::new(plan.disorder_s());
    let mut frame = Vec::new();
    while let Some(sent) = traffic.next_frame(&mut frame) {
        truth.add(sent.user, sent.ts);
    }
    truth.finish()
}

/// Users within bounds: exactly where the record says so, else within five standard errors of a sketch.
fn assert_users(found: [i64; 3], truth: u32, what: &str) {
    let [users, lo, hi] = found;
    let truth = i64::from(truth);
    let tolerance = if lo == hi {
        0.0
    } else {
        5.0 * 0.0029 * truth as f64
    };
    assert!(
        (users - truth).abs() as f64 <= tolerance && lo <= users && users <= hi,
        "{what}: {users} in [{lo}, {hi}] where the truth is {truth}"
    );
}

/// Every window of the truth is final, exactly once, with its users and frames.
fn assert_finals(records: &[Published], truth: &Report) {
    let mut finals = check_order(records);
    let by_period = |counts: &ByPeriod<u32>| {
        let ByPeriod {
            minute,
            hour,
            day,
            week,
            month,
            year,
        } = counts.clone();
        [
            ("minute", minute),
            ("hour", hour),
            ("day", day),
            ("week", week),
            ("month", month),
            ("year", year),
        ]
    };
    let frames: Value = serde_json::to_value(&truth.window_frames).expect("numbers");
    for (name, windows) in by_period(&truth.windows) {
        for (start, users) in windows {
            let record = finals.remove(&(name.to_owned(), start));
            let record = record.unwrap_or_else(|| panic!("no final for {name} {start}"));
            let found = ["/users", "/lo", "/hi"].map(|field| record.int(field));
            assert_users(found, users, &record.text);
            assert_eq!(*record.get("/frames"), frames[name][start.to_string()]);
        }
    }
    assert!(
        finals.is_empty(),
        "finals of windows without frames: {finals:?}"
    );
}

fn assert_tick(tick: &Published, job: &Job, truth: &Report) {
    let trailing = serde_json::to_value(truth.trailing).expect("numbers");
    for (name, users) in trailing.as_object().expect("an object") {
        let [lo, hi] = [0, 1].map(|i| tick.int(&format!("/intervals/{name}/{i}")));
        let found = [tick.int(&format!("/users_{name}")), lo, hi];
        let users = u32::try_from(users.as_u64().expect("an integer")).expect("small");
        assert_users(found, users, &tick.text);
    }
    // The readers of the tool that this one replaces look for these, as integers, at the top level.
    assert!(
        tick.text.starts_with(r#"{"users_last_minute":"#),
        "{}",
        tick.text
    );
    for field in ["minute", "day", "week", "month", "year"] {
        assert!(tick.get(&format!("/users_last_{field}")).is_u64());
    }
    let frames = truth.frames;
    assert_eq!(*tick.get("/frames/read"), frames);
    assert_eq!(*tick.get("/frames/counted"), frames);
    assert_eq!(*tick.get("/frames/rejected"), json!({}));
    assert_eq!(tick.get("/as_of").as_u64(), truth.last_ts.map(u64::from));
    assert_eq!(*tick.get("/schema"), "headcount.stats/1");
    assert_eq!(*tick.get("/job"), *job.topic);
    assert_eq!(*tick.get("/source/topic"), *job.topic);
    let high: BTreeMap<_, _> = high_watermarks(&job.address, &job.topic)
        .into_iter()
        .map(|(partition, high)| (partition.to_string(), high))
        .collect();
    assert_eq!(tick.offsets(), high, "the offsets are the real ones");
}

/// Keys, headers and times of records.
fn assert_envelopes(ticks: &[Published], windows: &[Published], job: &Job, since_ms: i64) {
    let topic = &job.topic;
    for record in ticks.iter().chain(windows) {
        let age = unix_ms() - record.timestamp_ms;
        // Of publishing, never event time: brokers delete by it.
        assert!((0..=unix_ms() - since_ms).contains(&age), "{record:?}");
        assert_eq!(record.headers["content-type"], "application/json");
        assert_eq!(record.headers["headcount-schema"], record.str("/schema"));
        assert!((record.ms("/emitted_at") - record.timestamp_ms).abs() < 10_000);
        assert!((since_ms..=unix_ms()).contains(&record.int("/epoch")));
    }
    for tick in ticks {
        assert_eq!(tick.key, *topic);
    }
    for record in windows {
        let (period, start) = record.window();
        let stage = if record.is_final() {
            ""
        } else {
            "|provisional"
        };
        assert_eq!(record.key, format!("{topic}|{period}|{start}{stage}"));
        assert_eq!(record.str("/schema"), "headcount.window/1");
        assert_eq!(record.str("/tz"), "UTC");
    }
}

#[test]
fn finals_are_the_truth_whatever_partitions_and_compression() {
    let Some(broker) = Broker::shared() else {
        return;
    };
    let address = broker.address();
    for (partitions, compression, users, frames) in [
        (1, "gzip", 700, 6_000),
        (4, "lz4", 700, 6_000),
        (4, "zstd", 30_000, 60_000),
        (1, "none", 20_000, 40_000),
    ] {
        let plan = Plan {
            frames,
            users,
            start: NEW_YEARS_EVE,
            span_ms: 3 * 3_600_000,
            seed: u64::from(users) + partitions as u64,
            frame_bytes: 400,
            ..Plan::default()
        };
        let since_ms = unix_ms();
        let name = format!("truth-{compression}");
        let job = Job::with_topic(address, &name, partitions);
        job.send_compressed(&traffic(&plan, partitions), compression);
        job.run_to_end(&["--threads", "3", "--every", "500ms"]);
        let (ticks, windows) = job.published();
        let truth = truth(&plan);
        assert_finals(&windows, &truth);
        assert_tick(ticks.last().expect("a tick"), &job, &truth);
        assert_envelopes(&ticks, &windows, &job, since_ms);
        let policy = |topic| topic_config(address, topic, "cleanup.policy");
        assert_eq!(policy(&job.stats), "delete");
        assert_eq!(policy(&job.windows), "compact");
    }
}

/// A batch of a live stream: users by the dozen, some frames late, some bad, over a few minutes of event time.
fn batch(number: u32, partitions: i32) -> Vec<Frame> {
    let frame = |n: u32| {
        let mixed = (number * 311 + n).wrapping_mul(2_654_435_761) >> 16;
        let partition = (mixed % partitions as u32) as i32;
        let late = if mixed.is_multiple_of(13) {
            mixed % 9
        } else {
            0
        };
        match mixed % 50 {
            0 => bad(partition, "json", Some(b"{\"uid\":")),
            1 => bad(partition, "tombstone", None),
            2 => bad(
                partition,
                "ts_missing",
                Some(b"{\"uid\":\"x\",\"a\":{\"ts\":1}}"),
            ),
            _ => seen(partition, mixed % 997, NOON + number * 15 + n / 8 - late),
        }
    };
    (0..120).map(frame).collect()
}

/// Ticks are numbered by their beat; those that could not be kept are left out.
fn assert_on_beat(ticks: &[Published], every_ms: i64) {
    let off_beat = |pair: &[Published]| {
        let beats = pair[1].int("/tick") - pair[0].int("/tick");
        (pair[1].ms("/emitted_at") - pair[0].ms("/emitted_at") - beats * every_ms).abs()
    };
    // The last one comes with the end, not with the beat.
    let mut off: Vec<_> = ticks[..ticks.len() - 1].windows(2).map(off_beat).collect();
    off.sort_unstable();
    let tolerated = off.iter().filter(|ms| **ms <= 200).count();
    assert!(
        off[off.len() / 2] <= 100,
        "half of the ticks are off by more: {off:?} ms"
    );
    assert!(tolerated * 3 >= off.len() * 2, "off the beat by {off:?} ms");
}

#[test]
fn every_record_of_a_live_run_is_the_exact_count_at_its_offsets() {
    let Some(broker) = Broker::shared() else {
        return;
    };
    for (partitions, threads) in [(1, "2"), (4, "3")] {
        let job = Job::with_topic(broker.address(), &format!("live-{partitions}"), partitions);
        let mut sent = batch(0, partitions);
        job.send(&sent);
        let mut service = job.start(&["--every", "1s", "--threads", threads]);
        let mut ticks = job.ticks();
        let mut number = 0;
        while ticks.seen.len() < 8 {
            number += 1;
            let frames = batch(number, partitions);
            job.send(&frames);
            sent.extend(frames);
            ticks.next(Duration::from_millis(150));
        }
        ticks.until("all frames", |tick| tick.reflected() == sent.len() as i64);
        stop(&mut service);
        let (ticks, windows) = job.published();
        let oracle = Oracle::of(&sent);
        ticks.iter().for_each(|tick| oracle.check_tick(tick));
        windows
            .iter()
            .for_each(|record| oracle.check_window(record));
        assert_on_beat(&ticks, 1_000);
        let finals = check_order(&windows);
        let watermark = ticks.last().expect("many").int("/watermark");
        let minutes = windows_of(&sent).into_iter();
        for window in minutes.filter(|(name, start)| name == "minute" && start + 60 <= watermark) {
            assert!(
                finals.contains_key(&window),
                "{window:?} is over but not final"
            );
        }
    }
}

#[test]
fn the_first_tick_comes_with_the_first_frame_and_not_a_beat_later() {
    let Some(broker) = Broker::shared() else {
        return;
    };
    let job = Job::with_topic(broker.address(), "first", 2);
    let mut service = job.start(&["--every", "5s"]);
    let mut ticks = job.ticks();
    assert!(ticks.next(Duration::from_millis(300)).is_none());
    let before_ms = unix_ms();
    job.send(&[seen(1, "Ada", NOON)]);
    let first = ticks.until("anything", |_| true);
    // Far less than a beat; the machine may be busy.
    let took_ms = first.ms("/emitted_at") - before_ms;
    assert!(took_ms < 2_500, "{took_ms} ms after the first frame");
    assert_eq!(first.int("/users_last_minute"), 1);
    let second = ticks.until("anything", |_| true);
    let beat_ms = second.ms("/emitted_at") - first.ms("/emitted_at");
    assert!((4_700..=5_700).contains(&beat_ms), "{beat_ms} ms");
    stop(&mut service);
}

#[test]
fn one_thread_and_eight_publish_the_same_finals() {
    let Some(broker) = Broker::shared() else {
        return;
    };
    let plan = Plan {
        frames: 30_000,
        users: 20_000,
        start: NEW_YEARS_EVE,
        span_ms: 2 * 3_600_000,
        frame_bytes: 300,
        late: 0.5,
        ..Plan::default()
    };
    let job = Job::with_topic(broker.address(), "threads", 4);
    job.send(&traffic(&plan, 4));
    let finals = |threads: &str| {
        let job = Job {
            stats: format!("threads-{threads}"),
            windows: format!("threads-{threads}-windows"),
            ..job.clone()
        };
        job.run_to_end(&["--threads", threads, "--every", "200ms"]);
        let finals = check_order(&job.published().1);
        let fields = [
            "/window", "/start", "/users", "/lo", "/hi", "/frames", "/late",
        ];
        let project =
            |record: Published| fields.map(|field| record.get(field).to_string()).join(",");
        finals.into_values().map(project).collect::<Vec<_>>()
    };
    let one = finals("1");
    assert_eq!(one.len(), windows_of(&traffic(&plan, 4)).len());
    assert_eq!(one, finals("8"));
}

fn committed(job: &Job, group: &str, partitions: i32) -> Vec<Offset> {
    let consumer: BaseConsumer = config(&job.address)
        .set("group.id", group)
        .create()
        .expect("a valid configuration");
    let mut asked = TopicPartitionList::new();
    for partition in 0..partitions {
        asked.add_partition(&job.topic, partition);
    }
    let offsets = consumer
        .committed_offsets(asked, SOON)
        .expect("the broker answers");
    offsets.elements().iter().map(|e| e.offset()).collect()
}

#[test]
fn offsets_are_committed_for_lag_tools() {
    let Some(broker) = Broker::shared() else {
        return;
    };
    let job = Job::with_topic(broker.address(), "lag", 2);
    job.send(&[
        seen(0, "Ada", NOON),
        seen(1, "Bob", NOON),
        seen(1, "Cleo", NOON),
    ]);
    let mut service = job.start(&["--every", "500ms"]);
    let all = |group: &str, offsets: [i64; 2]| {
        wait_until(SOON, "the offsets are committed", || {
            (committed(&job, group, 2) == offsets.map(Offset::Offset)).then_some(())
        });
    };
    all("headcount-lag", [1, 2]);
    job.send(&[seen(0, "Dan", NOON)]);
    all("headcount-lag", [2, 2]);
    stop(&mut service);
    job.run_to_end(&["--group", "another"]);
    assert_eq!(committed(&job, "another", 2), [2, 2].map(Offset::Offset));
}

#[test]
fn a_dash_prints_the_records_and_nothing_else() {
    let Some(broker) = Broker::shared() else {
        return;
    };
    let job = Job {
        stats: "-".to_owned(),
        ..Job::with_topic(broker.address(), "printed", 1)
    };
    let sent: Vec<_> = (0..300).map(|n| seen(0, n % 40, NOON + n)).collect();
    job.send(&sent);
    let mut service = job.start(&["--every", "300ms"]);
    service.stdout_line("headcount.stats/1", SOON);
    service.stdout_line("headcount.stats/1", SOON);
    stop(&mut service);
    let oracle = Oracle::of(&sent);
    let mut windows = Vec::new();
    for line in service.stdout().lines() {
        let record = Published::of_line(line);
        if record.str("/schema") == "headcount.stats/1" {
            oracle.check_tick(&record);
        } else {
            oracle.check_window(&record);
            windows.push(record);
        }
    }
    // The watermark is 12:04:54.
    assert_eq!(check_order(&windows).len(), 4);
}
