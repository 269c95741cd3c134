//! What `replay` refuses before it looks for a broker, and what its options come to.

use std::fs;
use std::path::Path;

use clap::Parser;
use headcount::cli::replay::PartitionBy;
use headcount::cli::{Cli, Command};
use headcount::config::{ReplayConfig, Tempo};
use headcount::engine::decode::TsUnit;
use headcount::error::Failure;

use super::{line, run_in, run_with};

fn resolve(words: &[&str]) -> Result<ReplayConfig, Failure> {
    let cli = Cli::try_parse_from(["headcount", "replay"].iter().chain(words)).unwrap();
    let Command::Replay(args) = cli.command else {
        panic!("replay is replay");
    };
    ReplayConfig::resolve(&args, |name| {
        (name == "USERS_TOPIC").then(|| "people".to_owned())
    })
}

#[test]
fn options_become_a_configuration() {
    let config = resolve(&["f"]).unwrap();
    assert_eq!(
        (config.topic.as_str(), config.tempo),
        ("people", Tempo::Max)
    );
    assert_eq!(config.partition_by, PartitionBy::Uid);
    assert_eq!(config.compression.name(), "lz4");
    assert_eq!((config.timeout_ms, config.skip), (60_000, 0));
    assert_eq!(config.fields.ts_unit, TsUnit::Seconds);
    for unit in TsUnit::ALL {
        let config = resolve(&["--ts-unit", unit.symbol(), "f"]).unwrap();
        assert_eq!(config.fields.ts_unit, unit);
    }
    for (words, tempo) in [
        (["--rate", "max"], Tempo::Max),
        (["--rate", "0.5"], Tempo::Rate(0.5)),
        (["-r", "2e4"], Tempo::Rate(20_000.0)),
        (["--speed", "60x"], Tempo::Speed(60.0)),
        (["-s", "0.25"], Tempo::Speed(0.25)),
    ] {
        let words = [words[0], words[1], "f"];
        assert_eq!(resolve(&words).unwrap().tempo, tempo, "{words:?}");
    }
}

#[test]
fn what_makes_no_sense_is_refused_in_a_sentence() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("a"), line("a", 7)).unwrap();
    fs::create_dir(dir.path().join("d")).unwrap();
    for (args, code, words) in [
        ("", 2, &["<FILE>"][..]),
        ("a b", 2, &["'b'"]),
        ("missing", 66, &["missing", "No such file"]),
        ("d", 66, &["cannot read d:", "directory"]),
        ("a -t x/y", 2, &["--topic", "'x/y'"]),
        ("a -t x,y", 2, &["--topic", "'x,y'"]),
        ("a --rate 0", 2, &["--rate", "'0'", "above 0"]),
        ("a --rate -1", 2, &["--rate", "'-1'", "max"]),
        ("a --rate fast", 2, &["--rate", "'fast'", "max"]),
        ("a --speed x", 2, &["--speed", "'x'", "60x"]),
        ("a --rate 5 --speed 5x", 2, &["--rate", "--speed"]),
        ("a --partitions 0", 2, &["--partitions", "1..=10000"]),
        (
            "a --partition-by key",
            2,
            &["--partition-by", "round-robin"],
        ),
        ("a --compression brotli", 2, &["--compression", "zstd"]),
        ("a --timeout 999ms", 2, &["--timeout", "1s to 1d"]),
        ("a --timeout 2d", 2, &["--timeout", "1s to 1d"]),
        ("a --format csv", 2, &["--format", "'csv'", "json"]),
        ("a --resume a", 2, &["--resume", "one of its own"]),
        (
            "a --uid-field x --ts-field x",
            2,
            &["--uid-field", "differ"],
        ),
        ("- --loop", 2, &["--loop needs a file"]),
        ("a -b a:x", 2, &["--broker", "port"]),
        ("a -X acks=0", 2, &["-X acks"]),
        ("a -X nope=1", 2, &["-X nope", "no property"]),
    ] {
        let words_of = |args: &'static str| args.split(' ').filter(|word| !word.is_empty());
        let args: Vec<_> = ["replay"].into_iter().chain(words_of(args)).collect();
        run_in(dir.path(), &args).check_complaint(code, words, &args.join(" "));
    }
}

#[test]
fn brokers_that_do_not_answer_are_given_up_on() {
    let args = ["replay", "-b", "127.0.0.1:1", "--timeout", "1s", "-"];
    let said = run_with(Path::new("/"), &args, &[], line("a", 7).as_bytes());
    let words = ["no broker answers at 127.0.0.1:1", "gave up after 1 s"];
    said.check_complaint(69, &words, "nobody there");
}
