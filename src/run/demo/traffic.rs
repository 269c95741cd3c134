//! The demo's producer: made-up frames as live traffic, never more of them unread than the mock cluster keeps.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, TryRecvError, bounded};
use rdkafka::ClientConfig;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};

use super::check::{Ledger, Said};
use super::rubbish;
use crate::config::DemoConfig;
use crate::error::Failure;
use crate::generate::{Plan, Sent, Traffic};
use crate::io::clock::Clock;
use crate::limits::{
    DELIVERY_POLL_MS, DEMO_BURST_FACTOR, DEMO_BURST_MS, DEMO_COMMANDS, DEMO_PARTITIONS,
    DEMO_UNREAD_BYTES, LAST_FLUSH_MS, POLL_MAX_MS,
};
use crate::run::pipeline::spawn;
use crate::run::service::Gauges;

/// What the producer can be told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Command {
    /// To send nothing until it is told to go on, or to go on.
    Pause(bool),
    /// To send [`DEMO_BURST_FACTOR`] times as much for [`DEMO_BURST_MS`].
    Burst,
    /// To send one bad frame of each kind.
    Rubbish,
}

/// What the producer tells of itself.
#[derive(Debug, Default)]
struct Gauge {
    is_held_back: AtomicBool,
}

/// The running producer.
pub(super) struct Producing {
    commands: Sender<Command>,
    gauge: Arc<Gauge>,
    thread: JoinHandle<Result<(), Failure>>,
}

impl Producing {
    pub(super) fn start(
        config: &DemoConfig,
        brokers: &str,
        ledger: Ledger,
        service: Arc<Gauges>,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, Failure> {
        let producer: BaseProducer = ClientConfig::new()
            .set("bootstrap.servers", brokers)
            .set("enable.idempotence", "true")
            .set("linger.ms", "5")
            .create()
            .map_err(|error| Failure::Internal(format!("cannot produce: {error}")))?;
        let (commands, inbox) = bounded(DEMO_COMMANDS);
        let (plan, topic) = (config.plan.clone(), config.topic.clone());
        let gauge = Arc::<Gauge>::default();
        let its_gauge = Arc::clone(&gauge);
        let thread = spawn("producer".to_owned(), move || {
            let mut sender = Sending {
                producer,
                topic,
                ledger,
                service,
                sent_bytes: 0,
                inbox,
                told: VecDeque::new(),
                clock,
                gauge: its_gauge,
                is_paused: false,
                burst_until_ms: 0,
                rubbish_turn: 0,
            };
            sender.run(&plan)
        })?;
        Ok(Self {
            commands,
            gauge,
            thread,
        })
    }

    /// Tells the producer something; a command too many is dropped.
    pub(super) fn tell(&self, command: Command) {
        let _ = self.commands.try_send(command);
    }

    /// Whether it waits for room in the broker.
    pub(super) fn is_held_back(&self) -> bool {
        self.gauge.is_held_back.load(Ordering::Relaxed)
    }

    /// Whether it has ended by itself: its frames are all sent, or it failed.
    pub(super) fn has_ended(&self) -> bool {
        self.thread.is_finished()
    }

    /// Stops, and waits until everything that was sent is acknowledged.
    pub(super) fn stop(self) -> Result<(), Failure> {
        drop(self.commands);
        self.thread
            .join()
            .map_err(|_| Failure::Internal("the producer thread died".to_owned()))?
    }
}

const HOUR_S: u32 = 3_600;
const DAY_S: u32 = 24 * HOUR_S;

/// How long ago the busy minutes of the demo's history began, in seconds: months, weeks, days, hours, minutes.
const HISTORY_AGO_S: [u32; 24] = [
    360 * DAY_S,
    330 * DAY_S,
    300 * DAY_S,
    270 * DAY_S,
    240 * DAY_S,
    210 * DAY_S,
    180 * DAY_S,
    150 * DAY_S,
    120 * DAY_S,
    90 * DAY_S,
    60 * DAY_S,
    25 * DAY_S,
    20 * DAY_S,
    15 * DAY_S,
    10 * DAY_S,
    6 * DAY_S,
    4 * DAY_S,
    2 * DAY_S,
    22 * HOUR_S,
    15 * HOUR_S,
    8 * HOUR_S,
    3 * HOUR_S,
    45 * 60,
    20 * 60,
];

/// Frames of each busy minute.
const HISTORY_FRAMES: u64 = 1_000;

/// Told to end.
struct Ended;

struct Sending {
    producer: BaseProducer,
    topic: String,
    ledger: Ledger,
    service: Arc<Gauges>,
    sent_bytes: u64,
    inbox: Receiver<Command>,
    /// What it was told while it waited for room.
    told: VecDeque<Command>,
    clock: Arc<dyn Clock>,
    gauge: Arc<Gauge>,
    is_paused: bool,
    burst_until_ms: u64,
    rubbish_turn: usize,
}

impl Sending {
    fn run(&mut self, plan: &Plan) -> Result<(), Failure> {
        let start_ms = self.clock.monotonic_ms();
        let mut traffic = Traffic::new(plan);
        let mut frame = Vec::new();
        let mut number = 0;
        if self.send_history(plan)?.is_err() {
            return self.flush();
        }
        while let Some(sent) = traffic.next_frame(&mut frame) {
            number += 1;
            let due_ms = start_ms + sent.arrival_ms;
            if number % DEMO_BURST_FACTOR != 0 && due_ms >= self.burst_until_ms {
                continue;
            }
            if self.wait_until(due_ms)?.is_err() {
                break;
            }
            // What would have come during a pause never comes: the traffic is live.
            if self.is_paused {
                continue;
            }
            if self.send_made(&frame, &sent)?.is_err() {
                break;
            }
        }
        self.flush()
    }

