//! Standard output as a sink that never blocks: a pipe whose reader has stopped reading must not stop the service.

use std::io::Write;
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, TryRecvError, TrySendError, bounded};

use super::pipeline::spawn;
use crate::engine::report::outbox::{Outgoing, Ticket};
use crate::error::Failure;
use crate::io::sink::lines::LineSink;
use crate::io::sink::{Delivery, Full, Sink};
use crate::limits::IN_FLIGHT_RECORDS_MAX;

/// Hands records to a thread that writes them.
pub(super) struct StdoutSink {
    records: Sender<(Ticket, Outgoing)>,
    written: Receiver<Result<Delivery, Failure>>,
}

impl StdoutSink {
    pub(super) fn start(out: Box<dyn Write + Send>) -> Result<Self, Failure> {
        let (records, to_write) = bounded::<(Ticket, Outgoing)>(IN_FLIGHT_RECORDS_MAX);
        // As many answers as records: the writer never waits for this thread.
        let (report, written) = bounded(2 * IN_FLIGHT_RECORDS_MAX);
        // Not joined: a write into a full pipe may outlast the run.
        drop(spawn("stdout".to_owned(), move || {
            let mut sink = LineSink::new(out);
            for (ticket, record) in to_write {
                let failed = sink.send(ticket, &record).err();
                for delivery in sink.deliveries(Duration::ZERO).unwrap_or_default() {
                    if report.send(Ok(delivery)).is_err() {
                        return;
                    }
                }
                if let Some(failure) = failed {
                    // The reader of this channel may have left too; then nobody asks.
                    let _ = report.send(Err(failure));
                    return;
                }
            }
        })?);
        Ok(Self { records, written })
    }
}

impl Sink for StdoutSink {
    fn send(&mut self, ticket: Ticket, record: &Outgoing) -> Result<Result<(), Full>, Failure> {
        match self.records.try_send((ticket, record.clone())) {
            Ok(()) => Ok(Ok(())),
            // Why the writer has ended is told with the deliveries.
            Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => Ok(Err(Full)),
        }
    }

    fn abandon(&mut self) {}

    fn deliveries(&mut self, wait: Duration) -> Result<Vec<Delivery>, Failure> {
        let mut deliveries = Vec::new();
        if !wait.is_zero()
            && let Ok(first) = self.written.recv_timeout(wait)
        {
            deliveries.push(first?);
        }
        loop {
            match self.written.try_recv() {
                Ok(delivery) => deliveries.push(delivery?),
                Err(TryRecvError::Empty | TryRecvError::Disconnected) => return Ok(deliveries),
            }
        }
    }
}
