//! The same stream with and without flipped bits in its times: the counts differ by the flipped frames and nothing else.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::fs;
use std::path::Path;

use serde_json::Value;

use super::outcome::Outcome;
use crate::support::process::{headcount, run_ok};

const NOON: u32 = 1_774_612_800;
const FRAMES: u32 = 20_000;

/// Steele, Lea and Flood's SplitMix64.
fn dice(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut z = *state;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// User and time.
type Frame = (u64, u32);

/// The frames of 17 minutes, up to 3 s out of order; and those of which one bit of the low 32 is flipped,
/// one in a hundred.
fn streams(seed: u64) -> (Vec<Frame>, Vec<Frame>, BTreeSet<usize>) {
    let mut state = seed;
    let (mut clean, mut flipped, mut which) = (Vec::new(), Vec::new(), BTreeSet::new());
    for i in 0..FRAMES {
        let user = dice(&mut state) % 2_000;
        let ts = NOON + i / 20 + (dice(&mut state) % 4) as u32;
        clean.push((user, ts));
        let is_flipped = dice(&mut state).is_multiple_of(100);
        let bit = if is_flipped {
            1 << (dice(&mut state) % 32)
        } else {
            0
        };
        flipped.push((user, ts ^ bit));
        if is_flipped {
            which.insert(i as usize);
        }
    }
    (clean, flipped, which)
}

/// Counts them, with retention so long that nothing expires. Gives the outcome and the lines that did not count.
fn count(dir: &Path, frames: &[Frame]) -> (Outcome, BTreeSet<usize>) {
    let lines: String = frames
        .iter()
        .map(|(user, ts)| format!("{{\"uid\":\"u{user}\",\"ts\":{ts}}}\n"))
        .collect();
    fs::write(dir.join("in"), lines).unwrap();
    let mut command = headcount();
    command.current_dir(dir).args(["count", "-f", "json", "in"]);
    command.args(["--quarantine-file", "q", "--rejects-file", "r"]);
    for period in ["minutes", "hours", "days", "weeks", "months", "years"] {
        command.args([format!("--retain-{period}"), "36600d".to_owned()]);
    }
    command.args(["--max-lateness", "1461d"]);
    let (stdout, _) = run_ok(command, b"");
    let reasons =
        ["q.reasons", "r.reasons"].map(|name| fs::read_to_string(dir.join(name)).unwrap());
    let line = |reason: &str| {
        serde_json::from_str::<Value>(reason).unwrap()["line"]
            .as_u64()
            .unwrap()
    };
    let left_out = reasons
        .concat()
        .lines()
        .map(|r| line(r) as usize - 1)
        .collect();
    (Outcome::read(&stdout), left_out)
}

#[test]
fn one_flipped_timestamp_in_a_hundred_changes_nothing_but_itself() {
    for seed in 0..4 {
        let dir = tempfile::tempdir().unwrap();
        let (clean, flipped, which) = streams(seed);
        let (all, none) = count(dir.path(), &clean);
        assert_eq!(none, BTreeSet::new());
        let (outcome, left_out) = count(dir.path(), &flipped);
        let ledgers = format!("{}\n{}", all.stats["frames"], outcome.stats["frames"]);
        assert!(
            left_out.is_subset(&which),
            "an honest frame is lost: {ledgers}"
        );
        // What is ahead by more than a minute never counts, nor what is out of range or years behind.
        for at in &which {
            let (says, truth) = (i64::from(flipped[*at].1), i64::from(clean[*at].1));
            let far = says > truth + 70 || says < truth - 1_461 * 86_400 - 70;
            assert!(
                !far || left_out.contains(at),
                "{says} for {truth}: {ledgers}"
            );
        }
        let mut expected: BTreeMap<(&str, i64), (u64, HashSet<u64>)> = BTreeMap::new();
        let counted = flipped.iter().enumerate();
        for (_, (user, ts)) in counted.filter(|(at, _)| !left_out.contains(at)) {
            for (period, length) in [("minute", 60), ("hour", 3_600), ("day", 86_400)] {
                let start = i64::from(*ts) / length * length;
                let window = expected.entry((period, start)).or_default();
                window.0 += 1;
                window.1.insert(*user);
            }
        }
        for period in ["minute", "hour", "day"] {
            let found: BTreeMap<_, _> = outcome
                .of(period)
                .map(|(start, w)| ((period, start), (w.frames, w.users, w.lo == w.hi)))
                .collect();
            let expected: BTreeMap<_, _> = expected
                .iter()
                .filter(|((name, _), _)| *name == period)
                .map(|(key, (frames, users))| (*key, (*frames, users.len() as u64, true)))
                .collect();
            assert_eq!(found, expected, "{ledgers}");
        }
    }
}
