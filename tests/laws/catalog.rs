//! The life of windows at its turning points. (`trial` compares it with the oracle's over long scripts.)

use headcount::engine::barrier::{ClosedBy, Stage, WindowFacts};
use headcount::engine::calendar::Period;
use headcount::engine::catalog::{Ask, Emission};
use headcount::engine::sketch::estimate::Tally;
use headcount::limits::WINDOWS_PER_BARRIER;

use super::script::{Step, seen};
use super::trial::Trial;
use super::world::{Build, HOUR_S, Joined, Pace, World, calendar, end, precision, rules, tick};
use super::zone::Zone;

/// A full hour, in UTC.
const START: i64 = 1_774_612_800;

fn build(emission: Emission) -> Build {
    Build {
        rules: rules("UTC", emission),
        precision: precision(12),
        shards: 2,
        batch: 7,
        pace: Pace::Prompt,
    }
}

fn world(emission: Emission) -> World {
    let mut world = World::new(&build(emission));
    world.play(&Step::Add {
        start: 0,
        unread: true,
    });
    world
}

fn ask(world: &mut World, ask: Ask) -> Vec<Joined> {
    world.play(&Step::Barrier(ask));
    world.take_joined()
}

fn put_out(joined: &[Joined]) -> Vec<&WindowFacts> {
    joined.iter().flat_map(|j| &j.snapshot.windows).collect()
}

fn minutes(joined: &[Joined]) -> Vec<(i64, &'static str)> {
    let windows = put_out(joined).into_iter();
    let minutes = windows.filter(|facts| facts.id.period == Period::Minute);
    minutes
        .map(|facts| (facts.id.start - START, word(facts.stage)))
        .collect()
}

fn word(stage: Stage) -> &'static str {
    match stage {
        Stage::Provisional => "provisional",
        Stage::Final { closed_by, .. } => match closed_by {
            ClosedBy::EventTime => "final",
            ClosedBy::Idle => "idle",
            ClosedBy::End => "end",
        },
        Stage::Revised { revision: 1, .. } => "revised",
        Stage::Revised { revision: 2, .. } => "revised again",
        Stage::Revised { .. } => "revised once more",
    }
}

#[test]
fn a_window_is_final_when_the_watermark_reaches_its_end_and_not_a_second_before() {
    let mut world = world(Emission::Live);
    world.play(&seen(0, 1, START));
    world.play(&seen(0, 1, START + 64));
    let before = ask(&mut world, tick());
    assert_eq!(minutes(&before), [(60, "provisional"), (0, "provisional")]);
    world.play(&seen(0, 1, START + 65));
    assert_eq!(
        minutes(&ask(&mut world, tick())),
        [(0, "final"), (60, "provisional")]
    );
    assert_eq!(minutes(&ask(&mut world, tick())), [], "nothing changed");
}

#[test]
fn before_the_first_frame_a_tick_says_that_there_was_nobody() {
    for zone in ["UTC", "America/St_Johns", "Pacific/Chatham"] {
        let mut build = build(Emission::Live);
        build.rules.calendar = calendar(zone);
        let mut world = World::new(&build);
        for _ in 0..2 {
            let joined = ask(&mut world, tick());
            let [tick] = &joined[..] else {
                panic!("one barrier, one answer");
            };
            let nobody = |t: &Tally| {
                (
                    t.users(precision(12)).users,
                    t.users(precision(12)).is_exact(),
                )
            };
            let trailing = tick.answer.trailing.as_ref().unwrap();
            assert_eq!(trailing.each_ref().map(nobody), [(0, true); 6]);
            let snapshot = &tick.snapshot;
            assert_eq!(
                (snapshot.as_of, snapshot.since, snapshot.watermark),
                (None, None, None)
            );
            world.play(&Step::Add {
                start: 0,
                unread: true,
            });
        }
    }
}

