//! The service on event times in another unit than seconds.

use crate::mock::cluster;
use crate::world::{Frame, NOON, SOON, bad, log_lines, stop};

const PARTITIONS: i32 = 3;
const HINT: &str =
    "every ts so far is out of range as seconds; they look like milliseconds: set --ts-unit ms";

/// Frames of so many users, with milliseconds.
fn millis(count: u32) -> Vec<Frame> {
    let frame = |n: u32| {
        let payload = format!(r#"{{"uid":{n},"ts":{}{:03}}}"#, NOON + n / 100, n % 1_000);
        bad(n as i32 % PARTITIONS, "ts_range", Some(payload.as_bytes()))
    };
    (0..count).map(frame).collect()
}

fn hints(stderr: &str) -> usize {
    let lines = log_lines(stderr, "--ts-unit");
    assert!(
        lines.iter().all(|line| line["message"] == HINT),
        "{lines:?}"
    );
    lines.len()
}

#[test]
fn milliseconds_taken_for_seconds_are_told_once_while_the_service_runs() {
    let (_cluster, job) = cluster("unit-live", PARTITIONS);
    job.send(&millis(250));
    let mut service = job.start(&["--every", "300ms"]);
    service.stderr_line(HINT, SOON);
    job.send(&millis(250));
    let mut ticks = job.ticks();
    let tick = ticks.until("all frames", |tick| tick.int("/frames/read") == 500);
    assert_eq!(tick.int("/frames/rejected/ts_range"), 500);
    assert_eq!(hints(&stop(&mut service)), 1);
}

#[test]
fn milliseconds_taken_for_seconds_are_told_at_the_end_of_a_short_topic() {
    let (_cluster, job) = cluster("unit-end", PARTITIONS);
    job.send(&millis(40));
    assert_eq!(hints(&job.run_to_end(&[])), 1);
    let stderr = job.run_to_end(&["--ts-unit", "ms"]);
    assert_eq!(hints(&stderr), 0);
    let (ticks, _) = job.published();
    let tick = ticks.last().unwrap();
    assert_eq!(tick.int("/frames/counted"), 40);
    assert_eq!(tick.int("/users_last_minute"), 40);
    assert_eq!(tick.int("/as_of"), i64::from(NOON));
}
