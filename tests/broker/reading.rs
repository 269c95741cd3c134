//! What is read from a real broker: partitions and topics, from which moment on, and frames that are none.

use crate::oracle::{Oracle, check_order};
use crate::support::broker::Broker;
use crate::support::kafka::{add_partitions, create_topic, read_all};
use crate::support::wait_until;
use crate::world::{
    Frame, Job, NOON, Published, SOON, Says, bad, config, log_lines, seen, send_to, stop, unix_ms,
};
use jiff::Timestamp;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use std::time::Duration;

/// Behind a fetch that waits for frames every other request waits too: the brokers must not be asked partition by
/// partition.
#[test]
fn many_quiet_partitions_do_not_keep_the_brokers_from_answering() {
    let Some(broker) = Broker::shared() else {
        return;
    };
    let job = Job::with_topic(broker.address(), "quiet", 150);
    let mut service = job.start(&["--every", "1s"]);
    let mut ticks = job.ticks();
    ticks.until("an idle tick", |_| true);
    add_partitions(broker.address(), &job.topic, 151);
    job.send(&[seen(150, "Ada", NOON)]);
    let limit = Duration::from_secs(20);
    let tick = wait_until(limit, "the new partition is found", || {
        let tick = ticks.next(Duration::from_millis(100))?;
        (tick.reflected() == 1).then_some(tick)
    });
    assert_eq!(tick.offsets().len(), 151);
    stop(&mut service);
}

#[test]
fn a_partition_added_later_is_read_from_its_beginning() {
    let Some(broker) = Broker::shared() else {
        return;
    };
    let job = Job::with_topic(broker.address(), "growing", 1);
    let mut sent = vec![seen(0, "Ada", NOON)];
    job.send(&sent);
    // Even where the others are read from their end: what is new is new.
    let mut service = job.start(&["--every", "500ms", "--from", "earliest"]);
    let mut ticks = job.ticks();
    ticks.until("the first frame", |tick| tick.reflected() == 1);
    add_partitions(broker.address(), &job.topic, 3);
    let new = [
        seen(2, "Bob", NOON + 1),
        seen(1, "Cleo", NOON + 2),
        seen(0, "Dan", NOON + 3),
    ];
    job.send(&new);
    sent.extend(new);
    wait_until(
        Duration::from_secs(45),
        "the new partitions are read",
        || {
            let tick = ticks.next(Duration::from_millis(100))?;
            (tick.reflected() == 4).then_some(())
        },
    );
    stop(&mut service);
    let (ticks, windows) = job.published();
    let oracle = Oracle::of(&sent);
    ticks.iter().for_each(|tick| oracle.check_tick(tick));
    windows
        .iter()
        .for_each(|record| oracle.check_window(record));
}

#[test]
fn several_topics_are_counted_as_one_stream() {
    let Some(broker) = Broker::shared() else {
        return;
    };
    let address = broker.address();
    create_topic(address, "pair-a", 1, &[]);
    create_topic(address, "pair-b", 2, &[]);
    let a = [seen(0, "Ada", NOON), seen(0, "Bob", NOON + 61)];
    let b = [
        seen(0, "Bob", NOON + 1),
        seen(1, "Cleo", NOON + 2),
        bad(1, "not_object", Some(b"[]")),
    ];
    send_to(address, "pair-a", &a, "zstd");
    send_to(address, "pair-b", &b, "none");
    let job = Job {
        topic: "pair-a,pair-b".to_owned(),
        ..Job::new(address, "pair")
    };
    let stderr = job.run_to_end(&["--job", "pair"]);
    let (ticks, windows) = job.published();
    let mut oracle = Oracle::new(5);
    oracle.add("pair-a:", &a);
    oracle.add("pair-b:", &b);
    ticks.iter().for_each(|tick| oracle.check_tick(tick));
    windows
        .iter()
        .for_each(|record| oracle.check_window(record));
    let last = ticks.last().expect("a tick");
    assert_eq!(last.reflected(), oracle.frames());
    assert!(ticks.iter().all(|tick| tick.key == "pair"));
    let finals = check_order(&windows);
    assert!(
        finals
            .values()
            .all(|record| record.key.starts_with("pair|"))
    );
    let log = &log_lines(&stderr, "frame rejected")[0];
    assert_eq!(log["topic"], "pair-b", "{log}");
    assert_eq!(log["partition"], "1", "{log}");
    assert_eq!(log["offset"], 1);
}

