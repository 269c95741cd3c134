//! The consumer thread's inner loop: decode, admit, send on its way; barriers where they are due.

use std::sync::Arc;

use super::keep::Saves;
use super::pipeline::{Broken, Pipeline};
use super::reporter::Intake;
use super::set_aside::SetAside;
use crate::engine::admit::{Admission, Admitted, Arrival, PartitionIndex, Settled};
use crate::engine::catalog::Ask;
use crate::engine::clock::Quarantine;
use crate::engine::decode::{Decoder, Fields};
use crate::engine::frame::Verdict;
use crate::limits::{FRAMES_PER_ROUND, LAST_SAVE_WAIT_MS, SAVE_WAIT_MS};
use crate::observe::happenings::UnitMistaken;

/// Decodes and admits frames for a pipeline.
pub struct Driver {
    decoder: Decoder,
    /// Clocks, watermark, ledger.
    pub admission: Admission,
    pipeline: Pipeline,
    partitions: Arc<[String]>,
    places: Arc<[String]>,
    saves: Option<Saves>,
    /// Whether what waits at the end of a partition goes on waiting.
    leaves_waiting: bool,
    /// The admission as it was when the input ended.
    before_end: Option<Box<Admission>>,
    /// Whether the input has ended.
    is_ending: bool,
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
            places: Arc::new([]),
            saves: None,
            leaves_waiting: false,
            before_end: None,
            is_ending: false,
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
        self.name_partition(name, (topic, number));
        self.admission.add_partition(start_offset, unread)
    }

    /// Goes on in the next of the partitions that were restored.
    pub(super) fn resume_partition(
        &mut self,
        name: String,
        place: (String, String),
        unread: bool,
    ) -> PartitionIndex {
        let index = self.partitions.len();
        self.name_partition(name, place);
        self.admission.resume(index, unread);
        index
    }

    /// From now on what waits at the end of a partition goes on waiting.
    pub(super) fn leave_waiting(&mut self) {
        self.leaves_waiting = true;
    }

    fn name_partition(&mut self, name: String, (topic, number): (String, String)) {
        let places = self.places.iter().cloned();
        self.places = places.chain([place_name(&topic, &number)]).collect();
        self.aside.add_partition(topic, number);
        let names = self.partitions.iter().cloned().chain([name]);
        self.partitions = names.collect();
    }

    /// From now on the state is saved when a barrier asks for it, or so many finals wait that it must be.
    pub(super) fn keep(&mut self, saves: Saves) {
        self.leave_waiting();
        self.saves = Some(saves);
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
        let verdict = self.decoder.decode(payload);
        let bytes = payload.map_or(0, <[u8]>::len);
        self.take(arrival, verdict, bytes, payload)
            .map(|admitted| (verdict, admitted))
    }

    /// Takes one frame of so many bytes that is decoded already; `payload` is needed only where [`SetAside::keeps`] says
    /// so. Returns what became of it at once.
    ///
    /// # Errors
    ///
    /// When the pipeline is broken.
    pub fn take(
        &mut self,
        arrival: Arrival,
        verdict: Verdict,
        bytes: usize,
        payload: Option<&[u8]>,
    ) -> Result<Admitted, Broken> {
        self.intake.read_bytes += bytes as u64;
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
        // At the end nothing is saved but words: the shards know more than the state may.
        if !self.is_ending && self.admission.housekeeping_is_due() {
            self.barrier(Ask::default())?;
        }
        Ok(admitted)
    }

    /// Takes note that a partition will deliver nothing more.
    ///
    /// # Errors
    ///
    /// When the pipeline is broken.
    pub fn finish(&mut self, partition: PartitionIndex) -> Result<(), Broken> {
        if self.leaves_waiting {
            // The next run may know more.
            self.admission.close(partition);
        } else {
            self.admission.finish(partition);
        }
        self.settle()
    }

    /// Closes every window, because the input has ended. Frames that wait are settled for the records alone: the state is
    /// that of before, but for what it says of records.
    ///
    /// # Errors
    ///
    /// When the pipeline is broken.
    pub(super) fn end(&mut self) -> Result<(), Broken> {
        self.end_after(&mut |_| Ok(()))
    }

    /// As [`Self::end`]; frames that `rest` hands over are counted for the records alone too.
    ///
    /// # Errors
    ///
    /// When the pipeline is broken.
    pub(super) fn end_after(
        &mut self,
        rest: &mut dyn FnMut(&mut Self) -> Result<(), Broken>,
    ) -> Result<(), Broken> {
        if self.saves.is_some() {
            self.is_ending = true;
            let is_saved = self.raise(Ask {
                save: true,
                ..Ask::default()
            })?;
            if is_saved {
                self.before_end = Some(Box::new(self.admission.clone()));
            } else {
                // The shards are about to know more than the state may: nothing of it can be saved any more.
                self.saves = None;
            }
            rest(self)?;
            for partition in 0..self.partitions.len() {
                self.admission.finish(partition);
                self.settle()?;
            }
        }
        self.barrier(Ask {
            end: true,
            ..Ask::default()
        })
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
    pub fn barrier(&mut self, ask: Ask) -> Result<(), Broken> {
        self.raise(ask).map(drop)
    }

    /// Raises a barrier; returns whether the state is saved at it.
    fn raise(&mut self, mut ask: Ask) -> Result<bool, Broken> {
        // At the end there is no later one to make up for it.
        let wait_ms = if self.is_ending {
            LAST_SAVE_WAIT_MS
        } else {
            SAVE_WAIT_MS
        };
        let mut is_saved = false;
        loop {
            let is_pressing = self.saves.as_ref().is_some_and(Saves::is_pressing);
            ask.save |= is_pressing || self.before_end.is_some();
            ask.save = ask.save && self.saves.as_ref().is_some_and(|s| s.begin(wait_ms));
            is_saved |= ask.save;
            let mut barrier = self.admission.barrier(ask);
            if let Some(before) = self.before_end.as_mut().filter(|_| ask.save) {
                barrier.saved = Some(Box::new(before.save_words(&self.admission)));
            }
            let more = barrier.more;
            self.pipeline
                .barrier(barrier, &self.partitions, &self.places, self.intake)?;
            if !more {
                return Ok(is_saved);
            }
            (ask.trailing, ask.save) = (false, false);
            (self.gate)();
        }
    }

    /// Gives the pipeline back, to be finished.
    #[must_use]
    pub fn into_pipeline(self) -> Pipeline {
        self.pipeline
    }
}

/// A partition's name in the state; a file's is its own.
pub(super) fn place_name(topic: &str, number: &str) -> String {
    if topic.is_empty() {
        return number.to_owned();
    }
    format!("{topic}/{number}")
}
