//! Records as lines of a stream; written is delivered.

use std::io::Write;
use std::time::Duration;

use super::{Delivery, Full, Sink};
use crate::engine::report::outbox::{Outgoing, Ticket};
use crate::error::Failure;

/// Writes each record as one line, without its key.
pub struct LineSink {
    out: Box<dyn Write + Send>,
    delivered: Vec<Delivery>,
}

impl LineSink {
    /// A sink into a stream.
    #[must_use]
    pub fn new(out: Box<dyn Write + Send>) -> Self {
        Self {
            out,
            delivered: Vec::new(),
        }
    }
}

impl Sink for LineSink {
    fn send(&mut self, ticket: Ticket, record: &Outgoing) -> Result<Result<(), Full>, Failure> {
        let write = |out: &mut dyn Write| {
            // A deletion has nothing to print; the configuration asks for none here.
            out.write_all(record.payload.as_deref().unwrap_or_default())?;
            out.write_all(b"\n")?;
            out.flush()
        };
        write(&mut self.out).map_err(|error| Failure::writing("standard output", &error))?;
        self.delivered.push(Delivery {
            ticket,
            result: Ok(()),
        });
        Ok(Ok(()))
    }

    fn abandon(&mut self) {}

    fn deliveries(&mut self, _wait: Duration) -> Result<Vec<Delivery>, Failure> {
        Ok(std::mem::take(&mut self.delivered))
    }
}
