//! Time on a real broker, with the default clock: idle partitions, frames ahead of their time and where they go, late
//! ones and revisions, backlogs of several partitions.

use crate::oracle::check_order;
use crate::support::broker::Broker;
use crate::support::kafka::{create_topic, produce, read_all};
use crate::support::{data_dir, unzstd};
use crate::world::{Frame, Job, NOON, Published, bad, config, log_lines, seen, stop, unix_ms};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::{Headers, Message};
use rdkafka::{Offset, TopicPartitionList};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::time::Duration;

const JUMP: [&str; 2] = ["--max-jump", "60s"];

fn options<'a>(more: &[&'a str]) -> Vec<&'a str> {
    JUMP.iter().chain(more).copied().collect()
}

/// Frames of a second each, from `from` on.
fn seconds(partition: i32, from: u32, n: u32) -> impl Iterator<Item = Frame> {
    (0..n).map(move |i| seen(partition, i % 50, from + i))
}

/// The last record of each window that is not provisional.
fn last_words(windows: &[Published]) -> BTreeMap<(String, i64), Published> {
    let last = windows.iter().filter(|r| r.str("/state") != "provisional");
    last.map(|record| (record.window(), record.clone()))
        .collect()
}

#[test]
fn when_the_stream_stops_time_walks_on_and_the_last_windows_are_closed() {
    let Some(broker) = Broker::shared() else {
        return;
    };
    let job = Job::with_topic(broker.address(), "walk", 2);
    // The last frame comes half a second before the end of a minute and its lateness.
    let first: Vec<_> = seconds(0, NOON, 58).chain(seconds(1, NOON, 58)).collect();
    job.send(&first);
    let mut service = job.start(&options(&["--every", "500ms", "--idle-timeout", "1s"]));
    let mut windows = job.window_records();
    let minute = windows.until("a closed minute", |r| r.str("/state") == "final");
    assert_eq!(minute.window(), ("minute".to_owned(), i64::from(NOON)));
    assert_eq!(minute.str("/closed_by"), "idle");
    assert_eq!(minute.int("/frames"), 116);
    assert!(minute.int("/as_of") >= i64::from(NOON) + 65);
    // What comes afterwards is not late for that.
    job.send(&[seen(0, "later", NOON + 59)]);
    let revised = windows.until("a revision", |r| r.str("/state") == "revised");
    assert_eq!(revised.window(), minute.window());
    let says = |path| revised.int(path);
    assert_eq!(
        (says("/revision"), says("/frames"), says("/late")),
        (1, 117, 0)
    );
    assert_eq!(revised.key, minute.key);
    stop(&mut service);
    check_order(&job.window_records().up_to_now());
}

#[test]
fn an_idle_partition_is_not_waited_for_and_loses_nothing_when_it_comes_back() {
    let Some(broker) = Broker::shared() else {
        return;
    };
    let job = Job::with_topic(broker.address(), "idle", 2);
    let first: Vec<_> = seconds(0, NOON, 30).chain(seconds(1, NOON, 30)).collect();
    job.send(&first);
    let mut service = job.start(&options(&["--every", "500ms", "--idle-timeout", "1s"]));
    let mut ticks = job.ticks();
    ticks.until("all of it", |tick| tick.reflected() == 60);
    let mut windows = job.window_records();
    let mut at = 30;
    let minute = loop {
        job.send(&seconds(0, NOON + at, 20).collect::<Vec<_>>());
        at += 20;
        let next = windows.next(Duration::from_millis(400));
        if let Some(record) = next.filter(|r| r.str("/state") == "final") {
            break record;
        }
        assert!(at < 4_000, "no minute is closed without the idle partition");
    };
    assert_eq!(minute.str("/closed_by"), "event_time");
    job.send(&seconds(1, NOON + 30, 30).collect::<Vec<_>>());
    let revised = windows.until("a revision", |r| r.str("/state") == "revised");
    assert_eq!(revised.window(), ("minute".to_owned(), i64::from(NOON)));
    assert_eq!(revised.int("/late"), 0, "its own clock is behind");
    stop(&mut service);
    let (ticks, records) = job.published();
    check_order(&records);
    let last = ticks.last().expect("many");
    assert_eq!(last.int("/frames/counted"), i64::from(at) + 60);
    let whole = &last_words(&records)[&("minute".to_owned(), i64::from(NOON))];
    assert_eq!(whole.int("/frames"), 120);
}

