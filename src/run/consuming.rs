//! The consumers and their threads: with one, reading and decoding happen where frames are admitted; more of them have a
//! thread each, and hand over what they gathered in batches.
//!
//! Invariants: 1. A partition belongs to one consumer, and what was read of it arrives in its order. 2. Batches go round: a
//! consumer that has none left waits, and its client stops fetching when its own queue is full. 3. After a partition was
//! told to go on elsewhere, nothing arrives of what was read of it before. 4. A thread that dies ends the run with an error.

use std::thread::{self, JoinHandle};
use std::time::Duration;

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, TryRecvError, bounded};

use super::gather::{Batch, Gathered, Gatherer, Next, empty_batch};
use super::pipeline::spawn;
use super::pulse::{Pulse, Watched};
use super::set_aside::Keeps;
use crate::engine::admit::PartitionIndex;
use crate::engine::decode::{Fields, WrongUnit};
use crate::error::Failure;
use crate::io::source::kafka::{LostPlace, Order, Partitions, Reader};
use crate::limits::{ERRANDS_AHEAD, GATHERED_BATCHES, LAST_WORD_MS, POLL_MAX_MS};

/// What a consumer's thread is asked for.
enum Errand {
    Obey(Order),
    /// To say what it had kept to itself for want of frames.
    LastWord,
}

type Outcome = (usize, Result<Batch, Failure>);

/// A consumer with a thread of its own.
struct Hand {
    errands: Sender<Errand>,
    empties: Sender<Batch>,
    thread: JoinHandle<()>,
    watched: Watched,
}

enum Hands {
    /// One, on the thread that admits.
    Own(Box<Gatherer>),
    /// The number of the consumer that the batch in hand is from, and what comes from all of them.
    Threads(Vec<Hand>, Option<usize>, Receiver<Outcome>),
}

/// All consumers of a service.
pub(super) struct Consuming {
    partitions: Partitions,
    hands: Hands,
    /// What is being taken out.
    batch: Batch,
    /// How many partitions have gone on elsewhere and not said so yet, by index: what comes of them is of the past.
    going_on: Vec<u32>,
    trouble: Option<String>,
    lost_place: Vec<LostPlace>,
    wrong_unit: Option<WrongUnit>,
}

impl Consuming {
    /// Starts a thread for each reader where there is more than one.
    pub(super) fn start(
        mut readers: Vec<Reader>,
        partitions: Partitions,
        fields: &Fields,
        keeps: Keeps,
    ) -> Result<Self, Failure> {
        let gatherer = |reader| Gatherer::new(reader, fields.clone(), keeps);
        let hands = match readers.len() {
            1 => Hands::Own(Box::new(gatherer(readers.remove(0)))),
            _ => threads(readers.into_iter().map(gatherer))?,
        };
        Ok(Self {
            partitions,
            hands,
            batch: empty_batch(),
            going_on: Vec::new(),
            trouble: None,
            lost_place: Vec::new(),
            wrong_unit: None,
        })
    }

    /// Its threads, for whoever watches them.
    pub(super) fn watched(&self) -> Vec<Watched> {
        match &self.hands {
            Hands::Own(_) => Vec::new(),
            Hands::Threads(hands, ..) => hands.iter().map(|hand| hand.watched.clone()).collect(),
        }
    }

    /// The index of a partition, if it is being read.
    pub(super) fn index(&self, topic: usize, partition: i32) -> Option<PartitionIndex> {
        self.partitions.index(topic, partition)
    }

    /// Starts reading a partition at an offset; `end` is where a run with an end stops.
    pub(super) fn follow(
        &mut self,
        topic: usize,
        partition: i32,
        offset: i64,
        end: Option<i64>,
    ) -> Result<PartitionIndex, Failure> {
        let index = self.partitions.add(topic, partition)?;
        self.going_on.push(0);
        let order = Order::Follow {
            index,
            topic,
            partition,
            offset,
            end,
        };
        self.order(index, order)?;
        Ok(index)
    }

    /// Goes on in a partition at another offset.
    pub(super) fn go_on_at(&mut self, index: PartitionIndex, offset: i64) -> Result<(), Failure> {
        self.going_on[index] += 1;
        self.lost_place.retain(|lost| lost.partition != index);
        self.order(index, Order::GoOn { index, offset })
    }

    /// Stops reading a partition for a while, or goes on with it.
    pub(super) fn hold(&mut self, index: PartitionIndex, waits: bool) -> Result<(), Failure> {
        self.order(index, Order::Hold { index, waits })
    }

