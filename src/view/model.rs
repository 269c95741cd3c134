//! What is known of a service at a moment: the last tick, what came before it, and what happened.

use std::collections::VecDeque;

use jiff::tz::TimeZone;

use super::heard::{Tick, Window};
use super::number::grouped;
use crate::limits::{VIEW_BEATS_MAX, VIEW_NEWS_MAX};

/// What was measured between two ticks of one run.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Beat {
    /// Users of the last minute at the tick.
    pub users: u64,
    /// Frames read a second.
    pub frames_per_s: Option<f64>,
    /// Bytes read a second.
    pub bytes_per_s: Option<f64>,
    /// Cores kept busy.
    pub cores: Option<f64>,
    /// Frames published and not yet read.
    pub lag: Option<u64>,
    /// Time since the tick before, milliseconds.
    pub gap_ms: Option<u64>,
}

/// Something that happened, in words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct News {
    /// When, unix milliseconds on the clock of whoever watches.
    pub at_ms: u64,
    /// What.
    pub text: String,
    /// Whether somebody should look at it.
    pub is_warning: bool,
}

/// A key and what it does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Key {
    /// As it is typed.
    pub key: char,
    /// What it does, in a word or two.
    pub does: &'static str,
}

/// Everything that a screen or a line shows.
#[derive(Debug, Default)]
pub struct Model {
    /// What is being shown, such as `headcount top`.
    pub title: String,
    /// Where it is, such as `stats on localhost:9092`.
    pub place: String,
    /// Whether there may be other jobs, so that it matters which one is shown.
    pub names_job: bool,
    /// What the keys do.
    pub keys: Vec<Key>,
    /// What a producer beside the view is doing, if there is one.
    pub producer: Option<String>,
    /// What is wrong with the brokers or the topic, if anything.
    pub trouble: Option<String>,
    tick: Option<Tick>,
    truth: Option<[u64; 6]>,
    heard_ms: u64,
    beats: VecDeque<Beat>,
    news: VecDeque<News>,
}

impl Model {
    /// A model of which nothing is known yet.
    #[must_use]
    pub fn new(title: &str, place: &str, keys: &[Key]) -> Self {
        Self {
            title: title.to_owned(),
            place: place.to_owned(),
            keys: keys.to_vec(),
            ..Self::default()
        }
    }

    /// Takes a tick, with the true counts at the same offsets if they are known. `at_ms` is when it was published, unix
    /// milliseconds.
    pub fn take_tick(&mut self, tick: Tick, truth: Option<[u64; 6]>, at_ms: u64) {
        let beat = self.beat(&tick);
        if let Some(before) = &self.tick
            && before.epoch != tick.epoch
        {
            self.beats.clear();
            self.tell(at_ms, "the service was started anew".to_owned());
        }
        push(&mut self.beats, beat, VIEW_BEATS_MAX);
        self.heard_ms = at_ms;
        self.trouble = None;
        self.truth = truth;
        self.tick = Some(tick);
    }

    fn beat(&self, tick: &Tick) -> Beat {
        let users = tick.counts()[0].users;
        let lag = tick.process.lag;
        let alone = Beat {
            users,
            lag,
            ..Beat::default()
        };
        let before = self.tick.as_ref().filter(|t| t.epoch == tick.epoch);
        let Some(before) = before else { return alone };
        let uptimes = tick.process.uptime_ms.zip(before.process.uptime_ms);
        let gap_ms = uptimes.and_then(|(now, then)| now.checked_sub(then));
        let Some(gap_ms) = gap_ms.filter(|ms| *ms > 0) else {
            return alone;
        };
        let a_second =
            |now: u64, then: u64| now.saturating_sub(then) as f64 * 1_000.0 / gap_ms as f64;
        let bytes = tick.process.read_bytes.zip(before.process.read_bytes);
        let cpu = tick.process.cpu_ms.zip(before.process.cpu_ms);
        Beat {
            users,
            lag,
            gap_ms: Some(gap_ms),
            frames_per_s: Some(a_second(tick.frames.read, before.frames.read)),
            bytes_per_s: bytes.map(|(now, then)| a_second(now, then)),
            cores: cpu.map(|(now, then)| a_second(now, then) / 1_000.0),
        }
    }

