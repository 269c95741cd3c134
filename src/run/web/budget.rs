//! How much may be asked: so many questions a second, and of what is counted out for them no more than a small share of a
//! core. Time is an argument.

use crate::limits::{QUESTION_WORK_BURST_US, QUESTION_WORK_US_PER_S, QUESTIONS_PER_S_MAX};

/// What may still be asked.
#[derive(Debug)]
pub(super) struct Budget {
    at_ms: u64,
    /// In thousandths of a question.
    questions: u64,
    /// Microseconds of work; less than nothing after a question that took more than there was.
    work_us: i64,
}

const FULL: u64 = QUESTIONS_PER_S_MAX * 1_000;

impl Budget {
    pub(super) fn new(now_ms: u64) -> Self {
        Self {
            at_ms: now_ms,
            questions: FULL,
            work_us: QUESTION_WORK_BURST_US,
        }
    }

    fn refill(&mut self, now_ms: u64) {
        let passed_ms = now_ms.saturating_sub(self.at_ms);
        self.at_ms = self.at_ms.max(now_ms);
        self.questions = FULL.min(self.questions + passed_ms * QUESTIONS_PER_S_MAX);
        let work_us = i64::try_from(passed_ms).unwrap_or(i64::MAX);
        let work_us = work_us.saturating_mul(QUESTION_WORK_US_PER_S) / 1_000;
        self.work_us = QUESTION_WORK_BURST_US.min(self.work_us.saturating_add(work_us));
    }

    /// Takes one question, or says in how many seconds one can be taken.
    pub(super) fn take(&mut self, now_ms: u64) -> Result<(), u64> {
        // Time that is too short to give anything must not be lost.
        if now_ms > self.at_ms {
            self.refill(now_ms);
        }
        if self.work_us <= 0 {
            let missing_us = self.work_us.unsigned_abs() + 1;
            return Err(missing_us.div_ceil(QUESTION_WORK_US_PER_S.unsigned_abs()));
        }
        self.questions = self.questions.checked_sub(1_000).ok_or(1u64)?;
        Ok(())
    }

    /// Notes what a question cost.
    pub(super) fn spend(&mut self, work_us: u64) {
        let work_us = i64::try_from(work_us).unwrap_or(i64::MAX);
        self.work_us = self.work_us.saturating_sub(work_us);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_gets_so_many_a_second() {
        let mut budget = Budget::new(0);
        let taken = (0..100_000u64)
            .filter(|i| budget.take(i / 10).is_ok())
            .count() as u64;
        // The first second's, and those of the ten seconds that pass.
        assert_eq!(taken, QUESTIONS_PER_S_MAX + 10 * QUESTIONS_PER_S_MAX - 1);
        assert_eq!(budget.take(9_999), Err(1));
    }

    #[test]
    fn dear_questions_are_fewer() {
        let mut budget = Budget::new(0);
        budget.take(0).unwrap();
        budget.spend(QUESTION_WORK_BURST_US as u64 + 10 * QUESTION_WORK_US_PER_S as u64);
        assert_eq!(budget.take(0), Err(11));
        assert_eq!(budget.take(9_000), Err(2));
        assert_eq!(budget.take(11_000), Ok(()));
    }
}