    fn order(&mut self, index: PartitionIndex, order: Order) -> Result<(), Failure> {
        match &mut self.hands {
            Hands::Own(gatherer) => gatherer.obey(order),
            Hands::Threads(hands, ..) => {
                let hand = &hands[index % hands.len()];
                // One that has died is noticed where its batches are waited for.
                let _ = hand.errands.send(Errand::Obey(order));
                Ok(())
            }
        }
    }

    /// Looks after the client while nothing is read. Consumers with threads do so themselves.
    pub(super) fn tend(&mut self) -> Result<(), Failure> {
        match &mut self.hands {
            Hands::Own(gatherer) => gatherer.tend(),
            Hands::Threads(..) => Ok(()),
        }
    }

    /// Commits offsets to the group, for lag tools.
    pub(super) fn commit(&self, next_offset: impl Fn(PartitionIndex) -> i64) {
        self.partitions.commit(next_offset);
    }

    /// Finishes a partition that holds nothing up to its end.
    pub(super) fn finish(&mut self, index: PartitionIndex) {
        self.partitions.finish(index);
    }

    /// Whether all partitions were read to their end.
    pub(super) fn is_finished(&self) -> bool {
        self.partitions.is_finished()
    }

    /// What the client library complained of since the last call, if anything.
    pub(super) fn take_trouble(&mut self) -> Option<String> {
        self.trouble.take()
    }

    /// What was told of a partition since this was last asked of which a broker has disowned an offset: it must be gone on
    /// with anew.
    pub(super) fn take_lost_place(&mut self, index: PartitionIndex) -> Option<LostPlace> {
        let told = self
            .lost_place
            .extract_if(.., |lost| lost.partition == index);
        told.last()
    }

    /// Whether a broker has disowned an offset, and it has not been gone on with yet.
    pub(super) fn has_lost_place(&self) -> bool {
        !self.lost_place.is_empty()
    }

    /// Puts back what was told of a partition, for another time.
    pub(super) fn keep_lost_place(&mut self, lost: Option<LostPlace>) {
        self.lost_place.extend(lost);
    }

    /// What the log should say about the unit of the event times; with `at_end`, also what a consumer could not tell from
    /// few of them.
    pub(super) fn take_wrong_unit(&mut self, at_end: bool) -> Option<WrongUnit> {
        if at_end {
            self.hear_last_words();
        }
        self.wrong_unit.take()
    }

    fn hear_last_words(&mut self) {
        match &mut self.hands {
            Hands::Own(gatherer) => {
                gatherer.note(&mut self.batch, true);
                self.wrong_unit = self.batch.wrong_unit.take().or(self.wrong_unit);
            }
            Hands::Threads(hands, current, full) => {
                if let Some(number) = current.take() {
                    let _ = hands[number].empties.send(std::mem::take(&mut self.batch));
                }
                for hand in hands.iter() {
                    let _ = hand.errands.send(Errand::LastWord);
                }
                let limit = Duration::from_millis(LAST_WORD_MS);
                let mut left = hands.len();
                while left > 0
                    && let Ok((number, Ok(mut batch))) = full.recv_timeout(limit)
                {
                    left -= usize::from(batch.is_last_word);
                    self.wrong_unit = batch.wrong_unit.take().or(self.wrong_unit);
                    let _ = hands[number].empties.send(batch);
                }
            }
        }
    }

    /// The next thing that was read, waited for up to `wait`; with the bytes of a frame where they were kept.
    pub(super) fn next(&mut self, wait: Duration) -> Result<Option<Next<'_>>, Failure> {
        loop {
            if self.batch.is_done() && !self.refill(wait)? {
                return Ok(None);
            }
            let going_on = &mut self.going_on;
            let partitions = &mut self.partitions;
            let is_wanted = |gathered: &Gathered| match gathered {
                Gathered::WentOn(index) => {
                    going_on[*index] -= 1;
                    false
                }
                Gathered::Frame { arrival, .. } => going_on[arrival.partition] == 0,
                Gathered::ReachedEnd(index) => going_on[*index] == 0,
                Gathered::Finished(index) => {
                    let is_wanted = going_on[*index] == 0;
                    if is_wanted {
                        partitions.finish(*index);
                    }
                    is_wanted
                }
            };
            if self.batch.skip_to(is_wanted) {
                return Ok(self.batch.take());
            }
        }
    }

    /// Gets the next batch; returns whether there is one.
    fn refill(&mut self, wait: Duration) -> Result<bool, Failure> {
        let has_one = match &mut self.hands {
            Hands::Own(gatherer) => {
                self.batch.clear();
                gatherer.gather(wait, &mut self.batch)?;
                !self.batch.is_done()
            }
            Hands::Threads(hands, current, full) => match full.recv_timeout(wait) {
                Ok((number, outcome)) => {
                    let done = std::mem::replace(&mut self.batch, outcome?);
                    if let Some(before) = current.replace(number) {
                        let _ = hands[before].empties.send(done);
                    }
                    true
                }
                Err(_) => false,
            },
        };
        let noticed = std::mem::take(&mut self.batch.noticed);
        self.trouble = noticed.trouble.or(self.trouble.take());
        // What was noticed before a partition went on elsewhere is of another past.
        let is_news =
            |lost: &LostPlace| self.going_on[lost.partition] == self.batch.went_on(lost.partition);
        let news = noticed.lost_place.into_iter().filter(is_news);
        self.lost_place.extend(news);
        self.wrong_unit = self.batch.wrong_unit.take().or(self.wrong_unit);
        Ok(has_one)
    }

    /// Ends the threads and closes the clients, which may take its time.
    pub(super) fn close(self) {
        if let Hands::Threads(hands, ..) = self.hands {
            for Hand {
                errands,
                empties,
                thread,
                ..
            } in hands
            {
                drop((errands, empties));
                let _ = thread.join();
            }
        }
    }
}

