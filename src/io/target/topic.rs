//! What there is to know of the topic before and between frames: partitions, limits, ends, and its last records.

use std::time::Duration;

use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, ResourceSpecifier, TopicReplication};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::Message;
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

use crate::error::Failure;
use crate::io::kafka_client::{Connection, Voice};
use crate::limits::{REPLAY_LOOK_MS, SURVEY_TIMEOUT_MS};

const TIMEOUT: Duration = Duration::from_millis(SURVEY_TIMEOUT_MS);

/// What the brokers say of the topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Known {
    /// It has so many partitions.
    Partitions(usize),
    /// It does not exist.
    Missing,
    /// Nothing yet, and why; asking again may help.
    Unknown(String),
}

/// A record of the topic.
#[derive(Debug, Clone, Copy)]
pub struct Record<'a> {
    /// Where it is.
    pub partition: usize,
    /// Its number there.
    pub offset: i64,
    /// Its bytes; a tombstone has none.
    pub payload: &'a [u8],
}

/// Asks about one topic, and reads it. Blocks.
pub struct Topic {
    connection: Connection,
    name: String,
    // A consumer, because a producer that asks for a topic creates it where the brokers let it.
    client: BaseConsumer<Voice>,
}

impl Topic {
    /// A client of its own.
    ///
    /// # Errors
    ///
    /// When the client library refuses the configuration.
    pub fn new(connection: &Connection, name: &str) -> Result<Self, Failure> {
        let client = connection
            .configure(&[
                // Never joined: the library wants a name.
                ("group.id", "headcount-replay"),
                ("enable.auto.commit", "false"),
                ("enable.partition.eof", "true"),
                ("auto.offset.reset", "error"),
                ("isolation.level", "read_uncommitted"),
                ("reconnect.backoff.max.ms", "2000"),
            ])
            .create_with_context(connection.voice())
            .map_err(|error| Failure::Usage(format!("the Kafka client refuses: {error}")))?;
        Ok(Self {
            connection: connection.clone(),
            name: name.to_owned(),
            client,
        })
    }

    /// Looks for it, and waits no longer than this.
    ///
    /// # Errors
    ///
    /// When asking again is of no use.
    pub fn look(&self, wait: Duration) -> Result<Known, Failure> {
        let name = &self.name;
        let metadata = match self.client.fetch_metadata(Some(name), wait) {
            Ok(metadata) => {
                self.connection.note_answer();
                metadata
            }
            Err(_) => {
                return Ok(Known::Unknown(format!(
                    "no broker answers at {}",
                    self.connection.brokers
                )));
            }
        };
        let Some(topic) = metadata.topics().iter().find(|t| t.name() == name) else {
            return Ok(Known::Missing);
        };
        match topic.error().map(RDKafkaErrorCode::from) {
            None if topic.partitions().is_empty() => Ok(Known::Missing),
            None => Ok(Known::Partitions(topic.partitions().len())),
            Some(RDKafkaErrorCode::UnknownTopicOrPartition | RDKafkaErrorCode::UnknownTopic) => {
                Ok(Known::Missing)
            }
            Some(RDKafkaErrorCode::TopicAuthorizationFailed) => Err(Failure::Output(format!(
                "no right to see topic '{name}'; ask for it, or give other credentials with -X"
            ))),
            Some(code) => Ok(Known::Unknown(format!("topic '{name}': {code}"))),
        }
    }

    /// Creates it; that it exists by now is no error.
    ///
    /// # Errors
    ///
    /// One sentence.
    pub fn create(&self, partitions: u32) -> Result<(), Failure> {
        let name = &self.name;
        let refused = |why: String| {
            Failure::Unavailable(format!(
                "topic '{name}' is missing and cannot be created ({why}); create it yourself"
            ))
        };
        // -1: as many replicas as the brokers think right.
        let topic = NewTopic::new(name, partitions as i32, TopicReplication::Fixed(-1));
        let created = futures_executor::block_on(self.admin()?.create_topics([&topic], &options()));
        match created.map(|results| results.into_iter().next()) {
            Ok(Some(Err((_, code)))) if code != RDKafkaErrorCode::TopicAlreadyExists => {
                Err(refused(code.to_string()))
            }
            Ok(_) => Ok(()),
            Err(error) => Err(refused(error.to_string())),
        }
    }

