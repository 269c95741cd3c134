//! `headcount query` says what the service says, and what a state at rest holds.

use super::{Web, serve};
use crate::mock::{batch, cluster};
use crate::support::process::{headcount, run, run_ok};
use crate::world::{Frame, stop};
use serde_json::Value;

fn query(options: &[&str]) -> String {
    let mut command = headcount();
    command.arg("query").args(options);
    run_ok(command, b"").0
}

fn json(options: &[&str]) -> Value {
    let options = [options, &["--format", "json"]].concat();
    serde_json::from_str(&query(&options)).expect("JSON")
}

#[test]
fn a_service_and_its_state_at_rest_give_the_same_answers() {
    let directory = tempfile::tempdir().expect("a directory");
    let state = directory.path().to_str().expect("UTF-8");
    let frames: Vec<Frame> = (0..12).flat_map(|number| batch(number, 2)).collect();
    let (cluster, job) = cluster("web-query", 2);
    job.send(&frames);
    let options = [
        "--every",
        "200ms",
        "--state",
        state,
        "--checkpoint-interval",
        "100ms",
    ];
    let (service, address) = serve(&job, &options);
    let mut web = Web {
        cluster,
        job,
        service,
        address,
    };
    web.until_read(frames.len() as u64);
    let url = format!("http://{}", web.address);
    let questions: [&[&str]; 6] = [
        &["--last", "100s"],
        &["--since", "2026-01-01T12:01:00Z"],
        &[
            "--from",
            "2026-01-01T12:00:00Z",
            "--to",
            "2026-01-01T12:03:00Z",
        ],
        &["--from", "2026-01-01T00:00:00Z"],
        &["--window", "minute"],
        &["--window", "day", "--limit", "1"],
    ];
    let asked = |whom: &[&str], question: &[&str]| json(&[whom, question].concat());
    let live: Vec<Value> = questions
        .iter()
        .map(|q| asked(&["--url", &url], q))
        .collect();
    let six = json(&["--url", &url]);
    assert!(query(&["--url", &url]).contains("95 % interval"));
    assert!(
        query(&["--url", &url, "--last", "100s"]).contains(" users, exactly\nfrom 2026-01-01T12:")
    );
    let csv = query(&["--url", &url, "--window", "minute", "--format", "csv"]);
    assert_eq!(csv, web.get("/v1/windows?window=minute&format=csv").text());
    stop(&mut web.service);
    let rest: Vec<Value> = questions
        .iter()
        .map(|q| asked(&["--state", state], q))
        .collect();
    assert_eq!(rest, live);
    let at_rest = json(&["--state", state]);
    for (name, value) in at_rest.as_object().expect("an object") {
        if name != "source" {
            assert_eq!(value, &six[name], "{name}");
        }
    }
    assert_eq!(at_rest["source"]["offsets"], six["source"]["offsets"]);
}

#[test]
fn refusals_are_passed_on_in_one_sentence() {
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("token");
    std::fs::write(&file, "a-token-of-many-characters").expect("a file");
    let file = file.to_str().expect("UTF-8");
    let (_cluster, job) = cluster("web-query-token", 1);
    job.send(&batch(0, 1));
    let (_service, address) = serve(&job, &["--every", "200ms", "--http-token-file", file]);
    let url = format!("http://{address}");
    let mut command = headcount();
    command.args(["query", "--url", &url, "--last", "1m"]);
    let refused = run(command, b"");
    assert_eq!(refused.status.code(), Some(69));
    let said = String::from_utf8(refused.stderr).expect("UTF-8");
    assert!(
        said.starts_with("headcount: http://127.0.0.1:") && said.contains("Authorization"),
        "{said}"
    );
    let answer = crate::support::wait_until(crate::world::SOON, "the frames are counted", || {
        let answer = json(&["--url", &url, "--token-file", file, "--last", "1m"]);
        (answer["users"] != 0).then_some(answer)
    });
    assert_eq!(answer["schema"], "headcount.users/1");
}
