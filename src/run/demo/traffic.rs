//! The demo's producer: made-up frames as live traffic, never more of them unread than the mock cluster keeps.

use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, TryRecvError, bounded};
use rdkafka::ClientConfig;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};

use super::check::Ledger;
use crate::config::DemoConfig;
use crate::error::Failure;
use crate::generate::{Plan, Traffic};
use crate::io::clock::Clock;
use crate::limits::{DEMO_PARTITIONS, LAST_FLUSH_MS, POLL_MAX_MS};
use crate::run::pipeline::spawn;

/// The running producer.
pub(super) struct Producing {
    stop: Sender<()>,
    thread: JoinHandle<Result<(), Failure>>,
}

impl Producing {
    pub(super) fn start(
        config: &DemoConfig,
        brokers: &str,
        ledger: Ledger,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, Failure> {
        let producer: BaseProducer = ClientConfig::new()
            .set("bootstrap.servers", brokers)
            .set("enable.idempotence", "true")
            .set("linger.ms", "5")
            .create()
            .map_err(|error| Failure::Internal(format!("cannot produce: {error}")))?;
        let (stop, stopped) = bounded(1);
        let (plan, topic) = (config.plan.clone(), config.topic.clone());
        let thread = spawn("producer".to_owned(), move || {
            let mut sender = Sending {
                producer,
                topic,
                ledger,
                stopped,
                clock,
            };
            sender.run(&plan)
        })?;
        Ok(Self { stop, thread })
    }

    /// Stops, and waits until everything that was sent is acknowledged.
    pub(super) fn stop(self) -> Result<(), Failure> {
        drop(self.stop);
        self.thread
            .join()
            .map_err(|_| Failure::Internal("the producer thread died".to_owned()))?
    }
}

struct Sending {
    producer: BaseProducer,
    topic: String,
    ledger: Ledger,
    stopped: Receiver<()>,
    clock: Arc<dyn Clock>,
}

impl Sending {
    fn run(&mut self, plan: &Plan) -> Result<(), Failure> {
        let start_ms = self.clock.monotonic_ms();
        let mut traffic = Traffic::new(plan);
        let mut frame = Vec::new();
        while let Some(sent) = traffic.next_frame(&mut frame) {
            if !self.wait_until(start_ms + sent.arrival_ms) {
                break;
            }
            let partition = sent.user as usize % DEMO_PARTITIONS;
            while !self.ledger.has_room(partition, frame.len()) {
                if !self.wait_until(self.clock.monotonic_ms() + POLL_MAX_MS) {
                    return self.flush();
                }
            }
            self.send(partition, &frame)?;
            self.ledger.send(partition, sent.user, sent.ts, frame.len());
        }
        self.flush()
    }

    /// Waits for a moment of the clock; returns whether to go on.
    fn wait_until(&self, at_ms: u64) -> bool {
        self.producer.poll(Duration::ZERO);
        let wait_ms = at_ms.saturating_sub(self.clock.monotonic_ms());
        if wait_ms == 0 {
            return self.stopped.try_recv() == Err(TryRecvError::Empty);
        }
        let wait = Duration::from_millis(wait_ms);
        self.stopped.recv_timeout(wait) == Err(RecvTimeoutError::Timeout)
    }

    fn send(&self, partition: usize, frame: &[u8]) -> Result<(), Failure> {
        let mut record = BaseRecord::<[u8], [u8]>::to(&self.topic)
            .partition(partition as i32)
            .payload(frame);
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