/// A record's value and headers.
type Stray = (Option<Vec<u8>>, BTreeMap<String, String>);

/// Every record, in the order of the topic's only partition.
fn strays(address: &str, topic: &str) -> Vec<Stray> {
    let consumer: BaseConsumer = config(address)
        .set("group.id", "headcount-test-strays")
        .set("enable.partition.eof", "true")
        .create()
        .expect("a valid configuration");
    let mut assignment = TopicPartitionList::new();
    assignment
        .add_partition_offset(topic, 0, Offset::Offset(0))
        .expect("a valid offset");
    consumer.assign(&assignment).expect("a valid assignment");
    let mut found = Vec::new();
    while let Some(Ok(message)) = consumer.poll(Duration::from_secs(30)) {
        let headers = message.headers().expect("headers");
        let text = |value: Option<&[u8]>| String::from_utf8_lossy(value.unwrap_or(b"none")).into();
        let headers = headers.iter().map(|h| (h.key.to_owned(), text(h.value)));
        found.push((message.payload().map(<[u8]>::to_vec), headers.collect()));
    }
    found
}

fn headers(reason: &str, job: &Job, offset: i64, clock: i64) -> BTreeMap<String, String> {
    let clock = clock.to_string();
    [
        ("headcount-reason", reason),
        ("headcount-topic", &job.topic),
        ("headcount-partition", "0"),
        ("headcount-offset", &offset.to_string()),
        ("headcount-clock", &clock),
    ]
    .map(|(key, value)| (key.to_owned(), value.to_owned()))
    .into()
}

/// Fed back to a job that believes them.
fn assert_fed_back_they_count(address: &str, found: Vec<Stray>) {
    let again = Job::with_topic(address, "aside-again", 1);
    let values = found.into_iter().map(|(value, _)| (Some(0), None, value));
    produce(address, &again.topic, values, "none");
    again.run_to_end(&["--max-jump", "36600d", "--max-lateness", "36600d"]);
    assert_eq!(
        again
            .ticks()
            .up_to_now()
            .last()
            .expect("one")
            .int("/frames/counted"),
        3
    );
}

#[test]
fn frames_that_do_not_count_are_put_aside_unchanged_with_the_reason() {
    let Some(broker) = Broker::shared() else {
        return;
    };
    let job = Job::with_topic(broker.address(), "aside", 1);
    create_topic(&job.address, "aside-quarantine", 1, &[]);
    create_topic(&job.address, "aside-rejects", 1, &[]);
    let mut sent: Vec<_> = seconds(0, NOON, 100).collect();
    sent[20] = seen(0, "ahead", NOON + 20 + (1 << 28));
    sent[60] = seen(0, "behind", NOON - 90_000);
    sent[70] = bad(0, "utf8", Some(b"{\"uid\":\"\xff\",\"ts\":1}"));
    sent[71] = bad(0, "tombstone", None);
    sent.push(seen(0, "last", NOON + 86_400));
    job.send(&sent);
    let topics = [
        "--quarantine-topic",
        "aside-quarantine",
        "--rejects-topic",
        "aside-rejects",
        "--max-lateness",
        "1d",
    ];
    job.run_to_end(&options(&topics));
    let clock = |second: u32| i64::from(NOON + second);
    let quarantined = [
        (
            sent[60].payload.clone(),
            headers("behind", &job, 60, clock(59)),
        ),
        // The 48th vote after its own pushes it out; neither the one behind nor broken ones have any.
        (
            sent[20].payload.clone(),
            headers("ahead", &job, 20, clock(69)),
        ),
        (
            sent[100].payload.clone(),
            headers("unconfirmed", &job, 100, clock(99)),
        ),
    ];
    let found = strays(&job.address, "aside-quarantine");
    assert_eq!(found.len(), 3);
    for (payload, expected) in quarantined {
        let reason = &expected["headcount-reason"];
        let (value, headers) = found
            .iter()
            .find(|(_, h)| &h["headcount-reason"] == reason)
            .unwrap();
        assert_eq!(*value, payload, "{reason}");
        assert_eq!(*headers, expected);
    }
    let rejected = [
        (
            sent[70].payload.clone(),
            headers("utf8", &job, 70, clock(69)),
        ),
        (None, headers("tombstone", &job, 71, clock(69))),
    ];
    assert_eq!(strays(&job.address, "aside-rejects"), rejected);
    let (ticks, _) = job.published();
    let ledger = ticks.last().expect("one").get("/frames").clone();
    assert_eq!(
        ledger["quarantined_by"],
        json!({"ahead": 1, "behind": 1, "unconfirmed": 1})
    );
    assert_eq!(
        (&ledger["read"], &ledger["counted"]),
        (&json!(101), &json!(96))
    );
    assert_fed_back_they_count(&job.address, found);
}

