//! A state that the service keeps: when it is saved, what is under way, what the disk must hold, and what a life that goes
//! on from it knows.

use std::collections::HashMap;

use headcount::engine::checkpoint::{Commit, Loaded};
use headcount::io::store::memory::MemoryStore;
use headcount::io::store::{Store, StoreError};
use headcount::limits::{COMMIT_RETRY_MS, COMMIT_TRIES_MAX};

use super::check::Checker;
use super::dice::Dice;
use super::engine::Engine;
use super::model::{Key, Model};
use super::place::{Copied, Mishap, Place};
use super::scenario::Scenario;
use super::settings;
use super::steps::{Fate, Step};
use super::twin::Twin;

/// Past so many checkpoints in a life they come twice as seldom, and so on.
const CHECKPOINTS: usize = 10;

/// Where a life ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moment {
    /// Before anything happens.
    Step,
    /// While a checkpoint is written.
    Writing,
    /// It is written, and nobody knows of it yet.
    Written,
    /// Finals are sent and not answered for.
    Sent,
    /// They are answered for, and no checkpoint says so.
    Acknowledged,
}

/// How a life ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    Killed,
    PowerCut,
    /// It was told to end.
    Stopped,
    /// The disk fails from then on, until the service leaves.
    DiskFails,
    /// It is killed, its state is lost, and the copy that was put aside takes its place.
    StateLost,
}

#[derive(Debug, Clone, Copy)]
pub struct Death {
    pub way: Way,
    pub moment: Moment,
    /// How often the moment comes and goes before.
    pub after: usize,
}

/// How the state is kept, and what happens to the service.
#[derive(Debug, Clone)]
pub struct Plan {
    pub in_file: bool,
    pub interval_ms: i64,
    /// How long it takes to write a checkpoint.
    pub lag_ms: i64,
    /// Once in so many tries to write one, something fails; 0 is never.
    pub faults: usize,
    pub deaths: Vec<Death>,
}

/// What a life knows that goes on from a checkpoint.
#[derive(Clone)]
pub struct Mark {
    pub model: Model,
    /// Unknown until the records of the checkpoint's barrier have been looked at.
    pub checker: Option<Checker>,
    pub frames: HashMap<Key, u64>,
    pub fates: HashMap<(usize, i64), Fate>,
    /// Steps up to it.
    pub steps: usize,
    /// Whether everything that was due at its moment is in it. Of one of which some is left for the next barrier the model
    /// does not know what, so no life ends at it.
    pub is_whole: bool,
}

struct Writing {
    commit: Commit,
    /// `None` for one that only takes out what the output has.
    mark: Option<Mark>,
    due_ms: i64,
    tries: usize,
}

struct Copy {
    copied: Copied,
    held: MemoryStore,
    mark: Mark,
}

pub struct Kept {
    plan: Plan,
    pub epoch: u64,
    place: Place,
    /// What the place must hold: every checkpoint that was confirmed.
    held: MemoryStore,
    /// Of the last of these.
    mark: Option<Mark>,
    /// One that was asked for and is not put together yet.
    asked: Option<Mark>,
    writing: Option<Writing>,
    copy: Option<Copy>,
    pub twin: Twin,
    checkpoints: usize,
    next_save_ms: i64,
    /// The next of the plan's deaths.
    death: Option<Death>,
    deaths: usize,
    /// Whether the disk fails whatever is tried.
    disk_fails: bool,
    /// Whether the service is told to end.
    is_told: bool,
    /// How this life has ended.
    ended: Option<Way>,
    pub dice: Dice,
}

/// What came of time passing.
pub enum Wrote {
    Nothing,
    /// It was tried in vain.
    Failed,
    /// A checkpoint, of which these steps are part if it is not only a trim.
    Checkpoint {
        commit: Box<Commit>,
        steps: Option<usize>,
    },
}

impl Kept {
    pub fn new(scenario: &Scenario, plan: &Plan, begin_ms: i64) -> Self {
        let mut dice = Dice::new(scenario.seed ^ 0x6b65_7074);
        let twin = Twin::new(scenario, settings::build(&mut dice));
        let mut kept = Self {
            plan: plan.clone(),
            epoch: begin_ms as u64,
            place: if plan.in_file {
                Place::file(&mut dice)
            } else {
                Place::memory()
            },
            held: MemoryStore::default(),
            mark: None,
            asked: None,
            writing: None,
            copy: None,
            twin,
            checkpoints: 0,
            next_save_ms: begin_ms + plan.interval_ms,
            death: plan.deaths.first().copied(),
            deaths: 0,
            disk_fails: false,
            is_told: false,
            ended: None,
            dice,
        };
        assert!(kept.place.open().is_none(), "nothing is there yet");
        kept
    }

