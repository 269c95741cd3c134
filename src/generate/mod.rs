//! Made-up frames with the traps of the field, and the exact counts to compare a result with.
//!
//! [`Traffic`] yields the frames of a [`Plan`] in the order of their arrival, [`Truth`] counts them, and [`run`]
//! does both between files. The same plan gives the same bytes on every machine. There is no clock in here: a
//! caller who wants the frames in real time holds each one back until its [`Sent::arrival_ms`].

mod calendar;
mod dice;
mod filler;
mod frame;
mod traffic;
mod truth;
mod uid;

pub use calendar::Period;
pub use traffic::{Sent, Traffic};
pub use truth::{ByPeriod, LastSeen, Report, Trailing, Truth};
pub use uid::uid_of;

use std::fs::File;
use std::io::{self, BufWriter, ErrorKind, Write};
use std::path::{Path, PathBuf};

use dice::{Chance, Dice, Purpose};

/// The greatest `ts` that counts as one (2106-02-07T06:28:14Z); what is later cannot be told from nonsense.
const MAX_TS: u32 = u32::MAX - 1;

/// The least size of a frame to ask for, bytes: less would not hold the two fields and a trap.
const MIN_FRAME_BYTES: u32 = 100;

/// The greatest size of a frame to ask for, bytes: half of what a reader must take, since sizes vary.
const MAX_FRAME_BYTES: u32 = 32 << 20;

/// Bytes gathered for one write.
const WRITE_BYTES: usize = 256 << 10;

/// A traffic: how much of it, when, and with which traps. [`Plan::check`] tells whether it is possible.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    /// Number of frames.
    pub frames: u64,
    /// Number of users that the frames are drawn from, at least 1; with few frames some are never seen.
    pub users: u32,
    /// Where event time starts, unix seconds, at least 1.
    pub start: u32,
    /// How far event time reaches from there, milliseconds. The frames are spread over it evenly.
    pub span_ms: u64,
    /// Chooses one of the many traffics with the same figures.
    pub seed: u64,
    /// Chooses who the users are: traffics of one population have the same ids, whatever their seeds.
    pub population: u64,
    /// Average size of a frame without its line end, bytes, 100 to 33,554,432; each is within an eighth of it.
    pub frame_bytes: u32,
    /// Share of frames that arrive late, 0 to 1.
    pub late: f64,
    /// The most that a late frame is late by, milliseconds.
    pub delay_ms: u64,
    /// Share of frames that arrive very late, 0 to 1; the two shares exclude each other.
    pub very_late: f64,
    /// The most that a very late frame is late by, milliseconds.
    pub very_late_by_ms: u64,
    /// Share of frames whose `ts` is a string, 0 to 1.
    pub string_ts: f64,
    /// Share of frames whose `ts` has a fraction, 0 to 1.
    pub float_ts: f64,
    /// Share of lines that end in CRLF, 0 to 1.
    pub crlf: f64,
    /// Share of frames whose user is drawn by Zipf's law instead of evenly, 0 to 1.
    pub skew: f64,
}

impl Default for Plan {
    /// 10,000 frames of 2 KiB about 1,000 users in the first ten minutes of 2026, one in ten up to 5 s late.
    fn default() -> Self {
        Self {
            frames: 10_000,
            users: 1_000,
            start: 1_767_225_600,
            span_ms: 600_000,
            seed: 1,
            population: 1,
            frame_bytes: 2_048,
            late: 0.1,
            delay_ms: 5_000,
            very_late: 0.0,
            very_late_by_ms: 5 * 3_600_000,
            string_ts: 0.01,
            float_ts: 0.01,
            crlf: 0.01,
            skew: 0.0,
        }
    }
}

