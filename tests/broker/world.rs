//! What the tests of the service share: frames and what they say, the service on a topic, the records it publishes.
#![allow(
    clippy::disallowed_methods,
    reason = "limits on waiting for other processes are real time"
)]

use crate::support::kafka::{Outgoing, create_topic, produce};
use crate::support::process::{Service, headcount, run_ok};
use headcount::generate::{Plan, Traffic, uid_of};
use jiff::Timestamp;
use rdkafka::admin::{AdminClient, AdminOptions, AlterConfig, ResourceSpecifier};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::message::{Headers, Message};
use rdkafka::{ClientConfig, Offset, TopicPartitionList};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fmt::Display;
use std::process::Command;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// For what should take a second or two, on a machine that is busy with other tests.
pub const SOON: Duration = Duration::from_secs(150);
/// What the service promises for its end.
pub const STOP: Duration = Duration::from_secs(5);

/// A topic's `max.message.bytes` under which it refuses every record of the service. The end of a transaction fits in: a
/// topic that refuses even that is out of order for the brokers too, and refuses everything from then on.
pub const NO_ROOM: &str = "100";

/// Some moment in event time: a minute begins here, and an hour, but no day.
pub const NOON: u32 = 1_767_268_800;

/// What a frame says to whoever counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Says {
    Seen { user: String, ts: u32 },
    Rejected(&'static str),
}

#[derive(Clone, Debug)]
pub struct Frame {
    pub partition: i32,
    pub says: Says,
    pub payload: Option<Vec<u8>>,
}

/// A good frame of a user.
pub fn seen(partition: i32, user: impl Display, ts: u32) -> Frame {
    let user = user.to_string();
    let payload = format!(r#"{{"page":{{"uid":"nobody","ts":1}},"uid":"{user}","ts":{ts}}}"#);
    Frame {
        partition,
        says: Says::Seen { user, ts },
        payload: Some(payload.into_bytes()),
    }
}

/// A frame that is rejected for a reason.
pub fn bad(partition: i32, reason: &'static str, payload: Option<&[u8]>) -> Frame {
    Frame {
        partition,
        says: Says::Rejected(reason),
        payload: payload.map(<[u8]>::to_vec),
    }
}

/// The frames of a plan in the order of their arrival, dealt out to the partitions in turn.
pub fn traffic(plan: &Plan, partitions: i32) -> Vec<Frame> {
    plan.check().expect("a possible plan");
    let mut traffic = Traffic::new(plan);
    let mut frame = Vec::new();
    let mut frames = Vec::new();
    while let Some(sent) = traffic.next_frame(&mut frame) {
        frames.push(Frame {
            partition: frames.len() as i32 % partitions,
            says: Says::Seen {
                user: uid_of(sent.user, plan.population),
                ts: sent.ts,
            },
            payload: Some(frame.clone()),
        });
    }
    frames
}

/// One counting job: an input topic and what is counted from it, on some broker. All names start with the job's.
#[derive(Clone, Debug)]
pub struct Job {
    pub address: String,
    pub topic: String,
    pub stats: String,
    pub windows: String,
}

impl Job {
    pub fn new(address: &str, name: &str) -> Job {
        Job {
            address: address.to_owned(),
            topic: name.to_owned(),
            stats: format!("{name}-stats"),
            windows: format!("{name}-stats-windows"),
        }
    }

    /// A job whose input topic exists.
    pub fn with_topic(address: &str, name: &str, partitions: i32) -> Job {
        let job = Job::new(address, name);
        create_topic(address, &job.topic, partitions, &[]);
        job
    }

    pub fn send(&self, frames: &[Frame]) {
        self.send_compressed(frames, "none");
    }

    pub fn send_compressed(&self, frames: &[Frame], compression: &str) {
        send_to(&self.address, &self.topic, frames, compression);
    }

    /// `headcount run` on this job, with more options.
    pub fn command(&self, options: &[&str]) -> Command {
        let mut command = headcount();
        command
            .args(["--log-format", "json", "run", "-b", &self.address])
            .args(["-t", &self.topic, "-o", &self.stats])
            // Every frame is believed at once, so that few of them are enough and the oracle needs no clock.
            .env("HEADCOUNT_MAX_JUMP", "36600d")
            .args(options);
        command
    }

    /// The service, once it reads.
    pub fn start(&self, options: &[&str]) -> Service {
        let mut service = Service::spawn(self.command(options));
        service.stderr_line("\"reading\"", SOON);
        service
    }

    /// Counts what the topic holds; gives stderr.
    pub fn run_to_end(&self, options: &[&str]) -> String {
        let mut command = self.command(options);
        command.arg("-e");
        run_ok(command, b"").1
    }

    pub fn ticks(&self) -> Tail {
        Tail::of(&self.address, &self.stats)
    }

    pub fn window_records(&self) -> Tail {
        Tail::of(&self.address, &self.windows)
    }

    /// All records: the ticks, and those about windows.
    pub fn published(&self) -> (Vec<Published>, Vec<Published>) {
        (self.ticks().up_to_now(), self.window_records().up_to_now())
    }
}

pub fn send_to(address: &str, topic: &str, frames: &[Frame], compression: &str) {
    let outgoing =
        |frame: &Frame| -> Outgoing { (Some(frame.partition), None, frame.payload.clone()) };
    produce(address, topic, frames.iter().map(outgoing), compression);
}

/// SIGTERM, and a clean end within the time that is promised; gives stderr.
pub fn stop(service: &mut Service) -> String {
    service.terminate();
    let status = service.wait(STOP);
    let stderr = service.stderr();
    assert!(status.success(), "{status}:\n{stderr}");
    stderr
}

/// The log lines that contain a text.
pub fn log_lines(stderr: &str, text: &str) -> Vec<Value> {
    let parse =
        |line: &str| serde_json::from_str(line).unwrap_or_else(|error| panic!("{line}: {error}"));
    let lines = stderr.lines().filter(|line| line.contains(text));
    lines.map(parse).collect()
}

pub fn unix_ms() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.expect("after 1970").as_millis() as i64
}

