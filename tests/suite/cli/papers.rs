//! What a package puts beside the program: manual pages and completions.

use std::fs;
use std::path::Path;
use std::process::Command;

use clap::CommandFactory;
use headcount::cli::Cli;

use super::run_in;
use crate::support::skip;

/// A command and its subcommands, each with its whole name.
fn commands(command: &clap::Command, name: &str, found: &mut Vec<(String, clap::Command)>) {
    found.push((name.to_owned(), command.clone()));
    for inner in command.get_subcommands() {
        commands(inner, &format!("{name}-{}", inner.get_name()), found);
    }
}

#[test]
fn every_command_has_a_page_that_names_its_options() {
    let dir = tempfile::tempdir().unwrap();
    let said = run_in(dir.path(), &["man", "pages/of/it"]);
    assert_eq!(
        (said.code, said.stdout.as_str(), said.stderr.as_str()),
        (Some(0), "", "")
    );
    let pages = dir.path().join("pages/of/it");
    let mut found = Vec::new();
    commands(&Cli::command(), "headcount", &mut found);
    assert_eq!(fs::read_dir(&pages).unwrap().count(), found.len());
    for (name, command) in found {
        let page = fs::read_to_string(pages.join(format!("{name}.1"))).unwrap();
        assert!(page.contains(".SH NAME\n"), "{name}");
        for long in command.get_arguments().filter_map(|arg| arg.get_long()) {
            let escaped = format!("\\-\\-{}", long.replace('-', "\\-"));
            assert!(page.contains(&escaped), "no --{long} in {name}.1");
        }
    }
    let first = fs::read_to_string(pages.join("headcount.1")).unwrap();
    assert!(first.contains("Exit codes:"), "{first}");
    assert_eq!(run_in(dir.path(), &["man"]).stdout, first);
    let Ok(output) = Command::new("groff")
        .args(["-man", "-Tutf8", "-ww", "-Wbreak"])
        .arg(pages.join("headcount.1"))
        .output()
    else {
        return skip("no groff to set the pages with");
    };
    assert!(
        output.status.success() && output.stderr.is_empty(),
        "{output:?}"
    );
}

#[test]
fn pages_that_cannot_be_written_are_named() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("file"), "").unwrap();
    run_in(dir.path(), &["man", "file/x"]).check_complaint(
        74,
        &["file/x", "Not a directory"],
        "man",
    );
    run_in(Path::new("/"), &["completions", "dos"]).check_complaint(2, &["'dos'", "bash"], "dos");
}

/// What a real bash, with the script loaded, proposes behind a line.
fn proposals(dir: &Path, words: &[&str]) -> Vec<String> {
    let script = r#"
        set -eu
        . ./completions
        complete -p headcount > /dev/null
        COMP_WORDS=("$@") COMP_CWORD=$(($# - 1)) COMPREPLY=()
        last=$((COMP_CWORD - 1))
        _headcount headcount "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[last]}"
        printf '%s\n' "${COMPREPLY[@]}""#;
    let mut bash = Command::new("bash");
    bash.args(["--norc", "--noprofile", "-c", script, "bash"])
        .args(words)
        .current_dir(dir);
    let output = bash.output().unwrap();
    assert!(output.status.success(), "{words:?}: {output:?}");
    let proposals = String::from_utf8(output.stdout).unwrap();
    proposals
        .lines()
        .map(|line| line.trim().to_owned())
        .collect()
}

#[test]
fn a_real_bash_completes_commands_options_and_values() {
    let dir = tempfile::tempdir().unwrap();
    let said = run_in(dir.path(), &["completions", "bash"]);
    assert_eq!((said.code, said.stderr.as_str()), (Some(0), ""));
    fs::write(dir.path().join("completions"), said.stdout).unwrap();
    let syntax = Command::new("bash")
        .args(["-n", "completions"])
        .current_dir(dir.path())
        .output();
    let Ok(syntax) = syntax else {
        return skip("no bash to try completions in");
    };
    assert!(
        syntax.status.success() && syntax.stderr.is_empty(),
        "{syntax:?}"
    );
    let commands = proposals(dir.path(), &["headcount", ""]);
    for command in Cli::command().get_subcommands() {
        assert!(
            commands.contains(&command.get_name().to_owned()),
            "{commands:?}"
        );
    }
    assert_eq!(
        proposals(dir.path(), &["headcount", "run", "--check"]),
        ["--checkpoint-interval"]
    );
    assert_eq!(
        proposals(dir.path(), &["headcount", "config", "sh"]),
        ["show"]
    );
    assert_eq!(
        proposals(dir.path(), &["headcount", "run", "--emit", ""]),
        ["all", "final"]
    );
}

#[test]
fn each_shell_has_its_completions_and_those_at_hand_can_read_them() {
    let dir = tempfile::tempdir().unwrap();
    for (shell, checks) in [
        ("zsh", true),
        ("fish", true),
        ("elvish", false),
        ("powershell", false),
    ] {
        let said = run_in(dir.path(), &["completions", shell]);
        assert_eq!((said.code, said.stderr.as_str()), (Some(0), ""), "{shell}");
        assert!(said.stdout.contains("checkpoint-interval"), "{shell}");
        fs::write(dir.path().join(shell), said.stdout).unwrap();
        if checks
            && let Ok(output) = Command::new(shell)
                .arg("-n")
                .arg(dir.path().join(shell))
                .output()
        {
            assert!(output.status.success(), "{shell}: {output:?}");
        }
    }
}
