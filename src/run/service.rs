//! `headcount run`: from Kafka to Kafka, until told to stop.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::driver::Driver;
use super::pipeline::{Broken, Pipeline};
use super::publish::{ServicePublisher, Unpublished};
use super::scout::Scout;
use super::stdout_sink::StdoutSink;
use super::{Stop, close_with_limit};
use crate::config::{OutputConfig, RunConfig};
use crate::engine::admit::Admission;
use crate::engine::catalog::Ask;
use crate::engine::frame::{EventTime, Verdict};
use crate::engine::report::record::{Recorder, Service};
use crate::error::Failure;
use crate::io::clock::Clock;
use crate::io::kafka_client::Connection;
use crate::io::sink::Sink;
use crate::io::sink::kafka::KafkaSink;
use crate::io::source::kafka::{KafkaSource, Surveyed};
use crate::io::source::{Event, Source};
use crate::limits::{
    BYTES_PER_ROUND, CLOSE_MS, FRAMES_PER_ROUND, LAST_FLUSH_MS, POLL_MAX_MS, SHUTDOWN_MS,
    SURVEY_BEFORE_TICK_MS, SURVEY_MAX_MS, SURVEY_MIN_MS, UNREACHABLE_END_MS,
};
use crate::observe::happenings::{Gap, OutputBehind, ReachedAgain, Reading, Stopped, Unreachable};
use crate::observe::rejects::RejectLog;

/// What others in the process may watch of a running service.
#[derive(Debug, Default)]
pub struct Gauges {
    /// Bytes of the frames read since the start.
    pub read_bytes: AtomicU64,
}

/// Runs the service until `stop` is raised, or with `exit_at_end` until everything is counted.
///
/// # Errors
///
/// Bad options for the client library, an end that cannot be reached, finals that the output never took, or a failure
/// of the program itself.
pub fn run(
    config: &RunConfig,
    clock: Arc<dyn Clock>,
    stop: &Arc<Stop>,
    gauges: &Gauges,
) -> Result<(), Failure> {
    let connection = config.connection.clone();
    connection.check()?;
    let (source, surveyor) =
        KafkaSource::new(&connection, &config.group, &config.topics, config.from)?;
    let unpublished = Unpublished::default();
    let publisher = ServicePublisher::new(
        recorder(config, clock.unix_ms()),
        sink(config, &connection)?,
        Arc::clone(&clock),
        unpublished.clone(),
        config.job.clone(),
    );
    let counting = &config.counting;
    let pipeline = Pipeline::start(
        counting.precision,
        &counting.rules.calendar,
        counting.threads,
        Box::new(publisher),
    )?;
    let admission = Admission::new(counting.rules.clone());
    let (output, its_clock, its_stop) = (unpublished.clone(), Arc::clone(&clock), Arc::clone(stop));
    let gate = Box::new(move || output.wait_until_caught_up(&*its_clock, &its_stop));
    let scout = Scout::start(surveyor, connection, config.output.clone())?;
    let mut service = Run {
        config,
        clock: &*clock,
        stop,
        gauges,
        source,
        driver: Driver::new(counting.fields.clone(), admission, pipeline, gate),
        scout,
        unpublished,
        rejects: RejectLog::default(),
        places: Vec::new(),
        next_tick_ms: None,
        reading_since_ms: None,
        progress_ms: clock.monotonic_ms(),
        next_survey_ms: 0,
        surveyed_ms: 0,
        is_unreachable: false,
        is_behind: false,
    };
    let outcome = service.until_told();
    service.end(outcome)
}

fn recorder(config: &RunConfig, epoch: u64) -> Recorder {
    let service = Service {
        job: config.job.clone(),
        topic: config.topics.join(","),
        epoch,
    };
    let calendar = config.counting.rules.calendar.clone();
    Recorder::new(config.counting.precision, calendar, Some(service))
}

fn sink(config: &RunConfig, connection: &Connection) -> Result<Box<dyn Sink>, Failure> {
    Ok(match &config.output {
        OutputConfig::Stdout => Box::new(StdoutSink::start(Box::new(std::io::stdout()))?),
        OutputConfig::Topics { stats, windows } => {
            Box::new(KafkaSink::new(connection, stats, windows)?)
        }
    })
}

