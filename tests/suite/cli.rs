//! The command line as a stranger meets it: help, complaints, environment, odd input, where output goes.

mod config_file;
mod config_show;
mod decoders;
mod environment;
mod files;
mod going_on;
mod help;
mod http;
mod inputs;
mod kafka_options;
mod last_words;
mod merging;
mod old_states;
mod outputs;
mod papers;
mod replay;
mod secrets;
mod state;
mod terminal;
mod time;
mod units;
mod usage;
mod zone_data;

use std::path::Path;
use std::process::{Child, Output};

use serde_json::Value;

use crate::support::process;

/// What a run said, and how it ended.
struct Said {
    code: Option<i32>,
    stdout: String,
    stderr: String,
}

impl Said {
    fn of(output: Output) -> Said {
        Said {
            code: output.status.code(),
            stdout: String::from_utf8(output.stdout).expect("stdout is UTF-8"),
            stderr: String::from_utf8(output.stderr).expect("stderr is UTF-8"),
        }
    }

    /// That it refused with this code, printed nothing, and said in one sentence all of these words.
    fn check_complaint(&self, code: i32, words: &[&str], shown: &str) {
        let stderr = &self.stderr;
        assert_eq!(self.code, Some(code), "{shown}: {stderr}");
        assert_eq!(self.stdout, "", "{shown}");
        assert!(stderr.starts_with("headcount: "), "{shown}: {stderr}");
        let is_one_line = stderr.ends_with('\n') && stderr.lines().count() == 1;
        assert!(is_one_line, "{shown}: not one line:\n{stderr}");
        for word in words {
            assert!(stderr.contains(word), "{shown}: no {word:?} in: {stderr}");
        }
    }
}

/// Runs it in a folder with nothing on stdin.
fn run_in(dir: &Path, args: &[&str]) -> Said {
    run_with(dir, args, &[], b"")
}

/// Runs it in a folder with these variables in its environment, and these bytes on stdin.
fn run_with(dir: &Path, args: &[&str], variables: &[(&str, &str)], stdin: &[u8]) -> Said {
    let mut command = process::headcount();
    command.args(args).current_dir(dir);
    command.envs(variables.iter().copied());
    Said::of(process::run(command, stdin))
}

/// Counts these bytes from stdin, which must not fail: the records, the last one of which is the stats, and stderr.
fn count_json(options: &[&str], stdin: &[u8]) -> (Vec<Value>, String) {
    let mut command = process::headcount();
    command.args(["count", "--format", "json"]).args(options);
    let (stdout, stderr) = process::run_ok(command, stdin);
    let records = stdout
        .lines()
        .map(|line| serde_json::from_str(line).unwrap());
    (records.collect(), stderr)
}

/// The ledger of a run over these bytes.
fn ledger(options: &[&str], stdin: &[u8]) -> Value {
    let (records, _) = count_json(options, stdin);
    records.last().unwrap()["frames"].clone()
}

/// A good frame on a line.
fn line(uid: &str, ts: u32) -> String {
    format!("{{\"uid\":\"{uid}\",\"ts\":{ts}}}\n")
}

/// A child that a test talks to while it runs, and that does not outlive the test.
struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
