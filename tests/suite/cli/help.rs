//! Help that says everything, in lines that fit.

use clap::CommandFactory;
use headcount::cli::Cli;
use headcount::error::EXIT_SECOND_SIGNAL;

use crate::support::process;

const SUBCOMMANDS: [&str; 10] = [
    "run",
    "count",
    "generate",
    "replay",
    "top",
    "query",
    "demo",
    "config",
    "completions",
    "man",
];

/// Widest line of help, whatever the terminal.
const MAX_COLUMNS: usize = 110;

fn help(args: &[&str], columns: &str) -> String {
    let mut command = process::headcount();
    command.args(args).env("COLUMNS", columns);
    let (stdout, stderr) = process::run_ok(command, b"");
    assert_eq!(stderr, "", "{args:?}");
    stdout
}

fn all_helps(columns: &str) -> Vec<(String, String)> {
    let mut helps = Vec::new();
    for flag in ["--help", "-h"] {
        helps.push((flag.to_owned(), help(&[flag], columns)));
        for subcommand in SUBCOMMANDS {
            let of = format!("{subcommand} {flag}");
            helps.push((of, help(&[subcommand, flag], columns)));
        }
    }
    helps
}

#[test]
fn lines_of_help_fit_on_any_terminal() {
    for columns in ["60", "80", "100", "250"] {
        let most = MAX_COLUMNS.min(columns.parse().unwrap());
        for (of, help) in all_helps(columns) {
            for line in help.lines() {
                // What cannot be broken, such as the list of values, may stick out where there is no room at all.
                let may_stick_out = columns == "60" && line.trim().contains('[');
                let width = line.chars().count();
                assert!(
                    width <= most || may_stick_out,
                    "{of}, {columns} wide: {line}"
                );
            }
        }
    }
}

#[test]
fn no_line_of_help_is_left_with_one_word_of_a_paragraph_that_goes_on() {
    for columns in ["100", "110"] {
        for (of, help) in all_helps(columns) {
            let lines: Vec<&str> = help.lines().collect();
            for pair in lines.windows(2) {
                let indent = |line: &str| line.len() - line.trim_start().len();
                let is_lonely = pair[0].split_whitespace().count() == 1
                    && !pair[0].trim_start().starts_with(['-', '['])
                    && !pair[0].ends_with(':');
                let goes_on = !pair[1].trim().is_empty() && indent(pair[0]) == indent(pair[1]);
                assert!(!(is_lonely && goes_on), "{of}, {columns} wide: {pair:?}");
            }
        }
    }
}

#[test]
fn help_names_every_option_and_says_what_it_is_for() {
    for command in Cli::command().get_subcommands() {
        let short = help(&[command.get_name(), "-h"], "200");
        let long = help(&[command.get_name(), "--help"], "200");
        for argument in command.get_arguments() {
            let names = argument.get_long_and_visible_aliases().unwrap_or_default();
            for name in names {
                let name = format!("--{name}");
                assert!(
                    long.contains(&name),
                    "{name} in {} --help",
                    command.get_name()
                );
                assert!(short.contains(&name), "{name} in {} -h", command.get_name());
            }
            let about = argument
                .get_help()
                .map(ToString::to_string)
                .unwrap_or_default();
            assert!(about.len() > 9, "{argument:?} says nothing");
            assert!(!about.ends_with('.'), "{about}");
        }
    }
}

#[test]
fn help_and_readme_document_every_exit_code() {
    let help = help(&["--help"], "110");
    let readme = include_str!("../../../README.md");
    for code in [0, 2, 65, 66, 69, 70, 74, 75, 76, 77, 78, EXIT_SECOND_SIGNAL] {
        assert!(readme.contains(&format!("\n| {code} | ")), "{code}");
        let is_listed = help.lines().any(|line| {
            let mut words = line.split_whitespace();
            words.next() == Some(&code.to_string()) && words.count() > 2
        });
        assert!(is_listed, "{code}:\n{help}");
    }
}

#[test]
fn help_of_a_subcommand_tells_where_exit_codes_are_listed() {
    for subcommand in ["run", "count", "replay", "top", "demo"] {
        let help = help(&[subcommand, "--help"], "110");
        assert!(
            help.to_lowercase().contains("exit codes"),
            "{subcommand}:\n{help}"
        );
    }
}

#[test]
fn help_of_a_subcommand_explains_it_and_not_only_names_it() {
    for (subcommand, words) in [
        ("run", "Without saved state a restart reads again"),
        ("count", "read side by side by event time"),
        ("generate", "Two determine the third"),
        ("replay", "all that is overdue goes out as fast as it can"),
        ("top", "it asks nothing of the service"),
        ("query", "any other stretch up to the newest event time"),
        ("demo", "Needs nothing installed"),
    ] {
        let help = help(&[subcommand, "--help"], "110");
        let help = help.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(
            help.contains(words),
            "no {words:?} in {subcommand} --help: {help}"
        );
    }
}

#[test]
fn the_version_is_that_of_the_package() {
    let version = format!("headcount {}\n", env!("CARGO_PKG_VERSION"));
    for flag in ["--version", "-V"] {
        assert_eq!(help(&[flag], "80"), version);
    }
    for subcommand in SUBCOMMANDS {
        assert!(
            help(&[subcommand, "-V"], "80").ends_with(&format!("{}\n", env!("CARGO_PKG_VERSION")))
        );
    }
}
