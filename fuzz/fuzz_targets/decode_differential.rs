//! Any bytes as a frame: the decoders agree, on every set of instructions, but for the documented differences; with the usual
//! names of the fields, and with keys of the frame itself.
#![no_main]
#![allow(clippy::expect_used, reason = "a fuzz target says so by panicking")]

#[path = "../../tests/decode/law.rs"]
mod law;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|frame: &[u8]| {
    law::check(frame);
    law::check_other_names(frame, frame.iter().map(|byte| usize::from(*byte)).sum());
});
