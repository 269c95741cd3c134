//! An output that takes nothing for a while, and a service that is killed while it waits: no final is missing, and reading
//! went on meanwhile.

use crate::case::{Case, PART, last_words, part};
use crate::load::{outlast, under_load};
use crate::support::broker::Broker;
use crate::support::kafka::create_topic;
use crate::support::process::headcount;
use crate::support::{short_or_long, wait_until};
use crate::world::{SOON, set_topic_config};
use serde_json::Value;
use std::time::Duration;

/// How many frames the state has, once there is one.
fn saved(case: &Case) -> Option<i64> {
    if !case.state().join("state.sqlite").exists() {
        return None;
    }
    let mut digest = headcount();
    digest
        .args(["state", "digest", "--format", "json"])
        .arg(case.state());
    let output = digest.output().expect("it can be started");
    let found: Value = serde_json::from_slice(&output.stdout).ok()?;
    let offsets = found["offsets"].as_object()?.values();
    Some(offsets.filter_map(Value::as_i64).sum())
}

/// Room for a transaction's marker, and for no record: brokers whose own markers are refused do not recover from that.
pub const TOO_SMALL: &str = "200";

/// An output that refuses for so long, then a death, then one that takes everything.
fn refuse(broker: &Broker, name: &str, blocked: Duration) {
    let case = Case::new(broker, name, &["--retain-minutes", "30d"]);
    for topic in [&case.job.stats, &case.job.windows] {
        create_topic(
            &case.job.address,
            topic,
            1,
            &[("max.message.bytes", TOO_SMALL)],
        );
    }
    case.job.send(&part(0));
    let mut service = case.start("2");
    service.stderr_line("was not delivered", SOON);
    let first = wait_until(SOON, "a checkpoint", || saved(&case).filter(|n| *n > 0));
    let pause = blocked / 50;
    let (last, parts) = under_load(&case.job, 1, pause, part, || {
        outlast(blocked);
        let goes_on = || saved(&case).filter(|n| *n > first + i64::from(20 * PART));
        wait_until(SOON, "the state goes on meanwhile", goes_on)
    });
    service.signal("KILL");
    service.wait(SOON);
    assert!(case.job.window_records().up_to_now().is_empty());
    for topic in [&case.job.stats, &case.job.windows] {
        set_topic_config(&case.job.address, topic, "max.message.bytes", "1000000");
    }
    // What the state holds back goes out first: these are finals that only the life before could number.
    let shown = case.show();
    let waiting = shown["unpublished"].as_u64().expect("a number");
    println!(
        "{name}: {last} of {} frames were saved, {waiting} finals waited",
        parts * PART
    );
    assert!(waiting > 100, "{waiting} finals waited");
    case.run_to_end("3");
    let (_, windows) = case.job.published();
    last_words(&windows);
    let of_the_dead = windows.iter().filter(|r| r.int("/epoch") == epoch(&shown));
    let kept = of_the_dead.filter(|r| r.str("/state") != "provisional");
    assert_eq!(kept.count() as u64, waiting, "they go out as they were");
    case.assert_as_without_an_accident();
}

fn epoch(shown: &Value) -> i64 {
    shown["epoch"].as_i64().expect("a number")
}

#[test]
fn an_output_that_refuses_until_the_service_is_killed_misses_no_final() {
    let Some(broker) = Broker::shared() else {
        return;
    };
    let blocked = Duration::from_secs(short_or_long(15, 600));
    std::thread::scope(|scope| {
        // Side by side: each of them waits most of the time.
        for number in 0..short_or_long(1, 10) {
            scope.spawn(move || refuse(broker, &format!("refused-{number}"), blocked));
        }
    });
}