/// Its users did not change: their number is not what a revision is about.
#[test]
fn a_late_frame_revises_a_final_window_at_the_next_tick_once() {
    let mut world = world(Emission::Live);
    for ts in [START, START + 200, START + 10, START + 11] {
        world.play(&seen(0, ts as usize, ts));
    }
    let first = ask(&mut world, tick());
    let of_first = put_out(&first).into_iter().find(|f| f.id.start == START);
    assert_eq!((of_first.unwrap().frames, of_first.unwrap().late), (3, 2));
    world.play(&seen(0, START as usize, START + 12));
    world.play(&seen(0, START as usize, START + 13));
    assert_eq!(minutes(&ask(&mut world, Ask::default())), [], "no tick");
    let revised = ask(&mut world, tick());
    assert_eq!(minutes(&revised), [(0, "revised")]);
    let is_first = |f: &&WindowFacts| f.id.start == START && f.id.period == Period::Minute;
    let of_first = put_out(&revised).into_iter().find(is_first);
    assert_eq!((of_first.unwrap().frames, of_first.unwrap().late), (5, 4));
    assert_eq!(minutes(&ask(&mut world, tick())), []);
    world.play(&seen(0, 99, START + 14));
    assert_eq!(minutes(&ask(&mut world, tick())), [(0, "revised again")]);
    assert_eq!(world.admission.ledger().late, 5);
}

#[test]
fn a_revision_says_what_had_closed_the_window() {
    let mut world = world(Emission::Live);
    world.play(&seen(0, 1, START));
    ask(&mut world, end());
    world.play(&seen(0, 1, START + 400));
    world.play(&seen(0, 1, START + 1));
    let joined = ask(&mut world, tick());
    let of_first = put_out(&joined)
        .into_iter()
        .find(|f| f.id.start == START && f.id.period == Period::Minute);
    assert!(matches!(
        of_first.unwrap().stage,
        Stage::Revised {
            closed_by: ClosedBy::End,
            revision: 1,
            ..
        }
    ));
}

/// `seq` in the order of the records, over several ticks.
#[test]
fn finals_and_revisions_are_numbered_together_without_gaps() {
    let mut world = world(Emission::Live);
    let mut seqs = Vec::new();
    for minute in 0..20 {
        world.play(&seen(0, 1, START + 60 * minute));
        world.play(&seen(0, 2, START + 60 * (minute / 2)));
        world.play(&seen(0, 3, START));
        let joined = ask(&mut world, tick());
        seqs.extend(put_out(&joined).iter().filter_map(|f| match f.stage {
            Stage::Provisional => None,
            Stage::Final { seq, .. } | Stage::Revised { seq, .. } => Some(seq),
        }));
    }
    assert!(seqs.len() > 40);
    assert_eq!(seqs, (1..=seqs.len() as u64).collect::<Vec<_>>());
}

/// Between two ticks a final window grows, and then a leap in time ends its retention.
#[test]
fn the_last_revision_is_put_out_before_its_window_is_forgotten() {
    for emission in [Emission::Live, Emission::Finals] {
        let mut world = world(emission);
        world.play(&seen(0, 1, START));
        world.play(&seen(0, 1, START + 200));
        ask(&mut world, tick());
        world.play(&seen(0, 2, START + 1));
        world.play(&seen(0, 1, START + 10 * HOUR_S));
        let joined = ask(&mut world, Ask::default());
        let joined: Vec<_> = joined.into_iter().collect();
        let of_first = put_out(&joined)
            .into_iter()
            .rfind(|f| f.id.start == START && f.id.period == Period::Minute)
            .unwrap();
        assert_eq!((of_first.frames, word(of_first.stage)), (2, "revised"));
        assert!(!world.window_ids().contains(&of_first.id));
    }
}

#[test]
fn finals_alone_leave_out_provisional_records_but_no_revision() {
    let mut world = world(Emission::Finals);
    world.play(&seen(0, 1, START));
    assert_eq!(
        put_out(&ask(&mut world, tick())),
        Vec::<&WindowFacts>::new()
    );
    world.play(&seen(0, 1, START + 100));
    assert_eq!(minutes(&ask(&mut world, tick())), [(0, "final")]);
    world.play(&seen(0, 2, START + 1));
    assert_eq!(minutes(&ask(&mut world, tick())), [(0, "revised")]);
    assert_eq!(minutes(&ask(&mut world, end())), [(60, "end")]);
}

#[test]
fn a_window_that_first_appears_behind_the_watermark_is_final_at_the_next_barrier() {
    let mut world = world(Emission::Live);
    world.play(&seen(0, 1, START + 600));
    ask(&mut world, tick());
    world.play(&seen(0, 1, START));
    assert_eq!(minutes(&ask(&mut world, tick())), [(0, "final")]);
    world.play(&seen(0, 2, START + 1));
    assert_eq!(minutes(&ask(&mut world, tick())), [(0, "revised")]);
}

