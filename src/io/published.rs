//! What a service publishes, read back as any client would.

use std::time::Duration;

use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::message::{Message, Timestamp};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use rdkafka::types::RDKafkaErrorCode;

use crate::error::Failure;
use crate::io::kafka_client::{Connection, Voice, revive};
use crate::limits::DIAGNOSE_TIMEOUT_MS;

/// Where reading starts in each of the two topics.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tail {
    /// Ticks from the end.
    pub ticks: i64,
    /// Window records from the end; 0 leaves the topic alone.
    pub windows: i64,
}

/// What was heard.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Heard {
    /// A record of the ticks' topic.
    Tick(Published),
    /// A record of the windows' topic.
    Window(Published),
    /// One of the topics was read to where it ends for now.
    End,
    /// One of the topics does not exist (yet), in one sentence.
    Missing(String),
    /// A broker does not answer, in one sentence; others may, also for its topics.
    Away(String),
    /// Something else is wrong, in one sentence; reading goes on by itself once it is over.
    Trouble(String),
}

/// What came of a try to read the last ticks.
pub enum Opened {
    /// They can be read.
    Reader(Reader),
    /// Their topic does not exist (yet).
    Missing,
    /// The brokers have not answered in time.
    NoAnswer,
}

/// A record with a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Published {
    /// Its value.
    pub payload: Vec<u8>,
    /// The record's own time, unix milliseconds.
    pub at_ms: Option<u64>,
}

/// A reader of a service's output topics.
pub struct Reader {
    consumer: BaseConsumer<Voice>,
    brokers: String,
    stats: String,
    windows: String,
}

impl Reader {
    /// A reader of the last records and of all that follow. Nothing is committed anywhere.
    ///
    /// # Errors
    ///
    /// When the client library refuses the configuration.
    pub fn new(
        connection: &Connection,
        stats: &str,
        windows: &str,
        tail: Tail,
    ) -> Result<Self, Failure> {
        let consumer = client(connection)?;
        let mut list = TopicPartitionList::new();
        list.add_partition_offset(stats, 0, Offset::OffsetTail(tail.ticks))
            .map_err(refused)?;
        if tail.windows > 0 {
            list.add_partition_offset(windows, 0, Offset::OffsetTail(tail.windows))
                .map_err(refused)?;
        }
        consumer.assign(&list).map_err(refused)?;
        Ok(Self {
            consumer,
            brokers: connection.brokers.clone(),
            stats: stats.to_owned(),
            windows: windows.to_owned(),
        })
    }

    /// A reader of the last ticks and of all that follow. Blocks, at most so long; but sooner than [`Self::new`] it has read
    /// them: what the library calls the tail of a topic takes it half a second to find.
    ///
    /// # Errors
    ///
    /// When the client library refuses the configuration.
    pub fn of_ticks(
        connection: &Connection,
        stats: &str,
        ticks: i64,
        limit: Duration,
    ) -> Result<Opened, Failure> {
        let consumer = client(connection)?;
        let Ok(metadata) = consumer.fetch_metadata(Some(stats), limit / 2) else {
            return Ok(Opened::NoAnswer);
        };
        let described = metadata.topics().iter().find(|topic| topic.name() == stats);
        match described.map(|topic| topic.error().map(RDKafkaErrorCode::from)) {
            Some(Some(RDKafkaErrorCode::UnknownTopicOrPartition)) | None => {
                return Ok(Opened::Missing);
            }
            Some(_) => {}
        }
        let Ok((low, high)) = consumer.fetch_watermarks(stats, 0, limit / 2) else {
            return Ok(Opened::NoAnswer);
        };
        let mut list = TopicPartitionList::new();
        let from = Offset::Offset(low.max(high - ticks));
        list.add_partition_offset(stats, 0, from).map_err(refused)?;
        consumer.assign(&list).map_err(refused)?;
        Ok(Opened::Reader(Self {
            consumer,
            brokers: connection.brokers.clone(),
            stats: stats.to_owned(),
            windows: String::new(),
        }))
    }