/// Provisional windows of a run that did not see everything, and the finals of what it saw whole.
fn assert_incomplete(windows: &[Published], since: i64) {
    let finals = check_order(windows);
    for record in windows {
        let (name, start) = record.window();
        let whole = start >= since;
        assert_eq!(*record.get("/complete"), whole, "{name}: {}", record.text);
        if !whole {
            assert!(record.key.ends_with("|provisional"), "{}", record.key);
        }
    }
    assert!(finals.keys().all(|(_, start)| *start >= since));
    assert!(finals.keys().any(|(name, _)| name == "minute"));
}

fn later_frames() -> Vec<Frame> {
    let frames = (0..10).map(|n| seen(0, n, NOON + 90 + n * 20));
    frames.collect()
}

#[test]
fn a_run_from_a_moment_never_calls_final_what_it_saw_in_part() {
    let Some(broker) = Broker::shared() else {
        return;
    };
    let job = Job::with_topic(broker.address(), "moment", 1);
    job.send(&[seen(0, "Ada", NOON), seen(0, "Bob", NOON + 80)]);
    let before_ms = unix_ms();
    wait_until(SOON, "a millisecond has passed", || {
        (unix_ms() > before_ms + 1).then_some(())
    });
    job.send(&later_frames());
    let records = read_all(broker.address(), &job.topic);
    let from_ms = records[2].timestamp_ms.expect("a time");
    assert!(records[1].timestamp_ms.expect("a time") < from_ms);
    let from = Timestamp::from_millisecond(from_ms).expect("in range");
    job.run_to_end(&["--from", &from.to_string()]);
    let (ticks, windows) = job.published();
    let since = i64::from(NOON) + 90;
    let tick = ticks.last().expect("a tick");
    assert_eq!(tick.int("/since"), since);
    assert_eq!(tick.int("/frames/read"), 10);
    assert_eq!(tick.int("/users_last_year"), 10);
    assert_incomplete(&windows, since);
}

#[test]
fn a_run_from_latest_reads_what_comes_and_says_since_when() {
    let Some(broker) = Broker::shared() else {
        return;
    };
    let job = Job::with_topic(broker.address(), "latest", 1);
    job.send(&[seen(0, "Ada", NOON), seen(0, "Bob", NOON + 80)]);
    let mut service = job.start(&["--from", "latest", "--every", "500ms"]);
    job.send(&later_frames());
    let mut ticks = job.ticks();
    let tick = ticks.until("all that came", |tick| tick.reflected() == 12);
    stop(&mut service);
    let since = i64::from(NOON) + 90;
    assert_eq!(tick.int("/since"), since);
    assert_eq!(tick.int("/frames/read"), 10);
    assert_incomplete(&job.published().1, since);
}

/// Good frames, a very large one among them, between bad ones of every kind that fits a topic.
fn one_of_each_kind() -> Vec<Frame> {
    let big = format!(
        r#"{{"x":"{}","uid":"Big","ts":{NOON}}}"#,
        "x".repeat(900_000)
    );
    let big = Frame {
        payload: Some(big.into_bytes()),
        ..seen(0, "Big", NOON)
    };
    let deep = [b"[".repeat(400_000), b"]".repeat(400_000)].concat();
    vec![
        seen(0, "Ada", NOON),
        bad(0, "tombstone", None),
        bad(0, "empty", Some(b"")),
        bad(0, "empty", Some(b" \r\n\t")),
        bad(0, "json", Some(b"{\"uid\":\"x\",\"ts\":1")),
        bad(0, "utf8", Some(b"{\"uid\":\"\xff\",\"ts\":1}")),
        bad(0, "too_deep", Some(&deep)),
        big,
        bad(0, "not_object", Some(b"\"uid\"")),
        bad(0, "uid_missing", Some(b"{\"ts\":1}")),
        bad(0, "uid_type", Some(b"{\"uid\":1.5,\"ts\":1}")),
        bad(0, "uid_empty", Some(b"{\"uid\":\"\",\"ts\":1}")),
        bad(0, "ts_type", Some(b"{\"uid\":\"x\",\"ts\":true}")),
        bad(0, "ts_range", Some(b"{\"uid\":\"x\",\"ts\":0}")),
        seen(0, "Bob", NOON),
    ]
}

