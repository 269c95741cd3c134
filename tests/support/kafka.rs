//! Topics and records on a broker, real or mock: create, produce, read everything back.

use super::wait_until;
use rdkafka::admin::{AdminClient, AdminOptions, NewPartitions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{DeliveryResult, Message};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer, ProducerContext};
use rdkafka::{ClientConfig, ClientContext, Offset, TopicPartitionList};
use std::collections::BTreeMap;
use std::future::Future;
use std::pin::pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::Thread;
use std::time::{Duration, Instant};

/// No single request, and no pause between two records, may take longer.
const LIMIT: Duration = Duration::from_secs(60);
const POLL: Duration = Duration::from_millis(100);

/// Partition (`None`: by key, or any), key, payload (`None`: a tombstone).
pub type Outgoing = (Option<i32>, Option<Vec<u8>>, Option<Vec<u8>>);

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    pub partition: i32,
    pub offset: i64,
    pub key: Option<Vec<u8>>,
    pub payload: Option<Vec<u8>>,
    pub timestamp_ms: Option<i64>,
}

/// Creates a topic, e.g. with `&[("cleanup.policy", "compact")]`, and waits until all its partitions can be written.
pub fn create_topic(address: &str, name: &str, partitions: i32, config: &[(&str, &str)]) {
    let topic = NewTopic::new(name, partitions, TopicReplication::Fixed(1));
    let topic = config
        .iter()
        .fold(topic, |topic, (key, value)| topic.set(key, value));
    let admin = admin(address);
    let results =
        block_on(admin.create_topics([&topic], &admin_options())).expect("the broker answers");
    for result in results {
        result.unwrap_or_else(|(_, error)| panic!("topic {name} cannot be created: {error}"));
    }
    await_partitions(address, name, partitions);
}

/// Creates a topic, unless the broker does not want to: one of that name is still being deleted.
pub fn try_create_topic(address: &str, name: &str, partitions: i32) -> bool {
    let topic = NewTopic::new(name, partitions, TopicReplication::Fixed(1));
    let results = block_on(admin(address).create_topics([&topic], &admin_options()));
    let is_made = results
        .expect("the broker answers")
        .iter()
        .all(Result::is_ok);
    if is_made {
        await_partitions(address, name, partitions);
    }
    is_made
}

/// Deletes a topic.
pub fn delete_topic(address: &str, name: &str) {
    let deleted = block_on(admin(address).delete_topics(&[name], &admin_options()));
    for result in deleted.expect("the broker answers") {
        result.unwrap_or_else(|(_, error)| panic!("topic {name} cannot be deleted: {error}"));
    }
}

/// Raises the number of partitions to `partitions`.
pub fn add_partitions(address: &str, name: &str, partitions: i32) {
    let count = usize::try_from(partitions).expect("not negative");
    let admin = admin(address);
    let grown =
        block_on(admin.create_partitions([&NewPartitions::new(name, count)], &admin_options()));
    for result in grown.expect("the broker answers") {
        result.unwrap_or_else(|(_, error)| panic!("topic {name} cannot grow: {error}"));
    }
    await_partitions(address, name, partitions);
}

/// Sends the records and waits until the broker has acknowledged every one; returns how many. Records of one partition
/// keep their order. `compression` is `none`, `gzip`, `lz4`, `snappy` or `zstd`.
pub fn produce(
    address: &str,
    topic: &str,
    records: impl IntoIterator<Item = Outgoing>,
    compression: &str,
) -> u64 {
    let deliveries = Arc::new(Deliveries::default());
    let producer: BaseProducer<Acknowledge> = config(address)
        .set("compression.type", compression)
        .set("enable.idempotence", "true")
        .set("linger.ms", "10")
        .set("message.timeout.ms", LIMIT.as_millis().to_string())
        // Large frames are part of the tests; the topic's own max.message.bytes still holds.
        .set("message.max.bytes", "100000000")
        .create_with_context(Acknowledge(deliveries.clone()))
        .expect("a valid configuration");
    let mut sent = 0;
    for (partition, key, payload) in records {
        let mut record = BaseRecord::<[u8], [u8]>::to(topic);
        record.partition = partition;
        record.key = key.as_deref();
        record.payload = payload.as_deref();
        send(&producer, record);
        sent += 1;
    }
    producer
        .flush(LIMIT)
        .unwrap_or_else(|error| panic!("records for {topic} are not acknowledged: {error}"));
    if let Some(error) = deliveries.first_error.get() {
        panic!("a record for {topic} cannot be delivered: {error}");
    }
    assert_eq!(
        deliveries.acknowledged.load(Ordering::Relaxed),
        sent,
        "every record is acknowledged"
    );
    sent
}

