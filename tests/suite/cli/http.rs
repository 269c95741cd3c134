//! The options of the HTTP server and of `query`: an open door is never an accident.

use super::usage::{check_all, folder};
use std::fs;
use std::net::TcpListener;

#[test]
fn a_door_that_others_reach_is_opened_on_purpose_only() {
    let dir = folder();
    check_all(
        dir.path(),
        &[
            (
                "run --http 0.0.0.0:9464",
                2,
                &["0.0.0.0:9464", "--http-token-file", "--http-public"],
            ),
            (
                "run --http 192.0.2.1:80",
                2,
                &["192.0.2.1:80", "--http-token-file"],
            ),
            ("run --http [::]:9464", 2, &["[::]:9464", "--http-public"]),
            (
                "demo --http 0.0.0.0:9464",
                2,
                &["0.0.0.0:9464", "--http-token-file"],
            ),
            (
                "run --http 9464",
                2,
                &["--http", "'9464'", "127.0.0.1:9464"],
            ),
            (
                "run --http example.org:80",
                2,
                &["--http", "'example.org:80'"],
            ),
            ("run --http-public", 2, &["--http-public", "need --http"]),
            (
                "run --http-token-file short",
                2,
                &["--http-token-file", "need --http"],
            ),
        ],
    );
}

#[test]
fn a_token_is_one_and_can_be_read() {
    let dir = folder();
    fs::write(dir.path().join("short"), "0123456789abcde\n").unwrap();
    fs::write(
        dir.path().join("two"),
        "0123456789abcdef 0123456789abcdef\n",
    )
    .unwrap();
    check_all(
        dir.path(),
        &[
            (
                "run --http 127.0.0.1:0 --http-token-file short",
                2,
                &["--http-token-file", "16"],
            ),
            (
                "run --http 127.0.0.1:0 --http-token-file two",
                2,
                &["--http-token-file", "printable"],
            ),
            (
                "run --http 127.0.0.1:0 --http-token-file nowhere",
                66,
                &["--http-token-file", "nowhere"],
            ),
            (
                "run --http 127.0.0.1:0 --http-token-file short --http-public",
                2,
                &["--http-public"],
            ),
            (
                "run --http 127.0.0.1:0 --http-host a:1",
                2,
                &["--http-host", "'a:1'", "without a port"],
            ),
        ],
    );
}

#[test]
fn an_address_that_is_taken_is_told() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let dir = folder();
    let run = format!("run --http {address}");
    check_all(
        dir.path(),
        &[(&run, 69, &["cannot listen on", &address, "--http"])],
    );
}

#[test]
fn questions_that_make_no_sense_are_refused_before_anybody_is_asked() {
    let dir = folder();
    check_all(
        dir.path(),
        &[
            ("query --last 0s", 2, &["--last"]),
            ("query --last 1500ms", 2, &["--last", "whole"]),
            ("query --last soon", 2, &["--last", "soon"]),
            (
                "query --since yesterday",
                2,
                &["--since", "2026-01-31T12:00:00Z"],
            ),
            ("query --to 5", 2, &["--to", "--from"]),
            ("query --from 5 --to 5", 2, &["--to", "later"]),
            ("query --last 5m --from 5", 2, &["--last", "--from"]),
            ("query --window decade", 2, &["--window", "decade"]),
            ("query --window day --limit 0", 2, &["--limit", "1 to 1000"]),
            ("query --limit 5", 2, &["--window"]),
            (
                "query --url https://localhost",
                2,
                &["--url", "http://127.0.0.1:9464"],
            ),
            ("query --url localhost:9464", 2, &["--url"]),
            (
                "query --token-file nowhere",
                66,
                &["--token-file", "nowhere"],
            ),
            ("query --state nowhere", 66, &["nowhere"]),
        ],
    );
}

#[test]
fn a_service_that_is_not_there_is_told() {
    let dir = folder();
    // A port that was just given back.
    let address = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let query = format!("query --url http://{address}");
    check_all(
        dir.path(),
        &[(&query, 69, &["cannot be asked", "--http", "--url"])],
    );
}
