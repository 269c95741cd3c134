//! Questions from outside: the answers are those of sets, for any number of workers, and whatever has been packed.

use super::dice::Dice;
use headcount::engine::admit::{Admission, Admitted, Arrival, Rules};
use headcount::engine::calendar::{Bounds, Calendar, Period, WindowId};
use headcount::engine::catalog::{Ask, Emission};
use headcount::engine::clock::ClockRules;
use headcount::engine::frame::{UserHash, Verdict};
use headcount::engine::look::clerk::{Clerk, Counted, Looked, Unanswered};
use headcount::engine::look::cover::{Cover, cover};
use headcount::engine::look::{List, Look, Piece, Select};
use headcount::engine::report::answer::UsersAnswer;
use headcount::engine::shard::Shard;
use headcount::engine::sketch::estimate::Tally;
use headcount::engine::sketch::share::Share;
use headcount::engine::sketch::{Precision, canonical};
use jiff::tz::TimeZone;
use std::collections::BTreeSet;

/// Thursday, 1 January 2026, 12:00 UTC.
const NOON: u32 = 1_767_268_800;

struct Counting {
    admission: Admission,
    shards: Vec<Shard>,
    ranges: Vec<std::ops::Range<usize>>,
    precision: Precision,
}

impl Counting {
    fn new(
        precision: Precision,
        workers: usize,
        calendar: &Calendar,
        retention_s: [i64; 6],
    ) -> Counting {
        let mut admission = Admission::new(Rules {
            calendar: calendar.clone(),
            clock: ClockRules {
                lateness_s: 5,
                max_lateness_s: u32::MAX,
                max_jump_s: u32::MAX,
            },
            retention_s,
            emission: Emission::Live,
            periods: Period::all_bits(),
        });
        admission.add_partition(0, true);
        let ranges = headcount::engine::route::page_ranges(workers);
        let shard =
            |pages: &std::ops::Range<usize>| Shard::new(precision, pages.clone(), calendar.clone());
        Counting {
            admission,
            shards: ranges.iter().map(shard).collect(),
            ranges,
            precision,
        }
    }

    fn see(&mut self, offset: i64, user: u64, ts: u32) {
        let hash = UserHash::of(&user.to_le_bytes());
        let arrival = Arrival {
            partition: 0,
            offset,
            appended: None,
        };
        let Admitted::Counted(sighting) = self.admission.admit(arrival, Verdict::Seen(hash, ts))
        else {
            panic!("every frame is believed at once");
        };
        let page = self.precision.place(hash).page;
        let shard = self
            .ranges
            .iter()
            .position(|pages| pages.contains(&page))
            .expect("a shard");
        self.shards[shard].record(&[sighting]);
    }

    /// Closes, packs and forgets what is due.
    fn tick(&mut self) {
        loop {
            let barrier = self.admission.barrier(Ask {
                trailing: true,
                changed: true,
                ..Ask::default()
            });
            self.shards
                .iter_mut()
                .for_each(|shard| drop(shard.answer(&barrier.question)));
            if !barrier.more {
                return;
            }
        }
    }
}

impl Counted for Counting {
    fn look(&mut self, select: Select) -> Result<Looked, Unanswered> {
        let known = self.admission.look(&select);
        let seen = self
            .shards
            .iter_mut()
            .map(|shard| shard.look(&known.look))
            .collect();
        Ok(Looked {
            known,
            names: ["0".to_owned()].into(),
            seen,
        })
    }

    fn fetch(&mut self, id: WindowId) -> Result<Vec<u8>, String> {
        Err(format!("{id:?} was never put away"))
    }
}

/// Somebody goes on counting: before each look a user more, in the newest minute or in one of those before it.
struct GoingOn {
    counting: Counting,
    frames: Vec<(u64, u32)>,
    dice: Dice,
}