/// A record of the service, as a consumer sees it.
#[derive(Clone, Debug)]
pub struct Published {
    pub offset: i64,
    pub key: String,
    pub text: String,
    pub value: Value,
    pub headers: BTreeMap<String, String>,
    pub timestamp_ms: i64,
}

impl Published {
    fn new(message: &impl Message) -> Published {
        let utf8 = |bytes: Option<&[u8]>| {
            String::from_utf8(bytes.expect("neither is ever null").to_vec()).expect("text")
        };
        let text = utf8(message.payload());
        let headers = message.headers().expect("every record has headers");
        Published {
            offset: message.offset(),
            key: utf8(message.key()),
            value: serde_json::from_str(&text).expect("a JSON text"),
            text,
            headers: headers
                .iter()
                .map(|header| (header.key.to_owned(), utf8(header.value)))
                .collect(),
            timestamp_ms: message.timestamp().to_millis().expect("a time"),
        }
    }

    /// From a line of stdout, which has no key.
    pub fn of_line(line: &str) -> Published {
        Published {
            offset: 0,
            key: String::new(),
            text: line.to_owned(),
            value: serde_json::from_str(line).expect("a JSON text"),
            headers: BTreeMap::new(),
            timestamp_ms: 0,
        }
    }

    pub fn get(&self, path: &str) -> &Value {
        let found = self.value.pointer(path);
        found.unwrap_or_else(|| panic!("no {path} in {}", self.text))
    }

    pub fn int(&self, path: &str) -> i64 {
        let value = self.get(path).as_i64();
        value.unwrap_or_else(|| panic!("{path} is no integer in {}", self.text))
    }

    pub fn str(&self, path: &str) -> &str {
        let value = self.get(path).as_str();
        value.unwrap_or_else(|| panic!("{path} is no string in {}", self.text))
    }

    /// An RFC 3339 field as unix milliseconds.
    pub fn ms(&self, path: &str) -> i64 {
        let time: Timestamp = self.str(path).parse().expect("RFC 3339");
        time.as_millisecond()
    }

    /// The next offset of each partition.
    pub fn offsets(&self) -> BTreeMap<String, i64> {
        let offsets = self.get("/source/offsets").as_object().expect("an object");
        offsets
            .iter()
            .map(|(name, offset)| (name.clone(), offset.as_i64().expect("an integer")))
            .collect()
    }

    /// How many offsets the record reflects, for partitions read from 0.
    pub fn reflected(&self) -> i64 {
        self.offsets().into_values().sum()
    }

    pub fn is_final(&self) -> bool {
        self.str("/state") == "final"
    }

    pub fn is_revised(&self) -> bool {
        self.str("/state") == "revised"
    }

    /// Period and start of a window.
    pub fn window(&self) -> (String, i64) {
        (self.str("/window").to_owned(), self.ms("/start") / 1000)
    }
}

/// An output topic, read from its beginning as its records come.
pub struct Tail {
    consumer: BaseConsumer,
    address: String,
    topic: String,
    pub seen: Vec<Published>,
}

/// How long a topic may be silent until it is looked at with another client: one can stand still when its brokers come back.
const SILENCE: Duration = Duration::from_secs(15);

