//! A script played to the engine and to the oracle, and what they say compared at every barrier.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::ops::Range;

use headcount::engine::admit::Rules;
use headcount::engine::barrier::{ClosedBy, Stage, WindowFacts};
use headcount::engine::calendar::{Period, WindowId};
use headcount::engine::catalog::{Ask, Emission};
use headcount::engine::frame::UserHash;
use headcount::engine::ledger::Ledger;
use headcount::engine::sketch::Precision;
use headcount::engine::sketch::estimate::{self, Tally};
use headcount::engine::sketch::share::Share;
use headcount::limits::{MAX_EVENT_TIME_S, PAGES, WINDOWS_PER_BARRIER};

use super::dice::Dice;
use super::oracle::{Closed, Counts, Due, Expected, Key, Oracle, Said};
use super::script::{Step, Traffic};
use super::world::{Build, DAY_S, Joined, Pace, World, precision, rules};
use super::zone::Zone;

pub fn id(key: Key) -> WindowId {
    WindowId {
        period: Period::ALL[key.0],
        start: key.1,
    }
}

pub fn key(id: WindowId) -> Key {
    (id.period as usize, id.start)
}

/// A whole sketch of a set, made in the set's own order.
pub fn sketch<'a>(users: impl IntoIterator<Item = &'a UserHash>, p: Precision) -> Share {
    let mut share = Share::new(p, 0..PAGES);
    for user in users {
        share.insert(*user);
    }
    share
}

pub fn count(share: &Share, p: Precision) -> estimate::Users {
    let mut tally = Tally::default();
    share.tally(&mut tally);
    tally.users(p)
}

pub fn bytes(share: &Share) -> Vec<u8> {
    let mut bytes = Vec::new();
    share.write_canonical(&mut bytes);
    bytes
}

pub struct Trial {
    pub world: World,
    pub oracle: Oracle,
    precision: Precision,
    /// What is expected of barriers under way, and how many barriers say it.
    expected: VecDeque<(Expected, usize)>,
    joined: VecDeque<Joined>,
    /// Windows that are final, and how often they were revised.
    pub finals: BTreeMap<Key, u32>,
    pub checked: usize,
}

impl Trial {
    pub fn new(build: &Build, zone: Zone) -> Self {
        Self {
            world: World::new(build),
            oracle: Oracle::new(zone, &build.rules),
            precision: build.precision,
            expected: VecDeque::new(),
            joined: VecDeque::new(),
            finals: BTreeMap::new(),
            checked: 0,
        }
    }

    pub fn play(&mut self, step: &Step) {
        self.oracle.play(step);
        if let Some((ask, barriers)) = self.world.play(step) {
            self.expected
                .push_back((self.oracle.barrier(ask), barriers));
        }
        assert_eq!(
            self.world.admission.watermark(),
            self.oracle.watermark(),
            "{step:?}"
        );
        assert!(self.world.admission.ledger().balances());
        self.check();
    }

    pub fn barrier(&mut self, ask: Ask) {
        self.play(&Step::Barrier(ask));
    }

    /// Lets the shards catch up, and compares all that is left.
    pub fn finish(&mut self) {
        self.world.drain();
        self.check();
        assert!(self.expected.is_empty(), "a barrier was never answered");
        // No shard holds a window that the oracle has forgotten, and every window's sketch is that of its set.
        let kept: BTreeMap<_, _> = self.oracle.kept().collect();
        let held: BTreeSet<Key> = self.world.window_ids().into_iter().map(key).collect();
        assert_eq!(
            held,
            kept.keys().copied().collect(),
            "windows held by shards"
        );
        for (key, users) in kept {
            let expected = bytes(&sketch(users, self.precision));
            assert!(
                self.world.window_bytes(id(key)) == expected,
                "sketch of {key:?}"
            );
        }
    }

    fn check(&mut self) {
        self.joined.extend(self.world.take_joined());
        while let Some((_, barriers)) = self.expected.front()
            && self.joined.len() >= *barriers
        {
            let (expected, barriers) = self.expected.pop_front().unwrap();
            let joined: Vec<_> = self.joined.drain(..barriers).collect();
            self.check_barriers(expected, &joined);
            self.checked += 1;
        }
    }

