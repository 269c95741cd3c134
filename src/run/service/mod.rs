//! `headcount run`: from Kafka to Kafka, until told to stop.

mod following;
mod noticing;
mod parts;
mod reading;
mod state;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use self::noticing::Noticing;
use self::parts::{Parts, SharedWatchdog, parts};
use self::state::Saving;
use super::consuming::Consuming;
use super::driver::Driver;
use super::pipeline::Broken;
use super::quiet::Quiet;
use super::scout::Scout;
use super::skew::{Skew, Standing};
use super::unpublished::Unpublished;
use super::{Stop, close_with_limit};
use crate::config::RunConfig;
use crate::engine::catalog::Ask;
use crate::engine::frame::EventTime;
use crate::error::Failure;
use crate::io::clock::Clock;
use crate::io::supervisor::Supervisor;
use crate::limits::{
    ASIDE_STUCK_MS, CLOSE_MS, LAST_FLUSH_MS, POLL_MAX_MS, SHUTDOWN_MS, SURVEY_BEFORE_TICK_MS,
    SURVEY_MAX_MS, SURVEY_MIN_MS, UNREACHABLE_END_MS,
};
use crate::observe::failpoint::Failpoint;
use crate::observe::happenings::{
    AsideBehind, OutputBehind, PartitionAhead, Stopped, UnitMistaken, Unreachable, WaitingToAgree,
    WhyNot,
};
use crate::observe::rejects::RejectLog;

/// What others in the process may watch of a running service.
#[derive(Debug, Default)]
pub struct Gauges {
    /// Bytes of the frames read since the start.
    pub read_bytes: AtomicU64,
}

