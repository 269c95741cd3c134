//! What happens to the service, one thing after the other. The engine and the model take the same steps.

/// One thing that happens. Partitions are named by number, in the order in which they were added.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// A partition is read from an offset on.
    Add { start: i64, unread: bool },
    /// The record at an offset is delivered.
    Deliver { partition: usize, offset: i64 },
    /// There is no record before this offset.
    Pass { partition: usize, next: i64 },
    /// Everything that the partition holds was delivered.
    ReachEnd(usize),
    /// It has been so for long.
    Rest(usize),
    /// All rest, and time has come here.
    Walk(i64),
    /// Records were deleted before they were read.
    Gap { partition: usize, next: i64 },
    /// The partition ends.
    Finish(usize),
    /// It ends for this life; what waits goes on waiting.
    Close(usize),
    /// All have ended so: what is settled from here on is settled for the records of this life alone.
    EndInput,
    /// Something is to be put out.
    Barrier(Ask),
    /// A partition that a state knows is read on, where the state is.
    Resume { partition: usize, unread: bool },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ask {
    pub trailing: bool,
    pub changed: bool,
    pub end: bool,
    pub save: bool,
}

impl Ask {
    /// The same, and the state is to be saved or not.
    pub fn with_save(self, save: bool) -> Self {
        Self { save, ..self }
    }
}

pub const TICK: Ask = Ask {
    trailing: true,
    changed: true,
    end: false,
    save: false,
};
pub const HOUSEKEEPING: Ask = Ask {
    trailing: false,
    changed: false,
    end: false,
    save: false,
};
pub const END: Ask = Ask {
    trailing: false,
    changed: false,
    end: true,
    save: false,
};

/// What became of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fate {
    /// It counts, in the windows of these periods.
    Counted {
        hash: u64,
        ts: i64,
        periods: u8,
    },
    Held,
    Quarantined(&'static str),
    Ignored,
    Rejected(&'static str),
}

/// What a delivery or the end of a partition brought about.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Heard {
    pub own: Option<Fate>,
    /// Partition, offset and fate of the records that waited, by partition and offset.
    pub settled: Vec<(usize, i64, Fate)>,
}
