//! How a shard answers barriers: what is long it does in slices, so that its worker is never away from its batches for
//! longer than one of them takes.

use super::Shard;
use crate::engine::barrier::{Answer, Question};
use crate::engine::trailing::Slice;

impl Shard {
    /// Answers a barrier, and packs and forgets what it says, in one go.
    pub fn answer(&mut self, question: &Question) -> Answer {
        self.ask(question);
        loop {
            if let (_, Some(answer)) = self.step()
                && self.answers.is_empty()
            {
                return answer;
            }
        }
    }

    /// Takes a barrier's question, and packs and forgets what it says. [`step`](Self::step) gives the answer, which is
    /// that of this moment, whatever is recorded until then.
    pub fn ask(&mut self, question: &Question) {
        if self.saving.is_busy() || question.trailing.is_some() || question.save {
            // What waits is of before this barrier: a save under way needs the windows as they are, and another pass, or a
            // save, which is of everything, the table as it is now.
            self.finish_pass();
        }
        let windows = question.windows.iter().map(|id| self.tally(*id)).collect();
        for id in &question.evicted {
            self.windows.remove(*id);
        }
        for id in &question.cooled {
            self.cool(*id);
        }
        self.answers.push_back(Answer {
            trailing: None,
            windows,
            saved: None,
            trouble: self.saving.take_trouble(),
        });
        if let Some(starts) = &question.trailing {
            self.trailing.begin(starts);
        }
        if question.save {
            self.begin_save();
        }
        if question.trailing.is_some() || question.save {
            self.passes_for = self.answers.len() - 1;
        }
    }

    /// Whether [`step`](Self::step) has something to do.
    #[must_use]
    pub fn is_busy(&self) -> bool {
        self.saving.is_busy() || self.trailing.is_busy() || !self.answers.is_empty()
    }

    /// Works on what is under way for no longer than a batch takes. Returns what that came to, and the next answer, in the
    /// order of the questions, if it is there.
    pub fn step(&mut self) -> (Option<Slice>, Option<Answer>) {
        (self.pass_on(), self.take_answer())
    }

    /// Does the rest of a pass in one go, and records what has waited for its end.
    pub(super) fn finish_pass(&mut self) {
        while self.pass_on().is_some() {}
    }

    /// One slice of what is under way, if anything is.
    fn pass_on(&mut self) -> Option<Slice> {
        let (mut slice, saved) = if self.saving.is_busy() {
            self.step_save()
        } else if self.trailing.is_busy() {
            (self.trailing.step(), None)
        } else {
            return None;
        };
        if let Some(tallies) = slice.tallies.take() {
            self.answers[self.passes_for].trailing = Some(tallies);
        }
        if let Some(saved) = saved {
            self.answers[self.passes_for].saved = Some(saved);
        }
        Some(slice)
    }

    fn take_answer(&mut self) -> Option<Answer> {
        let is_passing = self.trailing.is_passing() || self.saving.is_saving();
        if is_passing && self.passes_for == 0 {
            return None;
        }
        let answer = self.answers.pop_front()?;
        self.passes_for = self.passes_for.saturating_sub(1);
        Some(answer)
    }
}
