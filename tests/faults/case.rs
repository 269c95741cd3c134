//! A job with a state, through all its lives, and what must hold of all that it has said in the end.

use crate::dice::Dice;
use crate::support::broker::Broker;
use crate::support::process::{Service, headcount, run_ok};
use crate::world::{Frame, Job, NOON, Published, SOON, bad, seen};
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::Command;
use tempfile::TempDir;

pub const PARTITIONS: i32 = 3;
/// Frames of a part.
pub const PART: u32 = 1_440;

/// Checkpoints and ticks that come often; a clock that must be convinced. A life that died before its first checkpoint is another
/// instance to the next one, which waits until it is silent.
const OPTIONS: [&str; 8] = [
    "--checkpoint-interval",
    "100ms",
    "--every",
    "200ms",
    "--max-jump",
    "60s",
    "--takeover-after",
    "2s",
];

/// Frames of six minutes over three partitions: some late by up to an hour, some with a flipped bit, some broken.
pub fn part(number: u32) -> Vec<Frame> {
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
    (0..PART).map(frame).collect()
}

/// The last word on each window, and how often a record came twice. Every final and revision is there, and whatever
/// came twice is the same.
pub fn last_words(records: &[Published]) -> (BTreeMap<(String, i64), Published>, usize) {
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

/// The ledger, without what depends on when windows were forgotten.
fn ledger(tick: &Published) -> Value {
    let mut ledger = tick.get("/frames").clone();
    ledger["expired"].take();
    ledger
}

/// See the top of this file.
pub struct Case {
    pub job: Job,
    directory: TempDir,
    options: Vec<String>,
}

impl Case {
    /// A job on a topic of its own, with more options than usual.
    pub fn new(broker: &Broker, name: &str, options: &[&str]) -> Case {
        let options = OPTIONS.iter().chain(options);
        Case {
            job: Job::with_topic(broker.address(), name, PARTITIONS),
            directory: TempDir::new().expect("a directory"),
            options: options.map(|option| (*option).to_owned()).collect(),
        }
    }

    /// Where the state is.
    pub fn state(&self) -> PathBuf {
        self.directory.path().join("state")
    }

    fn options<'a>(&'a self, state: &'a str, threads: &'a str) -> Vec<&'a str> {
        let own = self.options.iter().map(String::as_str);
        let state = ["--state", state, "--threads", threads];
        own.chain(state).collect()
    }

    pub fn command(&self, threads: &str) -> Command {
        let state = self.state().display().to_string();
        self.job.command(&self.options(&state, threads))
    }

    /// The service, once it reads for the first time, or again.
    pub fn start(&self, threads: &str) -> Service {
        let known = ["\"reading\"", "going on from"][usize::from(self.state().exists())];
        let mut service = Service::spawn(self.command(threads));
        service.stderr_line(known, SOON);
        service
    }

    /// A last life that counts what is left and closes everything.
    pub fn run_to_end(&self, threads: &str) {
        let state = self.state().display().to_string();
        self.job.run_to_end(&self.options(&state, threads));
    }

    /// The same input, counted by another job.
    fn again(&self, name: &str) -> (Job, String) {
        let job = Job {
            stats: format!("{}-{name}", self.job.stats),
            windows: format!("{}-{name}-windows", self.job.stats),
            ..self.job.clone()
        };
        let state = self.directory.path().join(name).display().to_string();
        (job, state)
    }

    /// What was said in the end is what one run over the same frames says.
    pub fn assert_as_without_an_accident(&self) {
        let (straight, state) = self.again("straight");
        straight.run_to_end(&self.options(&state, "1"));
        let (ticks, windows) = self.job.published();
        let (straight_ticks, straight_windows) = straight.published();
        let (found, _) = last_words(&windows);
        let (expected, _) = last_words(&straight_windows);
        let keys =
            |words: &BTreeMap<(String, i64), Published>| words.keys().cloned().collect::<Vec<_>>();
        assert_eq!(keys(&found), keys(&expected));
        for (window, record) in &found {
            let numbers =
                |r: &Published| ["/users", "/lo", "/hi", "/frames", "/late"].map(|p| r.int(p));
            let expected = numbers(&expected[window]);
            assert_eq!(numbers(record), expected, "{}", record.text);
        }
        assert_eq!(last_digest(&ticks), last_digest(&straight_ticks));
        let last = |ticks: &[Published]| ledger(&ticks[ticks.len() - 1]);
        assert_eq!(last(&ticks), last(&straight_ticks));
        self.assert_verified(&ticks);
    }

    fn look(&self, command: &str) -> Value {
        let mut state = headcount();
        state
            .args(["state", command, "--format", "json"])
            .arg(self.state());
        serde_json::from_str(&run_ok(state, b"").0).expect("JSON")
    }

    /// What `headcount state verify` finds; it is a good state.
    pub fn verify(&self) -> Value {
        self.look("verify")
    }

    /// What `headcount state show` finds.
    pub fn show(&self) -> Value {
        self.look("show")
    }

    /// The state holds what its last tick said.
    fn assert_verified(&self, ticks: &[Published]) {
        let (found, shown) = (self.verify(), self.show());
        assert_eq!(found["state_digest"], last_digest(ticks).as_str());
        assert_eq!(shown["unpublished"], 0, "all of it was taken");
        let tick = ticks.last().expect("one");
        for (partition, offset) in tick.offsets() {
            let name = format!("{}/{partition}", tick.str("/job"));
            assert_eq!(found["offsets"][&name], offset);
            assert_eq!(shown["partitions"][&name]["next_offset"], offset);
        }
    }

    /// Some ticks of such a life, drawn at random, counted from scratch up to their offsets: the same numbers and ledger, and
    /// the same digest where they have one.
    pub fn assert_ticks_can_be_had_again(&self, count: usize, seed: u64) {
        let mut ticks = self.job.ticks().up_to_now();
        // The last one is of an end of input, which settles what waits for its records alone.
        ticks.pop();
        for tick in &ticks {
            let partitions = tick.offsets().len();
            assert_eq!(partitions, PARTITIONS as usize, "{}", tick.text);
        }
        let mut dice = Dice::new(seed);
        dice.shuffle(&mut ticks);
        // At least half of them with a digest; most have one.
        let has_digest = |tick: &Published| tick.value.pointer("/state_digest").is_some();
        let (with, plain): (Vec<_>, Vec<_>) = ticks.into_iter().partition(has_digest);
        let plain = plain.into_iter().take(count / 2);
        let drawn: Vec<_> = plain.chain(with).take(count).collect();
        assert_eq!(drawn.len(), count, "so many ticks to be had again");
        for (number, tick) in drawn.iter().enumerate() {
            self.assert_can_be_had_again(tick, number);
        }
    }

    fn assert_can_be_had_again(&self, tick: &Published, number: usize) {
        let (again, state) = self.again(&format!("again-{number}"));
        let offsets = tick.offsets().into_iter();
        let until: Vec<_> = offsets.map(|(name, at)| format!("{name}:{at}")).collect();
        let until = until.join(",");
        let options = [&self.options(&state, "3")[..], &["--until", &until]].concat();
        run_ok(again.command(&options), b"");
        let counted = again.ticks().up_to_now();
        let counted = counted.last().expect("a tick");
        assert_eq!(counted.get("/source/offsets"), tick.get("/source/offsets"));
        assert_eq!(ledger(counted), ledger(tick), "{}", tick.text);
        if let Some(digest) = tick.value.pointer("/state_digest") {
            assert_eq!(counted.get("/state_digest"), digest, "{}", tick.text);
        }
        // Where time had walked on, the numbers are those of a later moment.
        if counted.get("/as_of") == tick.get("/as_of") {
            assert_eq!(counted.get("/intervals"), tick.get("/intervals"));
            for name in ["minute", "hour", "day", "week", "month", "year"] {
                let path = format!("/users_last_{name}");
                assert_eq!(counted.int(&path), tick.int(&path), "{}", tick.text);
            }
        } else {
            assert!(counted.int("/as_of") < tick.int("/as_of"), "{}", tick.text);
        }
    }
}
