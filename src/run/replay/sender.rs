//! The loop: lines in, frames out when they are due and there is room, answers taken in all the while.

use std::time::Duration;

use crossbeam_channel::{Receiver, RecvTimeoutError};
use std::sync::atomic::Ordering;

use super::doubt::Doubt;
use super::pace::Pace;
use super::position::{Job, Place, Position, PositionFile, SCHEMA};
use super::progress::Progress;
use super::reader::{Line, Read};
use super::shift;
use super::summary::Counts;
use super::window::Window;
use crate::config::ReplayConfig;
use crate::engine::frame::EventTime;
use crate::error::Failure;
use crate::io::clock::Clock;
use crate::io::target::{Answer, Delivery, Target};
use crate::limits::{
    DELIVERY_POLL_MS, MAX_FRAME_BYTES, POLL_MAX_MS, REPLAY_FLUSH_MS, REPLAY_LINES_PER_LOOK,
    REPLAY_REFUSALS_IN_A_ROW, REPLAY_REFUSALS_NAMED, REPLAY_SAVE_EVERY_MS, REPLAY_STALL_MS,
};
use crate::observe::happenings::{ReachedAgain, caution};
use crate::run::Stop;

const SHORT: Duration = Duration::from_millis(DELIVERY_POLL_MS);

/// Why the loop ended when nothing failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// Nothing is left to be sent.
    Done,
    /// A signal.
    Stopped,
}

/// Where the replay stands in its input.
#[derive(Debug, Clone, Default)]
pub(super) struct Standing {
    /// Finished rounds.
    pub(super) rounds: u64,
    /// Lines of the finished rounds.
    pub(super) lines_before: u64,
    /// For each partition the line of this round before which all is settled.
    pub(super) settled: Vec<u64>,
    /// Seconds added in this round.
    pub(super) shift: Option<i64>,
    /// The greatest event time sent.
    pub(super) greatest: Option<EventTime>,
    /// The line of this round that comes next.
    pub(super) next: u64,
}

/// What the loop works with, and on.
pub(super) struct Sender<'a, T> {
    pub(super) config: &'a ReplayConfig,
    pub(super) clock: &'a dyn Clock,
    pub(super) stop: &'a Stop,
    pub(super) target: T,
    pub(super) window: Window,
    pub(super) doubt: Doubt,
    pub(super) standing: Standing,
    pub(super) keeper: Option<(PositionFile, Job)>,
    pub(super) progress: Progress,
    pub(super) counts: Counts,
    pace: Pace,
    answers: Vec<Delivery>,
    shifted: Vec<u8>,
    /// The first answer that says that no later frame will be taken.
    failure: Option<Failure>,
    /// When the last answer came, or the first frame after a pause was sent.
    answered_ms: u64,
    is_stalled: bool,
    saved_ms: u64,
    refused_in_a_row: u64,
    first_refused: Option<u64>,
    /// Lines of the last whole round.
    round_lines: u64,
}

impl<'a, T: Target> Sender<'a, T> {
    pub(super) fn new(
        config: &'a ReplayConfig,
        (clock, stop): (&'a dyn Clock, &'a Stop),
        target: T,
        (window, doubt): (Window, Doubt),
        standing: Standing,
        keeper: Option<(PositionFile, Job)>,
        progress: Progress,
    ) -> Self {
        let counts = Counts {
            lines: standing.next,
            skipped: standing.next,
            rounds: 1,
            ..Counts::default()
        };
        Self {
            config,
            clock,
            stop,
            target,
            window,
            doubt,
            keeper,
            progress,
            counts,
            pace: Pace::new(config.tempo, config.fields.ts_unit),
            answers: Vec::new(),
            shifted: Vec::new(),
            failure: None,
            answered_ms: clock.monotonic_ms(),
            is_stalled: false,
            saved_ms: 0,
            refused_in_a_row: 0,
            first_refused: None,
            round_lines: standing.lines_before / standing.rounds.max(1),
            standing,
        }
    }

    /// The number of the first refused frame's line, from 1.
    pub(super) fn first_refused(&self) -> Option<u64> {
        self.first_refused
    }

    /// Sends what comes, until the end of it, a signal, or a failure.
    pub(super) fn run(&mut self, input: &Receiver<Read>) -> Result<End, Failure> {
        self.save()?;
        loop {
            if self.is_full() {
                return Ok(End::Done);
            }
            match input.recv_timeout(Duration::from_millis(POLL_MAX_MS)) {
                Ok(Read::Lines(block)) => {
                    for (line, frame) in block.lines() {
                        if self.is_full() {
                            return Ok(End::Done);
                        }
                        if !self.line(line, frame)? {
                            return Ok(End::Stopped);
                        }
                    }
                }
                Ok(Read::End(lines)) => {
                    self.check_length(lines)?;
                    if !self.config.is_loop || lines == 0 {
                        return Ok(End::Done);
                    }
                    if !self.next_round(lines)? {
                        return Ok(End::Stopped);
                    }
                }
                Ok(Read::Failed(failure)) => return Err(failure),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => {
                    return Err(Failure::Internal("the reading thread died".to_owned()));
                }
            }
            self.tend(Duration::ZERO)?;
            if self.is_stopped() {
                return Ok(End::Stopped);
            }
        }
    }