    /// The sketches that were written.
    pub fn store(&self) -> &MemoryStore {
        &self.held
    }

    pub fn mark(&self) -> Option<&Mark> {
        self.mark.as_ref()
    }

    pub fn has_ended(&self) -> bool {
        self.ended.is_some()
    }

    pub fn is_under_way(&self) -> bool {
        self.asked.is_some() || self.writing.is_some()
    }

    pub fn is_due(&self, now_ms: i64, slack_ms: i64) -> bool {
        !self.is_under_way() && now_ms + slack_ms >= self.next_save_ms
    }

    /// A barrier saves the state, as it is now.
    pub fn ask(&mut self, mark: Mark, now_ms: i64) {
        assert!(
            !self.is_under_way(),
            "one checkpoint is under way at a time"
        );
        self.checkpoints += 1;
        let times = 1 << (self.checkpoints / CHECKPOINTS).min(30);
        self.next_save_ms = now_ms + times * self.plan.interval_ms;
        self.asked = Some(mark);
    }

    /// It is put together, and handed over to be written.
    pub fn write(&mut self, commit: Commit, checker: Option<Checker>, now_ms: i64) {
        let mut mark = self.asked.take();
        assert_eq!(mark.is_some(), checker.is_some(), "a checkpoint or a trim");
        if let Some(mark) = &mut mark {
            mark.checker = checker;
        }
        let lag_ms = self.dice.between(0, 2 * self.plan.lag_ms + 1);
        self.writing = Some(Writing {
            commit,
            mark,
            due_ms: now_ms + lag_ms,
            tries: 0,
        });
    }

    /// A moment at which the life may end; returns whether it does.
    pub fn pass(&mut self, moment: Moment) -> bool {
        if self.has_ended() || !self.is_whole() {
            return self.has_ended();
        }
        let Some(death) = self.death.as_mut().filter(|d| d.moment == moment) else {
            return false;
        };
        if death.after > 0 {
            death.after -= 1;
            return false;
        }
        match death.way {
            Way::DiskFails => self.disk_fails = true,
            Way::Stopped => self.is_told = true,
            way => self.ended = Some(way),
        }
        self.death = None;
        self.has_ended()
    }

    fn is_whole(&self) -> bool {
        let writing = self.writing.as_ref().and_then(|w| w.mark.as_ref());
        self.mark.iter().chain(writing).all(|mark| mark.is_whole)
    }

    /// Whether a checkpoint that everything is in would have to follow before the life can end.
    pub fn has_loose_ends(&self) -> bool {
        !self.is_whole() || self.asked.as_ref().is_some_and(|mark| !mark.is_whole)
    }

    /// A life has read everything, and what was to end it has not come to pass: then it does now.
    pub fn end_late(&mut self) {
        if let Some(death) = &mut self.death {
            (death.moment, death.after) = (Moment::Step, 0);
        }
        self.pass(Moment::Step);
    }

    /// Whether the service is told to end, and has not yet.
    pub fn is_told(&self) -> bool {
        self.is_told
    }

    /// It has done as it was told.
    pub fn stop(&mut self) {
        self.ended = Some(Way::Stopped);
    }

    /// Time passes for whoever writes: a checkpoint that is due is tried.
    pub fn tend(&mut self, now_ms: i64) -> Wrote {
        if self.has_ended() || self.writing.as_ref().is_none_or(|w| w.due_ms > now_ms) {
            return Wrote::Nothing;
        }
        self.keep_copy();
        let dies = self.pass(Moment::Writing);
        let mishap = match self.ended {
            Some(Way::PowerCut) => Some(Mishap::Cut),
            None if self.disk_fails => Some(Mishap::Failing),
            None => {
                let fails = self.plan.faults > 0 && self.dice.once_in(self.plan.faults);
                fails.then_some(Mishap::Fault)
            }
            Some(_) => Some(Mishap::Kill),
        };
        let Some(writing) = &mut self.writing else {
            return Wrote::Nothing;
        };
        let written = self.place.commit(&writing.commit, mishap, &mut self.dice);
        match written {
            Ok(()) => self.confirm(),
            Err(StoreError::Unavailable(_)) => {
                writing.tries += 1;
                writing.due_ms = now_ms + COMMIT_RETRY_MS as i64;
                if !dies && writing.tries >= COMMIT_TRIES_MAX {
                    self.ended = Some(Way::DiskFails);
                }
                Wrote::Failed
            }
            Err(error) => panic!("the state is not to be used: {error}"),
        }
    }

