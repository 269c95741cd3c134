//! The consumer thread's inner loop: decode, admit, send on its way; barriers where they are due.

use std::sync::Arc;

use super::keep::Saves;
use super::pipeline::{Broken, Pipeline};
use super::reporter::Intake;
use super::set_aside::SetAside;
use super::web::slip::{FromAdmission, Part, ShardSlip, Slip};
use crate::engine::admit::{Admission, Admitted, Arrival, PartitionIndex, Settled};
use crate::engine::catalog::Ask;
use crate::engine::clock::Quarantine;
use crate::engine::frame::Verdict;
use crate::limits::{FRAMES_PER_ROUND, LAST_SAVE_WAIT_MS, SAVE_WAIT_MS};
use crate::observe::happenings::TooOld;

/// Admits frames for a pipeline.
pub struct Driver {
    /// Clocks, watermark, ledger.
    pub admission: Admission,
    pipeline: Pipeline,
    partitions: Names,
    places: Names,
    saves: Option<Saves>,
    at_its_end: AtItsEnd,
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

/// What becomes of a partition that will deliver nothing more in this run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum AtItsEnd {
    /// What waits to be confirmed is settled.
    Settles,
    /// It goes on waiting.
    LeavesWaiting,
    /// So does all else: the run is to be as one that is under way.
    StopsShort,
}

/// Names that only grow in number, as they are told to other threads.
#[derive(Default)]
struct Names {
    all: Vec<String>,
    told: Arc<[String]>,
}

impl Names {
    fn told(&mut self) -> &Arc<[String]> {
        if self.told.len() < self.all.len() {
            self.told = self.all.as_slice().into();
        }
        &self.told
    }
}