/// Why a plan is impossible.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum PlanError {
    /// Frames need users.
    #[error("there must be at least 1 user")]
    NoUsers,
    /// A size out of range.
    #[error(
        "frames of {0} bytes cannot be made: the average size must be {MIN_FRAME_BYTES} to {MAX_FRAME_BYTES}"
    )]
    FrameBytes(u32),
    /// A `ts` of 0 would not count as one.
    #[error("the start must be later than 1970-01-01T00:00:00Z")]
    Start,
    /// The last `ts` would not count as one.
    #[error(
        "the span reaches beyond 2106-02-07, the end of what a ts can say; take an earlier start or a shorter span"
    )]
    Span,
    /// A share out of range.
    #[error("the share of {what} is {share}, but must lie between 0 and 1")]
    Share {
        /// Of what it is the share.
        what: &'static str,
        /// The share asked for.
        share: f64,
    },
    /// The two shares exclude each other, so there is no such split.
    #[error("the shares of late and of very late frames add up to {0}, which is more than 1")]
    LateShares(f64),
    /// A delay longer than any span.
    #[error("a delay of more than 100 years is not possible")]
    Delay,
}

impl Plan {
    /// Tells what is impossible about the plan, if anything.
    ///
    /// # Errors
    ///
    /// The first field found to be out of its range.
    pub fn check(&self) -> Result<(), PlanError> {
        if self.users == 0 {
            return Err(PlanError::NoUsers);
        }
        if !(MIN_FRAME_BYTES..=MAX_FRAME_BYTES).contains(&self.frame_bytes) {
            return Err(PlanError::FrameBytes(self.frame_bytes));
        }
        if self.start == 0 {
            return Err(PlanError::Start);
        }
        if self.span_ms.div_ceil(1000) > u64::from(MAX_TS.saturating_sub(self.start)) {
            return Err(PlanError::Span);
        }
        for (what, share) in [
            ("late frames", self.late),
            ("very late frames", self.very_late),
            ("times as strings", self.string_ts),
            ("times with a fraction", self.float_ts),
            ("lines ending in CRLF", self.crlf),
            ("frames with a skewed choice of users", self.skew),
        ] {
            if !(0.0..=1.0).contains(&share) {
                return Err(PlanError::Share { what, share });
            }
        }
        if self.late + self.very_late > 1.0 {
            return Err(PlanError::LateShares(self.late + self.very_late));
        }
        if self.delay_ms.max(self.very_late_by_ms) > 100 * 366 * 86_400_000 {
            return Err(PlanError::Delay);
        }
        Ok(())
    }

    /// How far the `ts` of a frame may lie behind the greatest one before it, seconds.
    pub fn disorder_s(&self) -> u32 {
        let late = if self.late > 0.0 { self.delay_ms } else { 0 };
        let very_late = if self.very_late > 0.0 {
            self.very_late_by_ms
        } else {
            0
        };
        u32::try_from(late.max(very_late).div_ceil(1000)).unwrap_or(u32::MAX)
    }
}

/// A plan, and where its frames and their truth go.
#[derive(Debug, Clone, PartialEq)]
pub struct Job {
    /// What to generate, checked.
    pub plan: Plan,
    /// The file for the frames; standard output without one.
    pub output: Option<PathBuf>,
    /// The file for the exact counts, if they are wanted.
    pub truth: Option<PathBuf>,
}

