//! What the integration tests share: a real broker, its topics and records, the program as a child process, waiting.
//!
//! Included by each test program with `#[path = "../support/mod.rs"] mod support;`. Nothing here knows the engine: an
//! oracle belongs to its test.
#![allow(dead_code, reason = "each test program uses a part of this")]
#![allow(
    clippy::disallowed_methods,
    reason = "limits on waiting for other processes are real time"
)]

pub mod broker;
pub mod browser;
pub mod certificates;
pub mod http;
pub mod kafka;
pub mod process;
pub mod supervisor;
pub mod terminal;

use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::time::{Duration, Instant};

/// Says that a test gives up for want of something, past libtest, which would swallow it, and leaves a line for
/// `scripts/test`, which counts them. The test returns after this.
pub fn skip(reason: &str) {
    let test = std::thread::current().name().unwrap_or("a test").to_owned();
    let line = format!("{test}: {reason}\n");
    // A single write, so that lines of several threads do not mix.
    let _ = std::io::stderr().write_all(format!("SKIPPED: {line}").as_bytes());
    if let Some(path) = std::env::var_os("HEADCOUNT_TEST_SKIPS") {
        let mut file = OpenOptions::new()
            .create(true)
            .append(true)
            .open(path)
            .expect("HEADCOUNT_TEST_SKIPS names a file");
        file.write_all(line.as_bytes())
            .expect("HEADCOUNT_TEST_SKIPS can be written");
    }
}

/// Asks `check` again and again until it has an answer; panics with `what` when `limit` has passed.
///
/// For conditions that nobody announces, such as a number in a topic. Where there is something to block on (a line of
/// a [`process::Service`], a consumer's poll), block on that.
pub fn wait_until<T>(limit: Duration, what: &str, mut check: impl FnMut() -> Option<T>) -> T {
    // The sender lives and says nothing: the receiver blocks for the step and no longer.
    let (_silent, pause) = mpsc::channel::<()>();
    let deadline = Instant::now() + limit;
    loop {
        if let Some(answer) = check() {
            return answer;
        }
        assert!(
            Instant::now() < deadline,
            "waited {limit:?} in vain until {what}"
        );
        let _ = pause.recv_timeout(Duration::from_millis(20));
    }
}

/// Whether the tests that take many minutes are wanted: `HEADCOUNT_TEST_LONG=1`, as `scripts/test --long` sets it.
pub fn is_long() -> bool {
    std::env::var_os("HEADCOUNT_TEST_LONG").is_some_and(|long| long == "1")
}

/// What is right for any run of the tests, or for a long one.
pub fn short_or_long<T>(short: T, long: T) -> T {
    if is_long() { long } else { short }
}

/// The folder of recorded streams and of JSONTestSuite: `HEADCOUNT_TEST_DATA`, or `shared/data` beside the checkout.
pub fn data_dir() -> Option<PathBuf> {
    let named = std::env::var_os("HEADCOUNT_TEST_DATA").map(PathBuf::from);
    let folder =
        named.unwrap_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data"));
    if folder.is_dir() {
        return Some(folder);
    }
    skip(&format!(
        "no recorded data in {}; HEADCOUNT_TEST_DATA can name another folder",
        folder.display()
    ));
    None
}

/// The bytes of a `.zst` file.
pub fn unzstd(path: &Path) -> Vec<u8> {
    let file = File::open(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let mut bytes = Vec::new();
    zstd::Decoder::new(file)
        .and_then(|mut decoder| decoder.read_to_end(&mut bytes))
        .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    bytes
}
