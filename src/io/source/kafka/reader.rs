//! A consumer: one client that reads its share of the partitions.

use std::sync::Arc;
use std::time::{Duration, Instant};

use rdkafka::consumer::Consumer;
use rdkafka::error::KafkaError;
use rdkafka::types::RDKafkaErrorCode;

use super::super::{Event, Source};
use super::surveyor::{Positions, topic_error};
use super::tap::{Client, Taken, Tap};
use crate::engine::admit::PartitionIndex;
use crate::engine::frame::EventTime;
use crate::error::Failure;
use crate::limits::{
    AWAKE_US, BACKLOG_FRAMES, BYTES_PER_ROUND, CONTROL_EVERY_MS, MESSAGES_PER_CALL, NAP_US,
    NAPS_MAX, PLENTY_MESSAGES,
};
use crate::observe::happenings::caution;

/// What a reader is told to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// Read a partition.
    Follow {
        /// Its index.
        index: PartitionIndex,
        /// The index of its topic.
        topic: usize,
        /// Its number there.
        partition: i32,
        /// The first offset to be read.
        offset: i64,
        /// Frames from this offset on are not delivered.
        end: Option<i64>,
    },
    /// Go on in a partition at another offset.
    GoOn {
        /// Its index.
        index: PartitionIndex,
        /// The offset.
        offset: i64,
    },
    /// Stop reading a partition for a while, or go on with it. What the client has fetched ahead is fetched again.
    Hold {
        /// Its index.
        index: PartitionIndex,
        /// Whether it waits from now on.
        waits: bool,
    },
}

/// What a reader noticed beside frames.
#[derive(Debug, Default)]
pub struct Noticed {
    /// What the client library complained of.
    pub trouble: Option<String>,
    /// Partitions of which a broker has disowned an offset; the client has stopped reading them.
    pub lost_place: Vec<LostPlace>,
}

/// A partition of which a broker has disowned an offset.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LostPlace {
    /// Its index.
    pub partition: PartitionIndex,
    /// Where the broker's log ends to be the one that was read, or begins to be another, if that is why (KIP-320).
    pub parted_at: Option<i64>,
}

impl LostPlace {
    /// As the client tells it.
    pub(super) fn told(partition: PartitionIndex, text: &str) -> Self {
        let (_, behind) = text.split_once("truncation detected").unwrap_or_default();
        let (_, number) = behind
            .split_once("broker end offset is ")
            .unwrap_or_default();
        let digits = number.split(|c: char| !c.is_ascii_digit()).next();
        Self {
            partition,
            parted_at: digits.and_then(|digits| digits.parse().ok()),
        }
    }
}

/// A partition that is being read.
#[derive(Debug, Clone, Copy)]
struct Followed {
    index: PartitionIndex,
    topic: usize,
    partition: i32,
    /// The offset to go on at.
    next: i64,
    end: Option<i64>,
    is_held: bool,
    is_finished: bool,
    /// Whether no frame has come of it since it was told where to begin. What the client says of its log's past is then about
    /// what was read before: it may say so late, behind what comes of the new place.
    is_fresh: bool,
}

/// Reads its share of the partitions, in batches.
pub struct Reader {
    topics: Vec<String>,
    tap: Tap,
    share: Share,
    noticed: Noticed,
    positions: Positions,
    /// When the client was last asked for what is not about frames.
    tended: Instant,
    /// Whether frames came in plenty when there were any: then there are more in a moment.
    is_busy: bool,
}

/// The partitions of a reader, and what came of them in one call.
#[derive(Default)]
struct Share {
    followed: Vec<Followed>,
    /// `places[topic][partition]` is a place in `followed`.
    places: Vec<Vec<Option<usize>>>,
    /// Where reading has come to in the partitions of this call.
    reached: Vec<((usize, i32), i64)>,
    /// Partitions whose end was reached in this call.
    finished: Vec<usize>,
    /// Frames since the end of a partition was reached last: many, and there is a backlog.
    since_end: usize,
    /// Those that were told to go on at their end, or behind it, since the last call.
    unsaid: Vec<PartitionIndex>,
}

impl Share {
    fn place(&self, topic: usize, partition: i32) -> Option<usize> {
        let number = usize::try_from(partition).ok()?;
        *self.places[topic].get(number)?
    }

