//! Numbers over HTTP are the exact counts of the frames that were sent.

use super::Web;
use crate::support::wait_until;
use crate::world::{Frame, Job, NOON, SOON, Says, seen};
use jiff::Timestamp;
use serde_json::Value;
use std::collections::BTreeSet;

/// The distinct users of a stretch of event time.
fn users(frames: &[Frame], from: u32, to: u32) -> u64 {
    let users = frames.iter().filter_map(|frame| match &frame.says {
        Says::Seen { user, ts } => (from..to).contains(ts).then_some(user),
        Says::Rejected(_) => None,
    });
    users.collect::<BTreeSet<_>>().len() as u64
}

fn newest(frames: &[Frame]) -> u32 {
    let times = frames.iter().filter_map(|frame| match frame.says {
        Says::Seen { ts, .. } => Some(ts),
        Says::Rejected(_) => None,
    });
    times.max().expect("a frame")
}

fn second(time: &Value) -> u32 {
    let at: Timestamp = time.as_str().expect("a time").parse().expect("RFC 3339");
    at.as_second() as u32
}

fn rfc3339(second: u32) -> String {
    Timestamp::from_second(second.into())
        .expect("a time")
        .to_string()
}

/// Asks as often as it takes to be below the cap.
fn ask(web: &Web, path: &str) -> Value {
    wait_until(SOON, "an answer below the cap", || {
        let response = web.get(path);
        assert!(
            matches!(response.status, 200 | 429),
            "{path}: {}",
            response.text()
        );
        (response.status == 200).then(|| response.json())
    })
}

#[test]
fn any_trailing_window_is_counted_exactly_and_says_what_it_is() {
    let (web, frames) = Web::counting("web-trailing");
    let newest = newest(&frames);
    for seconds in [1, 7, 59, 60, 61, 100, 3_600] {
        let answer = ask(&web, &format!("/v1/users?last={seconds}s"));
        let from = newest + 1 - seconds;
        assert_eq!(
            answer["users"],
            users(&frames, from, newest + 1),
            "{seconds} s: {answer}"
        );
        assert_eq!(
            (&answer["lo"], &answer["hi"]),
            (&answer["users"], &answer["users"])
        );
        assert_eq!(answer["as_of"], newest);
        assert_eq!(
            (second(&answer["from"]), second(&answer["to"])),
            (from, newest + 1)
        );
        assert_eq!(answer["complete"], true, "all partitions are read from 0");
        let reflected = answer["offsets"].as_object().expect("offsets").values();
        let reflected: i64 = reflected.map(|n| n.as_i64().expect("a number")).sum();
        assert_eq!(reflected, frames.len() as i64);
    }
    for back in [0, 30, 90] {
        let since = newest - back;
        let answer = ask(&web, &format!("/v1/users?since={}", rfc3339(since)));
        assert_eq!(
            answer["users"],
            users(&frames, since, newest + 1),
            "since {since}: {answer}"
        );
        assert_eq!(answer, ask(&web, &format!("/v1/users?since={since}")));
    }
}

#[test]
fn calendar_windows_are_put_together_and_the_answer_says_which() {
    let (web, frames) = Web::counting("web-union");
    for (from, to) in [
        (NOON, NOON + 60),
        (NOON + 60, NOON + 180),
        (NOON + 1, NOON + 59),
        (NOON + 30, NOON + 61),
        (NOON - 86_400, NOON + 600),
    ] {
        let answer = ask(&web, &format!("/v1/users?from={from}&to={to}"));
        let (first, last) = (second(&answer["from"]), second(&answer["to"]));
        let asked = from..to.min(newest(&frames) + 1);
        assert!(first <= asked.start && asked.end <= last, "{answer}");
        assert_eq!(
            answer["users"],
            users(&frames, first, last),
            "{from} to {to}: {answer}"
        );
        let used = answer["windows"].as_array().expect("windows");
        assert!(!used.is_empty());
        let names: BTreeSet<_> = used
            .iter()
            .map(|w| w["window"].as_str().expect("a name"))
            .collect();
        if to - from < 3_600 {
            assert_eq!(names, BTreeSet::from(["minute"]), "{answer}");
            assert!(
                first + 60 > from && last < to + 60,
                "no wider than it must be: {answer}"
            );
        }
        assert_eq!(answer["missing"], serde_json::json!([]));
    }
    // What ends after the newest frame needs no end: today, so far, is a day.
    let answer = ask(&web, "/v1/users?from=2026-01-01T00:00:00Z");
    assert_eq!(answer["users"], users(&frames, 0, u32::MAX), "{answer}");
    assert_eq!(
        answer["windows"].as_array().map(Vec::len),
        Some(1),
        "{answer}"
    );
    assert_eq!(answer["closed"], false);
}

#[test]
fn what_is_not_kept_any_more_is_said_to_be_missing() {
    let old: Vec<Frame> = (0..60)
        .map(|n| seen((n % 2) as i32, n % 7, NOON + n))
        .collect();
    let new = (0..60).map(|n| seen((n % 2) as i32, n % 9, NOON + 40 * 86_400 + n));
    let frames: Vec<Frame> = old.into_iter().chain(new).collect();
    let kept = ["minute", "hour", "day", "week", "month", "year"].map(|p| format!("--retain-{p}s"));
    let mut options = vec!["--every", "200ms"];
    for option in &kept {
        options.extend([option.as_str(), "2d"]);
    }
    let web = Web::start_with("web-missing", &frames, &options);
    web.until_read(frames.len() as u64);
    let gone = web.get(&format!("/v1/users?from={NOON}&to={}", NOON + 60));
    assert_eq!(gone.status, 422, "{}", gone.text());
    let from = NOON + 30 * 86_400;
    let answer = ask(&web, &format!("/v1/users?from={from}"));
    assert_eq!(answer["complete"], false, "{answer}");
    let missing = &answer["missing"][0];
    assert_eq!(second(&missing["from"]), from, "{answer}");
    assert!(second(&missing["to"]) <= NOON + 40 * 86_400, "{answer}");
    assert_eq!(answer["users"], 9);
}