/// A partition that appears later is read from its beginning, wherever the others were started: all of it is new.
fn start_of(surveyed: &Surveyed, is_first: bool) -> i64 {
    if is_first {
        surveyed.start
    } else {
        surveyed.low
    }
}

/// Why the loop ended without a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ended {
    /// Everything is counted.
    AtEnd,
    /// A signal.
    Told,
    /// A thread of the pipeline died; finishing it tells why.
    Broken,
}

struct Run<'a> {
    config: &'a RunConfig,
    clock: &'a dyn Clock,
    stop: &'a Stop,
    gauges: &'a Gauges,
    source: KafkaSource,
    driver: Driver,
    scout: Scout,
    unpublished: Unpublished,
    rejects: RejectLog,
    /// Topic and number of each partition, by its index, for the log.
    places: Vec<(String, String)>,
    next_tick_ms: Option<u64>,
    /// When the first partitions were found.
    reading_since_ms: Option<u64>,
    /// When something was last read, or a partition was last found.
    progress_ms: u64,
    next_survey_ms: u64,
    /// When the last survey was asked for.
    surveyed_ms: u64,
    is_unreachable: bool,
    is_behind: bool,
}

impl Run<'_> {
    fn until_told(&mut self) -> Result<Ended, Failure> {
        loop {
            if self.stop.load(Ordering::Relaxed) {
                return Ok(Ended::Told);
            }
            self.survey()?;
            if self.config.exit_at_end && self.source.is_finished() {
                return Ok(Ended::AtEnd);
            }
            let now_ms = self.clock.monotonic_ms();
            let unpublished = self.unpublished.finals();
            let went_on = if self.waits_for_output() {
                self.unpublished.finals() < unpublished
            } else {
                match self.round(now_ms)? {
                    Ok(read) => read > 0,
                    Err(Broken) => return Ok(Ended::Broken),
                }
            };
            self.tell_mistaken_unit(false);
            let read_bytes = self.driver.intake.read_bytes;
            self.gauges.read_bytes.store(read_bytes, Ordering::Relaxed);
            if self.tick_if_due().is_err() {
                return Ok(Ended::Broken);
            }
            self.watch_progress(went_on)?;
        }
    }

    /// Reads for a while; returns how many frames came.
    fn round(&mut self, now_ms: u64) -> Result<Result<usize, Broken>, Failure> {
        let until_tick = self
            .next_tick_ms
            .map_or(POLL_MAX_MS, |at| at.saturating_sub(now_ms));
        let mut wait = Duration::from_millis(until_tick.min(POLL_MAX_MS));
        let (mut read, mut bytes) = (0, 0);
        let mut broken = false;
        for _ in 0..FRAMES_PER_ROUND {
            let (driver, rejects) = (&mut self.driver, &mut self.rejects);
            let places = &self.places;
            let mut on = |event: Event<'_>| -> Result<Option<EventTime>, Failure> {
                match event {
                    Event::Frame {
                        partition,
                        offset,
                        payload,
                    } => {
                        read += 1;
                        bytes += payload.map_or(0, <[u8]>::len);
                        match driver.frame(partition, offset, payload) {
                            Ok((Verdict::Rejected(reason), clock)) => {
                                let (topic, name) = &places[partition];
                                let line = rejects.line(now_ms, topic, name, offset, reason);
                                if let Some(line) = line {
                                    line.emit();
                                }
                                return Ok(clock);
                            }
                            Ok((_, clock)) => return Ok(clock),
                            Err(Broken) => broken = true,
                        }
                    }
                    Event::ReachedEnd(partition) => driver.admission.reach_end(partition),
                    Event::Finished(partition) => driver.admission.finish(partition),
                }
                Ok(None)
            };
            if !self.source.poll(wait, &mut on)? {
                break;
            }
            if broken {
                return Ok(Err(Broken));
            }
            if bytes > BYTES_PER_ROUND {
                break;
            }
            wait = Duration::ZERO;
        }
        Ok(Ok(read))
    }

    /// A tick when its time has come; the first one as soon as a frame was read, or where none comes, one beat after there
    /// was something to read from: whoever waits for ticks then knows that the service is well.
    fn tick_if_due(&mut self) -> Result<(), Broken> {
        let now_ms = self.clock.monotonic_ms();
        let due = match self.next_tick_ms {
            Some(at) => now_ms >= at,
            None => {
                let idle_since = self.reading_since_ms.map(|since| now_ms - since);
                self.driver.admission.ledger().read > 0
                    || idle_since.is_some_and(|ms| ms >= self.config.every_ms)
            }
        };
        if !due {
            return Ok(());
        }
        let every_ms = self.config.every_ms;
        // Ticks stay on one beat; those that could not be kept are left out.
        let first_ms = self.next_tick_ms.unwrap_or(now_ms);
        let missed = (now_ms - first_ms) / every_ms;
        let next_tick_ms = first_ms + (missed + 1) * every_ms;
        self.next_tick_ms = Some(next_tick_ms);
        // A lag is of the moment of its survey: that should be shortly before the tick that tells it.
        let latest_ms = self.surveyed_ms + SURVEY_MAX_MS;
        let soonest_ms = self.surveyed_ms + SURVEY_MIN_MS;
        let before_ms = next_tick_ms.saturating_sub(SURVEY_BEFORE_TICK_MS);
        self.next_survey_ms = before_ms.min(latest_ms).max(soonest_ms);
        self.tick()
    }

    fn tick(&mut self) -> Result<(), Broken> {
        if let Some(line) = self.rejects.rest() {
            line.emit();
        }
        self.driver.barrier(Ask {
            trailing: true,
            changed: true,
            end: false,
        })?;
        let admission = &self.driver.admission;
        self.source
            .commit(|partition| admission.next_offset(partition));
        Ok(())
    }

    /// While too many finals wait for the output, nothing is read: they must not be lost, nor fill the memory.
    fn waits_for_output(&mut self) -> bool {
        let unpublished_finals = self.unpublished.finals();
        let behind = self.unpublished.is_behind();
        if behind && !self.is_behind {
            OutputBehind { unpublished_finals }.emit();
        }
        self.is_behind = behind;
        if behind {
            self.unpublished.wait(Duration::from_millis(POLL_MAX_MS));
        }
        behind
    }

    fn survey(&mut self) -> Result<(), Failure> {
        let now_ms = self.clock.monotonic_ms();
        if now_ms >= self.next_survey_ms {
            self.surveyed_ms = now_ms;
            let every_ms = self.config.every_ms.clamp(SURVEY_MIN_MS, SURVEY_MAX_MS);
            self.next_survey_ms = now_ms + every_ms;
            let admission = &self.driver.admission;
            let indices = 0..self.driver.partitions().len();
            self.scout.ask(indices.map(|i| admission.next_offset(i)));
        }
        match self.scout.take() {
            None => Ok(()),
            Some((Err(why), _)) => {
                self.driver.intake.lag = None;
                self.lose_touch(&why);
                Ok(())
            }
            Some((Ok(partitions), offsets_when_asked)) => {
                if std::mem::take(&mut self.is_unreachable) {
                    ReachedAgain.emit();
                }
                self.take_in(&partitions, &offsets_when_asked)?;
                self.driver.intake.lag = Some(self.lag(&partitions));
                Ok(())
            }
        }
    }

    /// Frames that the brokers have and that are not read yet.
    fn lag(&self, partitions: &[Surveyed]) -> u64 {
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
        let (new, known): (Vec<_>, Vec<_>) = partitions
            .iter()
            .partition(|p| self.source.index(p.topic, p.partition).is_none());
        let topics = 0..self.config.topics.len();
        let lost: Vec<_> = topics
            .map(|topic| self.source.take_lost_place(topic))
            .collect();
        for surveyed in known {
            self.go_on(surveyed, offsets_when_asked, lost[surveyed.topic])?;
        }
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
        let end = self.config.exit_at_end.then_some(high);
        let name = if self.config.topics.len() == 1 {
            partition.to_string()
        } else {
            format!("{}:{partition}", self.config.topics[topic])
        };
        self.places
            .push((self.config.topics[topic].clone(), partition.to_string()));
        let unread = start < high;
        let index = self.source.follow(topic, partition, start, end)?;
        let same = self.driver.add_partition(name, start, unread);
        assert_eq!(index, same, "source and admission number partitions alike");
        if end.is_some() && !unread {
            self.source.finish(index);
            self.driver.admission.finish(index);
        }
        Ok(())
    }

    /// Goes on in a partition where it is, if the client has lost its place, or elsewhere if frames are gone: deleted by
    /// retention, or with a topic that was made anew.
    fn go_on(
        &mut self,
        surveyed: &Surveyed,
        offsets_when_asked: &[i64],
        lost_place: bool,
    ) -> Result<(), Failure> {
        let Surveyed {
            topic,
            partition,
            low,
            high,
            ..
        } = *surveyed;
        let Some(index) = self.source.index(topic, partition) else {
            return Ok(());
        };
        let expected = self.driver.admission.next_offset(index);
        // What was read since the survey was asked for may well lie behind its high watermark.
        let was_made_anew = offsets_when_asked
            .get(index)
            .is_some_and(|then| *then > high);
        if expected >= low && !was_made_anew {
            return match lost_place {
                true => self.source.go_on_at(index, expected),
                false => Ok(()),
            };
        }
        let name = format!("{}/{partition}", self.config.topics[topic]);
        Gap {
            partition: &name,
            expected,
            found: low,
        }
        .emit();
        self.driver.admission.gap(index, low);
        self.source.go_on_at(index, low)
    }

    fn lose_touch(&mut self, why: &str) {
        if !std::mem::replace(&mut self.is_unreachable, true) {
            Unreachable { why }.emit();
        }
    }

    fn watch_progress(&mut self, went_on: bool) -> Result<(), Failure> {
        if let Some(why) = self.source.take_trouble() {
            self.lose_touch(&why);
            // The next survey tells whether it is over, and whether frames are gone.
            self.next_survey_ms = 0;
        }
        let now_ms = self.clock.monotonic_ms();
        if went_on {
            self.progress_ms = now_ms;
        }
        let waited_ms = now_ms - self.progress_ms;
        if self.config.exit_at_end && waited_ms > UNREACHABLE_END_MS {
            return Err(Failure::Unavailable(format!(
                "no progress for {} s, so the end of '{}' cannot be reached; check the brokers, the topic and the outputs",
                UNREACHABLE_END_MS / 1_000,
                self.config.topics.join(",")
            )));
        }
        Ok(())
    }

    /// The last records, then everything is closed, within the time that is left.
    fn end(mut self, outcome: Result<Ended, Failure>) -> Result<(), Failure> {
        self.tell_mistaken_unit(true);
        let at_end = matches!(outcome, Ok(Ended::AtEnd));
        let limit_ms = if at_end { LAST_FLUSH_MS } else { SHUTDOWN_MS };
        let deadline_ms = self.clock.monotonic_ms() + limit_ms;
        if !matches!(outcome, Ok(Ended::Broken)) {
            let last_words = self.last_words(at_end);
            // A broken pipeline says why when it is finished.
            debug_assert!(last_words.is_ok() || outcome.is_ok());
        }
        let ledger = self.driver.admission.ledger().clone();
        let unpublished = self.unpublished.clone();
        let finished = self.driver.into_pipeline().finish(deadline_ms);
        let source = self.source;
        close_with_limit(Duration::from_millis(CLOSE_MS), move || drop(source));
        let stopped = Stopped {
            read: ledger.read,
            counted: ledger.counted,
            unacknowledged: unpublished.anything(),
        };
        stopped.emit();
        outcome?;
        finished?;
        if at_end && unpublished.anything() {
            return Err(Failure::Unavailable(
                "everything was counted, but the output topics did not take the last records; run it again".to_owned(),
            ));
        }
        Ok(())
    }

    fn tell_mistaken_unit(&mut self, at_end: bool) {
        if let Some(mistake) = self.driver.unit_mistaken(at_end) {
            mistake.emit();
        }
    }

    fn last_words(&mut self, at_end: bool) -> Result<(), Broken> {
        if at_end {
            self.driver.barrier(Ask {
                end: true,
                ..Ask::default()
            })?;
        }
        if self.driver.admission.ledger().read > 0 {
            self.tick()?;
        }
        Ok(())
    }
}
