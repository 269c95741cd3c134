//! The thread that reads ahead: lines in blocks, and of each line what sending it needs to know.

use std::ops::Range;

use crossbeam_channel::{Receiver, Sender, bounded};

use super::shift;
use crate::cli::replay::PartitionBy;
use crate::config::{ReplayConfig, Tempo};
use crate::engine::decode::{Decoder, Fields};
use crate::engine::frame::{UserHash, Verdict};
use crate::error::Failure;
use crate::io::source::lines::{BytesRead, LineReader, unmarked};
use crate::limits::REPLAY_BLOCKS_AHEAD;
use crate::run::pipeline::spawn;

/// What comes from the input.
pub(super) enum Read {
    /// Some lines.
    Lines(Block),
    /// The input has ended, for this round or for good; so many lines it had.
    End(u64),
    /// It cannot be read on.
    Failed(Failure),
}

/// Lines that were read together.
#[derive(Default)]
pub(super) struct Block {
    bytes: Vec<u8>,
    lines: Vec<Line>,
}

/// One line of a block.
pub(super) struct Line {
    /// Its number in the file, from 0.
    pub(super) number: u64,
    /// The partition is this modulo their number.
    pub(super) route: u64,
    /// Its event time in the unit of the frames, if it is a good one and somebody wants to know.
    pub(super) ts: Option<u64>,
    /// Where that stands in the line, if it is to be shifted.
    pub(super) span: Option<Range<usize>>,
    end: usize,
}

impl Block {
    /// The lines and their bytes.
    pub(super) fn lines(&self) -> impl Iterator<Item = (&Line, &[u8])> {
        let mut start = 0;
        self.lines.iter().map(move |line| {
            let frame = &self.bytes[start..line.end];
            start = line.end;
            (line, frame)
        })
    }
}

/// Looks into lines, no deeper than needed.
pub(super) struct Examiner {
    /// None: frames need not be decoded.
    decoder: Option<Decoder>,
    fields: Fields,
    by_uid: bool,
    shifts: bool,
}

impl Examiner {
    pub(super) fn new(config: &ReplayConfig) -> Self {
        let by_uid = config.partition_by == PartitionBy::Uid;
        let needs_time = config.shift_to_now || matches!(config.tempo, Tempo::Speed(_));
        Self {
            decoder: (by_uid || needs_time).then(|| Decoder::new(config.fields.clone())),
            fields: config.fields.clone(),
            by_uid,
            shifts: config.shift_to_now,
        }
    }

    fn examine(&mut self, number: u64, frame: &[u8], end: usize) -> Line {
        let seen = self
            .decoder
            .as_mut()
            .and_then(|decoder| match decoder.decode(Some(frame)) {
                Verdict::Seen(user, _) => Some((user, decoder.raw_ts())),
                _ => None,
            });
        let ts = seen.map(|(_, ts)| ts);
        let route = match (self.by_uid, seen) {
            (false, _) => number,
            (true, Some((user, _))) => user.0,
            (true, None) => UserHash::of(frame).0,
        };
        Line {
            number,
            route,
            ts,
            span: ts
                .filter(|_| self.shifts)
                .and_then(|_| shift::find(frame, &self.fields.ts)),
            end,
        }
    }
}

/// Reads the input, which may be open already, from this line on the first time; with `is_loop` again and again from
/// its beginning.
///
/// # Errors
///
/// When the system gives no thread.
pub(super) fn start(
    config: &ReplayConfig,
    opened: Option<LineReader>,
    bytes: BytesRead,
    from_line: u64,
) -> Result<Receiver<Read>, Failure> {
    let (sender, receiver) = bounded(REPLAY_BLOCKS_AHEAD);
    let mut examiner = Examiner::new(config);
    let (input, is_loop) = (config.input.clone(), config.is_loop);
    // Not joined: it may wait for standard input for ever, and ends with the process.
    drop(spawn("reader".to_owned(), move || {
        let read = || -> Result<(), Failure> {
            let open = || LineReader::open(&input, &bytes);
            let mut reader = opened.map_or_else(open, Ok)?;
            let mut from_line = from_line;
            while read_round(&mut reader, &mut examiner, from_line, &sender)? && is_loop {
                from_line = 0;
                reader = open()?;
            }
            Ok(())
        };
        if let Err(failure) = read() {
            drop(sender.send(Read::Failed(failure)));
        }
    })?);
    Ok(receiver)
}

/// Reads to the end of the input; false when nobody wants the lines any more.
fn read_round(
    reader: &mut LineReader,
    examiner: &mut Examiner,
    from_line: u64,
    to: &Sender<Read>,
) -> Result<bool, Failure> {
    let mut number = 0;
    loop {
        let mut block = Block::default();
        let goes_on = reader.block(&mut |line| {
            let line = unmarked(line);
            if number >= from_line {
                block.bytes.extend_from_slice(line);
                let line = examiner.examine(number, line, block.bytes.len());
                block.lines.push(line);
            }
            number += 1;
        })?;
        if !block.lines.is_empty() && to.send(Read::Lines(block)).is_err() {
            return Ok(false);
        }
        if !goes_on {
            return Ok(to.send(Read::End(number)).is_ok());
        }
    }
}
