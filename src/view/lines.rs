//! A tick as lines of text, for where there is no terminal.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::io::{self, Write};

use super::WINDOWS;
use super::heard::Count;
use super::model::Model;
use super::number::{amount, grouped};
use crate::limits::VIEW_REASONS_MAX;

/// Writes the last tick as a small table.
///
/// # Errors
///
/// What the writer returns.
pub fn tick(model: &Model, out: &mut dyn Write) -> io::Result<()> {
    let Some(tick) = model.tick() else {
        return Ok(());
    };
    let as_of = model.as_of().unwrap_or_else(|| "no time yet".to_owned());
    let counted = grouped(tick.frames.counted);
    writeln!(out, "tick {} of job {}, as of {as_of}", tick.tick, tick.job)?;
    writeln!(out, "  {counted} frames counted{}", pulse(model))?;
    let heads = ["users", "true", "error"];
    match model.truth() {
        Some(_) => writeln!(
            out,
            "  {:<8}{:>12}{:>12}{:>10}   95 % interval",
            "last", heads[0], heads[1], heads[2]
        )?,
        None => writeln!(out, "  {:<8}{:>12}   95 % interval", "last", heads[0])?,
    }
    for (i, (window, count)) in WINDOWS.into_iter().zip(tick.counts()).enumerate() {
        let users = grouped(count.users);
        write!(out, "  {window:<8}{users:>12}")?;
        if let Some(truth) = model.truth() {
            let error = 100.0 * count.error(truth[i]);
            write!(out, "{:>12}{error:>+8.2} %", grouped(truth[i]))?;
        }
        writeln!(out, "   {}", interval(count))?;
    }
    if !tick.frames.rejected.is_empty() {
        writeln!(
            out,
            "  rejected {}",
            rejected(&tick.frames.rejected, usize::MAX)
        )?;
    }
    let doubtful = [
        ("quarantined", tick.frames.quarantined),
        ("pending", tick.frames.pending),
    ];
    for (what, n) in doubtful.into_iter().filter(|(_, n)| *n > 0) {
        writeln!(out, "  {what} {}", grouped(n))?;
    }
    writeln!(out)?;
    out.flush()
}

/// Rate and lag, as far as they are known.
fn pulse(model: &Model) -> String {
    let beat = model.beat_now();
    let mut text = String::new();
    if let Some(rate) = beat.frames_per_s {
        text += &format!(", {}frames/s", amount(rate));
    }
    if let Some(lag) = beat.lag {
        text += &format!(", lag {}", grouped(lag));
    }
    text
}

/// The 95 % interval in words.
pub(super) fn interval(count: Count) -> String {
    if count.is_exact() {
        return "exact".to_owned();
    }
    format!("{} to {}", grouped(count.lo), grouped(count.hi))
}

/// How many frames were rejected and why, the commonest reason first, in at most so many characters as long as the total
/// fits: `31 (json 20, others 11)`.
pub(super) fn rejected(reasons: &BTreeMap<String, u64>, most: usize) -> String {
    let sum = |counts: &[(&String, &u64)]| {
        let counts = counts.iter().map(|(_, n)| **n);
        grouped(counts.fold(0, u64::saturating_add))
    };
    let mut reasons: Vec<_> = reasons.iter().collect();
    reasons.sort_by_key(|(_, n)| Reverse(**n));
    let total = sum(&reasons);
    let texts: Vec<_> = reasons
        .iter()
        .map(|(reason, n)| format!("{reason} {}", grouped(**n)))
        .collect();
    let with = |shown: usize| match shown == texts.len() {
        true => format!("{total} ({})", texts.join(", ")),
        false => {
            let others = sum(&reasons[shown..]);
            format!("{total} ({}, others {others})", texts[..shown].join(", "))
        }
    };
    let mut fitting = (1..=texts.len().min(VIEW_REASONS_MAX)).rev().map(with);
    fitting
        .find(|text| text.chars().count() <= most)
        .unwrap_or(total.clone())
}

/// Writes the newest news as a line.
///
/// # Errors
///
/// What the writer returns.
pub fn news(model: &Model, out: &mut dyn Write) -> io::Result<()> {
    let Some(news) = model.news().next() else {
        return Ok(());
    };
    writeln!(out, "{}\n", news.text)?;
    out.flush()
}
