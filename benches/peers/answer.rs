//! What contenders say, and what is true.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::Value;

/// Distinct users.
#[derive(Debug, Clone, Default)]
pub struct Answer {
    pub all: u64,
    /// By the unix second at which a minute starts; empty where nobody counts them.
    pub minutes: BTreeMap<i64, u64>,
}

impl Answer {
    /// Of a file as `headcount generate --truth` writes it; and its frames.
    pub fn truth(file: &Path) -> Option<(Answer, u64)> {
        let truth: Value = serde_json::from_slice(&std::fs::read(file).ok()?).ok()?;
        let minutes = truth["windows"]["minute"].as_object()?.iter();
        let minutes =
            minutes.filter_map(|(start, users)| Some((start.parse().ok()?, users.as_u64()?)));
        let answer = Answer {
            all: truth["unique"].as_u64()?,
            minutes: minutes.collect(),
        };
        Some((answer, truth["frames"].as_u64()?))
    }

    /// How far off the number of all users is, as a share of what it is.
    pub fn error(&self, truth: &Answer) -> f64 {
        off(self.all, truth.all)
    }

    /// The same of the minute that is furthest off.
    pub fn worst_minute(&self, truth: &Answer) -> Option<f64> {
        let of = |(start, exact): (&i64, &u64)| {
            off(self.minutes.get(start).copied().unwrap_or(0), *exact).abs()
        };
        (!self.minutes.is_empty()).then(|| truth.minutes.iter().map(of).fold(0.0, f64::max))
    }
}

fn off(users: u64, exact: u64) -> f64 {
    users as f64 / exact as f64 - 1.0
}

/// How to read what a contender prints.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Says {
    /// It counts no users.
    Nothing,
    /// One number.
    Number,
    /// `all USERS` and `minute START USERS`.
    Lines,
    /// The records of headcount; all frames are of one day.
    Records,
}

impl Says {
    pub fn read(self, text: &str) -> Option<Answer> {
        match self {
            Says::Nothing => None,
            Says::Number => Some(Answer {
                all: text.trim().parse().ok()?,
                ..Answer::default()
            }),
            Says::Lines => lines(text),
            Says::Records => records(text),
        }
    }
}

fn lines(text: &str) -> Option<Answer> {
    let (mut all, mut minutes) = (None, BTreeMap::new());
    for line in text.lines() {
        match line.split(' ').collect::<Vec<_>>()[..] {
            ["all", users] => all = users.parse().ok(),
            ["minute", start, users] => {
                minutes.insert(start.parse().ok()?, users.parse().ok()?);
            }
            _ => return None,
        }
    }
    Some(Answer { all: all?, minutes })
}

fn records(text: &str) -> Option<Answer> {
    let (mut all, mut minutes) = (None, BTreeMap::new());
    for line in text.lines() {
        let record: Value = serde_json::from_str(line).ok()?;
        let users = record["users"].as_u64();
        match record["window"].as_str() {
            Some("day") => all = users,
            Some("minute") => {
                let start: jiff::Timestamp = record["start"].as_str()?.parse().ok()?;
                minutes.insert(start.as_second(), users?);
            }
            _ => {}
        }
    }
    Some(Answer { all: all?, minutes })
}