    /// Its `max.message.bytes`: the largest batch that it takes. Nothing if that is not for us to know.
    #[must_use]
    pub fn max_message_bytes(&self) -> Option<usize> {
        let topic = [ResourceSpecifier::Topic(&self.name)];
        let admin = self.admin().ok()?;
        let described = futures_executor::block_on(admin.describe_configs(&topic, &options()));
        let described = described.ok()?.into_iter().next()?.ok()?;
        let entry = described.get("max.message.bytes")?;
        entry.value.as_ref()?.parse().ok()
    }

    /// The first offset that is still there and the one after the last.
    ///
    /// # Errors
    ///
    /// One sentence about what is out of reach.
    pub fn watermarks(&self, partition: usize) -> Result<(i64, i64), Failure> {
        let name = &self.name;
        self.client
            .fetch_watermarks(name, partition as i32, TIMEOUT)
            .map_err(|error| {
                Failure::Unavailable(format!(
                    "cannot learn where partition {partition} of '{name}' ends: {error}"
                ))
            })
    }

    /// Hands over the records of these ranges of offsets, by partition: from the first up to before the second. Stops
    /// early when `on` returns false, which is also asked while nothing comes. Returns false where reading is not
    /// allowed to us.
    ///
    /// # Errors
    ///
    /// When nothing comes for `patience`, or something else is wrong.
    pub fn read(
        &self,
        ranges: &[(usize, i64, i64)],
        patience: Duration,
        on: &mut dyn FnMut(Option<Record<'_>>) -> bool,
    ) -> Result<bool, Failure> {
        let failed = |why: String| {
            Failure::Unavailable(format!("cannot read topic '{}' ({why})", self.name))
        };
        let refused = |error: KafkaError| failed(error.to_string());
        let slice = Duration::from_millis(REPLAY_LOOK_MS);
        let mut silence = Duration::ZERO;
        let mut list = TopicPartitionList::new();
        let mut ends = Vec::new();
        for &(partition, from, to) in ranges.iter().filter(|(_, from, to)| from < to) {
            list.add_partition_offset(&self.name, partition as i32, Offset::Offset(from))
                .map_err(refused)?;
            ends.push((partition, to));
        }
        self.client.assign(&list).map_err(refused)?;
        while !ends.is_empty() {
            let polled = self.client.poll(slice);
            silence = match polled {
                None => silence + slice,
                Some(_) => Duration::ZERO,
            };
            let finished = match polled {
                None if silence >= patience => {
                    return Err(failed(format!("nothing came for {} s", patience.as_secs())));
                }
                None if on(None) => None,
                None => break,
                // Aborted and compacted records leave gaps, so only this tells that the end was reached.
                Some(Err(KafkaError::PartitionEOF(partition))) => Some(partition as usize),
                Some(Err(error)) if passes(&error) => None,
                Some(Err(error)) if is_denied(&error) => return Ok(false),
                Some(Err(error)) => return Err(refused(error)),
                Some(Ok(message)) => {
                    let (partition, offset) = (message.partition() as usize, message.offset());
                    let Some((_, to)) = ends.iter().find(|(p, _)| *p == partition) else {
                        continue;
                    };
                    let record = Record {
                        partition,
                        offset,
                        payload: message.payload().unwrap_or(&[]),
                    };
                    if offset < *to && !on(Some(record)) {
                        break;
                    }
                    (offset + 1 >= *to).then_some(partition)
                }
            };
            ends.retain(|(partition, _)| Some(*partition) != finished);
        }
        self.client.unassign().map_err(refused)?;
        Ok(true)
    }

    fn admin(&self) -> Result<AdminClient<Voice>, Failure> {
        self.connection
            .configure(&[])
            .create_with_context(self.connection.voice())
            .map_err(|error| Failure::Usage(format!("the Kafka client refuses: {error}")))
    }
}

fn options() -> AdminOptions {
    AdminOptions::new()
        .request_timeout(Some(TIMEOUT))
        .operation_timeout(Some(TIMEOUT))
}

fn is_denied(error: &KafkaError) -> bool {
    matches!(
        error.rdkafka_error_code(),
        Some(
            RDKafkaErrorCode::TopicAuthorizationFailed | RDKafkaErrorCode::GroupAuthorizationFailed
        )
    )
}

/// Whether the client library goes on by itself.
fn passes(error: &KafkaError) -> bool {
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
