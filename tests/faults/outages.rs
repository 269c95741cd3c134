//! Brokers that are stopped or killed in mid-stream, again and again, and come back after a while.

use crate::case::{Case, PART, part};
use crate::dice::Dice;
use crate::load::{outlast, under_load};
use crate::support::broker::Broker;
use crate::support::process::Service;
use crate::support::short_or_long;
use crate::world::{Published, SOON, log_lines, stop};
use std::time::Duration;

#[test]
fn brokers_that_go_away_and_come_back_cost_nothing() {
    let Some(broker) = Broker::start("outages") else {
        return;
    };
    let case = Case::new(&broker, "outages", &["--retain-minutes", "30d"]);
    case.job.send(&part(0));
    let mut service = case.start("2");
    let mut ticks = case.job.ticks();
    ticks.until("the first part", |t| t.reflected() == i64::from(PART));
    let outages = short_or_long(4, 50);
    let longest_ms = short_or_long(4_000, 30_000);
    let mut dice = Dice::new(5);
    let pause = Duration::from_millis(300);
    let ((), parts) = under_load(&case.job, 1, pause, part, || {
        for number in 0..outages {
            let away = Duration::from_millis(dice.between(1_000, longest_ms) as u64);
            match number % 2 {
                0 => broker.stop(),
                _ => broker.kill(),
            }
            outlast(away);
            broker.restart();
            service.stderr_line("answer again", SOON);
            let reached = ticks.seen.last().map_or(0, Published::reflected);
            let beyond = reached + i64::from(2 * PART);
            ticks.until("more frames", |tick| tick.reflected() > beyond);
            println!("outage {number}: away for {away:?}");
        }
    });
    let all = i64::from(parts * PART);
    ticks.until("all frames", |tick| tick.reflected() == all);
    // An end needs no broker.
    broker.kill();
    service.stderr_line("trying again", SOON);
    let stderr = stop(&mut service);
    let told = log_lines(&stderr, "trying again").len();
    let expected = outages as usize + 1;
    assert!(
        (expected..2 * expected).contains(&told),
        "{told} lines for {expected} outages:\n{stderr}"
    );
    // Nor does a start, and who never heard from the brokers changes nothing in the state.
    let before = case.verify();
    let mut service = Service::spawn(case.command("2"));
    service.stderr_line("trying again", SOON);
    outlast(Duration::from_secs(1));
    stop(&mut service);
    assert_eq!(case.verify(), before);
    broker.restart();
    case.run_to_end("3");
    case.assert_as_without_an_accident();
    case.assert_ticks_can_be_had_again(short_or_long(2, 10), 2);
}
