//! Every line of a JSON log is one JSON object, whatever is in the names, paths and errors that it tells of.

use crate::mock::{batch, cluster};
use crate::support::process::{Service, headcount, run};
use crate::world::{Frame, SOON, bad, stop};
use headcount::limits::LOG_LINES_PER_WINDOW;
use rdkafka::types::{RDKafkaApiKey, RDKafkaRespErr};
use serde::de::{Deserializer, IgnoredAny, MapAccess, Visitor};
use std::collections::BTreeSet;
use std::fmt;
use std::fs;

/// Whatever breaks a line, a string or a terminal.
const HOSTILE: &str = "a\"b\\c\t\r\u{0}\u{1b}[31m\u{7f}\u{85}\u{2028}\u{feff}é😀'{\"x\":1},";

/// The keys of an object; each may stand there once.
struct Keys(BTreeSet<String>);

impl<'de> serde::Deserialize<'de> for Keys {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Once;
        impl<'de> Visitor<'de> for Once {
            type Value = Keys;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Keys, A::Error> {
                let mut keys = BTreeSet::new();
                while let Some((key, IgnoredAny)) = map.next_entry::<String, IgnoredAny>()? {
                    if let Some(again) = keys.replace(key) {
                        return Err(serde::de::Error::custom(format!("{again} stands twice")));
                    }
                }
                Ok(Keys(keys))
            }
        }
        deserializer.deserialize_map(Once)
    }
}

/// The log's lines; the last one may be the sentence with which the program leaves.
fn check_lines(stderr: &str, says_why: bool) -> Vec<&str> {
    assert!(stderr.ends_with('\n'), "{stderr:?}");
    let mut lines: Vec<_> = stderr.trim_end_matches('\n').split('\n').collect();
    if says_why {
        let last = lines.pop().expect("a sentence");
        assert!(last.starts_with("headcount: "), "{last}");
    }
    for line in &lines {
        let keys: Keys = serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line:?}"));
        for key in ["timestamp", "level", "message"] {
            assert!(keys.0.contains(key), "no {key}: {line}");
        }
        let is_printable = line.chars().all(|c| c >= ' ');
        assert!(is_printable, "{line:?}");
    }
    lines
}

/// Frames that are rejected, more than a log names.
fn rubbish() -> Vec<Frame> {
    let frame = |n: u32| bad((n % 2) as i32, "json", Some(HOSTILE.as_bytes()));
    (0..4 * LOG_LINES_PER_WINDOW).map(frame).collect()
}

#[test]
fn a_service_with_hostile_names_among_failing_brokers_logs_json_alone() {
    use RDKafkaRespErr as E;
    let (cluster, job) = cluster("log-hostile", 2);
    job.send(&rubbish());
    job.send(&batch(0, 2));
    // No variable, argument or path can hold a NUL.
    let name = HOSTILE.replace('\0', "");
    let folder = tempfile::tempdir().expect("a directory");
    let state = folder.path().join(&name).display().to_string();
    let rack = format!("client.rack={name}");
    let options = [
        "--every", "200ms", "--job", &name, "--state", &state, "-X", &rack,
    ];
    // The client library says what it does and to whom.
    let options = [&options[..], &["-X", "debug=broker,topic,msg,protocol,eos"]].concat();
    let mut service = job.start(&options);
    let read = rubbish().len() as i64 + 60;
    job.ticks()
        .until("all frames", |tick| tick.reflected() == read);
    // Before the brokers fail: the test's own producer takes its part of the errors.
    job.send(&rubbish());
    for (api, error) in [
        (RDKafkaApiKey::Fetch, E::RD_KAFKA_RESP_ERR__TRANSPORT),
        (
            RDKafkaApiKey::Produce,
            E::RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE,
        ),
        (RDKafkaApiKey::Metadata, E::RD_KAFKA_RESP_ERR_UNKNOWN),
    ] {
        cluster.request_errors(api, &[error; 4]);
    }
    job.ticks().until("the others", |tick| {
        tick.reflected() == read + rubbish().len() as i64
    });
    for id in 1..=3 {
        cluster.broker_down(id).expect("it goes down");
    }
    service.stderr_line("trying again", SOON);
    for id in 1..=3 {
        cluster.broker_up(id).expect("it comes back");
    }
    service.stderr_line("answer again", SOON);
    let stderr = stop(&mut service);
    let lines = check_lines(&stderr, false);
    assert!(lines.len() > 100, "{stderr}");
    let value: serde_json::Value = serde_json::from_str(lines[0]).expect("JSON");
    assert!(value["timestamp"].is_string(), "{value}");
}

#[test]
fn a_panic_is_a_log_line_too() {
    let (_cluster, job) = cluster("log-panic", 2);
    job.send(&batch(0, 2));
    let mut command = job.command(&["--every", "100ms"]);
    command.env("HEADCOUNT_FAILPOINT", "worker_turn:3:panic");
    let mut service = Service::spawn(command);
    let line = service.stderr_line("died of a bug", SOON);
    assert!(line.contains("\"thread\":\"shard-0\""), "{line}");
    let status = service.wait(SOON);
    assert_eq!(status.code(), Some(70));
    let stderr = service.stderr();
    check_lines(&stderr, true);
}

#[test]
fn files_with_hostile_names_are_named_in_json() {
    let folder = tempfile::tempdir().expect("a directory");
    // Line breaks are allowed in the name of a file.
    let path = folder
        .path()
        .join(format!("{}\n.jsonl", HOSTILE.replace(['\0', '/'], "")));
    fs::write(&path, "{\n".repeat(50)).expect("a file");
    let mut command = headcount();
    command
        .args(["--log-format", "json", "count", "--format", "json"])
        .arg(&path);
    let output = run(command, b"");
    let stderr = String::from_utf8(output.stderr).expect("UTF-8");
    assert!(output.status.success(), "{stderr}");
    assert!(check_lines(&stderr, false).len() >= 2, "{stderr}");
    let gone = folder.path().join("gone\"\n\u{1b}");
    let mut command = headcount();
    command.args(["--log-format", "json", "count"]).arg(&gone);
    let output = run(command, b"");
    assert_eq!(output.status.code(), Some(66));
}
