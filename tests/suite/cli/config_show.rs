//! `headcount config`: what it prints can be fed back, and holds no secret.

use std::fs;

use super::config_file::folder;
use super::{run_in, run_with};

const FILE: &str = r#"log-format = "json"
broker = ["a:1", "b:2"]
[run]
topic = ["users", "visitors"]
every = "2s"
threads = 2
from = 2026-01-31T12:00:00Z
exit-at-end = true
forget = ["minute=90d", "hour=2y"]
ignore-uid = ["-", "a \"quoted\" \\ one, with\ttab"]
[kafka]
security.protocol = "SASL_SSL"
sasl.username = "u"
sasl.password.file = "password"
fetch.min.bytes = 2
"#;

/// The lines without the places that values come from.
fn values(text: &str) -> Vec<String> {
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    let values = lines.map(|line| line.rsplit_once(" # ").map_or(line, |(value, _)| value));
    values.map(|value| value.trim_end().to_owned()).collect()
}

#[test]
fn what_is_shown_gives_the_same_again() {
    let dir = folder(FILE);
    fs::write(dir.path().join("password"), "hunter2\n").unwrap();
    let args = ["config", "show", "--config", "c.toml", "--job", "a 'job'"];
    let said = run_with(dir.path(), &args, &[("HEADCOUNT_LATENESS", "9s")], b"");
    assert_eq!((said.code, said.stderr.as_str()), (Some(0), ""));
    for expected in [
        "broker = \"a:1,b:2\"",
        "job = \"a 'job'\"",
        "forget = [\"minute=90d\", \"hour=2y\"]",
        "lateness = \"9s\"",
        "precision = 17",
        "sasl.password.file = \"password\"",
        "fetch.min.bytes = \"2\"",
    ] {
        assert!(
            values(&said.stdout).contains(&expected.to_owned()),
            "{expected}: {}",
            said.stdout
        );
    }
    fs::write(dir.path().join("d.toml"), &said.stdout).unwrap();
    let again = run_in(dir.path(), &["config", "show", "--config", "d.toml"]);
    assert_eq!((again.code, again.stderr.as_str()), (Some(0), ""));
    assert_eq!(values(&again.stdout), values(&said.stdout));
    let check = run_in(dir.path(), &["config", "check", "--config", "d.toml"]);
    assert_eq!(
        (check.code, check.stdout.as_str()),
        (Some(0), "d.toml: ok\n")
    );
}

#[test]
fn secrets_are_not_shown_wherever_they_come_from() {
    let dir = folder("[kafka]\nssl.key.password = \"hunter2\"\n");
    fs::write(
        dir.path().join("p"),
        "# a comment\nsasl.password = hunter2\nsasl.username=u\n",
    )
    .unwrap();
    let args = [
        "config",
        "show",
        "--config",
        "c.toml",
        "-X",
        "@p",
        "-X",
        "ssl.keystore.password=hunter2",
    ];
    let variables = [("HEADCOUNT_X_SSL_KEY_PEM", "hunter2")];
    let said = run_with(dir.path(), &args, &variables, b"");
    assert_eq!(
        (said.code, said.stdout.contains("hunter2")),
        (Some(0), false),
        "{}",
        said.stdout
    );
    assert!(!said.stderr.contains("hunter2"), "{}", said.stderr);
    for (key, origin) in [
        ("ssl.key.password", "c.toml:2"),
        ("sasl.password", "p:2"),
        ("ssl.keystore.password", "flag"),
        (
            "ssl.key.pem",
            "environment variable HEADCOUNT_X_SSL_KEY_PEM",
        ),
    ] {
        let end = format!("# secret, set by {origin}");
        let start = format!("# {key} = ");
        let is_said = |line: &str| line.starts_with(&start) && line.ends_with(&end);
        assert!(said.stdout.lines().any(is_said), "{key}: {}", said.stdout);
    }
    assert!(
        said.stdout.contains("sasl.username = \"u\""),
        "{}",
        said.stdout
    );
}

#[test]
fn check_says_ok_or_what_is_wrong_with_what_a_run_would_be_given() {
    let dir = folder("topic = \"users\"\n");
    let said = run_in(dir.path(), &["config", "check", "--config", "c.toml"]);
    assert_eq!((said.code, said.stdout.as_str()), (Some(0), "c.toml: ok\n"));
    let said = run_in(dir.path(), &["config", "check"]);
    assert_eq!(
        (said.code, said.stdout.as_str()),
        (Some(0), "ok; no file was named\n")
    );
    let said = run_in(
        dir.path(),
        &["config", "check", "--config", "c.toml", "--output", "users"],
    );
    said.check_complaint(2, &["'users'", "--output"], "read and written");
    let said = run_in(dir.path(), &["config", "check", "--every", "1ms"]);
    said.check_complaint(2, &["--every"], "a flag");
}
