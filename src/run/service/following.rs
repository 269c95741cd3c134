//! What the brokers say of the partitions: which there are, what is gone from them, what is left to read, and whether
//! they are idle.

use std::time::Duration;

use super::super::scout::{Unreached, WhenAsked};
use super::super::skew::Standing;
use super::Run;
use crate::error::Failure;
use crate::io::source::kafka::{LostPlace, Surveyed};
use crate::limits::{NAMELESS_MAX_MS, POLL_MAX_MS, STANDSTILL_MS, SURVEY_MAX_MS, SURVEY_MIN_MS};
use crate::observe::happenings::{Gap, ReachedAgain, Reading};

/// A partition that appears later is read from its beginning, wherever the others were started: all of it is new.
fn start_of(surveyed: &Surveyed, is_first: bool) -> i64 {
    if is_first {
        surveyed.start
    } else {
        surveyed.low
    }
}

impl Run<'_> {
    pub(super) fn survey(&mut self) -> Result<(), Failure> {
        let now_ms = self.clock.monotonic_ms();
        self.notice_standstill(now_ms);
        if now_ms >= self.next_survey_ms {
            self.surveyed_ms = now_ms;
            let every_ms = self.config.every_ms.clamp(SURVEY_MIN_MS, SURVEY_MAX_MS);
            self.next_survey_ms = now_ms + every_ms;
            let admission = &self.driver.admission;
            let indices = 0..self.driver.partitions().len();
            let offsets = indices.map(|i| admission.next_offset(i));
            let wants_ids = self.source.has_lost_place();
            self.scout.ask(wants_ids, offsets, now_ms);
        }
        // Before the first answer there is nothing to read.
        let wait_ms = if self.reads_nothing() { POLL_MAX_MS } else { 0 };
        match self.scout.take(Duration::from_millis(wait_ms)) {
            None => Ok(()),
            // Waiting does not change a wrong password; but where it was right once, it may be again.
            Some((Err(Unreached::Refused { why, ever: false }), _)) => Err(Failure::Refused(why)),
            Some((Err(Unreached::Refused { why, ever: true }), _)) => {
                self.driver.intake.lag = None;
                // Said even if nothing more than silence was noticed before.
                if !std::mem::replace(&mut self.is_refused, true) {
                    self.unreachable = None;
                }
                self.lose_touch(&why);
                Ok(())
            }
            Some((Err(Unreached::Away(why)), _)) => {
                self.driver.intake.lag = None;
                self.lose_touch(&why);
                Ok(())
            }
            Some((Ok(partitions), asked)) => {
                self.is_refused = false;
                if self.unreachable.take().is_some() {
                    ReachedAgain.emit();
                    // What the brokers had to say meanwhile is heard only now.
                    self.quiet.lose_touch(now_ms);
                }
                self.look_for_quiet(&partitions, &asked);
                self.take_in(&partitions, &asked.offsets)?;
                self.driver.intake.lag = Some(self.lag(&partitions));
                self.note_lags(&partitions);
                Ok(())
            }
        }
    }

    /// Whether it is not known yet what there is to read.
    pub(super) fn reads_nothing(&self) -> bool {
        self.driver.partitions().is_empty()
    }

    /// While this process was frozen, or waited for something else, nobody listened: that silence was not the users'.
    pub(super) fn notice_standstill(&mut self, now_ms: u64) {
        let since_ms = std::mem::replace(&mut self.awake_ms, now_ms);
        if now_ms - since_ms > STANDSTILL_MS {
            self.quiet.lose_touch(now_ms);
            self.driver.admission.wake_all();
        }
    }

    /// Tells the admission of partitions that have had nothing to read for a while. With an end in sight there is no
    /// need: partitions are finished then.
    fn look_for_quiet(&mut self, partitions: &[Surveyed], asked: &WhenAsked) {
        for surveyed in partitions {
            let index = self.source.index(surveyed.topic, surveyed.partition);
            let known = index.and_then(|index| Some((index, *asked.offsets.get(index)?)));
            let Some((index, next_offset)) = known else {
                continue;
            };
            let is_idle = self
                .quiet
                .survey(index, surveyed.high, next_offset, asked.at_ms);
            if is_idle && !self.config.exit_at_end {
                self.driver.admission.rest(index);
            }
        }
    }

    /// Lets those partitions wait that are too far ahead of the slowest, and the others go on.
    pub(super) fn keep_together(&mut self, now_ms: u64) -> Result<(), Failure> {
        let admission = &self.driver.admission;
        let indices = 0..self.driver.partitions().len();
        self.standings.clear();
        self.standings.extend(indices.map(|i| Standing {
            clock: admission.clock(i),
            unread: admission.is_unread(i) || self.quiet.lags(i),
            silent_ms: now_ms.saturating_sub(self.quiet.last_frame_ms(i)),
        }));
        let first_clock = admission.first_clock();
        for (index, waits) in self.skew.decide(&self.standings, first_clock) {
            self.source.hold(index, waits)?;
        }
        Ok(())
    }

    /// Frames that the brokers have and that are not read yet.
    pub(super) fn lag(&self, partitions: &[Surveyed]) -> u64 {
        let each = partitions.iter().filter_map(|surveyed| {
            let index = self.source.index(surveyed.topic, surveyed.partition)?;
            // Nothing read since the start: then it is where reading begins.
            let next_offset = self.driver.admission.next_offset(index);
            let position = surveyed.position.unwrap_or(next_offset);
            Some((surveyed.high - position).max(0) as u64)
        });
        each.sum()
    }

    fn take_in(
        &mut self,
        partitions: &[Surveyed],
        offsets_when_asked: &[i64],
    ) -> Result<(), Failure> {
        self.resume(partitions)?;
        let (new, known): (Vec<_>, Vec<_>) = partitions
            .iter()
            .partition(|p| self.source.index(p.topic, p.partition).is_none());
        for surveyed in known {
            let index = self.source.index(surveyed.topic, surveyed.partition);
            let lost = index.and_then(|index| self.source.take_lost_place(index));
            self.go_on(surveyed, offsets_when_asked, lost)?;
        }
        if !std::mem::take(&mut self.is_one_nameless) {
            self.nameless_since_ms = None;
        }
        // Those that a state knows are not new, and what it does not know appeared since.
        let is_first = self.driver.partitions().is_empty();
        if new.is_empty() || (self.config.exit_at_end && !is_first) {
            // With an end, that was fixed at the start, before these partitions were there.
            return Ok(());
        }
        self.progress_ms = self.clock.monotonic_ms();
        self.reading_since_ms.get_or_insert(self.progress_ms);
        for surveyed in &new {
            self.follow(surveyed, is_first)?;
        }
        self.check_until(partitions)?;
        for (topic, name) in self.config.topics.iter().enumerate() {
            let of_topic: Vec<_> = new.iter().filter(|p| p.topic == topic).collect();
            if !of_topic.is_empty() {
                let partitions = of_topic.len();
                let backlog = of_topic
                    .iter()
                    .map(|p| p.high - start_of(p, is_first))
                    .sum();
                Reading {
                    topic: name,
                    partitions,
                    backlog,
                }
                .emit();
            }
        }
        Ok(())
    }

    fn follow(&mut self, surveyed: &Surveyed, is_first: bool) -> Result<(), Failure> {
        let Surveyed {
            topic,
            partition,
            high,
            ..
        } = *surveyed;
        let start = start_of(surveyed, is_first);
        let end = self.end_of(surveyed, start)?;
        let (name, place) = self.names_of(topic, partition);
        let unread = start < high;
        let index = self.source.follow(topic, partition, start, end)?;
        let same = self.driver.add_partition(name, place, start, unread);
        assert_eq!(index, same, "source and admission number partitions alike");
        if let Some(id) = surveyed.topic_id {
            self.driver.admission.set_origin(index, id);
        }
        if end.is_some_and(|end| start >= end) {
            self.source.finish(index);
            self.driver.leave(index);
        }
        Ok(())
    }

    /// Where a run with an end stops in a partition; `start` is where it begins there.
    pub(super) fn end_of(&self, surveyed: &Surveyed, start: i64) -> Result<Option<i64>, Failure> {
        let Surveyed {
            topic,
            partition,
            high,
            ..
        } = *surveyed;
        let Some(until) = &self.config.until else {
            return Ok(self.config.exit_at_end.then_some(high));
        };
        let end = until.get(&(topic, partition)).copied().unwrap_or(start);
        if end < start {
            return Err(Failure::Unavailable(format!(
                "--until wants partition {partition} of '{}' up to offset {end}, and it is read from {start} on: what lies \
                 before it is gone, or counted in the state already",
                self.config.topics[topic]
            )));
        }
        if end > high {
            return Err(Failure::Unavailable(format!(
                "--until wants partition {partition} of '{}' up to offset {end}, and it ends at {high}",
                self.config.topics[topic]
            )));
        }
        Ok(Some(end))
    }

    /// A partition that `--until` names has to be there.
    fn check_until(&self, partitions: &[Surveyed]) -> Result<(), Failure> {
        for (topic, partition) in self.config.until.iter().flat_map(|until| until.keys()) {
            let is_it = |p: &Surveyed| (p.topic, p.partition) == (*topic, *partition);
            if !partitions.iter().any(is_it) {
                let there = partitions.iter().filter(|p| p.topic == *topic).count();
                return Err(Failure::Unavailable(format!(
                    "--until names partition {partition} of '{}', which has {there}",
                    self.config.topics[*topic]
                )));
            }
        }
        Ok(())
    }

    /// The name of a partition in records, and its topic and number.
    pub(super) fn names_of(&mut self, topic: usize, partition: i32) -> (String, (String, String)) {
        let name = if self.config.topics.len() == 1 {
            partition.to_string()
        } else {
            format!("{}:{partition}", self.config.topics[topic])
        };
        let place = (self.config.topics[topic].clone(), partition.to_string());
        self.places.push(place.clone());
        self.quiet.add_partition(self.progress_ms);
        (name, place)
    }

    /// Goes on in a partition where it is, if the client has lost its place, or elsewhere if frames are gone.
    pub(super) fn go_on(
        &mut self,
        surveyed: &Surveyed,
        offsets_when_asked: &[i64],
        lost_place: Option<LostPlace>,
    ) -> Result<(), Failure> {
        let Some(index) = self.source.index(surveyed.topic, surveyed.partition) else {
            return Ok(());
        };
        let expected = self.driver.admission.next_offset(index);
        let known = self.driver.admission.origin(index);
        let then = offsets_when_asked.get(index).copied();
        let parted_at = lost_place.and_then(|lost| lost.parted_at);
        let damage = Damage::of(surveyed, expected, then, known, parted_at);
        if let Some(id) = surveyed.topic_id.filter(|_| known.is_none()) {
            self.driver.admission.set_origin(index, id);
        }
        let Some(damage) = damage else {
            return match lost_place {
                Some(_) => self.source.go_on_at(index, expected),
                None => Ok(()),
            };
        };
        let is_nameless = known.is_some() && surveyed.topic_id.is_none();
        if damage != Damage::Behind && is_nameless {
            // Taken for made anew, one that was cut off would be counted again, and the other way round nothing of it: a
            // later survey may know.
            let now_ms = self.clock.monotonic_ms();
            let since_ms = *self.nameless_since_ms.get_or_insert(now_ms);
            if now_ms - since_ms < NAMELESS_MAX_MS {
                self.is_one_nameless = true;
                self.source.keep_lost_place(lost_place);
                return Ok(());
            }
        }
        let name = format!(
            "{}/{}",
            self.config.topics[surveyed.topic], surveyed.partition
        );
        let found = damage.goes_on_at(surveyed);
        Gap {
            partition: &name,
            expected,
            found,
        }
        .emit();
        if !self.config.skips_gaps {
            return Err(Failure::Gap(format!(
                "partition {name} {}: offset {expected} was to be next, and it {} at {found}; --on-gap continue {}, and every record says so",
                damage.what(),
                damage.found(),
                damage.remedy(),
            )));
        }
        self.driver.admission.gap(index, found);
        if let Some(id) = surveyed.topic_id {
            self.driver.admission.set_origin(index, id);
        }
        self.source.go_on_at(index, found)
    }
}

