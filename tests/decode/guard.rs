//! Frames that end where readable memory does: a decoder that reads a byte too many dies here.
//!
//! The `unsafe` is sound because a mapping is used only within the value that made it, up to the length that it was made
//! with, and unmapped once, when that is dropped.

#![allow(unsafe_code)]

use std::ptr::NonNull;

use rustix::mm::{MapFlags, MprotectFlags, ProtFlags, mmap_anonymous, mprotect, munmap};

use crate::frames::{Dice, damage, frame};
use crate::law;

/// Memory that nothing follows, and that nothing stands before.
struct Fenced {
    /// A page that cannot be read, the readable ones, and another that cannot be read.
    start: NonNull<u8>,
    readable: usize,
}

const PAGE: usize = 4_096;

impl Fenced {
    fn new(pages: usize) -> Self {
        let readable = pages * PAGE;
        // SAFETY: a new mapping of anonymous memory touches no other.
        let start = unsafe {
            mmap_anonymous(
                std::ptr::null_mut(),
                readable + 2 * PAGE,
                ProtFlags::empty(),
                MapFlags::PRIVATE,
            )
        };
        let start = NonNull::new(start.unwrap().cast::<u8>()).unwrap();
        // SAFETY: these pages are part of the mapping that was just made.
        unsafe {
            let inner = start.as_ptr().add(PAGE).cast();
            mprotect(inner, readable, MprotectFlags::READ | MprotectFlags::WRITE).unwrap();
        }
        Self { start, readable }
    }

    /// A copy that ends at the last readable byte.
    fn at_end(&mut self, bytes: &[u8]) -> &[u8] {
        self.copy(self.readable - bytes.len(), bytes)
    }

    /// A copy that begins at the first readable byte.
    fn at_start(&mut self, bytes: &[u8]) -> &[u8] {
        self.copy(0, bytes)
    }

    fn copy(&mut self, at: usize, bytes: &[u8]) -> &[u8] {
        assert!(at + bytes.len() <= self.readable);
        // SAFETY: within the readable pages, which are ours alone and zeroed by the kernel.
        let memory = unsafe {
            let inner = self.start.as_ptr().add(PAGE + at);
            std::slice::from_raw_parts_mut(inner, bytes.len())
        };
        memory.copy_from_slice(bytes);
        memory
    }
}

impl Drop for Fenced {
    fn drop(&mut self) {
        // SAFETY: the mapping is ours, and nothing borrows from it any more.
        let _ = unsafe { munmap(self.start.as_ptr().cast(), self.readable + 2 * PAGE) };
    }
}

#[test]
fn no_byte_behind_or_before_a_frame_is_read() {
    let mut fenced = Fenced::new(8);
    for seed in 0..2_000 {
        let mut dice = Dice::new(seed);
        let mut frame = frame(&mut dice);
        for _ in 0..4 {
            frame.truncate(8 * PAGE);
            law::check(fenced.at_end(&frame));
            law::check(fenced.at_start(&frame));
            damage(&mut dice, &mut frame);
        }
    }
}

#[test]
fn a_frame_of_any_length_may_end_where_memory_does() {
    let mut fenced = Fenced::new(3);
    for padding in (0..700).chain(3_900..4_300).chain(8_100..8_300) {
        let padding = "é\\n".repeat(padding / 4) + &"x".repeat(padding % 4);
        let frame = format!(r#"{{"uid":"a","ts":7,"x":"{padding}"}}"#);
        law::check(fenced.at_end(frame.as_bytes()));
        // Cut off: within a string, within a key, behind one, within a number.
        for cut in 1..12 {
            law::check(fenced.at_end(&frame.as_bytes()[..frame.len() - cut]));
        }
        let frame = format!(r#"{{"x":"{padding}","ts":7,"uid":"a"#);
        for cut in 0..18 {
            law::check(fenced.at_end(&frame.as_bytes()[..frame.len() - cut]));
        }
    }
}