    fn check_barriers(&mut self, expected: Expected, joined: &[Joined]) {
        let mut evicted = BTreeSet::new();
        let mut due = expected.due.clone();
        let mut seq = expected.first_seq;
        for (i, barrier) in joined.iter().enumerate() {
            let snapshot = &barrier.snapshot;
            let size = snapshot.windows.len().max(barrier.question.evicted.len());
            assert!(size <= WINDOWS_PER_BARRIER);
            assert_eq!(barrier.more, i + 1 < joined.len());
            assert_eq!(snapshot.as_of.map(i64::from), expected.as_of);
            assert_eq!(snapshot.watermark, expected.watermark);
            assert_eq!(snapshot.since.map(i64::from), expected.since);
            assert_eq!(snapshot.offsets, expected.offsets);
            assert_eq!(counts(&snapshot.ledger), expected.counts);
            let is_tick = expected.ask.trailing && i == 0;
            assert_eq!(snapshot.tick, expected.tick.filter(|_| is_tick));
            assert_eq!(barrier.answer.trailing.is_some(), is_tick);
            if is_tick {
                self.check_trailing(&expected, barrier);
            }
            assert_eq!(snapshot.windows.len(), barrier.answer.windows.len());
            for (facts, tally) in snapshot.windows.iter().zip(&barrier.answer.windows) {
                let found = due.remove(&key(facts.id));
                let found = found.unwrap_or_else(|| panic!("not due, or twice: {facts:?}"));
                self.check_window(facts, &found, &mut seq);
                self.check_users(tally, &found.users);
            }
            for gone in &barrier.question.evicted {
                assert!(evicted.insert(key(*gone)), "forgotten twice: {gone:?}");
            }
        }
        assert!(due.is_empty(), "not put out: {:?}", due.keys());
        assert_eq!(evicted, expected.evicted, "forgotten");
    }

    fn check_trailing(&self, expected: &Expected, barrier: &Joined) {
        let starts = barrier.question.trailing.unwrap();
        assert_eq!(starts.len(), expected.trailing.len());
        let tallies = barrier.answer.trailing.as_ref().unwrap();
        for ((tally, start), (expected_start, users)) in
            tallies.iter().zip(starts).zip(&expected.trailing)
        {
            assert_eq!(start, *expected_start, "as of {:?}", expected.as_of);
            self.check_users(tally, users);
        }
    }

    fn check_window(&mut self, facts: &WindowFacts, due: &Due, seq: &mut u64) {
        assert_eq!(facts.end, due.end);
        assert_eq!(
            (facts.frames, facts.late),
            (due.frames, due.late),
            "{facts:?}"
        );
        assert_eq!(facts.complete, due.complete, "{facts:?}");
        let key = key(facts.id);
        let mut next_seq = || {
            *seq += 1;
            *seq - 1
        };
        let stage = match due.said {
            Said::Provisional => {
                let is_final = self.finals.contains_key(&key);
                assert!(!is_final, "after its final: {facts:?}");
                Stage::Provisional
            }
            Said::Final(by) => {
                let before = self.finals.insert(key, 0);
                assert_eq!(before, None, "final twice: {facts:?}");
                assert!(due.complete, "a final of an incomplete window: {facts:?}");
                Stage::Final {
                    seq: next_seq(),
                    closed_by: closed_by(by),
                }
            }
            Said::Revised(by, revision) => {
                let last = self.finals.insert(key, revision);
                assert_eq!(last, Some(revision - 1), "no final, or a gap: {facts:?}");
                Stage::Revised {
                    seq: next_seq(),
                    closed_by: closed_by(by),
                    revision,
                }
            }
        };
        assert_eq!(facts.stage, stage, "{facts:?}");
    }

    /// An exact number is the set's; any other is that of a sketch of the set.
    fn check_users(&self, tally: &Tally, users: &BTreeSet<UserHash>) {
        let found = tally.users(self.precision);
        assert_eq!(found, count(&sketch(users, self.precision), self.precision));
        if found.is_exact() {
            assert_eq!(found.users, users.len() as u64);
        }
        assert!(found.is_exact() || self.precision.bits() < 17);
    }
}

fn closed_by(by: Closed) -> ClosedBy {
    match by {
        Closed::EventTime => ClosedBy::EventTime,
        Closed::Idle => ClosedBy::Idle,
        Closed::End => ClosedBy::End,
    }
}

fn counts(ledger: &Ledger) -> Counts {
    Counts {
        read: ledger.read,
        counted: ledger.counted,
        late: ledger.late,
        ignored: ledger.ignored,
        quarantined: ledger.quarantined().map(|(q, n)| (q.name(), n)).collect(),
        pending: ledger.pending,
        rejected: ledger.rejected().map(|(r, n)| (r.name(), n)).collect(),
        expired: ledger.expired().map(|(p, n)| (p as usize, n)).collect(),
    }
}