/// Why a partition cannot be read on where it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Damage {
    /// Retention deleted frames before they were read.
    Behind,
    /// Its topic was deleted and made again.
    MadeAnew,
    /// The end was cut off, and frames that were counted with it: a replica that did not have them became leader.
    CutOff {
        /// Where it ended then. There may be other frames behind it by now.
        at: i64,
    },
}

impl Damage {
    /// `then` is where reading stood when the survey was asked for: what was read since may well lie behind its high watermark.
    /// `known` is the topic's id as of the last time; brokers before Kafka 2.8 have none. From `parted_at` on the log is
    /// another one, if somebody has said so.
    fn of(
        surveyed: &Surveyed,
        expected: i64,
        then: Option<i64>,
        known: Option<u128>,
        parted_at: Option<i64>,
    ) -> Option<Self> {
        let is_beyond_end = then.is_some_and(|then| then > surveyed.high);
        let ids = known.zip(surveyed.topic_id);
        let parted_at = parted_at.filter(|at| *at < expected);
        match (ids.map(|(known, found)| known == found), parted_at) {
            (Some(false), _) => Some(Self::MadeAnew),
            _ if expected < surveyed.low => Some(Self::Behind),
            (_, Some(at)) => Some(Self::CutOff {
                at: at.max(surveyed.low),
            }),
            (Some(true), None) if is_beyond_end => Some(Self::CutOff { at: surveyed.high }),
            // Far likelier than the other, where nobody can tell.
            (None, None) if is_beyond_end => Some(Self::MadeAnew),
            _ => None,
        }
    }

