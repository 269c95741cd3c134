//! What happens where records are put out.

use tracing::warn;

/// The outputs are behind, so reading waits.
#[derive(Debug)]
pub struct OutputBehind {
    /// Finals that are not acknowledged.
    pub unpublished_finals: usize,
    /// What they wait for.
    pub cause: Cause,
}

/// What finals wait for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// The output.
    Output,
    /// The checkpoint that has them.
    State,
    /// The instance that publishes.
    Another,
}

impl Cause {
    fn text(self) -> &'static str {
        match self {
            Self::Output => "the output topics do not keep up; reading waits for them",
            Self::State => "the state is not written fast enough; reading waits for it",
            Self::Another => {
                "the instance that publishes has not come so far; reading waits for it"
            }
        }
    }

    /// The same of records that are left when a run ends.
    pub(super) fn left_behind(self) -> &'static str {
        match self {
            Self::Output => "the output topics did not take the last records",
            Self::State => "the last records wait for a state that was not written",
            Self::Another => "the instance that publishes has not come so far",
        }
    }
}

impl OutputBehind {
    /// Logs it.
    pub fn emit(&self) {
        let unpublished_finals = self.unpublished_finals;
        warn!(
            name: "output_behind",
            unpublished_finals,
            "{}", self.cause.text()
        );
    }
}
