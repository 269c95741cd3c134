//! Brokers and topics that are away for a while, or for good, or were made anew; and signals.
#![allow(
    clippy::disallowed_methods,
    reason = "limits on waiting for other processes are real time"
)]

use crate::oracle::{Oracle, check_order, windows_of};
use crate::support::broker::Broker;
use crate::support::kafka::{create_topic, delete_topic, try_create_topic};
use crate::support::process::Service;
use crate::support::wait_until;
use crate::world::{
    Frame, Job, NO_ROOM, NOON, Published, SOON, STOP, bad, delete_records, log_lines, seen, stop,
};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// Frames of a few users over four partitions, twenty seconds of event time a batch.
fn batch(number: u32) -> Vec<Frame> {
    let frame = |n: u32| {
        seen(
            n as i32 % 4,
            (number * 7 + n) % 301,
            NOON + number * 20 + n / 2,
        )
    };
    (0..40).map(frame).collect()
}

fn assert_exact(sent: &[Frame], ticks: &[Published], windows: &[Published]) {
    let oracle = Oracle::of(sent);
    ticks.iter().for_each(|tick| oracle.check_tick(tick));
    windows
        .iter()
        .for_each(|record| oracle.check_window(record));
}

#[test]
fn a_broker_restarted_in_mid_stream_costs_no_frame_and_no_final() {
    let Some(broker) = Broker::start("outage") else {
        return;
    };
    let job = Job::with_topic(broker.address(), "stream", 4);
    let mut sent = batch(0);
    job.send(&sent);
    let mut service = job.start(&["--every", "500ms", "--threads", "2"]);
    let mut ticks = job.ticks();
    ticks.until("the first frames", |tick| tick.reflected() == 40);
    let is_over = AtomicBool::new(false);
    let went_on = std::thread::scope(|scope| {
        // The producer, too, is in the middle of something, and its client sends again what was not acknowledged.
        let producer = scope.spawn(|| {
            let mut went_on = Vec::new();
            for number in 1.. {
                if is_over.load(Ordering::Relaxed) {
                    break;
                }
                job.send(&batch(number));
                went_on.extend(batch(number));
            }
            went_on
        });
        broker.restart();
        service.stderr_line("trying again", SOON);
        service.stderr_line("answer again", SOON);
        let reached = ticks.seen.last().map_or(0, Published::reflected);
        ticks.until("more frames", |tick| tick.reflected() > reached + 400);
        broker.kill();
        broker.restart();
        service.stderr_line("trying again", SOON);
        service.stderr_line("answer again", SOON);
        is_over.store(true, Ordering::Relaxed);
        producer
            .join()
            .expect("the producer gets all frames through")
    });
    sent.extend(went_on);
    ticks.until("all frames", |tick| tick.reflected() == sent.len() as i64);
    let stderr = stop(&mut service);
    let (ticks, windows) = job.published();
    assert_exact(&sent, &ticks, &windows);
    let finals = check_order(&windows);
    let watermark = ticks.last().expect("many").int("/watermark");
    let minutes = windows_of(&sent).into_iter();
    for window in minutes.filter(|(name, start)| name == "minute" && start + 60 <= watermark) {
        assert!(
            finals.contains_key(&window),
            "{window:?} is over but not final"
        );
    }
    let lines = log_lines(&stderr, "trying again");
    assert_eq!(lines.len(), 2, "one line for each outage:\n{stderr}");
}

#[test]
fn what_is_missing_at_the_start_is_waited_for_and_an_end_needs_no_broker() {
    let Some(broker) = Broker::start("late") else {
        return;
    };
    let job = Job::new(broker.address(), "late");
    broker.stop();
    let mut service = Service::spawn(job.command(&["--every", "500ms"]));
    service.stderr_line("trying again", SOON);
    broker.restart();
    // The brokers are there, the topic is not; it is not the reader's to create.
    let other = Job::new(broker.address(), "other");
    let mut early = Service::spawn(other.command(&["--every", "500ms"]));
    let line = early.stderr_line("trying again", SOON);
    assert!(line.contains("'other' does not exist"), "{line}");
    for job in [&job, &other] {
        create_topic(broker.address(), &job.topic, 2, &[]);
    }
    for (job, service) in [(&job, &mut service), (&other, &mut early)] {
        service.stderr_line("\"reading\"", SOON);
        let sent = [seen(0, "Ada", NOON), seen(1, "Bob", NOON + 70)];
        job.send(&sent);
        job.ticks()
            .until("both frames", |tick| tick.reflected() == 2);
        let (ticks, windows) = job.published();
        assert_exact(&sent, &ticks, &windows);
    }
    broker.kill();
    service.stderr_line("trying again", SOON);
    for mut service in [service, early] {
        let stderr = stop(&mut service);
        let lines = log_lines(&stderr, "trying again");
        assert_eq!(lines.len(), 2, "one line for each outage:\n{stderr}");
    }
}

