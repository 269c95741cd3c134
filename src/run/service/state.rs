//! The state of a service: where it begins, when it is saved.

use super::super::driver::place_name;
use super::super::keep::Saves;
use super::super::keep::restore::{begin_anew, begin_at};
use super::Run;
use crate::config::{RunConfig, StateConfig};
use crate::engine::catalog::Ask;
use crate::engine::checkpoint::beginning::Beginning;
use crate::error::Failure;
use crate::io::source::kafka::Surveyed;
use crate::io::store::Store;
use crate::io::store::sqlite::{Identity, SqliteStore};
use crate::observe::failpoint::Failpoint;
use crate::observe::happenings::Resumed;
use crate::run::pipeline::Broken;

/// Opens the state of a service and goes on from it; without one everything begins anew.
pub(super) fn begin(config: &RunConfig) -> Result<(Beginning, Option<Box<dyn Store>>), Failure> {
    let Some(state) = &config.state else {
        return Ok((begin_anew(&config.counting), None));
    };
    let mut store = SqliteStore::open(&state.directory, identity(config))?;
    let beginning = begin_at(&config.counting, &mut store)?;
    Ok((beginning, Some(Box::new(store))))
}

/// What a state must agree on with the run.
fn identity(config: &RunConfig) -> Identity {
    let counting = &config.counting;
    [
        ("hash", "xxh3_64 seed 0".to_owned()),
        ("job", config.job.clone()),
        ("precision", counting.precision.bits().to_string()),
        ("timezone", counting.rules.calendar.name().to_owned()),
        ("topic", config.topics.join(",")),
    ]
    .into()
}

/// When the state is saved.
pub(super) struct Saving {
    pub(super) saves: Saves,
    interval_ms: u64,
    next_ms: u64,
    /// The offsets of the checkpoint under way: to be committed once it is written.
    offsets: Vec<i64>,
    /// The partitions that the state knows, until they are read again.
    to_resume: Vec<String>,
}

impl Saving {
    pub(super) fn new(
        state: &StateConfig,
        saves: Saves,
        to_resume: Vec<String>,
        now_ms: u64,
    ) -> Self {
        Self {
            saves,
            interval_ms: state.interval_ms,
            next_ms: now_ms + state.interval_ms,
            offsets: Vec::new(),
            to_resume,
        }
    }
}

impl Run<'_> {
    /// Whether reading goes on in all partitions that a state knows. Before that there is nothing to tell or to save, and
    /// nobody to name the partitions by.
    pub(super) fn is_resumed(&self) -> bool {
        let saving = self.saving.as_ref();
        saving.is_none_or(|saving| saving.to_resume.is_empty())
    }

    /// Whether the next barrier should save the state. A tick may take it along a little early: then its digest is in it.
    pub(super) fn save_is_due(&self, slack_ms: u64) -> bool {
        let Some(saving) = &self.saving else {
            return false;
        };
        let now_ms = self.clock.monotonic_ms();
        self.driver.admission.ledger().read > 0
            && !saving.saves.is_under_way()
            && now_ms + slack_ms >= saving.next_ms
    }

    /// Notes that a barrier saves the state.
    pub(super) fn note_save(&mut self) {
        // Where a checkpoint takes as long as the time between two, this is the only moment for the one before.
        self.commit_saved();
        let now_ms = self.clock.monotonic_ms();
        let admission = &self.driver.admission;
        let indices = 0..self.driver.partitions().len();
        let offsets = indices.map(|i| admission.next_offset(i)).collect();
        if let Some(saving) = &mut self.saving {
            saving.next_ms = now_ms + saving.interval_ms;
            saving.offsets = offsets;
        }
    }

    pub(super) fn save_if_due(&mut self) -> Result<(), Broken> {
        if !self.is_resumed() {
            return Ok(());
        }
        let is_pressing = self.saving.as_ref().is_some_and(|s| s.saves.is_pressing());
        if is_pressing || self.save_is_due(0) {
            self.note_save();
            self.driver.barrier(Ask {
                save: true,
                ..Ask::default()
            })?;
        }
        self.commit_saved();
        Ok(())
    }

    /// The offsets in the group follow the state, for lag tools.
    fn commit_saved(&mut self) {
        if let Some(saving) = &mut self.saving
            && !saving.offsets.is_empty()
            && !saving.saves.is_under_way()
        {
            Failpoint::CommitOffsets.pass();
            let offsets = std::mem::take(&mut saving.offsets);
            self.source
                .commit(|partition| offsets.get(partition).copied().unwrap_or(0));
        }
    }

    /// Goes on where the state is, once the brokers have said what there is.
    pub(super) fn resume(&mut self, partitions: &[Surveyed]) -> Result<(), Failure> {
        let Some(saving) = &self.saving else {
            return Ok(());
        };
        let places = saving.to_resume.clone();
        for place in &places {
            let topics = &self.config.topics;
            let is_it =
                |p: &&Surveyed| place_name(&topics[p.topic], &p.partition.to_string()) == *place;
            let Some(surveyed) = partitions.iter().find(is_it) else {
                return Err(Failure::State(format!(
                    "the state knows partition {place}, which is not there any more: the topic was made anew; name another directory with --state to count it from its beginning"
                )));
            };
            self.resume_at(surveyed)?;
        }
        if let Some(saving) = &mut self.saving {
            saving.to_resume.clear();
        }
        if !places.is_empty() {
            let lag = self.lag(partitions);
            Resumed {
                partitions: places.len(),
                lag,
            }
            .emit();
        }
        Ok(())
    }

    fn resume_at(&mut self, surveyed: &Surveyed) -> Result<(), Failure> {
        let Surveyed {
            topic,
            partition,
            high,
            ..
        } = *surveyed;
        let next = self
            .driver
            .admission
            .next_offset(self.driver.partitions().len());
        let end = self.end_of(surveyed, next)?;
        // Behind the end there are other frames than were counted: it was made anew or cut off, and goes on elsewhere.
        let unread = next < end.unwrap_or(high) || next > high;
        let (name, place) = self.names_of(topic, partition);
        let index = self.source.follow(topic, partition, next, end)?;
        let same = self.driver.resume_partition(name, place, unread);
        assert_eq!(index, same, "source and admission number partitions alike");
        // It is perhaps not there any more.
        let mut offsets_then = vec![0; index];
        offsets_then.push(next);
        self.go_on(surveyed, &offsets_then, None)?;
        let next = self.driver.admission.next_offset(index);
        // One that is shorter than it was read was not read to its end: a later survey knows more of it.
        if next <= high && end.is_some_and(|end| next >= end) {
            self.source.finish(index);
            self.driver.leave(index);
        }
        Ok(())
    }
}
