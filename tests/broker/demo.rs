//! The demo: every number that it prints is held against the truth by itself, and it ends as it was asked to.

use crate::support::process::{Service, headcount, run_ok};
use crate::world::SOON;
use std::time::Duration;

#[test]
fn the_demo_counts_right_and_ends_by_itself() {
    let mut demo = headcount();
    demo.args(["demo", "--for", "4s", "--every", "500ms", "--rate", "2000"]);
    let (out, _) = run_ok(demo, b"");
    assert!(out.matches("\ntick ").count() >= 4, "{out}");
    let summary = out.lines().last().unwrap();
    assert!(summary.contains(" ticks and "), "{out}");
    assert!(!summary.contains(": 0 numbers exact"), "{out}");
}

#[test]
fn the_demo_ends_cleanly_when_it_is_told_to() {
    let mut command = headcount();
    command.args(["demo", "--every", "200ms"]);
    let mut demo = Service::spawn(command);
    demo.stdout_line("tick 2", SOON);
    demo.signal("INT");
    assert_eq!(demo.wait(Duration::from_secs(10)).code(), Some(0));
    assert!(demo.stdout().contains(" ticks and "), "{}", demo.stdout());
}
