//! Brokers or the service itself frozen under load (SIGSTOP), longer than the idle timeout: nothing is closed for that, as
//! there are frames on the way that nobody hears of.

use crate::load::{outlast, under_load};
use crate::oracle::check_order;
use crate::support::broker::Broker;
use crate::support::short_or_long;
use crate::world::{Frame, Job, NOON, Published, log_lines, seen, stop};
use std::time::Duration;

/// Frames at the turn of the minute after `NOON`, none of them late: the clock of the first three partitions is a few
/// seconds beyond it and that of the last one behind, so the minute stays open, but not for long once time walks.
fn at_the_turn(_: u32) -> Vec<Frame> {
    let frame = |n: u32| match n % 4 {
        3 => seen(3, n, NOON + 50),
        p => seen(p as i32, n, NOON + 59 + n / 20 * 4),
    };
    (0..40).map(frame).collect()
}

/// What closes that minute by event time.
fn beyond() -> Vec<Frame> {
    (0..80).map(|n| seen(n % 4, n, NOON + 70)).collect()
}

/// Idle timeout and how long the freeze lasts, in seconds.
fn timing() -> (&'static str, u64) {
    short_or_long(("2s", 9), ("30s", 180))
}

/// One final, by event time, of all frames; nothing to be revised.
fn assert_closed_once(job: &Job, frames: i64) {
    let (ticks, windows) = job.published();
    let last = ticks.last().expect("many");
    assert_eq!(last.int("/frames/counted"), frames, "{}", last.text);
    assert!(!windows.iter().any(Published::is_revised), "a revision");
    let finals: Vec<_> = check_order(&windows).into_values().collect();
    assert_eq!(finals.len(), 1, "{finals:?}");
    assert_eq!(finals[0].window(), ("minute".to_owned(), i64::from(NOON)));
    assert_eq!(finals[0].str("/closed_by"), "event_time");
}

/// A service under load while `freeze` freezes something for so long; gives what it logged.
fn under_load_while(broker: &Broker, name: &str, freeze: impl FnOnce(u32, Duration)) -> String {
    let job = Job::with_topic(broker.address(), name, 4);
    let (idle, freeze_s) = timing();
    job.send(&at_the_turn(0));
    let mut service = job.start(&["--every", "500ms", "--idle-timeout", idle]);
    let mut ticks = job.ticks();
    let pause = Duration::from_millis(100);
    let ((), batches) = under_load(&job, 1, pause, at_the_turn, || {
        ticks.until("some of them", |tick| tick.reflected() > 200);
        freeze(service.id(), Duration::from_secs(freeze_s));
        let reached = ticks.seen.last().expect("a tick").reflected();
        ticks.until("more", |tick| tick.reflected() > reached + 400);
    });
    let beyond = beyond();
    job.send(&beyond);
    let frames = i64::from(40 * batches) + beyond.len() as i64;
    ticks.until("all frames", |tick| tick.reflected() == frames);
    job.window_records().until("a final", Published::is_final);
    let stderr = stop(&mut service);
    assert_closed_once(&job, frames);
    stderr
}

#[test]
fn brokers_that_are_frozen_under_load_make_nothing_final_early() {
    let Some(broker) = Broker::start("frozen") else {
        return;
    };
    under_load_while(&broker, "frozen", |_, freeze| {
        broker.signal("STOP");
        outlast(freeze);
        broker.signal("CONT");
    });
}

fn signal(process: u32, name: &str) {
    let mut kill = std::process::Command::new("kill");
    let sent = kill.args(["-s", name, &process.to_string()]).status();
    assert!(sent.is_ok_and(|status| status.success()), "SIG{name}");
}

#[test]
fn a_service_that_is_frozen_under_load_makes_nothing_final_early() {
    let Some(broker) = Broker::shared() else {
        return;
    };
    let stderr = under_load_while(broker, "stopped", |service, freeze| {
        signal(service, "STOP");
        outlast(freeze);
        signal(service, "CONT");
    });
    assert_eq!(log_lines(&stderr, "panicked").len(), 0, "{stderr}");
}

/// Time that has begun to walk does not leap over what came while the service was frozen.
#[test]
fn a_service_that_is_frozen_while_time_walks_reads_before_it_closes() {
    let Some(broker) = Broker::shared() else {
        return;
    };
    let job = Job::with_topic(broker.address(), "sleepwalk", 1);
    let first: Vec<_> = (0..20).map(|n| seen(0, n, NOON + 52)).collect();
    job.send(&first);
    let mut service = job.start(&["--every", "200ms", "--idle-timeout", "1s"]);
    let as_of = |tick: &Published| tick.get("/as_of").as_i64();
    let walks = |tick: &Published| as_of(tick) > Some(i64::from(NOON) + 52);
    job.ticks().until("walking", walks);
    service.signal("STOP");
    let meanwhile: Vec<_> = (0..20).map(|n| seen(0, n + 20, NOON + 53)).collect();
    job.send(&meanwhile);
    // The minute would be over after twelve.
    outlast(Duration::from_secs(short_or_long(14, 180)));
    service.signal("CONT");
    let mut windows = job.window_records();
    let minute = windows.until("a closed minute", Published::is_final);
    assert_eq!(minute.int("/frames"), 40, "{}", minute.text);
    assert_eq!(minute.str("/closed_by"), "idle");
    stop(&mut service);
    let (_, windows) = job.published();
    assert!(!windows.iter().any(Published::is_revised), "it was early");
}