    fn goes_on_at(self, surveyed: &Surveyed) -> i64 {
        match self {
            Self::Behind | Self::MadeAnew => surveyed.low,
            Self::CutOff { at } => at,
        }
    }

    fn what(self) -> &'static str {
        match self {
            Self::Behind => "has lost frames before they were read",
            Self::MadeAnew => "was made anew",
            Self::CutOff { .. } => {
                "was cut off at its end, by an election of a leader that lacks frames"
            }
        }
    }

    fn found(self) -> &'static str {
        match self {
            Self::Behind | Self::MadeAnew => "begins",
            Self::CutOff { .. } => "ends",
        }
    }

    fn remedy(self) -> &'static str {
        match self {
            Self::Behind | Self::MadeAnew => "goes on without them",
            Self::CutOff { .. } => {
                "goes on there, with what was counted of the frames that are gone"
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_happened_to_a_partition_is_told_by_its_offsets_and_its_topic_s_id() {
        let surveyed = |low, high, topic_id| Surveyed {
            topic: 0,
            partition: 0,
            topic_id,
            low,
            high,
            start: low,
            position: None,
        };
        let (same, other) = (Some(7), Some(8));
        // The next offset, what it was when asked, low, high, the id found; 7 was known.
        let cases = [
            (50, 50, 0, 50, same, None),
            (50, 50, 50, 50, same, None),
            // Read on since it was asked for.
            (60, 50, 0, 50, same, None),
            (50, 50, 51, 90, same, Some((Damage::Behind, 51))),
            (50, 50, 0, 49, same, Some((Damage::CutOff { at: 49 }, 49))),
            (50, 50, 0, 49, other, Some((Damage::MadeAnew, 0))),
            (50, 50, 0, 49, None, Some((Damage::MadeAnew, 0))),
            (50, 50, 0, 90, other, Some((Damage::MadeAnew, 0))),
            (50, 50, 0, 90, None, None),
        ];
        for (expected, then, low, high, id, damage) in cases {
            let surveyed = surveyed(low, high, id);
            let found = Damage::of(&surveyed, expected, Some(then), same, None);
            let found = found.map(|damage| (damage, damage.goes_on_at(&surveyed)));
            assert_eq!(found, damage, "{expected} {then} {low} {high} {id:?}");
        }
        // The next offset, low, high, the id found, where the log parted; 7 was known.
        let cases = [
            (50, 0, 90, same, 40, Some((Damage::CutOff { at: 40 }, 40))),
            (50, 0, 45, same, 40, Some((Damage::CutOff { at: 40 }, 40))),
            (50, 45, 90, same, 40, Some((Damage::CutOff { at: 45 }, 45))),
            (50, 0, 90, None, 40, Some((Damage::CutOff { at: 40 }, 40))),
            // Nothing that was counted is gone.
            (50, 0, 90, same, 50, None),
            (50, 0, 90, other, 40, Some((Damage::MadeAnew, 0))),
            (50, 51, 90, same, 40, Some((Damage::Behind, 51))),
        ];
        for (expected, low, high, id, at, damage) in cases {
            let surveyed = surveyed(low, high, id);
            let found = Damage::of(&surveyed, expected, Some(expected), same, Some(at));
            let found = found.map(|damage| (damage, damage.goes_on_at(&surveyed)));
            assert_eq!(found, damage, "{expected} {low} {high} {id:?} {at}");
        }
    }
}
