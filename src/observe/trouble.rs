//! What is wrong with a service right now, in one sentence each. Decided from what is on the board alone.
//!
//! The sentences name no path, no secret and no user: anybody who may ask may read them.

use super::board::{About, View};
use super::facts::{Facts, Publishing};
use crate::engine::ledger::Ledger;
use crate::limits::{
    TROUBLE_CHECKPOINT_MS, TROUBLE_FRAMES, TROUBLE_FRESH_MS, TROUBLE_HANGS_MS, TROUBLE_HELD_MS,
    TROUBLE_OUTPUT_MS,
};
use crate::view::number::grouped;

/// Kinds of trouble, what matters most first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// The consumer loop has not gone round.
    Hangs,
    /// Brokers or topics are out of reach.
    Unreachable,
    /// The output takes nothing.
    OutputBlocked,
    /// The state is not written.
    StateNotWritten,
    /// A topic for uncounted frames takes nothing.
    AsideBlocked,
    /// Another instance publishes.
    StandingBy,
    /// Frames come, and none of them counts.
    AllRejected,
    /// Frames wait for others to confirm their time.
    ClockHeld,
    /// A partition's clock is ahead.
    ClockAhead,
}

impl Kind {
    /// All kinds, what matters most first.
    pub const ALL: [Self; 9] = [
        Self::Hangs,
        Self::Unreachable,
        Self::OutputBlocked,
        Self::StateNotWritten,
        Self::AsideBlocked,
        Self::StandingBy,
        Self::AllRejected,
        Self::ClockHeld,
        Self::ClockAhead,
    ];

    /// Its name in answers and metrics.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Hangs => "hangs",
            Self::Unreachable => "unreachable",
            Self::OutputBlocked => "output_blocked",
            Self::StateNotWritten => "state_not_written",
            Self::AsideBlocked => "aside_blocked",
            Self::StandingBy => "standing_by",
            Self::AllRejected => "all_rejected",
            Self::ClockHeld => "clock_held",
            Self::ClockAhead => "clock_ahead",
        }
    }

    /// Whether a service with this trouble does not do its work.
    #[must_use]
    pub fn is_unready(self) -> bool {
        matches!(
            self,
            Self::Hangs | Self::Unreachable | Self::OutputBlocked | Self::StateNotWritten
        )
    }
}

/// Something that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trouble {
    /// What kind.
    pub kind: Kind,
    /// One sentence.
    pub sentence: String,
}

/// What is wrong, what matters most first.
pub(super) fn troubles(view: &View, about: &About) -> Vec<Trouble> {
    let Some(facts) = &view.facts else {
        return Vec::new();
    };
    let found = Kind::ALL.into_iter().filter_map(|kind| {
        let sentence = match kind {
            Kind::Hangs => hangs(facts, view.now_ms),
            Kind::Unreachable => unreachable(facts, view.now_ms),
            Kind::OutputBlocked => output_blocked(facts, &view.publishing, about, view.now_ms),
            Kind::StateNotWritten => state_not_written(&view.publishing, view.now_ms),
            Kind::AsideBlocked => aside_blocked(facts, view.now_ms),
            Kind::StandingBy => standing_by(&view.publishing),
            Kind::AllRejected => all_rejected(facts, view.now_ms),
            Kind::ClockHeld => clock_held(facts, view.now_ms),
            Kind::ClockAhead => clock_ahead(facts),
        };
        sentence.map(|sentence| Trouble { kind, sentence })
    });
    found.collect()
}

fn hangs(facts: &Facts, now_ms: u64) -> Option<String> {
    let quiet_ms = now_ms.saturating_sub(facts.at_ms);
    (quiet_ms >= TROUBLE_HANGS_MS)
        .then(|| format!("The counting has not moved for {}.", spoken(quiet_ms)))
}

fn unreachable(facts: &Facts, now_ms: u64) -> Option<String> {
    let gone_ms = now_ms.saturating_sub(facts.unreachable_since_ms?);
    Some(format!(
        "The brokers or the input topic have been out of reach for {}; counting goes on by itself when they answer.",
        spoken(gone_ms)
    ))
}

