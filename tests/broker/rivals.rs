//! Several instances of one job: whatever they do, one voice is heard at a time.
#![allow(
    clippy::disallowed_methods,
    reason = "limits on waiting for other processes are real time"
)]

use crate::oracle::Oracle;
use crate::support::broker::Broker;
use crate::support::process::{Service, run};
use crate::support::{is_long, wait_until};
use crate::world::{Frame, Job, NOON, Published, SOON, seen, stop};
use std::time::{Duration, Instant};
use tempfile::TempDir;

const TAKEN: i32 = 75;
/// By when the brokers have ended the transaction of an instance that does nothing.
const GIVEN_UP: Duration = Duration::from_secs(80);

/// A minute of event time over two partitions.
fn minute(number: u32) -> Vec<Frame> {
    let frame = |n: u32| {
        let user = (number * 37 + n * 11) % 97;
        seen((n % 2) as i32, user, NOON + number * 60 + n)
    };
    (0..60).map(frame).collect()
}

/// One job, and the states of its instances.
struct Rivals {
    job: Job,
    states: TempDir,
    sent: Vec<Frame>,
    minutes: u32,
}

impl Rivals {
    fn new(broker: &Broker, name: &str) -> Self {
        Self {
            job: Job::with_topic(broker.address(), name, 2),
            states: TempDir::new().expect("a directory"),
            sent: Vec::new(),
            minutes: 0,
        }
    }

    fn start(&self, instance: &str, more: &[&str]) -> Service {
        let state = self.states.path().join(instance).display().to_string();
        let options = ["--state", &state, "--every", "200ms"];
        let often = ["--checkpoint-interval", "100ms"];
        let often = if more.contains(&often[0]) {
            &[][..]
        } else {
            &often
        };
        let command = self.job.command(&[&options[..], often, more].concat());
        Service::spawn(command)
    }

    /// Sends some minutes more, of which all but the last are over then.
    fn send(&mut self, minutes: u32) {
        for _ in 0..minutes {
            let frames = minute(self.minutes);
            self.job.send(&frames);
            self.sent.extend(frames);
            self.minutes += 1;
        }
    }

    /// Waits for a tick that reflects everything, of an epoch that is not this one; gives its epoch.
    fn heard(&self, not: Option<i64>) -> i64 {
        let all = self.sent.len() as i64;
        let tick = self.job.ticks().until("all frames", |tick| {
            tick.reflected() == all && Some(tick.int("/epoch")) != not
        });
        tick.int("/epoch")
    }

    /// Every record is right, no epoch speaks again once another one has spoken, and each one's numbers have no gap.
    /// Whoever follows says each final again: it does not know what was heard before.
    fn assert_one_voice(&self, epochs: &[i64]) {
        let (ticks, windows) = self.job.published();
        let oracle = Oracle::of(&self.sent);
        ticks.iter().for_each(|tick| oracle.check_tick(tick));
        windows.iter().for_each(|r| oracle.check_window(r));
        for records in [&ticks, &windows] {
            let mut spoke: Vec<i64> = records.iter().map(|r| r.int("/epoch")).collect();
            spoke.dedup();
            assert_eq!(spoke, epochs, "one after the other");
        }
        let of_last = |r: &&Published| r.int("/epoch") == *epochs.last().expect("one");
        let mut finals = windows.iter().filter(|r| r.is_final()).filter(of_last);
        let last_minute = i64::from(NOON + (self.minutes - 2) * 60);
        assert!(
            finals.any(|r| r.window() == ("minute".to_owned(), last_minute)),
            "the last one who spoke has said every final"
        );
        for epoch in epochs {
            let own = windows.iter().filter(|r| r.int("/epoch") == *epoch);
            let numbered = own.filter(|r| r.str("/state") != "provisional");
            let mut seqs: Vec<i64> = numbered.map(|r| r.int("/seq")).collect();
            seqs.sort_unstable();
            let count = seqs.len() as i64;
            assert!(seqs.into_iter().eq(1..=count), "none missing, none twice");
        }
    }
}

/// How often each of these lives is tried.
fn rounds(long: u32) -> u32 {
    if is_long() { long } else { 1 }
}

#[test]
fn a_second_instance_stands_by_until_the_first_has_stopped() {
    let Some(broker) = Broker::shared() else {
        return;
    };
    for round in 0..rounds(7) {
        let mut rivals = Rivals::new(broker, &format!("rivals-join-{round}"));
        rivals.send(3);
        let mut first = rivals.start("first", &[]);
        let epoch = rivals.heard(None);
        let mut second = rivals.start("second", &[]);
        second.stderr_line("standing by", SOON);
        rivals.send(3);
        assert_eq!(rivals.heard(None), epoch, "only the first one speaks");
        // The second one leaves, and another one comes.
        stop(&mut second);
        let mut third = rivals.start("third", &[]);
        third.stderr_line("standing by", SOON);
        rivals.send(1);
        stop(&mut first);
        third.stderr_line("publishing from now on", SOON);
        let next = rivals.heard(Some(epoch));
        rivals.send(1);
        assert_eq!(rivals.heard(Some(epoch)), next);
        stop(&mut third);
        rivals.assert_one_voice(&[epoch, next]);
    }
}