impl Counted for GoingOn {
    fn look(&mut self, select: Select) -> Result<Looked, Unanswered> {
        let offset = self.frames.len();
        let ago = self.dice.pick(&[0, 0, 0, 60, 600]);
        self.frames.push((offset as u64, NOON + 7_200 - ago));
        let (user, ts) = self.frames[offset];
        self.counting.see(offset as i64, user, ts);
        self.counting.look(select)
    }

    fn fetch(&mut self, id: WindowId) -> Result<Vec<u8>, String> {
        self.counting.fetch(id)
    }
}

/// Whatever is counted between the looks that a series takes, its rows are those of the frames before its offsets.
#[test]
fn a_series_reflects_its_offsets_and_nothing_else_while_counting_goes_on() {
    let calendar = Calendar::utc();
    for seed in 0..8 {
        let mut counting = Counting::new(Precision::default(), 2, &calendar, [1 << 40; 6]);
        let frames: Vec<_> = (0..7_200).map(|i| (i % 50, NOON + i as u32)).collect();
        for (i, (user, ts)) in frames.iter().enumerate() {
            counting.see(i as i64, *user, *ts);
        }
        let going_on = GoingOn {
            counting,
            frames,
            dice: Dice::new(seed),
        };
        let mut clerk = Clerk::new(going_on, Precision::default(), calendar.clone());
        for period in [Period::Minute, Period::Hour, Period::Minute] {
            let list = List {
                period,
                within: Bounds {
                    start: 0,
                    end: i64::MAX,
                },
                limit: 1_000,
                newest: true,
            };
            let series = clerk.series(list).unwrap();
            let offset = series.moment.offsets["0"] as usize;
            let before = &clerk.counted().frames[..offset];
            for row in &series.windows {
                let [from, to] = [&row.start, &row.end].map(|time| second(&Some(time.clone())));
                let seen = before
                    .iter()
                    .filter(|(_, ts)| (from..to).contains(&i64::from(*ts)));
                let users: BTreeSet<_> = seen.clone().map(|(user, _)| user).collect();
                let numbers = (row.frames, row.users);
                assert_eq!(
                    numbers,
                    (seen.count() as u64, users.len() as u64),
                    "{row:?}"
                );
            }
        }
    }
}

/// Sketches have left memory; while one is read, a frame more comes to its window, or time goes on and the window is forgotten.
struct Shelving {
    going_on: GoingOn,
    late_frames: usize,
    forgets: bool,
}

impl Counted for Shelving {
    fn look(&mut self, select: Select) -> Result<Looked, Unanswered> {
        let mut looked = self.going_on.counting.look(select)?;
        for piece in looked.seen.iter_mut().flat_map(|seen| &mut seen.sketches) {
            if self.going_on.dice.below(2) == 0 {
                *piece = Piece::Shelved;
            }
        }
        Ok(looked)
    }

    fn fetch(&mut self, id: WindowId) -> Result<Vec<u8>, String> {
        let GoingOn {
            counting,
            frames,
            dice,
        } = &mut self.going_on;
        if self.late_frames > 0 && dice.below(5) == 0 {
            self.late_frames -= 1;
            let offset = frames.len() as u64;
            let start = id.start.max(i64::from(NOON)) as u32;
            frames.push((1_000 + offset, start + dice.below(60) as u32));
            counting.see(
                offset as i64,
                frames[offset as usize].0,
                frames[offset as usize].1,
            );
        }
        if std::mem::take(&mut self.forgets) {
            let offset = frames.len();
            frames.push((1, NOON + 14_400));
            counting.see(offset as i64, 1, NOON + 14_400);
            counting.tick();
            return Err(format!("{id:?} was forgotten"));
        }
        let look = Look {
            sketches: vec![id],
            ..Look::default()
        };
        let seen = counting.shards[0].look(&look);
        let mut bytes = Vec::new();
        match &seen.sketches[0] {
            Piece::Nobody => bytes = canonical::nobody(),
            Piece::Open(share) => share.write_canonical(&mut bytes),
            Piece::Packed(packed) => packed.write_canonical(&mut bytes),
            Piece::Shelved => return Err("nothing is put away twice".to_owned()),
        }
        Ok(bytes)
    }
}