    fn confirm(&mut self) -> Wrote {
        let Some(Writing { commit, mark, .. }) = self.writing.take() else {
            return Wrote::Nothing;
        };
        self.held.commit(&commit).unwrap();
        let steps = mark.as_ref().map(|mark| mark.steps);
        self.mark = mark.or(self.mark.take());
        let commit = Box::new(commit);
        Wrote::Checkpoint { commit, steps }
    }

    /// Now and then what is there is put aside, before the next checkpoint changes it.
    fn keep_copy(&mut self) {
        let is_whole = self.mark.as_ref().is_some_and(|mark| mark.is_whole);
        let wants = self.copy.is_none() || self.dice.once_in(6);
        let goes_back = self.plan.deaths.iter().any(|d| d.way == Way::StateLost);
        let first_try = self.writing.as_ref().is_some_and(|w| w.tries == 0);
        if let Some(mark) = self
            .mark
            .as_ref()
            .filter(|_| is_whole && wants && goes_back && first_try)
        {
            self.copy = Some(Copy {
                copied: self.place.copy(),
                held: self.held.snapshot(),
                mark: mark.clone(),
            });
        }
    }

    /// What is there after the end of a life, and whether it is an old copy. `None` after the last one.
    pub fn reopen(&mut self, scenario: &Scenario) -> Option<Reopened> {
        let way = self.ended.take()?;
        self.deaths += 1;
        self.death = self.plan.deaths.get(self.deaths).copied();
        (self.disk_fails, self.is_told) = (false, false);
        self.asked = None;
        self.checkpoints = 0;
        match way {
            Way::PowerCut => self.place.cut(&mut self.dice),
            _ => self.place.kill(&mut self.dice),
        }
        let copy = self.copy.take_if(|_| way == Way::StateLost);
        let is_copy = copy.is_some();
        if let Some(copy) = copy {
            self.place.put_back(&copy.copied, &mut self.dice);
            (self.held, self.mark, self.writing) = (copy.held, Some(copy.mark), None);
            self.twin = Twin::new(scenario, settings::build(&mut self.dice));
        }
        let loaded = sorted(self.place.open());
        let found = self.identify(loaded.as_ref());
        Some(Reopened {
            way,
            loaded,
            is_copy,
            found,
        })
    }

    /// A life begins, behind one of another epoch.
    pub fn begin(&mut self, now_ms: i64, epoch_before: u64) {
        self.epoch = (now_ms as u64).max(epoch_before + 1);
        self.next_save_ms = now_ms + self.plan.interval_ms;
    }

    /// Compares a state, and the engine that took it up, with the twin.
    pub fn compare_whole(
        &mut self,
        scenario: &Scenario,
        steps: &[(i64, Step)],
        loaded: &Loaded,
        taken_up: &Engine,
    ) {
        let mut shelf = self.held.shelf().unwrap();
        self.twin.follow(steps);
        self.twin
            .compare_whole(scenario, loaded, &mut *shelf, taken_up);
    }

    /// It must be the last one confirmed, or the one that was being written.
    fn identify(&mut self, loaded: Option<&Loaded>) -> Wrote {
        let is_held = sorted(self.held.load().unwrap()).as_ref() == loaded;
        if is_held {
            self.writing = None;
            return Wrote::Nothing;
        }
        assert!(self.writing.is_some(), "what was confirmed is there");
        // Sketches that the dead process had on its shelf are its own.
        self.held = self.held.snapshot();
        let found = self.confirm();
        let same = sorted(self.held.load().unwrap()).as_ref() == loaded;
        assert!(same, "what is there is what was written, as a whole");
        found
    }

    /// What is there now is what was confirmed. At the end of all lives nothing waits for the output.
    pub fn check_end(&mut self) -> Loaded {
        let held = sorted(self.held.load().unwrap());
        let found = sorted(self.place.load());
        assert!(found == held, "what was confirmed is there");
        let found = found.expect("something was saved");
        assert!(found.records.is_empty(), "what was acknowledged is trimmed");
        found
    }
}

/// What another life finds.
pub struct Reopened {
    pub way: Way,
    pub loaded: Option<Loaded>,
    pub is_copy: bool,
    /// A checkpoint that nobody had been told of.
    pub found: Wrote,
}

/// Which order rows come in is no matter.
fn sorted(loaded: Option<Loaded>) -> Option<Loaded> {
    let mut loaded = loaded?;
    loaded.windows.sort_by_key(|(id, ..)| *id);
    loaded.stretches.sort_by_key(|s| (s.page, s.rank));
    Some(loaded)
}
