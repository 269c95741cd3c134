//! Lives of the service that go on from one another: each is a trial of its own, from where the state is.

use headcount::engine::checkpoint::Commit;
use headcount::limits::{COMMIT_RETRY_MS, UNSAVED_FINALS_MAX};

use super::check::Checker;
use super::dice::Dice;
use super::engine::Engine;
use super::kept::{Kept, Mark, Moment, Plan, Reopened, Way, Wrote};
use super::model::Model;
use super::scenario::{Scenario, Schedule};
use super::settings;
use super::steps::{Ask, END, HOUSEKEEPING, Step, TICK};
use super::trial::Trial;

/// No checkpoint is waited for longer than its lag and all its tries take.
const WAITS: usize = 200;

impl Trial {
    /// One that keeps a state, which is empty yet.
    pub fn keeping(scenario: &Scenario, schedule: &Schedule, plan: &Plan, dice: &mut Dice) -> Self {
        let kept = Kept::new(scenario, plan, schedule.begin_ms);
        let build = settings::build(dice);
        let (engine, records) = Engine::keep(scenario, build, kept.epoch, None, kept.store());
        let trouble = dice.pick(&[0, 6, 30, 200]);
        let mut trial = Self::with_engine(scenario, engine, kept.epoch, trouble);
        trial.output.begin_life(records, 1, false);
        trial.kept = Some(kept);
        trial.reach(if plan.in_file {
            "saved in a file"
        } else {
            "saved in memory"
        });
        trial
    }

    /// A moment at which the life may end; returns whether it has.
    pub fn pass(&mut self, moment: Moment) -> bool {
        self.kept.as_mut().is_some_and(|kept| kept.pass(moment))
    }

    pub fn is_dead(&self) -> bool {
        self.kept.as_ref().is_some_and(Kept::has_ended)
    }

    /// Whether nothing more is to be read in this life.
    pub fn is_over(&self) -> bool {
        let is_told = |kept: &Kept| kept.is_told() || kept.has_ended();
        self.kept.as_ref().is_some_and(is_told)
    }

    /// Saves with a barrier too if so many finals wait for that, and not while a checkpoint is under way.
    pub fn with_save(&self, step: Step) -> Step {
        let (Step::Barrier(ask), Some(kept)) = (step, &self.kept) else {
            return step;
        };
        let save = (ask.save || self.is_pressing()) && !kept.is_under_way();
        Step::Barrier(ask.with_save(save))
    }

    fn is_pressing(&self) -> bool {
        self.output.outbox.unsaved_finals() >= UNSAVED_FINALS_MAX
    }

    pub fn save_is_due(&self, now_ms: i64, slack_ms: i64) -> bool {
        let kept = self.kept.as_ref();
        self.model.read() > 0 && kept.is_some_and(|kept| kept.is_due(now_ms, slack_ms))
    }

    pub fn save_if_due(&mut self, now_ms: i64) {
        let can_save = self.kept.as_ref().is_some_and(|kept| !kept.is_under_way());
        if can_save && (self.is_pressing() || self.save_is_due(now_ms, 0)) {
            self.step(Step::Barrier(HOUSEKEEPING.with_save(true)), now_ms);
        }
    }

    fn mark(&self) -> Mark {
        Mark {
            model: self.model.clone(),
            checker: None,
            frames: self.frames.clone(),
            fates: self.fates.clone(),
            steps: self.steps.len(),
            is_whole: true,
        }
    }

    /// A barrier saves what is known now; after the end of the input what was known then, and what was said since.
    pub fn ask_to_save(&mut self, is_whole: bool) {
        let mut mark = match &mut self.before_end {
            Some(before) => {
                before.model.take_words(&self.model);
                before.clone()
            }
            None => self.mark(),
        };
        mark.is_whole = is_whole;
        if let Some(kept) = &mut self.kept {
            kept.ask(mark, self.now_ms);
        }
    }

