//! What clients may do, the counting goes on: many questions, slow heads, readers that do not read, connections by the
//! hundred.

#![allow(
    clippy::disallowed_methods,
    reason = "a cap in answers a second is about real time"
)]

use super::Web;
use crate::mock::batch;
use crate::support::http::{Events, burst, connect, get, read};
use crate::support::{short_or_long, wait_until};
use crate::world::SOON;
use headcount::limits::{HTTP_CONNECTIONS_MAX, HTTP_STREAMS_MAX, QUESTIONS_PER_S_MAX};
use std::collections::BTreeMap;
use std::io::{BufReader, Read, Write};
use std::time::Instant;

fn metric(web: &Web, name: &str) -> f64 {
    let text = web.get("/metrics").text().to_owned();
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    line.unwrap_or_else(|| panic!("no {name} in\n{text}"))
        .parse()
        .expect("a number")
}

#[test]
fn different_questions_are_capped_and_the_same_one_is_answered_once_a_second() {
    let (web, frames) = Web::counting("web-flood");
    let begun = Instant::now();
    let (mut asked, mut refused) = (0, 0);
    for round in 0..10 {
        let questions: Vec<_> = (1..=40)
            .map(|n| format!("/v1/users?last={}s", 40 * round + n))
            .collect();
        for response in burst(&web.address, &questions) {
            asked += 1;
            if response.status == 200 {
                continue;
            }
            assert_eq!(response.status, 429, "{}", response.text());
            refused += 1;
            let seconds = response.header("retry-after").expect("when");
            let seconds: u64 = seconds.parse().expect("seconds");
            assert_eq!(response.json()["retry_after_s"], seconds);
            assert!((1..=5).contains(&seconds));
        }
    }
    let seconds = begun.elapsed().as_secs() + 1;
    let passes = metric(&web, "headcount_questions_total");
    assert!(
        passes <= (QUESTIONS_PER_S_MAX * (seconds + 1)) as f64,
        "{passes} in {seconds} s"
    );
    assert_eq!(passes as u64 + refused, asked);
    assert_eq!(
        metric(&web, "headcount_questions_refused_total") as u64,
        refused
    );
    assert!(refused > 0, "{asked} questions in {seconds} s");
    // The same one, as often as anybody likes.
    let first = wait_until(SOON, "an answer", || {
        let response = web.get("/v1/users?last=77s");
        (response.status == 200).then_some(response)
    });
    for _ in 0..100 {
        let again = web.get("/v1/users?last=77s");
        assert!(
            again.status == 429 || again.text() == first.text(),
            "{}",
            again.text()
        );
    }
    let after = metric(&web, "headcount_questions_total");
    assert!(
        after - passes <= 2.0 + QUESTIONS_PER_S_MAX as f64,
        "{passes} then {after}"
    );
    // And all the while it counts.
    web.job.send(&batch(20, 2));
    web.until_read(frames.len() as u64 + 60);
}

/// Requests on a connection that stays open, a hundred under way at a time; gives how often each status came.
fn ask_all(address: &str, paths: impl Iterator<Item = String>) -> BTreeMap<u16, usize> {
    let socket = connect(address);
    let mut answers = BufReader::new(socket.try_clone().expect("a second handle"));
    let mut socket = socket;
    let mut statuses = BTreeMap::new();
    let mut paths = paths.peekable();
    while paths.peek().is_some() {
        let some: Vec<_> = paths.by_ref().take(100).collect();
        let request = |path: &String| format!("GET {path} HTTP/1.1\r\nHost: {address}\r\n\r\n");
        let requests: String = some.iter().map(request).collect();
        socket.write_all(requests.as_bytes()).expect("it reads");
        for _ in some {
            *statuses
                .entry(read(&mut answers, "GET").status)
                .or_default() += 1;
        }
    }
    statuses
}

