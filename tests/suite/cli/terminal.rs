//! What a person sees: a table, text, colours unless these are not wanted, no bar left behind.

use std::process::Command;

use super::line;
use crate::support::{process, skip};

/// Runs it on a terminal of its own that `script` makes, and gives all that was shown there; nothing without `script`.
fn on_a_terminal(command: &str, variables: &[(&str, &str)]) -> Option<String> {
    let headcount = process::headcount();
    let mut script = Command::new("script");
    for (name, value) in headcount.get_envs() {
        match value {
            Some(value) => script.env(name, value),
            None => script.env_remove(name),
        };
    }
    script
        .env_remove("NO_COLOR")
        .envs(variables.iter().copied());
    let program = headcount.get_program().to_str().unwrap();
    let words = command.replace("headcount", program);
    script.args(["-q", "-e", "-c", &words, "/dev/null"]);
    if Command::new("script").arg("--version").output().is_err() {
        skip("no script, which makes a terminal");
        return None;
    }
    let output = process::run(script, b"");
    Some(String::from_utf8_lossy(&output.stdout).replace("\r\n", "\n"))
}

fn file_with_rubbish() -> tempfile::NamedTempFile {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), line("a", 7) + "rubbish\n" + &line("b", 8)).unwrap();
    file
}

#[test]
fn a_terminal_gets_a_table_and_coloured_text() {
    let file = file_with_rubbish();
    let Some(shown) = on_a_terminal(&format!("headcount count {}", file.path().display()), &[])
    else {
        return;
    };
    assert!(shown.contains("Users by day (UTC)"), "{shown}");
    assert!(shown.contains("frame rejected"), "{shown}");
    assert!(shown.contains("\x1b[33m WARN"), "no colour: {shown:?}");
    // The bar is erased before the table is printed.
    let erase = shown.rfind("\x1b[2K").unwrap();
    assert!(erase < shown.find("Users by minute").unwrap(), "{shown:?}");
}

#[test]
fn no_color_takes_the_colours_away() {
    let file = file_with_rubbish();
    let command = format!("headcount count {}", file.path().display());
    let Some(shown) = on_a_terminal(&command, &[("NO_COLOR", "1")]) else {
        return;
    };
    assert!(shown.contains(" WARN frame rejected"), "{shown}");
    assert!(
        !shown.contains("\x1b[33m") && !shown.contains("\x1b[2m"),
        "{shown:?}"
    );
}

#[test]
fn a_terminal_as_stdin_is_not_waited_for() {
    let Some(shown) = on_a_terminal("headcount count", &[]) else {
        return;
    };
    assert!(
        shown.contains("nothing to read: name files, or pipe frames"),
        "{shown}"
    );
    let shown = on_a_terminal("headcount replay -", &[]).unwrap();
    assert!(
        shown.contains("nothing to send: name a file, or pipe frames"),
        "{shown}"
    );
}

#[test]
fn a_progress_bar_shows_no_empty_places() {
    let file = file_with_rubbish();
    let Some(shown) = on_a_terminal(&format!("headcount count {}", file.path().display()), &[])
    else {
        return;
    };
    assert!(!shown.contains(", ,"), "{shown:?}");
}
