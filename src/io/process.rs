//! What the system says of this process.

use procfs::process::Process;

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_holds_memory() {
        let usage = usage().unwrap();
        assert!(usage.resident_bytes > 100_000, "{usage:?}");
    }
}
