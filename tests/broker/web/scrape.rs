//! What monitoring reads is what its format says, and adds up with what is published.

use super::Web;
use openmetrics_parser::prometheus::parse_prometheus;
use openmetrics_parser::{PrometheusType, PrometheusValue};
use std::collections::BTreeMap;

/// Samples by name and labels, and the types of their families, as a parser of others' making reads them.
fn parse(text: &str) -> (BTreeMap<String, f64>, BTreeMap<String, PrometheusType>) {
    let exposition = parse_prometheus(text).unwrap_or_else(|error| panic!("{error}:\n{text}"));
    let mut samples = BTreeMap::new();
    let mut types = BTreeMap::new();
    for (name, family) in exposition.families {
        assert!(!family.help.is_empty(), "{name} has no help");
        for sample in family.iter_samples() {
            let labels = sample.get_labelset().expect("labels");
            let labels: Vec<_> = labels
                .iter()
                .map(|(name, value)| format!("{name}={value}"))
                .collect();
            let value = match &sample.value {
                PrometheusValue::Counter(counter) => counter.value.as_f64(),
                PrometheusValue::Gauge(number) => number.as_f64(),
                other => panic!("{name}: {other:?}"),
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

#[test]
fn metrics_are_well_formed_and_say_what_the_tick_says() {
    let (web, frames) = Web::counting("web-metrics");
    let tick = web.until_read(frames.len() as u64);
    web.json("/v1/users?last=1m");
    web.get("/nowhere");
    let response = web.get("/metrics");
    assert_eq!(
        response.header("content-type"),
        Some("text/plain; version=0.0.4; charset=utf-8")
    );
    let (samples, types) = parse(response.text());
    check_names(&types);
    let value = |name: &str| {
        let found = samples.get(name);
        *found.unwrap_or_else(|| panic!("no {name} in\n{}", response.text()))
    };
    let number = |path: &str| {
        tick.pointer(path)
            .and_then(serde_json::Value::as_f64)
            .expect("a number")
    };
    assert_eq!(
        value("headcount_frames_read_total{}"),
        number("/frames/read")
    );
    assert_eq!(
        value("headcount_frames_total{verdict=counted,reason=}"),
        number("/frames/counted")
    );
    assert_eq!(
        value("headcount_frames_total{verdict=rejected,reason=uid_missing}"),
        number("/frames/rejected/uid_missing")
    );
    let verdicts = samples
        .iter()
        .filter(|(name, _)| name.starts_with("headcount_frames_total{"));
    let sum: f64 = verdicts.map(|(_, n)| n).sum();
    assert_eq!(
        sum + value("headcount_frames_pending{}"),
        number("/frames/read")
    );
    for window in ["minute", "hour", "day", "week", "month", "year"] {
        assert_eq!(
            value(&format!("headcount_users{{window={window}}}")),
            number(&format!("/users_last_{window}"))
        );
    }
    for partition in 0..2 {
        let labels = format!("topic=web-metrics,partition={partition}");
        assert_eq!(
            value(&format!("headcount_consumer_lag_frames{{{labels}}}")),
            0.0
        );
        assert_eq!(
            value(&format!("headcount_consumer_offset{{{labels}}}")),
            frames.len() as f64 / 2.0
        );
    }
    assert_eq!(
        value("headcount_watermark_lag_seconds{}"),
        number("/as_of") - number("/watermark")
    );
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
    assert!(
        !response.text().contains("/nowhere"),
        "a path that somebody made up is no label"
    );
    let wrong = samples
        .iter()
        .filter(|(name, value)| name.starts_with("headcount_trouble{") && **value != 0.0);
    assert_eq!(wrong.count(), 0);
}