/// What is read from where sketches are put away is as of the answer's offsets, or it is read again.
#[test]
fn what_has_left_memory_is_answered_as_of_the_offsets_although_it_changes_while_it_is_read() {
    let calendar = Calendar::utc();
    for seed in 0..12 {
        // Minutes are forgotten after two hours, and so is the first one that is read.
        let forgets = seed % 3 == 0;
        let retention_s = [7_200, 1 << 40, 1 << 40, 1 << 40, 1 << 40, 1 << 40];
        let mut counting = Counting::new(Precision::default(), 1, &calendar, retention_s);
        let frames: Vec<_> = (0..3_600).map(|i| (i % 50, NOON + i as u32)).collect();
        for (i, (user, ts)) in frames.iter().enumerate() {
            counting.see(i as i64, *user, *ts);
        }
        let shelving = Shelving {
            going_on: GoingOn {
                counting,
                frames,
                dice: Dice::new(seed),
            },
            late_frames: 3,
            forgets,
        };
        let mut clerk = Clerk::new(shelving, Precision::default(), calendar.clone());
        let users = |frames: &[(u64, u32)], from: i64, to: i64| {
            let seen = frames
                .iter()
                .filter(|(_, ts)| (from..to).contains(&i64::from(*ts)));
            seen.map(|(user, _)| *user).collect::<BTreeSet<_>>().len() as u64
        };
        let whole = Bounds {
            start: 0,
            end: i64::MAX,
        };
        for period in [Period::Minute, Period::Hour, Period::Minute] {
            let list = List {
                period,
                within: whole,
                limit: 1_000,
                newest: true,
            };
            let series = clerk.series(list).unwrap();
            assert!(!series.windows.is_empty());
            let offset = series.moment.offsets["0"] as usize;
            let before = &clerk.counted().going_on.frames[..offset];
            for row in &series.windows {
                let [from, to] = [&row.start, &row.end].map(|time| second(&Some(time.clone())));
                assert_eq!(row.users, users(before, from, to), "{row:?}");
            }
            let stretch = Bounds {
                start: i64::from(NOON) + 120,
                end: i64::from(NOON) + 3_000,
            };
            let answer = clerk.union(stretch).unwrap();
            let offset = answer.moment.offsets["0"] as usize;
            let before = &clerk.counted().going_on.frames[..offset];
            let (first, last) = (second(&answer.from), second(&answer.to));
            assert_eq!(answer.users, users(before, first, last), "{answer:?}");
        }
        let counted = clerk.counted();
        assert!(!counted.forgets, "one was read");
        assert!(forgets || counted.late_frames < 3, "seed {seed}");
    }
}

fn second(time: &Option<String>) -> i64 {
    let at: jiff::Timestamp = time.as_ref().expect("a time").parse().expect("RFC 3339");
    at.as_second()
}

fn check_series(clerk: &mut Clerk<Counting>, users: &dyn Fn(i64, i64) -> u64) {
    let within = Bounds {
        start: 0,
        end: i64::MAX,
    };
    for period in Period::ALL {
        let list = List {
            period,
            within,
            limit: 1_000,
            newest: true,
        };
        let series = clerk.series(list).unwrap();
        for row in &series.windows {
            let bounds = [&row.start, &row.end].map(|time| second(&Some(time.clone())));
            assert_eq!(row.users, users(bounds[0], bounds[1]), "{row:?}");
        }
        let again = clerk.series(list).unwrap();
        assert_eq!(series, again, "what is remembered is the same");
    }
}