#[test]
fn a_signal_ends_it_cleanly_with_a_last_tick_of_all_that_was_read() {
    let Some(broker) = Broker::shared() else {
        return;
    };
    for signal in ["TERM", "INT"] {
        let job = Job::with_topic(broker.address(), &format!("signal-{signal}"), 1);
        // The beat is so slow that only the end can bring the second tick.
        let mut service = job.start(&["--every", "10m"]);
        let mut sent = vec![seen(0, "Ada", NOON)];
        job.send(&sent);
        let first = job.ticks().until("the first frame", |_| true);
        let more = (0..100).map(|n| seen(0, n % 30, NOON + n));
        sent.extend(more.chain([bad(0, "json", Some(b"?"))]));
        job.send(&sent[1..]);
        // It is the last one, so all others were read before.
        service.stderr_line("frame rejected", SOON);
        service.signal(signal);
        assert!(service.wait(STOP).success());
        let (ticks, windows) = job.published();
        assert_eq!(first.reflected(), 1);
        assert_eq!(ticks.len(), 2);
        assert_eq!(ticks[1].reflected(), 102);
        assert_exact(&sent, &ticks, &windows);
        let stopped = &log_lines(&service.stderr(), "stopped")[0];
        assert_eq!(stopped["read"], 102);
        assert_eq!(stopped["message"], "stopped");
    }
}

#[test]
fn a_signal_ends_it_while_it_waits_for_brokers() {
    let job = Job::new("127.0.0.1:1", "nowhere");
    let mut service = Service::spawn(job.command(&[]));
    service.stderr_line("trying again", SOON);
    let stderr = stop(&mut service);
    assert_eq!(log_lines(&stderr, "trying again").len(), 1, "{stderr}");
}

/// What a run to the end says, and after how long, when there is none to be reached.
fn give_up(job: &Job) -> (Service, Instant) {
    let service = Service::spawn(job.command(&["-e"]));
    (service, Instant::now())
}

#[test]
fn an_end_that_cannot_be_reached_is_given_up_after_a_minute() {
    let Some(broker) = Broker::shared() else {
        return;
    };
    let address = broker.address();
    let nobody = give_up(&Job::new("127.0.0.1:1", "nobody"));
    let missing = give_up(&Job::new(address, "missing"));
    // More finals than may wait, for a topic that takes none.
    let refused = Job::with_topic(address, "refused", 1);
    create_topic(
        address,
        &refused.windows,
        1,
        &[("max.message.bytes", NO_ROOM)],
    );
    let minutes: Vec<_> = (0..20_000).map(|n| seen(0, n, NOON + n * 60)).collect();
    refused.send(&minutes);
    let refused = give_up(&refused);
    for (what, (mut service, start)) in [
        ("nobody", nobody),
        ("missing", missing),
        ("refused", refused),
    ] {
        let status = service.wait(Duration::from_secs(100).saturating_sub(start.elapsed()));
        let stderr = service.stderr();
        assert_eq!(status.code(), Some(69), "{stderr}");
        let last = stderr.lines().last().expect("a sentence");
        assert!(last.starts_with("headcount: "), "{stderr}");
        assert!(
            start.elapsed() >= Duration::from_secs(30),
            "{what} was given up early"
        );
        let said = if what == "refused" { "output" } else { what };
        assert!(last.contains(said), "{what}: {last}");
    }
}

/// Nothing that began before the gap in a partition may pass for whole.
fn assert_provisional(windows: &[Published], from: u32, to: u32) {
    for (name, start) in check_order(windows).into_keys() {
        let lost = i64::from(from) < start + 60 && start < i64::from(to);
        assert!(!lost, "{name} {start} is final, but its frames are gone");
    }
}

