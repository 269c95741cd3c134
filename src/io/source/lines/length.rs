//! Whether a file is still as long as it was: of one that is cut short while it is read, nobody knows what is missing.

use std::fs::File;
use std::io::{self, Read};
use std::sync::Arc;

use super::damaged;
use crate::error::Failure;

/// A file, and how long it was when it was opened.
#[derive(Debug, Clone)]
pub(in crate::io::source) struct Length {
    file: Arc<File>,
    bytes: u64,
}

impl Length {
    /// `None` of what has no length, such as a pipe.
    pub(in crate::io::source) fn of(file: &Arc<File>) -> Option<Self> {
        let metadata = file.metadata().ok().filter(std::fs::Metadata::is_file)?;
        Some(Self::told(file, metadata.len()))
    }

    /// Of a file whose length is known.
    pub(in crate::io::source) fn told(file: &Arc<File>, bytes: u64) -> Self {
        Self {
            file: Arc::clone(file),
            bytes,
        }
    }

    /// How long it was when it was opened.
    pub(in crate::io::source) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Returns how long it is now.
    ///
    /// # Errors
    ///
    /// When it is shorter than it was.
    pub(in crate::io::source) fn check(&self, name: &str) -> Result<u64, Failure> {
        let metadata = self.file.metadata();
        let now = metadata.map_err(|error| damaged(name, &error))?.len();
        if now < self.bytes {
            return Err(Failure::Data(format!(
                "{name} became shorter while it was read: it had {} bytes, and has {now}; count a copy that nobody changes",
                self.bytes
            )));
        }
        Ok(now)
    }
}

/// A file that is read while something else looks at its length: a second descriptor for each of many would be too many.
pub(in crate::io::source) struct Shared(pub(in crate::io::source) Arc<File>);

impl Read for Shared {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        (&*self.0).read(to)
    }
}
