//! Gives a client the brokers to start from again.
//!
//! A broker that has just come back can answer that there are no brokers at all. The client library then forgets the one it
//! has, and may forget the brokers to start from too: from then on it asks nobody, for good, and says nothing
//! (confluentinc/librdkafka#5301). Whoever waits for its answers tells it where to begin once more.
//!
//! The Rust wrapper lacks this call, so it is made through the C interface. Soundness: the client is alive while it is
//! borrowed, the call may come from any thread, and it copies the text.
#![allow(unsafe_code, reason = "the wrapper lacks rd_kafka_brokers_add")]

use std::ffi::CString;
use std::sync::Arc;

use rdkafka::ClientContext;
use rdkafka::bindings::rd_kafka_brokers_add;
use rdkafka::client::Client;

use super::Connection;
use crate::io::clock::Clock;
use crate::limits::{REVIVAL_AFTER_MS, REVIVAL_PAUSE_MAX_MS};

/// Tells a client where to begin. One that knows already keeps what it has; each call costs it as many bytes as the
/// brokers' names have, until it ends.
pub fn revive<C: ClientContext>(client: &Client<C>, brokers: &str) {
    // One with a zero byte has not been accepted as a configuration either.
    if let Ok(brokers) = CString::new(brokers) {
        // SAFETY: see the head of this file.
        unsafe { rd_kafka_brokers_add(client.native_ptr(), brokers.as_ptr()) };
    }
}

/// Revives a client of which nothing has been heard for a while.
pub struct Revival {
    brokers: String,
    clock: Arc<dyn Clock>,
    /// Since when there is something to wait for, and how many answers there were then.
    silence: Option<(u64, u64)>,
    pause_ms: u64,
}

impl Revival {
    /// For a client of these brokers.
    #[must_use]
    pub fn new(connection: &Connection, clock: Arc<dyn Clock>) -> Self {
        Self {
            brokers: connection.brokers.clone(),
            clock,
            silence: None,
            pause_ms: REVIVAL_AFTER_MS,
        }
    }

    /// Takes note of whether an answer is waited for and how many there were so far; revives the client if there was none
    /// for too long, again and again in growing intervals.
    pub fn tend<C: ClientContext>(&mut self, client: &Client<C>, waits: bool, answers: u64) {
        if self.is_due(waits, answers) {
            revive(client, &self.brokers);
        }
    }

    fn is_due(&mut self, waits: bool, answers: u64) -> bool {
        let now_ms = self.clock.monotonic_ms();
        match self.silence {
            _ if !waits => {
                self.silence = None;
                false
            }
            Some((since_ms, so_far)) if so_far == answers => {
                let is_due = now_ms - since_ms >= self.pause_ms;
                if is_due {
                    self.silence = Some((now_ms, answers));
                    self.pause_ms = (2 * self.pause_ms).min(REVIVAL_PAUSE_MAX_MS);
                }
                is_due
            }
            _ => {
                self.silence = Some((now_ms, answers));
                self.pause_ms = REVIVAL_AFTER_MS;
                false
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use rdkafka::ClientConfig;
    use rdkafka::consumer::{BaseConsumer, Consumer};
    use rdkafka::mocking::MockCluster;

    use super::*;
    use crate::io::clock::ManualClock;
    use crate::io::kafka_client::Voice;

    fn revival() -> (Revival, Arc<ManualClock>) {
        let clock = Arc::new(ManualClock::default());
        let connection = Connection::new("a:1".to_owned(), Vec::new());
        let as_clock: Arc<dyn Clock> = Arc::clone(&clock) as _;
        (Revival::new(&connection, as_clock), clock)
    }

    #[test]
    fn it_is_due_after_growing_intervals_of_silence_and_only_while_an_answer_is_waited_for() {
        let (mut revival, clock) = revival();
        let mut due_at = Vec::new();
        for second in 0..60 {
            if revival.is_due(true, 7) {
                due_at.push(second);
            }
            clock.advance_ms(1_000);
        }
        assert_eq!(due_at, [5, 15, 25, 35, 45, 55]);
        for _ in 0..400 {
            assert!(!revival.is_due(false, 7));
            clock.advance_ms(1_000);
        }
        for answers in 8..400 {
            assert!(!revival.is_due(true, answers));
            clock.advance_ms(4_000);
        }
        assert!(!revival.is_due(true, 399));
        clock.advance_ms(1_000);
        assert!(revival.is_due(true, 399), "anew from the shortest one");
    }

    /// What it is for cannot be brought about at will; that it makes a client ask brokers it does not know, can.
    #[test]
    fn a_client_that_knows_no_broker_that_answers_asks_those_that_it_is_given() {
        let cluster = MockCluster::new(1).expect("a mock cluster");
        cluster.create_topic("users", 3, 1).expect("a topic");
        let consumer: BaseConsumer<Voice> = ClientConfig::new()
            // Nothing listens on port 1.
            .set("bootstrap.servers", "127.0.0.1:1")
            .set("group.id", "test")
            .create_with_context(Connection::new(String::new(), Vec::new()).voice())
            .expect("a valid configuration");
        let ask = |ms| consumer.fetch_metadata(Some("users"), Duration::from_millis(ms));
        assert!(ask(300).is_err());
        revive(consumer.client(), &cluster.bootstrap_servers());
        let metadata = ask(20_000).expect("an answer");
        assert_eq!(metadata.topics()[0].partitions().len(), 3);
    }
}
