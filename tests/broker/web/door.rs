//! The door is locked: who may ask, under which name, from which page, and that nothing leaks.

use super::{Web, serve};
use crate::mock::{batch, cluster};
use crate::support::http::{Response, post, send};
use std::io::{Read, Write};

const PATHS: [&str; 6] = [
    "/v1/stats",
    "/v1/users?last=1m",
    "/v1/windows?window=day",
    "/v1/stream",
    "/metrics",
    "/openapi.json",
];

fn problem(response: &Response, status: u16, kind: &str) {
    assert_eq!(response.status, status, "{}", response.text());
    assert_eq!(
        response.header("content-type"),
        Some("application/problem+json")
    );
    let body = response.json();
    assert_eq!(body["type"], format!("urn:headcount:problem:{kind}"));
    assert_eq!(body["status"], status);
    assert!(
        body["detail"].as_str().expect("a sentence").ends_with('.'),
        "{body}"
    );
}

#[test]
fn only_own_names_and_own_pages_are_answered() {
    let (web, _) = Web::counting("web-names");
    let address = web.address.as_str();
    let port = address.rsplit(':').next().expect("a port");
    let ask = |headers: &[(&str, &str)]| send(address, "GET", "/v1/stats", headers);
    for host in [
        address,
        "localhost",
        &format!("localhost:{port}"),
        "LOCALHOST:1",
        "127.0.0.1",
        "[::1]:80",
        "192.0.2.7",
    ] {
        assert_eq!(ask(&[("Host", host)]).status, 200, "{host}");
    }
    for host in [
        "evil.example",
        "evil.example:9464",
        "localhost.evil.example",
        "127.0.0.1.evil.example",
        "",
        ":80",
        "[::1",
        "localhost:80@evil.example",
        "localhost:x",
    ] {
        problem(&ask(&[("Host", host)]), 421, "foreign-host");
    }
    problem(&ask(&[]), 421, "foreign-host");
    problem(
        &ask(&[("Host", address), ("Host", "evil.example")]),
        421,
        "foreign-host",
    );
    let own = format!("http://{address}");
    assert_eq!(ask(&[("Host", address), ("Origin", &own)]).status, 200);
    for origin in [
        "http://evil.example",
        "null",
        "http://localhost:1",
        "file://",
        &format!("{own}.evil.example"),
    ] {
        problem(
            &ask(&[("Host", address), ("Origin", origin)]),
            403,
            "foreign-origin",
        );
    }
    let foreign = [("Host", address), ("Sec-Fetch-Site", "cross-site")];
    problem(
        &ask(&[foreign[0], foreign[1], ("Sec-Fetch-Mode", "no-cors")]),
        403,
        "foreign-origin",
    );
    // A link that leads here.
    assert_eq!(
        ask(&[foreign[0], foreign[1], ("Sec-Fetch-Mode", "navigate")]).status,
        200
    );
    // And nobody is told that they may read it from elsewhere.
    let headers = ask(&[("Host", address)]).headers;
    assert!(
        headers
            .iter()
            .all(|(name, _)| !name.starts_with("access-control-")),
        "{headers:?}"
    );
}

#[test]
fn nothing_can_be_changed_and_nonsense_is_refused_with_problem_details() {
    let (web, _) = Web::counting("web-refusals");
    let address = web.address.as_str();
    for method in ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "BREW"] {
        problem(
            &send(address, method, "/v1/stats", &[("Host", address)]),
            405,
            "method-not-allowed",
        );
    }
    problem(
        &post(address, "GET", "/v1/stats", "{}"),
        413,
        "body-not-allowed",
    );
    for path in [
        "/v1",
        "/v1/",
        "/v2/stats",
        "/v1/stats/",
        "/../etc/passwd",
        "/%2e%2e/etc/passwd",
        "//",
        "/v1/users/1",
    ] {
        problem(&web.get(path), 404, "not-found");
    }
    for path in [
        "/v1/stats?x=1",
        "/v1/users",
        "/v1/users?last=forever",
        "/v1/users?last=5m&last=6m",
        "/v1/users?uid=1",
        "/v1/users?from=2&to=1",
        "/v1/windows",
        "/v1/windows?window=fortnight",
        "/v1/windows?window=day&limit=100000",
        "/v1/windows?window=day&format=xml",
        "/metrics?x",
        "/livez?verbose",
        "/v1/users?last=%00",
    ] {
        problem(&web.get(path), 400, "bad-parameter");
    }
    let head = send(address, "HEAD", "/v1/stats", &[("Host", address)]);
    assert_eq!((head.status, head.body.len()), (200, 0));
}

