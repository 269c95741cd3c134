//! Killed at any moment, and taken up again: nothing is lost, nothing is counted twice, and whoever reads the output can
//! prove it.

use crate::support::broker::Broker;
use crate::support::process::{Service, headcount, run_ok};
use crate::world::{Frame, Job, NOON, Published, SOON, bad, seen, stop};
use serde_json::Value;
use std::collections::BTreeMap;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use tempfile::TempDir;

const SIGABRT: i32 = 6;
const SIGKILL: i32 = 9;
const THREADS: [&str; 6] = ["1", "2", "3", "5", "8", "16"];
/// Where the process dies by itself, and at which time that it comes there.
const PLACES: [&str; 12] = [
    "before_commit:1",
    "before_commit:3",
    "after_commit:1",
    "after_commit:2",
    "produce:1",
    "produce:4",
    "acknowledge:1",
    "acknowledge:3",
    "trim:1",
    "trim:2",
    "commit_offsets:1",
    "commit_offsets:2",
];

/// Frames of six minutes over three partitions: some late, some with a flipped bit, some broken.
fn part(number: u32) -> Vec<Frame> {
    let frame = |n: u32| {
        let partition = (n % 3) as i32;
        let now = NOON + number * 360 + n / 4;
        match n {
            n if n % 97 == 5 => bad(partition, "uid_missing", Some(b"{}")),
            n if n % 89 == 7 => seen(partition, n, now ^ (1 << (n % 29))),
            n if n % 61 == 3 => seen(partition, n % 50, now - n * 3 % 4_000),
            n => seen(partition, (number * 131 + n * 7) % 900, now),
        }
    };
    (0..1_440).map(frame).collect()
}

fn options<'a>(state: &'a str, threads: &'a str) -> [&'a str; 10] {
    [
        "--state",
        state,
        "--checkpoint-interval",
        "100ms",
        "--every",
        "200ms",
        "--threads",
        threads,
        "--max-jump",
        "60s",
    ]
}

/// Runs the service until it dies: by itself at a place, or killed once so many records have come.
fn die(job: &Job, state: &str, run: usize) {
    let mut command = job.command(&options(state, THREADS[run % THREADS.len()]));
    let place = PLACES.get(run);
    if let Some(place) = place {
        command.env("HEADCOUNT_FAILPOINT", place);
    }
    let epoch = |tick: &Published| tick.int("/epoch");
    let last = place.map_or_else(|| job.ticks().up_to_now().last().map_or(0, epoch), |_| 0);
    let mut service = Service::spawn(command);
    let signal = match place {
        Some(_) => SIGABRT,
        None => {
            service.stderr_line("going on from", SOON);
            // At once, or after the first or second tick of this run.
            let mut ticks = job.ticks();
            (0..run % 3).for_each(|_| drop(ticks.until("this run", |tick| epoch(tick) > last)));
            service.signal("KILL");
            SIGKILL
        }
    };
    let status = service.wait(SOON);
    let stderr = service.stderr();
    assert_eq!(
        status.signal(),
        Some(signal),
        "{place:?}: {status}\n{stderr}"
    );
}

/// The last word on each window, and how often a record came twice. Every final and revision is there, and whatever
/// came twice is the same.
fn last_words(records: &[Published]) -> (BTreeMap<(String, i64), Published>, usize) {
    let mut by_seq: BTreeMap<i64, &Published> = BTreeMap::new();
    let mut repeated = 0;
    for record in records.iter().filter(|r| r.str("/state") != "provisional") {
        if let Some(first) = by_seq.insert(record.int("/seq"), record) {
            assert_eq!(first.text, record.text, "one number, two records");
            repeated += 1;
        }
    }
    let numbers: Vec<i64> = by_seq.keys().copied().collect();
    let all: Vec<i64> = (1..=numbers.len() as i64).collect();
    assert_eq!(numbers, all, "none is missing");
    let mut last: BTreeMap<_, Published> = BTreeMap::new();
    for record in by_seq.into_values() {
        let before = last.insert(record.window(), record.clone());
        let revision = before.as_ref().map_or(0, |b| b.int("/revision") + 1);
        assert_eq!(record.int("/revision"), revision, "{}", record.text);
    }
    (last, repeated)
}