    /// Takes a window's record; only finals are news.
    pub fn take_window(&mut self, window: &Window, at_ms: u64) {
        if window.is_final() {
            let (users, frames) = (grouped(window.users), grouped(window.frames));
            let text = format!(
                "{} became final: {users} users in {frames} frames",
                window.spoken(&self.date(at_ms))
            );
            self.tell(at_ms, text);
        }
    }

    /// Notes that something happened.
    pub fn tell(&mut self, at_ms: u64, text: String) {
        let news = News {
            at_ms,
            text,
            is_warning: false,
        };
        push(&mut self.news, news, VIEW_NEWS_MAX);
    }

    /// Notes that something happened that somebody should look at.
    pub fn warn(&mut self, at_ms: u64, text: String) {
        let news = News {
            at_ms,
            text,
            is_warning: true,
        };
        push(&mut self.news, news, VIEW_NEWS_MAX);
    }

    /// The last tick.
    #[must_use]
    pub fn tick(&self) -> Option<&Tick> {
        self.tick.as_ref()
    }

    /// The true counts at the offsets of the last tick.
    #[must_use]
    pub fn truth(&self) -> Option<[u64; 6]> {
        self.truth
    }

    /// The newest beat.
    #[must_use]
    pub fn beat_now(&self) -> Beat {
        self.beats.back().copied().unwrap_or_default()
    }

    /// The newest beats, as many as asked for or there are, the oldest first.
    pub fn beats(&self, most: usize) -> impl Iterator<Item = &Beat> {
        self.beats.range(self.beats.len().saturating_sub(most)..)
    }

    /// The newest news, the newest first.
    pub fn news(&self) -> impl Iterator<Item = &News> {
        self.news.iter().rev()
    }

    /// What to say of a tick that does not come; nothing while it may still come in time.
    #[must_use]
    pub fn silence(&self, now_ms: u64) -> Option<String> {
        self.tick.as_ref()?;
        let quiet_ms = now_ms.saturating_sub(self.heard_ms);
        // Two ticks may be missed, and records take a moment.
        let gap_ms = self.beat_now().gap_ms.unwrap_or(5_000);
        let patience_ms = gap_ms.saturating_mul(3).saturating_add(1_000);
        let quiet_s = quiet_ms / 1_000;
        (quiet_ms > patience_ms)
            .then(|| format!("no tick for {quiet_s} s: is the service running?"))
    }

    /// What to say before the first tick, or when something is wrong; nothing while all is well.
    #[must_use]
    pub fn complaint(&self, now_ms: u64) -> Option<String> {
        if self.trouble.is_some() {
            return self.trouble.clone();
        }
        match self.tick {
            Some(_) => self.silence(now_ms),
            None => Some("waiting for the first tick".to_owned()),
        }
    }

    /// The greatest event time counted as people read it, in the job's zone.
    #[must_use]
    pub fn as_of(&self) -> Option<String> {
        let tick = self.tick.as_ref()?;
        let at = jiff::Timestamp::from_second(tick.as_of?).ok()?;
        let at = at.to_zoned_datetime(self.zone());
        Some(format!("{} {}", at.strftime("%Y-%m-%d %H:%M:%S"), tick.tz))
    }

    /// A moment, unix milliseconds, as the time of day in the job's zone.
    #[must_use]
    pub fn time_of_day(&self, at_ms: u64) -> String {
        self.formatted(at_ms, "%H:%M:%S")
    }

    fn date(&self, at_ms: u64) -> String {
        self.formatted(at_ms, "%Y-%m-%d")
    }

    fn formatted(&self, at_ms: u64, format: &str) -> String {
        let at = i64::try_from(at_ms).ok();
        let at = at.and_then(|ms| jiff::Timestamp::from_millisecond(ms).ok());
        at.map_or_else(String::new, |at| {
            let at = at.to_zoned_datetime(self.zone());
            at.strftime(format).to_string()
        })
    }

    fn zone(&self) -> TimeZone {
        let zone = self.tick.as_ref().map(|tick| TimeZone::get(&tick.tz));
        zone.and_then(Result::ok).unwrap_or(TimeZone::UTC)
    }
}

fn push<T>(queue: &mut VecDeque<T>, item: T, most: usize) {
    if queue.len() == most {
        queue.pop_front();
    }
    queue.push_back(item);
}
