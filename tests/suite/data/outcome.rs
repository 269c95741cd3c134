//! What `headcount count --format json` prints, read back.

use std::collections::BTreeMap;
use std::path::Path;

use chrono::{DateTime, Datelike, Days, Months, TimeZone, Utc};
use serde_json::Value;

use crate::support::process;

/// Runs `headcount count` with these options and bytes; JSON unless the options say otherwise.
pub fn count(options: &[&str], stdin: &[u8]) -> String {
    let mut command = process::headcount();
    command.arg("count").args(options);
    let (output, complaints) = process::run_ok(command, stdin);
    // What is said of frames that came after their window was forgotten is in the ledger too.
    let is_other = |line: &&str| !line.contains("came after their window was forgotten");
    let others: Vec<_> = complaints.lines().filter(is_other).collect();
    assert!(others.is_empty(), "{options:?}: {others:?}");
    let tells = output.contains("\"expired\":{\"");
    assert_eq!(tells, !complaints.is_empty(), "{options:?}");
    output
}

/// Runs `headcount generate` with these options, and counts what it wrote with those. Gives the truth and the output.
pub fn generate_and_count(dir: &Path, generate: &str, options: &str) -> (Value, String) {
    let (frames, truth) = (dir.join("frames.jsonl"), dir.join("truth.json"));
    let mut command = process::headcount();
    command.arg("generate").args(generate.split_whitespace());
    command.arg("-o").arg(&frames).arg("--truth").arg(&truth);
    assert_eq!(
        process::run_ok(command, b""),
        (String::new(), String::new())
    );
    let mut options: Vec<&str> = options.split_whitespace().collect();
    options.push(frames.to_str().unwrap());
    let truth = serde_json::from_slice(&std::fs::read(&truth).unwrap()).unwrap();
    (truth, count(&options, b""))
}

/// The numbers of one window.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Window {
    pub users: u64,
    pub lo: u64,
    pub hi: u64,
    pub frames: u64,
    pub late: u64,
}

/// All records of one run.
pub struct Outcome {
    windows: BTreeMap<(String, i64), Window>,
    pub stats: Value,
}

impl Outcome {
    /// Reads them back, and checks what holds for any run: each window once, final, within its calendar, its number
    /// inside its interval; the ledger balanced and last.
    pub fn read(output: &str) -> Outcome {
        let mut records: Vec<Value> = output
            .lines()
            .map(|line| serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}")))
            .collect();
        let stats = records.pop().expect("the stats come last");
        assert_eq!(stats["schema"], "headcount.stats/1");
        let frames = &stats["frames"];
        let sum = |name: &str| -> u64 {
            let parts = frames[name].as_object().unwrap().values();
            parts.map(|n| n.as_u64().unwrap()).sum()
        };
        let number = |name: &str| frames[name].as_u64().unwrap();
        assert_eq!(
            number("read"),
            number("counted")
                + number("ignored")
                + number("quarantined")
                + sum("rejected")
                + number("pending"),
            "{stats}"
        );
        let mut windows = BTreeMap::new();
        for (i, record) in records.iter().enumerate() {
            let (name, start, window) = read_window(record);
            assert_eq!(record["seq"], i + 1, "{record}");
            let again = windows.insert((name, start), window);
            assert!(again.is_none(), "twice: {record}");
        }
        Outcome { windows, stats }
    }

    pub fn len(&self) -> usize {
        self.windows.len()
    }

    /// The windows of a period by start.
    pub fn of(&self, period: &str) -> impl Iterator<Item = (i64, Window)> {
        let windows = self
            .windows
            .iter()
            .filter(move |((name, _), _)| name == period);
        windows.map(|((_, start), window)| (*start, *window))
    }

    pub fn window(&self, period: &str, start: &str) -> Window {
        self.windows[&(period.to_owned(), unix(start))]
    }

