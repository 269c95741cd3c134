//! The Grafana dashboard and the alerts ask for what `/metrics` has, by its names and labels, and for all of it.

use super::scrape::parse;
use super::{Web, serve};
use crate::mock::{batch, cluster};
use crate::support::wait_until;
use crate::world::SOON;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

/// Metrics that no panel shows, and why.
const NOT_SHOWN: [(&str, &str); 2] = [
    (
        "headcount_as_of_timestamp_seconds",
        "headcount_behind_seconds is the same for people",
    ),
    (
        "headcount_watermark_timestamp_seconds",
        "headcount_watermark_lag_seconds is the same for people",
    ),
];
/// Labels that Prometheus adds to what it reads.
const ADDED: [&str; 2] = ["instance", "job"];

/// What a service with a state, a backlog read and questions answered tells: values by label, by metric.
type Told = BTreeMap<String, BTreeMap<String, BTreeSet<String>>>;

fn told() -> Told {
    let folder = tempfile::tempdir().expect("a directory");
    let state = folder.path().to_str().expect("UTF-8");
    let (cluster, job) = cluster("web-dashboard", 2);
    job.send(&batch(0, 2));
    let options = ["--every", "200ms", "--checkpoint-interval", "200ms"];
    let (service, address) = serve(&job, &[&options[..], &["--state", state]].concat());
    let web = Web {
        cluster,
        job,
        service,
        address,
    };
    web.until_read(60);
    let text = wait_until(SOON, "everything is told", || {
        let text = web.get("/metrics").text().to_owned();
        let has = |name: &str| text.contains(&format!("\n{name}"));
        let all = has("headcount_checkpoint_age_seconds") && has("headcount_consumer_lag_frames");
        all.then_some(text)
    });
    let mut told = Told::new();
    for sample in parse(&text).0.into_keys() {
        let (name, labels) = sample
            .trim_end_matches('}')
            .split_once('{')
            .expect("labels");
        let known = told.entry(name.to_owned()).or_default();
        for (label, value) in labels.split(',').filter_map(|pair| pair.split_once('=')) {
            let values = known.entry(label.to_owned()).or_default();
            values.insert(value.to_owned());
        }
    }
    told
}

/// A metric in a query, and what its labels must be: name, operator, value.
#[derive(Debug)]
struct Selector {
    metric: String,
    matchers: Vec<(String, String, String)>,
}

fn is_name(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_'
}

/// The metrics that a query asks for. Every other name in it is a function, a word of the language or a label.
fn selectors(query: &str) -> Vec<Selector> {
    let mut found = Vec::new();
    let mut rest = query;
    while let Some(at) = rest.find(is_name) {
        rest = &rest[at..];
        let end = rest.find(|c| !is_name(c)).unwrap_or(rest.len());
        let (name, after) = rest.split_at(end);
        rest = after;
        if !name.starts_with("headcount_") && !name.starts_with("process_") {
            continue;
        }
        let mut matchers = Vec::new();
        if let Some(inner) = rest.strip_prefix('{') {
            let (inner, after) = inner.split_once('}').expect("a closing brace");
            rest = after;
            for matcher in inner.split(',') {
                let at = matcher.find(['=', '!']).expect("an operator");
                let (label, matcher) = matcher.split_at(at);
                let (operator, value) = matcher.split_once('"').expect("a value in quotes");
                let value = value.strip_suffix('"').expect("a value in quotes");
                matchers.push((label.to_owned(), operator.to_owned(), value.to_owned()));
            }
        }
        found.push(Selector {
            metric: name.to_owned(),
            matchers,
        });
    }
    found
}

/// The labels by which a query groups and joins.
fn grouped_by(query: &str) -> Vec<&str> {
    let lists = ["by (", "on ("].map(|word| query.split(word).skip(1));
    let lists = lists.into_iter().flatten();
    let names = lists.flat_map(|rest| rest.split(')').next().unwrap_or_default().split(", "));
    names.collect()
}

