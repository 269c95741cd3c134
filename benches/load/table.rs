//! The one table.

use headcount::view::number::grouped;
use serde_json::Value;

use crate::Options;
use crate::run::Outcome;

/// Prints what came of a stream; returns whether nothing was lost and all counts are right.
pub fn print(outcome: &Outcome, options: &Options) -> bool {
    let summary = &outcome.summary;
    let whole = |key: &str| summary[key].as_u64().unwrap_or(0);
    let (lines, acknowledged) = (whole("lines"), whole("acknowledged"));
    row("what", "sent", "counted");
    row("frames", &grouped(acknowledged), &grouped(outcome.read));
    let best = outcome.rates.iter().copied().fold(0.0, f64::max);
    let sent_s = summary["seconds"].as_f64().unwrap_or(0.0);
    let counted_s = outcome.beats.last().map_or(0.0, |beat| beat.at_s);
    row(
        "seconds",
        &format!("{sent_s:.1}"),
        &format!("{counted_s:.1} (to the tick that has all)"),
    );
    row(
        "frames/s",
        &rate(summary, "frames_per_s"),
        &format!("{} at best between two ticks", grouped(best as u64)),
    );
    let frame_bytes = whole("bytes") as f64 / acknowledged.max(1) as f64;
    row(
        "MB/s",
        &rate(summary, "mb_per_s"),
        &format!("{:.1}", best * frame_bytes / 1e6),
    );
    println!();
    print_delays(outcome, options);
    print_lag(outcome);
    println!();
    println!(
        "{:<18}{:>10}{:>10}{:>12}",
        "process", "CPU s", "cores", "peak MB"
    );
    for (name, usage) in &outcome.usage {
        let cores = usage.cpu_s / counted_s.max(0.1);
        let peak = usage.peak_bytes as f64 / 1e6;
        println!("{name:<18}{:>10.1}{cores:>10.2}{peak:>12.0}", usage.cpu_s);
    }
    println!();
    let is_whole = acknowledged == lines && outcome.read == acknowledged;
    match is_whole {
        true => println!(
            "nothing lost and nothing twice: {} lines, as many acknowledged, as many read",
            grouped(lines)
        ),
        false => println!(
            "NOT WHOLE: {lines} lines, {acknowledged} acknowledged, {} read",
            outcome.read
        ),
    }
    print_verdict(outcome) && is_whole
}

fn row(what: &str, sent: &str, counted: &str) {
    println!("{what:<12}{sent:>14}   {counted}");
}

fn rate(summary: &Value, key: &str) -> String {
    let rate = summary[key].as_f64().unwrap_or(0.0);
    match rate < 1_000.0 {
        true => format!("{rate:.1}"),
        false => grouped(rate as u64),
    }
}

fn print_delays(outcome: &Outcome, options: &Options) {
    let delays = &outcome.delays_ms;
    let at = |share: f64| {
        let index = (delays.len() as f64 * share) as usize;
        delays
            .get(index.min(delays.len().saturating_sub(1)))
            .map_or(0.0, |ms| *ms as f64 / 1e3)
    };
    println!(
        "delay of {} frames from production to the first tick that reflects them (one each {:?}): p50 {:.2} s, p99 {:.2} s, most {:.2} s",
        grouped(delays.len() as u64),
        options.every,
        at(0.5),
        at(0.99),
        at(1.0)
    );
}

fn print_lag(outcome: &Outcome) {
    let lag = |beat: &crate::run::Heartbeat| beat.tick.process.lag.map_or("?".to_owned(), grouped);
    // As many as fit a line or two.
    let step = outcome.beats.len().div_ceil(16).max(1);
    let shown: Vec<_> = outcome
        .beats
        .iter()
        .step_by(step)
        .map(|beat| format!("{:.0} s: {}", beat.at_s, lag(beat)))
        .collect();
    println!("lag at the ticks, frames: {}", shown.join(", "));
}

fn print_verdict(outcome: &Outcome) -> bool {
    let Some(verdict) = &outcome.verdict else {
        println!("counts: not compared, for the truth is not known (--truth)");
        return true;
    };
    for wrong in &verdict.wrong {
        println!("WRONG: {wrong}");
    }
    if verdict.wrong.is_empty() {
        println!(
            "counts: {} calendar and 6 trailing windows against the truth: frames equal in all; users equal in {} that are exact, within {:.2} sigma ({:.2} %) in {} that are estimated",
            verdict.windows,
            verdict.exact,
            verdict.worst_sigma,
            100.0 * verdict.worst_error,
            verdict.estimated
        );
    }
    verdict.wrong.is_empty()
}