    /// A checkpoint is put together.
    pub fn write(&mut self, commit: Commit) {
        let checker = self.checker.clone();
        if let Some(kept) = &mut self.kept {
            kept.write(commit, Some(checker), self.now_ms);
        }
    }

    /// Time passes for disk and output.
    pub fn turn(&mut self, now_ms: i64) {
        self.tend(now_ms);
        if self.is_dead() {
            return;
        }
        let turned = self.output.turn();
        if turned.sent && self.pass(Moment::Sent) {
            self.reach("life ended while finals were under way");
        }
        if turned.acknowledged && !self.is_dead() && self.pass(Moment::Acknowledged) {
            self.reach("life ended between acknowledgement and trim");
        }
    }

    fn tend(&mut self, now_ms: i64) {
        let Some(kept) = &mut self.kept else { return };
        match kept.tend(now_ms) {
            Wrote::Nothing => {}
            Wrote::Failed => self.reach("checkpoint tried again"),
            Wrote::Checkpoint { commit, steps } => {
                self.enter(&commit, steps);
                if !self.pass(Moment::Written) && !self.is_dead() {
                    self.engine.keeping().note_written(&mut self.output.outbox);
                }
            }
        }
    }

    /// A checkpoint is in the state: from now on its finals may go out, and a run to which nothing happened has to have come
    /// to the same.
    fn enter(&mut self, commit: &Commit, steps: Option<usize>) {
        self.output.note_saved(&commit.records);
        if let (Some(kept), Some(steps)) = (&mut self.kept, steps) {
            kept.twin.compare(&self.steps[..steps], commit);
        }
    }

    /// Waits until no checkpoint is under way.
    fn wait_for_disk(&mut self) {
        for _ in 0..WAITS {
            self.engine.drain();
            self.take_reports();
            self.tend(self.now_ms);
            if self.is_dead() || self.kept.as_ref().is_none_or(|k| !k.is_under_way()) {
                return;
            }
            self.now_ms += COMMIT_RETRY_MS as i64;
        }
        panic!("a checkpoint is neither written nor given up");
    }

    /// The end of a life that was told to end, or that has read everything: the last records, and a state that has them.
    pub fn leave(&mut self, is_resumed: bool, ends: bool, now_ms: i64) {
        self.now_ms = now_ms.max(self.now_ms);
        if self.is_dead() {
            return;
        }
        if let Some(kept) = self.kept.as_mut().filter(|kept| !kept.is_told()) {
            kept.end_late();
        }
        self.wait_for_disk();
        if ends {
            self.end_input();
        }
        if is_resumed {
            self.save_all(TICK);
        }
        let is_told = self.kept.as_ref().is_some_and(Kept::is_told);
        if is_told {
            // As many as there is time for.
            for _ in 0..3 {
                self.turn(self.now_ms);
            }
        } else if !self.is_dead() {
            self.output.recover();
        }
        if self.is_dead() {
            return;
        }
        if let Some(commit) = self.engine.keeping().trim(&mut self.output.outbox)
            && let Some(kept) = &mut self.kept
        {
            kept.write(commit, None, self.now_ms);
        }
        self.wait_for_disk();
        if let Some(kept) = self
            .kept
            .as_mut()
            .filter(|kept| is_told && !kept.has_ended())
        {
            kept.stop();
        }
    }

    /// A barrier that saves, and if some was left for the next one, that one too.
    fn save_all(&mut self, ask: Ask) {
        for (nth, ask) in [ask, HOUSEKEEPING].into_iter().enumerate() {
            let loose = self.kept.as_ref().is_some_and(Kept::has_loose_ends);
            if !self.is_dead() && (nth == 0 || loose) {
                self.step(Step::Barrier(ask.with_save(true)), self.now_ms);
                self.wait_for_disk();
            }
        }
    }

    /// Every window is closed. Frames that wait are settled for the records alone.
    fn end_input(&mut self) {
        let partitions = 0..self.model.partitions();
        for partition in partitions.clone() {
            self.step(Step::Close(partition), self.now_ms);
        }
        self.save_all(HOUSEKEEPING);
        if self.is_dead() {
            return;
        }
        self.before_end = Some(self.mark());
        self.step(Step::EndInput, self.now_ms);
        for partition in partitions {
            self.step(Step::Finish(partition), self.now_ms);
        }
        self.save_all(END);
    }