fn last_digest(ticks: &[Published]) -> String {
    let digests = ticks.iter().rev();
    let mut digests = digests.filter_map(|tick| tick.value.pointer("/state_digest")?.as_str());
    digests.next().expect("a digest").to_owned()
}

#[test]
fn killed_twenty_times_it_says_what_it_would_have_said() {
    let Some(broker) = Broker::shared() else {
        return;
    };
    let job = Job::with_topic(broker.address(), "killed", 3);
    let directory = TempDir::new().expect("a directory");
    let path = |name: &str| directory.path().join(name).display().to_string();
    let state = path("state");
    for run in 0..20 {
        job.send(&part(run as u32));
        die(&job, &state, run);
    }
    job.send(&part(20));
    job.run_to_end(&options(&state, "2"));
    assert_as_without_an_accident(&job, &directory);
    let (_, repeated) = last_words(&job.window_records().up_to_now());
    assert!(repeated > 0, "after some of the deaths finals come again");
    assert_ticks_can_be_had_again(&job, &directory);
}

/// An end of input closes windows and settles what waits, for the records alone.
#[test]
fn an_end_of_input_now_and_then_changes_nothing_in_the_end() {
    let Some(broker) = Broker::shared() else {
        return;
    };
    let job = Job::with_topic(broker.address(), "ends", 3);
    let directory = TempDir::new().expect("a directory");
    let state = directory.path().join("state").display().to_string();
    // Now and then there are too few frames for a clock, and once none.
    for (run, frames) in [5, 1_440, 0, 20, 700, 3, 1_440, 1_200]
        .into_iter()
        .enumerate()
    {
        job.send(&part(run as u32)[..frames]);
        job.run_to_end(&options(&state, THREADS[run % THREADS.len()]));
    }
    assert_as_without_an_accident(&job, &directory);
}

#[test]
fn told_to_stop_and_started_again_it_goes_on_where_it_was() {
    let Some(broker) = Broker::shared() else {
        return;
    };
    let job = Job::with_topic(broker.address(), "stops", 3);
    let directory = TempDir::new().expect("a directory");
    let state = directory.path().join("state").display().to_string();
    for run in 0..6 {
        job.send(&part(run));
        let mut service = Service::spawn(job.command(&options(&state, "2")));
        let known = ["going on from", "\"reading\""][usize::from(run == 0)];
        service.stderr_line(known, SOON);
        stop(&mut service);
    }
    job.run_to_end(&options(&state, "2"));
    assert_as_without_an_accident(&job, &directory);
    let (_, repeated) = last_words(&job.window_records().up_to_now());
    assert_eq!(repeated, 0, "who stops in good order says nothing twice");
}

/// Nothing is known of the partitions then, not even their names.
#[test]
fn a_state_is_left_alone_until_the_brokers_have_answered() {
    let Some(broker) = Broker::shared() else {
        return;
    };
    let job = Job::with_topic(broker.address(), "away", 3);
    let directory = TempDir::new().expect("a directory");
    let state = directory.path().join("state").display().to_string();
    job.send(&part(0));
    job.run_to_end(&options(&state, "2"));
    let verified = || {
        let mut verify = headcount();
        verify.args(["state", "verify", &state]);
        run_ok(verify, b"").0
    };
    let before = verified();
    let nobody = Job {
        address: "127.0.0.1:1".to_owned(),
        ..job
    };
    let mut service = Service::spawn(nobody.command(&options(&state, "2")));
    service.stderr_line("trying again", SOON);
    stop(&mut service);
    assert_eq!(verified(), before);
}

