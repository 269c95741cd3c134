//! The demo: every number that it shows is held against the truth by itself, its keys do what they say, and it ends as it
//! was asked to.

use crate::support::process::{Service, headcount, run_ok};
use crate::support::terminal::Terminal;
use crate::support::wait_until;
use crate::world::SOON;
use std::path::Path;

#[test]
fn the_demo_counts_right_and_ends_by_itself() {
    let mut demo = headcount();
    demo.args(["demo", "--for", "6s", "--every", "500ms", "--rate", "2000"]);
    let (out, _) = run_ok(demo, b"");
    assert!(out.matches("\ntick ").count() >= 4, "{out}");
    assert!(
        out.contains("became final"),
        "no final of the history:\n{out}"
    );
    let summary = out.lines().last().unwrap();
    assert!(summary.contains(" ticks and "), "{out}");
    assert!(!summary.contains(": 0 numbers exact"), "{out}");
    assert!(!summary.contains(" 0 estimated"), "{out}");
}

#[test]
fn the_demo_ends_cleanly_when_it_is_told_to() {
    let mut command = headcount();
    command.args(["demo", "--every", "200ms"]);
    let mut demo = Service::spawn(command);
    demo.stdout_line("tick 2", SOON);
    demo.signal("INT");
    assert_eq!(demo.wait(SOON).code(), Some(0));
    assert!(demo.stdout().contains(" ticks and "), "{}", demo.stdout());
}

/// The number behind a word on the screen.
fn number(screen: &str, before: &str) -> Option<u64> {
    let behind = &screen[screen.find(before)? + before.len()..];
    let digits = behind.trim_start().split([' ', '\n', '(']).next()?;
    digits.replace(',', "").parse().ok()
}

#[test]
fn on_a_terminal_every_key_does_what_it_says() {
    let Some(mut terminal) = Terminal::open("demo --every 300ms --rate 300", &[], (24, 80)) else {
        return;
    };
    terminal.until("became final");
    let screen = terminal.until("true ");
    for expected in [
        "last minute",
        "last year",
        "true ",
        "p  pause",
        "b  burst",
        "r  rubbish",
        "q  quit",
    ] {
        assert!(screen.contains(expected), "no {expected:?} on:\n{screen}");
    }

    terminal.press("p");
    terminal.until("paused");
    // Whatever was under way arrives; then nothing comes any more.
    let read = |terminal: &Terminal| number(&terminal.screen(), "read ").unwrap();
    let still = wait_until(SOON, "nothing is read any more", || {
        let before = read(&terminal);
        let tick = number(&terminal.screen(), "tick ")?;
        wait_until(SOON, "two more ticks", || {
            (number(&terminal.screen(), "tick ")? > tick + 1).then_some(())
        });
        (read(&terminal) == before).then_some(before)
    });
    terminal.press("p");
    wait_until(SOON, "reading goes on", || {
        (read(&terminal) > still).then_some(())
    });

    terminal.press("r");
    terminal.until("rejected 15 (json");
    // The flipped timestamp is refuted by the frames after it.
    terminal.until("quarantined 1 ");

    terminal.press("b");
    terminal.until("3,000 frames/s");
    wait_until(SOON, "the burst is read", || {
        let rate = number(&terminal.screen(), "frames/s  ")?;
        (rate > 1_500).then_some(())
    });

    terminal.resize(60, 200);
    wait_until(SOON, "three numbers stand in a row", || {
        let screen = terminal.screen();
        let row = screen.lines().find(|line| line.contains("last minute"))?;
        row.contains("last day").then_some(())
    });

    terminal.press("q");
    assert_eq!(terminal.wait(SOON).code(), Some(0));
    let raw = terminal.raw();
    let left = raw
        .rfind("\x1b[?1049l")
        .expect("the alternate screen is left");
    assert!(
        raw[left..].contains(" ticks and "),
        "the summary stands on the usual screen: {:?}",
        &raw[left..]
    );
}

#[test]
fn a_terminal_comes_back_after_control_c_and_stays_colourless_if_so_wished() {
    let Some(mut terminal) = Terminal::open("demo --every 300ms", &[("NO_COLOR", "1")], (24, 80))
    else {
        return;
    };
    terminal.until("tick 3");
    terminal.press("\x03");
    let code = terminal.wait(SOON).code();
    let raw = terminal.raw();
    assert_eq!(code, Some(0), "{raw:?}");
    assert!(
        raw.contains("\x1b[?1049h") && raw.contains("\x1b[?1049l"),
        "{raw:?}"
    );
    let colours = (30..38).chain(90..98).map(|code| format!("\x1b[{code}m"));
    let mut used = colours
        .chain(["\x1b[38;".to_owned()])
        .filter(|code| raw.contains(code));
    assert_eq!(used.next(), None);
}

/// As when the window of a terminal is closed by somebody who keeps the shell.
#[test]
fn a_hangup_gives_the_terminal_back() {
    let Some(mut terminal) = Terminal::open("demo --every 300ms", &[], (24, 80)) else {
        return;
    };
    terminal.until("tick 2");
    terminal.hang_up();
    terminal.wait(SOON);
    assert!(terminal.raw().contains("\x1b[?1049l"));
}

/// As when the window of a terminal dies: nobody is told, the terminal is just gone.
#[test]
fn a_terminal_that_vanishes_ends_it() {
    let Some(mut terminal) = Terminal::open("demo --every 300ms", &[], (24, 80)) else {
        return;
    };
    terminal.until("tick 2");
    let processes = terminal.processes();
    terminal.vanish();
    wait_until(SOON, "the program has ended", || {
        let is_there = |id: &u32| Path::new(&format!("/proc/{id}")).exists();
        (!processes.iter().any(is_there)).then_some(())
    });
}

#[test]
fn a_terminal_that_can_do_little_gets_lines() {
    for (words, variables) in [
        ("demo --for 1s --plain", ("TERM", "xterm")),
        ("demo --for 1s", ("TERM", "dumb")),
    ] {
        let Some(mut terminal) = Terminal::open(words, &[variables], (24, 80)) else {
            return;
        };
        assert_eq!(terminal.wait(SOON).code(), Some(0));
        let raw = terminal.raw();
        assert!(
            raw.contains("\r\ntick 1 ") && !raw.contains("\x1b[?1049h"),
            "{raw:?}"
        );
    }
}

#[test]
fn the_last_screen_can_be_a_picture() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("view.svg");
    let mut demo = headcount();
    demo.args(["demo", "--for", "1s", "--every", "200ms", "--picture"])
        .arg(&file);
    run_ok(demo, b"");
    let svg = std::fs::read_to_string(file).unwrap();
    assert!(
        svg.contains("headcount demo") && svg.contains("last year"),
        "{svg}"
    );
}
