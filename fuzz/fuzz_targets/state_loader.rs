//! Any bytes as a state: refused in a sentence or taken up, never a panic. Once as the file, where sums stand before nearly
//! everything, and once as what stands behind the sums.
#![no_main]
#![allow(clippy::expect_used, reason = "a fuzz target says so by panicking")]

use std::fs;
use std::path::PathBuf;
use std::sync::OnceLock;

use headcount::engine::admit::Rules;
use headcount::engine::calendar::{Calendar, Period, WindowId};
use headcount::engine::catalog::Emission;
use headcount::engine::checkpoint::audit::audit;
use headcount::engine::checkpoint::beginning::Beginning;
use headcount::engine::checkpoint::book::StateDigest;
use headcount::engine::checkpoint::{
    Loaded, SavedAdmission, SavedPartition, SavedStage, SavedStretch, SavedWindow,
};
use headcount::engine::clock::ClockRules;
use headcount::engine::shard::Shard;
use headcount::engine::sketch::{Precision, canonical};
use headcount::io::store::sqlite::inspect::Inspected;
use headcount::limits::PAGES;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    match bytes.split_first() {
        Some((0, file)) => as_a_file(file),
        Some((_, behind)) => behind_the_sums(behind),
        None => {}
    }
});

/// A folder of this process.
fn folder() -> &'static PathBuf {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    FOLDER.get_or_init(|| {
        let name = format!("headcount-fuzz-{}", std::process::id());
        let folder = std::env::temp_dir().join(name);
        fs::create_dir_all(&folder).expect("a folder");
        folder
    })
}

fn as_a_file(bytes: &[u8]) {
    let path = folder().join("copy.sqlite");
    fs::write(&path, bytes).expect("a file");
    let loaded = Inspected::open(&path).and_then(|mut state| state.load());
    match loaded {
        Ok(Some(loaded)) => take_up(loaded),
        Ok(None) => {}
        Err(why) => assert!(!why.to_string().trim().is_empty()),
    }
}

/// Pieces of the input, each as long as the byte before it says, times four.
struct Pieces<'a>(&'a [u8]);

impl Pieces<'_> {
    fn next(&mut self) -> Vec<u8> {
        let Some((length, rest)) = self.0.split_first() else {
            return Vec::new();
        };
        let (piece, rest) = rest.split_at(rest.len().min(4 * usize::from(*length)));
        self.0 = rest;
        piece.to_vec()
    }

    fn number(&mut self) -> i64 {
        let mut eight = [0; 8];
        let piece = self.next();
        let length = piece.len().min(8);
        eight[..length].copy_from_slice(&piece[..length]);
        i64::from_le_bytes(eight)
    }
}

fn behind_the_sums(bytes: &[u8]) {
    let mut from = Pieces(bytes);
    let partition = SavedPartition {
        next_offset: from.number(),
        clock: from.next(),
        reading: from.next(),
    };
    let admission = SavedAdmission {
        partitions: vec![partition],
        ledger: from.next(),
        rest: from.next(),
        ..SavedAdmission::default()
    };
    let id = WindowId {
        period: Period::ALL[from.number().rem_euclid(6) as usize],
        start: from.number(),
    };
    let window = SavedWindow {
        end: from.number(),
        frames: from.number().cast_unsigned(),
        late: from.number().cast_unsigned(),
        stage: SavedStage::Open,
        changed: true,
        told: None,
    };
    let stretch = SavedStretch {
        page: from.number().rem_euclid(300) as usize,
        rank: from.number() as u8,
        bytes: from.next(),
    };
    let sketch = from.next();
    let precision = Precision::new(12).expect("a precision");
    if let Ok(place) = canonical::locate(precision, &sketch, 0..PAGES) {
        let _ = canonical::read_share(precision, 0..PAGES, &sketch[place]);
    }
    take_up(Loaded {
        epoch: 1,
        digest: StateDigest(0),
        names: vec!["users/0".to_owned()],
        admission,
        windows: vec![(id, window, Some(7))],
        stretches: vec![stretch],
        records: Vec::new(),
    });
}

fn take_up(loaded: Loaded) {
    let precision = Precision::new(12).expect("a precision");
    let calendar = Calendar::utc();
    let _ = audit(&loaded, precision, &calendar, Period::all_bits());
    let rules = Rules {
        calendar: calendar.clone(),
        clock: ClockRules {
            lateness_s: 5,
            max_lateness_s: u32::MAX,
            max_jump_s: 60,
        },
        retention_s: [40 * 86_400; Period::ALL.len()],
        emission: Emission::Live,
        periods: Period::all_bits(),
    };
    let shards = vec![Shard::new(precision, 0..PAGES, calendar)];
    if let Err(damaged) = Beginning::restore(rules, precision, shards, loaded) {
        assert!(!damaged.to_string().is_empty());
    }
}