/// What a query asks for and nothing tells.
fn complaints(query: &str, shown: &[&str], told: &Told) -> Vec<String> {
    let mut complaints = Vec::new();
    let selectors = selectors(query);
    if selectors.is_empty() {
        complaints.push("it asks for nothing".to_owned());
    }
    let is_balanced = [('(', ')'), ('{', '}'), ('[', ']')]
        .into_iter()
        .all(|(open, close)| query.matches(open).count() == query.matches(close).count());
    if !is_balanced {
        complaints.push("its brackets do not match".to_owned());
    }
    for selector in &selectors {
        let Some(labels) = told.get(&selector.metric) else {
            complaints.push(format!("nobody tells {}", selector.metric));
            continue;
        };
        let knows = |label: &str| ADDED.contains(&label) || labels.contains_key(label);
        let named = selector.matchers.iter().map(|(label, ..)| label.as_str());
        let named = named.chain(grouped_by(query)).chain(shown.iter().copied());
        for label in named.filter(|label| !knows(label)) {
            complaints.push(format!("{} has no label {label}", selector.metric));
        }
        for (label, operator, value) in &selector.matchers {
            let Some(values) = labels.get(label) else {
                continue;
            };
            let wanted: Vec<_> = match operator.as_str() {
                "=" | "!=" => vec![value.as_str()],
                _ => value.split('|').collect(),
            };
            let missing = wanted.into_iter().filter(|value| !values.contains(*value));
            complaints.extend(missing.map(|value| format!("{label} is never {value}")));
        }
    }
    complaints
}

fn read(path: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The dashboard's queries, and the labels that their legends show.
fn dashboard() -> Vec<(String, Vec<String>)> {
    let dashboard: Value =
        serde_json::from_str(&read("packaging/grafana/headcount.json")).expect("JSON");
    let panels = dashboard["panels"].as_array().expect("panels");
    let targets = panels
        .iter()
        .filter_map(|panel| panel["targets"].as_array());
    let query = |target: &Value| {
        let legend = target["legendFormat"].as_str().expect("a legend");
        let labels = legend
            .split("{{")
            .skip(1)
            .filter_map(|rest| rest.split("}}").next());
        let expression = target["expr"].as_str().expect("a query").to_owned();
        (expression, labels.map(str::to_owned).collect())
    };
    targets.flatten().map(query).collect()
}

fn alerts() -> Vec<String> {
    let text = read("packaging/prometheus/alerts.yml");
    let lines = text
        .lines()
        .filter_map(|line| line.trim().strip_prefix("expr: "));
    lines.map(str::to_owned).collect()
}

#[test]
fn dashboard_and_alerts_ask_for_what_is_told_and_the_dashboard_for_all_of_it() {
    let told = told();
    let dashboard = dashboard();
    assert!(dashboard.len() > 30);
    for (query, shown) in &dashboard {
        let shown: Vec<_> = shown.iter().map(String::as_str).collect();
        let complaints = complaints(query, &shown, &told);
        assert!(complaints.is_empty(), "{query}: {complaints:?}");
    }
    let alerts = alerts();
    assert_eq!(
        alerts.len(),
        read("packaging/prometheus/alerts.yml")
            .matches("- alert: ")
            .count()
    );
    for query in &alerts {
        let complaints = complaints(query, &[], &told);
        assert!(complaints.is_empty(), "{query}: {complaints:?}");
    }
    let asked: BTreeSet<_> = dashboard
        .iter()
        .flat_map(|(query, _)| selectors(query))
        .map(|s| s.metric)
        .collect();
    let excepted = NOT_SHOWN.map(|(name, _)| name);
    for name in told.keys() {
        let is_asked = asked.contains(name);
        let is_excepted = excepted.contains(&name.as_str());
        assert!(
            is_asked != is_excepted,
            "{name} stands in the dashboard: {is_asked}"
        );
    }
    assert!(excepted.iter().all(|name| told.contains_key(*name)));
}

#[test]
fn what_nobody_tells_is_found_out() {
    let values = |values: &[&str]| values.iter().map(|v| (*v).to_owned()).collect();
    let labels = BTreeMap::from([("verdict".to_owned(), values(&["counted", "rejected"]))]);
    let told = Told::from([("headcount_frames_total".to_owned(), labels)]);
    let good = [
        "sum by (verdict, instance) (rate(headcount_frames_total{instance=~\"$instance\",verdict=~\"counted|rejected\"}[5m])) > 0",
        "headcount_frames_total{verdict!=\"counted\"} and on (instance) headcount_frames_total",
    ];
    for query in good {
        assert!(complaints(query, &["verdict"], &told).is_empty(), "{query}");
    }
    for (query, shown) in [
        ("headcount_frame_total", "verdict"),
        ("time()", "verdict"),
        ("headcount_frames_total", "reason"),
        ("sum by (reason) (headcount_frames_total)", "instance"),
        (
            "headcount_frames_total and on (reason) headcount_frames_total",
            "instance",
        ),
        ("headcount_frames_total{reason=\"json\"}", "instance"),
        ("headcount_frames_total{verdict=\"lost\"}", "instance"),
        (
            "headcount_frames_total{verdict=~\"counted|lost\"}",
            "instance",
        ),
        ("rate(headcount_frames_total[5m]", "instance"),
        (
            "headcount_frames_total - headcount_frames_lost_total",
            "instance",
        ),
    ] {
        assert!(!complaints(query, &[shown], &told).is_empty(), "{query}");
    }
}
