//! src/io/http/openapi.json says what the server does: every path, every parameter, every answer.

use super::Web;
use crate::mock::cluster;
use crate::support::http::{Events, Response, burst, post, send};
use headcount::io::http::PATHS;
use serde_json::{Value, json};
use std::collections::BTreeSet;

fn file() -> Value {
    serde_json::from_str(include_str!("../../../src/io/http/openapi.json")).expect("JSON")
}

/// Says where a value is not what a schema wants. A keyword that is not known here is a failure too: it would go unchecked.
fn check(file: &Value, schema: &Value, value: &Value, at: &str) -> Result<(), String> {
    for (keyword, wanted) in schema.as_object().expect("a schema") {
        match keyword.as_str() {
            "description" | "default" => {}
            "$ref" => {
                let path = wanted.as_str().and_then(|r| r.strip_prefix('#'));
                let referred = path.and_then(|path| file.pointer(path));
                check(file, referred.expect("what is referred to"), value, at)?;
            }
            "items" => {
                for (i, item) in value.as_array().into_iter().flatten().enumerate() {
                    check(file, wanted, item, &format!("{at}/{i}"))?;
                }
            }
            "properties" => {
                for (name, inner) in value.as_object().into_iter().flatten() {
                    if let Some(property) = wanted.get(name) {
                        check(file, property, inner, &format!("{at}/{name}"))?;
                    }
                }
            }
            "additionalProperties" => {
                let known = schema.get("properties").and_then(Value::as_object);
                let is_other = |name: &str| known.is_none_or(|known| !known.contains_key(name));
                let others = value.as_object().into_iter().flatten();
                for (name, inner) in others.filter(|(name, _)| is_other(name)) {
                    if *wanted == Value::Bool(false) {
                        return Err(format!("{at}: '{name}' is not listed"));
                    }
                    check(file, wanted, inner, &format!("{at}/{name}"))?;
                }
            }
            keyword => {
                if !is_so(keyword, wanted, value) {
                    return Err(format!("{at}: not {keyword} {wanted}: {value}"));
                }
            }
        }
    }
    Ok(())
}

/// Whether a keyword that looks at nothing but the value itself holds.
fn is_so(keyword: &str, wanted: &Value, value: &Value) -> bool {
    let length = value.as_array().map(|array| array.len() as u64);
    match keyword {
        "type" => {
            let one = wanted.as_str().into_iter();
            let many = wanted.as_array().into_iter().flatten();
            one.chain(many.filter_map(Value::as_str))
                .any(|name| is_of(name, value))
        }
        "enum" => wanted.as_array().expect("a list").contains(value),
        "minimum" => !value.is_number() || value.as_f64() >= wanted.as_f64(),
        "maximum" => !value.is_number() || value.as_f64() <= wanted.as_f64(),
        "minItems" => length.is_none_or(|length| Some(length) >= wanted.as_u64()),
        "maxItems" => length.is_none_or(|length| Some(length) <= wanted.as_u64()),
        "format" => {
            assert_eq!(wanted, "date-time");
            value
                .as_str()
                .is_none_or(|text| text.parse::<jiff::Timestamp>().is_ok())
        }
        // Of the one pattern that answers have.
        "pattern" => value
            .as_str()
            .is_some_and(|text| text.starts_with("urn:headcount:problem:")),
        "required" => {
            let names = wanted
                .as_array()
                .into_iter()
                .flatten()
                .filter_map(Value::as_str);
            names.into_iter().all(|name| value.get(name).is_some())
        }
        other => panic!("keyword {other} is not known here"),
    }
}

fn is_of(name: &str, value: &Value) -> bool {
    match name {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "boolean" => value.is_boolean(),
        "integer" => value.is_i64() || value.is_u64(),
        "null" => value.is_null(),
        other => panic!("type {other} is not known here"),
    }
}

