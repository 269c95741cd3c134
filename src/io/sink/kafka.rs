//! Records into two Kafka topics.

use std::time::Duration;

use parking_lot::Mutex;
use rdkafka::ClientContext;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{
    BaseProducer, BaseRecord, DeliveryResult, Producer, ProducerContext, PurgeConfig,
};

use super::{Delivery, Full, Sink};
use crate::engine::report::outbox::{Kind, Outgoing, Ticket};
use crate::engine::report::record::{STATS_SCHEMA, WINDOW_SCHEMA};
use crate::error::Failure;
use crate::io::kafka_client::{Connection, Voice};
use crate::limits::SURVEY_TIMEOUT_MS;

/// Collects acknowledgements, which the client library hands over while it is polled.
#[derive(Default)]
struct Acknowledgements {
    voice: Voice,
    // A plain mutex: only the polling thread ever takes it, so it is never waited for.
    delivered: Mutex<Vec<Delivery>>,
}

impl ClientContext for Acknowledgements {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        self.voice.log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.voice.error(error, reason);
    }
}

impl ProducerContext for Acknowledgements {
    type DeliveryOpaque = Box<Ticket>;

    fn delivery(&self, result: &DeliveryResult<'_>, ticket: Box<Ticket>) {
        let result = match result {
            Ok(_) => Ok(()),
            Err((error, _)) => Err(error.to_string()),
        };
        let ticket = *ticket;
        self.delivered.lock().push(Delivery { ticket, result });
    }
}

/// Publishes ticks to one topic and windows to another.
pub struct KafkaSink {
    producer: BaseProducer<Acknowledgements>,
    stats: String,
    windows: String,
}

impl KafkaSink {
    /// A producer for two topics.
    ///
    /// # Errors
    ///
    /// When the client library refuses the configuration.
    pub fn new(connection: &Connection, stats: &str, windows: &str) -> Result<Self, Failure> {
        let config = connection.configure(&[
            ("enable.idempotence", "true"),
            ("acks", "all"),
            ("compression.type", "zstd"),
            ("linger.ms", "5"),
            // A record that waits longer is given back, and a newer one may take its place.
            ("message.timeout.ms", "60000"),
            ("reconnect.backoff.max.ms", "2000"),
        ]);
        let producer = config
            .create_with_context(Acknowledgements::default())
            .map_err(|error| Failure::Usage(format!("the Kafka client refuses: {error}")))?;
        Ok(Self {
            producer,
            stats: stats.to_owned(),
            windows: windows.to_owned(),
        })
    }
}

impl Sink for KafkaSink {
    fn send(&mut self, ticket: Ticket, record: &Outgoing) -> Result<Result<(), Full>, Failure> {
        let (topic, schema) = match record.kind {
            Kind::Tick => (&self.stats, STATS_SCHEMA),
            Kind::Provisional(_) | Kind::Final(..) | Kind::Forgotten => {
                (&self.windows, WINDOW_SCHEMA)
            }
        };
        let header = |key, value| Header {
            key,
            value: Some(value),
        };
        let headers = OwnedHeaders::new_with_capacity(2)
            .insert(header("content-type", "application/json"))
            .insert(header("headcount-schema", schema));
        // All of a topic's records in one partition: their order is that of their numbers.
        let mut message =
            BaseRecord::<str, [u8], Box<Ticket>>::with_opaque_to(topic, Box::new(ticket))
                .partition(0)
                .key(&record.key)
                .headers(headers);
        message.payload = record.payload.as_deref();
        match self.producer.send(message) {
            Ok(()) => Ok(Ok(())),
            Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), _)) => Ok(Err(Full)),
            Err((error, _)) => match self.producer.client().fatal_error() {
                Some((_, why)) => Err(Failure::Output(format!(
                    "the Kafka client gave up on publishing: {why}"
                ))),
                None => {
                    let result = Err(error.to_string());
                    let delivered = &self.producer.context().delivered;
                    delivered.lock().push(Delivery { ticket, result });
                    Ok(Ok(()))
                }
            },
        }
    }

    fn abandon(&mut self) {
        // Otherwise the client waits for these when it is closed.
        self.producer
            .purge(PurgeConfig::default().queue().inflight());
    }

    fn deliveries(&mut self, wait: Duration) -> Result<Vec<Delivery>, Failure> {
        self.producer.poll(wait);
        Ok(std::mem::take(
            &mut *self.producer.context().delivered.lock(),
        ))
    }
}

/// A topic that is written to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopicPlan {
    /// Its name.
    pub name: String,
    /// How many partitions to create it with; -1 leaves it to the brokers.
    pub partitions: i32,
    /// `delete` or `compact`.
    pub cleanup: &'static str,
}

/// Creates topics where they are missing and the brokers let us. Blocks.
///
/// # Errors
///
/// One sentence when the brokers do not answer; that a topic exists or must not be created is no error.
pub fn create_topics(connection: &Connection, wanted: &[TopicPlan]) -> Result<Vec<String>, String> {
    let admin: AdminClient<Voice> = connection
        .configure(&[])
        .create_with_context(Voice::default())
        .map_err(|error| error.to_string())?;
    let timeout = Duration::from_millis(SURVEY_TIMEOUT_MS);
    let known = admin
        .inner()
        .fetch_metadata(None, timeout)
        .map_err(|error| format!("the brokers do not answer ({error})"))?;
    let missing = wanted.iter().filter(|plan| {
        let topics = known.topics();
        !topics.iter().any(|topic| topic.name() == plan.name)
    });
    // -1: as many replicas as the brokers think right.
    let topics: Vec<_> = missing
        .map(|plan| {
            NewTopic::new(&plan.name, plan.partitions, TopicReplication::Fixed(-1))
                .set("cleanup.policy", plan.cleanup)
        })
        .collect();
    if topics.is_empty() {
        return Ok(Vec::new());
    }
    let options = AdminOptions::new()
        .request_timeout(Some(timeout))
        .operation_timeout(Some(timeout));
    let created = futures_executor::block_on(admin.create_topics(&topics, &options));
    let results = created.map_err(|error| error.to_string());
    let mut refused = Vec::new();
    match results {
        Ok(results) => {
            for result in results {
                if let Err((topic, code)) = result
                    && code != RDKafkaErrorCode::TopicAlreadyExists
                {
                    refused.push(format!(
                        "cannot create topic '{topic}' ({code}); create it, or let the brokers"
                    ));
                }
            }
        }
        Err(error) => refused.push(format!(
            "cannot create the output topics ({error}); create them, or let the brokers"
        )),
    }
    Ok(refused)
}