#[test]
fn frames_deleted_before_they_were_read_leave_no_final_behind() {
    let Some(broker) = Broker::shared() else {
        return;
    };
    let job = Job::with_topic(broker.address(), "deleted", 2);
    job.send(&[seen(0, "Ada", NOON), seen(1, "Bob", NOON)]);
    let mut service = job.start(&["--on-gap", "continue", "--every", "500ms"]);
    let mut ticks = job.ticks();
    ticks.until("both frames", |tick| tick.reflected() == 2);
    service.signal("STOP");
    // The broker still answers the fetch that is under way, with this one.
    job.send(&[seen(0, "Ada", NOON + 1)]);
    let lost: Vec<_> = (0..180).map(|n| seen(0, n, NOON + 60 + n)).collect();
    job.send(&lost);
    delete_records(&job.address, &job.topic, 0, 182);
    service.signal("CONT");
    let gap = service.stderr_line("frames are gone", SOON);
    assert!(gap.contains("\"found\":182"), "{gap}");
    // The other partition has frames in the minutes of which this one has lost its own.
    let others: Vec<_> = (1..12)
        .map(|minute| seen(1, "Bob", NOON + minute * 60))
        .collect();
    job.send(&others);
    let again: Vec<_> = (5..12)
        .map(|minute| seen(0, "Ada", NOON + minute * 60))
        .collect();
    job.send(&again);
    let tick = ticks.until("what came later", |tick| tick.reflected() == 182 + 7 + 12);
    // The fetch under way brought Ada's second frame, or did not.
    assert!(
        (180..=181).contains(&tick.int("/source/lost/0")),
        "{}",
        tick.text
    );
    stop(&mut service);
    let (_, windows) = job.published();
    assert_provisional(&windows, NOON + 60, NOON + 5 * 60);
    let finals = check_order(&windows);
    let whole = |minute: u32| ("minute".to_owned(), i64::from(NOON + minute * 60));
    let later = (6..10).map(whole);
    assert!(
        later.into_iter().all(|minute| finals.contains_key(&minute)),
        "{finals:?}"
    );
}

#[test]
fn a_topic_made_anew_is_read_on_and_the_gap_is_told() {
    let Some(broker) = Broker::shared() else {
        return;
    };
    for consumers in ["1", "3"] {
        read_on_anew(broker.address(), consumers);
    }
}

fn read_on_anew(address: &str, consumers: &str) {
    let job = Job::with_topic(address, &format!("anew-{consumers}"), 1);
    let old: Vec<_> = (0..100).map(|n| seen(0, n, NOON + n)).collect();
    job.send(&old);
    let options = [
        "--on-gap",
        "continue",
        "--every",
        "500ms",
        "--consumers",
        consumers,
    ];
    let mut service = job.start(&options);
    let mut ticks = job.ticks();
    ticks.until("the old frames", |tick| tick.reflected() == 100);
    delete_topic(&job.address, &job.topic);
    service.stderr_line("trying again", SOON);
    create_topic(&job.address, &job.topic, 1, &[]);
    let new: Vec<_> = (0..30).map(|n| seen(0, n, NOON + 150 + n * 10)).collect();
    job.send(&new);
    let gap = service.stderr_line("frames are gone", SOON);
    assert!(gap.contains("\"expected\":100,\"found\":0"), "{gap}");
    let tick = ticks.until("the new frames", |tick| {
        tick.reflected() == 30 && tick.int("/frames/read") == 130
    });
    assert_eq!(tick.int("/users_last_day"), 100);
    assert_eq!(tick.int("/source/lost/0"), 0, "nobody knows");
    stop(&mut service);
    let (_, windows) = job.published();
    assert_provisional(&windows, NOON + 60, NOON + 150);
    let finals = check_order(&windows);
    assert!(
        finals.contains_key(&("minute".to_owned(), i64::from(NOON) + 180)),
        "{finals:?}"
    );
}

