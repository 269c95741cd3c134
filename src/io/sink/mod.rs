//! Where a service's records go.

pub mod kafka;
pub mod lines;

use std::time::Duration;

use crate::engine::report::outbox::{Outgoing, Ticket};
use crate::error::Failure;

/// The output takes no more for the moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Full;

/// What became of a record that was handed over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivery {
    /// Which handing-over.
    pub ticket: Ticket,
    /// Whether the output has it for good; otherwise why not.
    pub result: Result<(), String>,
}

/// How the right to publish was lost, in a few words.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Lost {
    /// What was under way has come to no end; nobody else need be the cause.
    Stuck(String),
    /// Another instance has it now, or the brokers took this one for gone.
    Taken(String),
}

impl Lost {
    /// Why.
    #[must_use]
    pub fn why(&self) -> &str {
        match self {
            Lost::Stuck(why) | Lost::Taken(why) => why,
        }
    }
}

/// An output of keyed records that confirms what it has. A sink of a service never blocks.
pub trait Sink: Send {
    /// Takes the right to publish from whoever has it, where there can be only one; false while that is under way. What is
    /// sent before is refused as [`Full`].
    ///
    /// # Errors
    ///
    /// When it will never be granted.
    fn claim(&mut self) -> Result<bool, Failure> {
        Ok(true)
    }

    /// Whether, and how, the right to publish was lost since the last call. What was under way is answered for
    /// by [`Self::deliveries`]; then it can be claimed anew.
    ///
    /// # Errors
    ///
    /// When it cannot be claimed again.
    fn take_lost(&mut self) -> Result<Option<Lost>, Failure> {
        Ok(None)
    }

    /// Hands a record over. Every accepted ticket is answered once by [`Self::deliveries`].
    ///
    /// # Errors
    ///
    /// `Ok(Err(Full))` when it should be tried again later; a [`Failure`] when nothing will ever be taken again.
    fn send(&mut self, ticket: Ticket, record: &Outgoing) -> Result<Result<(), Full>, Failure>;

    /// Gives up what was handed over and not yet delivered, so that closing does not wait for it.
    fn abandon(&mut self);

    /// Waits up to `wait` for news of records that were handed over.
    ///
    /// # Errors
    ///
    /// When nothing will ever be taken again.
    fn deliveries(&mut self, wait: Duration) -> Result<Vec<Delivery>, Failure>;
}
