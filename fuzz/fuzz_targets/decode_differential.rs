//! Any bytes as a frame: the decoders agree, on every set of instructions, but for the documented differences.
#![no_main]
#![allow(clippy::expect_used, reason = "a fuzz target says so by panicking")]

#[path = "../../tests/decode/law.rs"]
mod law;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|frame: &[u8]| {
    law::check(frame);
});