/// Without a word from somebody who knows, frames that are gone end the run; nothing of what was counted is lost by that.
#[test]
fn frames_that_are_gone_stop_it_until_it_is_told_to_go_on_without_them() {
    let Some(broker) = Broker::shared() else {
        return;
    };
    let job = Job::with_topic(broker.address(), "gone", 1);
    let directory = tempfile::TempDir::new().expect("a directory");
    let state = directory.path().display().to_string();
    let options = ["--every", "200ms", "--state", &state];
    let first: Vec<_> = (0..50).map(|n| seen(0, n, NOON + n)).collect();
    job.send(&first);
    job.run_to_end(&options);
    let lost: Vec<_> = (0..30).map(|n| seen(0, n, NOON + 60 + n)).collect();
    let rest: Vec<_> = (0..200).map(|n| seen(0, n, NOON + 120 + n)).collect();
    job.send(&[lost, rest].concat());
    delete_records(&job.address, &job.topic, 0, 80);
    for _ in 0..2 {
        let mut service = Service::spawn(job.command(&options));
        let status = service.wait(SOON);
        let stderr = service.stderr();
        assert_eq!(status.code(), Some(76), "{stderr}");
        assert!(
            stderr.contains("offset 50 was to be next, and it begins at 80"),
            "{stderr}"
        );
        assert!(stderr.contains("--on-gap continue"), "{stderr}");
    }
    job.run_to_end(&[&options[..], &["--on-gap", "continue"]].concat());
    let (ticks, windows) = job.published();
    let tick = ticks.last().expect("a tick");
    assert_eq!(tick.int("/frames/counted"), 250);
    assert_eq!(*tick.get("/source/lost"), serde_json::json!({"0": 30}));
    let whole = |start: u32| ("minute".to_owned(), i64::from(NOON + start));
    let of = |window| windows.iter().rfind(|r| r.window() == window).expect("one");
    assert_eq!(of(whole(180)).str("/state"), "final");
    assert_eq!(of(whole(180)).int("/frames"), 60);
    // What was closed by the end of the first run is revised, and says that frames may be missing.
    let day = windows
        .iter()
        .rfind(|r| r.window().0 == "day")
        .expect("one");
    assert_eq!((day.str("/state"), day.int("/frames")), ("revised", 250));
    assert_eq!(*day.get("/complete"), false);
}

/// A replica without the last frames became leader: the topic is the same, and what is left of it was counted.
#[test]
fn a_partition_that_was_cut_off_is_read_on_at_its_end() {
    let Some(broker) = Broker::start("cut-off") else {
        return;
    };
    let job = Job::with_topic(broker.address(), "cut", 1);
    let directory = tempfile::TempDir::new().expect("a directory");
    let state = directory.path().display().to_string();
    let options = ["--every", "200ms", "--state", &state];
    for (first, frames) in [(0, 50), (50, 30)] {
        let batch: Vec<_> = (0..frames)
            .map(|n| seen(0, first + n, NOON + first + n))
            .collect();
        job.send(&batch);
    }
    job.run_to_end(&options);
    broker.stop();
    broker.cut_off(&job.topic, 0, 50);
    broker.restart();
    let mut service = Service::spawn(job.command(&options));
    let status = service.wait(SOON);
    let stderr = service.stderr();
    assert_eq!(status.code(), Some(76), "{stderr}");
    let told = "was cut off at its end, by an election of a leader that lacks frames: offset 80 was to be next, and it ends at 50";
    assert!(stderr.contains(told), "{stderr}");
    let options = [&options[..], &["--on-gap", "continue"]].concat();
    let mut service = Service::spawn(job.command(&options));
    let gap = service.stderr_line("frames are gone", SOON);
    assert!(gap.contains("\"expected\":80,\"found\":50"), "{gap}");
    let new: Vec<_> = (0..20).map(|n| seen(0, 200 + n, NOON + 100 + n)).collect();
    job.send(&new);
    let mut ticks = job.ticks();
    let tick = ticks.until("the new frames and none again", |tick| {
        tick.reflected() == 70
    });
    assert_eq!(tick.int("/frames/counted"), 100);
    assert_eq!(tick.int("/users_last_day"), 100);
    assert_eq!(tick.int("/source/lost/0"), 0);
    stop(&mut service);
}

