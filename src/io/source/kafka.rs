//! Frames from Kafka topics: all partitions are assigned to this process, from offsets of our own.
//!
//! One client a topic, because the library names only the partition, not the topic, when it reports an end.

mod topic_id;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::message::{Message, Timestamp};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList, TopicPartitionListElem};
use rdkafka::types::RDKafkaErrorCode;

use super::{Event, Source};
use crate::config::From;
use crate::engine::admit::PartitionIndex;
use crate::engine::frame::EventTime;
use crate::error::Failure;
use crate::io::clock::Clock;
use crate::io::kafka_client::{Connection, Revival, Voice};
use crate::limits::{
    SURVEY_TIMEOUT_MS, SURVEYS_PER_TOPIC_ID, TOPIC_ID_TIMEOUT_MS, TOPIC_ID_TRIES_MAX,
};
use crate::observe::happenings::caution;

type Client = BaseConsumer<Voice>;

/// What the brokers say of one partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Surveyed {
    /// Index of its topic.
    pub topic: usize,
    /// Its number.
    pub partition: i32,
    /// The topic's id, where it was asked for and the brokers tell it: a topic that was made anew under the same name has another one.
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

/// Asks the brokers about topics. May block, so it has a thread of its own; shares the source's clients.
pub struct Surveyor {
    connection: Connection,
    topics: Vec<String>,
    clients: Vec<Arc<Client>>,
    revivals: Vec<Revival>,
    from: From,
    /// Surveys so far.
    surveys: u64,
    /// Whether the first one asks for the topics' ids too.
    asks_ids_at_once: bool,
    /// How often in a row there was no answer about an id.
    ids_missed: u32,
}

impl Surveyor {
    /// From the first survey on, not only later, the topics' ids are asked for: where a state is taken up, it knows them.
    pub fn ask_ids_at_once(&mut self) {
        self.asks_ids_at_once = true;
    }

    /// Whether this survey asks for ids. Brokers that do not tell are not asked for ever: each time costs its time.
    fn asks_ids(&self) -> bool {
        let is_due = match self.surveys {
            0 => self.asks_ids_at_once,
            later => later % SURVEYS_PER_TOPIC_ID == 1,
        };
        is_due && self.ids_missed < TOPIC_ID_TRIES_MAX
    }

    /// All partitions of all topics.
    ///
    /// # Errors
    ///
    /// One sentence about what is out of reach.
    pub fn survey(&mut self) -> Result<Vec<Surveyed>, String> {
        let mut all = Vec::new();
        for (topic, client) in self.clients.iter().enumerate() {
            let surveyed = self.survey_topic(topic, client, &mut all);
            self.revivals[topic].tend(client.client(), surveyed.is_err(), self.surveys);
            surveyed?;
        }
        // Last, so that the offsets need not wait for it.
        if self.asks_ids() {
            self.name_topics(&mut all);
        }
        self.surveys += 1;
        Ok(all)
    }

    /// Adds the topics' ids, where the brokers tell them: whoever must not know is asked for offsets all the same, and these
    /// may tell too.
    fn name_topics(&mut self, all: &mut [Surveyed]) {
        let timeout = Duration::from_millis(TOPIC_ID_TIMEOUT_MS);
        for (topic, name) in self.topics.iter().enumerate() {
            let asked = topic_id::topic_id(self.clients[topic].client(), name, timeout);
            let Ok(id) = asked else {
                self.ids_missed += 1;
                return;
            };
            let own = all.iter_mut().filter(|surveyed| surveyed.topic == topic);
            own.for_each(|surveyed| surveyed.topic_id = id);
        }
        self.ids_missed = 0;
    }