    /// Another process goes on from what is there; false if the last one has come to its end.
    pub fn next_life(&mut self, scenario: &Scenario, now_ms: i64) -> bool {
        let Some(mut kept) = self.kept.take() else {
            return false;
        };
        let reopened = kept.reopen(scenario);
        self.kept = Some(kept);
        let Some(reopened) = reopened else {
            return false;
        };
        self.reach_life(&reopened);
        if let Wrote::Checkpoint { commit, steps } = &reopened.found {
            self.enter(commit, *steps);
        }
        self.go_back(scenario);
        self.take_up(scenario, reopened, now_ms);
        true
    }

    fn reach_life(&mut self, reopened: &Reopened) {
        self.reach(match reopened.way {
            Way::Killed | Way::StateLost => "killed",
            Way::PowerCut => "power cut",
            Way::Stopped => "stopped",
            Way::DiskFails => "left with its failure",
        });
        match &reopened.loaded {
            None => self.reach("nothing was saved yet"),
            Some(loaded) if !loaded.records.is_empty() => self.reach("finals sent again"),
            Some(_) => {}
        }
        if reopened.is_copy {
            self.reach("copy taken up");
        }
        if matches!(reopened.found, Wrote::Checkpoint { .. }) {
            self.reach("checkpoint that nobody was told of");
        }
    }

    /// Everything after the checkpoint is as if it had never been.
    fn go_back(&mut self, scenario: &Scenario) {
        self.expected.clear();
        self.reports.clear();
        if self.before_end.take().is_some() {
            self.reach("input ended, and went on");
        }
        let mark = self.kept.as_ref().and_then(Kept::mark).cloned();
        let Some(mark) = mark else {
            self.model = Model::new(scenario.rules.clone(), scenario.topic.clone());
            self.checker = Checker::new(scenario, 0);
            (self.frames, self.fates) = Default::default();
            self.steps.clear();
            return;
        };
        self.model = mark.model;
        self.checker = mark.checker.expect("its records were looked at");
        (self.frames, self.fates) = (mark.frames, mark.fates);
        self.steps.truncate(mark.steps);
    }

    fn take_up(&mut self, scenario: &Scenario, reopened: Reopened, now_ms: i64) {
        let Some(kept) = &mut self.kept else { return };
        let Reopened {
            loaded, is_copy, ..
        } = reopened;
        let before = loaded.as_ref().map_or(0, |loaded| loaded.epoch);
        kept.begin(now_ms, before);
        let build = settings::build(&mut kept.dice);
        let (engine, records) =
            Engine::keep(scenario, build, kept.epoch, loaded.clone(), kept.store());
        self.engine = engine;
        if let Some(loaded) = &loaded {
            kept.compare_whole(scenario, &self.steps, loaded, &self.engine);
            self.model.take_up();
        }
        self.checker.take_up(kept.epoch, self.model.windows());
        let next_seq = self.model.next_seq();
        self.output.begin_life(records, next_seq, is_copy);
        self.now_ms = now_ms;
    }

    /// At the end of all lives.
    pub fn check_state(&mut self, scenario: &Scenario) {
        if let Some(kept) = &mut self.kept {
            let loaded = kept.check_end();
            let (taken_up, _) = Engine::keep(
                scenario,
                settings::build(&mut kept.dice),
                kept.epoch,
                Some(loaded.clone()),
                kept.store(),
            );
            kept.compare_whole(scenario, &self.steps, &loaded, &taken_up);
            // What was saved is what is at work, unless that has settled what waits.
            let has_ended = self.before_end.is_some();
            let same = has_ended || taken_up.trailing_bytes() == self.engine.trailing_bytes();
            assert!(same, "the trailing table that was saved");
        }
    }
}
