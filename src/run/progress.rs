//! A bar over the bytes of an input, on standard error when that is a terminal.

use std::io::{self, IsTerminal};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::io::source::lines::Input;

/// Bytes of all inputs as they lie on disk; `None` where one has no size of its own, such as a pipe.
pub(super) fn total_bytes(inputs: &[Input]) -> Option<u64> {
    let sizes = inputs.iter().map(|input| match input {
        Input::File(path) => std::fs::metadata(path).ok().filter(|m| m.is_file()),
        Input::Stdin => None,
    });
    sizes.map(|m| m.map(|m| m.len())).sum()
}

/// A bar that begins with a message; hidden where nobody looks.
pub(super) fn bar(total_bytes: Option<u64>, message: &'static str) -> ProgressBar {
    let template = match total_bytes {
        Some(_) => "{bytes}/{total_bytes} {wide_bar} {msg}, {eta} left",
        None => "{spinner} {bytes}, {msg}",
    };
    let target = if io::stderr().is_terminal() {
        ProgressDrawTarget::stderr()
    } else {
        ProgressDrawTarget::hidden()
    };
    let bar = ProgressBar::with_draw_target(total_bytes, target);
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style);
    }
    bar.set_message(message);
    bar
}
