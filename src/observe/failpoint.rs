//! Places at which a test may have the process die, or a thread stop for ever. Release builds have none.

/// Where a checkpoint and what it publishes may be cut short, and where a thread may be stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failpoint {
    /// A checkpoint is put together and about to be written.
    BeforeCommit,
    /// It is written, and nothing of it is published.
    AfterCommit,
    /// A final was handed to the output's client.
    Produce,
    /// The output has taken a final; the state does not know it.
    Acknowledge,
    /// A checkpoint that takes finals out of the state is written.
    Trim,
    /// A copy of the state is written under another name.
    Copy,
    /// The offsets of a checkpoint are about to be committed to the group.
    CommitOffsets,
    /// A worker has something to do.
    WorkerTurn,
    /// The reporter has a barrier's answers to join.
    Report,
    /// The consumer loop is about to raise a tick's barrier.
    Tick,
}

impl Failpoint {
    /// Dies here if the environment says so: `HEADCOUNT_FAILPOINT=after_commit:3` at the third time. With `report:3:hang` it is
    /// the thread that goes no further, with `report:3:panic` it panics.
    #[cfg(debug_assertions)]
    pub fn pass(self) {
        use std::sync::OnceLock;
        use std::sync::atomic::{AtomicUsize, Ordering};

        static WANTED: OnceLock<Option<(String, usize, String)>> = OnceLock::new();
        static PASSED: AtomicUsize = AtomicUsize::new(0);
        let wanted = WANTED.get_or_init(|| {
            let wanted = std::env::var("HEADCOUNT_FAILPOINT").ok()?;
            let mut parts = wanted.splitn(3, ':').map(str::to_owned);
            let (name, times) = (parts.next()?, parts.next()?.parse().ok()?);
            Some((name, times, parts.next().unwrap_or_default()))
        });
        if let Some((name, times, how)) = wanted
            && *name == self.name()
            && PASSED.fetch_add(1, Ordering::Relaxed) + 1 == *times
        {
            match how.as_str() {
                "hang" => loop {
                    std::thread::park();
                },
                "panic" => panic!("a test has asked for this: \"{name}\"\n\u{1b}[1m and more"),
                // No destructor runs, no buffer is flushed.
                _ => std::process::abort(),
            }
        }
    }

    /// Does nothing.
    #[cfg(not(debug_assertions))]
    pub fn pass(self) {}

    /// The name in the environment.
    #[cfg(debug_assertions)]
    fn name(self) -> &'static str {
        match self {
            Self::BeforeCommit => "before_commit",
            Self::AfterCommit => "after_commit",
            Self::Produce => "produce",
            Self::Acknowledge => "acknowledge",
            Self::Trim => "trim",
            Self::Copy => "copy",
            Self::CommitOffsets => "commit_offsets",
            Self::WorkerTurn => "worker_turn",
            Self::Report => "report",
            Self::Tick => "tick",
        }
    }
}
