//! What consumer and producer share: the client library's configuration, and its voice in our log.

mod revival;

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};

use rdkafka::ClientContext;
use rdkafka::config::{ClientConfig, RDKafkaLogLevel};
use rdkafka::consumer::ConsumerContext;
use rdkafka::error::KafkaError;
use rdkafka::types::RDKafkaErrorCode;

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

/// Whether the client library has a property of this name.
#[must_use]
pub fn knows(key: &str) -> bool {
    let config = ClientConfig::new().create_native_config();
    config.is_ok_and(|config| config.get(key).is_ok())
}

impl Connection {
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
#[derive(Debug, Default)]
pub struct Voice {
    brokers_down: AtomicBool,
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
            _ => caution(&format!("Kafka client: {reason}")),
        }
    }
}

impl ConsumerContext for Voice {}
