//! What consumer and producer share: the client library's configuration, and its voice in our log.

mod refusal;
mod revival;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use rdkafka::ClientContext;
use rdkafka::config::{ClientConfig, RDKafkaLogLevel};
use rdkafka::consumer::ConsumerContext;
use rdkafka::error::KafkaError;
use rdkafka::types::{RDKafkaConfRes, RDKafkaErrorCode};

use self::refusal::Reception;
pub use self::revival::{Revival, revive};
use crate::error::Failure;
use crate::observe::happenings::{caution, detail};

/// How to reach the brokers.
#[derive(Clone)]
pub struct Connection {
    /// Brokers to start from, comma-separated.
    pub brokers: String,
    /// Properties of the user's own, applied last.
    pub properties: Vec<(String, String)>,
    /// Answers of brokers that were taken note of since the start, by all clients of them.
    answers: Arc<AtomicU64>,
}

/// Without the properties' values: some are passwords.
impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&str> = self
            .properties
            .iter()
            .map(|(key, _)| key.as_str())
            .collect();
        f.debug_struct("Connection")
            .field("brokers", &self.brokers)
            .field("properties", &names)
            .finish()
    }
}

/// Whether the client library has a property of this name, be it one that it was built without.
#[must_use]
pub fn knows(key: &str) -> bool {
    let tried = ClientConfig::new().set(key, "1").create_native_config();
    !matches!(
        tried,
        Err(KafkaError::ClientConfig(
            RDKafkaConfRes::RD_KAFKA_CONF_UNKNOWN,
            ..
        ))
    )
}

impl Connection {
    /// How to reach brokers, with properties of the user's own.
    #[must_use]
    pub fn new(brokers: String, properties: Vec<(String, String)>) -> Self {
        Self {
            brokers,
            properties,
            answers: Arc::default(),
        }
    }

    /// What a client of these brokers says.
    #[must_use]
    pub fn voice(&self) -> Voice {
        Voice {
            brokers_down: AtomicBool::new(false),
            answers: Arc::clone(&self.answers),
        }
    }

    /// Takes note that a broker has answered.
    pub fn note_answer(&self) {
        self.answers.fetch_add(1, Ordering::Relaxed);
    }

    /// Answers that were taken note of.
    #[must_use]
    pub fn answers(&self) -> u64 {
        self.answers.load(Ordering::Relaxed)
    }

    /// Why brokers that did not answer do not let us in, if it is that: one sentence with what to do. Blocks for some seconds.
    #[must_use]
    pub fn refusal(&self) -> Option<String> {
        match refusal::find(self.configure(&[])) {
            Reception::Answered => {
                self.note_answer();
                None
            }
            Reception::Refused(why) => Some(why),
            Reception::Silent => None,
        }
    }

    /// The same, as the end of a program that has not heard of a broker yet. One that has goes on trying: users and
    /// certificates are changed while a service runs, and then brought in order again.
    ///
    /// # Errors
    ///
    /// That sentence.
    pub fn check_refusal(&self) -> Result<(), Failure> {
        if self.answers() > 0 {
            return Ok(());
        }
        self.refusal()
            .map_or(Ok(()), |why| Err(Failure::Refused(why)))
    }

    /// A client configuration with these defaults under the user's own properties.
    #[must_use]
    pub fn configure(&self, defaults: &[(&str, &str)]) -> ClientConfig {
        let mut config = ClientConfig::new();
        config
            .set("bootstrap.servers", &self.brokers)
            .set("client.id", "headcount");
        for (key, value) in defaults {
            config.set(*key, *value);
        }
        // From the first line on: the wrapper sets it only once the client is there.
        config.set("log_level", "4");
        for (key, value) in &self.properties {
            config.set(key, value);
        }
        // Whoever asks the library for its debugging wants to see it.
        let debugs = self.properties.iter().any(|(key, _)| key == "debug");
        config.set_log_level(match debugs {
            true => RDKafkaLogLevel::Debug,
            false => RDKafkaLogLevel::Warning,
        });
        config
    }

    /// Checks the user's properties against the client library.
    ///
    /// # Errors
    ///
    /// One sentence about the first property that the library refuses.
    pub fn check(&self) -> Result<(), Failure> {
        let config = self.configure(&[]);
        match config.create_native_config() {
            Ok(_) => Ok(()),
            // Without the value: it may be a password.
            Err(KafkaError::ClientConfig(_, why, key, _)) => Err(Failure::Usage(format!(
                "-X {key} is refused by the Kafka client: {}",
                why.trim()
            ))),
            Err(error) => Err(Failure::Usage(format!("-X: {error}"))),
        }
    }
}

/// Passes the client library's warnings on, and remembers whether the brokers are out of reach.
#[derive(Debug)]
pub struct Voice {
    brokers_down: AtomicBool,
    answers: Arc<AtomicU64>,
}

impl Voice {
    /// Whether the library has said that no broker answers, since the last call.
    pub fn take_brokers_down(&self) -> bool {
        self.brokers_down.swap(false, Ordering::Relaxed)
    }
}

impl ClientContext for Voice {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        // FAIL, ERROR and GETPID repeat every try to reach a broker, and CONFWARN names each property that is meant
        // for the other kind of client; what they tell is said once elsewhere.
        let is_noise = matches!(facility, "FAIL" | "ERROR" | "GETPID" | "CONFWARN");
        let text = || format!("Kafka client: {facility}: {message}");
        if level as i32 > RDKafkaLogLevel::Warning as i32 {
            detail(&text());
        } else if !is_noise {
            caution(&text());
        }
    }

    fn error(&self, error: KafkaError, reason: &str) {
        match error.rdkafka_error_code() {
            Some(RDKafkaErrorCode::AllBrokersDown) => {
                self.brokers_down.store(true, Ordering::Relaxed);
            }
            // One broker's connection; if it was the last one, AllBrokersDown follows.
            Some(
                RDKafkaErrorCode::BrokerTransportFailure
                | RDKafkaErrorCode::Resolve
                | RDKafkaErrorCode::OperationTimedOut
                // Not an error: the consumer is told of it as an event.
                | RDKafkaErrorCode::PartitionEOF,
            ) => {}
            // Until a broker answers, whoever asks for it says in one sentence why none does.
            Some(RDKafkaErrorCode::Authentication | RDKafkaErrorCode::SSL)
                if self.answers.load(Ordering::Relaxed) == 0 => {}
            _ => caution(&format!("Kafka client: {reason}")),
        }
    }
}

impl ConsumerContext for Voice {}
