//! Killed at any moment, and taken up again: nothing is lost, nothing is counted twice, and whoever reads the output can
//! prove it.
#![allow(
    clippy::disallowed_methods,
    reason = "limits on waiting for other processes are real time"
)]

use crate::case::{Case, last_words, part};
use crate::dice::Dice;
use crate::support::broker::Broker;
use crate::support::process::Service;
use crate::support::{short_or_long, wait_until};
use crate::world::{Published, SOON, stop};
use std::collections::BTreeMap;
use std::os::unix::process::ExitStatusExt;
use std::time::{Duration, Instant};

const SIGABRT: i32 = 6;
const SIGKILL: i32 = 9;
const THREADS: [&str; 6] = ["1", "2", "3", "5", "8", "16"];
/// Where the process can die by itself.
const PLACES: [&str; 7] = [
    "before_commit",
    "after_commit",
    "produce",
    "acknowledge",
    "trim",
    "commit_offsets",
    "copy",
];
/// At which time that it comes there, in the first lives.
const TIMES: [[u64; 2]; 7] = [[1, 3], [1, 2], [1, 4], [1, 3], [1, 2], [1, 2], [1, 1]];
/// Late frames name minutes of hours ago, and flipped ones minutes of weeks ago: of these, too, nothing may depend on when
/// they are forgotten.
const OPTIONS: [&str; 2] = ["--retain-minutes", "30d"];

/// How a life ends.
#[derive(Debug, Clone, Copy)]
enum Death {
    /// At a place, by itself, when it comes there for so many times.
    At(&'static str, u64),
    /// Killed, after so many of its ticks.
    AfterTicks(usize),
    /// Killed, so long after its start: perhaps it has not read anything yet.
    After(Duration),
}

fn death(run: usize, dice: &mut Dice) -> Death {
    let planned = 2 * PLACES.len();
    if run < planned {
        return Death::At(PLACES[run / 2], TIMES[run / 2][run % 2]);
    }
    match dice.below(if run < 20 { 1 } else { 4 }) {
        0 => Death::AfterTicks(run % 3),
        1 => Death::After(Duration::from_millis(dice.below(2_000) as u64)),
        _ => match dice.pick(&PLACES) {
            // The next copy would come after an hour.
            "copy" => Death::At("copy", 1),
            place => Death::At(place, 1 + dice.below(6) as u64),
        },
    }
}

/// Sends parts and runs the service until it dies.
struct Lives {
    case: Case,
    parts: u32,
    deaths: BTreeMap<&'static str, usize>,
}

impl Lives {
    fn send(&mut self) {
        self.case.job.send(&part(self.parts));
        self.parts += 1;
    }

    fn live(&mut self, run: usize, death: Death) {
        self.send();
        let mut command = self.case.command(THREADS[run % THREADS.len()]);
        if let Death::At(place, times) = death {
            command.env("HEADCOUNT_FAILPOINT", format!("{place}:{times}"));
        }
        let epoch = |tick: &Published| tick.int("/epoch");
        let last = match death {
            Death::AfterTicks(_) => self.case.job.ticks().up_to_now().last().map_or(0, epoch),
            _ => 0,
        };
        let start = Instant::now();
        let mut service = Service::spawn(command);
        let (name, signal) = match death {
            Death::At(place, _) => {
                self.await_end(&mut service);
                (place, SIGABRT)
            }
            Death::AfterTicks(count) => {
                service.stderr_line("going on from", SOON);
                let mut ticks = self.case.job.ticks();
                let of_this_run = |tick: &Published| epoch(tick) > last;
                (0..count).for_each(|_| drop(ticks.until("this run", of_this_run)));
                service.signal("KILL");
                ("killed after ticks", SIGKILL)
            }
            Death::After(limit) => {
                let is_over = || (start.elapsed() >= limit).then_some(());
                wait_until(SOON, "its time has come", is_over);
                service.signal("KILL");
                ("killed after a while", SIGKILL)
            }
        };
        let status = service.wait(SOON);
        let stderr = service.stderr();
        let found = status.signal();
        assert_eq!(found, Some(signal), "{death:?}: {status}\n{stderr}");
        *self.deaths.entry(name).or_default() += 1;
    }

    /// More frames bring it to places where it comes with finals only.
    fn await_end(&mut self, service: &mut Service) {
        let mut sent = Instant::now();
        wait_until(SOON, "it dies", || {
            if sent.elapsed() > Duration::from_secs(2) {
                self.send();
                sent = Instant::now();
            }
            service.ended()
        });
    }
}

#[test]
fn killed_again_and_again_it_says_what_it_would_have_said() {
    let Some(broker) = Broker::shared() else {
        return;
    };
    let mut lives = Lives {
        case: Case::new(broker, "killed", &OPTIONS),
        parts: 0,
        deaths: BTreeMap::new(),
    };
    let count = short_or_long(20, 500);
    let mut dice = Dice::new(9);
    for run in 0..count {
        let death = death(run, &mut dice);
        lives.live(run, death);
    }
    println!("{count} deaths: {:?}", lives.deaths);
    for place in PLACES {
        assert!(lives.deaths[place] > 0, "it never died at {place}");
    }
    lives.send();
    let case = lives.case;
    case.run_to_end("2");
    case.assert_as_without_an_accident();
    let (_, repeated) = last_words(&case.job.window_records().up_to_now());
    println!("{repeated} finals and revisions came again");
    assert!(repeated > 0, "after some of the deaths finals come again");
    case.assert_ticks_can_be_had_again(short_or_long(4, 20), 1);
}

/// An end of input closes windows and settles what waits, for the records alone.
#[test]
fn an_end_of_input_now_and_then_changes_nothing_in_the_end() {
    let Some(broker) = Broker::shared() else {
        return;
    };
    let case = Case::new(broker, "ends", &OPTIONS);
    // Now and then there are too few frames for a clock, and once none.
    for (run, frames) in [5, 1_440, 0, 20, 700, 3, 1_440, 1_200]
        .into_iter()
        .enumerate()
    {
        case.job.send(&part(run as u32)[..frames]);
        case.run_to_end(THREADS[run % THREADS.len()]);
    }
    case.assert_as_without_an_accident();
}

#[test]
fn told_to_stop_and_started_again_it_goes_on_where_it_was() {
    let Some(broker) = Broker::shared() else {
        return;
    };
    let case = Case::new(broker, "stops", &OPTIONS);
    for run in 0..6 {
        case.job.send(&part(run));
        let mut service = case.start("2");
        stop(&mut service);
    }
    case.run_to_end("2");
    case.assert_as_without_an_accident();
    let (_, repeated) = last_words(&case.job.window_records().up_to_now());
    assert_eq!(repeated, 0, "who stops in good order says nothing twice");
}

/// Nothing is known of the partitions then, not even their names.
#[test]
fn a_state_is_left_alone_until_the_brokers_have_answered() {
    let Some(broker) = Broker::shared() else {
        return;
    };
    let mut case = Case::new(broker, "away", &OPTIONS);
    case.job.send(&part(0));
    case.run_to_end("2");
    let before = case.verify();
    case.job.address = "127.0.0.1:1".to_owned();
    let mut service = Service::spawn(case.command("2"));
    service.stderr_line("trying again", SOON);
    stop(&mut service);
    assert_eq!(case.verify(), before);
}
