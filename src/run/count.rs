//! `headcount count`: the engine over lines.

mod files;
pub(super) mod state;

use std::io::{self, BufWriter};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use indicatif::{HumanCount, ProgressBar};

use self::state::{Begun, Saving};
use super::driver::Driver;
use super::keep::Keeper;
use super::lines::{Lines, Next, Then};
use super::pipeline::{Broken, Pipeline};
use super::progress::{bar, total_bytes};
use super::reporter::{Publisher, Report};
use super::set_aside::SetAside;
use crate::config::CountConfig;
use crate::engine::admit::Arrival;
use crate::engine::barrier::Answer;
use crate::engine::catalog::Ask;
use crate::engine::checkpoint::keeping::Keeping;
use crate::engine::frame::Verdict;
use crate::engine::report::outbox::Outbox;
use crate::engine::report::record::Recorder;
use crate::error::Failure;
use crate::io::aside::Aside;
use crate::io::aside::lines::FileAside;
use crate::io::clock::{Clock, SystemClock};
use crate::io::print::{Printer, printer};
use crate::io::source::lines::{BytesRead, Input};
use crate::limits::{DELIVERY_POLL_MS, FRAMES_PER_ROUND, PROGRESS_EVERY_MS};
use crate::observe::happenings::{UnitMistaken, WhyNot};
use crate::observe::rejects::RejectLog;

/// Counts the inputs and prints the result.
///
/// # Errors
///
/// An input that cannot be read, or an output that cannot be written.
pub fn run(config: &CountConfig) -> Result<(), Failure> {
    let counting = &config.counting;
    let bytes = BytesRead::default();
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let Begun {
        admission,
        shards,
        mut lines,
        kept,
        mut saving,
    } = state::begin(config, &clock, &bytes)?;
    let calendar = &counting.rules.calendar;
    let publisher = Print {
        recorder: Recorder::new(counting.precision, calendar.clone(), None),
        printer: printer(config.format, Box::new(BufWriter::new(io::stdout()))),
        kept,
        outbox: Outbox::default(),
    };
    let start = if config.threads == 1 {
        Pipeline::here
    } else {
        Pipeline::start
    };
    let pipeline = start(counting.precision, shards, Box::new(publisher))?;
    let mut driver = Driver::new(
        admission,
        pipeline,
        // The bounded queue to the reporter is gate enough: it prints as fast as the reader takes it.
        Box::new(|| ()),
        SetAside::new(
            aside(config.rejects_file.as_ref(), config.state.is_some())?,
            aside(config.quarantine_file.as_ref(), config.state.is_some())?,
        ),
    );
    match &mut saving {
        Some(saving) => saving.add_partitions(&mut driver, config.inputs.len()),
        None => {
            for input in &config.inputs {
                driver.add_partition(input.name(), (String::new(), input.name()), 0, true);
            }
        }
    }
    let mut progress = Progress::new(&config.inputs, bytes);
    let outcome = read_all(&mut lines, &mut driver, &mut saving, &mut progress);
    progress.tell(lines.unit_mistaken(true));
    progress.bar.finish_and_clear();
    let ended = outcome.and_then(|()| end(&mut lines, &mut driver, saving.as_ref()).or(Ok(())));
    let ended = ended.and(driver.aside.finish(&mut || true));
    driver.tell_too_old();
    let finished = driver.into_pipeline().finish(u64::MAX);
    // What the reporter failed with explains why the pipeline broke; a torn input is worth more than that.
    ended.and(finished)
}

fn aside(path: Option<&PathBuf>, goes_on: bool) -> Result<Option<Box<dyn Aside>>, Failure> {
    // With a state, runs that follow one another are one count.
    let open = if goes_on {
        FileAside::behind
    } else {
        FileAside::create
    };
    let aside = path.map(|path| open(path));
    Ok(aside
        .transpose()?
        .map(|aside| Box::new(aside) as Box<dyn Aside>))
}

fn read_all(
    lines: &mut Lines,
    driver: &mut Driver,
    saving: &mut Option<Saving>,
    progress: &mut Progress,
) -> Result<(), Failure> {
    let mut rejects = RejectLog::default();
    let mut is_broken = false;
    while !lines.is_finished() && !is_broken {
        lines.take(FRAMES_PER_ROUND, |next| {
            let then = match next {
                Next::Line {
                    input,
                    offset,
                    verdict,
                    text,
                } => {
                    let partition = partition_of(saving.as_ref(), input);
                    if let Some(saving) = saving {
                        saving.note(input, text.unwrap_or_default());
                    }
                    let arrival = Arrival {
                        partition,
                        offset,
                        appended: None,
                    };
                    is_broken |= driver.admit(arrival, text, verdict).is_err();
                    if let Verdict::Rejected(reason) = verdict {
                        let now_ms = progress.clock.monotonic_ms();
                        let name = &driver.partitions()[partition];
                        if let Some(line) =
                            rejects.line(now_ms, "", name, offset, WhyNot::Rejected(reason))
                        {
                            progress.bar.suspend(|| line.emit());
                        }
                    }
                    Then::Go(driver.admission.clock(partition))
                }
                Next::End(input) => {
                    let partition = partition_of(saving.as_ref(), input);
                    is_broken |= driver.finish(partition).is_err();
                    Then::Go(None)
                }
            };
            if is_broken { Then::Stop } else { then }
        })?;
        if let Some(saving) = saving {
            is_broken |= saving.save_if_due(driver).is_err();
        }
        progress.tell(lines.unit_mistaken(false));
        tell_quarantined(driver, &mut rejects, progress);
        driver.aside.tend(Duration::ZERO)?;
        progress.show(driver.admission.ledger().read);
    }
    if let Some(line) = rejects.rest() {
        progress.bar.suspend(|| line.emit());
    }
    Ok(())
}