#[test]
fn answers_are_those_of_sets_for_any_number_of_workers() {
    let calendar = Calendar::new(TimeZone::get("Europe/Zurich").unwrap(), "Europe/Zurich");
    for seed in 0..12 {
        let mut dice = Dice::new(seed);
        let span: usize = [600, 7_200, 200_000][seed as usize % 3];
        let frames: Vec<(u64, u32)> = (0..1_500)
            .map(|i| {
                (
                    dice.below(400) as u64,
                    NOON + (i * span / 1_500) as u32 + dice.below(4) as u32,
                )
            })
            .collect();
        let users = |from: i64, to: i64| {
            let seen = frames
                .iter()
                .filter(|(_, ts)| (from..to).contains(&i64::from(*ts)));
            seen.map(|(user, _)| user).collect::<BTreeSet<_>>().len() as u64
        };
        let newest = i64::from(frames.iter().map(|(_, ts)| *ts).max().unwrap());
        let mut answers: Vec<Vec<UsersAnswer>> = Vec::new();
        for workers in [1, 2, 5] {
            let mut counting =
                Counting::new(Precision::default(), workers, &calendar, [1 << 40; 6]);
            for (i, (user, ts)) in frames.iter().enumerate() {
                counting.see(i as i64, *user, *ts);
                if i % 200 == 0 {
                    counting.tick();
                }
            }
            let mut clerk = Clerk::new(counting, Precision::default(), calendar.clone());
            let mut dice = Dice::new(seed);
            let mut given = Vec::new();
            for _ in 0..20 {
                let seconds = 1 + dice.below(2 * span) as u32;
                let answer = clerk.trailing(Select::Last(seconds)).unwrap().remove(0);
                assert_eq!(
                    answer.users,
                    users(newest + 1 - i64::from(seconds), newest + 1)
                );
                given.push(answer);
                let from = i64::from(NOON) + dice.below(span) as i64 - 100;
                let answer = clerk.trailing(Select::Since(from)).unwrap().remove(0);
                assert_eq!(answer.users, users(from, newest + 1));
                given.push(answer);
                let stretch = Bounds {
                    start: from,
                    end: from + 1 + dice.below(span) as i64,
                };
                let answer = clerk.union(stretch).unwrap();
                let (first, last) = (second(&answer.from), second(&answer.to));
                assert!(
                    first <= from && last >= stretch.end.min(newest + 1),
                    "{answer:?}"
                );
                assert_eq!(answer.users, users(first, last), "{stretch:?} {answer:?}");
                given.push(answer);
            }
            check_series(&mut clerk, &users);
            answers.push(given);
        }
        assert_eq!(answers[0], answers[1]);
        assert_eq!(answers[0], answers[2]);
    }
}

/// Where numbers are estimates, a union is bit for bit what one sketch of all its users would say.
#[test]
fn a_union_is_the_sketch_of_the_union() {
    let precision = Precision::new(12).unwrap();
    let calendar = Calendar::utc();
    let mut counting = Counting::new(precision, 3, &calendar, [1 << 40; 6]);
    let mut dice = Dice::new(7);
    let frames: Vec<(u64, u32)> = (0..60_000)
        .map(|i| (dice.below(30_000) as u64, NOON + i / 4))
        .collect();
    for (i, (user, ts)) in frames.iter().enumerate() {
        counting.see(i as i64, *user, *ts);
        if i % 5_000 == 0 {
            counting.tick();
        }
    }
    let mut clerk = Clerk::new(counting, precision, calendar);
    for (from, to) in [(0, 3_600), (1_800, 9_000), (60, 120), (90, 14_000)] {
        let stretch = Bounds {
            start: i64::from(NOON + from),
            end: i64::from(NOON + to),
        };
        let answer = clerk.union(stretch).unwrap();
        let (first, last) = (second(&answer.from), second(&answer.to));
        let mut all = Share::new(precision, 0..256);
        for (user, ts) in &frames {
            if (first..last).contains(&i64::from(*ts)) {
                all.insert(UserHash::of(&user.to_le_bytes()));
            }
        }
        let mut tally = Tally::default();
        all.tally(&mut tally);
        let users = tally.users(precision);
        assert_eq!(
            (answer.users, answer.lo, answer.hi),
            (users.users, users.lo, users.hi)
        );
        assert!(!users.is_exact());
    }
}

