//! What became of every frame: `read = counted + ignored + quarantined + sum of rejected + pending`, at any moment.

use super::calendar::Period;
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

    /// Whether the ledger adds up.
    #[must_use]
    pub fn balances(&self) -> bool {
        let rejected: u64 = self.rejected.iter().sum();
        let quarantined: u64 = self.quarantined.iter().sum();
        self.read == self.counted + self.ignored + quarantined + rejected + self.pending
    }
}
