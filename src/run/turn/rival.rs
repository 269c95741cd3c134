//! What the ticks of a topic tell of other instances of a job. Pure: times are arguments.

use serde::Deserialize;

use crate::limits::CLOCKS_APART_MAX_MS;

/// What is needed of a tick, whatever else stands there.
#[derive(Deserialize)]
struct Tick {
    job: Option<String>,
    epoch: Option<u64>,
    #[serde(default)]
    stopped: bool,
    watermark: Option<i64>,
}

/// What is known of another instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Nothing is known yet.
    Unknown,
    /// An instance of this epoch has not been silent for long enough.
    Alive {
        epoch: u64,
        /// Whether it said something while somebody listened: it is not one that died a moment ago.
        is_heard: bool,
    },
    /// None lives.
    Nobody,
}

/// What is not another instance.
#[derive(Debug, Clone, Default)]
pub(in crate::run) struct Own {
    /// This one.
    pub(in crate::run) epoch: u64,
    /// The lives before it that had its state.
    pub(in crate::run) lives: Vec<u64>,
}

impl Own {
    fn is(&self, epoch: u64) -> bool {
        self.epoch == epoch || self.lives.contains(&epoch)
    }
}

/// Another instance of the job, if there is one.
#[derive(Debug)]
pub(super) struct Rival {
    job: String,
    own: Own,
    silence_ms: u64,
    /// The newest tick of the job is another instance's, of this epoch, and not too old to matter.
    newest: Option<u64>,
    /// The greatest watermark that others have named.
    watermark: Option<i64>,
    is_heard: bool,
    /// Since when nothing was heard of others, although it could have been.
    silent_since_ms: Option<u64>,
    /// Whether the right to publish was lost to somebody who may not have spoken yet.
    is_lost: bool,
}

impl Rival {
    pub(super) fn new(job: String, own: Own, silence_ms: u64) -> Self {
        Self {
            job,
            own,
            silence_ms,
            newest: None,
            watermark: None,
            is_heard: false,
            silent_since_ms: None,
            is_lost: false,
        }
    }

    pub(super) fn job(&self) -> &str {
        &self.job
    }

    /// Up to here others have closed all windows, unix seconds.
    pub(super) fn watermark(&self) -> Option<i64> {
        self.watermark
    }

    pub(super) fn is_lost(&self) -> bool {
        self.is_lost
    }

    /// Somebody has taken the right to publish, or the brokers took this instance for gone.
    pub(super) fn lose(&mut self) {
        self.is_lost = true;
        self.go_deaf();
    }

    /// What is heard from now on begins anew.
    pub(super) fn go_deaf(&mut self) {
        (self.newest, self.silent_since_ms, self.is_heard) = (None, None, false);
    }

    /// A record of the ticks' topic, so old by this machine's clock, if it has a time.
    pub(super) fn tick(&mut self, payload: &[u8], age_ms: Option<u64>, now_ms: u64) {
        let Ok(tick) = serde_json::from_slice::<Tick>(payload) else {
            return;
        };
        let Some(epoch) = tick.epoch.filter(|_| tick.job.as_ref() == Some(&self.job)) else {
            return;
        };
        let is_old = age_ms.is_some_and(|age| age > self.silence_ms + CLOCKS_APART_MAX_MS);
        let is_other = !self.own.is(epoch) && !tick.stopped && !is_old;
        self.newest = is_other.then_some(epoch);
        self.watermark = self.watermark.max(tick.watermark.filter(|_| is_other));
        if let Some(since_ms) = &mut self.silent_since_ms {
            *since_ms = now_ms;
            self.is_heard = is_other;
        }
    }

    /// There is nothing more to read for now.
    pub(super) fn reach_end(&mut self, now_ms: u64) {
        self.silent_since_ms.get_or_insert(now_ms);
    }