/// Holds a response against what the file says of its path and status; returns the two.
fn hold(file: &Value, path: &str, response: &Response) -> (String, u16) {
    let bare = path.split('?').next().expect("a path");
    let operation = &file["paths"][bare]["get"];
    let status = response.status.to_string();
    let listed = &operation["responses"][&status];
    assert!(
        listed.is_object(),
        "{path}: {status} is not listed: {}",
        response.text()
    );
    let content_type = response.header("content-type").expect("a type");
    let content_type = content_type.split(';').next().expect("a type");
    let schema = &listed["content"][content_type]["schema"];
    assert!(
        schema.is_object(),
        "{path}: {status} with {content_type} is not listed"
    );
    let value = match content_type {
        "application/json" | "application/problem+json" => response.json(),
        _ => Value::String(response.text().to_owned()),
    };
    check(file, schema, &value, path).unwrap_or_else(|why| panic!("{why}"));
    for name in listed["headers"]
        .as_object()
        .into_iter()
        .flatten()
        .map(|(name, _)| name)
    {
        assert!(
            response.header(&name.to_lowercase()).is_some(),
            "{path}: {status} without {name}"
        );
    }
    (bare.to_owned(), response.status)
}

/// What is given to requests that are refused whatever they ask for.
fn refusals(file: &Value, web: &Web, locked: &str, path: &str) -> Vec<(String, u16)> {
    let address = web.address.as_str();
    let foreign = [("Host", address), ("Origin", "http://evil.example")];
    let mut given: Vec<_> = [
        send(address, "GET", path, &foreign),
        send(address, "GET", path, &[("Host", "evil.example")]),
        send(address, "PUT", path, &[("Host", address)]),
        post(address, "GET", path, "{}"),
        web.get(&format!("{path}?nonsense=1")),
    ]
    .iter()
    .map(|response| hold(file, path, response))
    .collect();
    // A stream is answered only where it is refused.
    let without_token = crate::support::http::get(locked, path);
    if without_token.status == 401 {
        given.push(hold(file, path, &without_token));
    }
    given
}

const TOKEN: &str = "0123456789abcdef";

#[test]
fn every_answer_is_one_that_the_file_lists_and_every_one_listed_is_given() {
    let file = file();
    let directory = tempfile::tempdir().expect("a directory");
    let token = directory.path().join("token");
    std::fs::write(&token, TOKEN).expect("a file");
    let (_cluster, job) = cluster("web-openapi-empty", 1);
    let token = token.to_str().expect("UTF-8");
    let (_locked, locked) = super::serve(&job, &["--http-token-file", token, "--every", "1h"]);
    let (web, _) = Web::counting("web-openapi");
    let mut given = BTreeSet::new();
    for path in PATHS {
        given.extend(refusals(&file, &web, &locked, path));
    }
    let mut asked: Vec<String> = PATHS
        .map(|path| match path {
            "/v1/users" => "/v1/users?last=1m".to_owned(),
            "/v1/windows" => "/v1/windows?window=hour".to_owned(),
            path => path.to_owned(),
        })
        .to_vec();
    asked.retain(|path| path != "/v1/stream");
    let more = [
        "/v1/users?since=0",
        "/v1/users?from=0",
        "/v1/users?from=0&to=60",
        "/v1/windows?window=minute&format=csv",
    ];
    asked.extend(more.map(str::to_owned));
    for path in &asked {
        given.insert(hold(&file, path, &web.get(path)));
    }
    let users = (1..=30).map(|n| format!("/v1/users?last={}s", n + 100));
    let windows = (1..=30).map(|n| format!("/v1/windows?window=day&limit={n}"));
    for many in [users.collect::<Vec<_>>(), windows.collect()] {
        for (path, response) in many.iter().zip(burst(&web.address, &many)) {
            given.insert(hold(&file, path, &response));
        }
    }
    let bearer = format!("Bearer {TOKEN}");
    for path in ["/v1/stats", "/readyz"] {
        let headers = [("Host", locked.as_str()), ("Authorization", &bearer)];
        given.insert(hold(&file, path, &send(&locked, "GET", path, &headers)));
    }
    let listed = file["paths"]
        .as_object()
        .expect("paths")
        .iter()
        .flat_map(|(path, item)| {
            let statuses = item["get"]["responses"]
                .as_object()
                .expect("responses")
                .keys();
            let statuses = statuses.map(|status| (path.clone(), status.parse().expect("a status")));
            statuses.collect::<Vec<(String, u16)>>()
        });
    // What takes a service in distress, or a hundred streams, is for other tests.
    let is_elsewhere = |path: &str, status: u16| match path {
        "/v1/stream" => matches!(status, 200 | 429),
        "/livez" => status == 503,
        "/v1/users" => matches!(status, 422 | 500 | 503),
        "/v1/windows" => matches!(status, 500 | 503),
        _ => false,
    };
    let mut missing: Vec<_> = listed.filter(|known| !given.contains(known)).collect();
    missing.retain(|(path, status)| !is_elsewhere(path, *status));
    assert_eq!(missing, [], "listed and not seen");
}

