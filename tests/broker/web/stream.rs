//! Ticks as they are made: each one once, also for whoever comes back.

use super::Web;
use crate::mock::batch;
use crate::support::http::Events;
use crate::world::Published;
use serde_json::Value;

fn tick(data: &str) -> Value {
    serde_json::from_str(data).expect("a tick")
}

#[test]
fn a_stream_has_every_tick_as_it_is_published_and_goes_on_where_it_was_left() {
    let web = Web::start_with("web-stream", &batch(0, 2), &["--every", "200ms"]);
    let mut events = Events::open(&web.address, &[]);
    assert_eq!(events.next_named("status").data, "{\"troubles\":[]}");
    let seen: Vec<_> = (0..5).map(|_| events.next_named("tick")).collect();
    drop(events);
    let numbers: Vec<_> = seen
        .iter()
        .map(|event| tick(&event.data)["tick"].as_u64().expect("a number"))
        .collect();
    assert!(
        numbers.windows(2).all(|pair| pair[1] == pair[0] + 1),
        "{numbers:?}"
    );
    // As readers of the topic see them.
    let last = *numbers.last().expect("ticks");
    let mut ticks = web.job.ticks();
    let published: Vec<Published> = (0..last).map(|_| ticks.until("a tick", |_| true)).collect();
    for event in &seen {
        let number = tick(&event.data)["tick"].as_i64().expect("a number");
        let same = published
            .iter()
            .find(|p| p.int("/tick") == number)
            .expect("published too");
        assert_eq!(event.data, same.text);
        assert_eq!(event.id, format!("{}-{number}", same.int("/epoch")));
    }
    // Away for a while.
    ticks.until("a later tick", |tick| tick.int("/tick") as u64 >= last + 3);
    let mut again = Events::open(&web.address, &[("Last-Event-ID", &seen[4].id)]);
    let missed: Vec<_> = (0..3)
        .map(|_| tick(&again.next_named("tick").data)["tick"].as_u64())
        .collect();
    assert_eq!(missed, [Some(last + 1), Some(last + 2), Some(last + 3)]);
}

#[test]
fn what_is_wrong_is_told_when_it_begins_and_when_it_is_over() {
    let web = Web::start_with("web-status", &batch(0, 2), &["--every", "200ms"]);
    // Nothing is ready before its first tick, whatever its brokers do.
    web.until_read(60);
    let mut events = Events::open(&web.address, &[]);
    assert_eq!(events.next_named("status").data, "{\"troubles\":[]}");
    let kinds = |events: &mut Events| {
        let status = events.next_named("status").data;
        let status: Value = serde_json::from_str(&status).expect("a status");
        let troubles = status["troubles"].as_array().expect("a list").clone();
        troubles
            .into_iter()
            .map(|t| t["kind"].as_str().expect("a kind").to_owned())
            .collect::<Vec<_>>()
    };
    for broker in 1..=3 {
        web.cluster.broker_down(broker).expect("it goes down");
    }
    while !kinds(&mut events).contains(&"unreachable".to_owned()) {}
    let ready = web.get("/readyz");
    assert_eq!(ready.status, 503, "{}", ready.text());
    assert!(ready.text().contains("out of reach"), "{}", ready.text());
    assert_eq!(web.get("/livez").status, 200, "a restart would not help");
    assert!(
        web.get("/metrics")
            .text()
            .contains("\nheadcount_trouble{kind=\"unreachable\"} 1\n")
    );
    for broker in 1..=3 {
        web.cluster.broker_up(broker).expect("it comes back");
    }
    while !kinds(&mut events).is_empty() {}
    assert_eq!(web.get("/readyz").json()["status"], "ready");
}

#[test]
fn frames_of_which_none_counts_are_told_of() {
    let web = Web::start_with("web-rejected", &batch(0, 2), &["--every", "200ms"]);
    let mut events = Events::open(&web.address, &[]);
    web.until_read(60);
    let broken: Vec<_> = (0..100)
        .map(|n| crate::world::bad(n % 2, "json", Some(b"{")))
        .collect();
    web.job.send(&broken);
    let told = loop {
        let status = events.next_named("status").data;
        if status.contains("all_rejected") {
            break status;
        }
    };
    assert!(told.contains("'json'"), "{told}");
    // A good one, and all is well.
    web.job.send(&batch(1, 2));
    while events.next_named("status").data != "{\"troubles\":[]}" {}
}
