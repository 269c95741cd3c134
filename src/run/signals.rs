//! SIGINT and SIGTERM: the first one asks, a second one leaves.

use std::process;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use super::Stop;
use super::pipeline::spawn;
use crate::error::{EXIT_SECOND_SIGNAL, Failure};
use crate::io::clock::{Clock, SystemClock};
use crate::limits::ONE_SIGNAL_MS;

/// A flag that the first signal raises; a second signal ends the process at once. With `on_hangup` the end of the terminal
/// is such a signal too: whoever has taken a terminal over must give it back. Others leave SIGHUP alone, for nohup(1).
///
/// # Errors
///
/// When the system refuses a signal handler.
pub fn stop_on_signals(on_hangup: bool) -> Result<Arc<Stop>, Failure> {
    let hangup = on_hangup.then_some(SIGHUP);
    let mut signals = Signals::new([SIGINT, SIGTERM].into_iter().chain(hangup))
        .map_err(|error| Failure::Internal(format!("cannot watch for signals: {error}")))?;
    let stop = Arc::new(Stop::new(false));
    let raised = Arc::clone(&stop);
    let clock = SystemClock::new();
    // Not joined: it lives as long as the process.
    drop(spawn("signals".to_owned(), move || {
        let mut first_ms = None;
        for _ in signals.forever() {
            let now_ms = clock.monotonic_ms();
            raised.store(true, Ordering::Relaxed);
            // Supervisors that signal a process and then its group, as timeout(1) does, mean one signal.
            if now_ms - *first_ms.get_or_insert(now_ms) > ONE_SIGNAL_MS {
                process::exit(EXIT_SECOND_SIGNAL);
            }
        }
    })?);
    Ok(stop)
}