    fn survey_topic(
        &self,
        topic: usize,
        client: &Client,
        all: &mut Vec<Surveyed>,
    ) -> Result<(), String> {
        let name = &self.topics[topic];
        let timeout = Duration::from_millis(SURVEY_TIMEOUT_MS);
        let metadata = client
            .fetch_metadata(Some(name), timeout)
            .map_err(|error| format!("the brokers do not answer ({})", code(&error)))?;
        self.connection.note_answer();
        let described = metadata.topics().iter().find(|t| t.name() == name);
        let described =
            described.ok_or_else(|| format!("topic '{name}' is not known to the brokers"))?;
        if let Some(error) = described.error() {
            return Err(topic_error(name, error.into()));
        }
        if described.partitions().is_empty() {
            return Err(format!("topic '{name}' does not exist (yet)"));
        }
        let numbers: Vec<i32> = described.partitions().iter().map(|p| p.id()).collect();
        let ask = |at| offsets(client, name, &numbers, at);
        let lows = ask(Offset::Beginning)?;
        let starts = match self.from {
            From::Earliest | From::Latest => None,
            From::Time(ms) => Some(ask(Offset::Offset(ms))?),
        };
        let highs = ask(Offset::End)?;
        // At once: their difference is the lag, and reading goes on meanwhile.
        let positions = positions(client);
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
                topic_id: None,
                low,
                high,
                start,
                position: at(&positions),
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

/// The offset after the last frame handed over, of each partition that has one.
fn positions(client: &Client) -> BTreeMap<i32, i64> {
    let positions = client.position();
    let elements = positions.as_ref().map(TopicPartitionList::elements);
    let offset = |element: &TopicPartitionListElem<'_>| match element.offset() {
        Offset::Offset(offset) => Some((element.partition(), offset)),
        _ => None,
    };
    elements.iter().flatten().filter_map(offset).collect()
}

fn code(error: &KafkaError) -> String {
    error
        .rdkafka_error_code()
        .map_or_else(|| error.to_string(), |code| code.to_string())
}

fn topic_error(name: &str, code: RDKafkaErrorCode) -> String {
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

/// A partition that is being read.
#[derive(Debug, Clone, Copy)]
struct Followed {
    topic: usize,
    partition: i32,
    /// Frames from this offset on are not delivered.
    end: Option<i64>,
    is_finished: bool,
}

/// The consumer: frames of all partitions of some topics.
pub struct KafkaSource {
    topics: Vec<String>,
    clients: Vec<Arc<Client>>,
    /// By partition index.
    followed: Vec<Followed>,
    /// `indices[topic][partition]` is a partition index.
    indices: Vec<Vec<Option<PartitionIndex>>>,
    /// Which topic is polled first, so that none starves the others.
    turn: usize,
    trouble: Option<String>,
    /// Topics of which a broker has disowned an offset; the client then stops reading one of their partitions.
    lost_place: Vec<bool>,
}

impl KafkaSource {
    /// A consumer of topics that reads nothing yet, and the surveyor for it.
    ///
    /// # Errors
    ///
    /// When the client library refuses the configuration.
    pub fn new(
        connection: &Connection,
        group: &str,
        topics: &[String],
        from: From,
        clock: &Arc<dyn Clock>,
    ) -> Result<(Self, Surveyor), Failure> {
        let config = connection.configure(&[
            ("group.id", group),
            ("enable.auto.commit", "false"),
            ("enable.auto.offset.store", "false"),
            ("auto.offset.reset", "error"),
            ("enable.partition.eof", "true"),
            // The default of 1 s stalls the fetcher whenever decoding is slower than fetching.
            ("fetch.queue.backoff.ms", "1"),
            ("queued.max.messages.kbytes", "16384"),
            // Also the most that a batch unpacks to: one that is larger stops its partition for good. With zstd the
            // library may need up to three times a batch's size here.
            ("receive.message.max.bytes", "536870912"),
            ("reconnect.backoff.max.ms", "2000"),
            ("topic.metadata.refresh.interval.ms", "30000"),
        ]);
        let refused =
            |error: KafkaError| Failure::Usage(format!("the Kafka client refuses: {error}"));
        let clients: Vec<Arc<Client>> = topics
            .iter()
            .map(|_| config.create_with_context(connection.voice()).map(Arc::new))
            .collect::<Result<_, _>>()
            .map_err(refused)?;
        let source = Self {
            topics: topics.to_vec(),
            clients: clients.clone(),
            followed: Vec::new(),
            indices: vec![Vec::new(); topics.len()],
            turn: 0,
            trouble: None,
            lost_place: vec![false; topics.len()],
        };
        let revival = |_: &String| Revival::new(connection, Arc::clone(clock));
        let revivals = topics.iter().map(revival).collect();
        let surveyor = Surveyor {
            connection: connection.clone(),
            topics: topics.to_vec(),
            clients,
            revivals,
            from,
            surveys: 0,
            asks_ids_at_once: false,
            ids_missed: 0,
        };
        Ok((source, surveyor))
    }

    /// The index of a partition, if it is being read.
    #[must_use]
    pub fn index(&self, topic: usize, partition: i32) -> Option<PartitionIndex> {
        let number = usize::try_from(partition).ok()?;
        *self.indices[topic].get(number)?
    }

    /// Topic and number of a partition, for messages and keys.
    #[must_use]
    pub fn name(&self, index: PartitionIndex) -> (&str, i32) {
        let followed = self.followed[index];
        (&self.topics[followed.topic], followed.partition)
    }

    /// Starts reading a partition at an offset; `end` is where a run with an end stops.
    ///
    /// # Errors
    ///
    /// When the client library refuses.
    pub fn follow(
        &mut self,
        topic: usize,
        partition: i32,
        offset: i64,
        end: Option<i64>,
    ) -> Result<PartitionIndex, Failure> {
        let index = self.followed.len();
        self.followed.push(Followed {
            topic,
            partition,
            end,
            is_finished: false,
        });
        let number = usize::try_from(partition)
            .map_err(|_| Failure::Internal(format!("partition {partition} has no valid number")))?;
        let indices = &mut self.indices[topic];
        if indices.len() <= number {
            indices.resize(number + 1, None);
        }
        indices[number] = Some(index);
        self.list(topic, partition, offset)
            .and_then(|list| self.clients[topic].incremental_assign(&list))
            .map_err(|error| Failure::Internal(format!("cannot read a partition: {error}")))?;
        Ok(index)
    }

    fn list(
        &self,
        topic: usize,
        partition: i32,
        offset: i64,
    ) -> Result<TopicPartitionList, KafkaError> {
        let mut list = TopicPartitionList::new();
        list.add_partition_offset(&self.topics[topic], partition, Offset::Offset(offset))?;
        Ok(list)
    }

    /// Goes on in a partition at another offset.
    ///
    /// # Errors
    ///
    /// When the client library refuses.
    pub fn go_on_at(&mut self, index: PartitionIndex, offset: i64) -> Result<(), Failure> {
        let Followed {
            topic, partition, ..
        } = self.followed[index];
        let client = &self.clients[topic];
        // Assigning anew takes effect whatever state the fetcher is in; a seek is refused after an offset error.
        self.list(topic, partition, offset)
            .and_then(|list| {
                client.incremental_unassign(&list)?;
                client.incremental_assign(&list)
            })
            .map_err(|error| Failure::Internal(format!("cannot go on in a partition: {error}")))
    }

    /// Stops reading a partition for a while, or goes on with it. What the client has fetched ahead is fetched again.
    ///
    /// # Errors
    ///
    /// When the client library refuses.
    pub fn hold(&self, index: PartitionIndex, waits: bool) -> Result<(), Failure> {
        let Followed {
            topic,
            partition,
            is_finished,
            ..
        } = self.followed[index];
        if is_finished {
            return Ok(());
        }
        let mut list = TopicPartitionList::new();
        list.add_partition(&self.topics[topic], partition);
        let client = &self.clients[topic];
        let done = if waits {
            client.pause(&list)
        } else {
            client.resume(&list)
        };
        done.map_err(|error| Failure::Internal(format!("cannot pause a partition: {error}")))
    }

    /// Commits offsets to the group, for lag tools. Nothing is ever read from there, so a failure is no matter.
    pub fn commit(&self, next_offset: impl Fn(PartitionIndex) -> i64) {
        for (topic, client) in self.clients.iter().enumerate() {
            let mut list = TopicPartitionList::new();
            let own = self.followed.iter().enumerate();
            for (index, followed) in own.filter(|(_, f)| f.topic == topic) {
                let offset = Offset::Offset(next_offset(index));
                let _ = list.add_partition_offset(&self.topics[topic], followed.partition, offset);
            }
            if list.count() > 0 {
                let _ = client.commit(&list, CommitMode::Async);
            }
        }
    }

    /// What the client library complained of since the last call, if anything.
    pub fn take_trouble(&mut self) -> Option<String> {
        let down = self.clients.iter().any(|c| c.context().take_brokers_down());
        let down = down.then(|| "the brokers do not answer".to_owned());
        self.trouble.take().or(down)
    }

    /// Whether a broker has disowned an offset of a topic since this was last asked. All of its partitions must then be
    /// gone on with anew: the library does not say which one it has stopped reading.
    pub fn take_lost_place(&mut self, topic: usize) -> bool {
        std::mem::take(&mut self.lost_place[topic])
    }

    /// Whether all partitions were read to their end. Only a run with an end finishes partitions.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        !self.followed.is_empty() && self.followed.iter().all(|f| f.is_finished)
    }

    /// Finishes a partition that holds nothing up to its end.
    pub fn finish(&mut self, index: PartitionIndex) {
        self.followed[index].is_finished = true;
    }
}

impl Source for KafkaSource {
    fn poll(
        &mut self,
        wait: Duration,
        on: &mut dyn FnMut(Event<'_>) -> Result<Option<EventTime>, Failure>,
    ) -> Result<bool, Failure> {
        let topics = self.clients.len();
        for i in 0..topics {
            let topic = (self.turn + i) % topics;
            // Only the last one asked may wait, and with several topics not for long: the others go on meanwhile.
            let wait = match (i + 1 == topics, topics) {
                (false, _) => Duration::ZERO,
                (true, 1) => wait,
                (true, _) => wait.min(Duration::from_millis(1)),
            };
            let client = Arc::clone(&self.clients[topic]);
            let Some(result) = client.poll(wait) else {
                continue;
            };
            self.turn = (topic + 1) % topics;
            match result {
                Ok(message) => self.deliver(topic, &message, on)?,
                Err(KafkaError::PartitionEOF(partition)) => self.reach_end(topic, partition, on)?,
                Err(error) => {
                    let code = error.rdkafka_error_code();
                    self.lost_place[topic] |= code == Some(RDKafkaErrorCode::AutoOffsetReset);
                    self.trouble = Some(trouble(&self.topics[topic], &error)?);
                }
            }
            return Ok(true);
        }
        Ok(false)
    }
}

impl KafkaSource {
    fn deliver(
        &mut self,
        topic: usize,
        message: &impl Message,
        on: &mut dyn FnMut(Event<'_>) -> Result<Option<EventTime>, Failure>,
    ) -> Result<(), Failure> {
        let Some(index) = self.index(topic, message.partition()) else {
            return Ok(());
        };
        let Followed {
            end, is_finished, ..
        } = self.followed[index];
        let offset = message.offset();
        if is_finished || end.is_some_and(|end| offset >= end) {
            return self.finish_now(index, on);
        }
        on(Event::Frame {
            partition: index,
            offset,
            appended: appended(message.timestamp()),
            payload: message.payload(),
        })?;
        if end.is_some_and(|end| offset + 1 >= end) {
            self.finish_now(index, on)?;
        }
        Ok(())
    }

    fn reach_end(
        &mut self,
        topic: usize,
        partition: i32,
        on: &mut dyn FnMut(Event<'_>) -> Result<Option<EventTime>, Failure>,
    ) -> Result<(), Failure> {
        let Some(index) = self.index(topic, partition) else {
            return Ok(());
        };
        on(Event::ReachedEnd(index))?;
        if self.followed[index].end.is_some() {
            // The log only grows, so its end now is not before its end at the start; what is missing up to there
            // holds no frames, such as the markers of transactions.
            self.finish_now(index, on)?;
        }
        Ok(())
    }

    fn finish_now(
        &mut self,
        index: PartitionIndex,
        on: &mut dyn FnMut(Event<'_>) -> Result<Option<EventTime>, Failure>,
    ) -> Result<(), Failure> {
        let followed = &mut self.followed[index];
        if !std::mem::replace(&mut followed.is_finished, true) {
            let Followed {
                topic, partition, ..
            } = *followed;
            let mut list = TopicPartitionList::new();
            list.add_partition(&self.topics[topic], partition);
            if let Err(error) = self.clients[topic].pause(&list) {
                caution(&format!(
                    "a finished partition goes on being fetched: {error}"
                ));
            }
            on(Event::Finished(index))?;
        }
        Ok(())
    }
}

/// The broker's own time of a record, if the topic is set to `LogAppendTime`.
fn appended(timestamp: Timestamp) -> Option<EventTime> {
    match timestamp {
        Timestamp::LogAppendTime(ms) => EventTime::try_from(ms / 1_000).ok(),
        Timestamp::CreateTime(_) | Timestamp::NotAvailable => None,
    }
}

/// What an error of the client means: something to wait for, or the end.
fn trouble(topic: &str, error: &KafkaError) -> Result<String, Failure> {
    match error {
        KafkaError::MessageConsumptionFatal(code) => Err(Failure::Internal(format!(
            "the Kafka client gave up on '{topic}': {code}"
        ))),
        KafkaError::MessageConsumption(code) => Ok(match code {
            RDKafkaErrorCode::AllBrokersDown | RDKafkaErrorCode::BrokerTransportFailure => {
                "the brokers do not answer".to_owned()
            }
            RDKafkaErrorCode::AutoOffsetReset => {
                format!("a broker says that an offset of '{topic}' is not there")
            }
            code => topic_error(topic, *code),
        }),
        error => Ok(format!("topic '{topic}': {error}")),
    }
}
