//! The consumer thread's inner loop: decode, admit, send on its way; barriers where they are due.

use std::sync::Arc;

use super::pipeline::{Broken, Pipeline};
use super::reporter::Intake;
use super::set_aside::SetAside;
use crate::engine::admit::{Admission, Admitted, Arrival, PartitionIndex, Settled};
use crate::engine::catalog::Ask;
use crate::engine::clock::Quarantine;
use crate::engine::decode::{Decoder, Fields};
use crate::engine::frame::Verdict;
use crate::limits::FRAMES_PER_ROUND;
use crate::observe::happenings::UnitMistaken;

/// Decodes and admits frames for a pipeline.
pub struct Driver {
    decoder: Decoder,
    /// Clocks, watermark, ledger.
    pub admission: Admission,
    pipeline: Pipeline,
    partitions: Arc<[String]>,
    /// What the next barrier tells of the reading.
    pub intake: Intake,
    gate: Box<dyn FnMut()>,
    /// Where frames go that are not counted.
    pub aside: SetAside,
    /// Where quarantined frames were and why, for the log; what is more than a round's worth is only counted.
    quarantined: Vec<(PartitionIndex, i64, Quarantine)>,
    /// Of one call, kept for its memory.
    settled: Vec<Settled>,
}

impl Driver {
    /// A driver without partitions. Where a barrier takes several rounds, `gate` is called before each further one: it
    /// may wait until the output has caught up.
    #[must_use]
    pub fn new(
        fields: Fields,
        admission: Admission,
        pipeline: Pipeline,
        gate: Box<dyn FnMut()>,
        aside: SetAside,
    ) -> Self {
        Self {
            decoder: Decoder::new(fields),
            admission,
            pipeline,
            partitions: Arc::new([]),
            intake: Intake::default(),
            gate,
            aside,
            quarantined: Vec::new(),
            settled: Vec::new(),
        }
    }

    /// Adds a partition under the name that records list it by; `topic` is empty for files, and `number` what a
    /// partition is called in its topic.
    pub fn add_partition(
        &mut self,
        name: String,
        (topic, number): (String, String),
        start_offset: i64,
        unread: bool,
    ) -> PartitionIndex {
        self.aside.add_partition(topic, number);
        let names = self.partitions.iter().cloned().chain([name]);
        self.partitions = names.collect();
        self.admission.add_partition(start_offset, unread)
    }

    /// The partitions' names, by index.
    #[must_use]
    pub fn partitions(&self) -> &[String] {
        &self.partitions
    }

    /// Takes one frame; returns its verdict and what became of it at once.
    ///
    /// # Errors
    ///
    /// When the pipeline is broken.
    pub fn frame(
        &mut self,
        arrival: Arrival,
        payload: Option<&[u8]>,
    ) -> Result<(Verdict, Admitted), Broken> {
        self.intake.read_bytes += payload.map_or(0, <[u8]>::len) as u64;
        let verdict = self.decoder.decode(payload);
        let admitted = self.admission.admit(arrival, verdict);
        if !matches!(admitted, Admitted::Counted(_)) {
            let clock = self.admission.clock(arrival.partition);
            self.aside.note(arrival, payload, verdict, admitted, clock);
        }
        if let Admitted::Quarantined(reason) = admitted {
            self.note_quarantined(arrival.partition, arrival.offset, reason);
        }
        // After that: what was settled may be this very frame.
        if self.admission.has_settled() {
            self.settle()?;
        }
        if let Admitted::Counted(sighting) = admitted {
            self.pipeline.record(sighting)?;
        }
        if self.admission.housekeeping_is_due() {
            self.barrier(Ask::default())?;
        }
        Ok((verdict, admitted))
    }

    /// Takes note that a partition will deliver nothing more.
    ///
    /// # Errors
    ///
    /// When the pipeline is broken.
    pub fn finish(&mut self, partition: PartitionIndex) -> Result<(), Broken> {
        self.admission.finish(partition);
        self.settle()
    }

    fn settle(&mut self) -> Result<(), Broken> {
        let mut settled = std::mem::take(&mut self.settled);
        settled.extend(self.admission.take_settled());
        for settled in settled.drain(..) {
            match settled.outcome {
                Ok(sighting) => self.pipeline.record(sighting)?,
                Err(reason) => self.note_quarantined(settled.partition, settled.offset, reason),
            }
            self.aside.settle(&settled);
        }
        self.settled = settled;
        Ok(())
    }

    fn note_quarantined(&mut self, partition: PartitionIndex, offset: i64, reason: Quarantine) {
        if self.quarantined.len() < FRAMES_PER_ROUND {
            self.quarantined.push((partition, offset, reason));
        }
    }

    /// Where frames were that have been quarantined since the last call, and why.
    pub fn take_quarantined(&mut self) -> Vec<(PartitionIndex, i64, Quarantine)> {
        std::mem::take(&mut self.quarantined)
    }

    /// What the log should say about the unit of the event times: once, when enough of them have come, or with `at_end`
    /// any.
    pub fn unit_mistaken(&mut self, at_end: bool) -> Option<UnitMistaken> {
        self.decoder.take_wrong_unit(at_end).map(UnitMistaken)
    }

    /// Raises a barrier, and as many more as it takes to put out all that is due.
    ///
    /// # Errors
    ///
    /// When the pipeline is broken.
    pub fn barrier(&mut self, mut ask: Ask) -> Result<(), Broken> {
        loop {
            let barrier = self.admission.barrier(ask);
            let more = barrier.more;
            self.pipeline
                .barrier(barrier, &self.partitions, self.intake)?;
            if !more {
                return Ok(());
            }
            ask.trailing = false;
            (self.gate)();
        }
    }

    /// Gives the pipeline back, to be finished.
    #[must_use]
    pub fn into_pipeline(self) -> Pipeline {
        self.pipeline
    }
}
