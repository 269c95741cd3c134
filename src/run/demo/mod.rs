//! `headcount demo`: the real service on a broker in memory, with made-up traffic whose true counts are known.

mod check;
mod rubbish;
mod traffic;

use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use crossbeam_channel::{Receiver, TryRecvError, bounded};
use rdkafka::error::KafkaError;
use rdkafka::mocking::MockCluster;

use self::check::{Check, Ledger};
use self::traffic::{Command, Producing};
use super::Stop;
use super::pipeline::spawn;
use super::service::{self, Gauges};
use super::viewing::Viewing;
use crate::config::{DemoConfig, ViewConfig};
use crate::error::Failure;
use crate::io::clock::{Clock, SystemClock};
use crate::io::front::Wish;
use crate::io::kafka_client::Connection;
use crate::io::published::{Reader, Tail};
use crate::limits::{
    DEMO_BURST_FACTOR, DEMO_BURST_MS, DEMO_PARTITIONS, POLL_MAX_MS, UNREACHABLE_END_MS,
    VIEW_TAIL_RECORDS,
};
use crate::view::Model;
use crate::view::model::Key;
use crate::view::number::grouped;

const KEYS: [Key; 4] = [
    Key {
        key: 'p',
        does: "pause",
    },
    Key {
        key: 'b',
        does: "burst",
    },
    Key {
        key: 'r',
        does: "rubbish",
    },
    Key {
        key: 'q',
        does: "quit",
    },
];

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
    if !matches!(config.view, ViewConfig::Screen { .. }) {
        headline(&mut out, config, &brokers).map_err(written)?;
    }

    // Before anything runs: a view that cannot be shown should be told at once.
    let viewing = viewing(config, &brokers, Arc::clone(&clock))?;
    let service_stop = Arc::new(Stop::new(false));
    let run_config = config.service(&brokers);
    let gauges = Arc::<Gauges>::default();
    let its_gauges = Arc::clone(&gauges);
    let (service_clock, its_stop) = (Arc::clone(&clock), Arc::clone(&service_stop));
    let (done, ended) = bounded(1);
    let serving = spawn("service".to_owned(), move || {
        let result = service::run(&run_config, service_clock, &its_stop, &its_gauges, None);
        let _ = done.send(());
        result
    })?;
    let ledger = Ledger::default();
    let producing = Producing::start(config, &brokers, ledger.clone(), gauges, Arc::clone(&clock))?;
    let mut show = Show {
        config,
        check: Check::new(ledger, config.plan.users),
        viewing,
        clock: Arc::clone(&clock),
        stop,
        ended,
        is_paused: false,
        burst_until_ms: 0,
        has_quit: false,
    };
    let shown = show.run(producing);
    // The terminal first: whatever else there is to say must not be lost on its other screen.
    let closed = show.viewing.close();
    service_stop.store(true, Ordering::Relaxed);
    let served = serving
        .join()
        .map_err(|_| Failure::Internal("the service thread died".to_owned()))?;
    let is_cut_short = show.has_quit || stop.load(Ordering::Relaxed);
    served.and(shown).and(closed)?;
    show.check.summary(&mut out).map_err(written)?;
    show.check.verdict(is_cut_short)
}

struct Show<'a> {
    config: &'a DemoConfig,
    check: Check,
    viewing: Viewing,
    clock: Arc<dyn Clock>,
    stop: &'a Stop,
    ended: Receiver<()>,
    is_paused: bool,
    burst_until_ms: u64,
    has_quit: bool,
}