#[test]
fn a_partition_that_is_ahead_as_a_whole_counts_where_it_claims_and_is_named() {
    let Some(broker) = Broker::shared() else {
        return;
    };
    let job = Job::with_topic(broker.address(), "ahead", 3);
    let frames = |from: u32| -> Vec<Frame> {
        let of = |p: i32| seconds(p, NOON + from + if p == 1 { 3_600 } else { 0 }, 50);
        (0..3).flat_map(of).collect()
    };
    job.send(&frames(0));
    let mut service = job.start(&options(&["--every", "500ms"]));
    let mut ticks = job.ticks();
    ticks.until("all of it", |tick| tick.reflected() == 150);
    job.send(&frames(50));
    let tick = ticks.until("who is ahead", |tick| {
        tick.reflected() == 300 && tick.value.pointer("/source/ahead").is_some()
    });
    assert_eq!(*tick.get("/source/ahead"), json!({"1": 3_600}));
    assert_eq!(tick.int("/frames/counted"), 300);
    assert_eq!(tick.int("/watermark"), i64::from(NOON) + 99 - 5);
    assert_eq!(tick.int("/as_of"), i64::from(NOON) + 99 + 3_600);
    let stderr = stop(&mut service);
    let lines = log_lines(&stderr, "ahead of the other partitions");
    assert_eq!(lines.len(), 1, "{stderr}");
    assert_eq!(
        (&lines[0]["partition"], &lines[0]["seconds"]),
        (&json!("1"), &json!(3_600))
    );
}

/// Three days in partitions of very different traffic, one of them empty and one short of what a clock takes.
fn uneven() -> Vec<Frame> {
    let days = |partition: i32, n: u32| {
        (0..n).map(move |i| {
            seen(
                partition,
                (i * 7) % 300,
                NOON + (i as u64 * 259_200 / u64::from(n)) as u32,
            )
        })
    };
    let short = (0..7).map(|i| seen(3, i, NOON + i * 30_000));
    days(0, 20_000).chain(days(1, 200)).chain(short).collect()
}

#[test]
fn a_backlog_of_uneven_partitions_has_one_final_a_window_and_no_revision() {
    let Some(broker) = Broker::shared() else {
        return;
    };
    let sent = uneven();
    let mut runs = Vec::new();
    for threads in ["1", "8"] {
        let job = Job::with_topic(broker.address(), &format!("uneven-{threads}"), 4);
        job.send(&sent);
        job.run_to_end(&options(&[
            "--every",
            "100ms",
            "--max-skew",
            "1h",
            "--threads",
            threads,
        ]));
        let (ticks, windows) = job.published();
        let ledger = ticks.last().expect("one").get("/frames").clone();
        assert_eq!(
            (&ledger["read"], &ledger["counted"]),
            (&json!(20_207), &json!(20_207))
        );
        let finals = check_order(&windows);
        assert!(windows.iter().all(|r| !r.is_revised()), "a revision");
        let mut minutes: BTreeMap<i64, i64> = BTreeMap::new();
        for frame in &sent {
            if let crate::world::Says::Seen { ts, .. } = frame.says {
                *minutes.entry(i64::from(ts / 60 * 60)).or_default() += 1;
            }
        }
        let of_minutes = finals.iter().filter(|((name, _), _)| name == "minute");
        let found: BTreeMap<_, _> = of_minutes
            .map(|((_, at), r)| (*at, r.int("/frames")))
            .collect();
        assert_eq!(found, minutes);
        let numbers = |r: &Published| ["/users", "/lo", "/hi", "/frames"].map(|path| r.int(path));
        runs.push(
            finals
                .iter()
                .map(|(w, r)| (w.clone(), numbers(r)))
                .collect::<Vec<_>>(),
        );
    }
    assert_eq!(runs[0], runs[1]);
}

