//! States as the engine makes them: windows with sketches, stretches of the trailing table, clocks, finals on their way out.

use headcount::engine::admit::{Admission, Admitted, Arrival, Rules};
use headcount::engine::calendar::{Calendar, Period, WindowId};
use headcount::engine::catalog::{Ask, Emission};
use headcount::engine::checkpoint::book::Book;
use headcount::engine::checkpoint::{Commit, SavedRecord};
use headcount::engine::clock::ClockRules;
use headcount::engine::frame::Verdict;
use headcount::engine::shard::Shard;
use headcount::engine::sketch::Precision;
use headcount::io::store::Store;
use headcount::io::store::sqlite::SqliteStore;

use super::dice::Dice;

/// Some moment in event time.
const NOON: u32 = 1_767_268_800;
const PARTITIONS: usize = 2;

/// How large a state is to be.
#[derive(Debug, Clone, Copy)]
pub struct Size {
    pub frames: u32,
    pub users: usize,
    pub span_s: u32,
    pub checkpoints: u32,
}

/// The least that a clock takes.
pub const SMALLEST: Size = Size {
    frames: 26,
    users: 2,
    span_s: 70,
    checkpoints: 2,
};

fn rules() -> Rules {
    Rules {
        calendar: Calendar::utc(),
        clock: ClockRules {
            lateness_s: 5,
            max_lateness_s: u32::MAX,
            max_jump_s: 60,
        },
        retention_s: [1 << 40; Period::ALL.len()],
        emission: Emission::Live,
        periods: Period::all_bits(),
    }
}

/// Counts made-up frames, and writes a checkpoint now and then; `note` is called after each.
pub fn live(store: &mut SqliteStore, size: Size, mut note: impl FnMut(&mut SqliteStore)) {
    let precision = Precision::new(12).expect("a precision");
    let mut admission = Admission::new(rules());
    admission.keep_unsaved();
    for _ in 0..PARTITIONS {
        admission.add_partition(0, true);
    }
    let mut shard = Shard::new(precision, 0..256, Calendar::utc());
    shard.keep_on(store.shelf().expect("a shelf"));
    let mut book = Book::new(precision, rules().retention_s);
    let mut shelf = store.shelf().expect("a shelf");
    let names: Vec<_> = (0..PARTITIONS).map(|i| format!("users/{i}")).collect();
    let mut dice = Dice::new(u64::from(size.frames));
    let users = dice.hashes(size.users);
    let each = size.frames.div_ceil(size.checkpoints);
    for n in 0..size.frames {
        let late = if dice.once_in(9) { dice.below(300) } else { 0 };
        let ts = NOON + n * size.span_s / size.frames - late as u32;
        let arrival = Arrival {
            partition: n as usize % PARTITIONS,
            offset: i64::from(n) / PARTITIONS as i64,
            appended: None,
        };
        let seen = Verdict::Seen(dice.pick(&users), ts);
        if let Admitted::Counted(sighting) = admission.admit(arrival, seen) {
            shard.record(&[sighting]);
        }
        let settled: Vec<_> = admission.take_settled().collect();
        let counted = settled.into_iter().filter_map(|s| s.outcome.ok());
        counted.for_each(|sighting| shard.record(&[sighting]));
        if (n + 1) % each != 0 && n + 1 != size.frames {
            continue;
        }
        let barrier = admission.barrier(Ask {
            changed: true,
            save: true,
            ..Ask::default()
        });
        let answer = shard.answer(&barrier.question);
        let saved = *barrier.saved.expect("it was asked for");
        let sketches = answer.saved.unwrap_or_default();
        let entered = book.enter(saved, sketches, &names, &mut *shelf);
        let (changes, digest) = entered.expect("a good shelf");
        let seq = u64::from((n + 1).div_ceil(each));
        let commit = Commit {
            epoch: 1_795_000_000_000,
            changes,
            digest,
            records: vec![record(seq)],
            acknowledged: (1..seq).rev().take(1).filter(|seq| seq % 2 == 1).collect(),
        };
        store.commit(&commit).expect("a good disk");
        note(store);
    }
}

/// A final that the output does not have.
fn record(seq: u64) -> SavedRecord {
    let start = i64::from(NOON) + 60 * seq as i64;
    SavedRecord {
        seq,
        id: WindowId {
            period: Period::Minute,
            start,
        },
        key: format!("users|minute|{start}"),
        payload: format!(r#"{{"users":{seq},"seq":{seq}}}"#).into_bytes(),
    }
}
