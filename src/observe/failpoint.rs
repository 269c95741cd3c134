//! Places at which a test may have the process die. Release builds have none.

/// Where a checkpoint and what it publishes may be cut short.
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
}

impl Failpoint {
    /// Dies here if the environment says so: `HEADCOUNT_FAILPOINT=after_commit:3` at the third time.
    #[cfg(debug_assertions)]
    pub fn pass(self) {
        use std::sync::OnceLock;
        use std::sync::atomic::{AtomicUsize, Ordering};

        static WANTED: OnceLock<Option<(String, usize)>> = OnceLock::new();
        static PASSED: AtomicUsize = AtomicUsize::new(0);
        let wanted = WANTED.get_or_init(|| {
            let wanted = std::env::var("HEADCOUNT_FAILPOINT").ok()?;
            let (name, times) = wanted.split_once(':')?;
            Some((name.to_owned(), times.parse().ok()?))
        });
        if let Some((name, times)) = wanted
            && *name == self.name()
            && PASSED.fetch_add(1, Ordering::Relaxed) + 1 == *times
        {
            // No destructor runs, no buffer is flushed.
            std::process::abort();
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
        }
    }
}
