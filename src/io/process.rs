//! What the system says of this process, and is asked for it.

use std::fs::OpenOptions;
use std::io;
use std::os::unix::fs::FileExt;

use procfs::process::Process;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// What a process has used and holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Usage {
    /// CPU time of all threads since the start, milliseconds.
    pub cpu_ms: u64,
    /// Resident memory, bytes.
    pub resident_bytes: u64,
}

/// What this process has used; `None` where there is no `/proc` (proc(5)).
#[must_use]
pub fn usage() -> Option<Usage> {
    let stat = Process::myself().ok()?.stat().ok()?;
    let ticks_per_s = procfs::ticks_per_second().max(1);
    Some(Usage {
        cpu_ms: (stat.utime + stat.stime) * 1_000 / ticks_per_s,
        resident_bytes: stat.rss * procfs::page_size(),
    })
}

/// Lets this process open as many files as it may without asking anybody: the usual soft limit of 1,024 is less than as many inputs,
/// or the connections to a large cluster, take.
pub fn raise_open_files() {
    let limit = getrlimit(Resource::Nofile);
    let current = limit.maximum;
    // Where it is refused, whoever opens one too many says so.
    let _ = setrlimit(Resource::Nofile, Rlimit { current, ..limit });
}

/// Blanks parts of this process' arguments, as `ps` and whoever else may look see them: of each one all from where
/// `secret_from` says, in bytes. Gives how many were blanked.
///
/// # Errors
///
/// Where there is no `/proc`, or writing there is not allowed.
pub fn blank_arguments(secret_from: impl Fn(&[u8]) -> Option<usize>) -> io::Result<usize> {
    let start = Process::myself()
        .and_then(|me| me.stat())
        .map_err(io::Error::other)?
        .arg_start;
    let arguments = std::fs::read("/proc/self/cmdline")?;
    let start = start.ok_or_else(|| io::Error::other("the kernel does not say where they are"))?;
    // The process' own memory, so it needs no rights; and nothing here refers to these bytes.
    let memory = OpenOptions::new().write(true).open("/proc/self/mem")?;
    let (mut at, mut blanked) = (0, 0);
    for argument in arguments.split(|byte| *byte == 0) {
        if let Some(from) = secret_from(argument).filter(|from| *from < argument.len()) {
            // One star, and nothing that tells how long it was.
            let mut blank = vec![0; argument.len() - from];
            blank[0] = b'*';
            memory.write_all_at(&blank, start + (at + from) as u64)?;
            blanked += 1;
        }
        at += argument.len() + 1;
    }
    Ok(blanked)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_holds_memory() {
        let usage = usage().unwrap();
        assert!(usage.resident_bytes > 100_000, "{usage:?}");
    }
}