/// Runs the service until `stop` is raised, or with `exit_at_end` until everything is counted. The supervisor, if there is
/// one, hears how it fares.
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
    supervisor: Option<Supervisor>,
) -> Result<(), Failure> {
    let Parts {
        source,
        driver,
        saving,
        scout,
        unpublished,
        web,
        board,
        watchdog,
    } = parts(config, &clock, stop, supervisor)?;
    let noticing = Noticing::new(web, board, driver.admission.ledger(), clock.monotonic_ms());
    let mut service = Run {
        config,
        clock: &*clock,
        stop,
        gauges,
        source,
        driver,
        saving,
        scout,
        noticing,
        watchdog,
        quiet: Quiet::new(config.idle_timeout_ms),
        skew: Skew::new(config.max_skew_s),
        awake_ms: clock.monotonic_ms(),
        standings: Vec::new(),
        walking: None,
        told_ahead: Vec::new(),
        told_waiting: false,
        told_unit: false,
        read_at_tick: 0,
        unpublished,
        rejects: RejectLog::default(),
        places: Vec::new(),
        next_tick_ms: None,
        reading_since_ms: None,
        progress_ms: clock.monotonic_ms(),
        next_survey_ms: 0,
        surveyed_ms: 0,
        unreachable: None,
        is_refused: false,
        nameless_since_ms: None,
        is_one_nameless: false,
        is_behind: false,
        aside_full_since_ms: None,
        told_aside: false,
    };
    let outcome = service.until_told();
    service.end(outcome)
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
    source: Consuming,
    driver: Driver,
    /// `None` where nothing is saved.
    saving: Option<Saving>,
    scout: Scout,
    noticing: Noticing,
    /// `None` where no supervisor asks for it.
    watchdog: Option<SharedWatchdog>,
    quiet: Quiet,
    skew: Skew,
    /// When the loop last came round.
    awake_ms: u64,
    /// Of one call, kept for its memory.
    standings: Vec<Standing>,
    /// When all partitions were found idle, and where event time stood then.
    walking: Option<(u64, EventTime)>,
    /// Partitions that the log has named as being ahead.
    told_ahead: Vec<usize>,
    /// Whether the log has said that frames wait and none counts.
    told_waiting: bool,
    /// Whether the log has said that event times look like another unit.
    told_unit: bool,
    /// Frames read at the last tick.
    read_at_tick: u64,
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
    /// What was out of reach when it was last looked for.
    unreachable: Option<String>,
    /// Whether it was said that the brokers do not let us in any more.
    is_refused: bool,
    /// Since when a partition is known to be another one than was read, and not whether its topic is.
    nameless_since_ms: Option<u64>,
    /// Whether this survey has shown one.
    is_one_nameless: bool,
    is_behind: bool,
    /// Since when a topic for uncounted frames has had no room.
    aside_full_since_ms: Option<u64>,
    /// Whether the log has said so.
    told_aside: bool,
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
            self.driver.aside.tend(Duration::ZERO)?;
            let went_on = if self.driver.aside.is_full() {
                self.source.tend()?;
                self.wait_for_aside(now_ms)?
            } else if self.waits_for_output() {
                self.source.tend()?;
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
            self.tell_quarantined(now_ms);
            self.keep_together(now_ms)?;
            if self
                .tick_if_due()
                .and_then(|()| self.save_if_due())
                .and_then(|()| self.notice())
                .is_err()
            {
                return Ok(Ended::Broken);
            }
            self.watch_progress(went_on)?;
        }
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
        if !due || !self.is_resumed() {
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
        self.tick(false)
    }

    fn tick(&mut self, last: bool) -> Result<(), Broken> {
        if let Some(line) = self.rejects.rest() {
            line.emit();
        }
        Failpoint::Tick.pass();
        self.walk();
        self.tell_who_is_ahead();
        self.tell_who_waits();
        let save = last || self.save_is_due(self.config.every_ms / 2);
        if save {
            self.note_save();
        }
        self.driver.barrier(Ask {
            trailing: true,
            changed: true,
            end: false,
            save,
        })?;
        if self.saving.is_some() {
            return Ok(());
        }
        let admission = &self.driver.admission;
        self.source
            .commit(|partition| admission.next_offset(partition));
        Ok(())
    }

    fn tell_quarantined(&mut self, now_ms: u64) {
        for (partition, offset, reason) in self.driver.take_quarantined() {
            let (topic, name) = &self.places[partition];
            let why = WhyNot::Quarantined(reason);
            if let Some(line) = self.rejects.line(now_ms, topic, name, offset, why) {
                line.emit();
            }
        }
    }

    /// Whoever tries it out with three frames should not wonder.
    fn tell_who_waits(&mut self) {
        let ledger = self.driver.admission.ledger();
        let stands_still = self.read_at_tick == ledger.read;
        self.read_at_tick = ledger.read;
        let pending = ledger.pending;
        if stands_still && pending > 0 && ledger.counted == 0 && !self.told_waiting {
            self.told_waiting = true;
            WaitingToAgree { pending }.emit();
        }
    }

    /// While all partitions are idle, time goes on as it does for everybody.
    fn walk(&mut self) {
        let now_ms = self.clock.monotonic_ms();
        self.notice_standstill(now_ms);
        let admission = &mut self.driver.admission;
        if self.config.exit_at_end || !admission.all_rest() {
            self.walking = None;
            return;
        }
        let Some(as_of) = admission.as_of() else {
            return;
        };
        let (since_ms, from) = *self.walking.get_or_insert((now_ms, as_of));
        let walked_s = EventTime::try_from((now_ms - since_ms) / 1_000).unwrap_or(EventTime::MAX);
        admission.walk_to(from.saturating_add(walked_s));
    }

    fn tell_who_is_ahead(&mut self) {
        for (index, by_s) in self.driver.admission.ahead() {
            if self.told_ahead.contains(&index) {
                continue;
            }
            self.told_ahead.push(index);
            let (topic, partition) = &self.places[index];
            PartitionAhead {
                topic,
                partition,
                by_s,
            }
            .emit();
        }
    }

    /// While too many finals wait for the output, nothing is read: they must not be lost, nor fill the memory.
    fn waits_for_output(&mut self) -> bool {
        let unpublished_finals = self.unpublished.finals();
        let behind = self.unpublished.is_behind();
        if behind && !self.is_behind {
            let cause = self.unpublished.cause();
            OutputBehind {
                unpublished_finals,
                cause,
            }
            .emit();
        }
        self.is_behind = behind;
        if behind {
            self.unpublished.wait(Duration::from_millis(POLL_MAX_MS));
        }
        behind
    }

    /// A topic for uncounted frames that takes nothing holds reading back, as the outputs do. Returns whether there is
    /// room again.
    fn wait_for_aside(&mut self, now_ms: u64) -> Result<bool, Failure> {
        self.driver.aside.tend(Duration::from_millis(POLL_MAX_MS))?;
        if !self.driver.aside.is_full() {
            (self.aside_full_since_ms, self.told_aside) = (None, false);
            return Ok(true);
        }
        let since_ms = *self.aside_full_since_ms.get_or_insert(now_ms);
        // To be full for a moment is how it keeps pace.
        let is_stuck = now_ms - since_ms >= ASIDE_STUCK_MS;
        if is_stuck && !std::mem::replace(&mut self.told_aside, true) {
            AsideBehind.emit();
        }
        Ok(false)
    }

    fn lose_touch(&mut self, why: &str) {
        self.quiet.lose_touch(self.clock.monotonic_ms());
        // Time that had begun to walk stands still too: frames may come that nobody hears of.
        self.driver.admission.wake_all();
        if self.unreachable.replace(why.to_owned()).is_none() {
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
                "no progress for {} s, so the end of '{}' cannot be reached: {}",
                UNREACHABLE_END_MS / 1_000,
                self.config.topics.join(","),
                self.unreachable
                    .as_deref()
                    .unwrap_or("check the brokers, the topic and the outputs")
            )));
        }
        Ok(())
    }

    /// The last records, then everything is closed, within the time that is left.
    fn end(mut self, outcome: Result<Ended, Failure>) -> Result<(), Failure> {
        if let Some(watchdog) = &self.watchdog {
            watchdog.borrow().stopping();
        }
        self.tell_mistaken_unit(true);
        let at_end = matches!(outcome, Ok(Ended::AtEnd));
        let limit_ms = if at_end { LAST_FLUSH_MS } else { SHUTDOWN_MS };
        let deadline_ms = self.clock.monotonic_ms() + limit_ms;
        if !matches!(outcome, Ok(Ended::Broken)) {
            let last_words = self.last_words(at_end);
            // A broken pipeline says why when it is finished.
            debug_assert!(last_words.is_ok() || outcome.is_ok());
        }
        if at_end {
            self.driver.tell_too_old();
        }
        let ledger = self.driver.admission.ledger().clone();
        let clock = self.clock;
        // Half of the time: the records come first.
        let aside_until_ms = deadline_ms - limit_ms / 2;
        let put_aside = self
            .driver
            .aside
            .finish(&mut || clock.monotonic_ms() < aside_until_ms);
        let unpublished = self.unpublished.clone();
        let finished = self.driver.into_pipeline().finish(deadline_ms);
        let source = self.source;
        close_with_limit(Duration::from_millis(CLOSE_MS), move || source.close());
        let stopped = Stopped {
            read: ledger.read,
            counted: ledger.counted,
            unpublished: unpublished.anything().then(|| unpublished.cause()),
        };
        stopped.emit();
        outcome?;
        finished?;
        put_aside?;
        if at_end && unpublished.anything() {
            return Err(Failure::Unavailable(
                "everything was counted, but the output topics did not take the last records; run it again".to_owned(),
            ));
        }
        Ok(())
    }

    fn tell_mistaken_unit(&mut self, at_end: bool) {
        if let Some(wrong) = self.source.take_wrong_unit(at_end)
            && !std::mem::replace(&mut self.told_unit, true)
        {
            UnitMistaken(wrong).emit();
        }
    }

    fn last_words(&mut self, is_end: bool) -> Result<(), Broken> {
        // Stopped at offsets that somebody named, it is to be compared with a run that went on.
        let at_end = is_end && self.config.until.is_none();
        if at_end {
            self.driver.end()?;
        }
        let has_begun =
            is_end || self.driver.admission.ledger().read > 0 || self.next_tick_ms.is_some();
        if has_begun && self.is_resumed() {
            self.driver.intake.stopped = true;
            self.tick(!at_end && self.saving.is_some())?;
        }
        Ok(())
    }
}