#[test]
fn paths_and_parameters_are_those_of_the_server() {
    let file = file();
    assert_eq!(file["openapi"], "3.1.0");
    let listed: BTreeSet<_> = file["paths"]
        .as_object()
        .expect("paths")
        .keys()
        .map(String::as_str)
        .collect();
    assert_eq!(listed, BTreeSet::from(PATHS));
    let (web, _) = Web::counting("web-parameters");
    assert_eq!(web.json("/openapi.json"), file);
    // The server names those that it knows when it meets another one.
    for (path, item) in file["paths"].as_object().expect("paths") {
        let refused = web.get(&format!("{path}?nonsense=1"));
        if refused.status != 400 {
            continue;
        }
        let known = refused.json()["detail"]
            .as_str()
            .expect("a sentence")
            .to_owned();
        let known = known
            .rsplit("known are: ")
            .next()
            .expect("a list")
            .trim_end_matches('.')
            .to_owned();
        let parameters = item["get"]
            .get("parameters")
            .and_then(Value::as_array)
            .cloned()
            .unwrap_or_default();
        let names = parameters
            .iter()
            .filter(|p| p["in"] == "query")
            .map(|p| p["name"].as_str().expect("a name"));
        let names: Vec<_> = names.collect();
        let listed = if names.is_empty() {
            "none".to_owned()
        } else {
            names.join(", ")
        };
        assert_eq!(known, listed, "{path}");
    }
    let mut events = Events::open(&web.address, &[]);
    let tick = serde_json::from_str(&events.next_named("tick").data).expect("a tick");
    check(
        &file,
        &json!({"$ref": "#/components/schemas/Tick"}),
        &tick,
        "tick",
    )
    .expect("a tick as listed");
    let mut events = Events::open(&web.address, &[]);
    let status = serde_json::from_str(&events.next_named("status").data).expect("a status");
    check(
        &file,
        &json!({"$ref": "#/components/schemas/Status"}),
        &status,
        "status",
    )
    .expect("as listed");
}

/// The checker itself can tell.
#[test]
fn what_the_file_does_not_list_is_noticed() {
    let file = file();
    let health = json!({"$ref": "#/components/schemas/Health"});
    assert!(check(&file, &health, &json!({"status": "live"}), "").is_ok());
    for wrong in [
        json!({}),
        json!({"status": "dead"}),
        json!({"status": "live", "more": 1}),
        json!([]),
        json!({"status": 1}),
    ] {
        assert!(check(&file, &health, &wrong, "").is_err(), "{wrong}");
    }
    let problem = json!({"$ref": "#/components/schemas/Problem"});
    let right =
        json!({"type": "urn:headcount:problem:x", "title": "", "status": 400, "detail": ""});
    assert!(check(&file, &problem, &right, "").is_ok());
    for (name, value) in [
        ("type", json!("about:blank")),
        ("status", json!(200)),
        ("status", json!("400")),
        ("retry_after_s", json!(0)),
    ] {
        let mut wrong = right.clone();
        wrong[name] = value;
        assert!(check(&file, &problem, &wrong, "").is_err(), "{wrong}");
    }
}