/// By the time that anybody looks, the partition is longer than it was: only the client has heard that the log is another one
/// from where it was cut off.
#[test]
fn a_partition_that_was_cut_off_and_filled_again_is_read_on_where_it_was_cut() {
    let Some(broker) = Broker::start("cut-off-filled") else {
        return;
    };
    let job = Job::with_topic(broker.address(), "cut-filled", 1);
    for (first, frames) in [(0, 50), (50, 30)] {
        let batch: Vec<_> = (0..frames)
            .map(|n| seen(0, first + n, NOON + first + n))
            .collect();
        job.send(&batch);
    }
    let options = ["--every", "200ms", "--on-gap", "continue"];
    let mut service = Service::spawn(job.command(&options));
    let mut ticks = job.ticks();
    ticks.until("all frames", |tick| tick.reflected() == 80);
    service.signal("STOP");
    broker.stop();
    broker.cut_off(&job.topic, 0, 50);
    broker.restart();
    let new: Vec<_> = (0..70).map(|n| seen(0, 200 + n, NOON + 100 + n)).collect();
    job.send(&new);
    service.signal("CONT");
    let gap = service.stderr_line("frames are gone", SOON);
    assert!(gap.contains("\"expected\":80,\"found\":50"), "{gap}");
    let mut ticks = job.ticks();
    let tick = ticks.until("the new frames, all of them once", |tick| {
        tick.reflected() == 120
    });
    assert_eq!(tick.int("/frames/counted"), 150);
    assert_eq!(tick.int("/users_last_day"), 150);
    assert_eq!(tick.int("/source/lost/0"), 0);
    stop(&mut service);
}

/// Its offsets alone would not tell: the frames before the one that was to be next would never be read.
#[test]
fn a_topic_made_anew_that_has_as_many_frames_again_is_told_by_its_id() {
    let Some(broker) = Broker::shared() else {
        return;
    };
    let job = Job::with_topic(broker.address(), "again", 1);
    let directory = tempfile::TempDir::new().expect("a directory");
    let state = directory.path().display().to_string();
    let options = ["--every", "200ms", "--state", &state];
    let old: Vec<_> = (0..50).map(|n| seen(0, n, NOON + n)).collect();
    job.send(&old);
    job.run_to_end(&options);
    delete_topic(&job.address, &job.topic);
    wait_until(SOON, "the name is free again", || {
        try_create_topic(&job.address, &job.topic, 1).then_some(())
    });
    let new: Vec<_> = (0..80).map(|n| seen(0, 40 + n, NOON + 100 + n)).collect();
    job.send(&new);
    let mut service = Service::spawn(job.command(&options));
    let status = service.wait(SOON);
    let stderr = service.stderr();
    assert_eq!(status.code(), Some(76), "{stderr}");
    assert!(stderr.contains("was made anew"), "{stderr}");
    job.run_to_end(&[&options[..], &["--on-gap", "continue"]].concat());
    let tick = job.ticks().up_to_now().pop().expect("a tick");
    assert_eq!(tick.int("/frames/counted"), 130);
    assert_eq!(tick.int("/users_last_day"), 120);
    assert_eq!(*tick.get("/source/lost"), serde_json::json!({"0": 0}));
}

/// What compaction leaves of the windows' topic: the last record of each key.
fn compacted(job: &Job) -> BTreeMap<String, Published> {
    let records = job.window_records().up_to_now().into_iter();
    records.map(|record| (record.key.clone(), record)).collect()
}

/// It reads again what the topic holds, and that is less than what the run before it has seen.
#[test]
fn without_a_state_a_restart_never_takes_the_place_of_a_better_final() {
    let Some(broker) = Broker::shared() else {
        return;
    };
    let job = Job::with_topic(broker.address(), "worse", 2);
    let second = |n: u32| seen(n as i32 % 2, n % 77, NOON + n);
    job.send(&(0..900).map(second).collect::<Vec<_>>());
    job.run_to_end(&[]);
    let before = compacted(&job);
    assert!(before.values().filter(|r| r.is_final()).count() > 15);
    // Of one partition much is gone, of the other one little.
    delete_records(&job.address, &job.topic, 0, 200);
    delete_records(&job.address, &job.topic, 1, 40);
    job.run_to_end(&[]);
    job.send(&(900..1_200).map(second).collect::<Vec<_>>());
    for from in ["latest", "2200-01-01T00:00:00Z", "earliest"] {
        job.run_to_end(&["--from", from]);
    }
    let after = compacted(&job);
    for (key, was) in before.iter().filter(|(_, record)| record.is_final()) {
        let is = &after[key];
        assert!(is.int("/frames") >= was.int("/frames"), "{}", is.text);
        assert!(is.int("/users") >= was.int("/users"), "{}", is.text);
        assert_eq!(*is.get("/complete"), true, "{}", is.text);
    }
    // What is new is final, and right.
    let last = ("minute".to_owned(), i64::from(NOON + 1_140));
    let last = after.values().find(|r| r.is_final() && r.window() == last);
    let last = last.expect("the last minute");
    assert_eq!([last.int("/users"), last.int("/frames")], [60, 60]);
}
