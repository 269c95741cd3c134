//! What became of every frame: `read = counted + ignored + quarantined + sum of rejected + pending`, at any moment.

use super::calendar::Period;
use super::checkpoint::codec::{Damaged, Reader, put_len};
use super::clock::Quarantine;
use super::frame::Reject;

/// Counts of frames by verdict, since the start.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Ledger {
    /// Frames delivered by the source.
    pub read: u64,
    /// Frames that count.
    pub counted: u64,
    /// Of the counted ones: those further behind their own partition's clock than the lateness.
    pub late: u64,
    /// Good frames of nobody (`--ignore-uid`).
    pub ignored: u64,
    /// Good frames that wait for others to confirm their time.
    pub pending: u64,
    quarantined: [u64; Quarantine::ALL.len()],
    rejected: [u64; Reject::ALL.len()],
    expired: [u64; Period::ALL.len()],
}

impl Ledger {
    /// Notes a rejected frame.
    pub fn reject(&mut self, reason: Reject) {
        self.read += 1;
        self.rejected[reason as usize] += 1;
    }

    /// Notes a good frame that does not count.
    pub fn quarantine(&mut self, reason: Quarantine) {
        self.quarantined[reason as usize] += 1;
    }

    /// Notes that a counted frame came after a period's retention.
    pub fn expire(&mut self, period: Period) {
        self.expired[period as usize] += 1;
    }

    /// Adds the counts of other frames.
    pub fn add(&mut self, other: &Self) {
        self.read += other.read;
        self.counted += other.counted;
        self.late += other.late;
        self.ignored += other.ignored;
        self.pending += other.pending;
        add_counts(&mut self.quarantined, &other.quarantined);
        add_counts(&mut self.rejected, &other.rejected);
        add_counts(&mut self.expired, &other.expired);
    }

    /// Rejected frames by reason; reasons without one are left out.
    pub fn rejected(&self) -> impl Iterator<Item = (Reject, u64)> {
        let counts = Reject::ALL.into_iter().zip(self.rejected);
        counts.filter(|(_, n)| *n > 0)
    }

    /// Quarantined frames by reason; reasons without one are left out.
    pub fn quarantined(&self) -> impl Iterator<Item = (Quarantine, u64)> {
        let counts = Quarantine::ALL.into_iter().zip(self.quarantined);
        counts.filter(|(_, n)| *n > 0)
    }

    /// Counted frames left out of a period because its retention was over; periods without one are left out.
    pub fn expired(&self) -> impl Iterator<Item = (Period, u64)> {
        let counts = Period::ALL.into_iter().zip(self.expired);
        counts.filter(|(_, n)| *n > 0)
    }

    /// Appends the counts that are the same for whoever read the same frames (docs/FORMAT.md, *State*): all but `expired`.
    pub fn write(&self, out: &mut Vec<u8>) {
        for count in [
            self.read,
            self.counted,
            self.late,
            self.ignored,
            self.pending,
        ] {
            out.extend_from_slice(&count.to_le_bytes());
        }
        write_counts(&self.quarantined, out);
        write_counts(&self.rejected, out);
    }

    /// Appends the counts that depend on when windows were evicted too.
    pub fn write_expired(&self, out: &mut Vec<u8>) {
        write_counts(&self.expired, out);
    }

    /// Reads what [`Self::write`] wrote.
    ///
    /// # Errors
    ///
    /// When no ledger can have written it.
    pub fn read(from: &mut Reader<'_>) -> Result<Self, Damaged> {
        let mut ledger = Self {
            read: from.u64()?,
            counted: from.u64()?,
            late: from.u64()?,
            ignored: from.u64()?,
            pending: from.u64()?,
            ..Self::default()
        };
        read_counts(&mut ledger.quarantined, from)?;
        read_counts(&mut ledger.rejected, from)?;
        from.check(ledger.balances())?;
        Ok(ledger)
    }

    /// Reads what [`Self::write_expired`] wrote.
    ///
    /// # Errors
    ///
    /// When no ledger can have written it.
    pub fn read_expired(&mut self, from: &mut Reader<'_>) -> Result<(), Damaged> {
        read_counts(&mut self.expired, from)
    }

    /// Whether the ledger adds up.
    #[must_use]
    pub fn balances(&self) -> bool {
        let kinds = [self.counted, self.ignored, self.pending];
        let verdicts = kinds.iter().chain(&self.quarantined).chain(&self.rejected);
        // Damaged counts need not fit.
        verdicts.map(|n| u128::from(*n)).sum::<u128>() == u128::from(self.read)
    }
}

fn add_counts(counts: &mut [u64], others: &[u64]) {
    for (count, other) in counts.iter_mut().zip(others) {
        *count += other;
    }
}

fn write_counts(counts: &[u64], out: &mut Vec<u8>) {
    put_len(out, counts.len());
    for count in counts {
        out.extend_from_slice(&count.to_le_bytes());
    }
}

/// Reads counts by reason; reasons that were not known when they were written are new at the end, and have none.
fn read_counts(counts: &mut [u64], from: &mut Reader<'_>) -> Result<(), Damaged> {
    let written = from.len(8, counts.len())?;
    for count in &mut counts[..written] {
        *count = from.u64()?;
    }
    Ok(())
}
