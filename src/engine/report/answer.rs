//! Answers to questions from outside, field by field as docs/FORMAT.md lists them.

use std::collections::BTreeMap;
use std::fmt::Write;

use serde::{Deserialize, Serialize};

/// The schema of an answer about users.
pub const USERS_SCHEMA: &str = "headcount.users/1";
/// The schema of a series of windows.
pub const WINDOWS_SCHEMA: &str = "headcount.windows/1";

/// How many distinct users there were in a stretch of event time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UsersAnswer {
    /// `headcount.users/1`.
    pub schema: String,
    /// Distinct users.
    pub users: u64,
    /// Lower bound of the 95 % interval.
    pub lo: u64,
    /// Upper bound; equal bounds mean that the number is exact.
    pub hi: u64,
    /// First instant of what was counted, RFC 3339 in the zone; `None` before the first counted frame.
    pub from: Option<String>,
    /// First instant after it.
    pub to: Option<String>,
    /// Whether every frame of it can have been read.
    pub complete: bool,
    /// Of calendar windows: whether all of them are closed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub closed: Option<bool>,
    /// Of calendar windows: those with frames whose users were put together, by start.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub windows: Option<Vec<UsedWindow>>,
    /// Of calendar windows: what was asked for and is not kept any more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub missing: Option<Vec<Stretch>>,
    /// What is known of the moment.
    #[serde(flatten)]
    pub moment: Moment,
}

/// A calendar window that an answer is put together from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UsedWindow {
    /// The period's name.
    pub window: String,
    /// First instant, RFC 3339 in the zone.
    pub start: String,
    /// First instant after it.
    pub end: String,
}

/// A stretch of event time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stretch {
    /// First instant, RFC 3339 in the zone.
    pub from: String,
    /// First instant after it.
    pub to: String,
}

/// The moment of an answer, as in a tick.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Moment {
    /// Greatest event time counted, unix seconds.
    pub as_of: Option<u32>,
    /// From when on the counts are whole, unix seconds.
    pub since: Option<u32>,
    /// The event time before which no frame on time is expected any more, unix seconds.
    pub watermark: Option<i64>,
    /// The zone.
    pub tz: String,
    /// The next offset of each partition: the answer reflects all before it and nothing else.
    pub offsets: BTreeMap<String, i64>,
}

/// A series of calendar windows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WindowsAnswer {
    /// `headcount.windows/1`.
    pub schema: String,
    /// The period's name.
    pub window: String,
    /// Those with frames, by start.
    pub windows: Vec<WindowRow>,
    /// The start of the nearest window that was left out for the limit, RFC 3339.
    pub more: Option<String>,
    /// What is known of the moment.
    #[serde(flatten)]
    pub moment: Moment,
}

impl WindowsAnswer {
    /// As CSV, with a header. No field can hold a comma, a quote or a line break: all are numbers, times and fixed names.
    #[must_use]
    pub fn csv(&self) -> String {
        let header = "window,start,end,tz,users,lo,hi,frames,late,state,complete,revision\n";
        let mut text = header.to_owned();
        for row in &self.windows {
            let revision = row.revision.map(|n| n.to_string()).unwrap_or_default();
            // Writing into a string does not fail.
            let _ = writeln!(
                text,
                "{},{},{},{},{},{},{},{},{},{},{},{revision}",
                self.window,
                row.start,
                row.end,
                self.moment.tz,
                row.users,
                row.lo,
                row.hi,
                row.frames,
                row.late,
                row.state,
                row.complete
            );
        }
        text
    }
}

/// One window of a series.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WindowRow {
    /// First instant, RFC 3339 in the zone.
    pub start: String,
    /// First instant after it.
    pub end: String,
    /// Distinct users.
    pub users: u64,
    /// Lower bound of the 95 % interval.
    pub lo: u64,
    /// Upper bound; equal bounds mean that the number is exact.
    pub hi: u64,
    /// Frames counted in it.
    pub frames: u64,
    /// Of those: late ones.
    pub late: u64,
    /// `provisional`, `final` or `revised`.
    pub state: String,
    /// What closed it, once its final is out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub closed_by: Option<String>,
    /// Whether every frame of it can have been read.
    pub complete: bool,
    /// The number of its last revision, 0 for its final.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revision: Option<u32>,
}