#[test]
fn a_million_query_strings_leave_nothing_behind() {
    let (web, frames) = Web::counting("web-strings");
    let number = short_or_long(20_000, 1_000_000);
    let strange = |n: usize| match n % 4 {
        0 => format!("/v1/users?last={n}s"),
        1 => format!("/v1/users?x{n}=1"),
        2 => format!("/v1/windows?window=day&from={n}"),
        _ => format!("/{n}?{n}"),
    };
    // What is kept for as many questions as there ever are at once, it may keep.
    ask_all(&web.address, (0..1_000).map(strange));
    let before = metric(&web, "process_resident_memory_bytes");
    let lines = web.get("/metrics").text().lines().count();
    let statuses = ask_all(&web.address, (1_000..1_000 + number).map(strange));
    let after = metric(&web, "process_resident_memory_bytes");
    assert!(
        after - before < f64::from(16 << 20),
        "{before} then {after} bytes for {number} query strings"
    );
    let lines_after = web.get("/metrics").text().lines().count();
    assert!(lines_after <= lines + 2, "{lines} then {lines_after} lines");
    assert_eq!(statuses.values().sum::<usize>(), number);
    assert_eq!(statuses[&400], number / 4);
    assert_eq!(statuses[&404], number / 4);
    assert!(
        statuses
            .keys()
            .all(|status| [200, 400, 404, 429].contains(status)),
        "{statuses:?}"
    );
    // And as many as fit into one.
    let many = "a=1&".repeat(3_500);
    assert_eq!(web.get(&format!("/v1/users?{many}last=1m")).status, 400);
    web.job.send(&batch(20, 2));
    web.until_read(frames.len() as u64 + 60);
}

#[test]
fn slow_heads_and_idle_connections_give_way() {
    let (web, frames) = Web::counting("web-slow");
    let mut events = Events::open(&web.address, &[]);
    events.next_named("tick");
    // Three times as many as there may be, each with a head that never ends.
    let mut slow: Vec<_> = (0..3 * HTTP_CONNECTIONS_MAX)
        .map(|n| {
            let mut socket = connect(&web.address);
            // One that was made to give way already may refuse.
            let _ = socket
                .write_all(format!("GET /v1/users?last={n}s HTTP/1.1\r\nHost: loc").as_bytes());
            socket
        })
        .collect();
    for _ in 0..20 {
        assert_eq!(get(&web.address, "/livez").status, 200);
    }
    assert!(metric(&web, "headcount_http_connections") <= HTTP_CONNECTIONS_MAX as f64);
    assert!(
        metric(&web, "headcount_http_connections_turned_away_total")
            >= (2 * HTTP_CONNECTIONS_MAX) as f64
    );
    // Whoever listened all the while still does.
    web.job.send(&batch(20, 2));
    web.until_read(frames.len() as u64 + 60);
    events.next_named("tick");
    // And the others are shown out when their time is over.
    let mut rest = Vec::new();
    let last = slow.last_mut().expect("one of them");
    last.set_read_timeout(Some(SOON)).expect("a limit");
    let shown_out = last.read_to_end(&mut rest);
    assert!(
        shown_out.is_ok()
            || shown_out.is_err_and(|e| e.kind() == std::io::ErrorKind::ConnectionReset)
    );
    wait_until(SOON, "the slow ones are gone", || {
        (metric(&web, "headcount_http_connections") <= 3.0).then_some(())
    });
}

#[test]
fn streams_leave_room_for_others_and_end_when_nobody_reads() {
    let web = Web::start_with("web-streams", &batch(0, 2), &["--every", "100ms"]);
    web.until_read(60);
    let mut streams: Vec<_> = (0..HTTP_STREAMS_MAX)
        .map(|_| Events::open(&web.address, &[]))
        .collect();
    let refused = web.get("/v1/stream");
    assert_eq!(refused.status, 429, "{}", refused.text());
    assert!(refused.header("retry-after").is_some());
    assert_eq!(web.get("/v1/stats").status, 200);
    streams
        .iter_mut()
        .for_each(|events| drop(events.next_named("tick")));
    streams.clear();
    wait_until(SOON, "those who left are gone", || {
        (metric(&web, "headcount_http_streams") == 0.0).then_some(())
    });
    assert_eq!(metric(&web, "headcount_http_streams"), 0.0);
    Events::open(&web.address, &[]).next_named("tick");
}
