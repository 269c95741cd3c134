//! What the brokers say of topics and their partitions.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use rdkafka::consumer::Consumer;
use rdkafka::error::KafkaError;
use rdkafka::metadata::Metadata;
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use rdkafka::types::RDKafkaErrorCode;

use super::tap::Client;
use super::topic_id;
use crate::config::From;
use crate::io::clock::Clock;
use crate::io::kafka_client::{Connection, Revival};
use crate::limits::{
    SURVEY_TIMEOUT_MS, SURVEYS_PER_TOPIC_ID, TOPIC_ID_TIMEOUT_MS, TOPIC_ID_TRIES_MAX,
};

/// Index of a topic, and the number of one of its partitions.
type Place = (usize, i32);

/// The offset after what was last handed over, of each partition; none before the first frame.
pub(super) type Positions = Arc<Mutex<BTreeMap<Place, i64>>>;

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

/// Asks the brokers about topics. May block, so it has a thread of its own; shares the readers' clients.
pub struct Surveyor {
    connection: Connection,
    topics: Vec<String>,
    /// The first one asks about everything.
    clients: Vec<Listener>,
    /// Which of the others is next to be asked whether it hears the brokers.
    turn: usize,
    from: From,
    positions: Positions,
    /// Surveys so far.
    surveys: u64,
    /// Whether the first one asks for the topics' ids too.
    asks_ids_at_once: bool,
    /// How often in a row there was no answer about an id.
    ids_missed: u32,
}

/// A reader's client, which may lose sight of the brokers.
struct Listener {
    client: Arc<Client>,
    revival: Revival,
}

impl Surveyor {
    pub(super) fn new(
        connection: &Connection,
        topics: &[String],
        clients: Vec<Arc<Client>>,
        from: From,
        positions: Positions,
        clock: &Arc<dyn Clock>,
    ) -> Self {
        let listener = |client| Listener {
            client,
            revival: Revival::new(connection, Arc::clone(clock)),
        };
        Self {
            connection: connection.clone(),
            topics: topics.to_vec(),
            clients: clients.into_iter().map(listener).collect(),
            turn: 1,
            from,
            positions,
            surveys: 0,
            asks_ids_at_once: false,
            ids_missed: 0,
        }
    }

    fn client(&self) -> &Client {
        &self.clients[0].client
    }

    /// From the first survey on, not only later, the topics' ids are asked for: where a state is taken up, it knows them.
    pub fn ask_ids_at_once(&mut self) {
        self.asks_ids_at_once = true;
    }

    /// Whether this survey asks for ids. Brokers that do not tell are not asked for ever: each time costs its time.
    fn asks_ids(&self, is_wanted: bool) -> bool {
        let is_due = match self.surveys {
            0 => self.asks_ids_at_once,
            later => later % SURVEYS_PER_TOPIC_ID == 1,
        };
        (is_due || is_wanted) && self.ids_missed < TOPIC_ID_TRIES_MAX
    }

    /// All partitions of all topics; with the topics' ids if they are wanted, and now and then.
    ///
    /// # Errors
    ///
    /// One sentence about what is out of reach.
    pub fn survey(&mut self, wants_ids: bool) -> Result<Vec<Surveyed>, String> {
        let surveyed = self.survey_offsets();
        self.tend(0, surveyed.is_err());
        let (mut all, ends_before) = surveyed?;
        self.ask_another()?;
        // Last, so that the offsets need not wait for it.
        if self.asks_ids(wants_ids || ends_before) {
            self.name_topics(&mut all);
        }
        self.surveys += 1;
        Ok(all)
    }

    fn tend(&mut self, listener: usize, is_silent: bool) {
        let surveys = self.surveys;
        let Listener { client, revival } = &mut self.clients[listener];
        revival.tend(client.client(), is_silent, surveys);
    }

    /// Each reader has a client of its own, and any of them can lose sight of the brokers alone. One a survey is asked,
    /// because behind a fetch under way an answer takes its time; one that hears nothing is asked again.
    fn ask_another(&mut self) -> Result<(), String> {
        if self.clients.len() == 1 {
            return Ok(());
        }
        let heard = self.describe(self.turn, &self.topics[0]).map(drop);
        self.tend(self.turn, heard.is_err());
        heard?;
        self.turn = self.turn % (self.clients.len() - 1) + 1;
        Ok(())
    }

