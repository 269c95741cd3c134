//! Writes, syncs and the rest that fail: once, or from then on.

use super::dice::Dice;
use super::faulty_vfs::FaultyDisk;
use super::faulty_vfs::disk::{Fault, Files, Lasting};
use super::lives::{Lives, open};
use headcount::io::store::Store;

const CHECKPOINTS: usize = 6;

/// Checkpoints until one fails for good; then whoever opens the state anew, after a power cut or without one, finds what was
/// confirmed, and goes on. Returns how many operations failed.
fn run(fault: Fault, lasting: Lasting, at: u64) -> Result<u64, String> {
    let mut dice = Dice::new(at);
    let disk = FaultyDisk::new(dice.bits(), Files::new());
    let mut lives = Lives::new(dice.bits());
    disk.get().fail_at(at, fault, lasting);
    if let Ok(mut store) = open(&disk)
        && lives.check(&mut store).is_ok()
    {
        for _ in 0..CHECKPOINTS {
            if lives.commit(&mut store, 3).is_err() {
                break;
            }
            // The journal is moved into the database for it, which may fail; there is no file to be copied on this disk.
            assert!(!dice.once_in(3) || store.keep_copy().is_err());
        }
        if lasting == Lasting::Once && disk.get().faults() == 1 {
            lives.check(&mut store)?;
        }
    }
    let faults = disk.get().faults();
    disk.get().heal();
    let disk = if dice.once_in(2) {
        disk.reboot(dice.bits())
    } else {
        FaultyDisk::new(dice.bits(), disk.get().files())
    };
    let mut store = open(&disk).map_err(|error| error.to_string())?;
    lives.check(&mut store)?;
    for _ in 0..2 {
        lives
            .commit(&mut store, 1)
            .map_err(|error| error.to_string())?;
    }
    lives.check(&mut store)?;
    Ok(faults)
}

fn at_every_operation(fault: Fault) {
    for lasting in [Lasting::Once, Lasting::FromThenOn] {
        for at in 1.. {
            let faults = run(fault, lasting, at)
                .unwrap_or_else(|failure| panic!("{fault:?} at {at}, {lasting:?}: {failure}"));
            if faults == 0 {
                assert!(at > 50, "{at} operations are no checkpoints");
                break;
            }
        }
    }
}

#[test]
fn a_disk_that_is_full_takes_no_checkpoint_back_and_leaves_none_in_part() {
    at_every_operation(Fault::Full);
}

#[test]
fn a_disk_that_fails_takes_no_checkpoint_back_and_leaves_none_in_part() {
    at_every_operation(Fault::Io);
}

#[test]
fn a_write_of_half_its_bytes_takes_no_checkpoint_back_and_leaves_none_in_part() {
    at_every_operation(Fault::Short);
}
