//! Any words as a command line, an environment and a configuration file: a checked configuration or one sentence, never a panic.
#![no_main]
#![allow(clippy::expect_used, reason = "a fuzz target says so by panicking")]

use std::ffi::OsString;
use std::fs;
use std::path::PathBuf;
use std::sync::OnceLock;

use headcount::cli::{Command, one_sentence};
use headcount::config::file::{Refused, parse};
use headcount::config::{CountConfig, DemoConfig, ReplayConfig, RunConfig, TopConfig};
use headcount::error::Failure;
use libfuzzer_sys::fuzz_target;

// The words, NUL between them; a line for each variable; after an empty line the file.
fuzz_target!(|text: &str| {
    let (before, file) = text.split_once("\n\n").unwrap_or((text, ""));
    let mut lines = before.split('\n');
    let words = lines.next().unwrap_or_default().split('\0');
    let mut variables: Vec<(String, String)> = lines
        .filter_map(|line| line.split_once('='))
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
    if !file.is_empty() {
        fs::write(path(), file).expect("a file");
        let path = path().display().to_string();
        variables.push(("HEADCOUNT_CONFIG".to_owned(), path));
    }
    let words = std::iter::once("headcount")
        .chain(words)
        .map(OsString::from);
    let command = match parse(words, &variables) {
        Ok(typed) => typed.cli.command,
        Err(Refused::Parser(error)) => {
            if error.use_stderr() {
                check(&one_sentence(&error));
            }
            return;
        }
        Err(Refused::Failure(failure)) => return check(&failure.to_string()),
    };
    if let Some(failure) = resolve(command, &variables) {
        check(&failure.to_string());
    }
});

/// The file of this process.
fn path() -> &'static PathBuf {
    static PATH: OnceLock<PathBuf> = OnceLock::new();
    PATH.get_or_init(|| {
        let name = format!("headcount-fuzz-{}.toml", std::process::id());
        std::env::temp_dir().join(name)
    })
}

fn check(sentence: &str) {
    assert!(
        !sentence.trim().is_empty() && !sentence.contains('\n'),
        "{sentence:?}"
    );
}

fn resolve(command: Command, variables: &[(String, String)]) -> Option<Failure> {
    let env = |name: &str| {
        let found = variables.iter().find(|(other, _)| other == name);
        found.map(|(_, value)| value.clone())
    };
    match command {
        Command::Run(args) => RunConfig::resolve(&args, env).err(),
        Command::Count(args) => CountConfig::resolve(&args).err(),
        Command::Generate(args) => args.resolve().map_err(Failure::Usage).err(),
        Command::Top(args) => TopConfig::resolve(&args, env).err(),
        Command::Replay(args) => ReplayConfig::resolve(&args, env).err(),
        Command::Demo(args) => DemoConfig::resolve(&args, 1_800_000_000_000, &env).err(),
        _ => None,
    }
}
