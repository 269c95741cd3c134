//! The loop against a topic in memory and a clock moved by hand.

use std::collections::VecDeque;
use std::io::Write;

use clap::Parser;

use super::super::reader;
use super::*;
use crate::cli::{Cli, Command};
use crate::io::clock::ManualClock;
use crate::io::source::lines::BytesRead;
use crate::io::target::Full;

/// A topic in memory. Waiting for its answers is what moves the clock.
struct Memory<'a> {
    clock: &'a ManualClock,
    /// When each frame was taken, where, and its bytes.
    taken: Vec<(u64, usize, Vec<u8>)>,
    unanswered: VecDeque<Delivery>,
    /// It takes nothing before this moment.
    opens_ms: u64,
    /// It answers nothing from this moment on.
    falls_silent_ms: u64,
    answer: fn(&[u8]) -> Answer,
}

impl Target for Memory<'_> {
    fn send(
        &mut self,
        ticket: u64,
        partition: usize,
        frame: &[u8],
    ) -> Result<Result<(), Full>, Failure> {
        let now_ms = self.clock.monotonic_ms();
        if now_ms < self.opens_ms {
            return Ok(Err(Full));
        }
        self.taken.push((now_ms, partition, frame.to_vec()));
        self.unanswered.push_back(Delivery {
            ticket,
            partition,
            answer: (self.answer)(frame),
        });
        Ok(Ok(()))
    }

    fn deliveries(&mut self, wait: Duration, into: &mut Vec<Delivery>) {
        self.clock.advance_ms(wait.as_millis() as u64);
        if self.clock.monotonic_ms() < self.falls_silent_ms {
            into.extend(self.unanswered.drain(..));
        }
    }
}

struct Rehearsal {
    clock: ManualClock,
    stop: Stop,
    config: ReplayConfig,
    _file: tempfile::NamedTempFile,
}

impl Rehearsal {
    fn new(options: &str, lines: &[String]) -> Self {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all((lines.join("\n") + "\n").as_bytes())
            .unwrap();
        let path = file.path().to_str().unwrap().to_owned();
        let words = ["headcount", "replay", &path].into_iter();
        let cli = Cli::try_parse_from(words.chain(options.split_whitespace())).unwrap();
        let Command::Replay(args) = cli.command else {
            panic!("replay is replay");
        };
        let clock = ManualClock::default();
        clock.advance_ms(1_000_000);
        Self {
            clock,
            stop: Stop::new(false),
            config: ReplayConfig::resolve(&args, |_| None).unwrap(),
            _file: file,
        }
    }

    fn memory(&self) -> Memory<'_> {
        Memory {
            clock: &self.clock,
            taken: Vec::new(),
            unanswered: VecDeque::new(),
            opens_ms: 0,
            falls_silent_ms: u64::MAX,
            answer: |_| Answer::Acknowledged(Some(0)),
        }
    }

    /// Replays to partitions, and waits for what is under way if that went well.
    fn run<'a>(
        &'a self,
        target: Memory<'a>,
        partitions: usize,
    ) -> (Sender<'a, Memory<'a>>, Result<End, Failure>) {
        let standing = Standing {
            settled: vec![0; partitions],
            next: self.config.skip,
            ..Standing::default()
        };
        let bytes = BytesRead::default();
        let input = reader::start(&self.config, None, bytes.clone(), standing.next).unwrap();
        let mut sender = Sender::new(
            &self.config,
            (&self.clock, &self.stop),
            target,
            (Window::new(vec![None; partitions]), Doubt::none(partitions)),
            standing,
            None,
            Progress::new(&self.config, bytes),
        );
        let ended = sender.run(&input);
        let ended = ended.and_then(|end| sender.finish(None).map(|()| end));
        (sender, ended)
    }
}

