//! `headcount demo`: the real service on a broker in memory, with made-up traffic whose true counts are known.

mod check;
mod traffic;
mod watch;

use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use crossbeam_channel::bounded;
use rdkafka::error::KafkaError;
use rdkafka::mocking::MockCluster;

use self::check::{Check, Ledger};
use self::traffic::Producing;
use self::watch::{Heard, Watch};
use super::pipeline::spawn;
use super::{Stop, service};
use crate::config::{DemoConfig, OutputConfig};
use crate::error::Failure;
use crate::io::clock::{Clock, SystemClock};
use crate::limits::{DEMO_PARTITIONS, POLL_MAX_MS, UNREACHABLE_END_MS};

/// Runs the demo until `stop` is raised, or as long as it was asked to.
///
/// # Errors
///
/// When something cannot be started, or a published number is wrong.
pub fn run(config: &DemoConfig, stop: &Arc<Stop>) -> Result<(), Failure> {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let cluster = cluster(config).map_err(|error| failed(&error))?;
    let brokers = cluster.bootstrap_servers();
    let mut out = io::stdout();
    headline(&mut out, config, &brokers).map_err(written)?;

    let service_stop = Arc::new(Stop::new(false));
    let run_config = config.service(&brokers);
    let (service_clock, its_stop) = (Arc::clone(&clock), Arc::clone(&service_stop));
    let (done, ended) = bounded(1);
    let serving = spawn("service".to_owned(), move || {
        let result = service::run(&run_config, service_clock, &its_stop);
        let _ = done.send(());
        result
    })?;
    let ledger = Ledger::default();
    let producing = Producing::start(config, &brokers, ledger.clone(), Arc::clone(&clock))?;
    let mut watch = Watch::new(config, &brokers).map_err(|error| failed(&error))?;
    let mut check = Check::new(ledger, config.plan.users);

    let deadline_ms = config
        .run_for_ms
        .map_or(u64::MAX, |ms| clock.monotonic_ms() + ms);
    while !stop.load(Ordering::Relaxed) && clock.monotonic_ms() < deadline_ms && ended.is_empty() {
        hear(&mut watch, &mut check, &mut out)?;
    }
    producing.stop()?;
    // A tick must still come that reflects every frame, unless somebody is waiting for the prompt.
    let patience_ms = clock.monotonic_ms() + UNREACHABLE_END_MS;
    let mut is_cut_short = stop.load(Ordering::Relaxed);
    while !is_cut_short && !check.is_settled() && ended.is_empty() {
        hear(&mut watch, &mut check, &mut out)?;
        is_cut_short = stop.load(Ordering::Relaxed);
        if clock.monotonic_ms() > patience_ms {
            break;
        }
    }
    service_stop.store(true, Ordering::Relaxed);
    serving
        .join()
        .map_err(|_| Failure::Internal("the service thread died".to_owned()))??;
    check.summary(&mut out).map_err(written)?;
    check.verdict(is_cut_short)
}

fn hear(watch: &mut Watch, check: &mut Check, out: &mut impl Write) -> Result<(), Failure> {
    match watch.next(Duration::from_millis(POLL_MAX_MS)) {
        Some(Heard::Tick(tick)) => check.tick(&tick, out),
        Some(Heard::Final(window)) => check.window(&window, out),
        None => Ok(()),
    }
    .map_err(written)
}

type Cluster = MockCluster<'static, rdkafka::producer::DefaultProducerContext>;

fn cluster(config: &DemoConfig) -> Result<Cluster, KafkaError> {
    let cluster = MockCluster::new(1)?;
    cluster.create_topic(&config.topic, DEMO_PARTITIONS as i32, 1)?;
    if let OutputConfig::Topics { stats, windows } = &config.output {
        cluster.create_topic(stats, 1, 1)?;
        cluster.create_topic(windows, 1, 1)?;
    }
    Ok(cluster)
}

fn headline(out: &mut impl Write, config: &DemoConfig, brokers: &str) -> io::Result<()> {
    writeln!(
        out,
        "A broker in memory at {brokers}, topic '{}' with {DEMO_PARTITIONS} partitions: {} frames/s of about 2 KB from {} users.",
        config.topic, config.rate, config.plan.users
    )?;
    writeln!(
        out,
        "The counts come from topic 'stats', as any client reads them; the true ones from exact sets. ^C ends it.\n"
    )
}

fn failed(error: &KafkaError) -> Failure {
    Failure::Internal(format!("the broker in memory failed: {error}"))
}

fn written(error: io::Error) -> Failure {
    Failure::writing("standard output", &error)
}
