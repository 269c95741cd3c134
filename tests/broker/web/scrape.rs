//! What monitoring reads is what its format says, and adds up with what is published.

use super::Web;
use crate::support::http::Response;
use crate::support::wait_until;
use crate::world::SOON;
use openmetrics_parser::prometheus::parse_prometheus;
use openmetrics_parser::{PrometheusType, PrometheusValue};
use std::collections::BTreeMap;

/// Samples by name and labels, and the types of their families, as a parser of others' making reads them.
pub fn parse(text: &str) -> (BTreeMap<String, f64>, BTreeMap<String, PrometheusType>) {
    let exposition = parse_prometheus(text).unwrap_or_else(|error| panic!("{error:?}:\n{text}"));
    let mut samples = BTreeMap::new();
    let mut types = BTreeMap::new();
    for (name, family) in exposition.families {
        assert!(!family.help.is_empty(), "{name} has no help");
        for sample in family.iter_samples() {
            let labels = sample.get_labelset().expect("labels");
            let mut labels: Vec<_> = labels
                .iter()
                // An empty label is none, by the format.
                .filter(|(_, value)| !value.is_empty())
                .map(|(name, value)| format!("{name}={value}"))
                .collect();
            labels.sort();
            let value = match &sample.value {
                PrometheusValue::Counter(counter) => counter.value.as_f64(),
                PrometheusValue::Gauge(number) => number.as_f64(),
                _ => panic!("{name} is neither counter nor gauge"),
            };
            let before = samples.insert(format!("{name}{{{}}}", labels.join(",")), value);
            assert_eq!(before, None, "{name} has a sample twice");
        }
        types.insert(name, family.family_type);
    }
    (samples, types)
}

/// Names and units by Prometheus' conventions.
fn check_names(types: &BTreeMap<String, PrometheusType>) {
    for (name, kind) in types {
        let is_counter = name.ends_with("_total");
        assert_eq!(*kind == PrometheusType::Counter, is_counter, "{name}");
        assert!(
            name.starts_with("headcount_") || name.starts_with("process_"),
            "{name}"
        );
        assert!(
            !name.contains("_ms") && !name.contains("_millis"),
            "{name}: base units"
        );
    }
}

/// The metrics, once they tell that all is read: the brokers are asked for the lag now and then.
fn scrape(web: &Web, frames: usize) -> Response {
    wait_until(SOON, "all is read and known to be", || {
        let response = web.get("/metrics");
        let text = response.text();
        let has_lag = |n| {
            let labels = format!("topic=\"web-metrics\",partition=\"{n}\"");
            text.contains(&format!("\nheadcount_consumer_lag_frames{{{labels}}} 0\n"))
        };
        let has_read = text.contains(&format!("\nheadcount_frames_read_total {frames}\n"));
        let is_known = has_read && has_lag(0) && has_lag(1);
        is_known.then_some(response)
    })
}

#[test]
fn metrics_are_well_formed_and_say_what_the_tick_says() {
    let (web, frames) = Web::counting("web-metrics");
    let tick = web.until_read(frames.len() as u64);
    web.json("/v1/users?last=1m");
    web.get("/nowhere");
    let response = scrape(&web, frames.len());
    let content_type = response.header("content-type");
    assert_eq!(
        content_type,
        Some("text/plain; version=0.0.4; charset=utf-8")
    );
    let (samples, types) = parse(response.text());
    check_names(&types);
    let value = |name: &str| {
        let found = samples.get(name);
        *found.unwrap_or_else(|| panic!("no {name} in\n{}", response.text()))
    };
    let number = |path: &str| {
        let found = tick.pointer(path).and_then(serde_json::Value::as_f64);
        found.expect("a number")
    };
    for (metric, path) in [
        ("headcount_frames_total{verdict=counted}", "/frames/counted"),
        (
            "headcount_frames_total{reason=uid_missing,verdict=rejected}",
            "/frames/rejected/uid_missing",
        ),
        ("headcount_frames_late_total{}", "/frames/late"),
        ("headcount_as_of_timestamp_seconds{}", "/as_of"),
        ("headcount_watermark_timestamp_seconds{}", "/watermark"),
    ] {
        assert_eq!(value(metric), number(path), "{metric}");
    }
    let verdicts = samples
        .iter()
        .filter(|(name, _)| name.starts_with("headcount_frames_total{"));
    let sum: f64 = verdicts.map(|(_, n)| n).sum();
    assert_eq!(
        sum + value("headcount_frames_pending{}"),
        number("/frames/read")
    );
    for window in ["minute", "hour", "day", "week", "month", "year"] {
        let users = value(&format!("headcount_users{{window={window}}}"));
        assert_eq!(users, number(&format!("/users_last_{window}")));
    }
    for partition in 0..2 {
        let labels = format!("partition={partition},topic=web-metrics");
        let offset = value(&format!("headcount_consumer_offset{{{labels}}}"));
        assert_eq!(offset, frames.len() as f64 / 2.0);
    }
    assert!(
        value("headcount_behind_seconds{}") > 0.0,
        "the frames are of another time"
    );
    assert_eq!(value("headcount_events_total{event=reading}"), 1.0);
    assert_eq!(value("headcount_questions_total{}"), 1.0);
    assert_eq!(
        value("headcount_http_responses_total{path=/v1/users,status=200}"),
        1.0
    );
    let made_up = response.text().contains("/nowhere");
    assert!(!made_up, "a path that somebody made up is no label");
    let troubles = samples
        .iter()
        .filter(|(name, _)| name.starts_with("headcount_trouble{"));
    assert!(troubles.map(|(_, value)| *value).eq([0.0; 9]));
}