/// Some ticks of such a life, counted from scratch up to their offsets: the same numbers, ledger and digest.
fn assert_ticks_can_be_had_again(job: &Job, directory: &TempDir) {
    let ticks = job.ticks().up_to_now();
    let reflected = |tick: &&Published| tick.offsets().len() == 3;
    let with_digest: Vec<_> = ticks
        .iter()
        .filter(|tick| tick.value.pointer("/state_digest").is_some())
        .filter(reflected)
        .collect();
    // The last one is of an end of input, which settles what waits for its records alone.
    let middle = with_digest.len() / 2;
    for (n, tick) in [with_digest[1], with_digest[middle]]
        .into_iter()
        .enumerate()
    {
        let again = Job {
            stats: format!("{}-again-{n}", job.stats),
            windows: format!("{}-again-{n}-windows", job.stats),
            ..job.clone()
        };
        let offsets = tick.offsets().into_iter();
        let until: Vec<_> = offsets.map(|(name, at)| format!("{name}:{at}")).collect();
        let state = directory
            .path()
            .join(format!("again-{n}"))
            .display()
            .to_string();
        let until = until.join(",");
        let command = again.command(&[&options(&state, "3")[..], &["--until", &until]].concat());
        run_ok(command, b"");
        let counted = again.ticks().up_to_now();
        let counted = counted.last().expect("a tick");
        for path in [
            "/source/offsets",
            "/state_digest",
            "/users_last_year",
            "/frames/counted",
        ] {
            assert_eq!(counted.get(path), tick.get(path), "{path}: {}", tick.text);
        }
        if tick.get("/as_of") == counted.get("/as_of") {
            assert_eq!(counted.get("/intervals"), tick.get("/intervals"));
        }
    }
}

/// The state holds what its last tick said.
fn assert_verified(state: &Path, ticks: &[Published]) {
    let mut verify = headcount();
    verify
        .args(["state", "verify", "--format", "json"])
        .arg(state);
    let (found, _) = run_ok(verify, b"");
    let found: Value = serde_json::from_str(&found).expect("JSON");
    assert_eq!(found["state_digest"], last_digest(ticks).as_str());
    let mut show = headcount();
    show.args(["state", "show", "--format", "json"]).arg(state);
    let (shown, _) = run_ok(show, b"");
    let shown: Value = serde_json::from_str(&shown).expect("JSON");
    assert_eq!(shown["unpublished"], 0, "all of it was taken");
    let tick = ticks.last().expect("one");
    for (partition, offset) in tick.offsets() {
        let name = format!("{}/{partition}", tick.str("/job"));
        assert_eq!(found["offsets"][&name], offset);
        assert_eq!(shown["partitions"][&name]["next_offset"], offset);
    }
}

/// What was said in the end is what one run over the same frames says.
fn assert_as_without_an_accident(job: &Job, directory: &TempDir) {
    let straight = Job {
        stats: format!("{}-straight", job.stats),
        windows: format!("{}-straight-windows", job.stats),
        ..job.clone()
    };
    let state = directory.path().join("straight").display().to_string();
    straight.run_to_end(&options(&state, "1"));
    let (ticks, windows) = job.published();
    let (straight_ticks, straight_windows) = straight.published();
    let (found, _) = last_words(&windows);
    let (expected, _) = last_words(&straight_windows);
    let keys =
        |words: &BTreeMap<(String, i64), Published>| words.keys().cloned().collect::<Vec<_>>();
    assert_eq!(keys(&found), keys(&expected));
    for (window, record) in &found {
        let numbers =
            |r: &Published| ["/users", "/lo", "/hi", "/frames", "/late"].map(|p| r.int(p));
        assert_eq!(
            numbers(record),
            numbers(&expected[window]),
            "{}",
            record.text
        );
    }
    assert_eq!(last_digest(&ticks), last_digest(&straight_ticks));
    assert_verified(&directory.path().join("state"), &ticks);
    let ledger = |ticks: &[Published]| {
        let mut ledger = ticks[ticks.len() - 1].get("/frames").clone();
        // Depends on when windows were forgotten.
        ledger["expired"].take();
        ledger
    };
    assert_eq!(ledger(&ticks), ledger(&straight_ticks));
}
