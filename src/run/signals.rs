//! SIGINT and SIGTERM: the first one asks, the second one leaves.

use std::sync::Arc;

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;

use super::Stop;
use crate::error::{EXIT_SECOND_SIGNAL, Failure};

/// A flag that the first signal raises; a second signal ends the process at once.
///
/// # Errors
///
/// When the system refuses a signal handler.
pub fn stop_on_signals() -> Result<Arc<Stop>, Failure> {
    let stop = Arc::new(Stop::new(false));
    for signal in [SIGINT, SIGTERM] {
        // In this order: on the first signal the flag is not yet raised.
        flag::register_conditional_shutdown(signal, EXIT_SECOND_SIGNAL, Arc::clone(&stop))
            .and_then(|_| flag::register(signal, Arc::clone(&stop)))
            .map_err(|error| Failure::Internal(format!("cannot watch for signals: {error}")))?;
    }
    Ok(stop)
}
