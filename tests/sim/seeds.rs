//! Which seeds are run, and what a failure says.

use std::any::Any;
use std::env;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use super::scenario::Scenario;
use super::trial::{self, Reached, TO_BE_REACHED};

/// About a minute on one core; what `scripts/test --long` runs.
const SEEDS: u64 = 300;
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
fn outcome_of(seed: u64) -> Result<Reached, String> {
    let mut described = String::new();
    let run = AssertUnwindSafe(|| {
        let scenario = Scenario::new(seed);
        described = scenario.to_string();
        trial::run(&scenario)
    });
    catch_unwind(run).map_err(|panic| {
        let text = text_of(&*panic);
        format!(
            "{text}\n\n{described}\n\nto run it again:\n\n    HEADCOUNT_SIM_SEED={seed} cargo test --test sim\n"
        )
    })
}

/// Runs seeds on some threads; returns those that failed, and what the others came by.
fn run_all(seeds: &Range<u64>, threads: usize) -> (Vec<u64>, Reached) {
    let next = AtomicU64::new(seeds.start);
    let outcome = Mutex::new((Vec::new(), Reached::new()));
    let work = || {
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if !seeds.contains(&seed) {
                return;
            }
            let run = outcome_of(seed);
            let (failed, all) = &mut *outcome.lock().unwrap();
            match run {
                Ok(reached) => {
                    for (name, times) in reached {
                        *all.entry(name).or_default() += times;
                    }
                }
                Err(failure) => {
                    eprintln!("{failure}");
                    failed.push(seed);
                }
            }
            let done = seed - seeds.start + 1;
            if done.is_multiple_of(PROGRESS_EVERY) {
                eprintln!("{done} of {} seeds", seeds.end - seeds.start);
            }
        }
    };
    thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(work);
        }
    });
    let (mut failed, reached) = outcome.into_inner().unwrap();
    failed.sort_unstable();
    (failed, reached)
}

#[test]
fn the_service_says_what_the_model_says() {
    let one = number("HEADCOUNT_SIM_SEED");
    let is_long = env::var("HEADCOUNT_TEST_LONG").is_ok_and(|long| long == "1");
    let usual = if is_long { LONG_SEEDS } else { SEEDS };
    let seeds = match one {
        Some(seed) => seed..seed + 1,
        None => 0..number("HEADCOUNT_SIM_SEEDS").unwrap_or(usual),
    };
    let threads = match thread::available_parallelism() {
        Ok(cores) if is_long => cores.get(),
        Ok(cores) => cores.get().min(2),
        _ => 1,
    };
    let (failed, reached) = run_all(&seeds, threads);
    let all = seeds.end - seeds.start;
    if let Some(first) = failed.first() {
        panic!(
            "{} of {all} seeds failed, the first with HEADCOUNT_SIM_SEED={first}: {failed:?}",
            failed.len()
        );
    }
    eprintln!("{all} seeds: {reached:?}");
    if all >= SEEDS {
        let missed = TO_BE_REACHED
            .iter()
            .find(|name| !reached.contains_key(**name));
        assert_eq!(missed, None, "no seed came by this");
    }
}
