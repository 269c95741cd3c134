//! The demo's client: reads what the service publishes, as anybody else would.

use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::message::Message;
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use serde_json::Value;

use crate::config::{DemoConfig, OutputConfig};

/// A record that was read.
pub(super) enum Heard {
    Tick(Value),
    Final(Value),
}

pub(super) struct Watch {
    consumer: BaseConsumer,
    stats: String,
}

impl Watch {
    pub(super) fn new(config: &DemoConfig, brokers: &str) -> Result<Self, KafkaError> {
        let consumer: BaseConsumer = ClientConfig::new()
            .set("bootstrap.servers", brokers)
            .set("group.id", "headcount-demo-watch")
            .set("enable.auto.commit", "false")
            .set("fetch.wait.max.ms", "20")
            .create()?;
        let mut list = TopicPartitionList::new();
        let stats = match &config.output {
            OutputConfig::Topics { stats, windows } => {
                list.add_partition_offset(stats, 0, Offset::Beginning)?;
                list.add_partition_offset(windows, 0, Offset::Beginning)?;
                stats.clone()
            }
            OutputConfig::Stdout => String::new(),
        };
        consumer.assign(&list)?;
        Ok(Self { consumer, stats })
    }

    /// The next tick or final; `None` if none comes in time.
    pub(super) fn next(&mut self, wait: Duration) -> Option<Heard> {
        let message = self.consumer.poll(wait)?.ok()?;
        let record: Value = serde_json::from_slice(message.payload()?).ok()?;
        if message.topic() == self.stats {
            Some(Heard::Tick(record))
        } else {
            (record["state"] == "final").then_some(Heard::Final(record))
        }
    }
}
