//! What became of every frame: `read = counted + ignored + sum of rejected`, at any moment.

use super::calendar::Period;
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
    rejected: [u64; Reject::ALL.len()],
    expired: [u64; Period::ALL.len()],
}

impl Ledger {
    /// Notes a rejected frame.
    pub fn reject(&mut self, reason: Reject) {
        self.read += 1;
        self.rejected[reason as usize] += 1;
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

    /// Counted frames left out of a period because its retention was over; periods without one are left out.
    pub fn expired(&self) -> impl Iterator<Item = (Period, u64)> {
        let counts = Period::ALL.into_iter().zip(self.expired);
        counts.filter(|(_, n)| *n > 0)
    }

    /// Whether the ledger adds up.
    #[must_use]
    pub fn balances(&self) -> bool {
        self.read == self.counted + self.ignored + self.rejected.iter().sum::<u64>()
    }
}
