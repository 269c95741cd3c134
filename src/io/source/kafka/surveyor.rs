//! What the brokers say of topics and their partitions.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use rdkafka::consumer::Consumer;
use rdkafka::error::KafkaError;
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use rdkafka::types::RDKafkaErrorCode;

use super::tap::Client;
use super::topic_id;
use crate::config::From;
use crate::limits::SURVEY_TIMEOUT_MS;

/// The offset after what was last handed over, of each partition by topic and number; none before the first frame.
pub(super) type Positions = Arc<Mutex<BTreeMap<(usize, i32), i64>>>;

/// What the brokers say of one partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Surveyed {
    /// Index of its topic.
    pub topic: usize,
    /// Its number.
    pub partition: i32,
    /// The topic's id, where the brokers tell it: a topic that was made anew under the same name has another one.
    pub topic_id: Option<u128>,
    /// The first offset that is still there.
    pub low: i64,
    /// The offset after the last one.
    pub high: i64,
    /// Where a reader that is new to it starts.
    pub start: i64,
    /// The offset after the last frame handed over, at the moment of [`Self::high`]; `None` before the first.
    pub position: Option<i64>,
}

/// Asks the brokers about topics. May block, so it has a thread of its own; shares a client with a reader.
pub struct Surveyor {
    topics: Vec<String>,
    client: Arc<Client>,
    from: From,
    positions: Positions,
}

impl Surveyor {
    pub(super) fn new(
        topics: &[String],
        client: &Arc<Client>,
        from: From,
        positions: &Positions,
    ) -> Self {
        Self {
            topics: topics.to_vec(),
            client: Arc::clone(client),
            from,
            positions: Arc::clone(positions),
        }
    }

    /// All partitions of all topics.
    ///
    /// # Errors
    ///
    /// One sentence about what is out of reach.
    pub fn survey(&self) -> Result<Vec<Surveyed>, String> {
        let mut all = Vec::new();
        for topic in 0..self.topics.len() {
            self.survey_topic(topic, &mut all)?;
        }
        Ok(all)
    }

    fn survey_topic(&self, topic: usize, all: &mut Vec<Surveyed>) -> Result<(), String> {
        let (name, client) = (&self.topics[topic], &self.client);
        let timeout = Duration::from_millis(SURVEY_TIMEOUT_MS);
        let metadata = client
            .fetch_metadata(Some(name), timeout)
            .map_err(|error| format!("the brokers do not answer ({})", code(&error)))?;
        let described = metadata.topics().iter().find(|t| t.name() == name);
        let described =
            described.ok_or_else(|| format!("topic '{name}' is not known to the brokers"))?;
        if let Some(error) = described.error() {
            return Err(topic_error(name, error.into()));
        }
        if described.partitions().is_empty() {
            return Err(format!("topic '{name}' does not exist (yet)"));
        }
        // Whoever must not know it, or does not answer here, is asked for offsets all the same: these may tell too.
        let topic_id = topic_id::topic_id(client.client(), name, timeout).unwrap_or(None);
        let numbers: Vec<i32> = described.partitions().iter().map(|p| p.id()).collect();
        let ask = |at| offsets(client, name, &numbers, at);
        let lows = ask(Offset::Beginning)?;
        let starts = match self.from {
            From::Earliest | From::Latest => None,
            From::Time(ms) => Some(ask(Offset::Offset(ms))?),
        };
        let highs = ask(Offset::End)?;
        // At once: their difference is the lag, and reading goes on meanwhile.
        let positions = self.positions.lock().clone();
        for partition in numbers {
            let at = |offsets: &BTreeMap<i32, i64>| offsets.get(&partition).copied();
            let (Some(low), Some(high)) = (at(&lows), at(&highs)) else {
                return Err(format!("partition {partition} of '{name}' has no offsets"));
            };
            let start = match (self.from, &starts) {
                (From::Latest, _) => high,
                (From::Earliest, _) | (From::Time(_), None) => low,
                // Where there is no record that young, from the next one on.
                (From::Time(_), Some(starts)) => at(starts).unwrap_or(high),
            };
            all.push(Surveyed {
                topic,
                partition,
                topic_id,
                low,
                high,
                start,
                position: positions.get(&(topic, partition)).copied(),
            });
        }
        Ok(())
    }
}

/// One offset of each partition, asked for in one request a broker: behind a fetch that waits for frames a request waits
/// too, and thousands of them would for minutes. Those without such an offset are left out.
fn offsets(
    client: &Client,
    topic: &str,
    partitions: &[i32],
    at: Offset,
) -> Result<BTreeMap<i32, i64>, String> {
    let failed = |error: KafkaError| format!("the offsets of '{topic}': {}", code(&error));
    let mut asked = TopicPartitionList::with_capacity(partitions.len());
    for partition in partitions {
        // What the library calls a time may be the beginning or the end as well.
        asked
            .add_partition_offset(topic, *partition, at)
            .map_err(failed)?;
    }
    let found = client
        .offsets_for_times(asked, Duration::from_millis(SURVEY_TIMEOUT_MS))
        .map_err(failed)?;
    let mut offsets = BTreeMap::new();
    for element in found.elements() {
        let partition = element.partition();
        element
            .error()
            .map_err(|error| format!("partition {partition} of '{topic}': {}", code(&error)))?;
        if let Offset::Offset(offset) = element.offset() {
            offsets.insert(partition, offset);
        }
    }
    Ok(offsets)
}

fn code(error: &KafkaError) -> String {
    error
        .rdkafka_error_code()
        .map_or_else(|| error.to_string(), |code| code.to_string())
}

pub(super) fn topic_error(name: &str, code: RDKafkaErrorCode) -> String {
    match code {
        RDKafkaErrorCode::UnknownTopicOrPartition | RDKafkaErrorCode::UnknownTopic => {
            format!("topic '{name}' does not exist (yet)")
        }
        RDKafkaErrorCode::TopicAuthorizationFailed => {
            format!("no right to read topic '{name}'; ask for READ and DESCRIBE on it")
        }
        code => format!("topic '{name}': {code}"),
    }
}