#[test]
fn a_series_has_the_numbers_of_the_published_records() {
    let (web, frames) = Web::counting("web-series");
    for period in ["minute", "hour", "day", "week", "month", "year"] {
        let answer = ask(&web, &format!("/v1/windows?window={period}"));
        let rows = answer["windows"].as_array().expect("windows");
        assert!(!rows.is_empty());
        for row in rows {
            let (start, end) = (second(&row["start"]), second(&row["end"]));
            assert_eq!(row["users"], users(&frames, start, end), "{period}: {row}");
            let is_in = |frame: &&Frame| matches!(frame.says, Says::Seen { ts, .. } if (start..end).contains(&ts));
            assert_eq!(row["frames"], frames.iter().filter(is_in).count() as u64);
        }
        let starts: Vec<_> = rows.iter().map(|row| second(&row["start"])).collect();
        assert!(starts.is_sorted_by(|a, b| a < b), "{starts:?}");
    }
    let minutes = ask(&web, "/v1/windows?window=minute");
    let minutes = minutes["windows"].as_array().expect("windows");
    let states: BTreeSet<_> = minutes
        .iter()
        .map(|row| row["state"].as_str().expect("a state"))
        .collect();
    assert_eq!(states, BTreeSet::from(["final", "provisional"]));
    // Page after page, from the first one.
    let mut paged = Vec::new();
    let mut from = NOON.to_string();
    loop {
        let answer = ask(
            &web,
            &format!("/v1/windows?window=minute&limit=2&from={from}"),
        );
        paged.extend(answer["windows"].as_array().expect("windows").clone());
        match answer["more"].as_str() {
            Some(more) => from = more.to_owned(),
            None => break,
        }
    }
    assert_eq!(&paged, minutes);
    let last = ask(&web, "/v1/windows?window=minute&limit=1");
    assert_eq!(last["windows"][0], minutes[minutes.len() - 1]);
    assert_eq!(last["more"], minutes[minutes.len() - 2]["start"]);
    let csv = web.get("/v1/windows?window=minute&format=csv");
    assert_eq!(csv.header("content-type"), Some("text/csv; charset=utf-8"));
    let lines: Vec<_> = csv.text().lines().collect();
    assert_eq!(lines.len(), 1 + minutes.len());
    let first = &minutes[0];
    let text = |name: &str| first[name].to_string().trim_matches('"').to_owned();
    let expected = format!(
        "minute,{},{},UTC,{},{},{},{},{},{},true,{}",
        text("start"),
        text("end"),
        text("users"),
        text("lo"),
        text("hi"),
        text("frames"),
        text("late"),
        text("state"),
        text("revision")
    );
    assert_eq!(lines[1], expected);
}

#[test]
fn late_frames_are_seen_as_a_revision_and_in_unions() {
    let (web, mut frames) = Web::counting("web-revised");
    let before = ask(&web, "/v1/windows?window=minute&limit=1&from=0");
    assert_eq!(before["windows"][0]["state"], "final");
    let late: Vec<Frame> = (0..5)
        .map(|n| seen(0, format!("late {n}"), NOON + 5))
        .collect();
    web.job.send(&late);
    frames.extend(late);
    web.until_read(frames.len() as u64);
    let revised = wait_until(SOON, "a revision", || {
        let answer = ask(&web, "/v1/windows?window=minute&limit=1&from=0");
        (answer["windows"][0]["state"] == "revised").then(|| answer["windows"][0].clone())
    });
    assert_eq!(revised["users"], users(&frames, NOON, NOON + 60));
    assert_eq!(
        (&revised["revision"], &revised["late"]),
        (&1.into(), &5.into())
    );
}

/// What has left memory is read from the state, and a restarted service knows it too.
#[test]
fn a_service_with_a_state_answers_from_it_after_a_restart() {
    let state = tempfile::tempdir().expect("a directory");
    let directory = state.path().to_str().expect("UTF-8");
    let options = [
        "--every",
        "200ms",
        "--state",
        directory,
        "--checkpoint-interval",
        "200ms",
        "--threads",
        "3",
    ];
    let many = |hour: u32| {
        (0..3_000).map(move |n| seen((n % 2) as i32, hour * 700 + n, NOON + 3_600 * hour + n))
    };
    let frames: Vec<Frame> = (0..6).flat_map(many).collect();
    let (cluster, job) = crate::mock::cluster("web-state", 2);
    job.send(&frames);
    let (service, address) = super::serve(&job, &options);
    let mut web = Web {
        cluster,
        job,
        service,
        address,
    };
    let ask_all = |web: &Web| {
        web.until_read(frames.len() as u64);
        let hours = ask(web, "/v1/windows?window=hour");
        let union = ask(
            web,
            &format!("/v1/users?from={NOON}&to={}", NOON + 5 * 3_600),
        );
        (
            hours["windows"].clone(),
            union["users"].clone(),
            union["windows"].clone(),
        )
    };
    let before = ask_all(&web);
    assert_eq!(before.1, users(&frames, NOON, NOON + 5 * 3_600));
    assert_eq!(before.2.as_array().map(Vec::len), Some(5));
    crate::world::stop(&mut web.service);
    let job: Job = web.job.clone();
    (web.service, web.address) = super::serve(&job, &options);
    assert_eq!(ask_all(&web), before);
}
