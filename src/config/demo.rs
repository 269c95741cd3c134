//! The configuration of `demo`.

use super::{Counting, From, HttpConfig, OutputConfig, RunConfig, ViewConfig};
use crate::cli::demo::DemoArgs;
use crate::error::Failure;
use crate::generate::Plan;
use crate::io::kafka_client::Connection;
use crate::limits::{
    DEMO_BURST_FACTOR, DEMO_MAX_S, DEMO_RATE_MAX, MAX_THREADS, TICK_MAX_MS, TICK_MIN_MS,
};

/// The configuration of `demo`.
#[derive(Debug, Clone)]
pub struct DemoConfig {
    /// Input topic.
    pub topic: String,
    stats: String,
    windows: String,
    /// The traffic of a burst that never ends.
    pub plan: Plan,
    /// Frames a second.
    pub rate: u32,
    /// Where to show it.
    pub view: ViewConfig,
    /// How long to run, in milliseconds; for ever if absent.
    pub run_for_ms: Option<u64>,
    every_ms: u64,
    http: Option<HttpConfig>,
    counting: Counting,
}

impl DemoConfig {
    /// Checks the options of `demo`. Its traffic starts at `now_ms`, unix time in milliseconds.
    ///
    /// # Errors
    ///
    /// One sentence about the first thing that makes no sense.
    pub fn resolve(
        args: &DemoArgs,
        now_ms: u64,
        env: &impl Fn(&str) -> Option<String>,
    ) -> Result<Self, Failure> {
        let usage = |text: String| Err(Failure::Usage(text));
        if !(1..=DEMO_RATE_MAX).contains(&args.rate) {
            return usage(format!(
                "--rate must be 1 to {DEMO_RATE_MAX}, not {}",
                args.rate
            ));
        }
        if !(1..=MAX_THREADS).contains(&args.threads) {
            return usage(format!(
                "--threads must be 1 to {MAX_THREADS}, not {}",
                args.threads
            ));
        }
        let every_ms = args.every.as_millis() as u64;
        if !(TICK_MIN_MS..=TICK_MAX_MS).contains(&every_ms) {
            return usage("--every must be 100ms to 1h".to_owned());
        }
        let run_for_ms = args.run_for.map(|d| d.as_millis() as u64);
        if run_for_ms.is_some_and(|ms| ms > DEMO_MAX_S * 1_000) {
            return usage(format!(
                "--for must be at most {} days",
                DEMO_MAX_S / 86_400
            ));
        }
        let plan = Plan {
            // A burst sends all of them, quiet traffic one in so many.
            frames: u64::from(args.rate * DEMO_BURST_FACTOR) * DEMO_MAX_S,
            users: args.users,
            start: (now_ms / 1_000) as u32,
            span_ms: DEMO_MAX_S * 1_000,
            seed: args.seed,
            population: args.seed,
            ..Plan::default()
        };
        plan.check()
            .map_err(|error| Failure::Usage(error.to_string()))?;
        Ok(Self {
            topic: "users".to_owned(),
            stats: "stats".to_owned(),
            windows: "stats-windows".to_owned(),
            plan,
            rate: args.rate,
            view: ViewConfig::resolve(&args.view, env),
            run_for_ms,
            every_ms,
            http: HttpConfig::resolve(&args.http, true)?,
            counting: Counting::standard(args.threads),
        })
    }

    /// Topics of the ticks and of the calendar windows.
    #[must_use]
    pub fn output_topics(&self) -> (&str, &str) {
        (&self.stats, &self.windows)
    }

    /// The service that the demo runs.
    #[must_use]
    pub fn service(&self, brokers: &str) -> RunConfig {
        RunConfig {
            // The mock cluster answers a fetch that found nothing when its time is over, whatever comes meanwhile.
            connection: Connection::new(
                brokers.to_owned(),
                vec![("fetch.wait.max.ms".to_owned(), "10".to_owned())],
            ),
            consumers: 1,
            topics: vec![self.topic.clone()],
            output: OutputConfig::Topics {
                stats: self.stats.clone(),
                windows: self.windows.clone(),
            },
            quarantine_topic: None,
            rejects_topic: None,
            forget_after_s: Default::default(),
            job: self.topic.clone(),
            group: "headcount-demo".to_owned(),
            every_ms: self.every_ms,
            idle_timeout_ms: 30_000,
            max_skew_s: 6 * 3_600,
            // Nobody else knows these brokers.
            takeover_after_ms: None,
            from: From::Earliest,
            state: None,
            tells_unsaved: false,
            skips_gaps: false,
            exit_at_end: false,
            until: None,
            http: self.http.clone(),
            counting: self.counting.clone(),
        }
    }
}
