//! Poison: frames that are none, too many of them, too large, or not what they seem. Each gets its verdict, its neighbours
//! count, and memory stays bounded.

use crate::dice::Dice;
use crate::oracle::Oracle;
use crate::support::broker::Broker;
use crate::support::kafka::create_topic;
use crate::support::{data_dir, skip, wait_until};
use crate::world::{Frame, Job, NOON, Published, Says, bad, config, seen, stop};
use headcount::engine::decode::{Decoder, Fields};
use headcount::engine::frame::Verdict;
use headcount::limits::MAX_FRAME_BYTES;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use std::collections::BTreeMap;
use std::time::Duration;

const TABLE: &str = include_str!("../suite/json_suite/verdicts.txt");
/// A topic that takes what a broker takes at the most: requests of 100 MiB.
const LARGE: [(&str, &str); 1] = [("max.message.bytes", "104000000")];

/// A good frame of so many bytes.
fn large(user: &str, bytes: usize) -> Frame {
    let mut frame = seen(0, user, NOON);
    let rest = format!(r#"{{"x":"","uid":"{user}","ts":{NOON}}}"#).len();
    let x = "x".repeat(bytes - rest);
    frame.payload = Some(format!(r#"{{"x":"{x}","uid":"{user}","ts":{NOON}}}"#).into_bytes());
    frame
}

/// Sends one frame, which may be as large as it likes.
fn send(job: &Job, frame: &Frame, compression: &str) {
    let producer: BaseProducer = config(&job.address)
        .set("message.max.bytes", "1000000000")
        .set("compression.type", compression)
        .create()
        .expect("a valid configuration");
    let payload = frame.payload.as_deref().expect("a value");
    let record = BaseRecord::<[u8], [u8]>::to(&job.topic)
        .partition(frame.partition)
        .payload(payload);
    let sent = producer.send(record).map_err(|(error, _)| error);
    sent.expect("it is taken");
    producer
        .flush(Duration::from_secs(120))
        .expect("the broker takes it");
}

/// Counts everything that was sent; the last tick and all finals are exact. Gives the most memory that it took, in KiB.
fn assert_counted(job: &Job, sent: &[Frame]) -> u64 {
    let mut service = job.start(&["--every", "1s"]);
    let all = sent.len() as i64;
    let mut peak_kib = 0;
    let mut ticks = job.ticks();
    let deadline = Duration::from_secs(90);
    wait_until(deadline, "all frames are counted", || {
        peak_kib = service.memory_kib("VmHWM").unwrap_or(0).max(peak_kib);
        let tick = ticks.next(Duration::from_millis(200))?;
        (tick.reflected() == all).then_some(())
    });
    stop(&mut service);
    let (ticks, windows) = job.published();
    let oracle = Oracle::of(sent);
    oracle.check_tick(ticks.last().expect("a tick"));
    let finals = windows.iter().filter(|record| record.is_final());
    finals.for_each(|record| oracle.check_window(record));
    peak_kib
}

/// Sizes around every bound that there is: the client's, the broker's default, ours, and the client's longest answer.
#[test]
fn frames_of_one_to_a_hundred_megabytes_are_counted_or_rejected_for_their_size() {
    let Some(broker) = Broker::start("large") else {
        return;
    };
    let job = Job::new(broker.address(), "large");
    create_topic(&job.address, &job.topic, 1, &LARGE);
    let mut sent = vec![seen(0, "first", NOON)];
    send(&job, &sent[0], "none");
    let million = 1_000_000;
    for bytes in [1, 2, 4, 8, 16, 32, 50, 51, 60].map(|n| n * million) {
        let frame = large(&format!("of {bytes}"), bytes);
        note_sent(&job, frame, "none", &mut sent);
    }
    for bytes in [
        MAX_FRAME_BYTES,
        MAX_FRAME_BYTES + 1,
        80 * million,
        100 * million,
    ] {
        let mut frame = large(&format!("of {bytes}"), bytes);
        if bytes > MAX_FRAME_BYTES {
            frame.says = Says::Rejected("too_large");
        }
        note_sent(&job, frame, "none", &mut sent);
        note_sent(
            &job,
            seen(0, format!("after {bytes}"), NOON),
            "none",
            &mut sent,
        );
    }
    let peak_kib = assert_counted(&job, &sent);
    println!("frames of up to 100 MB: {} MiB at the most", peak_kib >> 10);
    assert!(peak_kib < 1 << 20, "{peak_kib} KiB");
}

/// Sends a frame, and remembers what it says, but not its bytes.
fn note_sent(job: &Job, frame: Frame, compression: &str, sent: &mut Vec<Frame>) {
    send(job, &frame, compression);
    sent.push(Frame {
        payload: None,
        ..frame
    });
}

/// A few kilobytes that unpack to hundreds of megabytes.
#[test]
fn a_zstd_bomb_is_rejected_and_what_comes_after_it_is_counted() {
    let Some(broker) = Broker::start("bomb") else {
        return;
    };
    let job = Job::new(broker.address(), "bomb");
    create_topic(&job.address, &job.topic, 1, &LARGE);
    let mut sent = Vec::new();
    note_sent(&job, seen(0, "before", NOON), "none", &mut sent);
    for megabytes in [40, 90, 120, 300] {
        let mut frame = large("bomb", megabytes * 1_000_000);
        if megabytes > 64 {
            frame.says = Says::Rejected("too_large");
        }
        note_sent(&job, frame, "zstd", &mut sent);
        note_sent(
            &job,
            seen(0, format!("after {megabytes}"), NOON),
            "zstd",
            &mut sent,
        );
    }
    let peak_kib = assert_counted(&job, &sent);
    println!("zstd bombs: {} MiB at the most", peak_kib >> 10);
    assert!(peak_kib < 2 << 20, "{peak_kib} KiB");
}

/// A message and the verdict on it.
fn frame_of(bytes: Vec<u8>, says: Says) -> Frame {
    Frame {
        partition: 0,
        says,
        payload: Some(bytes),
    }
}

/// The reasons by their names, as they are of static text.
fn reason(name: &str) -> &'static str {
    let names = TABLE.lines().flat_map(|row| row.split(' ').skip(1));
    names
        .into_iter()
        .find(|known| *known == name)
        .expect("it is in the table")
}

/// Every file of JSONTestSuite as a message, and inside of one that is good but for it.
fn json_suite() -> Vec<Frame> {
    let Some(suite) = data_dir().map(|data| data.join("json-test-suite")) else {
        return Vec::new();
    };
    if !suite.is_dir() {
        skip(&format!("no JSONTestSuite in {}", suite.display()));
        return Vec::new();
    }
    let mut frames = Vec::new();
    for row in TABLE.lines().filter(|line| !line.starts_with('#')) {
        let [name, whole, inside]: [&str; 3] = row
            .split(' ')
            .collect::<Vec<_>>()
            .try_into()
            .expect("three words");
        let folders =
            ["test_parsing", "test_transform"].map(|folder| suite.join(folder).join(name));
        let file = folders.into_iter().find(|path| path.is_file()).expect(name);
        let bytes = std::fs::read(file).expect(name);
        let around = format!(r#","uid":"{name}","ts":{NOON}}}"#);
        let frame = [br#"{"x":"#, &bytes[..], around.as_bytes()].concat();
        let says = |verdict: &str| match verdict {
            "seen" => Says::Seen {
                user: name.to_owned(),
                ts: NOON,
            },
            reason_name => Says::Rejected(reason(reason_name)),
        };
        frames.push(frame_of(bytes, says(whole)));
        frames.push(frame_of(frame, says(inside)));
        frames.push(seen(0, format!("after {name}"), NOON));
    }
    frames
}

/// Bytes of any kind, and good frames with a few of them changed; the decoder, which has tests of its own, says what they are.
fn noise(count: usize) -> Vec<Frame> {
    let mut dice = Dice::new(3);
    let mut decoder = Decoder::new(Fields::default());
    let mut frames = Vec::new();
    while frames.len() < count {
        let good = format!(r#"{{"uid":"noise {}","ts":{NOON}}}"#, frames.len());
        let mut bytes = good.into_bytes();
        if dice.once_in(2) {
            bytes = (0..dice.below(300)).map(|_| dice.bits() as u8).collect();
        } else {
            for _ in 0..=dice.below(3) {
                let at = dice.below(bytes.len());
                bytes[at] = dice.bits() as u8;
            }
        }
        // What is still good may be another's.
        if let Verdict::Rejected(reason) = decoder.decode(Some(&bytes)) {
            frames.push(frame_of(bytes, Says::Rejected(reason.name())));
        }
        frames.push(seen(0, format!("after {}", frames.len()), NOON));
    }
    frames
}

#[test]
fn tombstones_json_suite_and_random_bytes_get_their_verdicts_and_harm_nobody() {
    let Some(broker) = Broker::shared() else {
        return;
    };
    let job = Job::with_topic(broker.address(), "poison", 1);
    let mut sent = vec![seen(0, "first", NOON)];
    sent.extend((0..50).map(|_| bad(0, "tombstone", None)));
    sent.extend(json_suite());
    sent.extend(noise(1_000));
    let shares = sent.chunks(sent.len().div_ceil(5));
    for (share, compression) in shares.zip(["none", "zstd", "gzip", "snappy", "lz4"]) {
        job.send_compressed(share, compression);
    }
    assert_counted(&job, &sent);
}

#[test]
fn a_million_rejects_in_a_row_are_counted_and_told_with_moderation() {
    let Some(broker) = Broker::shared() else {
        return;
    };
    let job = Job::with_topic(broker.address(), "rejects", 2);
    let million = 1_000_000;
    let mut sent = vec![seen(0, "before", NOON), seen(1, "beside", NOON)];
    sent.extend((0..million).map(|_| bad(0, "json", Some(b"{"))));
    sent.extend([seen(0, "after", NOON), seen(1, "beside, later", NOON)]);
    job.send_compressed(&sent, "lz4");
    let stderr = job.run_to_end(&[]);
    let lines = stderr.matches("frame rejected").count();
    assert!((1..=40).contains(&lines), "{lines} lines for one flood");
    let (ticks, _) = job.published();
    let last: &Published = ticks.last().expect("a tick");
    let rejected: BTreeMap<String, i64> =
        serde_json::from_value(last.get("/frames/rejected").clone()).expect("numbers");
    assert_eq!(rejected, BTreeMap::from([("json".to_owned(), million)]));
    assert_eq!(last.int("/users_last_minute"), 4);
}