/// Why generating stopped.
#[derive(Debug, thiserror::Error)]
pub enum GenerateError {
    /// A file could not be opened for writing.
    #[error("cannot create {}: {source}", path.display())]
    Create {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// A file took no more.
    #[error("cannot write to {}: {source}", path.display())]
    WriteFile {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// Standard output took no more.
    #[error("cannot write to standard output: {0}")]
    WriteStdout(io::Error),
}

/// Writes the frames of a job as lines, to its file or else to `stdout`, then the truth about them. A reader of
/// the lines that leaves early ends the job without an error; the truth file is left empty then, because what
/// the reader took is not known.
///
/// # Errors
///
/// A file that cannot be created or written; both are created before the first frame is made.
pub fn run(job: &Job, stdout: impl Write) -> Result<(), GenerateError> {
    let truth_file = job.truth.as_deref().map(create).transpose()?;
    let mut truth = Truth::new(job.plan.disorder_s());
    let count = |sent: &Sent| {
        if truth_file.is_some() {
            truth.add(sent.user, sent.ts);
        }
    };
    let written = match job.output.as_deref() {
        Some(path) => write_lines(&job.plan, create(path)?, count),
        None => write_lines(&job.plan, stdout, count),
    };
    match (written, job.output.clone()) {
        (Ok(()), _) => {}
        (Err(left), _) if left.kind() == ErrorKind::BrokenPipe => return Ok(()),
        (Err(source), Some(path)) => return Err(GenerateError::WriteFile { path, source }),
        (Err(source), None) => return Err(GenerateError::WriteStdout(source)),
    }
    if let (Some(file), Some(path)) = (truth_file, job.truth.clone()) {
        let mut out = BufWriter::new(file);
        let written = truth.finish().write(&mut out).and_then(|()| out.flush());
        written.map_err(|source| GenerateError::WriteFile { path, source })?;
    }
    Ok(())
}

fn create(path: &Path) -> Result<File, GenerateError> {
    File::create(path).map_err(|source| GenerateError::Create {
        path: path.to_owned(),
        source,
    })
}

/// Writes all frames of `plan` to `out`, each with its line end, and shows `seen` what each one says.
///
/// # Errors
///
/// What `out` returns.
pub fn write_lines(
    plan: &Plan,
    mut out: impl Write,
    mut seen: impl FnMut(&Sent),
) -> io::Result<()> {
    let mut traffic = Traffic::new(plan);
    let mut line_ends = Dice::new(plan.seed, Purpose::LineEnd);
    let crlf = Chance::new(plan.crlf);
    let mut frame = Vec::new();
    let mut lines = Vec::with_capacity(WRITE_BYTES);
    while let Some(sent) = traffic.next_frame(&mut frame) {
        seen(&sent);
        lines.extend_from_slice(&frame);
        lines.extend_from_slice(if line_ends.hit(crlf) { b"\r\n" } else { b"\n" });
        if lines.len() >= WRITE_BYTES {
            out.write_all(&lines)?;
            lines.clear();
        }
    }
    out.write_all(&lines)?;
    out.flush()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_plan_is_possible() {
        assert_eq!(Plan::default().check(), Ok(()));
    }

    fn with(change: impl FnOnce(&mut Plan)) -> Plan {
        let mut plan = Plan::default();
        change(&mut plan);
        plan
    }

    #[test]
    fn impossible_plans_are_told() {
        for (plan, expected) in [
            (with(|p| p.users = 0), "at least 1 user"),
            (with(|p| p.frame_bytes = 99), "frames of 99 bytes"),
            (with(|p| p.frame_bytes = u32::MAX), "100 to 33554432"),
            (with(|p| p.start = 0), "later than 1970"),
            (with(|p| (p.start, p.span_ms) = (MAX_TS, 1)), "beyond 2106"),
            (with(|p| p.span_ms = u64::MAX), "beyond 2106"),
            (with(|p| p.late = 1.5), "late frames is 1.5"),
            (with(|p| p.crlf = f64::NAN), "CRLF is NaN"),
            (
                with(|p| (p.late, p.very_late) = (0.75, 0.5)),
                "add up to 1.25",
            ),
            (with(|p| p.delay_ms = u64::MAX), "100 years"),
        ] {
            let error = plan.check().unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        }
    }

    #[test]
    fn the_last_ts_of_a_possible_plan_is_one() {
        let plan = Plan {
            start: MAX_TS - 1,
            span_ms: 1_000,
            frames: 100,
            ..Plan::default()
        };
        assert_eq!(plan.check(), Ok(()));
        write_lines(&plan, io::sink(), |sent| assert!(sent.ts < MAX_TS)).unwrap();
    }

    #[test]
    fn disorder_counts_only_delays_that_happen() {
        let plan = Plan {
            delay_ms: 4_001,
            ..Plan::default()
        };
        assert_eq!(plan.disorder_s(), 5);
        assert_eq!(
            Plan {
                late: 0.0,
                ..plan.clone()
            }
            .disorder_s(),
            0
        );
        assert_eq!(
            Plan {
                very_late: 0.1,
                ..plan
            }
            .disorder_s(),
            18_000
        );
    }
}
