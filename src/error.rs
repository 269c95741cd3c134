//! How a run can fail: the kind decides the exit code, the text is one sentence that says what to do.

/// Why the program ends without having done its work. The text is for the operator.
#[derive(Debug, thiserror::Error, Clone, PartialEq, Eq)]
pub enum Failure {
    /// Options that make no sense. Exit code 2, as for those that clap refuses.
    #[error("{0}")]
    Usage(String),
    /// Input that is damaged, such as a torn gzip file. Exit code 65.
    #[error("{0}")]
    Data(String),
    /// An input file that cannot be opened. Exit code 66.
    #[error("{0}")]
    NoInput(String),
    /// A broker, topic or partition that could not be reached although the run has an end. Exit code 69.
    #[error("{0}")]
    Unavailable(String),
    /// A failure of this program itself. Exit code 70.
    #[error("{0}")]
    Internal(String),
    /// An output that cannot be written. Exit code 74.
    #[error("{0}")]
    Output(String),
    /// Frames were gone before they were read. Exit code 76.
    #[error("{0}")]
    Gap(String),
    /// Brokers that do not let us in, or cannot be trusted. Exit code 77.
    #[error("{0}")]
    Refused(String),
    /// A state that is damaged, or not one for this run. Exit code 78.
    #[error("{0}")]
    State(String),
    /// Another instance has the state. Exit code 75.
    #[error("{0}")]
    Taken(String),
    /// Stopped by a signal before its end. Exit code 130.
    #[error("{0}")]
    Interrupted(String),
    /// The reader of the output has left. Not an error: exit code 0.
    #[error("the reader of the output has left")]
    ReaderGone,
}

/// Exit code after a second signal, without draining, and of work that a signal cut short.
pub const EXIT_SECOND_SIGNAL: i32 = 130;

impl Failure {
    /// The exit code, from `sysexits.h` where there is one.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::ReaderGone => 0,
            Self::Usage(_) => 2,
            Self::Data(_) => 65,
            Self::NoInput(_) => 66,
            Self::Unavailable(_) => 69,
            Self::Internal(_) => 70,
            Self::Output(_) => 74,
            Self::Taken(_) => 75,
            Self::Gap(_) => 76,
            Self::Refused(_) => 77,
            Self::State(_) => 78,
            Self::Interrupted(_) => EXIT_SECOND_SIGNAL as u8,
        }
    }

    /// A failed write to an output.
    #[must_use]
    pub fn writing(what: &str, error: &std::io::Error) -> Self {
        if error.kind() == std::io::ErrorKind::BrokenPipe {
            Self::ReaderGone
        } else {
            Self::Output(format!("cannot write to {what}: {error}"))
        }
    }
}