fn any_rules(zone: &str, emission: Emission, dice: &mut Dice) -> Rules {
    let mut rules = rules(zone, emission);
    rules.clock.lateness_s = dice.pick(&[0, 5, 5, 3_600]);
    rules.clock.max_lateness_s = dice.pick(&[u32::MAX, u32::MAX, 3_600, 40 * 86_400]);
    rules.periods = if dice.once_in(4) {
        dice.below(64) as u8
    } else {
        rules.periods
    };
    if dice.once_in(4) {
        rules.retention_s = rules
            .retention_s
            .map(|_| dice.pick(&[0, 1, 600, 50 * DAY_S]));
    }
    rules
}

#[derive(Debug, Default)]
struct Played {
    /// Comparisons made.
    checked: usize,
    revisions: u32,
    quarantined: u64,
}

/// Plays scripts of many kinds.
fn play_all(seeds: Range<u64>, emission: Emission, joins: bool, pace: Pace) -> Played {
    let zones = ["UTC", "Europe/Zurich", "Asia/Kathmandu", "America/St_Johns"];
    let oracles = zones.map(Zone::named);
    let mut played = Played::default();
    for seed in seeds {
        let mut dice = Dice::new(seed);
        // Mostly a few days before the clocks change in Europe; else the first and the last days of event time.
        let from = match dice.below(8) {
            0 => 10,
            1 => i64::from(MAX_EVENT_TIME_S) - 3 * DAY_S,
            _ => 1_774_000_000 + dice.between(0, 1_000_000),
        };
        let zone = if from > 1 << 31 {
            0
        } else {
            dice.below(zones.len())
        };
        let build = Build {
            rules: any_rules(zones[zone], emission, &mut dice),
            precision: precision(dice.pick(&[12, 13, 17])),
            shards: dice.pick(&[1, 2, 3, 8]),
            batch: dice.pick(&[1, 7, 4_096]),
            pace,
        };
        let traffic = Traffic {
            frames: 1_500,
            users: dice.pick(&[5, 300, 3_000]),
            partitions: dice.pick(&[1, 2, 4]),
            from,
            step_s: dice.pick(&[1, 30, 1_200]),
            leap_once_in: dice.pick(&[60, 400, 1_000_000]),
            late_once_in: dice.pick(&[3, 20]),
            barrier_once_in: dice.pick(&[10, 60, 300]),
            joins,
            idles: emission != Emission::Once && dice.once_in(2),
        };
        let mut trial = Trial::new(&build, oracles[zone].clone());
        for step in traffic.script(&mut dice) {
            trial.play(&step);
        }
        trial.finish();
        played.checked += trial.checked;
        played.revisions += trial.finals.values().sum::<u32>();
        let ledger = trial.world.admission.ledger();
        played.quarantined += ledger.quarantined().map(|(_, n)| n).sum::<u64>();
    }
    played
}

#[test]
fn live_records_say_what_the_oracle_says_at_exactly_their_offsets() {
    let played = play_all(0..40, Emission::Live, false, Pace::Ragged);
    assert!(played.checked > 1_000, "{played:?}");
    assert!(played.revisions > 1_000, "{played:?}");
    assert!(played.quarantined > 100, "{played:?}");
}

#[test]
fn live_records_say_the_same_when_the_shards_lag_until_the_end() {
    assert!(play_all(100..130, Emission::Live, false, Pace::Lagging).checked > 700);
}

#[test]
fn live_records_stay_true_when_partitions_are_joined_in_their_midst() {
    assert!(play_all(200..250, Emission::Live, true, Pace::Ragged).checked > 1_000);
}

#[test]
fn without_the_provisional_records_finals_and_revisions_are_the_same() {
    for (seeds, joins) in [(400..430, false), (430..450, true)] {
        let played = play_all(seeds, Emission::Finals, joins, Pace::Ragged);
        assert!(played.checked > 500, "{played:?}");
        assert!(played.revisions > 200, "{played:?}");
    }
}

#[test]
fn a_finished_input_puts_out_each_window_once_with_the_oracles_numbers() {
    let played = play_all(300..340, Emission::Once, false, Pace::Ragged);
    assert!(played.checked > 1_000, "{played:?}");
    assert_eq!(played.revisions, 0);
}