impl Tail {
    /// The topic must exist.
    pub fn of(address: &str, topic: &str) -> Tail {
        let consumer = Tail::client(address);
        assign(&consumer, topic, 0);
        Tail {
            consumer,
            address: address.to_owned(),
            topic: topic.to_owned(),
            seen: Vec::new(),
        }
    }

    fn client(address: &str) -> BaseConsumer {
        config(address)
            .set("group.id", "headcount-test-tail")
            .set("enable.auto.commit", "false")
            .set("auto.offset.reset", "error")
            .set("fetch.wait.max.ms", "100")
            .set("enable.partition.eof", "true")
            .set("reconnect.backoff.max.ms", "500")
            .create()
            .expect("a valid configuration")
    }

    /// The next record, if one comes within the limit.
    pub fn next(&mut self, limit: Duration) -> Option<Published> {
        // Errors are those of a broker that is away for a moment: the client goes on by itself.
        let message = match self.consumer.poll(limit)? {
            // The end is told once; after it there is something to wait for again.
            Err(KafkaError::PartitionEOF(_)) => self.consumer.poll(limit)?.ok()?,
            message => message.ok()?,
        };
        self.seen.push(Published::new(&message));
        self.seen.last().cloned()
    }

    /// The first record to come that is as wanted.
    pub fn until(&mut self, what: &str, wanted: impl Fn(&Published) -> bool) -> Published {
        let deadline = Instant::now() + SOON;
        let mut heard = Instant::now();
        loop {
            let next = self.next(Duration::from_millis(100));
            if next.is_some() {
                heard = Instant::now();
            } else if heard.elapsed() > SILENCE {
                heard = Instant::now();
                self.consumer = Tail::client(&self.address);
                assign(&self.consumer, &self.topic, self.next_offset());
            }
            if let Some(record) = next.filter(|record| wanted(record)) {
                return record;
            }
            assert!(
                Instant::now() < deadline,
                "{}: no record with {what} within {SOON:?}, the last one is {:#?}",
                self.topic,
                self.seen.last()
            );
        }
    }

    fn next_offset(&self) -> i64 {
        self.seen.last().map_or(0, |last| last.offset + 1)
    }

    /// Everything that the topic holds now.
    pub fn up_to_now(mut self) -> Vec<Published> {
        // Assigned anew it tells once more where the topic ends: the end of a transaction has an offset, and no record.
        assign(&self.consumer, &self.topic, self.next_offset());
        let deadline = Instant::now() + SOON;
        loop {
            match self.consumer.poll(Duration::from_millis(100)) {
                Some(Ok(message)) => self.seen.push(Published::new(&message)),
                Some(Err(KafkaError::PartitionEOF(_))) => return self.seen,
                _ => {}
            }
            assert!(Instant::now() < deadline, "{} has no end", self.topic);
        }
    }
}

fn assign(consumer: &BaseConsumer, topic: &str, offset: i64) {
    let mut assignment = TopicPartitionList::new();
    assignment
        .add_partition_offset(topic, 0, Offset::Offset(offset))
        .expect("a valid offset");
    consumer.assign(&assignment).expect("a valid assignment");
}

pub fn config(address: &str) -> ClientConfig {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", address);
    config
}

fn admin(address: &str) -> AdminClient<DefaultClientContext> {
    config(address).create().expect("a valid configuration")
}

fn admin_options() -> AdminOptions {
    AdminOptions::new()
        .request_timeout(Some(SOON))
        .operation_timeout(Some(SOON))
}

/// A property of a topic, as the broker has it.
pub fn topic_config(address: &str, topic: &str, property: &str) -> String {
    let topic = [ResourceSpecifier::Topic(topic)];
    let described =
        futures_executor::block_on(admin(address).describe_configs(&topic, &admin_options()));
    let described = described.expect("the broker answers");
    let described = described[0].as_ref().expect("the topic exists");
    let entry = described.get(property).expect("a known property");
    entry.value.clone().expect("it has a value")
}

/// Gives a topic this one property; all others are as the broker's defaults.
pub fn set_topic_config(address: &str, topic: &str, property: &str, value: &str) {
    let change = [AlterConfig::new(ResourceSpecifier::Topic(topic)).set(property, value)];
    let altered =
        futures_executor::block_on(admin(address).alter_configs(&change, &admin_options()));
    for result in altered.expect("the broker answers") {
        result.expect("the topic can be altered");
    }
}

/// Deletes the records of a partition before an offset, as retention would.
pub fn delete_records(address: &str, topic: &str, partition: i32, before: i64) {
    let mut list = TopicPartitionList::new();
    list.add_partition_offset(topic, partition, Offset::Offset(before))
        .expect("a valid offset");
    futures_executor::block_on(admin(address).delete_records(&list, &admin_options()))
        .expect("the records can be deleted");
}
