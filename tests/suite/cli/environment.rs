//! Options from the environment: each has one variable, and a flag wins over it.

use std::path::Path;

use clap::CommandFactory;
use headcount::cli::Cli;

use super::{line, run_with};

#[test]
fn every_option_but_those_of_generate_merge_and_query_has_its_variable() {
    for command in Cli::command().get_subcommands() {
        // What the first two write is fixed by their options alone; and what a service is given, such as where to begin,
        // must not become a part of a question to it.
        let takes_variables = !["generate", "merge", "query"].contains(&command.get_name());
        for argument in command.get_arguments() {
            let Some(long) = argument.get_long() else {
                continue;
            };
            let variable = format!("HEADCOUNT_{}", long.to_uppercase().replace('-', "_"));
            // Properties for the client library have a variable each.
            let has_variable = takes_variables && long != "property";
            let expected = has_variable.then_some(variable);
            let found = argument
                .get_env()
                .map(|name| name.to_str().unwrap().to_owned());
            assert_eq!(found, expected, "{} --{long}", command.get_name());
        }
    }
}

/// Each source of a value holds a bad one that tells where it is from: the complaint shows which of them was taken.
#[test]
fn a_flag_wins_over_its_variable_and_that_over_the_alias() {
    for (flag, variable, alias) in [
        ("--topic", "HEADCOUNT_TOPIC", "USERS_TOPIC"),
        ("--output", "HEADCOUNT_OUTPUT", "STATS_TOPIC"),
        ("--broker", "HEADCOUNT_BROKER", "KAFKA_BROKER"),
    ] {
        let variables = [(variable, "of variable"), (alias, "of alias")];
        for (args, variables, taken) in [
            (&["run", flag, "of flag"][..], &variables[..], "'of flag'"),
            (&["run"][..], &variables[..], "'of variable'"),
            (&["run"][..], &variables[1..], "'of alias'"),
        ] {
            let said = run_with(Path::new("/"), args, variables, b"");
            said.check_complaint(2, &[flag, taken], variable);
        }
    }
}

#[test]
fn variables_that_make_no_sense_are_refused_like_flags() {
    for (variable, value, args, words) in [
        (
            "HEADCOUNT_FROM",
            "yesterday",
            "run",
            ["--from", "'yesterday'"],
        ),
        ("HEADCOUNT_EVERY", "1ms", "run", ["--every", "100ms"]),
        (
            "HEADCOUNT_X_GROUP_ID",
            "x",
            "run",
            ["-X group.id", "--group"],
        ),
        (
            "HEADCOUNT_X_NOPE_NOPE",
            "1",
            "run",
            ["-X nope.nope", "no property"],
        ),
        ("HEADCOUNT_JOB", "a|b", "run", ["--job", "|"]),
        (
            "HEADCOUNT_TIMEZONE",
            "Mars",
            "count",
            ["--timezone", "'Mars'"],
        ),
        ("HEADCOUNT_PRECISION", "7", "count", ["--precision", "7"]),
        ("HEADCOUNT_THREADS", "0", "count", ["--threads", "0"]),
        (
            "HEADCOUNT_LATENESS",
            "1ms",
            "count",
            ["--lateness", "whole seconds"],
        ),
        (
            "HEADCOUNT_RETAIN_MINUTES",
            "99999d",
            "count",
            ["--retain-minutes", "days"],
        ),
    ] {
        let said = run_with(Path::new("/"), &[args], &[(variable, value)], b"");
        said.check_complaint(2, &words, variable);
    }
}

#[test]
fn a_property_of_the_command_line_comes_after_that_of_its_variable() {
    let args = ["run", "-X", "fetch.min.bytes=of flag"];
    let variable = ("HEADCOUNT_X_FETCH_MIN_BYTES", "1");
    let said = run_with(Path::new("/"), &args, &[variable], b"");
    said.check_complaint(2, &["-X fetch.min.bytes", "Invalid value"], "HEADCOUNT_X");
}

#[test]
fn variables_that_the_parser_refuses_give_one_sentence_too() {
    for (variable, value, args, words) in [
        (
            "HEADCOUNT_THREADS",
            "many",
            "count",
            ["--threads", "'many'"],
        ),
        ("HEADCOUNT_EVERY", "5", "run", ["--every", "'5'"]),
        ("HEADCOUNT_FORMAT", "xml", "count", ["--format", "'xml'"]),
        (
            "HEADCOUNT_LOG_FORMAT",
            "xml",
            "count",
            ["--log-format", "'xml'"],
        ),
    ] {
        let said = run_with(Path::new("/"), &[args], &[(variable, value)], b"");
        said.check_complaint(2, &words, variable);
    }
}

#[test]
fn variables_choose_format_windows_fields_and_placeholders() {
    let variables = [
        ("HEADCOUNT_FORMAT", "csv"),
        ("HEADCOUNT_WINDOW", "day,hour"),
        ("HEADCOUNT_UID_FIELD", "user"),
        ("HEADCOUNT_TS_FIELD", "time"),
        ("HEADCOUNT_IGNORE_UID", "nobody, at all"),
        ("HEADCOUNT_LOG_FORMAT", "json"),
    ];
    let input = r#"{"user":"a","time":7,"uid":"b","ts":8}
{"user":"nobody, at all","time":7}
"#;
    let said = run_with(Path::new("/"), &["count"], &variables, input.as_bytes());
    assert_eq!((said.code, said.stderr.as_str()), (Some(0), ""));
    let lines: Vec<&str> = said.stdout.lines().collect();
    assert_eq!(
        lines[1],
        "hour,1970-01-01T00:00:00Z,1970-01-01T01:00:00Z,UTC,1,1,1,1,0"
    );
    assert_eq!(
        lines[2],
        "day,1970-01-01T00:00:00Z,1970-01-02T00:00:00Z,UTC,1,1,1,1,0"
    );
    assert!(lines[3].starts_with("last_minute,"), "{lines:?}");
    let flags = [
        "count",
        "--format",
        "table",
        "--uid-field",
        "uid",
        "--ts-field",
        "ts",
    ];
    let said = run_with(Path::new("/"), &flags, &variables, line("a", 7).as_bytes());
    assert!(
        said.stdout.contains("Users by day (UTC)"),
        "{}",
        said.stdout
    );
    assert!(
        said.stdout.contains("1 read = 1 counted"),
        "{}",
        said.stdout
    );
}
