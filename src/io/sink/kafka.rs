//! Records into two Kafka topics.

mod lane;
mod topics;

use std::sync::Arc;
use std::time::Duration;

use self::lane::{Lane, gave_up};
pub use self::topics::{TopicPlan, create_topics};
use super::{Delivery, Full, Lost, Sink};
use crate::engine::report::outbox::{Kind, Outgoing, Ticket};
use crate::engine::report::record::{STATS_SCHEMA, WINDOW_SCHEMA};
use crate::error::Failure;
use crate::io::clock::Clock;
use crate::io::kafka_client::Connection;
use crate::limits::PUBLISHING_TRIES_MAX;

/// Publishes ticks to one topic and windows to another.
///
/// An exclusive one publishes in transactions: whoever claims the same job and topics later takes the right to publish
/// from it, and the brokers then refuse what it still has under way (KIP-98, *zombie fencing*). A record is delivered once
/// its transaction is committed. Each topic has transactions of its own, so that one that refuses its records does not
/// keep the other's back.
pub struct KafkaSink {
    connection: Connection,
    clock: Arc<dyn Clock>,
    /// The job for which it is exclusive, if it is to be.
    exclusive: Option<String>,
    stats: Lane,
    windows: Lane,
    /// What became of records that were under way when the claim was lost.
    lost: Vec<Delivery>,
    /// How often publishing began anew since a record was delivered.
    begun_anew: u32,
}

impl KafkaSink {
    /// Producers for two topics; with a job's name, exclusive ones for it.
    ///
    /// # Errors
    ///
    /// When the client library refuses the configuration.
    pub fn new(
        connection: &Connection,
        stats: &str,
        windows: &str,
        exclusive: Option<&str>,
        clock: &Arc<dyn Clock>,
    ) -> Result<Self, Failure> {
        Ok(Self {
            connection: connection.clone(),
            clock: Arc::clone(clock),
            exclusive: exclusive.map(str::to_owned),
            stats: Lane::new(connection, stats, STATS_SCHEMA, exclusive, clock)?,
            windows: Lane::new(connection, windows, WINDOW_SCHEMA, exclusive, clock)?,
            lost: Vec::new(),
            begun_anew: 0,
        })
    }
}

impl Sink for KafkaSink {
    fn claim(&mut self) -> Result<bool, Failure> {
        // Both are asked for every time: they wait for the same brokers.
        let (stats, windows) = (self.stats.claim()?, self.windows.claim()?);
        Ok(stats && windows)
    }

    fn take_lost(&mut self) -> Result<Option<Lost>, Failure> {
        // What another one has taken matters more than what is stuck.
        let both = [self.stats.lost(), self.windows.lost()]
            .into_iter()
            .flatten();
        let Some(how) = both.max().cloned() else {
            return Ok(None);
        };
        self.begun_anew += 1;
        if self.begun_anew > PUBLISHING_TRIES_MAX {
            return Err(gave_up(how.why()));
        }
        let begun_anew = self.begun_anew;
        let fresh = Self::new(
            &self.connection,
            &self.stats.topic,
            &self.windows.topic,
            self.exclusive.as_deref(),
            &self.clock,
        )?;
        let before = std::mem::replace(self, fresh);
        self.begun_anew = begun_anew;
        let KafkaSink {
            stats,
            windows,
            lost,
            ..
        } = before;
        self.lost = lost;
        self.lost.extend(stats.give_up(how.why()));
        self.lost.extend(windows.give_up(how.why()));
        Ok(Some(how))
    }

    fn send(&mut self, ticket: Ticket, record: &Outgoing) -> Result<Result<(), Full>, Failure> {
        let lane = match record.kind {
            Kind::Tick | Kind::LastTick => &mut self.stats,
            Kind::Provisional(_) | Kind::Final(..) | Kind::Forgotten(_) => &mut self.windows,
        };
        lane.send(ticket, record)
    }

    fn abandon(&mut self) {
        self.stats.abandon();
        self.windows.abandon();
    }

    fn deliveries(&mut self, wait: Duration) -> Result<Vec<Delivery>, Failure> {
        let mut deliveries = std::mem::take(&mut self.lost);
        self.windows.tend(wait / 2, &mut deliveries)?;
        self.stats.tend(wait / 2, &mut deliveries)?;
        if deliveries.iter().any(|told| told.result.is_ok()) {
            self.begun_anew = 0;
        }
        Ok(deliveries)
    }
}

#[cfg(test)]
mod tests;
