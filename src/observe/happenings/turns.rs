//! What happens about whose turn it is to publish.

use tracing::{info, warn};

/// Another instance of the job publishes.
#[derive(Debug)]
pub struct StandingBy<'a> {
    /// The job.
    pub job: &'a str,
    /// The other one's epoch.
    pub epoch: u64,
}

impl StandingBy<'_> {
    /// Logs it.
    pub fn emit(&self) {
        let (job, epoch) = (self.job, self.epoch);
        warn!(
            name: "standing_by",
            job,
            epoch,
            "another instance of this job has published just now: standing by, counting but not publishing, until it \
             is silent (--takeover-after)"
        );
    }
}

/// The other instance is gone.
#[derive(Debug)]
pub struct TakingOver;

impl TakingOver {
    /// Logs it.
    pub fn emit(&self) {
        info!(name: "taking_over", "the other instance is silent or has stopped: publishing from now on");
    }
}

/// The brokers have not granted the right to publish for a while.
#[derive(Debug)]
pub struct ClaimWaits;

impl ClaimWaits {
    /// Logs it.
    pub fn emit(&self) {
        warn!(
            name: "claim_waits",
            "the brokers have not granted the right to publish alone yet; publishing waits. Their transactions need the topic              __transaction_state in working order (with one broker: transaction.state.log.replication.factor=1 and              transaction.state.log.min.isr=1); --exclusive false publishes without"
        );
    }
}

/// The brokers have given the right to publish to another instance, or took this one for gone.
#[derive(Debug)]
pub struct ClaimLost<'a> {
    /// What the client library says.
    pub why: &'a str,
}

impl ClaimLost<'_> {
    /// Logs it.
    pub fn emit(&self) {
        let why = self.why;
        warn!(
            name: "claim_lost",
            why,
            "the brokers do not take this instance's records any more; publishing waits until it is clear whether \
             another one does it"
        );
    }
}

/// A transaction has come to no end, so publishing begins anew.
#[derive(Debug)]
pub struct PublishingStuck<'a> {
    /// Which one.
    pub why: &'a str,
}

impl PublishingStuck<'_> {
    /// Logs it.
    pub fn emit(&self) {
        let why = self.why;
        warn!(
            name: "publishing_stuck",
            why,
            "{why}; publishing begins anew with another producer, and what was under way is published again"
        );
    }
}