    /// Waits for the answers to all that is under way: as long as some come, after a signal only a little longer.
    pub(super) fn finish(&mut self, mut limit_ms: Option<u64>) -> Result<(), Failure> {
        let start_ms = self.clock.monotonic_ms();
        while self.window.frames() as u64 > self.counts.failed {
            let now_ms = self.clock.monotonic_ms();
            if limit_ms.is_none() && self.is_stopped() {
                limit_ms = Some(now_ms - start_ms + REPLAY_FLUSH_MS);
            }
            if limit_ms.is_some_and(|limit_ms| now_ms >= start_ms + limit_ms) {
                break;
            }
            self.tend(SHORT)?;
        }
        Ok(())
    }

    fn is_stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    /// Whether `--frames` are taken.
    fn is_full(&self) -> bool {
        let at = self.standing.lines_before + self.standing.next;
        let taken = at.saturating_sub(self.config.skip);
        self.config.frames.is_some_and(|frames| taken >= frames)
    }

    /// Deals with one line; false after a signal.
    fn line(&mut self, line: &Line, frame: &[u8]) -> Result<bool, Failure> {
        if line.number.is_multiple_of(REPLAY_LINES_PER_LOOK) {
            self.tend(Duration::ZERO)?;
        }
        if self.is_stopped() {
            return Ok(false);
        }
        let partition = (line.route % self.window.partitions() as u64) as usize;
        let ticket = self.standing.lines_before + line.number;
        if line.number < self.standing.settled[partition] {
            self.counts.skipped += 1;
        } else if frame.len() > MAX_FRAME_BYTES {
            self.counts.sent += 1;
            self.counts.too_long += 1;
            self.name_refused(ticket, "it is longer than the largest frame");
        } else {
            let mut shifted = std::mem::take(&mut self.shifted);
            let frame = match self.shift(line, frame, &mut shifted)? {
                true => &shifted[..],
                false => frame,
            };
            if let Some(offset) = self.doubt.find(partition, frame) {
                self.counts.found += 1;
                self.window.found(ticket, partition, offset);
            } else if !self.send(ticket, partition, line.ts, frame)? {
                return Ok(false);
            }
            self.shifted = shifted;
        }
        self.standing.next = line.number + 1;
        self.counts.lines += 1;
        Ok(true)
    }

    /// Moves the frame's event time, if it has one that is to be moved.
    fn shift(&mut self, line: &Line, frame: &[u8], into: &mut Vec<u8>) -> Result<bool, Failure> {
        let unit = self.config.fields.ts_unit;
        let (Some(raw_ts), Some(span)) = (line.ts, &line.span) else {
            return Ok(false);
        };
        let Some(ts) = unit.event_time(raw_ts) else {
            return Ok(false);
        };
        let by_s = match self.standing.shift {
            Some(by_s) => by_s,
            None => {
                let now_s = (self.clock.unix_ms() / 1_000) as i64;
                let after = self.standing.greatest.map_or(0, |ts| i64::from(ts) + 1);
                let by_s = now_s.max(after) - i64::from(ts);
                self.standing.shift = Some(by_s);
                // Before anything is sent with it: a run that goes on must send the same bytes.
                self.save()?;
                by_s
            }
        };
        let Some(to) = shift::moved(ts, by_s) else {
            self.counts.unshifted += 1;
            return Ok(false);
        };
        self.standing.greatest = self.standing.greatest.max(Some(to));
        shift::rewrite(frame, span.clone(), unit.at_second(to, raw_ts), into);
        Ok(true)
    }

    /// Sends a frame when it is due and there is room; false after a signal.
    fn send(
        &mut self,
        ticket: u64,
        partition: usize,
        ts: Option<u64>,
        frame: &[u8],
    ) -> Result<bool, Failure> {
        let due_ms = self.pace.due_ms(ts, self.clock.monotonic_ms());
        loop {
            let now_ms = self.clock.monotonic_ms();
            let wait_ms = due_ms.saturating_sub(now_ms).min(POLL_MAX_MS);
            if wait_ms > 0 {
                self.tend(Duration::from_millis(wait_ms))?;
            } else if !self.window.has_room(frame.len())
                || self.target.send(ticket, partition, frame)?.is_err()
            {
                self.tend(SHORT)?;
            } else {
                if self.window.frames() == 0 {
                    self.answered_ms = now_ms;
                }
                self.counts.sent += 1;
                self.window.send(ticket, partition, frame.len());
                return Ok(true);
            }
            if self.is_stopped() {
                return Ok(false);
            }
        }
    }

    fn next_round(&mut self, lines: u64) -> Result<bool, Failure> {
        if self.keeper.is_some() {
            // A position belongs to one round.
            while self.window.frames() > 0 {
                self.tend(SHORT)?;
                if self.is_stopped() {
                    return Ok(false);
                }
            }
        }
        let standing = &mut self.standing;
        standing.rounds += 1;
        standing.lines_before += lines;
        standing.settled.fill(0);
        standing.shift = None;
        standing.next = 0;
        self.round_lines = lines;
        self.counts.rounds += 1;
        self.pace.next_round();
        Ok(true)
    }