    fn of(&self, index: PartitionIndex) -> Option<usize> {
        self.followed.iter().position(|f| f.index == index)
    }

    /// Notes the offset after what was handed over.
    fn reach(&mut self, place: usize, next_offset: i64) {
        let followed = &mut self.followed[place];
        followed.next = followed.next.max(next_offset);
        let (topic, partition) = (followed.topic, followed.partition);
        match self.reached.last_mut() {
            Some((last, offset)) if *last == (topic, partition) => *offset = next_offset,
            _ => self.reached.push(((topic, partition), next_offset)),
        }
    }
}

type On<'a> = &'a mut dyn FnMut(Event<'_>) -> Result<Option<EventTime>, Failure>;

impl Reader {
    pub(super) fn new(
        client: Arc<Client>,
        topics: &[String],
        positions: &Positions,
    ) -> Result<Self, Failure> {
        let refused = |code| Failure::Internal(format!("the Kafka client fails: {code}"));
        Ok(Self {
            topics: topics.to_vec(),
            tap: Tap::new(client, topics).map_err(refused)?,
            share: Share {
                places: vec![Vec::new(); topics.len()],
                ..Share::default()
            },
            noticed: Noticed::default(),
            positions: Arc::clone(positions),
            tended: now(),
            is_busy: false,
        })
    }

    /// Does as it is told.
    ///
    /// # Errors
    ///
    /// When the client library refuses.
    pub fn obey(&mut self, order: Order) -> Result<(), Failure> {
        match order {
            Order::Follow {
                index,
                topic,
                partition,
                offset,
                end,
            } => {
                let number = usize::try_from(partition).map_err(|_| {
                    Failure::Internal(format!("partition {partition} has no valid number"))
                })?;
                let places = &mut self.share.places[topic];
                if places.len() <= number {
                    places.resize(number + 1, None);
                }
                places[number] = Some(self.share.followed.len());
                let is_finished = end.is_some_and(|end| offset >= end);
                self.share.followed.push(Followed {
                    index,
                    topic,
                    partition,
                    next: offset,
                    end,
                    is_held: false,
                    is_finished,
                    is_fresh: true,
                });
                self.start(self.share.followed.len() - 1)
            }
            Order::GoOn { index, offset } => {
                let Some(place) = self.share.of(index) else {
                    return Ok(());
                };
                let followed = &mut self.share.followed[place];
                // What was read to its end may have to be read again, where it was made anew or its beginning is gone.
                followed.is_finished = followed.end.is_some_and(|end| offset >= end);
                if followed.is_finished {
                    self.share.unsaid.push(index);
                }
                followed.next = offset;
                followed.is_fresh = true;
                self.noticed
                    .lost_place
                    .retain(|lost| lost.partition != index);
                let known = (followed.topic, followed.partition);
                self.positions.lock().remove(&known);
                // Begun anew it goes on whatever state the fetcher is in; a seek is refused after an offset error.
                self.stop(place);
                self.start(place)
            }
            Order::Hold { index, waits } => {
                let Some(place) = self.share.of(index) else {
                    return Ok(());
                };
                // Not by pausing: the library notes an end that a batch reached as if a frame had been read there, and
                // would resume behind the next one (its issue 4844).
                self.share.followed[place].is_held = waits;
                self.stop(place);
                self.start(place)
            }
        }
    }

    /// Starts to fetch a partition where it is to go on, unless it is held or finished.
    fn start(&mut self, place: usize) -> Result<(), Failure> {
        let followed = self.share.followed[place];
        if followed.is_held || followed.is_finished {
            return Ok(());
        }
        self.tap
            .start(followed.topic, followed.partition, followed.next)
            .map_err(|code| Failure::Internal(format!("cannot read a partition: {code}")))
    }

    fn stop(&mut self, place: usize) {
        let followed = self.share.followed[place];
        if let Err(code) = self.tap.stop(followed.topic, followed.partition) {
            caution(&format!("a partition goes on being fetched: {code}"));
        }
    }

    /// Takes note of what the client has to say beside frames. Belongs to every wait, however long: a client that is not
    /// asked takes its program for dead.
    ///
    /// # Errors
    ///
    /// When the client gave up.
    pub fn tend(&mut self) -> Result<(), Failure> {
        self.tended = now();
        // Answers to commits are among it; there are never many.
        while let Some(result) = self.tap.client().poll(Duration::ZERO) {
            if let Err(error) = result {
                self.noticed.trouble = Some(trouble(&error)?);
            }
        }
        if self.tap.client().context().take_brokers_down() {
            self.noticed.trouble = Some(SILENT.to_owned());
        }
        Ok(())
    }

    /// What was noticed since the last call.
    pub fn take_noticed(&mut self) -> Noticed {
        std::mem::take(&mut self.noticed)
    }

    fn take(&mut self, wait: Duration, most: usize, on: On<'_>) -> Result<usize, Failure> {
        let Self {
            tap,
            share,
            noticed,
            topics,
            ..
        } = self;
        let mut bytes = 0;
        let taken = tap.take::<Failure>(wait, most, &mut |taken| {
            match taken.error() {
                None => deliver(share, taken, on)?,
                Some(RDKafkaErrorCode::PartitionEOF) => reach_end(share, taken, on)?,
                Some(code) => note(share, noticed, topics, taken, code)?,
            }
            bytes += taken.payload().map_or(0, <[u8]>::len);
            // Large frames take long to decode, and there are other things to be done.
            Ok(bytes < BYTES_PER_ROUND)
        })?;
        if !self.share.reached.is_empty() {
            self.positions.lock().extend(self.share.reached.drain(..));
        }
        while let Some(place) = self.share.finished.pop() {
            self.stop(place);
        }
        Ok(taken)
    }
}

impl Reader {
    /// Looks again and again, and lets others have the core meanwhile. In a backlog the next frames are here in a moment, and to be
    /// woken for them takes as long again.
    fn take_awake(&mut self, wait: Duration, on: On<'_>) -> Result<usize, Failure> {
        let limit = wait.min(Duration::from_micros(AWAKE_US));
        let began = now();
        while began.elapsed() < limit {
            std::thread::yield_now();
            let taken = self.take(Duration::ZERO, MESSAGES_PER_CALL, on)?;
            if taken > 0 {
                return Ok(taken);
            }
        }
        Ok(0)
    }

    /// Looks again a few times, with naps in between. Whoever is woken for each response of a broker costs more, and costs the
    /// client's own thread as well.
    fn take_after_naps(&mut self, wait: Duration, on: On<'_>) -> Result<usize, Failure> {
        let nap = Duration::from_micros(NAP_US);
        for _ in 0..NAPS_MAX {
            sleep(nap.min(wait));
            let taken = self.take(Duration::ZERO, MESSAGES_PER_CALL, on)?;
            if taken > 0 {
                return Ok(taken);
            }
        }
        Ok(0)
    }

    fn take_what_comes(&mut self, wait: Duration, on: On<'_>) -> Result<usize, Failure> {
        let taken = self.take(Duration::ZERO, MESSAGES_PER_CALL, on)?;
        if taken > 0 || wait.is_zero() {
            return Ok(taken);
        }
        if self.share.since_end >= BACKLOG_FRAMES {
            let taken = self.take_awake(wait, on)?;
            if taken > 0 {
                return Ok(taken);
            }
        }
        if self.is_busy {
            let taken = self.take_after_naps(wait, on)?;
            if taken > 0 {
                return Ok(taken);
            }
        }
        // For one: a wait for more would not end before all of them are there.
        match self.take(wait, 1, on)? {
            0 => Ok(0),
            one => Ok(one + self.take(Duration::ZERO, MESSAGES_PER_CALL - 1, on)?),
        }
    }
}

impl Source for Reader {
    fn poll(&mut self, wait: Duration, on: On<'_>) -> Result<bool, Failure> {
        if now() - self.tended >= Duration::from_millis(CONTROL_EVERY_MS) {
            self.tend()?;
        }
        if !self.share.unsaid.is_empty() {
            for index in self.share.unsaid.drain(..) {
                on(Event::Finished(index))?;
            }
            return Ok(true);
        }
        let taken = self.take_what_comes(wait, on)?;
        if taken > 0 || !wait.is_zero() {
            self.is_busy = taken >= PLENTY_MESSAGES;
        }
        Ok(taken > 0)
    }
}

fn deliver(share: &mut Share, taken: &Taken<'_>, on: On<'_>) -> Result<(), Failure> {
    let Some(place) = place_of(share, taken) else {
        return Ok(());
    };
    let Followed {
        index,
        end,
        is_finished,
        ..
    } = share.followed[place];
    let offset = taken.offset();
    if is_finished || end.is_some_and(|end| offset >= end) {
        return finish(share, place, on);
    }
    on(Event::Frame {
        partition: index,
        offset,
        appended: taken
            .append_time_ms()
            .and_then(|ms| EventTime::try_from(ms / 1_000).ok()),
        payload: taken.payload(),
    })?;
    share.since_end += 1;
    share.followed[place].is_fresh = false;
    share.reach(place, offset + 1);
    match end {
        Some(end) if offset + 1 >= end => finish(share, place, on),
        _ => Ok(()),
    }
}

fn reach_end(share: &mut Share, taken: &Taken<'_>, on: On<'_>) -> Result<(), Failure> {
    let Some(place) = place_of(share, taken) else {
        return Ok(());
    };
    let Followed { index, end, .. } = share.followed[place];
    on(Event::ReachedEnd(index))?;
    share.since_end = 0;
    // It lies behind the markers of transactions, which no frame tells of.
    share.reach(place, taken.offset());
    match end {
        // The log only grows, so its end now is not before its end at the start; what is missing up to there
        // holds no frames, such as the markers of transactions.
        Some(_) => finish(share, place, on),
        None => Ok(()),
    }
}

fn finish(share: &mut Share, place: usize, on: On<'_>) -> Result<(), Failure> {
    let followed = &mut share.followed[place];
    if !std::mem::replace(&mut followed.is_finished, true) {
        let index = followed.index;
        share.finished.push(place);
        on(Event::Finished(index))?;
    }
    Ok(())
}

/// Notes that something is wrong: something to wait for, or the end.
fn note(
    share: &Share,
    noticed: &mut Noticed,
    topics: &[String],
    taken: &Taken<'_>,
    code: RDKafkaErrorCode,
) -> Result<(), Failure> {
    let topic = taken.topic();
    let name = topic.map_or("", |topic| &topics[topic]);
    noticed.trouble = Some(match code {
        RDKafkaErrorCode::Fatal => {
            return Err(Failure::Internal(format!(
                "the Kafka client gave up on '{name}': {code}"
            )));
        }
        RDKafkaErrorCode::AllBrokersDown | RDKafkaErrorCode::BrokerTransportFailure => {
            SILENT.to_owned()
        }
        RDKafkaErrorCode::AutoOffsetReset => {
            if let Some(place) = place_of(share, taken) {
                let Followed {
                    index, is_fresh, ..
                } = share.followed[place];
                let mut lost = LostPlace::told(index, &taken.says());
                lost.parted_at = lost.parted_at.filter(|_| !is_fresh);
                noticed.lost_place.push(lost);
            }
            format!("a broker says that an offset of '{name}' is not there")
        }
        code if topic.is_none() => format!("the Kafka client says: {code}"),
        code => topic_error(name, code),
    });
    Ok(())
}

fn place_of(share: &Share, taken: &Taken<'_>) -> Option<usize> {
    share.place(taken.topic()?, taken.partition())
}

const SILENT: &str = "the brokers do not answer";

/// What an error of the whole client means.
fn trouble(error: &KafkaError) -> Result<String, Failure> {
    match error {
        KafkaError::MessageConsumptionFatal(code) => Err(Failure::Internal(format!(
            "the Kafka client gave up: {code}"
        ))),
        KafkaError::MessageConsumption(
            RDKafkaErrorCode::AllBrokersDown | RDKafkaErrorCode::BrokerTransportFailure,
        ) => Ok(SILENT.to_owned()),
        KafkaError::MessageConsumption(code) => Ok(format!("the Kafka client says: {code}")),
        error => Ok(format!("the Kafka client says: {error}")),
    }
}

#[allow(clippy::disallowed_methods, reason = "waits are by the clock")]
fn now() -> Instant {
    Instant::now()
}

#[allow(
    clippy::disallowed_methods,
    reason = "what comes next has no way to say so that is cheaper than a look"
)]
fn sleep(nap: Duration) {
    std::thread::sleep(nap);
}
