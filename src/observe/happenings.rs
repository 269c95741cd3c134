//! The happenings.

mod output;
mod turns;

use tracing::{error, info, warn};

use crate::engine::clock::Quarantine;
use crate::engine::decode::WrongUnit;
use crate::engine::frame::Reject;
use crate::limits::CLOCK_START;
pub use output::{Cause, OutputBehind};
pub use turns::{ClaimLost, ClaimWaits, PublishingStuck, StandingBy, TakingOver};

/// Why a frame did not count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WhyNot {
    /// It was rejected.
    Rejected(Reject),
    /// It was quarantined.
    Quarantined(Quarantine),
}

/// A frame did not count.
#[derive(Debug)]
pub struct FrameRejected<'a> {
    /// Name of its partition, or of its file.
    pub partition: &'a str,
    /// Topic; empty for files.
    pub topic: &'a str,
    /// Its offset, or the number of its line less one.
    pub offset: i64,
    /// Why.
    pub why: WhyNot,
    /// Such lines left out since the last one.
    pub left_out: u64,
}

impl FrameRejected<'_> {
    /// Logs it.
    pub fn emit(&self) {
        let (topic, partition, offset) = (self.topic, self.partition, self.offset);
        let left_out = (self.left_out > 0).then_some(self.left_out);
        let line = offset + 1;
        match (self.why, topic.is_empty()) {
            (WhyNot::Rejected(reason), true) => {
                let reason = reason.name();
                warn!(name: "frame_rejected", file = partition, line, reason, left_out, "frame rejected");
            }
            (WhyNot::Rejected(reason), false) => {
                let reason = reason.name();
                warn!(name: "frame_rejected", topic, partition, offset, reason, left_out, "frame rejected");
            }
            (WhyNot::Quarantined(reason), true) => {
                let reason = reason.name();
                warn!(
                    name: "frame_rejected",
                    file = partition,
                    line, reason, left_out, "frame quarantined"
                );
            }
            (WhyNot::Quarantined(reason), false) => {
                let reason = reason.name();
                warn!(
                    name: "frame_rejected",
                    topic,
                    partition, offset, reason, left_out, "frame quarantined"
                );
            }
        }
    }
}

/// Frames wait, and none has counted yet.
#[derive(Debug)]
pub struct WaitingToAgree {
    /// How many wait.
    pub pending: u64,
}

impl WaitingToAgree {
    /// Logs it.
    pub fn emit(&self) {
        info!(
            name: "waiting_to_agree",
            pending = self.pending,
            "frames wait until {CLOCK_START} of their partition agree on the time; at the end of an input fewer are \
             counted (--exit-at-end)"
        );
    }
}

/// More frames did not count than there are lines about.
#[derive(Debug)]
pub struct RejectsLeftOut {
    /// Lines left out since the last one.
    pub left_out: u64,
}

impl RejectsLeftOut {
    /// Logs it.
    pub fn emit(&self) {
        warn!(
            name: "rejects_left_out",
            left_out = self.left_out,
            "more frames did not count; the ledger has them by reason"
        );
    }
}

/// All event times so far look like another unit than the one they are read in.
#[derive(Debug)]
pub struct UnitMistaken(pub WrongUnit);

impl UnitMistaken {
    /// Logs it.
    pub fn emit(&self) {
        let WrongUnit {
            read_as,
            looks_like,
        } = self.0;
        let what = if looks_like.per_second() > read_as.per_second() {
            "out of range"
        } else {
            "before 1980"
        };
        warn!(
            name: "unit_mistaken",
            "every ts so far is {what} as {}; they look like {}: set --ts-unit {}",
            read_as.plural(),
            looks_like.plural(),
            looks_like.symbol()
        );
    }
}

/// The service has everything it needs and begins to read.
#[derive(Debug)]
pub struct Reading<'a> {
    /// Topic.
    pub topic: &'a str,
    /// Its partitions.
    pub partitions: usize,
    /// Frames between start and high watermark.
    pub backlog: i64,
}

impl Reading<'_> {
    /// Logs it.
    pub fn emit(&self) {
        let (topic, partitions, backlog) = (self.topic, self.partitions, self.backlog);
        info!(name: "reading", topic, partitions, backlog, "reading");
    }
}

/// Brokers, a topic or its partitions are out of reach; tries go on.
#[derive(Debug)]
pub struct Unreachable<'a> {
    /// One sentence.
    pub why: &'a str,
}

impl Unreachable<'_> {
    /// Logs it.
    pub fn emit(&self) {
        warn!(name: "unreachable", "{}; trying again", self.why);
    }
}

/// At the end: frames came after the windows of a period were forgotten that they belong to.
#[derive(Debug)]
pub struct TooOld<'a> {
    /// The period's name.
    pub period: &'a str,
    /// How many frames.
    pub frames: u64,
}

impl TooOld<'_> {
    /// Logs it.
    pub fn emit(&self) {
        let (period, frames) = (self.period, self.frames);
        warn!(
            name: "too_old",
            period,
            frames,
            "frames came after their window was forgotten, which lacks them; raise --retain-{period}s, or count in the order of time"
        );
    }
}