    pub(super) fn verdict(&self, now_ms: u64) -> Verdict {
        let Some(since_ms) = self.silent_since_ms else {
            return Verdict::Unknown;
        };
        let is_silent = now_ms.saturating_sub(since_ms) >= self.silence_ms;
        match self.newest {
            Some(epoch) if !is_silent => Verdict::Alive {
                epoch,
                is_heard: self.is_heard,
            },
            None if self.is_lost && !is_silent => Verdict::Unknown,
            _ => Verdict::Nobody,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SILENCE_MS: u64 = 15_000;
    const ALIVE: Verdict = Verdict::Alive {
        epoch: 30,
        is_heard: true,
    };
    const ALIVE_OR_DEAD: Verdict = Verdict::Alive {
        epoch: 30,
        is_heard: false,
    };

    fn tick(job: &str, epoch: u64, stopped: bool) -> Vec<u8> {
        let stopped = if stopped { r#","stopped":true"# } else { "" };
        format!(r#"{{"job":"{job}","epoch":{epoch}{stopped},"users_last_minute":1}}"#).into_bytes()
    }

    fn rival() -> Rival {
        let own = Own {
            epoch: 20,
            lives: vec![10],
        };
        Rival::new("job".to_owned(), own, SILENCE_MS)
    }

    #[test]
    fn nobody_is_alive_in_an_empty_topic_once_it_was_read() {
        let mut rival = rival();
        assert_eq!(rival.verdict(1_000_000), Verdict::Unknown);
        rival.reach_end(0);
        assert_eq!(rival.verdict(0), Verdict::Nobody);
    }

    #[test]
    fn ticks_of_its_own_of_other_jobs_old_ones_and_last_ones_are_no_rival() {
        for (payload, age_ms) in [
            (tick("job", 20, false), 0),
            (tick("job", 10, false), 0),
            (tick("other", 30, false), 0),
            (tick("job", 30, true), 0),
            (tick("job", 30, false), SILENCE_MS + CLOCKS_APART_MAX_MS + 1),
            (b"{}".to_vec(), 0),
            (b"\xff".to_vec(), 0),
        ] {
            let mut rival = rival();
            rival.tick(&payload, Some(age_ms), 0);
            rival.reach_end(0);
            assert_eq!(rival.verdict(0), Verdict::Nobody, "{payload:?}");
        }
    }

    #[test]
    fn a_living_one_is_waited_for_until_it_was_silent_for_long_enough() {
        let mut rival = rival();
        rival.tick(&tick("job", 30, false), Some(1_000), 0);
        rival.reach_end(0);
        assert_eq!(rival.verdict(SILENCE_MS - 1), ALIVE_OR_DEAD);
        rival.tick(&tick("job", 30, false), None, 14_000);
        assert_eq!(rival.verdict(14_000 + SILENCE_MS - 1), ALIVE);
        assert_eq!(rival.verdict(14_000 + SILENCE_MS), Verdict::Nobody);
        // One that says goodbye need not be waited for.
        rival.tick(&tick("job", 30, false), None, 60_000);
        assert_eq!(rival.verdict(60_000), ALIVE);
        rival.tick(&tick("job", 30, true), None, 60_001);
        assert_eq!(rival.verdict(60_001), Verdict::Nobody);
    }

    #[test]
    fn silence_counts_only_while_something_could_be_heard() {
        let mut rival = rival();
        rival.tick(&tick("job", 30, false), Some(0), 0);
        rival.reach_end(0);
        rival.go_deaf();
        assert_eq!(rival.verdict(1_000_000), Verdict::Unknown);
        rival.tick(&tick("job", 30, false), Some(0), 1_000_000);
        rival.reach_end(1_000_000);
        assert_eq!(rival.verdict(1_000_001), ALIVE_OR_DEAD);
    }

    #[test]
    fn after_a_loss_somebody_may_not_have_spoken_yet() {
        let mut rival = rival();
        rival.lose();
        rival.tick(&tick("job", 20, false), Some(0), 0);
        rival.reach_end(0);
        assert_eq!(rival.verdict(SILENCE_MS - 1), Verdict::Unknown);
        assert_eq!(rival.verdict(SILENCE_MS), Verdict::Nobody);
        rival.tick(&tick("job", 30, false), Some(0), SILENCE_MS + 1);
        assert_eq!(rival.verdict(SILENCE_MS + 1), ALIVE);
    }
}
