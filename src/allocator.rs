//! The allocator of the program and of the C libraries in it.
//!
//! Why the `unsafe` here is sound: both functions are mimalloc's own (`mimalloc.h`, *Runtime Options*), linked in with the
//! allocator below; they take and give plain integers, and may be called at any time from any thread.

#![allow(
    unsafe_code,
    reason = "options of the allocator are set in C; the argument is above"
)]

use std::ffi::{c_int, c_long};

use headcount::limits::PURGE_DELAY_MS;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

unsafe extern "C" {
    fn mi_option_get(option: c_int) -> c_long;
    fn mi_option_set(option: c_int, value: c_long);
}

/// `mi_option_purge_delay`: for how many milliseconds memory that is free is kept before the system gets it back.
const PURGE_DELAY: c_int = 15;
/// What it is unless the environment says otherwise.
const USUAL_MS: c_long = 1_000;

/// Gives memory back sooner than is usual, unless the environment (`MIMALLOC_PURGE_DELAY`) says when.
pub fn give_back_sooner() {
    // SAFETY: see above.
    unsafe {
        if mi_option_get(PURGE_DELAY) == USUAL_MS {
            mi_option_set(PURGE_DELAY, PURGE_DELAY_MS);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_option_is_still_where_it_was() {
        // SAFETY: see above.
        let now = || unsafe { mi_option_get(PURGE_DELAY) };
        assert!(std::env::var_os("MIMALLOC_PURGE_DELAY").is_some() || now() == USUAL_MS);
        give_back_sooner();
        assert!(std::env::var_os("MIMALLOC_PURGE_DELAY").is_some() || now() == PURGE_DELAY_MS);
    }
}