/// What was out of reach has answered.
#[derive(Debug)]
pub struct ReachedAgain;

impl ReachedAgain {
    /// Logs it.
    pub fn emit(&self) {
        info!(name: "reached_again", "the brokers answer again");
    }
}

/// Frames were gone before they were read.
#[derive(Debug)]
pub struct Gap<'a> {
    /// Topic and partition.
    pub partition: &'a str,
    /// The offset that was to be read next.
    pub expected: i64,
    /// Where reading goes on.
    pub found: i64,
}

impl Gap<'_> {
    /// Logs it.
    pub fn emit(&self) {
        let (partition, expected, found) = (self.partition, self.expected, self.found);
        error!(
            name: "gap",
            partition,
            expected,
            found,
            "frames are gone from the topic before they were read (retention, or the topic was made anew or cut off); windows \
             that began before this moment stay provisional"
        );
    }
}

/// A partition's clock is ahead of most others'.
#[derive(Debug)]
pub struct PartitionAhead<'a> {
    /// Topic.
    pub topic: &'a str,
    /// Its number.
    pub partition: &'a str,
    /// By so many seconds.
    pub by_s: u32,
}

impl PartitionAhead<'_> {
    /// Logs it.
    pub fn emit(&self) {
        let (topic, partition, seconds) = (self.topic, self.partition, self.by_s);
        warn!(
            name: "partition_ahead",
            topic,
            partition,
            seconds,
            "all frames of this partition are ahead of the other partitions: a producer's clock is wrong; they count \
             where they claim, and the trailing windows end at the greatest ts"
        );
    }
}

/// Frames that were not counted could not be put aside either.
#[derive(Debug)]
pub struct NotPutAside<'a> {
    /// How many.
    pub frames: u64,
    /// Why the last of them was not.
    pub why: &'a str,
}

impl NotPutAside<'_> {
    /// Logs it.
    pub fn emit(&self) {
        let (frames, why) = (self.frames, self.why);
        warn!(
            name: "not_put_aside",
            frames,
            why, "frames could not be put aside; the ledger counts them all the same"
        );
    }
}

/// A service without a state has started.
#[derive(Debug)]
pub struct NothingSaved;

impl NothingSaved {
    /// Logs it.
    pub fn emit(&self) {
        info!(name: "nothing_saved", "nothing is saved (--state): a restart reads the topic again from where --from says");
    }
}

/// A service goes on where its state is.
#[derive(Debug)]
pub struct Resumed {
    /// How many partitions the state knows.
    pub partitions: usize,
    /// Frames published since.
    pub lag: u64,
}

impl Resumed {
    /// Logs it.
    pub fn emit(&self) {
        let (partitions, lag) = (self.partitions, self.lag);
        info!(name: "resumed", partitions, lag, "going on from the saved state");
    }
}

/// The data of the time zone is not what it was when the state was saved.
#[derive(Debug)]
pub struct ZoneChanged<'a> {
    /// The zone.
    pub zone: &'a str,
    /// Windows that stay as they were.
    pub kept: usize,
    /// Windows that end elsewhere from now on.
    pub moved: usize,
}

impl ZoneChanged<'_> {
    /// Logs it.
    pub fn emit(&self) {
        let Self { zone, kept, moved } = *self;
        info!(
            name: "zone_changed",
            zone,
            kept, moved, "the time zone has other windows than when these were opened: where frames of both are in one it stays as it was"
        );
    }
}

/// A count goes on from what was saved.
#[derive(Debug)]
pub struct FilesResumed {
    /// Files that are read on.
    pub read_on: usize,
    /// Files of which nothing was counted before.
    pub new: usize,
    /// Files that the state knows and nobody named.
    pub not_named: usize,
}

impl FilesResumed {
    /// Logs it.
    pub fn emit(&self) {
        let Self {
            read_on,
            new,
            not_named,
        } = *self;
        info!(
            name: "files_resumed",
            read_on,
            new, not_named, "going on in files from the saved state"
        );
    }
}

/// A file has another name than when its beginning was counted.
#[derive(Debug)]
pub struct FileRenamed<'a> {
    /// Its name then.
    pub old: &'a str,
    /// Its name now.
    pub new: &'a str,
    /// Lines of it that are counted.
    pub lines: i64,
}

impl FileRenamed<'_> {
    /// Logs it.
    pub fn emit(&self) {
        let Self { old, new, lines } = *self;
        info!(
            name: "file_renamed",
            old,
            new,
            lines,
            "a file begins with the lines that were counted of another name: it is the same one"
        );
    }
}

/// A file that was counted has gone, and another one has its name.
#[derive(Debug)]
pub struct FileGone<'a> {
    /// That name.
    pub name: &'a str,
    /// What the old one is called from now on in records and state.
    pub aside_name: &'a str,
}

impl FileGone<'_> {
    /// Logs it.
    pub fn emit(&self) {
        let Self { name, aside_name } = *self;
        warn!(
            name: "file_gone",
            name,
            aside_name,
            "another file has this name now; the old one is not among those that were named, and what it had more is not counted"
        );
    }
}