    /// The next thing there is to hear; `None` if nothing comes in time.
    pub fn next(&mut self, wait: Duration) -> Option<Heard> {
        match self.consumer.poll(wait)? {
            Ok(message) => {
                let published = Published {
                    payload: message.payload()?.to_vec(),
                    at_ms: match message.timestamp() {
                        Timestamp::CreateTime(ms) | Timestamp::LogAppendTime(ms) => {
                            u64::try_from(ms).ok()
                        }
                        Timestamp::NotAvailable => None,
                    },
                };
                Some(match message.topic() == self.stats {
                    true => Heard::Tick(published),
                    false => Heard::Window(published),
                })
            }
            Err(KafkaError::PartitionEOF(_)) => Some(Heard::End),
            Err(error) if is_missing(&error) => Some(Heard::Missing(self.sentence(&error))),
            Err(error) if is_away(&error) => Some(Heard::Away(self.sentence(&error))),
            Err(error) => Some(Heard::Trouble(self.sentence(&error))),
        }
    }

    /// Why there may be nothing to read in the ticks' topic, in a few words. Blocks.
    #[must_use]
    pub fn diagnose(&self) -> &'static str {
        let timeout = Duration::from_millis(DIAGNOSE_TIMEOUT_MS);
        let Ok(metadata) = self.consumer.fetch_metadata(Some(&self.stats), timeout) else {
            revive(self.consumer.client(), &self.brokers);
            return "the brokers do not answer";
        };
        let described = metadata
            .topics()
            .iter()
            .find(|topic| topic.name() == self.stats);
        match described.map(|topic| {
            (
                topic.error().map(RDKafkaErrorCode::from),
                topic.partitions().len(),
            )
        }) {
            Some((Some(RDKafkaErrorCode::TopicAuthorizationFailed), _)) => "no right to read it",
            Some((None, 1..)) => "nothing was published to it",
            _ => "it does not exist",
        }
    }

    /// Whether the client library has said that no broker answers, since the last call.
    pub fn take_brokers_down(&self) -> bool {
        let down = self.consumer.context().take_brokers_down();
        if down {
            revive(self.consumer.client(), &self.brokers);
        }
        down
    }

    fn sentence(&self, error: &KafkaError) -> String {
        let topics = format!("'{}' and '{}'", self.stats, self.windows);
        match error.rdkafka_error_code() {
            _ if is_missing(error) => {
                format!("of the topics {topics} at least one does not exist (yet)")
            }
            Some(RDKafkaErrorCode::TopicAuthorizationFailed) => {
                format!("no right to read the topics {topics}; ask for READ and DESCRIBE on them")
            }
            Some(RDKafkaErrorCode::AllBrokersDown) => "the brokers do not answer".to_owned(),
            _ if is_away(error) => "the brokers do not answer".to_owned(),
            Some(code) => format!("reading the topics {topics}: {code}"),
            None => format!("reading the topics {topics}: {error}"),
        }
    }
}

fn refused(error: KafkaError) -> Failure {
    Failure::Usage(format!("the Kafka client refuses: {error}"))
}

fn client(connection: &Connection) -> Result<BaseConsumer<Voice>, Failure> {
    let config = connection.configure(&[
        // The library wants a name; nothing is ever committed under it.
        ("group.id", "headcount-view"),
        ("enable.auto.commit", "false"),
        ("auto.offset.reset", "earliest"),
        ("enable.partition.eof", "true"),
        ("fetch.wait.max.ms", "50"),
        ("reconnect.backoff.max.ms", "2000"),
        // So that a topic that is made later is found soon.
        ("topic.metadata.refresh.interval.ms", "2000"),
    ]);
    config
        .create_with_context(connection.voice())
        .map_err(refused)
}

/// Whether an error is that of one broker's connection; if it was the last one, [`Reader::take_brokers_down`] tells.
fn is_away(error: &KafkaError) -> bool {
    matches!(
        error.rdkafka_error_code(),
        Some(RDKafkaErrorCode::BrokerTransportFailure | RDKafkaErrorCode::Resolve)
    )
}

fn is_missing(error: &KafkaError) -> bool {
    matches!(
        error.rdkafka_error_code(),
        Some(
            RDKafkaErrorCode::UnknownTopicOrPartition
                | RDKafkaErrorCode::UnknownTopic
                | RDKafkaErrorCode::UnknownPartition
        )
    )
}