    /// An input that is shorter than what was passed over is not the one that the position is about.
    fn check_length(&mut self, lines: u64) -> Result<(), Failure> {
        let next = self.standing.next;
        if lines >= next {
            return Ok(());
        }
        self.counts.lines = lines;
        self.counts.skipped = lines;
        if next == self.config.skip {
            self.standing.next = lines;
            return Ok(());
        }
        Err(Failure::Data(format!(
            "the input ends after {lines} lines, but the position is at line {next}; is it the same input?"
        )))
    }

    /// Waits so long for answers, and does what is due.
    fn tend(&mut self, wait: Duration) -> Result<(), Failure> {
        let mut answers = std::mem::take(&mut self.answers);
        self.target.deliveries(wait, &mut answers);
        let now_ms = self.clock.monotonic_ms();
        if !answers.is_empty() {
            self.answered_ms = now_ms;
            if std::mem::take(&mut self.is_stalled) {
                self.progress.aside(|| ReachedAgain.emit());
            }
        }
        for answer in answers.drain(..) {
            self.answer(answer);
        }
        self.answers = answers;
        self.progress
            .show(now_ms, &self.counts, self.window.frames());
        if now_ms >= self.saved_ms + REPLAY_SAVE_EVERY_MS {
            self.save()?;
        }
        if let Some(failure) = self.failure.take() {
            return Err(failure);
        }
        if self.refused_in_a_row >= REPLAY_REFUSALS_IN_A_ROW {
            return Err(Failure::Output(format!(
                "topic '{}' refused {} frames in a row as too large; raise its max.message.bytes",
                self.config.topic, self.refused_in_a_row
            )));
        }
        self.watch(now_ms)
    }

    fn watch(&mut self, now_ms: u64) -> Result<(), Failure> {
        if self.window.frames() as u64 <= self.counts.failed {
            return Ok(());
        }
        let silent_ms = now_ms.saturating_sub(self.answered_ms);
        let timeout_ms = self.config.timeout_ms;
        if silent_ms >= timeout_ms {
            return Err(Failure::Unavailable(format!(
                "no acknowledgement came from {} for {} s",
                self.config.connection.brokers,
                timeout_ms / 1_000
            )));
        }
        if silent_ms >= REPLAY_STALL_MS && !self.is_stalled {
            self.is_stalled = true;
            let text = format!(
                "no acknowledgement for {} s; waiting up to {} s for one",
                REPLAY_STALL_MS / 1_000,
                timeout_ms / 1_000
            );
            self.progress.aside(|| caution(&text));
        }
        Ok(())
    }

    fn answer(&mut self, delivery: Delivery) {
        if let Answer::Failed(failure) = delivery.answer {
            self.counts.failed += 1;
            self.failure.get_or_insert(failure);
            return;
        }
        let Some(bytes) = self.window.settle(&delivery) else {
            return;
        };
        if delivery.answer == Answer::TooLarge {
            self.counts.too_large += 1;
            self.refused_in_a_row += 1;
            let why = format!("its {bytes} bytes are too many for the topic");
            self.name_refused(delivery.ticket, &why);
        } else {
            self.refused_in_a_row = 0;
            self.counts.acknowledged += 1;
            self.counts.bytes += bytes as u64;
        }
    }

    fn name_refused(&mut self, ticket: u64, why: &str) {
        let before = self.standing.lines_before;
        let number = match ticket.checked_sub(before) {
            Some(number) => number,
            None => ticket % self.round_lines.max(1),
        };
        let line = number + 1;
        // Partitions answer in any order.
        let first = self.first_refused.map_or(line, |first| first.min(line));
        self.first_refused = Some(first);
        let named = self.counts.refused();
        if named <= REPLAY_REFUSALS_NAMED as u64 {
            let more = match named == REPLAY_REFUSALS_NAMED as u64 {
                true => "; more of them are counted only",
                false => "",
            };
            let text = format!("the frame in line {line} is refused: {why}{more}");
            self.progress.aside(|| caution(&text));
        }
    }

    /// Keeps the position, if it is to be kept.
    pub(super) fn save(&mut self) -> Result<(), Failure> {
        self.saved_ms = self.clock.monotonic_ms();
        let Some((file, job)) = &mut self.keeper else {
            return Ok(());
        };
        let standing = &self.standing;
        let before = standing.lines_before;
        let reached = self.window.reached(before + standing.next);
        let places = reached.zip(&standing.settled).map(|(reached, settled)| {
            let (ticket, offset) = reached;
            let line = ticket.saturating_sub(before).max(*settled);
            Place { line, offset }
        });
        let position = Position {
            schema: SCHEMA.to_owned(),
            job: job.clone(),
            rounds: standing.rounds,
            lines_before: before,
            shift: standing.shift,
            greatest: standing.greatest,
            places: places.collect(),
        };
        file.save(&position)
    }
}

#[cfg(test)]
mod tests;