/// The state could not be copied.
#[derive(Debug)]
pub struct NoCopyKept<'a> {
    /// Why, in the system's words.
    pub why: &'a str,
}

impl NoCopyKept<'_> {
    /// Logs it.
    pub fn emit(&self) {
        let why = self.why;
        warn!(
            name: "no_copy_kept",
            why,
            "no copy of the state was put aside; the state itself is well"
        );
    }
}

/// A checkpoint could not be written.
#[derive(Debug)]
pub struct StateNotWritten<'a> {
    /// Why, in the system's words.
    pub why: &'a str,
}

impl StateNotWritten<'_> {
    /// Logs it.
    pub fn emit(&self) {
        let why = self.why;
        warn!(name: "state_not_written", why, "the state was not written; trying again, finals wait");
    }
}

/// A topic for frames that are not counted takes nothing, so reading waits.
#[derive(Debug)]
pub struct AsideBehind;

impl AsideBehind {
    /// Logs it.
    pub fn emit(&self) {
        warn!(
            name: "aside_behind",
            "the topic for quarantined or rejected frames does not keep up; reading waits for it"
        );
    }
}

/// The output did not take a record.
#[derive(Debug)]
pub struct Undelivered<'a> {
    /// Why, in the client library's words.
    pub why: &'a str,
    /// Such lines left out since the last one.
    pub left_out: u64,
}

impl Undelivered<'_> {
    /// Logs it.
    pub fn emit(&self) {
        let (why, left_out) = (self.why, self.left_out);
        warn!(
            name: "undelivered",
            why,
            left_out, "a record was not delivered; it is tried again, or gives way to a newer one"
        );
    }
}

/// The service has stopped.
#[derive(Debug)]
pub struct Stopped {
    /// Frames read since the start.
    pub read: u64,
    /// Frames counted since the start.
    pub counted: u64,
    /// What the last records still wait for, if there are any that were not acknowledged.
    pub unpublished: Option<Cause>,
}

impl Stopped {
    /// Logs it.
    pub fn emit(&self) {
        let (read, counted) = (self.read, self.counted);
        match self.unpublished {
            Some(cause) => {
                let why = cause.left_behind();
                warn!(name: "stopped", read, counted, "stopped; {why}");
            }
            None => info!(name: "stopped", read, counted, "stopped"),
        }
    }
}

/// The HTTP server listens.
#[derive(Debug)]
pub struct Listening<'a> {
    /// Where.
    pub address: &'a str,
    /// Whether a token is asked for.
    pub wants_token: bool,
}

impl Listening<'_> {
    /// Logs it.
    pub fn emit(&self) {
        let (address, wants_token) = (self.address, self.wants_token);
        info!(name: "listening", address, wants_token, "answering over HTTP");
    }
}

/// The address for the HTTP server that nobody asked for is taken.
#[derive(Debug)]
pub struct AddressTaken<'a> {
    /// Why, in the system's words.
    pub why: &'a str,
}

impl AddressTaken<'_> {
    /// Logs it.
    pub fn emit(&self) {
        let why = self.why;
        warn!(name: "address_taken", why, "the usual HTTP address is not to be had; taking a free one");
    }
}

/// A question over HTTP could not be answered because something saved cannot be read.
#[derive(Debug)]
pub struct QuestionFailed<'a> {
    /// Why.
    pub why: &'a str,
}

impl QuestionFailed<'_> {
    /// Logs it.
    pub fn emit(&self) {
        let why = self.why;
        error!(name: "question_failed", why, "a question could not be answered from what is saved");
    }
}

/// A thread of the pipeline is at something and does not go on.
#[derive(Debug)]
pub struct ThreadStuck<'a> {
    /// Its name.
    pub thread: &'a str,
}

impl ThreadStuck<'_> {
    /// Logs it.
    pub fn emit(&self) {
        let thread = self.thread;
        error!(name: "thread_stuck", thread, "a thread is stuck; the supervisor's watchdog is not fed until it goes on");
    }
}

/// A thread has met a bug of ours.
#[derive(Debug)]
pub struct Panicked<'a> {
    /// The thread's name.
    pub thread: &'a str,
    /// Where in the source.
    pub at: &'a str,
    /// What it said.
    pub what: &'a str,
    /// How it came there, where `RUST_BACKTRACE` asks for that.
    pub backtrace: Option<&'a str>,
}

impl Panicked<'_> {
    /// Logs it.
    pub fn emit(&self) {
        let (thread, at, what, backtrace) = (self.thread, self.at, self.what, self.backtrace);
        error!(name: "panicked", thread, at, what, backtrace, "a thread died of a bug; please report it");
    }
}

/// Something that an operator should look at, in one sentence.
pub fn caution(text: &str) {
    warn!(name: "caution", "{text}");
}

/// Something that was asked for with `-X debug=…`, and says more to the authors of the client library.
pub fn detail(text: &str) {
    info!(name: "detail", "{text}");
}
