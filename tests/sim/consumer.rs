//! A consumer in virtual time: what it reads when, when it knows a partition's end, when it ticks.

use std::sync::Arc;

use super::dice::Dice;
use super::scenario::{Scenario, Schedule, Slot, Topic};
use super::steps::{END, Step, TICK};
use super::trial::Trial;

/// How many ticks of silence are played before time leaps on.
const SILENT_TICKS: [usize; 3] = [1, 4, 14];
/// About how many silent ticks a run may have.
const SILENT_TICKS_IN_ALL: usize = 250;
/// How often partitions are looked for and idle ones noticed, as often as the service looks.
const SURVEY_EVERY_MS: i64 = 1_000;
const DAY_MS: i64 = 86_400_000;

/// How far a partition was read.
struct Reading {
    position: usize,
    at_end: bool,
    rests: bool,
    /// When its last frame came, or reading began.
    last_frame_ms: i64,
}

struct Consumer<'a> {
    topic: Arc<Topic>,
    schedule: &'a Schedule,
    trial: &'a mut Trial,
    readings: Vec<Reading>,
    now_ms: i64,
    next_tick_ms: i64,
    next_survey_ms: i64,
    /// Silence before this moment was the broker's.
    not_before_ms: i64,
    walking: Option<(i64, i64)>,
    silent_ticks: usize,
    silence: usize,
    round: usize,
    dice: Dice,
}

/// One life after the other, until one comes to its end.
pub fn run(scenario: &Scenario, schedule: &Schedule, trial: &mut Trial) {
    let mut dice = Dice::new(schedule.dice);
    let mut begin_ms = schedule.begin_ms;
    loop {
        let records = scenario.topic.records();
        let silence = dice.pick(&SILENT_TICKS);
        let mut consumer = Consumer {
            topic: Arc::clone(&scenario.topic),
            schedule,
            trial,
            readings: Vec::new(),
            now_ms: begin_ms,
            next_tick_ms: begin_ms + dice.between(1, schedule.every_ms + 1),
            next_survey_ms: begin_ms,
            not_before_ms: begin_ms,
            walking: None,
            silent_ticks: 0,
            silence: silence.min(1 + SILENT_TICKS_IN_ALL / (records + 1)),
            round: 0,
            dice,
        };
        consumer.live();
        consumer.end();
        let ended_ms = consumer.now_ms.max(consumer.trial.now_ms);
        dice = consumer.dice;
        let longest_ms = dice.pick(&[100, 60_000, DAY_MS]);
        begin_ms = ended_ms + dice.between(1, longest_ms);
        if !trial.next_life(scenario, begin_ms) {
            return;
        }
    }
}

