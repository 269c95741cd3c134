//! Frames into one Kafka topic, by an idempotent producer.

use std::sync::Arc;
use std::thread;
use std::time::Duration;

use parking_lot::Mutex;
use rdkafka::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::Message;
use rdkafka::producer::{BaseProducer, BaseRecord, DeliveryResult, Producer, ProducerContext};

use super::{Answer, Delivery, Full, Target};
use crate::error::Failure;
use crate::io::clock::Clock;
use crate::io::kafka_client::{Connection, Revival, Voice};
use crate::limits::{
    MAX_FRAME_BYTES, RECORD_OVERHEAD_BYTES, REPLAY_BATCH_BYTES, REPLAY_IN_FLIGHT_BYTES,
    REPLAY_IN_FLIGHT_FRAMES, REPLAY_NAP_MS,
};

/// Collects answers, which the client library hands over while it is polled.
struct Answers {
    voice: Voice,
    topic: String,
    // A plain mutex: only the polling thread ever takes it, so it is never waited for.
    delivered: Mutex<Vec<Delivery>>,
}

impl ClientContext for Answers {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        self.voice.log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.voice.error(error, reason);
    }
}

impl ProducerContext for Answers {
    type DeliveryOpaque = usize;

    fn delivery(&self, result: &DeliveryResult<'_>, ticket: usize) {
        let (message, answer) = match result {
            // A record that a broker had from an earlier try has no offset.
            Ok(message) => (
                message,
                Answer::Acknowledged(Some(message.offset()).filter(|o| *o >= 0)),
            ),
            Err((error, message)) => (message, self.refusal(error)),
        };
        self.delivered.lock().push(Delivery {
            ticket: ticket as u64,
            partition: message.partition().unsigned_abs() as usize,
            answer,
        });
    }
}

impl Answers {
    fn refusal(&self, error: &KafkaError) -> Answer {
        use RDKafkaErrorCode as Code;
        let topic = &self.topic;
        match error.rdkafka_error_code() {
            Some(Code::MessageSizeTooLarge | Code::MessageBatchTooLarge) => Answer::TooLarge,
            Some(
                Code::TopicAuthorizationFailed
                | Code::ClusterAuthorizationFailed
                | Code::TransactionalIdAuthorizationFailed,
            ) => Answer::Failed(Failure::Output(format!(
                "no right to write to topic '{topic}'; ask for it, or give other credentials with -X"
            ))),
            Some(Code::UnknownTopic | Code::UnknownTopicOrPartition | Code::UnknownPartition) => {
                Answer::Failed(Failure::Unavailable(format!(
                    "topic '{topic}', or a partition of it, was deleted while frames were sent to it"
                )))
            }
            Some(code) => Answer::Failed(Failure::Output(format!(
                "topic '{topic}' does not take a frame ({code})"
            ))),
            None => Answer::Failed(Failure::Output(format!(
                "topic '{topic}' does not take a frame ({error})"
            ))),
        }
    }
}

/// The topic as a target.
pub struct KafkaTarget {
    producer: BaseProducer<Answers>,
    revival: Revival,
    /// Answers so far.
    answers: u64,
    topic: String,
}

impl KafkaTarget {
    /// A producer for a topic that takes batches of so many bytes, if that is known.
    ///
    /// # Errors
    ///
    /// When the client library refuses the configuration.
    pub fn new(
        connection: &Connection,
        topic: &str,
        compression: &str,
        max_message_bytes: Option<usize>,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, Failure> {
        // A broker refuses a batch as a whole. One that fits before it is packed always fits, so what is refused is a
        // batch of one record that is too large by itself.
        let most = max_message_bytes.unwrap_or(REPLAY_BATCH_BYTES);
        let batch = REPLAY_BATCH_BYTES
            .min(most)
            .saturating_sub(RECORD_OVERHEAD_BYTES);
        // The topic decides what is too large, not the client.
        let message_max = MAX_FRAME_BYTES + REPLAY_BATCH_BYTES;
        // Twice our own window, which is what holds sending back.
        let queue_kbytes = 2 * (REPLAY_IN_FLIGHT_BYTES + MAX_FRAME_BYTES) / 1024;
        let config = connection.configure(&[
            ("enable.idempotence", "true"),
            ("acks", "all"),
            ("compression.type", compression),
            ("linger.ms", "5"),
            ("batch.size", &batch.max(1).to_string()),
            ("message.max.bytes", &message_max.to_string()),
            ("queue.buffering.max.kbytes", &queue_kbytes.to_string()),
            (
                "queue.buffering.max.messages",
                &(2 * REPLAY_IN_FLIGHT_FRAMES).to_string(),
            ),
            // Frames never expire: whoever sends them watches the time.
            ("message.timeout.ms", "0"),
            ("reconnect.backoff.max.ms", "2000"),
        ]);
        let answers = Answers {
            voice: connection.voice(),
            topic: topic.to_owned(),
            delivered: Mutex::new(Vec::new()),
        };
        let producer = config
            .create_with_context(answers)
            .map_err(|error| Failure::Usage(format!("the Kafka client refuses: {error}")))?;
        Ok(Self {
            producer,
            revival: Revival::new(connection, clock),
            answers: 0,
            topic: topic.to_owned(),
        })
    }
}

impl Target for KafkaTarget {
    fn send(
        &mut self,
        ticket: u64,
        partition: usize,
        frame: &[u8],
    ) -> Result<Result<(), Full>, Failure> {
        let record = BaseRecord::<[u8], [u8], usize>::with_opaque_to(&self.topic, ticket as usize)
            .partition(partition as i32)
            .payload(frame);
        match self.producer.send(record) {
            Ok(()) => Ok(Ok(())),
            Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), _)) => Ok(Err(Full)),
            Err((error, _)) => {
                let fatal = self.producer.client().fatal_error();
                let answer = match fatal {
                    Some((_, why)) => Answer::Failed(Failure::Output(format!(
                        "the Kafka client gave up on sending: {why}"
                    ))),
                    None => self.producer.context().refusal(&error),
                };
                if let Answer::Failed(failure) = answer {
                    return Err(failure);
                }
                self.producer.context().delivered.lock().push(Delivery {
                    ticket,
                    partition,
                    answer,
                });
                Ok(Ok(()))
            }
        }
    }

    fn deliveries(&mut self, wait: Duration, into: &mut Vec<Delivery>) {
        // The library's own wait goes round in circles for its last millisecond, which is most of a short one.
        if !wait.is_zero() {
            thread::park_timeout(wait.min(Duration::from_millis(REPLAY_NAP_MS)));
        }
        self.producer.poll(Duration::ZERO);
        // Without a wait a poll hands over one batch's answers at the most.
        let delivered = &self.producer.context().delivered;
        let before = into.len();
        while !delivered.lock().is_empty() {
            into.append(&mut delivered.lock());
            self.producer.poll(Duration::ZERO);
        }
        self.answers += (into.len() - before) as u64;
        let waits = self.producer.in_flight_count() > 0;
        self.revival
            .tend(self.producer.client(), waits, self.answers);
    }
}
