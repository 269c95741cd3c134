//! A live view at work: records in, keys in, screens out.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use crate::config::ViewConfig;
use crate::error::Failure;
use crate::io::clock::Clock;
use crate::io::front::picture::Picture;
use crate::io::front::plain::Plain;
use crate::io::front::screen::Screen;
use crate::io::front::{Change, Front, Wish};
use crate::io::published::{Heard, Published, Reader};
use crate::limits::{VIEW_OTHERS_MAX, VIEW_RECORDS_PER_STEP, VIEW_REDRAW_MS};
use crate::observe::screen::{Taken, lines, take};
use crate::view::Model;
use crate::view::heard::{Tick, Window};
use crate::view::screen::Theme;

/// What a view learns from whoever knows more than the topics say.
pub(super) trait Witness {
    /// The true counts at the offsets of a tick, if they are known.
    fn tick(&mut self, tick: &Tick) -> Option<[u64; 6]>;

    /// Takes note of a final window.
    fn finalized(&mut self, window: &Window);
}

/// One who knows nothing more.
pub(super) struct NoWitness;

impl Witness for NoWitness {
    fn tick(&mut self, _tick: &Tick) -> Option<[u64; 6]> {
        None
    }

    fn finalized(&mut self, _window: &Window) {}
}

/// Whose record it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Job {
    /// Of the job that is shown.
    Ours,
    /// Of another one, which should be told of.
    New,
    /// Of another one.
    Known,
}

/// The job that is shown, which is the first one seen unless it was named, and the others in its topics.
#[derive(Debug)]
struct Jobs {
    ours: Option<String>,
    others: Vec<String>,
}

impl Jobs {
    fn look(&mut self, job: &str) -> Job {
        if self.ours.get_or_insert_with(|| job.to_owned()) == job {
            return Job::Ours;
        }
        let is_known = self.others.iter().any(|other| other == job);
        if is_known || self.others.len() == VIEW_OTHERS_MAX {
            return Job::Known;
        }
        self.others.push(job.to_owned());
        Job::New
    }
}

/// A reader of records and the view that shows them.
pub(super) struct Viewing {
    // In the order of dropping: the terminal first, then the log lines that were not shown there. Leaving the brokers
    // may take a while.
    front: Box<dyn Front>,
    /// While a screen is open, log lines are shown there.
    log: Option<Taken>,
    reader: Reader,
    clock: Arc<dyn Clock>,
    /// What is shown.
    pub model: Model,
    jobs: Jobs,
    /// The last trouble that became news.
    told: Option<String>,
    is_silent: bool,
    drawn_ms: u64,
}