fn threads(gatherers: impl ExactSizeIterator<Item = Gatherer>) -> Result<Hands, Failure> {
    // Room for every batch there is and for a last failure of each: no consumer ever waits here, not even one that dies.
    let (to_main, full) = bounded(gatherers.len() * (GATHERED_BATCHES + 1));
    let mut hands = Vec::with_capacity(gatherers.len());
    for (number, gatherer) in gatherers.enumerate() {
        let (errands, ordered) = bounded(ERRANDS_AHEAD);
        let (empties, emptied) = bounded(GATHERED_BATCHES);
        for _ in 0..GATHERED_BATCHES {
            let _ = empties.send(empty_batch());
        }
        let name = format!("consumer-{number}");
        let pulse = Pulse::default();
        let watched = Watched::new(name.clone(), pulse.clone());
        let outbox = Outbox {
            number,
            to_main: to_main.clone(),
        };
        let thread = spawn(name, move || {
            let outcome = consume(gatherer, &ordered, &emptied, &outbox, &pulse);
            pulse.rest();
            if let Err(failure) = outcome {
                outbox.send(Err(failure));
            }
        })?;
        hands.push(Hand {
            errands,
            empties,
            thread,
            watched,
        });
    }
    Ok(Hands::Threads(hands, None, full))
}

/// Where a consumer's thread hands over what it has. One that panics says so behind all that it had read before.
struct Outbox {
    number: usize,
    to_main: Sender<Outcome>,
}

impl Outbox {
    /// Returns whether anybody is there.
    fn send(&self, outcome: Result<Batch, Failure>) -> bool {
        self.to_main.send((self.number, outcome)).is_ok()
    }
}

impl Drop for Outbox {
    fn drop(&mut self) {
        if thread::panicking() {
            let died = "a consumer thread died; the message above says where, please report it";
            self.send(Err(Failure::Internal(died.to_owned())));
        }
    }
}

/// A consumer's thread, until nobody wants anything of it any more.
fn consume(
    mut gatherer: Gatherer,
    errands: &Receiver<Errand>,
    empties: &Receiver<Batch>,
    outbox: &Outbox,
    pulse: &Pulse,
) -> Result<(), Failure> {
    let wait = Duration::from_millis(POLL_MAX_MS);
    let mut is_last_word = false;
    // A batch in which there is nothing yet.
    let mut in_hand: Option<Batch> = None;
    loop {
        pulse.work();
        loop {
            match errands.try_recv() {
                Ok(Errand::Obey(order)) => gatherer.obey(order)?,
                Ok(Errand::LastWord) => is_last_word = true,
                Err(TryRecvError::Empty) => break,
                Err(TryRecvError::Disconnected) => return Ok(()),
            }
        }
        let next = in_hand
            .take()
            .map_or_else(|| empties.recv_timeout(wait), Ok);
        let mut batch = match next {
            Ok(batch) => batch,
            Err(RecvTimeoutError::Timeout) => {
                // Whoever admits is slow. The client must not take us for dead meanwhile.
                gatherer.tend()?;
                continue;
            }
            Err(RecvTimeoutError::Disconnected) => return Ok(()),
        };
        batch.clear();
        if is_last_word {
            gatherer.note(&mut batch, true);
            batch.is_last_word = std::mem::take(&mut is_last_word);
        } else {
            gatherer.gather(wait, &mut batch)?;
        }
        if batch.is_empty() {
            in_hand = Some(batch);
        } else if !outbox.send(Ok(batch)) {
            return Ok(());
        }
    }
}