/// Without a state every input is the partition of its own number.
fn partition_of(saving: Option<&Saving>, input: usize) -> usize {
    saving.map_or(input, |saving| saving.partition(input))
}

fn tell_quarantined(driver: &mut Driver, rejects: &mut RejectLog, progress: &Progress) {
    let now_ms = progress.clock.monotonic_ms();
    for (partition, offset, reason) in driver.take_quarantined() {
        let name = &driver.partitions()[partition];
        if let Some(line) = rejects.line(now_ms, "", name, offset, WhyNot::Quarantined(reason)) {
            progress.bar.suspend(|| line.emit());
        }
    }
}

/// Every window that is left, then the trailing ones and the ledger.
fn end(lines: &mut Lines, driver: &mut Driver, saving: Option<&Saving>) -> Result<(), Broken> {
    match saving {
        Some(saving) => saving.end(lines, driver)?,
        None => driver.end()?,
    }
    driver.barrier(Ask {
        trailing: true,
        ..Ask::default()
    })
}

struct Print {
    recorder: Recorder,
    printer: Box<dyn Printer>,
    /// `None` where nothing is saved.
    kept: Option<(Keeping, Keeper)>,
    /// Always empty: what is printed is with its reader.
    outbox: Outbox,
}

impl Publisher for Print {
    fn publish(&mut self, report: Report, mut answer: Answer) -> Result<(), Failure> {
        let sketches = answer.saved.take();
        let answer = &answer;
        let (snapshot, partitions) = (&report.snapshot, &report.partitions);
        let write = |error| Failure::writing("standard output", &error);
        for output in self.recorder.windows(snapshot, answer, partitions, 0) {
            self.printer.window(&output.record).map_err(write)?;
        }
        if let Some(stats) = self.recorder.stats(snapshot, answer, partitions, 0, None) {
            self.printer.finish(&stats).map_err(write)?;
        }
        if let (Some((keeping, keeper)), Some(saved)) = (&mut self.kept, report.saved) {
            // First: the state forgets windows, and says of others that they were printed.
            self.printer.flush().map_err(write)?;
            let sketches = sketches.unwrap_or_default();
            // One at a time; at the end they may follow one another.
            keeper.wait(keeping, &mut self.outbox)?;
            let commit = keeping.save(*saved, sketches, &report.places, &mut self.outbox);
            keeper.write(commit.map_err(Failure::State)?)?;
        }
        // While barriers follow one another closely nobody else asks, and until a checkpoint is noted there is no other.
        self.tend()
    }

    fn tend(&mut self) -> Result<(), Failure> {
        match &mut self.kept {
            Some((keeping, keeper)) => keeper.tend(keeping, &mut self.outbox),
            None => Ok(()),
        }
    }

    fn patience(&self) -> Duration {
        match self.kept {
            Some(_) => Duration::from_millis(DELIVERY_POLL_MS),
            None => Duration::from_secs(1),
        }
    }

    fn finish(&mut self, _deadline_ms: u64) -> Result<(), Failure> {
        match &mut self.kept {
            Some((keeping, keeper)) => {
                keeper.wait(keeping, &mut self.outbox)?;
                keeper.wait_for_last(keeping, &mut self.outbox)
            }
            None => Ok(()),
        }
    }
}

/// Bytes, frames a second and the time left, on standard error when that is a terminal.
struct Progress {
    bar: ProgressBar,
    bytes: BytesRead,
    clock: SystemClock,
    shown_ms: u64,
}

impl Progress {
    fn new(inputs: &[Input], bytes: BytesRead) -> Self {
        Self {
            bar: bar(total_bytes(inputs), "0 frames/s"),
            bytes,
            clock: SystemClock::new(),
            shown_ms: 0,
        }
    }

    fn tell(&self, mistake: Option<UnitMistaken>) {
        if let Some(mistake) = mistake {
            self.bar.suspend(|| mistake.emit());
        }
    }

    fn show(&mut self, frames: u64) {
        let now_ms = self.clock.monotonic_ms();
        if now_ms < self.shown_ms + PROGRESS_EVERY_MS || self.bar.is_hidden() {
            return;
        }
        self.shown_ms = now_ms;
        let rate = frames * 1_000 / now_ms.max(1);
        let bytes = self.bytes.load(Ordering::Relaxed);
        self.bar.set_position(bytes);
        let mb = bytes as f64 / now_ms.max(1) as f64 / 1e3;
        let text = format!("{} frames/s, {mb:.1} MB/s", HumanCount(rate));
        self.bar.set_message(text);
    }
}
