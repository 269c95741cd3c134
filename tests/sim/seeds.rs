//! Which seeds are run, and what a failure says.

use std::any::Any;
use std::env;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use super::scenario::Scenario;
use super::trial;

/// About a minute on one core, and what `scripts/test --long` runs.
const SEEDS: u64 = 250;
const LONG_SEEDS: u64 = 10_000;
const PROGRESS_EVERY: u64 = 100;

fn number(name: &str) -> Option<u64> {
    let text = env::var(name).ok()?;
    let number = text.parse();
    Some(number.unwrap_or_else(|_| panic!("{name} is no number: {text}")))
}

fn text_of(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied())
        .unwrap_or("it panicked")
}

/// What went wrong with a seed, if anything did.
fn failure_of(seed: u64) -> Option<String> {
    let mut described = String::new();
    let run = AssertUnwindSafe(|| {
        let scenario = Scenario::new(seed);
        described = scenario.to_string();
        trial::run(&scenario);
    });
    let panic = catch_unwind(run).err()?;
    let text = text_of(&*panic);
    Some(format!(
        "{text}\n\n{described}\n\nto run it again:\n\n    HEADCOUNT_SIM_SEED={seed} cargo test --test sim\n"
    ))
}

#[test]
fn the_service_says_what_the_model_says() {
    let one = number("HEADCOUNT_SIM_SEED");
    let is_long = env::var("HEADCOUNT_TEST_LONG").is_ok_and(|long| long == "1");
    let seeds = match one {
        Some(seed) => seed..seed + 1,
        None if is_long => 0..number("HEADCOUNT_SIM_SEEDS").unwrap_or(LONG_SEEDS),
        None => 0..number("HEADCOUNT_SIM_SEEDS").unwrap_or(SEEDS),
    };
    let threads = match thread::available_parallelism() {
        Ok(cores) if is_long => cores.get(),
        _ => 1,
    };
    let next = AtomicU64::new(seeds.start);
    let failures = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if !seeds.contains(&seed) {
                        return;
                    }
                    if let Some(failure) = failure_of(seed) {
                        eprintln!("{failure}");
                        failures.lock().unwrap().push(seed);
                    }
                    let done = seed - seeds.start + 1;
                    if done.is_multiple_of(PROGRESS_EVERY) {
                        eprintln!("{done} of {} seeds", seeds.end - seeds.start);
                    }
                }
            });
        }
    });
    let mut failures = failures.into_inner().unwrap();
    failures.sort_unstable();
    assert!(
        failures.is_empty(),
        "{} of {} seeds failed, the first with HEADCOUNT_SIM_SEED={}: {failures:?}",
        failures.len(),
        seeds.end - seeds.start,
        failures[0]
    );
}