    fn describe(&self, listener: usize, topic: &str) -> Result<Metadata, String> {
        let timeout = Duration::from_millis(SURVEY_TIMEOUT_MS);
        let client = &self.clients[listener].client;
        let metadata = client
            .fetch_metadata(Some(topic), timeout)
            .map_err(|error| format!("the brokers do not answer ({})", code(&error)))?;
        self.connection.note_answer();
        Ok(metadata)
    }

    /// Adds the topics' ids, where the brokers tell them: whoever must not know is asked for offsets all the same, and these
    /// may tell too.
    fn name_topics(&mut self, all: &mut [Surveyed]) {
        let timeout = Duration::from_millis(TOPIC_ID_TIMEOUT_MS);
        for (topic, name) in self.topics.iter().enumerate() {
            let asked = topic_id::topic_id(self.client().client(), name, timeout);
            let Ok(id) = asked else {
                self.ids_missed += 1;
                return;
            };
            let own = all.iter_mut().filter(|surveyed| surveyed.topic == topic);
            own.for_each(|surveyed| surveyed.topic_id = id);
        }
        self.ids_missed = 0;
    }

    /// All partitions of a topic.
    fn partitions(&self, topic: usize) -> Result<impl Iterator<Item = Place>, String> {
        let name = &self.topics[topic];
        let metadata = self.describe(0, name)?;
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
        Ok(numbers.into_iter().map(move |number| (topic, number)))
    }

    /// Returns also whether a partition ends before where it was read: only the topic's id tells whether it was made anew or cut off.
    fn survey_offsets(&self) -> Result<(Vec<Surveyed>, bool), String> {
        let mut places = Vec::new();
        for topic in 0..self.topics.len() {
            places.extend(self.partitions(topic)?);
        }
        let ask = |at| offsets(self.client(), &self.topics, &places, at);
        let lows = ask(Offset::Beginning)?;
        let starts = match self.from {
            From::Earliest | From::Latest => None,
            From::Time(ms) => Some(ask(Offset::Offset(ms))?),
        };
        let read_before = self.positions.lock().clone();
        let highs = ask(Offset::End)?;
        // At once: their difference is the lag, and reading goes on meanwhile.
        let positions = self.positions.lock().clone();
        let (mut all, mut ends_before) = (Vec::with_capacity(places.len()), false);
        for place @ (topic, partition) in places {
            let at = |offsets: &BTreeMap<Place, i64>| offsets.get(&place).copied();
            let (Some(low), Some(high)) = (at(&lows), at(&highs)) else {
                let name = &self.topics[topic];
                return Err(format!("partition {partition} of '{name}' has no offsets"));
            };
            let start = match (self.from, &starts) {
                (From::Latest, _) => high,
                (From::Earliest, _) | (From::Time(_), None) => low,
                // Where there is no record that young, from the next one on.
                (From::Time(_), Some(starts)) => at(starts).unwrap_or(high),
            };
            let read = read_before.get(&place);
            ends_before |= read.is_some_and(|read| *read > high);
            all.push(Surveyed {
                topic,
                partition,
                topic_id: None,
                low,
                high,
                start,
                position: positions.get(&place).copied(),
            });
        }
        Ok((all, ends_before))
    }
}

/// One offset of each partition of all topics, asked for in one request a broker: behind a fetch that waits for frames a request
/// waits too, and thousands of them would for minutes. Those without such an offset are left out.
fn offsets(
    client: &Client,
    topics: &[String],
    places: &[Place],
    at: Offset,
) -> Result<BTreeMap<Place, i64>, String> {
    let failed =
        |error: KafkaError| format!("the offsets of '{}': {}", topics.join("', '"), code(&error));
    let mut asked = TopicPartitionList::with_capacity(places.len());
    for (topic, partition) in places {
        // What the library calls a time may be the beginning or the end as well.
        let mut element = asked.add_partition(&topics[*topic], *partition);
        // On the element: the list would look for it from its beginning.
        element.set_offset(at).map_err(failed)?;
    }
    let found = client
        .offsets_for_times(asked, Duration::from_millis(SURVEY_TIMEOUT_MS))
        .map_err(failed)?;
    let names = topics.iter().enumerate();
    let indices: BTreeMap<&str, usize> = names.map(|(index, name)| (&**name, index)).collect();
    let mut offsets = BTreeMap::new();
    for element in found.elements() {
        let (topic, partition) = (element.topic(), element.partition());
        element
            .error()
            .map_err(|error| format!("partition {partition} of '{topic}': {}", code(&error)))?;
        if let Some(index) = indices.get(topic)
            && let Offset::Offset(offset) = element.offset()
        {
            offsets.insert((*index, partition), offset);
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
