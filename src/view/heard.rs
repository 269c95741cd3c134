//! Published records as a reader sees them: what is needed of them, whatever else stands there.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::WINDOWS;
use crate::engine::report::record::{STATS_SCHEMA, WINDOW_SCHEMA};
use crate::limits::VIEW_TEXT_CHARS_MAX;

/// Anybody may publish to a topic, and a terminal obeys control characters: none of them gets further than this, nor
/// more text than a line or two.
fn printable(text: &str) -> String {
    let shown = text.chars().take(VIEW_TEXT_CHARS_MAX);
    shown
        .map(|c| if c.is_control() { '\u{fffd}' } else { c })
        .collect()
}

/// A tick, as docs/FORMAT.md describes it.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Tick {
    schema: String,
    #[serde(flatten)]
    users: BTreeMap<String, serde_json::Value>,
    /// The job's name.
    pub job: String,
    /// Greatest event time counted, unix seconds.
    pub as_of: Option<i64>,
    /// Event time from which on the counts are whole, unix seconds.
    pub since: Option<i64>,
    /// Start of the service, unix milliseconds: another one is another run.
    pub epoch: u64,
    /// Number of the tick in its run.
    pub tick: u64,
    intervals: BTreeMap<String, (u64, u64)>,
    /// The ledger.
    pub frames: Frames,
    /// How the service fares; older services do not tell.
    #[serde(default)]
    pub process: Process,
    /// Zone of the calendar windows.
    pub tz: String,
    /// What is read.
    pub source: Source,
}

/// The ledger of a tick.
#[derive(Debug, Clone, PartialEq, Default, Deserialize)]
pub struct Frames {
    /// Frames delivered.
    pub read: u64,
    /// Frames that count.
    pub counted: u64,
    /// Of those: late ones.
    pub late: u64,
    /// Frames of nobody.
    pub ignored: u64,
    /// Good frames whose time is not believed.
    #[serde(default)]
    pub quarantined: u64,
    /// Good frames that wait for others to confirm their time.
    #[serde(default)]
    pub pending: u64,
    /// Rejected frames by reason.
    pub rejected: BTreeMap<String, u64>,
}

/// How the service fares.
#[derive(Debug, Clone, Copy, PartialEq, Default, Deserialize)]
#[serde(default)]
pub struct Process {
    /// Milliseconds since its start.
    pub uptime_ms: Option<u64>,
    /// CPU time since its start, milliseconds.
    pub cpu_ms: Option<u64>,
    /// Resident memory, bytes.
    pub resident_bytes: Option<u64>,
    /// Bytes of frames read.
    pub read_bytes: Option<u64>,
    /// Frames published and not yet read.
    pub lag: Option<u64>,
}

/// What a service reads.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Source {
    /// Input topics.
    pub topic: String,
    /// The next offset of each partition.
    pub offsets: BTreeMap<String, i64>,
}

/// One number of a tick.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Count {
    /// Distinct users.
    pub users: u64,
    /// Lower bound of the 95 % interval.
    pub lo: u64,
    /// Upper bound; equal bounds mean that the number is exact.
    pub hi: u64,
}

impl Count {
    /// Whether the number is exact.
    #[must_use]
    pub fn is_exact(self) -> bool {
        self.lo == self.hi
    }

    /// The relative error against the truth; 0 where both are 0.
    #[must_use]
    pub fn error(self, truth: u64) -> f64 {
        if self.users == truth {
            return 0.0;
        }
        (self.users as f64 - truth as f64) / truth.max(1) as f64
    }
}

impl Tick {
    /// Reads a tick.
    ///
    /// # Errors
    ///
    /// Why the record is none.
    pub fn parse(payload: &[u8]) -> Result<Self, String> {
        let mut tick: Self =
            serde_json::from_slice(payload).map_err(|error| printable(&error.to_string()))?;
        if tick.schema != STATS_SCHEMA {
            return Err(format!("its schema is '{}'", printable(&tick.schema)));
        }
        for text in [&mut tick.job, &mut tick.tz, &mut tick.source.topic] {
            *text = printable(text);
        }
        let reasons = std::mem::take(&mut tick.frames.rejected);
        tick.frames.rejected = reasons
            .into_iter()
            .map(|(reason, n)| (printable(&reason), n))
            .collect();
        Ok(tick)
    }

    /// The six trailing counts, the shortest window first.
    #[must_use]
    pub fn counts(&self) -> [Count; 6] {
        WINDOWS.map(|window| {
            let users = self.users.get(&format!("users_last_{window}"));
            let users = users.and_then(serde_json::Value::as_u64).unwrap_or(0);
            let interval = self.intervals.get(&format!("last_{window}"));
            let (lo, hi) = interval.copied().unwrap_or((users, users));
            Count { users, lo, hi }
        })
    }
}

/// A calendar window's record.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Window {
    schema: String,
    /// The period's name.
    pub window: String,
    /// Its first instant, RFC 3339 in the zone.
    pub start: String,
    /// Distinct users.
    pub users: u64,
    /// Frames counted in it.
    pub frames: u64,
    /// `provisional`, `final` or `revised`.
    pub state: String,
    /// The job's name.
    pub job: String,
}

impl Window {
    /// Reads a window's record.
    ///
    /// # Errors
    ///
    /// Why the record is none.
    pub fn parse(payload: &[u8]) -> Result<Self, String> {
        let mut window: Self =
            serde_json::from_slice(payload).map_err(|error| printable(&error.to_string()))?;
        if window.schema != WINDOW_SCHEMA {
            return Err(format!("its schema is '{}'", printable(&window.schema)));
        }
        for text in [&mut window.window, &mut window.start, &mut window.job] {
            *text = printable(text);
        }
        Ok(window)
    }

    /// Whether it is final.
    #[must_use]
    pub fn is_final(&self) -> bool {
        self.state == "final"
    }

    /// Its start as people say it on a day, such as 2026-11-24: `the minute 11:59`, `the day 2026-11-24`.
    #[must_use]
    pub fn spoken(&self, today: &str) -> String {
        let (date, time) = self.start.split_once('T').unwrap_or((&self.start, ""));
        let clock = time.get(..5).unwrap_or(time);
        let clock = match date == today {
            true => clock.to_owned(),
            false => format!("{clock} of {date}"),
        };
        match self.window.as_str() {
            "minute" => format!("the minute {clock}"),
            "hour" => format!("the hour from {clock}"),
            "day" => format!("the day {date}"),
            "month" => format!("the month {}", date.get(..7).unwrap_or(date)),
            "year" => format!("the year {}", date.get(..4).unwrap_or(date)),
            period => format!("the {period} from {date}"),
        }
    }
}
