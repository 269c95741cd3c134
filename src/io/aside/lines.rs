//! Frames that were not counted into a file, one a line, and the reasons into another beside it.

use std::ffi::OsString;
use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, BufReader, Seek, SeekFrom, Write};
use std::mem;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Serialize;

use super::{Aside, Stray};
use crate::error::Failure;
use crate::limits::{ASIDE_BUFFER_BYTES, ASIDE_WRITTEN_BYTES_MAX, READ_BUFFER_BYTES};

/// Two files: the frames as they were, and for each of them a JSON line that says where it came from and why it was not
/// counted.
pub struct FileAside {
    path: PathBuf,
    frames: Half,
    reasons: Half,
}

/// A file, and what is still to be written to it.
struct Half {
    file: File,
    unwritten: Vec<u8>,
    is_unsynced: bool,
}

/// Lines of a file from its beginning.
struct Lines {
    count: u64,
    /// Where the last of them ends.
    end: u64,
}

/// The file with the reasons beside one with frames.
#[must_use]
pub fn reasons_beside(path: &Path) -> PathBuf {
    let mut beside = OsString::from(path);
    beside.push(".reasons");
    beside.into()
}

#[derive(Serialize)]
struct Reason<'a> {
    reason: &'a str,
    file: &'a str,
    line: i64,
    clock: Option<u32>,
}

impl FileAside {
    /// Creates the files `path` and `path` with `.reasons` behind it; what they held is gone.
    ///
    /// # Errors
    ///
    /// When they cannot be created.
    pub fn create(path: &Path) -> Result<Self, Failure> {
        Self::over(
            path,
            File::options().write(true).create(true).truncate(true),
        )
    }

    /// The same behind what they hold. What a process that was killed has written of a line, or to one of the files alone, is cut off.
    ///
    /// # Errors
    ///
    /// When they cannot be created, or read.
    pub fn behind(path: &Path) -> Result<Self, Failure> {
        let has_both = [path, &reasons_beside(path)].map(Path::is_file) == [true, true];
        let mut options = File::options();
        let mut aside = Self::over(path, options.read(true).append(true).create(true))?;
        if has_both {
            aside.mend().map_err(|error| aside.failed(&error))?;
        }
        Ok(aside)
    }

    fn over(path: &Path, options: &OpenOptions) -> Result<Self, Failure> {
        let open = |path: &Path| {
            let file = options.open(path);
            let file = file.map_err(|error| Failure::writing(&path.display().to_string(), &error));
            file.map(|file| Half {
                file,
                unwritten: Vec::new(),
                is_unsynced: false,
            })
        };
        Ok(Self {
            frames: open(path)?,
            reasons: open(&reasons_beside(path))?,
            path: path.to_owned(),
        })
    }

    fn mend(&mut self) -> io::Result<()> {
        let halves = [&self.frames, &self.reasons];
        let (frames, reasons) = (self.frames.lines(u64::MAX)?, self.reasons.lines(u64::MAX)?);
        let whole = frames.count.min(reasons.count);
        for half in halves {
            let length = half.file.metadata()?.len();
            let Lines { end, .. } = half.lines(whole)?;
            // More than is written at once was somebody else's doing, and is left alone.
            if (1..=ASIDE_WRITTEN_BYTES_MAX).contains(&(length - end)) {
                half.file.set_len(end)?;
            }
        }
        Ok(())
    }

    fn write(&mut self, stray: &Stray<'_>) -> io::Result<()> {
        self.frames.put(stray.frame.unwrap_or_default());
        let reason = Reason {
            reason: stray.reason,
            file: stray.partition,
            line: stray.offset + 1,
            clock: stray.clock,
        };
        self.reasons.put(&serde_json::to_vec(&reason)?);
        let is_full = |half: &Half| half.unwritten.len() >= ASIDE_BUFFER_BYTES;
        if is_full(&self.frames) || is_full(&self.reasons) {
            self.flush()?;
        }
        Ok(())
    }

    /// Both files have as many lines then.
    fn flush(&mut self) -> io::Result<()> {
        self.frames.flush()?;
        self.reasons.flush()
    }

    fn failed(&self, error: &io::Error) -> Failure {
        Failure::writing(&self.path.display().to_string(), error)
    }
}

impl Half {
    /// Its whole lines, but no more than so many.
    fn lines(&self, most: u64) -> io::Result<Lines> {
        let mut file = &self.file;
        file.seek(SeekFrom::Start(0))?;
        let mut file = BufReader::with_capacity(READ_BUFFER_BYTES, file);
        let (mut lines, mut before) = (Lines { count: 0, end: 0 }, 0);
        while lines.count < most {
            let text = file.fill_buf()?;
            let length = text.len();
            if length == 0 {
                break;
            }
            let wanted = usize::try_from(most - lines.count).unwrap_or(usize::MAX);
            for newline in memchr::memchr_iter(b'\n', text).take(wanted) {
                lines.count += 1;
                lines.end = before + newline as u64 + 1;
            }
            before += length as u64;
            file.consume(length);
        }
        Ok(lines)
    }

    fn put(&mut self, line: &[u8]) {
        self.unwritten.extend_from_slice(line);
        self.unwritten.push(b'\n');
    }

    fn flush(&mut self) -> io::Result<()> {
        if !self.unwritten.is_empty() {
            self.file.write_all(&self.unwritten)?;
            self.is_unsynced = true;
            self.unwritten.clear();
        }
        Ok(())
    }

    fn sync(&mut self) -> io::Result<()> {
        if mem::take(&mut self.is_unsynced) {
            self.file.sync_data()?;
        }
        Ok(())
    }
}

impl Aside for FileAside {
    fn put(&mut self, stray: &Stray<'_>) -> Result<(), Failure> {
        self.write(stray).map_err(|error| self.failed(&error))
    }

    fn is_full(&self) -> bool {
        false
    }

    fn tend(&mut self, _wait: Duration) -> Option<(u64, String)> {
        None
    }

    fn keep(&mut self, _limit: Duration) -> Result<(), Failure> {
        let kept = self.flush();
        let kept = kept.and_then(|()| self.frames.sync());
        let kept = kept.and_then(|()| self.reasons.sync());
        kept.map_err(|error| self.failed(&error))
    }

    fn finish(&mut self, _is_time_left: &mut dyn FnMut() -> bool) -> Result<u64, Failure> {
        self.flush().map_err(|error| self.failed(&error))?;
        Ok(0)
    }
}
