//! Frames that were not counted into a Kafka topic, the reasons as headers.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use rdkafka::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::KafkaError;
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{
    BaseProducer, BaseRecord, DeliveryResult, Producer, ProducerContext, PurgeConfig,
};

use super::{Aside, Stray};
use crate::error::Failure;
use crate::io::clock::Clock;
use crate::io::kafka_client::{Connection, Revival, Voice};
use crate::limits::{
    ASIDE_IN_FLIGHT_BYTES, ASIDE_IN_FLIGHT_FRAMES, DELIVERY_POLL_MS, FRAMES_PER_ROUND,
    MAX_FRAME_BYTES,
};

struct Answers {
    voice: Voice,
    /// Frames and bytes that were handed over and not answered for.
    frames: AtomicU64,
    bytes: AtomicU64,
    /// Answers so far.
    answered: AtomicU64,
    // A plain mutex: only the polling thread ever takes it, so it is never waited for.
    refused: Mutex<Option<(u64, String)>>,
}

impl Answers {
    fn refuse(&self, why: String) {
        let mut refused = self.refused.lock();
        let before = refused.as_ref().map_or(0, |(frames, _)| *frames);
        *refused = Some((before + 1, why));
    }
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
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        let message = match result {
            Ok(message) => message,
            Err((error, message)) => {
                self.refuse(error.to_string());
                message
            }
        };
        self.answered.fetch_add(1, Ordering::Relaxed);
        self.frames.fetch_sub(1, Ordering::Relaxed);
        self.bytes
            .fetch_sub(message.payload_len() as u64, Ordering::Relaxed);
    }
}

/// A topic for frames that were not counted.
pub struct KafkaAside {
    producer: BaseProducer<Answers>,
    revival: Revival,
    topic: String,
}

impl KafkaAside {
    /// A producer for one topic.
    ///
    /// # Errors
    ///
    /// When the client library refuses the configuration.
    pub fn new(
        connection: &Connection,
        topic: &str,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, Failure> {
        // Reading stops at our own bound; what is read until then must find room.
        let messages = 2 * ASIDE_IN_FLIGHT_FRAMES + 2 * FRAMES_PER_ROUND as u64;
        let kbytes = 2 * (ASIDE_IN_FLIGHT_BYTES + MAX_FRAME_BYTES as u64) / 1_024;
        let config = connection.configure(&[
            ("enable.idempotence", "true"),
            ("acks", "all"),
            ("compression.type", "lz4"),
            ("linger.ms", "20"),
            // The topic decides what is too large, not the client.
            ("message.max.bytes", "1000000000"),
            ("queue.buffering.max.messages", &messages.to_string()),
            ("queue.buffering.max.kbytes", &kbytes.to_string()),
            ("message.timeout.ms", "0"),
            ("reconnect.backoff.max.ms", "2000"),
        ]);
        let producer = config
            .create_with_context(Answers {
                voice: connection.voice(),
                frames: AtomicU64::new(0),
                bytes: AtomicU64::new(0),
                answered: AtomicU64::new(0),
                refused: Mutex::default(),
            })
            .map_err(|error| Failure::Usage(format!("the Kafka client refuses: {error}")))?;
        Ok(Self {
            producer,
            revival: Revival::new(connection, clock),
            topic: topic.to_owned(),
        })
    }

    fn answers(&self) -> &Answers {
        self.producer.context()
    }
}

impl Aside for KafkaAside {
    fn put(&mut self, stray: &Stray<'_>) -> Result<(), Failure> {
        let offset = stray.offset.to_string();
        let clock = stray.clock.map(|clock| clock.to_string());
        let fields = [
            ("headcount-reason", Some(stray.reason)),
            ("headcount-topic", Some(stray.topic)),
            ("headcount-partition", Some(stray.partition)),
            ("headcount-offset", Some(offset.as_str())),
            ("headcount-clock", clock.as_deref()),
        ];
        let headers = OwnedHeaders::new_with_capacity(fields.len());
        let headers = fields.into_iter().fold(headers, |headers, (key, value)| {
            headers.insert(Header { key, value })
        });
        let mut record = BaseRecord::<(), [u8]>::to(&self.topic).headers(headers);
        record.payload = stray.frame;
        let bytes = stray.frame.map_or(0, <[u8]>::len) as u64;
        match self.producer.send(record) {
            Ok(()) => {
                self.answers().frames.fetch_add(1, Ordering::Relaxed);
                self.answers().bytes.fetch_add(bytes, Ordering::Relaxed);
            }
            Err((error, _)) => {
                if let Some((_, why)) = self.producer.client().fatal_error() {
                    return Err(Failure::Output(format!(
                        "the Kafka client gave up on topic '{}': {why}",
                        self.topic
                    )));
                }
                self.answers().refuse(error.to_string());
            }
        }
        Ok(())
    }

    fn is_full(&self) -> bool {
        let answers = self.answers();
        answers.frames.load(Ordering::Relaxed) >= ASIDE_IN_FLIGHT_FRAMES
            || answers.bytes.load(Ordering::Relaxed) >= ASIDE_IN_FLIGHT_BYTES
    }

    fn tend(&mut self, wait: Duration) -> Option<(u64, String)> {
        // Without a wait a poll hands over one batch's answers at the most.
        self.producer.poll(wait);
        loop {
            let before = self.answers().frames.load(Ordering::Relaxed);
            self.producer.poll(Duration::ZERO);
            if self.answers().frames.load(Ordering::Relaxed) == before {
                break;
            }
        }
        let answers = self.producer.context();
        let waits = answers.frames.load(Ordering::Relaxed) > 0;
        let answered = answers.answered.load(Ordering::Relaxed);
        self.revival.tend(self.producer.client(), waits, answered);
        self.answers().refused.lock().take()
    }

    fn keep(&mut self, limit: Duration) -> Result<(), Failure> {
        if self.answers().frames.load(Ordering::Relaxed) > 0 {
            // A topic that takes nothing is told of elsewhere, and what is counted must not wait for copies for ever.
            let _ = self.producer.flush(limit);
        }
        Ok(())
    }

    fn finish(&mut self, is_time_left: &mut dyn FnMut() -> bool) -> Result<u64, Failure> {
        let mut refused = 0;
        loop {
            let left = self.answers().frames.load(Ordering::Relaxed);
            let more = self.tend(Duration::from_millis(DELIVERY_POLL_MS));
            refused += more.map_or(0, |(frames, _)| frames);
            if left == 0 || !is_time_left() {
                self.producer
                    .purge(PurgeConfig::default().queue().inflight());
                return Ok(refused + left);
            }
        }
    }
}