/// What no good client sends is answered by its kind or by silence, and the next one is served.
#[test]
fn what_is_no_request_hurts_nobody_else() {
    let (web, _) = Web::counting("web-rubbish");
    let address = web.address.as_str();
    for rubbish in [
        "\r\n\r\n\r\n",
        "GET\r\n\r\n",
        "GET / HTTP/9.9\r\n\r\n",
        "\u{16}\u{3}\u{1}",
        "GET / HTTP/1.1\r\nHost: a\r\nb\r\n\r\n",
    ] {
        let mut socket = crate::support::http::connect(address);
        socket.write_all(rubbish.as_bytes()).expect("it reads");
        drop(socket);
        assert_eq!(web.get("/livez").status, 200);
    }
    // A head that is too long: the answer may get lost behind what nobody reads any more.
    let mut socket = crate::support::http::connect(address);
    let long = format!(
        "GET /v1/users?last={} HTTP/1.1\r\nHost: a\r\n\r\n",
        "9".repeat(40_000)
    );
    let _ = socket.write_all(long.as_bytes());
    let mut answer = String::new();
    let _ = socket.read_to_string(&mut answer);
    assert!(
        answer.is_empty() || answer.starts_with("HTTP/1.1 4"),
        "{answer}"
    );
    assert_eq!(web.get("/livez").status, 200);
}

#[test]
fn with_a_token_nobody_learns_anything_without_it() {
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("token");
    let token = "correct-horse-battery-staple";
    std::fs::write(&file, format!("{token}\n")).expect("a file");
    let (_cluster, job) = cluster("web-token", 1);
    job.send(&batch(0, 1));
    let path = file.to_str().expect("UTF-8");
    let (_service, address) = serve(&job, &["--every", "200ms", "--http-token-file", path]);
    let ask = |path: &str, header: Option<&str>| {
        let mut headers = vec![("Host", address.as_str())];
        headers.extend(header.map(|value| ("Authorization", value)));
        send(&address, "GET", path, &headers)
    };
    for path in PATHS.into_iter().chain(["/nowhere"]) {
        for wrong in [
            None,
            Some("Bearer"),
            Some("Bearer "),
            Some("Bearer correct-horse-battery-stapl"),
            Some("Bearer correct-horse-battery-staple2"),
            Some("Basic correct-horse-battery-staple"),
            Some(token),
        ] {
            let refused = ask(path, wrong);
            problem(&refused, 401, "unauthorized");
            assert_eq!(
                refused.header("www-authenticate"),
                Some("Bearer realm=\"headcount\"")
            );
        }
    }
    for path in ["/", "/page.js", "/page.css", "/icon.svg", "/livez"] {
        assert_eq!(ask(path, None).status, 200, "{path}");
    }
    let right = format!("Bearer {token}");
    crate::support::wait_until(crate::world::SOON, "the first tick", || {
        (ask("/v1/stats", Some(&right)).status == 200).then_some(())
    });
    for path in PATHS.into_iter().filter(|path| *path != "/v1/stream") {
        assert_eq!(ask(path, Some(&right)).status, 200, "{path}");
        assert_eq!(
            ask(path, Some(&right.replace("Bearer", "bearer"))).status,
            200
        );
    }
}

#[test]
fn no_answer_names_a_user_a_path_or_a_secret() {
    let directory = tempfile::tempdir().expect("a directory");
    let state = directory.path().join("state-of-the-art");
    let (cluster, job) = cluster("web-leaks", 1);
    let frames: Vec<_> = (0..90)
        .map(|n| crate::world::seen(0, format!("secret-user-{n}"), crate::world::NOON + n))
        .collect();
    job.send(&frames);
    let options = [
        "--every",
        "200ms",
        "--state",
        state.to_str().expect("UTF-8"),
        "-X",
        "client.rack=secret-rack",
    ];
    let (service, address) = serve(&job, &options);
    let web = Web {
        cluster,
        job,
        service,
        address,
    };
    web.until_read(90);
    let paths = [
        "/",
        "/v1/stats",
        "/v1/users?last=1m",
        "/v1/users?from=0",
        "/v1/windows?window=minute",
        "/metrics",
        "/readyz",
        "/livez",
        "/v1/users?last=x",
        "/nowhere",
    ];
    for path in paths {
        let response = web.get(path);
        let said = format!("{:?} {}", response.headers, response.text());
        for secret in [
            "secret-user",
            "state-of-the-art",
            "secret-rack",
            directory.path().to_str().expect("UTF-8"),
        ] {
            assert!(!said.contains(secret), "{path} tells {secret}: {said}");
        }
        for (name, value) in [
            ("x-content-type-options", "nosniff"),
            ("x-frame-options", "DENY"),
            ("referrer-policy", "no-referrer"),
        ] {
            assert_eq!(response.header(name), Some(value), "{path}");
        }
        let policy = response
            .header("content-security-policy")
            .expect("a policy");
        assert!(
            policy.starts_with("default-src 'none'") && !policy.contains("unsafe"),
            "{policy}"
        );
    }
}