#[test]
fn one_trailing_window_is_counted_as_six_are() {
    let precision = Precision::default();
    let calendar = Calendar::utc();
    let mut counting = Counting::new(precision, 2, &calendar, [1 << 40; 6]);
    let mut dice = Dice::new(3);
    for i in 0..40_000u32 {
        counting.see(i.into(), dice.below(30_000) as u64, NOON + i);
    }
    let starts = calendar.trailing(NOON + 39_999);
    let mut clerk = Clerk::new(counting, precision, calendar);
    let six = clerk.trailing(Select::Trailing).unwrap();
    for (answer, start) in six.iter().zip(starts) {
        let one = clerk.trailing(Select::Since(start + 1)).unwrap().remove(0);
        assert_eq!(
            (one.users, one.lo, one.hi),
            (answer.users, answer.lo, answer.hi)
        );
    }
    assert!(six.iter().any(|answer| answer.lo != answer.hi));
    assert!(six.iter().any(|answer| answer.lo == answer.hi));
}

/// A window that reaches over an end is there because no shorter one is kept that holds the same second.
fn check_ends(
    calendar: &Calendar,
    stretch: Bounds,
    kept_from: i64,
    found: &Cover,
    is_kept: &dyn Fn(Period, Bounds) -> bool,
) {
    for (id, end) in &found.windows {
        let window = Bounds {
            start: id.start,
            end: *end,
        };
        assert!(is_kept(id.period, window), "{id:?}");
        let inside = stretch.start <= window.start && window.end <= stretch.end;
        if inside {
            continue;
        }
        let held = stretch
            .start
            .max(window.start)
            .max(kept_from.min(stretch.end - 1));
        let shorter = Period::ALL.into_iter().take_while(|p| *p != id.period);
        for period in shorter {
            let other = calendar.window(period, held as u32);
            assert!(
                !is_kept(period, other),
                "{id:?} although {period:?} {other:?} is kept: {stretch:?}"
            );
        }
    }
}

/// A cover covers, with windows that are kept, none in another; it reaches over the ends no further than it must.
#[test]
fn a_cover_is_whole_and_tight() {
    for zone in ["UTC", "Europe/Zurich", "America/St_Johns"] {
        let calendar = Calendar::new(TimeZone::get(zone).unwrap(), zone);
        let mut dice = Dice::new(11);
        for round in 0..400 {
            let now = 1_700_000_000 + dice.below(100_000_000) as i64;
            let retention_s: Vec<i64> = (0..6)
                .map(|_| [0, 3_600, 86_400, 30 * 86_400, 1_000 * 86_400][dice.below(5)])
                .collect();
            let is_kept =
                |period: Period, window: Bounds| window.end + retention_s[period as usize] > now;
            let kept_from = now - retention_s.iter().max().unwrap();
            let span: usize = [100, 5_000, 200_000, 40_000_000][round % 4];
            let start = now - dice.below(2 * span) as i64;
            let stretch = Bounds {
                start,
                end: start + 1 + dice.below(span) as i64,
            };
            let Some(found) = cover(&calendar, stretch, kept_from, &is_kept) else {
                // Where only minutes are kept, a year takes half a million of them.
                assert!(span >= 200_000, "{stretch:?} takes few windows");
                continue;
            };
            let holds = |second: i64| {
                found
                    .windows
                    .iter()
                    .filter(|(id, end)| (id.start..*end).contains(&second))
                    .count()
            };
            let is_missing = |second: i64| found.missing.iter().any(|m| m.contains(second));
            let ends = found
                .windows
                .iter()
                .flat_map(|(id, end)| [id.start, end - 1, *end]);
            for second in ends
                .chain([stretch.start, stretch.end - 1])
                .filter(|s| stretch.contains(*s))
            {
                let reached = (holds(second) > 0, is_missing(second));
                assert!(
                    matches!(reached, (true, false) | (false, true)),
                    "{second} in {stretch:?}: {found:?}"
                );
                assert_eq!(
                    reached.1,
                    second < kept_from && holds(second) == 0,
                    "{second}: {found:?}"
                );
            }
            check_ends(&calendar, stretch, kept_from, &found, &is_kept);
        }
    }
}