#[test]
fn a_recorded_stream_with_late_frames_is_right_in_its_last_words() {
    let (Some(broker), Some(dir)) = (Broker::shared(), data_dir()) else {
        return;
    };
    let bytes = unzstd(&dir.join("late.jsonl.zst"));
    let truth = std::fs::read(dir.join("late.truth.json")).unwrap();
    let truth: Value = serde_json::from_slice(&truth).unwrap();
    let job = Job::with_topic(broker.address(), "late", 1);
    let lines = bytes.split(|b| *b == b'\n').filter(|line| !line.is_empty());
    produce(
        &job.address,
        &job.topic,
        lines.map(|l| (Some(0), None, Some(l.to_vec()))),
        "lz4",
    );
    job.run_to_end(&options(&["--every", "100ms"]));
    let (_, windows) = job.published();
    let finals = check_order(&windows);
    let last = last_words(&windows);
    for period in ["minute", "hour", "day"] {
        let users: BTreeMap<String, i64> =
            serde_json::from_value(truth["windows"][period].clone()).unwrap();
        let of_period = last.iter().filter(|((name, _), _)| name == period);
        let found: BTreeMap<_, _> = of_period
            .map(|((_, at), r)| (at.to_string(), r.int("/users")))
            .collect();
        assert_eq!(found, users, "{period}");
    }
    assert_eq!(finals.len(), last.len(), "one final for each window");
    for record in windows.iter().filter(|r| r.is_revised()) {
        let before = &finals[&record.window()];
        assert!(record.int("/late") > before.int("/late"), "{}", record.text);
    }
}

#[test]
fn provisional_records_can_be_left_out_and_old_ones_deleted() {
    let Some(broker) = Broker::shared() else {
        return;
    };
    let job = Job::with_topic(broker.address(), "forgotten", 1);
    let day = (0..288).map(|i| seen(0, i % 9, NOON + i * 300));
    job.send(&day.collect::<Vec<_>>());
    let retention = [
        "--retain-minutes",
        "1h",
        "--forget",
        "minute=6h",
        "--emit",
        "final",
    ];
    job.run_to_end(&options(&retention));
    let records = read_all(&job.address, &job.windows);
    let watermark = i64::from(NOON) + 287 * 300 - 5;
    let mut newest: BTreeMap<String, bool> = BTreeMap::new();
    for record in &records {
        let key = String::from_utf8(record.key.clone().unwrap()).unwrap();
        let is_deleted = record.payload.is_none();
        assert!(is_deleted || !key.ends_with("provisional"), "{key}");
        newest.insert(key, is_deleted);
    }
    let mut published = 0;
    for (key, is_deleted) in &newest {
        let mut parts = key.split('|').skip(1);
        let (period, start) = (parts.next().unwrap(), parts.next().unwrap());
        let start: i64 = start.parse().unwrap();
        let is_old = period == "minute" && start + 60 <= watermark - 6 * 3_600;
        assert_eq!(*is_deleted, is_old, "{key}");
        published += usize::from(!is_old);
    }
    assert!(published > 80, "only {published} windows are left");
}

#[test]
fn only_where_the_broker_writes_the_time_few_frames_count_at_once() {
    let Some(broker) = Broker::shared() else {
        return;
    };
    for (kind, pending) in [("LogAppendTime", 0), ("CreateTime", 3)] {
        let job = Job::new(broker.address(), &format!("few-{kind}"));
        create_topic(
            &job.address,
            &job.topic,
            1,
            &[("message.timestamp.type", kind)],
        );
        let now = (unix_ms() / 1_000) as u32;
        let sent: Vec<_> = (0..3).map(|i| seen(0, i, now)).collect();
        job.send(&sent);
        let mut service = job.start(&options(&["--every", "500ms"]));
        let tick = job.ticks().until("all of it", |tick| tick.reflected() == 3);
        assert_eq!(tick.int("/frames/pending"), pending, "{kind}");
        assert_eq!(tick.int("/users_last_minute"), 3 - pending);
        stop(&mut service);
        // The end of an input settles it.
        let job = Job {
            stats: format!("{}-end", job.stats),
            windows: format!("{}-end-windows", job.stats),
            ..job
        };
        job.run_to_end(&JUMP);
        let last = job.ticks().up_to_now().pop().expect("a tick");
        assert_eq!(
            (last.int("/frames/pending"), last.int("/users_last_minute")),
            (0, 3)
        );
    }
}
