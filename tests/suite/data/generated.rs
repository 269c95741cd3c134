//! Made-up streams of several shapes against the exact counts that `headcount generate --truth` writes.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde_json::Value;

use super::outcome::{Outcome, Period, Window, generate_and_count};

/// A window beside its true number of users.
#[derive(Debug)]
struct Judged {
    of: String,
    found: Window,
    users: u64,
}

impl Judged {
    fn is_exact(&self) -> bool {
        self.found.lo == self.found.hi
    }

    fn is_covered(&self) -> bool {
        (self.found.lo..=self.found.hi).contains(&self.users)
    }

    /// Exact where it claims to be; elsewhere within five standard errors, as the interval has them.
    fn check(&self) {
        let error = self.found.users.abs_diff(self.users) as f64;
        let sigma = (self.found.hi - self.found.lo) as f64 / 3.92;
        assert!(
            error == 0.0 || error <= 5.0 * sigma,
            "{} is off by {:.1} standard errors: {self:?}",
            self.of,
            error / sigma
        );
    }
}

/// Counts a generated stream and compares it with its truth, window by window, frames included.
fn judge(dir: &Path, generate: &str, options: &str) -> (Outcome, Vec<Judged>) {
    let (truth, output) = generate_and_count(dir, generate, options);
    let outcome = Outcome::read(&output);
    let frames = &outcome.stats["frames"];
    assert_eq!(
        (&frames["read"], &frames["counted"]),
        (&truth["frames"], &truth["frames"])
    );
    assert_eq!(outcome.stats["as_of"], truth["last_ts"]);
    let mut judged = Vec::new();
    for period in Period::ALL.map(Period::name) {
        let mut frames: BTreeMap<i64, u64> = numbers(&truth["window_frames"][period]);
        let mut users: BTreeMap<i64, u64> = numbers(&truth["windows"][period]);
        for (start, found) in outcome.of(period) {
            let of = format!("{period} {start}");
            assert_eq!(frames.remove(&start), Some(found.frames), "frames of {of}");
            let users = users.remove(&start).unwrap();
            judged.push(Judged { of, found, users });
        }
        assert!(frames.is_empty(), "{period}s without a record: {frames:?}");
        judged.push(Judged {
            of: format!("last {period}"),
            found: outcome.trailing(period),
            users: truth["trailing"][format!("last_{period}")]
                .as_u64()
                .unwrap(),
        });
    }
    judged.iter().for_each(Judged::check);
    (outcome, judged)
}

fn numbers(by_start: &Value) -> BTreeMap<i64, u64> {
    let by_start = by_start.as_object().unwrap().iter();
    by_start
        .map(|(start, n)| (start.parse().unwrap(), n.as_u64().unwrap()))
        .collect()
}

/// Of the windows that are not exact, one of each set of users: those inside their interval, and all.
fn covered(judged: &[Judged]) -> (usize, usize) {
    // The same set gives the same registers and so the same estimate.
    let mut seen = BTreeSet::new();
    let estimated = judged.iter().filter(|j| !j.is_exact());
    let distinct: Vec<_> = estimated
        .filter(|j| seen.insert((j.users, j.found)))
        .collect();
    let inside = distinct.iter().filter(|j| j.is_covered()).count();
    (inside, distinct.len())
}

fn exactly(generate: &str, options: &str) -> Outcome {
    let dir = tempfile::tempdir().unwrap();
    let (outcome, judged) = judge(dir.path(), generate, options);
    for window in &judged {
        assert!(window.is_exact(), "few users, yet not exact: {window:?}");
    }
    outcome
}

#[test]
fn a_year_of_sparse_frames_counts_exactly() {
    let outcome = exactly(
        "--frames 12000 --users 3000 --span 1y --frame-bytes 150 --start 2023-03-05T07:00:00Z",
        "",
    );
    assert!(outcome.len() > 10_000, "only {} windows", outcome.len());
}

#[test]
fn frames_that_come_hours_late_count_exactly_within_retention() {
    let outcome = exactly(
        "--frames 50000 --users 4000 --span 20h --frame-bytes 150 --very-late 0.1 --very-late-by 5h",
        "--threads 3",
    );
    assert!(outcome.stats["frames"]["late"].as_u64().unwrap() > 4_000);
    assert_eq!(outcome.stats["frames"]["expired"], serde_json::json!({}));
}

#[test]
fn all_traps_at_once_count_exactly() {
    exactly(
        "--frames 5000 --users 900 --span 3d --frame-bytes 4000 --string-ts 0.3 --float-ts 0.3 --crlf 0.5 --late 0.5 \
         --delay 90s --skew 0.7",
        "--lateness 1m",
    );
}

#[test]
fn frames_older_than_a_period_s_retention_count_in_the_others() {
    let dir = tempfile::tempdir().unwrap();
    let (truth, output) = generate_and_count(
        dir.path(),
        "--frames 40000 --users 4000 --span 20h --frame-bytes 150 --very-late 0.1 --very-late-by 5h",
        "--retain-minutes 10m --retain-hours 1h",
    );
    let outcome = Outcome::read(&output);
    let frames = &outcome.stats["frames"];
    assert_eq!(frames["counted"], 40_000);
    for period in ["minute", "hour"] {
        let users = numbers(&truth["windows"][period]);
        let in_windows: u64 = outcome
            .of(period)
            .map(|(start, window)| {
                assert!(window.users <= users[&start], "{period} {start}");
                window.frames
            })
            .sum();
        let expired = frames["expired"][period].as_u64().unwrap();
        assert!(expired > 1_000, "{expired} expired");
        assert_eq!(in_windows + expired, 40_000, "{period}");
    }
    for period in ["day", "week", "month", "year"] {
        let users = outcome
            .of(period)
            .map(|(start, window)| (start, window.users));
        assert_eq!(
            users.collect::<BTreeMap<_, _>>(),
            numbers(&truth["windows"][period])
        );
        assert!(frames["expired"].get(period).is_none());
    }
}

#[test]
fn crowds_are_estimated_within_their_intervals() {
    let dir = tempfile::tempdir().unwrap();
    let shapes = [
        // One dense minute.
        (
            "--frames 60000 --users 20000 --span 1m --frame-bytes 100",
            "",
        ),
        (
            "--frames 60000 --users 20000 --span 1m --frame-bytes 100",
            "--precision 16",
        ),
        // An hour of 300,000 users.
        (
            "--frames 1500000 --users 300000 --span 1h --frame-bytes 100 --late 0",
            "--threads 2",
        ),
        // Small sketches make many estimates of a short stream.
        (
            "--frames 300000 --users 30000 --span 100m --frame-bytes 100 --seed 2",
            "--precision 12",
        ),
        (
            "--frames 300000 --users 80000 --span 40m --frame-bytes 100 --seed 3 --very-late 0.2 --very-late-by 20m",
            "--precision 14 --threads 5",
        ),
    ];
    for (generate, options) in shapes {
        let (_, judged) = judge(dir.path(), generate, options);
        let (inside, all) = covered(&judged);
        assert!(all > 0, "nothing was estimated: {generate} {options}");
        assert!(
            inside * 10 >= all * 9,
            "{inside} of {all} inside their intervals: {generate} {options}"
        );
    }
}
