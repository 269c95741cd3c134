//! The configuration file: what wins over what, and what is said of a line that makes no sense.

use std::fs;
use std::path::Path;

use clap::CommandFactory;
use headcount::cli::Cli;
use tempfile::TempDir;

use super::{Said, line, run_in, run_with};

/// A folder with a file `c.toml`.
pub(super) fn folder(text: &str) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("c.toml"), text).unwrap();
    dir
}

fn check(text: &str) -> Said {
    run_in(
        folder(text).path(),
        &["config", "check", "--config", "c.toml"],
    )
}

/// What a run would be given as an option, and from where, as `config show` has it.
fn shown(dir: &Path, args: &[&str], variables: &[(&str, &str)], key: &str) -> String {
    let args = [&["config", "show"], args].concat();
    let said = run_with(dir, &args, variables, b"");
    assert_eq!((said.code, said.stderr.as_str()), (Some(0), ""), "{args:?}");
    let start = format!("{key} ");
    let mut lines = said.stdout.lines();
    let line = lines.find(|line| line.trim_start_matches("# ").starts_with(&start));
    let line = line.unwrap_or_else(|| panic!("no {key} in {}", said.stdout));
    line.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[test]
fn flags_win_over_the_environment_that_over_the_file_and_that_over_the_default() {
    let dir = folder("topic = \"above\"\nevery = \"7s\"\n[run]\ntopic = \"section\"\n");
    let file = ["--config", "c.toml"];
    let own = [("HEADCOUNT_TOPIC", "variable"), ("USERS_TOPIC", "alias")];
    for (args, variables, expected) in [
        (
            vec!["--config", "c.toml", "-t", "flag"],
            &own[..],
            "\"flag\" # flag",
        ),
        (
            file.to_vec(),
            &own[..],
            "\"variable\" # environment variable HEADCOUNT_TOPIC",
        ),
        (
            file.to_vec(),
            &own[1..],
            "\"alias\" # environment variable USERS_TOPIC",
        ),
        (file.to_vec(), &[][..], "\"section\" # c.toml:4"),
    ] {
        let said = shown(dir.path(), &args, variables, "topic");
        assert_eq!(said, format!("topic = {expected}"));
    }
    assert_eq!(
        shown(dir.path(), &file, &[], "every"),
        "every = \"7s\" # c.toml:2"
    );
    assert_eq!(
        shown(dir.path(), &file, &[], "emit"),
        "emit = \"all\" # default"
    );
    assert_eq!(
        shown(dir.path(), &[], &[], "topic"),
        "# topic # not set: $USERS_TOPIC, else users"
    );
    let by_variable = [("HEADCOUNT_CONFIG", "c.toml")];
    assert_eq!(
        shown(dir.path(), &[], &by_variable, "every"),
        "every = \"7s\" # c.toml:2"
    );
}

#[test]
fn every_command_takes_its_own_section_and_what_stands_above_all() {
    let text = "format = \"json\"\nlog-format = \"json\"\n[count]\nuid-field = \"user\"\nwindow = [\"day\"]\n[run]\nuid-field = \"x\"\n";
    let dir = folder(text);
    let frame = br#"{"user":"a","ts":7}"#;
    let said = run_with(dir.path(), &["count", "--config", "c.toml"], &[], frame);
    assert_eq!((said.code, said.stderr.as_str()), (Some(0), ""));
    let lines: Vec<&str> = said.stdout.lines().collect();
    assert!(
        lines.len() == 2 && lines[0].contains(r#""window":"day""#),
        "{lines:?}"
    );
    assert!(lines[1].contains(r#""counted":1"#), "{lines:?}");
    let flags = [
        "count", "--config", "c.toml", "--format", "csv", "--window", "hour",
    ];
    let said = run_with(dir.path(), &flags, &[], frame);
    assert!(
        said.stdout.lines().nth(1).unwrap().starts_with("hour,"),
        "{}",
        said.stdout
    );
}

#[test]
fn a_question_takes_no_options_of_a_service() {
    let dir = folder(
        "format = \"json\"\nfrom = \"latest\"\nstate = \"nowhere\"\n[query]\nurl = \"http://127.0.0.1:1\"\n",
    );
    let said = run_in(dir.path(), &["query", "--config", "c.toml"]);
    said.check_complaint(69, &["http://127.0.0.1:1", "refused"], "query");
    // A flag that rules out a line of the file takes its place.
    let said = run_in(
        dir.path(),
        &["query", "--config", "c.toml", "--state", "none"],
    );
    said.check_complaint(66, &["none"], "query --state");
}

#[test]
fn a_flag_rules_out_the_lines_that_it_cannot_be_used_with() {
    let dir = folder("[run]\nexit-at-end = true\nhttp = \"127.0.0.1:0\"\nhttp-public = true\n");
    let file = ["--config", "c.toml"];
    let said = |args: &[&str], key| shown(dir.path(), &[&file, args].concat(), &[], key);
    assert_eq!(said(&[], "exit-at-end"), "exit-at-end = true # c.toml:2");
    assert_eq!(
        said(&["--until", "0:1"], "exit-at-end"),
        "exit-at-end = false # default"
    );
    let token = ["--http-token-file", "token"];
    assert_eq!(said(&token, "http-public"), "http-public = false # default");
    let off = [("HEADCOUNT_EXIT_AT_END", "false")];
    assert!(shown(dir.path(), &file, &off, "exit-at-end").starts_with("exit-at-end = false # env"));
}

/// Every long option of every command with a section is a key there, with what its flag takes.
#[test]
fn every_option_is_a_key() {
    let root = Cli::command();
    let mut tried = 0;
    for section in ["run", "count", "replay", "top", "demo", "query"] {
        let command = root.find_subcommand(section).unwrap();
        let options = command.get_arguments().filter_map(|arg| arg.get_long());
        for long in options.filter(|long| *long != "property") {
            // No option takes all of these, so each is either accepted or refused for its value, never for its key.
            for value in ["\"5s\"", "5", "true", "\"x\""] {
                let said = check(&format!("[{section}]\n{long} = {value}\n"));
                assert!(
                    !said.stderr.contains("is no option"),
                    "{long}: {}",
                    said.stderr
                );
                tried += usize::from(said.code == Some(0));
            }
        }
    }
    assert!(
        tried > 100,
        "only {tried} lines were accepted: is the search right?"
    );
}

#[test]
fn keys_that_no_command_has_are_refused_with_the_nearest_name() {
    for (text, words) in [
        (
            "[run]\nevry = \"5s\"\n",
            &["c.toml:2:", "'evry'", "'run'", "'every'"][..],
        ),
        ("\nbrokr = \"a\"\n", &["c.toml:2:", "'brokr'", "'broker'"]),
        (
            "[run]\nmax_jump = \"5s\"\n",
            &["c.toml:2:", "'max_jump'", "'max-jump'"],
        ),
        ("tz = \"UTC\"\n", &["c.toml:1:", "'tz'", "write timezone"]),
        (
            "[run]\nspeed = \"60x\"\n",
            &["c.toml:2:", "'speed'", "[replay]"],
        ),
        ("url = \"x\"\n", &["c.toml:1:", "'url'", "[query]"]),
        (
            "[run]\nlog-format = \"text\"\n",
            &["c.toml:2:", "'log-format'", "above all sections"],
        ),
        ("[rnu]\n", &["c.toml:1:", "[rnu]", "[run]"]),
        (
            "\n[generate]\nframes = 1\n",
            &["c.toml:3:", "[generate]", "run, count"],
        ),
        ("[run]\nqwfpgj = 1\n", &["c.toml:2:", "'qwfpgj'", "--help"]),
        ("[run.every]\nx = 1\n", &["c.toml:2:", "'every.x'"]),
        ("property = [\"a=b\"]\n", &["c.toml:1:", "[kafka]"]),
        ("config = \"d.toml\"\n", &["c.toml:1:", "another"]),
    ] {
        check(text).check_complaint(2, words, text);
    }
}

#[test]
fn values_that_make_no_sense_are_refused_with_their_line() {
    for (text, words) in [
        (
            "every = 5\n",
            &["c.toml:1:", "--every", "'5' has no unit", "5s"][..],
        ),
        (
            "\n[run]\nevery = \"1ms\"\n",
            &["c.toml:3:", "--every", "100ms to 1h"],
        ),
        (
            "threads = \"4\"\n",
            &["c.toml:1:", "threads = 4", "without quotes"],
        ),
        ("threads = 400\n", &["c.toml:1:", "--threads", "1 to 64"]),
        ("[demo]\nthreads = -1\n", &["c.toml:2:", "--threads"]),
        ("topic = 5\n", &["c.toml:1:", "topic = \"5\"", "in quotes"]),
        (
            "exit-at-end = \"true\"\n",
            &["c.toml:1:", "exit-at-end", "true or false"],
        ),
        ("emit = \"al\"\n", &["c.toml:1:", "--emit", "all, final"]),
        ("every = [\"5s\"]\n", &["c.toml:1:", "every", "not a list"]),
        (
            "timezone = \"Mars\"\n",
            &["c.toml:1:", "--timezone", "'Mars'"],
        ),
        ("topic = [\"a\", {}]\n", &["c.toml:1:", "topic must be"]),
        ("a = [\n", &["c.toml:1:", "not TOML"]),
        ("\nx\n", &["c.toml:2:", "not TOML"]),
        (
            "every = \"5s\"\nevery = \"6s\"\n",
            &["c.toml:2:", "duplicate key"],
        ),
        (
            "[run]\nuntil = \"0:1\"\nexit-at-end = true\n",
            &["c.toml:3:", "exit-at-end", "until (c.toml:2)"],
        ),
        (
            "[kafka]\ngroup.id = \"x\"\n",
            &["c.toml:2:", "-X group.id", "--group"],
        ),
        (
            "[kafka]\n\nnope.nope = 1\n",
            &["c.toml:3:", "-X nope.nope", "no property"],
        ),
        (
            "[kafka]\nfetch.min.bytes = [1]\n",
            &["c.toml:2:", "fetch.min.bytes", "one value"],
        ),
    ] {
        check(text).check_complaint(2, words, text);
    }
}

/// A line of another command is looked at too: it would be a surprise later.
#[test]
fn what_a_file_says_to_other_commands_is_checked_too() {
    for (text, words) in [
        (
            "timezone = \"UTC\"\n[count]\ntimezone = \"Mars\"\n",
            &["c.toml:3: --timezone 'Mars'"][..],
        ),
        (
            "[count]\nuid-field = \"ts\"\n",
            &["c.toml:2:", "--uid-field and --ts-field must differ"],
        ),
        (
            "[count]\nquarantine-file = \"a\"\nrejects-file = \"a\"\n",
            &["--quarantine-file and --rejects-file must differ"],
        ),
        (
            "[run]\nretain-minutes = \"1d\"\n[count]\nretain-minutes = \"99999d\"\n",
            &["c.toml:4: --retain-minutes"],
        ),
    ] {
        check(text).check_complaint(2, words, text);
    }
    check("[replay]\nrate = \"fast\"\n").check_complaint(2, &["c.toml:2:", "--rate"], "replay");
}

#[test]
fn a_file_that_cannot_be_read_is_named() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("latin"), b"topic = \"\xfc\"").unwrap();
    fs::write(dir.path().join("large"), vec![b'#'; (1 << 20) + 1]).unwrap();
    for (file, word) in [
        ("none", "No such file"),
        (".", "directory"),
        ("latin", "UTF-8"),
        ("large", "larger"),
    ] {
        let said = run_in(dir.path(), &["run", "--config", file]);
        said.check_complaint(2, &["--config", file, word], file);
    }
    for args in [
        &["generate", "-n", "1"][..],
        &["state", "digest", "x"],
        &["completions", "bash"],
    ] {
        let with_file = [args, &["--config", "none"]].concat();
        run_in(dir.path(), &with_file).check_complaint(2, &[args[0], "--config"], args[0]);
    }
    // The variable is for those that it concerns.
    let variables = [("HEADCOUNT_CONFIG", "none")];
    let said = run_with(dir.path(), &["generate", "-n", "1"], &variables, b"");
    assert_eq!(said.code, Some(0), "{}", said.stderr);
}

#[test]
fn help_and_complaints_of_the_parser_do_not_need_the_file() {
    let dir = folder("nonsense\n");
    let said = run_in(dir.path(), &["run", "--config", "c.toml", "--help"]);
    assert_eq!(said.code, Some(0), "{}", said.stderr);
    let said = run_in(dir.path(), &["--config"]);
    said.check_complaint(2, &["--config"], "no value");
    let said = run_with(
        dir.path(),
        &["count", "--nope"],
        &[],
        line("a", 1).as_bytes(),
    );
    said.check_complaint(2, &["--nope"], "no such flag");
}
