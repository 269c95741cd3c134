//! Outputs that take nothing: they cost ticks, never memory, finals or a clean end.
#![allow(
    clippy::disallowed_methods,
    reason = "limits on waiting for other processes are real time"
)]

use crate::oracle::Oracle;
use crate::support::broker::Broker;
use crate::support::kafka::create_topic;
use crate::support::wait_until;
use crate::world::{
    Frame, Job, NO_ROOM, NOON, SOON, STOP, log_lines, seen, set_topic_config, stop,
};
use headcount::engine::calendar::{Period, WindowId};
use headcount::engine::report::outbox::{Kind, Outbox, Outgoing};
use std::io::Read;
use std::process::{Child, Stdio};
use std::time::Duration;

fn minutes(range: std::ops::Range<u32>) -> Vec<Frame> {
    range.map(|n| seen(0, n % 7, NOON + n * 60)).collect()
}

/// How many lines like this one the log says it left out.
fn left_out(line: &str) -> u64 {
    let line: serde_json::Value = serde_json::from_str(line).expect("a log line");
    line["left_out"].as_u64().expect("a number")
}

#[test]
fn topics_that_refuse_records_are_tried_again_with_moderation() {
    let Some(broker) = Broker::shared() else {
        return;
    };
    let address = broker.address();
    let job = Job::with_topic(address, "refusing", 1);
    for topic in [&job.stats, &job.windows] {
        create_topic(address, topic, 1, &[("max.message.bytes", NO_ROOM)]);
    }
    let mut sent = minutes(0..100);
    job.send(&sent);
    // The outputs may take longer than partitions need to be idle, and time is not to walk meanwhile.
    let mut service = job.start(&["--every", "100ms", "--idle-timeout", "1h"]);
    for _ in 0..5 {
        service.stderr_line("was not delivered", SOON);
    }
    let more = minutes(100..300);
    job.send(&more);
    sent.extend(more);
    // The next lines come with the limiter's next ten seconds.
    let line = service.stderr_line("was not delivered", SOON);
    let tries: u64 = left_out(&line);
    // Three hundred records, tried again as the waiting doubles from half a second to ten.
    assert!(tries < 10_000, "{tries} tries within ten seconds");
    for topic in [&job.stats, &job.windows] {
        set_topic_config(address, topic, "max.message.bytes", "1000000");
    }
    let tick = job
        .ticks()
        .until("all frames", |tick| tick.reflected() == 300);
    assert!(tick.int("/coalesced/ticks") > 0, "{}", tick.text);
    // Neither a final nor the newest word on a window that is still open may be lost on the way.
    let mut windows = job.window_records();
    windows.until("the newest of the year", |record| {
        record.window().0 == "year" && record.int("/frames") == 300
    });
    let mut windows = job.window_records();
    windows.until("the last minute that is over", |record| {
        record.is_final() && record.window() == ("minute".to_owned(), i64::from(NOON) + 297 * 60)
    });
    let stderr = stop(&mut service);
    assert!(
        log_lines(&stderr, "was not delivered").len() <= 20,
        "{stderr}"
    );
    let (ticks, windows) = job.published();
    let oracle = Oracle::of(&sent);
    ticks.iter().for_each(|tick| oracle.check_tick(tick));
    windows
        .iter()
        .for_each(|record| oracle.check_window(record));
    let mut finals: Vec<_> = windows
        .iter()
        .filter(|r| r.is_final())
        .map(|r| r.int("/seq"))
        .collect();
    finals.sort_unstable();
    let count = finals.len() as i64;
    assert!(
        finals.into_iter().eq(1..=count),
        "no final is lost or said twice"
    );
}

/// The most memory that a process has had.
fn resident_kb(id: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{id}/status")).expect("it runs");
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let number = line.and_then(|line| line.trim().split(' ').next());
    number.expect("a number of kB").parse().expect("a number")
}

#[test]
fn an_output_that_refuses_everything_does_not_hinder_the_end() {
    let Some(broker) = Broker::shared() else {
        return;
    };
    let job = Job::with_topic(broker.address(), "dead-end", 1);
    for topic in [&job.stats, &job.windows] {
        create_topic(&job.address, topic, 1, &[("max.message.bytes", NO_ROOM)]);
    }
    // More finals than may wait: reading is paused when the signal comes.
    job.send(&minutes(0..6_000));
    let mut service = job.start(&["--every", "100ms"]);
    service.stderr_line("do not keep up", SOON);
    let memory_kb = resident_kb(service.id());
    assert!(memory_kb < 200_000, "{memory_kb} kB");
    let stderr = stop(&mut service);
    assert_eq!(
        log_lines(&stderr, "did not take the last records").len(),
        1,
        "{stderr}"
    );
}

/// A child that is killed when the test ends, however it ends.
struct Reaped(Child);

impl Drop for Reaped {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn printing(address: &str, name: &str) -> Reaped {
    let job = Job {
        stats: "-".to_owned(),
        ..Job::with_topic(address, name, 1)
    };
    job.send(&minutes(0..400));
    let mut command = job.command(&["--every", "100ms"]);
    command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null());
    Reaped(command.spawn().expect("it can be started"))
}

fn wait(child: &mut Reaped, limit: Duration, what: &str) -> std::process::ExitStatus {
    wait_until(limit, what, || {
        child.0.try_wait().expect("a child can be waited for")
    })
}

#[test]
fn a_reader_of_stdout_that_stops_reading_does_not_hinder_the_end() {
    let Some(broker) = Broker::shared() else {
        return;
    };
    // 400 finals are far more than a pipe holds.
    let mut child = printing(broker.address(), "stalled");
    let mut first = [0; 100];
    let mut stdout = child.0.stdout.take().expect("piped");
    stdout.read_exact(&mut first).expect("records come");
    let id = child.0.id().to_string();
    let sent = std::process::Command::new("kill")
        .args(["-s", "TERM", &id])
        .status();
    assert!(sent.is_ok_and(|status| status.success()));
    let status = wait(&mut child, STOP, "it ends though nobody reads");
    assert!(status.success(), "{status}");
}

#[test]
fn a_reader_of_stdout_that_leaves_ends_it() {
    let Some(broker) = Broker::shared() else {
        return;
    };
    let mut child = printing(broker.address(), "left");
    let mut first = [0; 100];
    let mut stdout = child.0.stdout.take().expect("piped");
    stdout.read_exact(&mut first).expect("records come");
    drop(stdout);
    let status = wait(&mut child, SOON, "it ends with its reader");
    assert!(status.success(), "{status}");
}

#[test]
fn of_two_words_on_a_window_that_are_under_way_the_newer_one_stays() {
    let id = WindowId {
        period: Period::Year,
        start: 0,
    };
    let word = |text: &str| Outgoing {
        kind: Kind::Provisional(id),
        key: String::new(),
        payload: Some(text.into()),
    };
    let mut outbox = Outbox::default();
    let hand_over = |outbox: &mut Outbox| {
        let (ticket, record) = outbox.hand_over()?;
        Some((ticket, record.payload.clone()))
    };
    outbox.put(word("older"));
    let (older, _) = hand_over(&mut outbox).expect("the older one");
    outbox.put(word("newer"));
    let (newer, _) = hand_over(&mut outbox).expect("the newer one");
    // The output refuses both, as while a topic is away.
    outbox.give_back(older);
    outbox.give_back(newer);
    let (_, payload) = hand_over(&mut outbox).expect("one of them is tried again");
    assert_eq!(payload.unwrap(), b"newer");
    assert_eq!(hand_over(&mut outbox), None);
}
