//! `headcount top` beside a service: what it shows, and what it says when there is nothing to show.

use crate::mock::{batch, cluster};
use crate::support::process::{Service, headcount, run};
use crate::support::terminal::Terminal;
use crate::support::wait_until;
use crate::world::{Job, SOON, stop};
use std::process::Command;

fn top(job: &Job, options: &[&str]) -> Command {
    let mut command = headcount();
    command
        .args(["top", "-b", &job.address, "-o", &job.stats])
        .args(options);
    command
}

/// Exit code, stdout and stderr.
fn once(job: &Job, options: &[&str]) -> (Option<i32>, String, String) {
    let output = run(top(job, &[&["--once"], options].concat()), b"");
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (
        output.status.code(),
        text(output.stdout),
        text(output.stderr),
    )
}

#[test]
fn each_tick_and_final_is_shown_as_it_comes() {
    let (_cluster, job) = cluster("top-live", 2);
    job.send(&batch(0, 2));
    let mut service = job.start(&["--every", "300ms"]);
    job.ticks().until("a tick", |_| true);
    let mut view = Service::spawn(top(&job, &[]));
    view.stdout_line("tick ", SOON);
    view.stdout_line("  year ", SOON);
    job.send(&batch(4, 2));
    view.stdout_line("the minute 12:00 of 2026-01-01 became final: ", SOON);
    view.stdout_line("tick ", SOON);
    view.signal("INT");
    assert_eq!(view.wait(SOON).code(), Some(0));
    stop(&mut service);
}

#[test]
fn once_is_a_health_check() {
    let (_cluster, job) = cluster("top-once", 1);
    let (code, out, err) = once(&job, &[]);
    assert_eq!((code, out.as_str()), (Some(69), ""), "{err}");
    assert!(
        err.contains("no tick in topic 'top-once-stats'") && err.contains("nothing was published"),
        "{err}"
    );

    job.send(&batch(0, 1));
    let mut service = job.start(&["--every", "200ms"]);
    job.ticks().until("a tick", |_| true);
    let (code, out, err) = once(&job, &["--max-age", "20s"]);
    assert_eq!(code, Some(0), "{err}");
    assert!(out.starts_with("tick ") && out.contains("  year "), "{out}");

    let (code, _, err) = once(&job, &["--job", "another"]);
    assert_eq!(code, Some(69), "{err}");
    assert!(err.contains("of other jobs: top-once"), "{err}");

    stop(&mut service);
    let err = wait_until(SOON, "the last tick is too old", || {
        let (code, out, err) = once(&job, &["--max-age", "1s"]);
        assert!(out.starts_with("tick "), "{out}{err}");
        (code == Some(69)).then_some(err)
    });
    assert!(
        err.contains("--max-age allows 1 s: is the service running?"),
        "{err}"
    );
}

#[test]
fn once_tells_what_is_out_of_reach() {
    let mut nobody = Job::new("127.0.0.1:1", "top-nobody");
    let (code, _, err) = once(&nobody, &[]);
    assert_eq!(code, Some(69), "{err}");
    assert!(err.contains("the brokers do not answer"), "{err}");

    let (cluster, _) = cluster("top-missing", 1);
    nobody.address = cluster.bootstrap_servers();
    let (code, _, err) = once(&nobody, &[]);
    assert_eq!(code, Some(69), "{err}");
    assert!(err.contains("does not exist"), "{err}");
}

#[test]
fn a_view_that_was_there_first_shows_the_service_when_it_comes() {
    let (cluster, mut job) = cluster("top-first", 1);
    job.stats = "later".to_owned();
    let words = format!("top -b {} -o later", job.address);
    let Some(mut terminal) = Terminal::open(&words, &[], (24, 80)) else {
        return;
    };
    terminal.until("does not exist (yet)");
    for topic in ["later", "later-windows"] {
        cluster.create_topic(topic, 1, 3).unwrap();
    }
    job.send(&batch(0, 1));
    let mut service = job.start(&["--every", "300ms"]);
    terminal.until("read 60 = counted 59 + rejected 1 (uid_missing 1)");
    stop(&mut service);
    terminal.until("is the service running?");
    terminal.press("q");
    assert_eq!(terminal.wait(SOON).code(), Some(0));
}

/// A health check must not pass because another job lives.
#[test]
fn once_does_not_choose_between_jobs() {
    let (_cluster, job) = cluster("top-jobs", 1);
    job.send(&batch(0, 1));
    for name in ["red", "blue"] {
        let mut service = job.start(&["--every", "200ms", "--job", name]);
        job.ticks()
            .until("a tick of it", |tick| tick.str("/job") == name);
        stop(&mut service);
    }
    let (code, out, err) = once(&job, &[]);
    assert_eq!((code, out.as_str()), (Some(2), ""), "{err}");
    assert!(err.contains("blue, red; say which with --job"), "{err}");
    let (code, out, err) = once(&job, &["--job", "red"]);
    assert_eq!(code, Some(0), "{err}");
    assert!(
        out.starts_with("tick ") && out.contains(" of job red, "),
        "{out}"
    );
}