#[test]
fn the_end_of_the_input_closes_what_is_open_once() {
    let mut world = world(Emission::Live);
    world.play(&seen(0, 1, START));
    world.play(&seen(0, 1, START + 100));
    assert_eq!(
        minutes(&ask(&mut world, end())),
        [(0, "final"), (60, "end")]
    );
    assert_eq!(put_out(&ask(&mut world, end())), Vec::<&WindowFacts>::new());
    assert_eq!(
        put_out(&ask(&mut world, tick())),
        Vec::<&WindowFacts>::new()
    );
}

#[test]
fn a_window_is_forgotten_when_its_retention_is_over_to_the_second() {
    for emission in [Emission::Live, Emission::Once] {
        let mut world = world(emission);
        world.play(&seen(0, 1, START));
        let over = START + 60 + 6 * HOUR_S + 5;
        let minute = |joined: &[Joined]| {
            let mut evicted = joined.iter().flat_map(|j| &j.question.evicted);
            evicted.any(|id| id.period == Period::Minute && id.start == START)
        };
        world.play(&seen(0, 1, over - 1));
        assert!(!minute(&ask(&mut world, Ask::default())));
        world.play(&seen(0, 2, START + 1));
        assert_eq!(world.admission.ledger().expired().count(), 0);
        world.play(&seen(0, 1, over));
        // From here on it takes nothing, whether or not a barrier has forgotten it.
        world.play(&seen(0, 3, START + 2));
        let expired: Vec<_> = world.admission.ledger().expired().collect();
        assert_eq!(expired, [(Period::Minute, 1)]);
        assert!(minute(&ask(&mut world, Ask::default())));
        assert!(
            !world
                .window_ids()
                .iter()
                .any(|id| id.start == START && id.period == Period::Minute)
        );
        assert_eq!(world.admission.ledger().counted, 5);
    }
}

#[test]
fn a_frame_behind_a_periods_retention_counts_in_the_periods_that_keep_it() {
    let mut world = world(Emission::Live);
    world.play(&seen(0, 1, START + 4 * 24 * HOUR_S));
    world.play(&seen(0, 2, START));
    // The first frame made housekeeping due.
    world.take_joined();
    let expired: Vec<_> = world.admission.ledger().expired().collect();
    assert_eq!(expired, [(Period::Minute, 1), (Period::Hour, 1)]);
    let joined = ask(&mut world, tick());
    let day = put_out(&joined)
        .into_iter()
        .find(|f| f.id.period == Period::Day && f.id.start <= START);
    assert_eq!((day.unwrap().frames, day.unwrap().late), (1, 1));
    let stats = joined[0].answer.trailing.as_ref().unwrap();
    assert_eq!(
        stats[5].users(precision(12)).users,
        2,
        "and in the trailing windows"
    );
}

/// An incomplete window has no final: its last provisional record is all that a reader ever gets.
#[test]
fn the_last_change_of_an_incomplete_window_is_put_out_before_it_is_forgotten() {
    let mut world = World::new(&build(Emission::Live));
    world.play(&Step::Add {
        start: 5,
        unread: true,
    });
    world.play(&seen(0, 1, START + 30));
    world.play(&seen(0, 1, START + 100));
    let mut joined = ask(&mut world, tick());
    // It changes once more, and before the next tick a leap in time makes its retention be over.
    world.play(&seen(0, 2, START + 40));
    world.play(&seen(0, 1, START + 10 * HOUR_S));
    joined.extend(world.take_joined());
    joined.extend(ask(&mut world, tick()));
    let of_first = put_out(&joined)
        .into_iter()
        .rfind(|f| f.id.start == START && f.id.period == Period::Minute);
    assert_eq!(of_first.unwrap().frames, 2);
}

/// Three and a half barriers' worth of windows.
const MANY: i64 = WINDOWS_PER_BARRIER as i64 * 7 / 2;

