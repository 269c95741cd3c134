//! Frames from Kafka topics: all partitions are assigned to this process, from offsets of our own, each to one of its
//! consumers.

mod reader;
mod surveyor;
mod tap;
#[cfg(test)]
mod tests;
mod topic_id;

use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::Mutex;
use rdkafka::consumer::{CommitMode, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

pub use self::reader::{LostPlace, Noticed, Order, Reader};
pub use self::surveyor::{Surveyed, Surveyor};
use self::tap::Client;
use crate::config::From;
use crate::engine::admit::PartitionIndex;
use crate::error::Failure;
use crate::io::clock::Clock;
use crate::io::kafka_client::Connection;

/// What the client is told unless the user says otherwise. docs/DESIGN.md has the figures.
const PROPERTIES: &[(&str, &str)] = &[
    ("enable.auto.commit", "false"),
    ("enable.auto.offset.store", "false"),
    ("auto.offset.reset", "error"),
    ("enable.partition.eof", "true"),
    // The default of 1 s stalls the fetcher whenever decoding is slower than fetching.
    ("fetch.queue.backoff.ms", "1"),
    // A response costs both sides more than the frames in it do, where it has but one or two. So a broker waits for about
    // three frames of 2 KB, and no longer than a tenth of a second.
    ("fetch.min.bytes", "6144"),
    ("fetch.wait.max.ms", "100"),
    // The least that makes a topic of one partition worth its round trips. The default is 1 MiB; 4 MiB are more where batches
    // are compressed than the caches hold.
    ("fetch.message.max.bytes", "2097152"),
    // What may wait in all partitions of a consumer together: they share its queue. The default is 64 MiB.
    ("queued.max.messages.kbytes", "16384"),
    // Also the most that a batch unpacks to: one that is larger stops its partition for good. With zstd the
    // library may need up to three times a batch's size here.
    ("receive.message.max.bytes", "536870912"),
    // Half of it is also the least time between two first connections: with the default of 100 ms every other program starts
    // 50 ms late.
    ("reconnect.backoff.ms", "20"),
    ("reconnect.backoff.max.ms", "2000"),
    ("topic.metadata.refresh.interval.ms", "30000"),
];

/// One response, of all partitions of a broker: it may come on top of what waits. The default is 50 MiB. Where the user sets
/// one of the limits that it must keep to, the client fits it in between them.
const FETCH_BYTES: &str = "4194304";

/// What belongs together.
pub struct Consumers {
    /// One a consumer: each can be moved to a thread of its own.
    pub readers: Vec<Reader>,
    /// Who reads what.
    pub partitions: Partitions,
    /// Asks the brokers.
    pub surveyor: Surveyor,
}

/// Consumers of topics that read nothing yet.
///
/// # Errors
///
/// When the client library refuses the configuration.
pub fn consumers(
    connection: &Connection,
    group: &str,
    topics: &[String],
    from: From,
    consumers: usize,
    clock: &Arc<dyn Clock>,
) -> Result<Consumers, Failure> {
    let mut properties = vec![("group.id", group)];
    properties.extend_from_slice(PROPERTIES);
    let sets = |key| connection.properties.iter().any(|(set, _)| set == key);
    if !sets("message.max.bytes") && !sets("receive.message.max.bytes") {
        properties.push(("fetch.max.bytes", FETCH_BYTES));
    }
    let config = connection.configure(&properties);
    let refused = |error: KafkaError| Failure::Usage(format!("the Kafka client refuses: {error}"));
    let clients: Vec<Arc<Client>> = (0..consumers)
        .map(|_| config.create_with_context(connection.voice()).map(Arc::new))
        .collect::<Result<_, _>>()
        .map_err(refused)?;
    let positions = Arc::new(Mutex::new(BTreeMap::new()));
    let readers = clients
        .iter()
        .map(|client| Reader::new(Arc::clone(client), topics, &positions))
        .collect::<Result<_, _>>()?;
    let partitions = Partitions {
        topics: topics.to_vec(),
        client: Arc::clone(&clients[0]),
        known: Vec::new(),
        indices: vec![Vec::new(); topics.len()],
    };
    Ok(Consumers {
        readers,
        partitions,
        surveyor: Surveyor::new(connection, topics, clients, from, positions, clock),
    })
}

/// A partition that is being read.
#[derive(Debug, Clone, Copy)]
struct Known {
    topic: usize,
    partition: i32,
    is_finished: bool,
}

/// The partitions that are read, by index.
pub struct Partitions {
    topics: Vec<String>,
    /// For commits, which any client of the group may send.
    client: Arc<Client>,
    known: Vec<Known>,
    /// `indices[topic][partition]` is a partition index.
    indices: Vec<Vec<Option<PartitionIndex>>>,
}

impl Partitions {
    /// The index of a partition, if it is being read.
    #[must_use]
    pub fn index(&self, topic: usize, partition: i32) -> Option<PartitionIndex> {
        let number = usize::try_from(partition).ok()?;
        *self.indices[topic].get(number)?
    }

    /// Adds a partition that will be read.
    ///
    /// # Errors
    ///
    /// When its number makes no sense.
    pub fn add(&mut self, topic: usize, partition: i32) -> Result<PartitionIndex, Failure> {
        let index = self.known.len();
        let number = usize::try_from(partition)
            .map_err(|_| Failure::Internal(format!("partition {partition} has no valid number")))?;
        self.known.push(Known {
            topic,
            partition,
            is_finished: false,
        });
        let indices = &mut self.indices[topic];
        if indices.len() <= number {
            indices.resize(number + 1, None);
        }
        indices[number] = Some(index);
        Ok(index)
    }

    /// Commits offsets to the group, for lag tools. Nothing is ever read from there, so a failure is no matter.
    pub fn commit(&self, next_offset: impl Fn(PartitionIndex) -> i64) {
        let mut list = TopicPartitionList::with_capacity(self.known.len());
        for (index, known) in self.known.iter().enumerate() {
            let offset = Offset::Offset(next_offset(index));
            let mut element = list.add_partition(&self.topics[known.topic], known.partition);
            // On the element: the list would look for it from its beginning.
            let _ = element.set_offset(offset);
        }
        if list.count() > 0 {
            let _ = self.client.commit(&list, CommitMode::Async);
        }
    }

    /// Notes that a partition will deliver nothing more. Only a run with an end finishes partitions.
    pub fn finish(&mut self, index: PartitionIndex) {
        self.known[index].is_finished = true;
    }

    /// Whether all partitions were read to their end.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        !self.known.is_empty() && self.known.iter().all(|known| known.is_finished)
    }
}