#[test]
fn bad_frames_are_named_with_their_place_and_harm_nobody() {
    let Some(broker) = Broker::shared() else {
        return;
    };
    let job = Job::with_topic(broker.address(), "rubbish", 2);
    let mut sent = one_of_each_kind();
    let rubbish = |n: u32| {
        bad(
            1,
            "json",
            Some(&n.wrapping_mul(2_654_435_761).to_le_bytes()[..3]),
        )
    };
    // Three random bytes might be UTF-8 or not; which of the two reasons it is belongs to the decoder's tests.
    let noise = (0..20_000).map(|n| match rubbish(n) {
        Frame {
            payload: Some(bytes),
            ..
        } if std::str::from_utf8(&bytes).is_err() => bad(1, "utf8", Some(b"\xc3(")),
        _ => bad(1, "json", Some(b"}{")),
    });
    sent.extend([seen(1, "Cleo", NOON)]);
    sent.extend(noise);
    sent.extend([seen(1, "Dan", NOON)]);
    job.send_compressed(&sent, "lz4");
    let stderr = job.run_to_end(&[]);
    let (ticks, windows) = job.published();
    let oracle = Oracle::of(&sent);
    ticks.iter().for_each(|tick| oracle.check_tick(tick));
    windows
        .iter()
        .for_each(|record| oracle.check_window(record));
    assert_eq!(ticks.last().expect("a tick").int("/users_last_minute"), 5);
    let lines = log_lines(&stderr, "frame rejected");
    assert!(
        (1..=10).contains(&lines.len()),
        "{} lines for one flood",
        lines.len()
    );
    for line in &lines {
        assert_eq!(line["topic"], *job.topic);
        let partition: i32 = line["partition"]
            .as_str()
            .expect("a name")
            .parse()
            .expect("a number");
        let offset = line["offset"].as_u64().expect("a number") as usize;
        let mut frames = sent.iter().filter(|frame| frame.partition == partition);
        let says = frames.nth(offset).map(|frame| frame.says.clone());
        let Some(Says::Rejected(reason)) = says else {
            panic!("{line} is about {says:?}");
        };
        assert_eq!(line["reason"], reason);
    }
}

#[test]
fn frames_that_take_long_to_decode_do_not_hold_up_the_ticks() {
    let Some(broker) = Broker::shared() else {
        return;
    };
    let job = Job::with_topic(broker.address(), "large", 1);
    // As many values as fit into the broker's default of a megabyte.
    let values = "[1],".repeat(225_000);
    let large = |n: u32| Frame {
        payload: Some(format!(r#"{{"x":[{values}1],"uid":"{n}","ts":{NOON}}}"#).into_bytes()),
        ..seen(0, n, NOON)
    };
    let sent: Vec<_> = (0..600).map(large).collect();
    job.send_compressed(&sent, "lz4");
    let mut service = job.start(&["--every", "200ms"]);
    let mut ticks = job.ticks();
    ticks.until("all frames", |tick| tick.reflected() == 600);
    stop(&mut service);
    let (ticks, _) = job.published();
    let oracle = Oracle::of(&sent);
    ticks.iter().for_each(|tick| oracle.check_tick(tick));
    let emitted: Vec<_> = ticks.iter().map(|tick| tick.ms("/emitted_at")).collect();
    let silence = emitted.windows(2).map(|pair| pair[1] - pair[0]).max();
    // Six hundred of them take seconds; a machine busy with other tests may take one from any tick.
    assert!(silence < Some(2_500), "{emitted:?} with --every 200ms");
}

/// Sends one frame in a transaction of its own.
fn send_in_transaction(producer: &BaseProducer, job: &Job, frame: &Frame, commit: bool) {
    let payload = frame.payload.as_deref().expect("a value");
    let record = BaseRecord::<[u8], [u8]>::to(&job.topic).payload(payload);
    producer.begin_transaction().expect("none is open");
    let sent = producer.send(record).map_err(|(error, _)| error);
    sent.expect("it is taken");
    // Its end would wait for the acknowledgement without polling for it.
    producer.flush(SOON).expect("the broker answers");
    let ended = match commit {
        true => producer.commit_transaction(SOON),
        false => producer.abort_transaction(SOON),
    };
    ended.expect("the broker answers");
}

#[test]
fn transactions_count_once_they_are_committed() {
    let Some(broker) = Broker::shared() else {
        return;
    };
    let job = Job::with_topic(broker.address(), "transactions", 1);
    let producer: BaseProducer = config(&job.address)
        .set("transactional.id", "headcount-test")
        .create()
        .expect("a valid configuration");
    producer
        .init_transactions(SOON)
        .expect("the broker answers");
    for (user, commit) in [("Ada", true), ("Bob", false), ("Cleo", true)] {
        send_in_transaction(&producer, &job, &seen(0, user, NOON), commit);
    }
    job.run_to_end(&[]);
    let (ticks, windows) = job.published();
    let tick = ticks.last().expect("a tick");
    assert_eq!(tick.int("/frames/read"), 2);
    assert_eq!(tick.int("/users_last_day"), 2);
    assert_eq!(check_order(&windows).len(), 6);
}