/// Everything that the topic holds now, in the order of partitions and offsets.
pub fn read_all(address: &str, topic: &str) -> Vec<Record> {
    let consumer = consumer(address);
    let mut unread = BTreeMap::new();
    let mut assignment = TopicPartitionList::new();
    for partition in partitions(&consumer, topic) {
        let (low, high) = watermarks(&consumer, topic, partition);
        if low < high {
            unread.insert(partition, high);
            assignment
                .add_partition_offset(topic, partition, Offset::Offset(low))
                .expect("a valid offset");
        }
    }
    consumer.assign(&assignment).expect("a valid assignment");
    let mut records = Vec::new();
    let mut deadline = Instant::now() + LIMIT;
    while !unread.is_empty() {
        assert!(
            Instant::now() < deadline,
            "{topic}: nothing for {LIMIT:?}, still unread up to {unread:?}"
        );
        match consumer.poll(POLL) {
            None => continue,
            // Compaction and transactions leave no record at the last offset: then only this tells that it was reached.
            Some(Err(KafkaError::PartitionEOF(partition))) => drop(unread.remove(&partition)),
            Some(Err(error)) if is_passing(&error) => continue,
            Some(Err(error)) => panic!("{topic} cannot be read: {error}"),
            Some(Ok(message)) => {
                let Some(&high) = unread.get(&message.partition()) else {
                    continue;
                };
                if message.offset() + 1 >= high {
                    unread.remove(&message.partition());
                }
                if message.offset() < high {
                    records.push(Record {
                        partition: message.partition(),
                        offset: message.offset(),
                        key: message.key().map(<[u8]>::to_vec),
                        payload: message.payload().map(<[u8]>::to_vec),
                        timestamp_ms: message.timestamp().to_millis(),
                    });
                }
            }
        }
        deadline = Instant::now() + LIMIT;
    }
    records.sort_by_key(|record| (record.partition, record.offset));
    records
}

/// Low and high watermark. A broker that has just come back answers for a moment that it does not lead the partition.
fn watermarks(consumer: &BaseConsumer, topic: &str, partition: i32) -> (i64, i64) {
    wait_until(LIMIT, "the broker knows its watermarks", || {
        consumer.fetch_watermarks(topic, partition, LIMIT).ok()
    })
}

/// The end offset of each partition, by partition.
pub fn high_watermarks(address: &str, topic: &str) -> BTreeMap<i32, i64> {
    let consumer = consumer(address);
    let high = |partition| watermarks(&consumer, topic, partition).1;
    partitions(&consumer, topic)
        .into_iter()
        .map(|partition| (partition, high(partition)))
        .collect()
}

fn config(address: &str) -> ClientConfig {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", address);
    config
}

fn admin(address: &str) -> AdminClient<DefaultClientContext> {
    config(address).create().expect("a valid configuration")
}

fn admin_options() -> AdminOptions {
    AdminOptions::new()
        .request_timeout(Some(LIMIT))
        .operation_timeout(Some(LIMIT))
}

/// Joins no group: it assigns itself what it wants.
fn consumer(address: &str) -> BaseConsumer {
    config(address)
        .set("group.id", "headcount-test-support")
        .set("enable.auto.commit", "false")
        .set("enable.partition.eof", "true")
        .set("auto.offset.reset", "error")
        .set("fetch.wait.max.ms", "100")
        .create()
        .expect("a valid configuration")
}

fn partitions(consumer: &BaseConsumer, topic: &str) -> Vec<i32> {
    let metadata = consumer
        .fetch_metadata(Some(topic), LIMIT)
        .expect("the broker answers");
    let topic = &metadata.topics()[0];
    assert!(
        topic.error().is_none(),
        "topic {}: {:?}",
        topic.name(),
        topic.error()
    );
    topic
        .partitions()
        .iter()
        .map(|partition| partition.id())
        .collect()
}

fn await_partitions(address: &str, topic: &str, partitions: i32) {
    let consumer = consumer(address);
    let count = usize::try_from(partitions).expect("not negative");
    wait_until(
        LIMIT,
        &format!("topic {topic} has {partitions} partitions with a leader"),
        || {
            let metadata = consumer.fetch_metadata(Some(topic), LIMIT).ok()?;
            let led = metadata.topics()[0]
                .partitions()
                .iter()
                .filter(|partition| partition.leader() >= 0)
                .count();
            (led == count).then_some(())
        },
    );
}

fn send(producer: &BaseProducer<Acknowledge>, mut record: BaseRecord<[u8], [u8]>) {
    let deadline = Instant::now() + LIMIT;
    loop {
        // Without a poll now and then nothing is ever taken off the queue.
        producer.poll(Duration::ZERO);
        match producer.send(record) {
            Ok(()) => return,
            Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), unsent)) => {
                assert!(
                    Instant::now() < deadline,
                    "the producer's queue has been full for {LIMIT:?}"
                );
                producer.poll(POLL);
                record = unsent;
            }
            Err((error, _)) => panic!("a record cannot be sent: {error}"),
        }
    }
}

/// What librdkafka reports while it reconnects by itself.
fn is_passing(error: &KafkaError) -> bool {
    matches!(
        error.rdkafka_error_code(),
        Some(
            RDKafkaErrorCode::BrokerTransportFailure
                | RDKafkaErrorCode::AllBrokersDown
                | RDKafkaErrorCode::OperationTimedOut
                | RDKafkaErrorCode::LeaderNotAvailable
                | RDKafkaErrorCode::NotLeaderForPartition
        )
    )
}

#[derive(Default)]
struct Deliveries {
    acknowledged: AtomicU64,
    first_error: OnceLock<KafkaError>,
}

struct Acknowledge(Arc<Deliveries>);

impl ClientContext for Acknowledge {}

impl ProducerContext for Acknowledge {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, _: ()) {
        match result {
            Ok(_) => drop(self.0.acknowledged.fetch_add(1, Ordering::Relaxed)),
            Err((error, _)) => drop(self.0.first_error.set(error.clone())),
        }
    }
}

/// The admin client speaks in futures and needs no more of an executor than this. Requests end by [`admin_options`].
fn block_on<T>(future: impl Future<Output = T>) -> T {
    struct Unpark(Thread);
    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
    let mut future = pin!(future);
    loop {
        match future.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(answer) => return answer,
            Poll::Pending => std::thread::park(),
        }
    }
}
