//! Any words as a command line: a checked configuration or one sentence, never a panic.
#![no_main]
#![allow(clippy::expect_used, reason = "a fuzz target says so by panicking")]

use clap::Parser;
use headcount::cli::{Cli, Command, one_sentence};
use headcount::config::{CountConfig, ReplayConfig, RunConfig, TopConfig, environment_properties};
use headcount::error::Failure;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let mut lines = text.split('\n');
    let words = lines.next().unwrap_or_default().split('\0');
    // The lines behind the first are the environment.
    let variables: Vec<(String, String)> = lines
        .filter_map(|line| line.split_once('='))
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
    let _ = environment_properties(variables.clone().into_iter());
    let env = |name: &str| {
        let found = variables.iter().find(|(other, _)| other == name);
        found.map(|(_, value)| value.clone())
    };
    let cli = match Cli::try_parse_from(std::iter::once("headcount").chain(words)) {
        Ok(cli) => cli,
        Err(error) => {
            if error.use_stderr() {
                let sentence = one_sentence(&error);
                assert!(!sentence.trim().is_empty() && !sentence.contains('\n'), "{sentence:?}");
            }
            return;
        }
    };
    let refused = match cli.command {
        Command::Run(args) => RunConfig::resolve(&args, env).err(),
        Command::Count(args) => CountConfig::resolve(&args).err(),
        Command::Generate(args) => args.resolve().map_err(Failure::Usage).err(),
        Command::Top(args) => TopConfig::resolve(&args, env).err(),
        Command::Replay(args) => ReplayConfig::resolve(&args, env).err(),
        Command::State(_) | Command::Demo(_) => None,
    };
    if let Some(failure) = refused {
        assert!(!failure.to_string().trim().is_empty());
    }
});