    /// Sends what a year has left in the topic, as fast as it goes: a busy minute here and there, so that the six
    /// numbers differ from the start.
    fn send_history(&mut self, plan: &Plan) -> Result<Result<(), Ended>, Failure> {
        let mut frame = Vec::new();
        for (i, ago_s) in (0..).zip(HISTORY_AGO_S) {
            let minute = Plan {
                start: plan.start - ago_s,
                frames: HISTORY_FRAMES,
                span_ms: 60_000,
                seed: plan.seed.wrapping_add(1 + i),
                ..plan.clone()
            };
            let mut traffic = Traffic::new(&minute);
            while let Some(sent) = traffic.next_frame(&mut frame) {
                if self.wait_to_go_on()?.is_err() || self.send_made(&frame, &sent)?.is_err() {
                    return Ok(Err(Ended));
                }
            }
        }
        Ok(Ok(()))
    }

    fn send_made(&mut self, frame: &[u8], sent: &Sent) -> Result<Result<(), Ended>, Failure> {
        let said = Said {
            user: sent.user,
            ts: sent.ts,
        };
        let partition = sent.user as usize % DEMO_PARTITIONS;
        self.send(partition, Some(frame), Some(said))
    }

    /// Waits for a moment of the clock, and does meanwhile what it is told.
    fn wait_until(&mut self, at_ms: u64) -> Result<Result<(), Ended>, Failure> {
        loop {
            self.producer.poll(Duration::ZERO);
            let wait_ms = at_ms.saturating_sub(self.clock.monotonic_ms());
            let told = match self.told.pop_front() {
                Some(command) => Ok(command),
                None => self.inbox.recv_timeout(Duration::from_millis(wait_ms)),
            };
            match told {
                Ok(Command::Pause(is_paused)) => self.is_paused = is_paused,
                Ok(Command::Burst) => {
                    self.burst_until_ms = self.clock.monotonic_ms() + DEMO_BURST_MS;
                    return Ok(Ok(()));
                }
                Ok(Command::Rubbish) => {
                    for frame in rubbish::frames() {
                        self.rubbish_turn = (self.rubbish_turn + 1) % DEMO_PARTITIONS;
                        let sent = self.send(self.rubbish_turn, frame.as_deref(), None)?;
                        if sent.is_err() {
                            return Ok(Err(Ended));
                        }
                    }
                }
                Err(RecvTimeoutError::Timeout) => return Ok(Ok(())),
                Err(RecvTimeoutError::Disconnected) => return Ok(Err(Ended)),
            }
        }
    }

