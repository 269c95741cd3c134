//! Tests that need nothing but this package.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test that cannot go on says so by panicking"
)]

#[path = "../support/mod.rs"]
mod support;

mod cli;
mod data;
mod generate;
mod json_suite;
mod packaging;
mod systemd;
mod tidy;
mod view;