/// Whoever has its state knows that it is gone, although it has saved nothing yet.
#[test]
fn one_that_died_before_its_first_checkpoint_is_not_waited_for_by_its_next_life() {
    let Some(broker) = Broker::shared() else {
        return;
    };
    let mut rivals = Rivals::new(broker, "rivals-unsaved");
    rivals.send(2);
    let never = ["--checkpoint-interval", "1h"];
    let all = rivals.sent.len() as i64;
    let mut last = 0;
    for _ in 0..3 {
        let mut life = rivals.start("one", &never);
        let is_next = |tick: &Published| tick.reflected() == all && tick.int("/epoch") > last;
        last = rivals
            .job
            .ticks()
            .until("a next life", is_next)
            .int("/epoch");
        life.signal("KILL");
        let stderr = life.stderr();
        assert!(!stderr.contains("standing by"), "{stderr}");
    }
}

#[test]
fn a_killed_instance_is_followed_once_it_has_been_silent_for_long_enough() {
    let Some(broker) = Broker::shared() else {
        return;
    };
    for round in 0..rounds(6) {
        let mut rivals = Rivals::new(broker, &format!("rivals-kill-{round}"));
        rivals.send(2);
        let mut first = rivals.start("first", &[]);
        let epoch = rivals.heard(None);
        let mut second = rivals.start("second", &["--takeover-after", "3s"]);
        second.stderr_line("standing by", SOON);
        rivals.send(2);
        rivals.heard(None);
        first.signal("KILL");
        first.wait(SOON);
        rivals.send(2);
        second.stderr_line("publishing from now on", SOON);
        let next = rivals.heard(Some(epoch));
        // The dead one rises, with its state, and has to wait as anybody.
        let mut risen = rivals.start("first", &[]);
        risen.stderr_line("standing by", SOON);
        rivals.send(1);
        assert_eq!(rivals.heard(Some(epoch)), next);
        stop(&mut risen);
        stop(&mut second);
        rivals.assert_one_voice(&[epoch, next]);
    }
}

#[test]
fn a_frozen_instance_that_thaws_says_nothing_beside_the_one_that_followed_it() {
    let Some(broker) = Broker::shared() else {
        return;
    };
    for round in 0..rounds(7) {
        let mut rivals = Rivals::new(broker, &format!("rivals-frozen-{round}"));
        rivals.send(2);
        let mut first = rivals.start("first", &[]);
        let epoch = rivals.heard(None);
        let mut second = rivals.start("second", &["--takeover-after", "3s"]);
        second.stderr_line("standing by", SOON);
        // In the middle of something: there is more to say than has been said.
        rivals.send(3);
        first.signal("STOP");
        rivals.send(3);
        second.stderr_line("publishing from now on", SOON);
        let next = rivals.heard(Some(epoch));
        first.signal("CONT");
        let status = first.wait(SOON);
        let stderr = first.stderr();
        assert_eq!(status.code(), Some(TAKEN), "{stderr}");
        assert!(stderr.contains("has taken over"), "{stderr}");
        rivals.send(1);
        assert_eq!(rivals.heard(Some(epoch)), next);
        stop(&mut second);
        rivals.assert_one_voice(&[epoch, next]);
    }
}

/// A run with an end has nothing to wait for.
#[test]
fn a_run_to_the_end_leaves_while_another_one_publishes() {
    let Some(broker) = Broker::shared() else {
        return;
    };
    let mut rivals = Rivals::new(broker, "rivals-end");
    rivals.send(2);
    let mut first = rivals.start("first", &[]);
    let epoch = rivals.heard(None);
    let output = run(rivals.job.command(&["-e"]), b"");
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(TAKEN), "{stderr}");
    assert!(stderr.contains("publishes to the same topics"), "{stderr}");
    stop(&mut first);
    rivals.assert_one_voice(&[epoch]);
    // Now that it has gone.
    rivals.job.run_to_end(&[]);
}

/// Nobody has followed it: the brokers have only ended its transaction.
#[test]
fn an_instance_alone_goes_on_after_the_brokers_have_given_it_up() {
    if !is_long() {
        return;
    }
    let Some(broker) = Broker::shared() else {
        return;
    };
    let mut rivals = Rivals::new(broker, "rivals-alone");
    rivals.send(2);
    let mut first = rivals.start("first", &[]);
    let epoch = rivals.heard(None);
    rivals.send(3);
    first.signal("STOP");
    rivals.send(3);
    // The brokers give a transaction a minute, and look every ten seconds. If one was open, its end is in the topic.
    let since = Instant::now();
    wait_until(2 * GIVEN_UP, "the brokers give it up", || {
        (since.elapsed() > GIVEN_UP).then_some(())
    });
    first.signal("CONT");
    assert_eq!(rivals.heard(None), epoch);
    wait_until(SOON, "all finals", || {
        let (_, windows) = rivals.job.published();
        let last = i64::from(NOON + (rivals.minutes - 2) * 60);
        let is_last = |r: &Published| r.is_final() && r.window() == ("minute".to_owned(), last);
        windows.iter().any(is_last).then_some(())
    });
    stop(&mut first);
    rivals.assert_one_voice(&[epoch]);
}
