//! Power cuts at any operation: unsynced writes lost, reordered, torn.

use super::dice::Dice;
use super::faulty_vfs::FaultyDisk;
use super::faulty_vfs::disk::Files;
use super::lives::{Lives, open};

const CHECKPOINTS: usize = 8;

/// How many seeds: 200 in any run of the tests, 10,000 in a long one.
fn seeds() -> u64 {
    match std::env::var_os("HEADCOUNT_TEST_LONG") {
        Some(_) => 10_000,
        None => 200,
    }
}

/// What went wrong with a seed, if anything did; and how many checkpoints were confirmed.
fn live(seed: u64) -> Result<usize, String> {
    let mut dice = Dice::new(seed);
    let mut disk = FaultyDisk::new(dice.bits(), Files::new());
    let mut lives = Lives::new(dice.bits());
    let mut confirmed = 0;
    for _ in 0..4 {
        // Mostly within the checkpoints, and often while the last life's journal is read back.
        let latest = dice.pick(&[10, 100, 300]);
        disk.get().cut_at(1 + dice.below(latest) as u64);
        // An error is to be expected once the power is off; with it on, none.
        if let Err(error) = live_once(&disk, &mut lives)
            && !disk.get().is_off()
        {
            return Err(error);
        }
        confirmed += lives.confirmed();
        disk = disk.reboot(dice.bits());
    }
    live_once(&disk, &mut lives)?;
    Ok(confirmed)
}

fn live_once(disk: &FaultyDisk, lives: &mut Lives) -> Result<(), String> {
    let mut store = open(disk).map_err(|error| error.to_string())?;
    lives.check(&mut store)?;
    for _ in 0..CHECKPOINTS {
        lives
            .commit(&mut store, 1)
            .map_err(|error| error.to_string())?;
    }
    lives.check(&mut store)
}

#[test]
fn a_checkpoint_survives_any_power_cut_and_none_survives_in_part() {
    let mut confirmed = 0;
    for seed in 0..seeds() {
        confirmed += live(seed).unwrap_or_else(|failure| panic!("seed {seed}: {failure}"));
    }
    assert!(confirmed > 1_000, "{confirmed} checkpoints came about");
}