    /// Does what it is told, and waits while that is a pause.
    fn wait_to_go_on(&mut self) -> Result<Result<(), Ended>, Failure> {
        let mut waited = self.wait_until(0)?;
        while self.is_paused && waited.is_ok() {
            waited = self.wait_until(self.clock.monotonic_ms() + POLL_MAX_MS)?;
        }
        Ok(waited)
    }

    /// Sends a frame, once the mock cluster has room for it.
    fn send(
        &mut self,
        partition: usize,
        frame: Option<&[u8]>,
        said: Option<Said>,
    ) -> Result<Result<(), Ended>, Failure> {
        let bytes = frame.map_or(0, <[u8]>::len);
        while !self.has_room(bytes as u64) {
            self.gauge.is_held_back.store(true, Ordering::Relaxed);
            self.producer.poll(Duration::from_millis(DELIVERY_POLL_MS));
            match self.inbox.try_recv() {
                Ok(command) => self.put_off(command),
                Err(TryRecvError::Empty) => {}
                Err(TryRecvError::Disconnected) => return Ok(Err(Ended)),
            }
        }
        self.gauge.is_held_back.store(false, Ordering::Relaxed);
        // First: a tick may reflect the frame before this thread runs on.
        self.ledger.send(partition, said);
        self.hand_over(partition, frame)?;
        self.sent_bytes += bytes as u64;
        Ok(Ok(()))
    }

    /// Keeps a command until the frame at hand is sent; one too many is dropped.
    fn put_off(&mut self, command: Command) {
        if self.told.len() < DEMO_COMMANDS {
            self.told.push_back(command);
        }
    }

    /// Whether one more frame leaves all of them within what the mock cluster surely keeps.
    fn has_room(&self, bytes: u64) -> bool {
        let read_bytes = self.service.read_bytes.load(Ordering::Relaxed);
        self.sent_bytes + bytes <= read_bytes + DEMO_UNREAD_BYTES
    }

    fn hand_over(&self, partition: usize, frame: Option<&[u8]>) -> Result<(), Failure> {
        let mut record = BaseRecord::<[u8], [u8]>::to(&self.topic).partition(partition as i32);
        record.payload = frame;
        let give_up_ms = self.clock.monotonic_ms() + LAST_FLUSH_MS;
        loop {
            match self.producer.send(record) {
                Ok(()) => return Ok(()),
                Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), back))
                    if self.clock.monotonic_ms() < give_up_ms =>
                {
                    self.producer.poll(Duration::from_millis(POLL_MAX_MS));
                    record = back;
                }
                Err((error, _)) => {
                    return Err(Failure::Internal(format!("cannot produce: {error}")));
                }
            }
        }
    }

    fn flush(&self) -> Result<(), Failure> {
        self.producer
            .flush(Duration::from_millis(LAST_FLUSH_MS))
            .map_err(|error| Failure::Internal(format!("frames were not acknowledged: {error}")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::io::clock::SystemClock;

    #[test]
    fn what_the_producer_is_told_while_the_broker_is_full_is_done_afterwards() {
        let (commands, inbox) = bounded(DEMO_COMMANDS);
        let gauges = Arc::<Gauges>::default();
        let mut sending = Sending {
            producer: ClientConfig::new().create().unwrap(),
            topic: "users".to_owned(),
            ledger: Ledger::default(),
            service: Arc::clone(&gauges),
            sent_bytes: DEMO_UNREAD_BYTES,
            inbox,
            told: VecDeque::new(),
            clock: Arc::new(SystemClock::new()),
            gauge: Arc::default(),
            is_paused: false,
            burst_until_ms: 0,
            rubbish_turn: 0,
        };
        commands.send(Command::Pause(true)).unwrap();
        drop(commands);
        assert!(sending.send(0, Some(b"{}"), None).unwrap().is_err());
        assert!(!sending.is_paused, "the frame at hand goes first");
        assert!(sending.wait_until(0).unwrap().is_err());
        assert!(sending.is_paused);
    }
}