impl Driver {
    /// A driver without partitions. Where a barrier takes several rounds, `gate` is called before each further one: it
    /// may wait until the output has caught up.
    #[must_use]
    pub fn new(
        admission: Admission,
        pipeline: Pipeline,
        gate: Box<dyn FnMut()>,
        aside: SetAside,
    ) -> Self {
        Self {
            admission,
            pipeline,
            partitions: Names::default(),
            places: Names::default(),
            saves: None,
            at_its_end: AtItsEnd::Settles,
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
        let index = self.partitions.all.len();
        self.name_partition(name, place);
        self.admission.resume(index, unread);
        index
    }

    /// From now on a partition at its end is as one that goes on: nothing is closed or settled because of it.
    pub(super) fn stop_short(&mut self) {
        self.at_its_end = AtItsEnd::StopsShort;
    }

    fn name_partition(&mut self, name: String, (topic, number): (String, String)) {
        self.places.all.push(place_name(&topic, &number));
        self.aside.add_partition(topic, number);
        self.partitions.all.push(name);
    }

    /// From now on the state is saved when a barrier asks for it, or so many finals wait that it must be.
    pub(super) fn keep(&mut self, saves: Saves) {
        if self.at_its_end == AtItsEnd::Settles {
            self.at_its_end = AtItsEnd::LeavesWaiting;
        }
        self.saves = Some(saves);
    }

    /// The partitions' names, by index.
    #[must_use]
    pub fn partitions(&self) -> &[String] {
        &self.partitions.all
    }

    /// Takes one decoded frame; returns what became of it at once. The payload must be there where
    /// frames like it are put aside.
    ///
    /// # Errors
    ///
    /// When the pipeline is broken.
    pub fn admit(
        &mut self,
        arrival: Arrival,
        payload: Option<&[u8]>,
        verdict: Verdict,
    ) -> Result<Admitted, Broken> {
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
        self.leave(partition);
        self.settle()
    }

    /// The same of a partition of which nothing was read in this run, so that nothing is settled.
    pub(super) fn leave(&mut self, partition: PartitionIndex) {
        match self.at_its_end {
            AtItsEnd::Settles => self.admission.finish(partition),
            // The next run may know more.
            AtItsEnd::LeavesWaiting => self.admission.close(partition),
            // There is more of it, which the watermark goes on waiting for.
            AtItsEnd::StopsShort => {}
        }
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
                self.before_end = Some(Box::new(self.admission.split_at_end()));
            } else {
                // The shards are about to know more than the state may: nothing of it can be saved any more.
                self.saves.take().iter().for_each(Saves::give_up);
            }
            rest(self)?;
            for partition in 0..self.partitions.all.len() {
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

    /// Says which periods lack frames, since these came after the windows were forgotten.
    pub(super) fn tell_too_old(&self) {
        for (period, frames) in self.admission.ledger().expired() {
            let period = period.name();
            TooOld { period, frames }.emit();
        }
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
            let begin = |s: &Saves| s.begin(wait_ms);
            ask.save = ask.save && self.aside.keep_all() && self.saves.as_ref().is_some_and(begin);
            is_saved |= ask.save;
            let mut barrier = self.admission.barrier(ask);
            if let Some(before) = self.before_end.as_mut().filter(|_| ask.save) {
                barrier.saved = Some(Box::new(before.save_words(&mut self.admission)));
            }
            let more = barrier.more;
            self.pipeline.barrier(
                barrier,
                self.partitions.told(),
                self.places.told(),
                self.intake,
            )?;
            if !more {
                return Ok(is_saved);
            }
            (ask.trailing, ask.save) = (false, false);
            (self.gate)();
        }
    }

    /// Answers a question from outside, with the help of the shards where they are needed.
    ///
    /// # Errors
    ///
    /// When the pipeline is broken.
    pub(super) fn look(&mut self, slip: Slip) -> Result<(), Broken> {
        let known = self.admission.look(&slip.select);
        let look = Arc::new(known.look.clone());
        let shards = if look.is_empty() {
            0
        } else {
            self.pipeline.shards()
        };
        let first = FromAdmission {
            known,
            names: Arc::clone(self.partitions.told()),
            shards,
        };
        let reply = slip.reply;
        if reply.try_send(Part::Known(Box::new(first))).is_err() || shards == 0 {
            // Whoever asked has left, or knows all there is.
            return Ok(());
        }
        self.pipeline.look(&ShardSlip { look, reply })
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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use crossbeam_channel::{Sender, unbounded};

    use super::super::reporter::{Publisher, Report};
    use super::*;
    use crate::engine::admit::Rules;
    use crate::engine::barrier::Answer;
    use crate::engine::calendar::{Calendar, Period};
    use crate::engine::catalog::Emission;
    use crate::engine::clock::ClockRules;
    use crate::engine::frame::UserHash;
    use crate::engine::shard::Shard;
    use crate::engine::sketch::Precision;
    use crate::error::Failure;

    /// A disk that is done with a checkpoint only after somebody has asked for it a few times.
    struct Slow {
        saves: Saves,
        asked: usize,
        /// For each barrier that saves, whether the shards were asked for their sketches.
        saved: Sender<bool>,
    }

    impl Publisher for Slow {
        fn publish(&mut self, report: Report, answer: Answer) -> Result<(), Failure> {
            if report.saved.is_some() {
                self.saved.send(answer.saved.is_some()).expect("a listener");
            }
            self.saves.end();
            Ok(())
        }

        fn tend(&mut self) -> Result<(), Failure> {
            self.asked += 1;
            if self.asked > 5 {
                self.saves.end();
            }
            Ok(())
        }

        fn patience(&self) -> Duration {
            Duration::from_millis(5)
        }

        fn finish(&mut self, _deadline_ms: u64) -> Result<(), Failure> {
            Ok(())
        }
    }

    fn rules() -> Rules {
        Rules {
            calendar: Calendar::utc(),
            clock: ClockRules {
                lateness_s: 5,
                max_lateness_s: u32::MAX,
                max_jump_s: 60,
            },
            retention_s: [1 << 40; Period::ALL.len()],
            emission: Emission::Live,
            periods: Period::all_bits(),
        }
    }

    fn driver(admission: Admission, publisher: Box<dyn Publisher>) -> Driver {
        let precision = Precision::default();
        let shard = Shard::new(precision, 0..256, Calendar::utc());
        let pipeline = Pipeline::start(precision, vec![shard], publisher).expect("threads");
        let (gate, aside) = (Box::new(|| ()), SetAside::new(None, None));
        Driver::new(admission, pipeline, gate, aside)
    }

    /// Else the state would have counted frames whose users are in no sketch of it.
    #[test]
    fn the_sketches_are_saved_before_what_waits_is_settled_however_slow_the_disk_is() {
        let mut admission = Admission::new(rules());
        admission.keep_unsaved();
        let (saves, (to, saved)) = (Saves::default(), unbounded());
        let slow = Slow {
            saves: saves.clone(),
            asked: 0,
            saved: to,
        };
        let mut driver = driver(admission, Box::new(slow));
        driver.keep(saves.clone());
        assert!(saves.begin(0), "one checkpoint is under way");
        assert_eq!(driver.end(), Ok(()));
        driver.into_pipeline().finish(0).expect("a good end");
        let saved: Vec<bool> = saved.try_iter().collect();
        assert_eq!(
            saved,
            [true, false],
            "first all of it, then the words alone"
        );
    }

    /// Else `--until` would close windows whose other frames are behind where it stops.
    #[test]
    fn where_a_run_stops_short_the_watermark_waits_for_what_it_leaves() {
        for stops_short in [false, true] {
            let (to, _saved) = unbounded();
            let slow = Slow {
                saves: Saves::default(),
                asked: 0,
                saved: to,
            };
            let mut driver = driver(Admission::new(rules()), Box::new(slow));
            if stops_short {
                driver.stop_short();
            }
            for name in ["0", "1"] {
                driver.add_partition(name.to_owned(), ("t".to_owned(), name.to_owned()), 0, true);
            }
            let noon = 1_774_612_800;
            let feed = |driver: &mut Driver, partition, ts| {
                let arrival = Arrival {
                    partition,
                    offset: driver.admission.next_offset(partition),
                    appended: None,
                };
                let verdict = Verdict::Seen(UserHash::of(b"u"), ts);
                driver.admit(arrival, None, verdict).expect("a pipeline");
            };
            for second in 0..20 {
                feed(&mut driver, 0, noon + second);
                feed(&mut driver, 1, noon + second);
            }
            let watermark = driver.admission.watermark();
            driver.finish(0).expect("a pipeline");
            for second in 20..1_000 {
                feed(&mut driver, 1, noon + second);
            }
            let moved = driver.admission.watermark() > watermark;
            assert_eq!(moved, !stops_short);
            driver.into_pipeline().finish(0).expect("a good end");
        }
    }
}