/// Minutes that all close at once, and later expire at once. With `joins` none of them is complete.
fn many(emission: Emission, joins: bool, asks: &[Ask]) -> Trial {
    let mut build = build(emission);
    build.rules.retention_s[0] = 2 * 60 * MANY;
    let mut trial = Trial::new(&build, Zone::utc());
    trial.play(&Step::Add {
        start: 0,
        unread: true,
    });
    // A second partition holds all windows open.
    let start = i64::from(joins);
    trial.play(&Step::Add {
        start,
        unread: true,
    });
    let last = START + 60 * MANY;
    if !joins {
        trial.play(&seen(1, 0, START));
    }
    for i in 0..MANY {
        trial.play(&seen(0, i as usize % 50, START + 60 * i));
    }
    for ask in asks {
        trial.barrier(*ask);
    }
    trial.play(&seen(1, 0, last));
    for ask in asks {
        trial.barrier(*ask);
    }
    // Both move on, so that the retention of all these minutes is over at once.
    for partition in [0, 1] {
        trial.play(&seen(partition, 1, last + 60 * MANY * 3));
    }
    trial.barrier(tick());
    trial.barrier(end());
    trial.finish();
    trial
}

fn final_minutes(trial: &Trial) -> i64 {
    trial
        .finals
        .iter()
        .filter(|((period, _), _)| *period == 0)
        .count() as i64
}

#[test]
fn more_windows_than_a_barrier_takes_come_out_over_several_none_lost_none_twice() {
    for asks in [&[tick()][..], &[], &[end(), tick()]] {
        assert_eq!(final_minutes(&many(Emission::Live, false, asks)), MANY + 2);
    }
    assert_eq!(
        final_minutes(&many(Emission::Once, false, &[tick()])),
        MANY + 2
    );
}

#[test]
fn more_incomplete_windows_than_a_barrier_takes_come_out_provisionally_and_never_finally() {
    for asks in [&[tick()][..], &[], &[end(), tick()]] {
        assert_eq!(final_minutes(&many(Emission::Live, true, asks)), 2);
    }
}

#[test]
fn exactly_as_many_windows_as_a_barrier_takes() {
    for windows in [
        WINDOWS_PER_BARRIER - 1,
        WINDOWS_PER_BARRIER,
        WINDOWS_PER_BARRIER + 1,
    ] {
        let mut build = build(Emission::Live);
        build.rules.periods = Period::Minute.bit();
        build.rules.retention_s = [100 * 24 * HOUR_S; 6];
        let mut world = World::new(&build);
        world.play(&Step::Add {
            start: 0,
            unread: true,
        });
        for i in 0..windows as i64 {
            world.play(&seen(0, 1, START + 60 * i));
        }
        let mut joined = world.take_joined();
        joined.extend(ask(&mut world, end()));
        let seqs: Vec<_> = put_out(&joined)
            .into_iter()
            .map(|facts| match facts.stage {
                Stage::Final { seq, .. } => seq,
                Stage::Provisional | Stage::Revised { .. } => 0,
            })
            .collect();
        assert_eq!(seqs, (1..=windows as u64).collect::<Vec<_>>());
    }
}

/// A barrier that closes many windows also forgets many others, each of which has a last word.
#[test]
fn a_barrier_with_finals_and_last_revisions_takes_no_more_windows_than_it_may() {
    let windows = WINDOWS_PER_BARRIER as i64 * 3 / 4;
    let mut build = build(Emission::Live);
    build.rules.periods = Period::Minute.bit();
    build.rules.retention_s = [60 * windows; 6];
    let mut trial = Trial::new(&build, Zone::utc());
    trial.play(&Step::Add {
        start: 0,
        unread: true,
    });
    for i in 0..windows {
        trial.play(&seen(0, 1, START + 60 * i));
    }
    trial.barrier(end());
    for i in 0..windows {
        trial.play(&seen(0, 2, START + 60 * i));
    }
    // A second partition holds the watermark while the next ones open.
    trial.play(&Step::Add {
        start: 0,
        unread: true,
    });
    trial.play(&seen(1, 1, START));
    for i in 0..windows {
        trial.play(&seen(0, 1, START + 60 * (2 * windows + i)));
    }
    trial.play(&seen(1, 1, START + 60 * 3 * windows));
    trial.play(&seen(0, 1, START + 60 * 3 * windows));
    trial.finish();
    assert_eq!(
        trial.finals.values().filter(|r| **r == 1).count() as i64,
        windows
    );
}