impl Viewing {
    pub(super) fn new(
        reader: Reader,
        view: &ViewConfig,
        model: Model,
        job: Option<String>,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, Failure> {
        let front: Box<dyn Front> = match view {
            ViewConfig::Plain => Box::new(Plain::new(io::stdout())),
            ViewConfig::Picture(path) => Box::new(Picture::new(path)?),
            ViewConfig::Screen { has_color } => Box::new(Screen::open(Theme {
                has_color: *has_color,
            })?),
        };
        let log = front.is_live().then(take);
        let mut viewing = Self {
            front,
            log,
            reader,
            clock,
            model,
            jobs: Jobs {
                ours: job,
                others: Vec::new(),
            },
            told: None,
            is_silent: false,
            drawn_ms: 0,
        };
        viewing.show(Change::Time)?;
        Ok(viewing)
    }

    /// Waits up to `wait` for something to hear, shows what there is, and tells what a person asked for.
    pub(super) fn step(
        &mut self,
        wait: Duration,
        witness: &mut dyn Witness,
    ) -> Result<Option<Wish>, Failure> {
        let mut wait = wait;
        for _ in 0..VIEW_RECORDS_PER_STEP {
            let Some(heard) = self.reader.next(wait) else {
                break;
            };
            wait = Duration::ZERO;
            self.hear(heard, witness)?;
        }
        if self.reader.take_brokers_down() {
            let why = "the brokers do not answer".to_owned();
            self.hear(Heard::Trouble(why), witness)?;
        }
        if self.log.is_some() {
            let now_ms = self.clock.unix_ms();
            for line in lines() {
                match line.is_warning {
                    true => self.model.warn(now_ms, line.text),
                    false => self.model.tell(now_ms, line.text),
                }
            }
        }
        if !self.front.is_live() {
            self.complain()?;
        }
        if self.front.is_live() && self.clock.monotonic_ms() >= self.drawn_ms + VIEW_REDRAW_MS {
            self.show(Change::Time)?;
        }
        self.front.wish()
    }

    fn hear(&mut self, heard: Heard, witness: &mut dyn Witness) -> Result<(), Failure> {
        let now_ms = self.clock.unix_ms();
        match heard {
            Heard::End => Ok(()),
            Heard::Trouble(why) | Heard::Away(why) | Heard::Missing(why) => {
                // Ticks may go on although a topic is missing: then only the news tells.
                if self.told.as_ref() != Some(&why) {
                    self.told = Some(why.clone());
                    self.model.warn(now_ms, why.clone());
                    self.show(Change::News)?;
                }
                self.model.trouble = Some(why);
                self.show(Change::Time)
            }
            Heard::Tick(Published { payload, at_ms }) => match Tick::parse(&payload) {
                Ok(tick) if self.is_ours(&tick.job) => {
                    let truth = witness.tick(&tick);
                    // A producer whose clock is ahead must not hide that it has fallen silent.
                    let at_ms = at_ms.map_or(now_ms, |at_ms| at_ms.min(now_ms));
                    self.model.take_tick(tick, truth, at_ms);
                    self.show(Change::Tick)
                }
                Ok(_) => Ok(()),
                Err(why) => self.refuse(&format!("a record of the ticks' topic is no tick: {why}")),
            },
            Heard::Window(Published { payload, at_ms }) => match Window::parse(&payload) {
                Ok(window) if window.is_final() && self.is_ours(&window.job) => {
                    witness.finalized(&window);
                    self.model.take_window(&window, at_ms.unwrap_or(now_ms));
                    self.show(Change::News)
                }
                Ok(_) => Ok(()),
                Err(why) => self.refuse(&format!(
                    "a record of the windows' topic is no window: {why}"
                )),
            },
        }
    }

    /// Where nothing is redrawn, what is wrong is said once, when it begins.
    fn complain(&mut self) -> Result<(), Failure> {
        let now_ms = self.clock.unix_ms();
        let silence = self.model.silence(now_ms);
        let was_silent = std::mem::replace(&mut self.is_silent, silence.is_some());
        match silence.filter(|_| !was_silent) {
            Some(why) => self.refuse(&why),
            None => Ok(()),
        }
    }

    fn refuse(&mut self, why: &str) -> Result<(), Failure> {
        self.model.warn(self.clock.unix_ms(), why.to_owned());
        self.show(Change::News)
    }

    fn is_ours(&mut self, job: &str) -> bool {
        let told = match self.jobs.look(job) {
            Job::Ours => return true,
            Job::Known => return false,
            Job::New => format!("job '{job}' publishes here too; --job {job} shows it"),
        };
        self.model.tell(self.clock.unix_ms(), told);
        false
    }

    /// Notes that something happened, and shows it.
    pub(super) fn tell(&mut self, text: &str) -> Result<(), Failure> {
        self.model.tell(self.clock.unix_ms(), text.to_owned());
        self.show(Change::News)
    }

    fn show(&mut self, change: Change) -> Result<(), Failure> {
        self.drawn_ms = self.clock.monotonic_ms();
        self.front.show(&self.model, change, self.clock.unix_ms())
    }

    /// Gives the terminal back.
    pub(super) fn close(mut self) -> Result<(), Failure> {
        self.front.close()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_jobs_are_told_of_once_and_not_without_an_end() {
        let mut jobs = Jobs {
            ours: None,
            others: Vec::new(),
        };
        assert_eq!(jobs.look("users"), Job::Ours);
        let others = (0..10_000).map(|n| jobs.look(&format!("job {n}")));
        let told = others.filter(|job| *job == Job::New).count();
        assert_eq!(told, VIEW_OTHERS_MAX);
        assert_eq!(jobs.look("job 0"), Job::Known);
        assert_eq!(jobs.look("users"), Job::Ours);
    }
}
