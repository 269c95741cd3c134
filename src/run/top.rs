//! `headcount top`: a live view of a service that runs elsewhere.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::Stop;
use super::viewing::{NoWitness, Viewing};
use crate::config::{TopConfig, ViewConfig};
use crate::error::Failure;
use crate::io::clock::{Clock, SystemClock};
use crate::io::front::Wish;
use crate::io::published::{Heard, Reader, Tail};
use crate::limits::{POLL_MAX_MS, SURVEY_TIMEOUT_MS, VIEW_TAIL_RECORDS};
use crate::view::Model;
use crate::view::heard::Tick;
use crate::view::model::Key;

const KEYS: [Key; 1] = [Key {
    key: 'q',
    does: "quit",
}];

/// Shows a service until somebody wants to leave.
///
/// # Errors
///
/// Options that the client library refuses, a terminal that is lost; with `once`, no tick that is young enough.
pub fn run(config: &TopConfig, stop: &Stop) -> Result<(), Failure> {
    config.connection.check()?;
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    if let Some(max_age_ms) = config.once {
        return once(config, max_age_ms, &*clock, stop);
    }
    config.connection.check_refusal()?;
    // Lines that were written while nobody looked are nobody's concern; a screen shows what led here.
    let tail = match config.view {
        // Behind the last tick there is the end of its transaction.
        ViewConfig::Plain => 2,
        ViewConfig::Screen { .. } | ViewConfig::Picture(_) => VIEW_TAIL_RECORDS,
    };
    let tail = Tail {
        ticks: tail,
        windows: tail,
    };
    let reader = Reader::new(&config.connection, &config.stats, &config.windows, tail)?;
    let place = format!("{} on {}", config.stats, config.connection.brokers);
    let mut model = Model::new("headcount top", &place, &KEYS);
    model.names_job = true;
    let mut viewing = Viewing::new(reader, &config.view, model, config.job.clone(), clock)?;
    while !stop.load(Ordering::Relaxed) {
        let wait = Duration::from_millis(POLL_MAX_MS);
        if viewing.step(wait, &mut NoWitness)? == Some(Wish::Quit) {
            break;
        }
    }
    viewing.close()
}

/// Shows the newest tick, if it is young enough.
fn once(
    config: &TopConfig,
    max_age_ms: u64,
    clock: &dyn Clock,
    stop: &Stop,
) -> Result<(), Failure> {
    let tail = Tail {
        ticks: VIEW_TAIL_RECORDS,
        windows: 0,
    };
    let mut reader = Reader::new(&config.connection, &config.stats, &config.windows, tail)?;
    let deadline_ms = clock.monotonic_ms() + SURVEY_TIMEOUT_MS;
    let (mut newest, mut records, mut jobs) = (None, 0, BTreeSet::new());
    while clock.monotonic_ms() < deadline_ms && !stop.load(Ordering::Relaxed) {
        match reader.next(Duration::from_millis(POLL_MAX_MS)) {
            Some(Heard::Tick(record)) => {
                records += 1;
                let Ok(tick) = Tick::parse(&record.payload) else {
                    continue;
                };
                jobs.insert(tick.job.clone());
                if config.job.as_ref().is_none_or(|job| *job == tick.job) {
                    newest = Some((tick, record.at_ms));
                }
            }
            Some(Heard::End) => break,
            Some(Heard::Window(_) | Heard::Trouble(_) | Heard::Away(_) | Heard::Missing(_))
            | None => {}
        }
    }
    let (topic, jobs) = (&config.stats, jobs.into_iter().collect::<Vec<_>>());
    if config.job.is_none() && jobs.len() > 1 {
        return Err(Failure::Usage(format!(
            "several jobs publish to topic '{topic}': {}; say which with --job",
            jobs.join(", ")
        )));
    }
    let Some((tick, at_ms)) = newest else {
        config.connection.check_refusal()?;
        let why = match (records, jobs.is_empty()) {
            (0, _) => reader.diagnose().to_owned(),
            (_, true) => "none of its last records is one; is it the output topic?".to_owned(),
            (_, false) => format!("its last ones are of other jobs: {}", jobs.join(", ")),
        };
        return Err(Failure::Unavailable(format!(
            "no tick in topic '{topic}' on {}: {why}",
            config.connection.brokers
        )));
    };
    let at_ms = at_ms.unwrap_or_else(|| clock.unix_ms());
    let age_ms = clock.unix_ms().saturating_sub(at_ms);
    let mut model = Model::new("headcount top", topic, &[]);
    model.take_tick(tick, None, at_ms);
    let mut out = std::io::stdout();
    crate::view::lines::tick(&model, &mut out)
        .map_err(|error| Failure::writing("standard output", &error))?;
    if age_ms > max_age_ms {
        return Err(Failure::Unavailable(format!(
            "the newest tick in topic '{topic}' is {:.1} s old; --max-age allows {} s: is the service running?",
            age_ms as f64 / 1e3,
            max_age_ms as f64 / 1e3
        )));
    }
    Ok(())
}