impl Consumer<'_> {
    fn live(&mut self) {
        let last = self.topic.partitions.iter();
        let last = last.filter_map(|p| Some(p.records.last()?.at_ms)).max();
        let mut until_ms = None;
        loop {
            if self.now_ms >= self.next_survey_ms {
                self.survey();
            }
            let read = self.read();
            self.trial.turn(self.now_ms);
            if self.now_ms >= self.next_tick_ms {
                self.tick();
            }
            if self.is_resumed() {
                self.trial.save_if_due(self.now_ms);
            }
            if self.trial.is_over() {
                return;
            }
            let is_over = last.is_none_or(|last| self.now_ms >= last) && self.is_all_read();
            if is_over
                && self.now_ms >= *until_ms.get_or_insert(self.now_ms + self.schedule.tail_ms)
            {
                return;
            }
            if read || self.has_more() {
                self.silent_ticks = 0;
                self.now_ms += self.dice.between(1, self.schedule.round_ms + 1);
            } else {
                self.pass_time(until_ms);
            }
        }
    }

    /// Whether reading goes on in all partitions that a state knows.
    fn is_resumed(&self) -> bool {
        self.readings.len() >= self.trial.model.partitions()
    }

    fn is_out(&self) -> bool {
        let mut outages = self.schedule.outages.iter();
        outages.any(|(from, to)| (*from..*to).contains(&self.now_ms))
    }

    /// Records of a partition that are there by now.
    fn high(&self, partition: usize) -> usize {
        let records = &self.topic.partitions[partition].records;
        records.partition_point(|record| record.at_ms <= self.now_ms)
    }

    fn has_more(&self) -> bool {
        !self.is_out() && (0..self.readings.len()).any(|p| self.readings[p].position < self.high(p))
    }

    fn is_all_read(&self) -> bool {
        self.readings.len() == self.topic.partitions.len() && !self.is_out() && !self.has_more()
    }

    /// Looks for new partitions, and for those that have had nothing to read for long: only a broker that answers can
    /// tell.
    fn survey(&mut self) {
        self.next_survey_ms = self.now_ms + SURVEY_EVERY_MS;
        if self.is_out() {
            self.not_before_ms = self.now_ms;
            return;
        }
        while !self.is_resumed() {
            self.resume(self.readings.len());
        }
        while self.readings.len() < self.topic.partitions.len() {
            let partition = self.readings.len();
            if self.topic.partitions[partition].created_ms > self.now_ms {
                break;
            }
            self.add(partition);
        }
        for partition in 0..self.readings.len() {
            self.notice_lost(partition);
            let reading = &self.readings[partition];
            let since_ms = reading.last_frame_ms.max(self.not_before_ms);
            let is_idle = reading.at_end
                && reading.position == self.high(partition)
                && self.now_ms - since_ms >= self.schedule.idle_ms;
            if is_idle && (!reading.rests || self.dice.once_in(4)) {
                self.readings[partition].rests = true;
                self.trial.step(Step::Rest(partition), self.now_ms);
            }
        }
    }

    /// One that was there when the consumer began may be joined in its midst; a new one is read from its first offset.
    fn add(&mut self, partition: usize) {
        let is_known = self.topic.partitions[partition].created_ms <= self.schedule.begin_ms;
        let high = self.high(partition);
        let start = if is_known {
            self.schedule.starts[partition]
        } else {
            0
        };
        let start = start.min(high as i64);
        let unread = (start as usize) < high;
        self.trial.step(Step::Add { start, unread }, self.now_ms);
        self.begin_reading(start);
    }

    /// Goes on where the state is.
    fn resume(&mut self, partition: usize) {
        let next = self.trial.model.next_offset(partition);
        let unread = (next as usize) < self.high(partition);
        self.trial
            .step(Step::Resume { partition, unread }, self.now_ms);
        self.begin_reading(next);
    }

    fn begin_reading(&mut self, start: i64) {
        self.readings.push(Reading {
            position: start as usize,
            at_end: false,
            rests: false,
            last_frame_ms: self.now_ms,
        });
    }

    /// Records were deleted before they were read: reading goes on behind them.
    fn notice_lost(&mut self, partition: usize) {
        let Some((deleted, next)) = self.schedule.deleted else {
            return;
        };
        let went_out = self.schedule.outages.iter().any(|o| o.1 <= self.now_ms);
        let position = self.readings[partition].position as i64;
        if deleted == partition
            && went_out
            && position < next
            && next <= self.high(partition) as i64
        {
            self.readings[partition].position = next as usize;
            self.trial.step(Step::Gap { partition, next }, self.now_ms);
        }
    }

    /// Reads a little of everything; returns whether anything was there.
    fn read(&mut self) -> bool {
        self.round += 1;
        if self.is_out() || self.trial.output.is_behind() {
            return false;
        }
        let mut order: Vec<usize> = (0..self.readings.len()).collect();
        self.dice.shuffle(&mut order);
        let mut read = false;
        for partition in order {
            let throttle = self.schedule.throttle[partition];
            if self.round.is_multiple_of(throttle) {
                read |= self.read_from(partition);
            }
        }
        read
    }

    fn read_from(&mut self, partition: usize) -> bool {
        let high = self.high(partition);
        let from = self.readings[partition].position;
        let most = 1 + self.dice.below(self.schedule.fetch);
        let to = high.min(from + most);
        let topic = Arc::clone(&self.topic);
        let mut passed = false;
        for (at, record) in (from..).zip(&topic.partitions[partition].records[from..to]) {
            let offset = at as i64;
            match record.slot {
                // A client does not tell of it; what it says of its position comes later.
                Slot::Marker => passed = true,
                Slot::Frame { .. } => {
                    passed = false;
                    let reading = &mut self.readings[partition];
                    reading.last_frame_ms = self.now_ms;
                    (reading.at_end, reading.rests) = (false, false);
                    self.trial
                        .step(Step::Deliver { partition, offset }, self.now_ms);
                }
            }
        }
        if passed {
            let next = to as i64;
            self.trial.step(Step::Pass { partition, next }, self.now_ms);
        }
        self.readings[partition].position = to;
        if to == high && !self.readings[partition].at_end {
            self.readings[partition].at_end = true;
            self.trial.step(Step::ReachEnd(partition), self.now_ms);
        }
        to > from
    }

    /// Ticks stay on one beat; those that could not be kept are left out.
    fn tick(&mut self) {
        let every_ms = self.schedule.every_ms;
        let missed = (self.now_ms - self.next_tick_ms) / every_ms;
        self.next_tick_ms += (missed + 1) * every_ms;
        self.silent_ticks += 1;
        if self.is_resumed() {
            self.walk();
            let save = self.trial.save_is_due(self.now_ms, every_ms / 2);
            let tick = Step::Barrier(TICK.with_save(save));
            self.trial.step(tick, self.now_ms);
        }
    }

    /// While all partitions rest, time goes on as it does for everybody.
    fn walk(&mut self) {
        let as_of = self.trial.model.as_of();
        let (true, Some(as_of)) = (self.trial.model.all_rest(), as_of) else {
            self.walking = None;
            return;
        };
        let (since_ms, from) = *self.walking.get_or_insert((self.now_ms, as_of));
        let walked = from + (self.now_ms - since_ms) / 1_000;
        let last = i64::from(u32::MAX) - 1;
        self.trial.step(Step::Walk(walked.min(last)), self.now_ms);
    }

    /// Nothing is to be read. After some ticks time leaps to where something happens, or to shortly before.
    fn pass_time(&mut self, until_ms: Option<i64>) {
        let topic = Arc::clone(&self.topic);
        let records = topic.partitions.iter().zip(&self.readings);
        let records = records.filter_map(|(p, reading)| p.records.get(reading.position));
        let created = topic.partitions.iter().map(|p| p.created_ms);
        let outages = self.schedule.outages.iter().flat_map(|o| [o.0, o.1]);
        let moments = records.map(|record| record.at_ms).chain(created);
        let moments = moments.chain(outages).chain(until_ms);
        let next_ms = moments.filter(|at| *at > self.now_ms).min();
        let next_ms = next_ms.unwrap_or(self.now_ms + 1);
        let tick_ms = self.next_tick_ms.max(self.now_ms + 1);
        self.now_ms = if self.silent_ticks < self.silence {
            next_ms.min(tick_ms)
        } else if self.dice.once_in(3) {
            (next_ms - self.dice.between(1, 20_000)).max(self.now_ms + 1)
        } else {
            next_ms
        };
        if next_ms <= self.now_ms {
            self.silent_ticks = 0;
        }
    }

    fn end(&mut self) {
        if self.trial.kept.is_some() {
            if self.is_resumed() {
                self.walk();
            }
            let ends = self.schedule.ends && self.is_resumed();
            return self.trial.leave(self.is_resumed(), ends, self.now_ms);
        }
        if self.schedule.ends {
            let mut order: Vec<usize> = (0..self.readings.len()).collect();
            self.dice.shuffle(&mut order);
            for partition in order {
                self.trial.step(Step::Finish(partition), self.now_ms);
            }
        }
        if self.schedule.ends {
            self.trial.step(Step::Barrier(END), self.now_ms);
        }
        self.walk();
        self.trial.step(Step::Barrier(TICK), self.now_ms);
    }
}