fn output_blocked(
    facts: &Facts,
    publishing: &Publishing,
    about: &About,
    now_ms: u64,
) -> Option<String> {
    // Nothing is sent meanwhile.
    if publishing.stands_by {
        return None;
    }
    let stuck_ms = now_ms.saturating_sub(publishing.stuck_since_ms?);
    if stuck_ms < TROUBLE_OUTPUT_MS.max(3 * about.every_ms) && !facts.waits_for_output {
        return None;
    }
    let finals = grouped(publishing.unpublished_finals as u64);
    let waits = match facts.waits_for_output {
        true => ", and reading waits for them",
        false => "",
    };
    Some(format!(
        "The output topics have taken nothing for {}; {finals} final records wait{waits}.",
        spoken(stuck_ms)
    ))
}

fn state_not_written(publishing: &Publishing, now_ms: u64) -> Option<String> {
    let under_way_ms = now_ms.saturating_sub(publishing.checkpoints?.begun_ms?);
    (under_way_ms >= TROUBLE_CHECKPOINT_MS).then(|| {
        format!(
            "The state could not be written for {}; final records wait for it.",
            spoken(under_way_ms)
        )
    })
}

fn aside_blocked(facts: &Facts, now_ms: u64) -> Option<String> {
    let stuck_ms = now_ms.saturating_sub(facts.aside_stuck_since_ms?);
    Some(format!(
        "A topic for uncounted frames has taken nothing for {}, and reading waits for it.",
        spoken(stuck_ms)
    ))
}

fn standing_by(publishing: &Publishing) -> Option<String> {
    publishing.stands_by.then(|| {
        "Standing by: another instance of this job publishes. This one counts along, and takes over when that is silent."
            .to_owned()
    })
}

/// Frames read since the last one that counted, and whether some came just now.
fn uncounted(facts: &Facts, now_ms: u64) -> Option<u64> {
    let is_fresh = now_ms.saturating_sub(facts.lately.read_ms) < TROUBLE_FRESH_MS;
    let uncounted = facts.ledger.read - facts.lately.then.read;
    (is_fresh && uncounted > 0).then_some(uncounted)
}

fn all_rejected(facts: &Facts, now_ms: u64) -> Option<String> {
    let uncounted = uncounted(facts, now_ms)?;
    let then = &facts.lately.then;
    let rejected = |ledger: &Ledger| ledger.rejected().map(|(_, n)| n).sum::<u64>();
    let since = rejected(&facts.ledger) - rejected(then);
    if uncounted < TROUBLE_FRAMES || since < uncounted {
        return None;
    }
    let before = |reason| then.rejected().find(|(r, _)| *r == reason);
    let reasons = facts.ledger.rejected().filter_map(|(reason, n)| {
        let n = n - before(reason).map_or(0, |(_, n)| n);
        (n > 0).then_some((n, reason.name()))
    });
    let (_, most) = reasons.max()?;
    Some(format!(
        "None of the last {} frames counts: all are rejected, most as '{most}'.",
        grouped(uncounted)
    ))
}

fn clock_held(facts: &Facts, now_ms: u64) -> Option<String> {
    let pending = facts.ledger.pending;
    let waited_ms = now_ms.saturating_sub(facts.lately.counted_ms);
    let uncounted = facts.ledger.read - facts.lately.then.read;
    if pending == 0 || uncounted == 0 || waited_ms < TROUBLE_HELD_MS {
        return None;
    }
    let frames = match pending {
        1 => "One frame waits".to_owned(),
        n => format!("{} frames wait", grouped(n)),
    };
    Some(format!(
        "{frames} for others to confirm the time, and none has counted for {}: a gap in the traffic, or a wrong clock.",
        spoken(waited_ms)
    ))
}

fn clock_ahead(facts: &Facts) -> Option<String> {
    let (index, by_s) = facts.ahead.iter().max_by_key(|(_, by_s)| *by_s)?;
    let partition = facts.partitions.get(*index)?;
    Some(format!(
        "The clock of partition {} of '{}' is {} ahead of the others: its producers' clocks are wrong.",
        partition.partition,
        partition.topic,
        spoken(u64::from(*by_s) * 1_000)
    ))
}

/// A length of time, roughly.
fn spoken(ms: u64) -> String {
    let s = ms / 1_000;
    match s {
        0..120 => format!("{s} s"),
        120..7_200 => format!("{} min", s / 60),
        7_200..172_800 => format!("{} h", s / 3_600),
        _ => format!("{} days", s / 86_400),
    }
}