fn frames(times: impl IntoIterator<Item = u32>) -> Vec<String> {
    let frame = |(n, ts): (usize, u32)| format!(r#"{{"uid":"u{n}","ts":{ts}}}"#);
    times.into_iter().enumerate().map(frame).collect()
}

/// When frames were taken, in milliseconds since the first.
fn moments(memory: &Memory<'_>) -> Vec<u64> {
    let start_ms = memory.taken[0].0;
    memory.taken.iter().map(|(ms, ..)| ms - start_ms).collect()
}

#[test]
fn frames_go_when_they_are_due() {
    let stage = Rehearsal::new("--rate 10", &frames([5; 4]));
    let (sender, ended) = stage.run(stage.memory(), 2);
    assert_eq!(ended, Ok(End::Done));
    assert_eq!(moments(&sender.target), [0, 100, 200, 300]);
    let stage = Rehearsal::new("--speed 2x", &frames([5, 5, 6, 4, 9]));
    let (sender, _) = stage.run(stage.memory(), 1);
    assert_eq!(moments(&sender.target), [0, 0, 500, 500, 2_000]);
    assert_eq!(sender.counts.acknowledged, 5);
}

#[test]
fn after_a_stall_what_is_overdue_goes_at_once_and_the_rest_when_it_is_due() {
    let stage = Rehearsal::new("--rate 10", &frames([5; 100]));
    let mut memory = stage.memory();
    memory.opens_ms = stage.clock.monotonic_ms() + 5_000;
    let (sender, ended) = stage.run(memory, 1);
    assert_eq!(ended, Ok(End::Done));
    let moments = moments(&sender.target);
    assert!(moments[..51].iter().all(|ms| *ms == 0), "{moments:?}");
    assert_eq!((moments[51], moments[99]), (100, 4_900));
}

#[test]
fn a_topic_that_answers_no_more_is_given_up_on_and_the_counts_say_what_is_in_doubt() {
    let stage = Rehearsal::new("--rate 10 --timeout 3s", &frames([5; 1_000]));
    let mut memory = stage.memory();
    let start_ms = stage.clock.monotonic_ms();
    memory.falls_silent_ms = start_ms + 10_050;
    let (sender, ended) = stage.run(memory, 1);
    assert!(matches!(ended, Err(Failure::Unavailable(_))), "{ended:?}");
    let waited_ms = stage.clock.monotonic_ms() - start_ms;
    assert!((12_900..14_000).contains(&waited_ms), "{waited_ms}");
    let counts = &sender.counts;
    assert_eq!(counts.acknowledged + counts.in_doubt(), counts.sent);
    assert!((25..40).contains(&counts.in_doubt()), "{counts:?}");
    let first_open = sender.window.reached(0).next().unwrap().0;
    assert_eq!(first_open, counts.acknowledged);
}

#[test]
fn a_frame_that_is_refused_is_passed_over_and_one_that_fails_ends_it() {
    let mut lines = frames([5; 500]);
    lines[300] = "large".to_owned();
    let stage = Rehearsal::new("", &lines);
    let mut memory = stage.memory();
    memory.answer = |frame| match frame {
        b"large" => Answer::TooLarge,
        _ => Answer::Acknowledged(None),
    };
    let (sender, ended) = stage.run(memory, 3);
    assert_eq!(ended, Ok(End::Done));
    assert_eq!(sender.first_refused(), Some(301));
    assert_eq!(
        (sender.counts.acknowledged, sender.counts.refused()),
        (499, 1)
    );
    let mut memory = stage.memory();
    memory.answer = |frame| match frame {
        b"large" => Answer::Failed(Failure::Output("no right".to_owned())),
        _ => Answer::Acknowledged(None),
    };
    let (sender, ended) = stage.run(memory, 3);
    assert_eq!(ended, Err(Failure::Output("no right".to_owned())));
    assert_eq!(sender.counts.in_doubt(), 1);
}

#[test]
fn a_line_longer_than_any_frame_is_refused_without_being_sent() {
    let mut lines = frames([5; 3]);
    lines[1] = "x".repeat(MAX_FRAME_BYTES + 1);
    let stage = Rehearsal::new("", &lines);
    let (sender, ended) = stage.run(stage.memory(), 1);
    assert_eq!(ended, Ok(End::Done));
    assert_eq!(sender.target.taken.len(), 2);
    assert_eq!(
        (sender.counts.too_long, sender.first_refused()),
        (1, Some(2))
    );
}

#[test]
fn a_signal_ends_it_where_it_stands() {
    let stage = Rehearsal::new("--loop", &frames([5; 10]));
    stage.stop.store(true, Ordering::Relaxed);
    let (sender, ended) = stage.run(stage.memory(), 1);
    assert_eq!(ended, Ok(End::Stopped));
    assert_eq!(sender.counts.sent, 0);
}

#[test]
fn rounds_follow_each_other_in_event_time_and_speed() {
    let options = "--loop --shift-to-now --speed 10x -n 7";
    let stage = Rehearsal::new(options, &frames([50, 53, 51]));
    let (sender, ended) = stage.run(stage.memory(), 1);
    assert_eq!(ended, Ok(End::Done));
    // The clock stood at second 1000 of all time. Three seconds of event time take 0.3 s, and one lies between rounds.
    assert_eq!(moments(&sender.target), [0, 300, 300, 400, 700, 700, 800]);
    let ts =
        |frame: &[u8]| serde_json::from_slice::<serde_json::Value>(frame).unwrap()["ts"].clone();
    let times: Vec<_> = sender.target.taken.iter().map(|(.., f)| ts(f)).collect();
    assert_eq!(times, [1000, 1003, 1001, 1004, 1007, 1005, 1008]);
}

#[test]
fn times_in_milliseconds_are_kept_to_the_millisecond() {
    let options = "--loop --shift-to-now --speed 1x -n 5 --ts-unit ms";
    let stage = Rehearsal::new(options, &frames([50_250, 50_700, 52_000]));
    let (sender, ended) = stage.run(stage.memory(), 1);
    assert_eq!(ended, Ok(End::Done));
    assert_eq!(moments(&sender.target), [0, 450, 1_750, 2_750, 3_200]);
    let ts = |frame: &[u8]| {
        let frame: serde_json::Value = serde_json::from_slice(frame).unwrap();
        frame["ts"].as_u64().unwrap()
    };
    let times: Vec<_> = sender.target.taken.iter().map(|(.., f)| ts(f)).collect();
    // The clock stood at second 1000, and the last one of the first round is in second 1002.
    assert_eq!(
        times,
        [1_000_250, 1_000_700, 1_002_000, 1_003_250, 1_003_700]
    );
    assert_eq!(sender.standing.greatest, Some(1_003));
}

#[test]
fn where_a_frame_goes_depends_on_the_file_alone() {
    let lines = frames(0..60);
    for options in ["--partition-by uid", "--partition-by round-robin"] {
        let whole = Rehearsal::new(options, &lines);
        let (whole, _) = whole.run(whole.memory(), 7);
        let rest = Rehearsal::new(&format!("{options} --skip 20"), &lines);
        let (rest, _) = rest.run(rest.memory(), 7);
        let places = |sender: &Sender<'_, Memory<'_>>| -> Vec<_> {
            let taken = sender.target.taken.iter();
            taken.map(|(_, p, frame)| (*p, frame.clone())).collect()
        };
        assert_eq!(places(&whole)[20..], places(&rest), "{options}");
    }
}
