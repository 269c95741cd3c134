//! Frames that were not counted into a file, one a line, and the reasons into another beside it.

use std::ffi::OsString;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Serialize;

use super::{Aside, Stray};
use crate::error::Failure;

/// Two files: the frames as they were, and for each of them a JSON line that says where it came from and why it was not
/// counted.
pub struct FileAside {
    path: PathBuf,
    frames: BufWriter<File>,
    reasons: BufWriter<File>,
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
        let create = |path: &Path| {
            let file = File::create(path);
            file.map_err(|error| Failure::writing(&path.display().to_string(), &error))
        };
        Ok(Self {
            frames: BufWriter::new(create(path)?),
            reasons: BufWriter::new(create(&reasons_beside(path))?),
            path: path.to_owned(),
        })
    }

    fn write(&mut self, stray: &Stray<'_>) -> std::io::Result<()> {
        self.frames.write_all(stray.frame.unwrap_or_default())?;
        self.frames.write_all(b"\n")?;
        let reason = Reason {
            reason: stray.reason,
            file: stray.partition,
            line: stray.offset + 1,
            clock: stray.clock,
        };
        serde_json::to_writer(&mut self.reasons, &reason)?;
        self.reasons.write_all(b"\n")
    }

    fn failed(&self, error: &std::io::Error) -> Failure {
        Failure::writing(&self.path.display().to_string(), error)
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

    fn finish(&mut self, _is_time_left: &mut dyn FnMut() -> bool) -> Result<u64, Failure> {
        let flushed = self.frames.flush().and_then(|()| self.reasons.flush());
        flushed.map_err(|error| self.failed(&error))?;
        Ok(0)
    }
}