impl Show<'_> {
    /// Shows until somebody wants to leave or the time is over, and then until a tick reflects every frame.
    fn run(&mut self, producing: Producing) -> Result<(), Failure> {
        let start_ms = self.clock.monotonic_ms();
        let deadline_ms = self.config.run_for_ms.map_or(u64::MAX, |ms| start_ms + ms);
        let is_due = |show: &Self| show.clock.monotonic_ms() >= deadline_ms;
        while self.goes_on() && !is_due(self) && !producing.has_ended() {
            self.viewing.model.producer = Some(self.describe(&producing));
            if let Some(Wish::Key(key)) = self.step()? {
                self.press(key, &producing)?;
            }
        }
        self.viewing.model.producer = None;
        producing.stop()?;
        let patience_ms = self.clock.monotonic_ms() + UNREACHABLE_END_MS;
        while self.goes_on() && !self.check.is_settled() && self.clock.monotonic_ms() < patience_ms
        {
            self.step()?;
        }
        Ok(())
    }

    fn goes_on(&self) -> bool {
        !self.has_quit && !self.stop.load(Ordering::Relaxed) && !has_ended(&self.ended)
    }

    fn step(&mut self) -> Result<Option<Wish>, Failure> {
        let wait = Duration::from_millis(POLL_MAX_MS);
        let wish = self.viewing.step(wait, &mut self.check)?;
        self.has_quit |= wish == Some(Wish::Quit);
        Ok(wish)
    }

    fn press(&mut self, key: char, producing: &Producing) -> Result<(), Failure> {
        match key {
            'p' => {
                self.is_paused = !self.is_paused;
                producing.tell(Command::Pause(self.is_paused));
                self.viewing.tell(match self.is_paused {
                    true => "the producer pauses; p again lets it go on",
                    false => "the producer goes on",
                })
            }
            'b' => {
                self.burst_until_ms = self.clock.monotonic_ms() + DEMO_BURST_MS;
                producing.tell(Command::Burst);
                let seconds = DEMO_BURST_MS / 1_000;
                let text =
                    format!("a burst: {DEMO_BURST_FACTOR} times the traffic for {seconds} s");
                self.viewing.tell(&text)
            }
            'r' => {
                producing.tell(Command::Rubbish);
                let number = rubbish::frames().len();
                let text = format!(
                    "{number} frames of rubbish, each wrong in another way: see what the ledger makes of them"
                );
                self.viewing.tell(&text)
            }
            _ => Ok(()),
        }
    }

    /// What the producer is doing, briefly: it shares its line with the keys.
    fn describe(&self, producing: &Producing) -> String {
        let left_ms = self
            .burst_until_ms
            .saturating_sub(self.clock.monotonic_ms());
        let factor = if left_ms > 0 { DEMO_BURST_FACTOR } else { 1 };
        let rate = grouped(u64::from(self.config.rate) * u64::from(factor));
        let left_s = left_ms.div_ceil(1_000);
        match (self.is_paused, producing.is_held_back(), left_ms) {
            (true, ..) => "paused".to_owned(),
            (false, true, _) => format!("{rate} frames/s, broker full"),
            (false, false, 0) => format!("{rate} frames/s"),
            (false, false, _) => format!("{rate} frames/s, {left_s} s left"),
        }
    }
}

/// Whether the service has ended: it says so, unless it panicked, which drops its end of the channel.
fn has_ended(ended: &Receiver<()>) -> bool {
    ended.try_recv() != Err(TryRecvError::Empty)
}

fn viewing(config: &DemoConfig, brokers: &str, clock: Arc<dyn Clock>) -> Result<Viewing, Failure> {
    let connection = Connection::new(brokers.to_owned(), Vec::new());
    let (stats, windows) = config.output_topics();
    let tail = Tail {
        ticks: VIEW_TAIL_RECORDS,
        windows: VIEW_TAIL_RECORDS,
    };
    let reader = Reader::new(&connection, stats, windows, tail)?;
    let place = format!("in memory, {brokers}");
    let model = Model::new("headcount demo", &place, &KEYS);
    Viewing::new(reader, &config.view, model, None, clock)
}

type Cluster = MockCluster<'static, rdkafka::producer::DefaultProducerContext>;

fn cluster(config: &DemoConfig) -> Result<Cluster, KafkaError> {
    let cluster = MockCluster::new(1)?;
    cluster.create_topic(&config.topic, DEMO_PARTITIONS as i32, 1)?;
    let (stats, windows) = config.output_topics();
    cluster.create_topic(stats, 1, 1)?;
    cluster.create_topic(windows, 1, 1)?;
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_service_that_panicked_has_ended_too() {
        let (done, ended) = bounded(1);
        assert!(!has_ended(&ended));
        done.send(()).unwrap();
        assert!(has_ended(&ended));
        let (done, ended) = bounded(1);
        let service = spawn("service".to_owned(), move || {
            let _done = done;
            panic!("this panic is part of a test");
        });
        assert!(service.unwrap().join().is_err());
        assert!(has_ended(&ended));
    }
}