    /// The trailing window of a period; it has no frames.
    pub fn trailing(&self, period: &str) -> Window {
        let interval = &self.stats["intervals"][format!("last_{period}")];
        let window = Window {
            users: self.stats[format!("users_last_{period}")].as_u64().unwrap(),
            lo: interval[0].as_u64().unwrap(),
            hi: interval[1].as_u64().unwrap(),
            frames: 0,
            late: 0,
        };
        assert!(
            window.lo <= window.users && window.users <= window.hi,
            "{window:?}"
        );
        window
    }
}

fn read_window(record: &Value) -> (String, i64, Window) {
    let number = |name: &str| {
        record[name]
            .as_u64()
            .unwrap_or_else(|| panic!("{name}: {record}"))
    };
    let window = Window {
        users: number("users"),
        lo: number("lo"),
        hi: number("hi"),
        frames: number("frames"),
        late: number("late"),
    };
    assert_eq!(record["schema"], "headcount.window/1");
    assert_eq!(
        (&record["state"], &record["complete"]),
        (&"final".into(), &true.into())
    );
    assert!(
        window.lo <= window.users && window.users <= window.hi,
        "{record}"
    );
    assert!(
        window.late <= window.frames && window.users <= window.frames.max(window.hi),
        "{record}"
    );
    assert!(window.frames > 0, "nobody was there: {record}");
    let name = record["window"].as_str().unwrap();
    let period = Period::ALL.into_iter().find(|p| p.name() == name).unwrap();
    let (start, end) = (&record["start"], &record["end"]);
    let (start, end) = (unix(start.as_str().unwrap()), unix(end.as_str().unwrap()));
    if record["tz"] == "UTC" {
        assert_eq!(period.start_of(start), start, "{record}");
        assert_eq!(period.start_of(end), end, "{record}");
        assert_eq!(period.start_of(end - 1), start, "{record}");
    }
    (name.to_owned(), start, window)
}

fn unix(rfc3339: &str) -> i64 {
    DateTime::parse_from_rfc3339(rfc3339)
        .unwrap_or_else(|error| panic!("{rfc3339}: {error}"))
        .timestamp()
}

/// A period of the calendar in UTC, by another library than the program's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Period {
    Minute,
    Hour,
    Day,
    Week,
    Month,
    Year,
}

impl Period {
    pub const ALL: [Self; 6] = [
        Self::Minute,
        Self::Hour,
        Self::Day,
        Self::Week,
        Self::Month,
        Self::Year,
    ];

    pub fn name(self) -> &'static str {
        ["minute", "hour", "day", "week", "month", "year"][self as usize]
    }

    /// The first second of the window that holds a second.
    pub fn start_of(self, ts: i64) -> i64 {
        let day = DateTime::from_timestamp(ts, 0).unwrap().date_naive();
        let midnight = |date: chrono::NaiveDate| {
            Utc.from_utc_datetime(&date.and_hms_opt(0, 0, 0).unwrap())
                .timestamp()
        };
        match self {
            Self::Minute => ts - ts.rem_euclid(60),
            Self::Hour => ts - ts.rem_euclid(3_600),
            Self::Day => midnight(day),
            Self::Week => midnight(day - Days::new(day.weekday().num_days_from_monday().into())),
            Self::Month => midnight(day.with_day(1).unwrap()),
            Self::Year => midnight(day.with_ordinal(1).unwrap()),
        }
    }

    /// The second after which the trailing window as of a second begins.
    pub fn before(self, as_of: i64) -> i64 {
        let back = |months| {
            let at = DateTime::from_timestamp(as_of, 0).unwrap();
            (at - Months::new(months)).timestamp()
        };
        match self {
            Self::Minute => as_of - 60,
            Self::Hour => as_of - 3_600,
            Self::Day => as_of - 86_400,
            Self::Week => as_of - 604_800,
            Self::Month => back(1),
            Self::Year => back(12),
        }
    }
}
