//! Puts the parts of a service together.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

use super::super::consuming::Consuming;
use super::super::driver::Driver;
use super::super::keep::{Keeper, Saves};
use super::super::pipeline::Pipeline;
use super::super::publish::ServicePublisher;
use super::super::scout::Scout;
use super::super::set_aside::SetAside;
use super::super::stdout_sink::StdoutSink;
use super::super::turn::{Ears, Own, Turn};
use super::super::unpublished::Unpublished;
use super::super::watchdog::Watchdog;
use super::super::web::Web;
use super::state::{Saving, begin};
use crate::config::{OutputConfig, RunConfig};
use crate::engine::calendar::Calendar;
use crate::engine::checkpoint::keeping::Keeping;
use crate::engine::report::forget::Forget;
use crate::engine::report::record::{Recorder, Service};
use crate::error::Failure;
use crate::io::aside::Aside;
use crate::io::aside::kafka::KafkaAside;
use crate::io::clock::Clock;
use crate::io::kafka_client::Connection;
use crate::io::sink::Sink;
use crate::io::sink::kafka::KafkaSink;
use crate::io::source::kafka::{Consumers, consumers};
use crate::io::store::Store;
use crate::io::supervisor::Supervisor;
use crate::observe::board::{About, Board};
use crate::observe::happenings::NothingSaved;
use crate::run::Stop;

/// What the consumer loop works with.
pub(super) struct Parts {
    pub(super) source: Consuming,
    pub(super) driver: Driver,
    pub(super) saving: Option<Saving>,
    pub(super) scout: Scout,
    pub(super) unpublished: Unpublished,
    /// `None` where nobody may ask over HTTP.
    pub(super) web: Option<Web>,
    /// `None` where nobody wants to know.
    pub(super) board: Option<Arc<Board>>,
    /// `None` where no supervisor asks for it.
    pub(super) watchdog: Option<SharedWatchdog>,
}

/// Shared by what the consumer thread does and what it waits for.
pub(super) type SharedWatchdog = Rc<RefCell<Watchdog>>;

/// Opens the state, starts the threads, and connects to the brokers.
pub(super) fn parts(
    config: &RunConfig,
    clock: &Arc<dyn Clock>,
    stop: &Arc<Stop>,
    supervisor: Option<Supervisor>,
) -> Result<Parts, Failure> {
    let connection = config.connection.clone();
    connection.check()?;
    let (begun, mut store) = begin(config)?;
    let own = begin_life(begun.epoch, store.as_deref_mut(), &**clock)?;
    let epoch = own.epoch;
    let (unpublished, saves) = (Unpublished::default(), Saves::default());
    let calendar = begun.admission.calendar().clone();
    let mut publisher = publisher(config, &connection, clock, &unpublished, own, calendar)?;
    let is_watched = config.http.is_some() || supervisor.is_some();
    let board = is_watched.then(|| Arc::new(Board::new(about(config), Arc::clone(clock))));
    let web = web(config, board.as_ref(), store.as_deref(), clock)?;
    if let Some(board) = &board {
        publisher.tell(Arc::clone(board));
    }
    if let Some(store) = store {
        let (is_new, clock) = (begun.epoch == 0, Arc::clone(clock));
        let keeping = Keeping::new(begun.book, store.shelf()?, epoch);
        let keeper = Keeper::start(store, is_new, saves.clone(), clock)?;
        publisher.keep(keeping, keeper, begun.records);
    }
    let Consumers {
        readers,
        partitions,
        surveyor,
    } = open_consumers(config, &connection, clock)?;
    let counting = &config.counting;
    let pipeline = Pipeline::start(counting.precision, begun.shards, Box::new(publisher))?;
    let aside = SetAside::new(
        aside(config.rejects_topic.as_ref(), &connection, clock)?,
        aside(config.quarantine_topic.as_ref(), &connection, clock)?,
    );
    let source = Consuming::start(readers, partitions, &counting.fields, aside.keeps())?;
    let watchdog = supervisor.map(|supervisor| {
        let watched = [pipeline.watched(), source.watched()].concat();
        Rc::new(RefCell::new(Watchdog::new(supervisor, watched)))
    });
    let gate = gate(&unpublished, &saves, watchdog.clone(), clock, stop);
    let mut driver = Driver::new(begun.admission, pipeline, gate, aside);
    if config.until.is_some() {
        driver.stop_short();
    }
    let saving = config.state.as_ref().map(|state| {
        driver.keep(saves.clone());
        Saving::new(state, saves, begun.places, clock.monotonic_ms())
    });
    if config.tells_unsaved {
        NothingSaved.emit();
    }
    Ok(Parts {
        source,
        driver,
        saving,
        scout: Scout::start(surveyor, connection, config.written_topics())?,
        unpublished,
        web,
        board,
        watchdog,
    })
}

fn open_consumers(
    config: &RunConfig,
    connection: &Connection,
    clock: &Arc<dyn Clock>,
) -> Result<Consumers, Failure> {
    let RunConfig { group, topics, .. } = config;
    let mut opened = consumers(
        connection,
        group,
        topics,
        config.from,
        config.consumers,
        clock,
    )?;
    if config.state.is_some() {
        opened.surveyor.ask_ids_at_once();
    }
    Ok(opened)
}

/// An epoch after those of all lives that had this state, noted there before anything is said under it.
fn begin_life(
    saved_epoch: u64,
    mut store: Option<&mut (dyn Store + 'static)>,
    clock: &dyn Clock,
) -> Result<Own, Failure> {
    let mut lives = vec![saved_epoch];
    if let Some(store) = &mut store {
        lives.extend(store.lives()?);
    }
    let last = lives.iter().max().copied().unwrap_or_default();
    let epoch = clock.unix_ms().max(last + 1);
    if let Some(store) = store {
        store.note_life(epoch)?;
    }
    Ok(Own { epoch, lives })
}

/// What the consumer loop does before each further round of a barrier.
fn gate(
    output: &Unpublished,
    saves: &Saves,
    watchdog: Option<SharedWatchdog>,
    clock: &Arc<dyn Clock>,
    stop: &Arc<Stop>,
) -> Box<dyn FnMut()> {
    let (output, saves) = (output.clone(), saves.clone());
    let (clock, stop) = (Arc::clone(clock), Arc::clone(stop));
    Box::new(move || {
        let mut tend = |now_ms| {
            if let Some(watchdog) = &watchdog {
                watchdog.borrow_mut().tend(now_ms);
            }
        };
        output.wait_until_caught_up(&*clock, &stop, &saves, &mut tend);
    })
}

fn about(config: &RunConfig) -> About {
    let counting = &config.counting;
    About {
        job: config.job.clone(),
        topic: config.topics.join(","),
        tz: counting.rules.calendar.name().to_owned(),
        precision: counting.precision.bits(),
        every_ms: config.every_ms,
    }
}

fn web(
    config: &RunConfig,
    board: Option<&Arc<Board>>,
    store: Option<&dyn Store>,
    clock: &Arc<dyn Clock>,
) -> Result<Option<Web>, Failure> {
    let (Some(http), Some(board)) = (&config.http, board) else {
        return Ok(None);
    };
    let shelf = store.map(Store::shelf).transpose()?;
    Web::start(http, board, &config.counting, shelf, clock).map(Some)
}

fn publisher(
    config: &RunConfig,
    connection: &Connection,
    clock: &Arc<dyn Clock>,
    unpublished: &Unpublished,
    own: Own,
    calendar: Calendar,
) -> Result<ServicePublisher, Failure> {
    Ok(ServicePublisher::new(
        recorder(config, own.epoch),
        sink(config, connection, clock)?,
        turn(config, connection, own, clock),
        Arc::clone(clock),
        unpublished.clone(),
        config.job.clone(),
        Forget::new(calendar, config.forget_after_s),
    ))
}

fn recorder(config: &RunConfig, epoch: u64) -> Recorder {
    let service = Service {
        job: config.job.clone(),
        topic: config.topics.join(","),
        epoch,
    };
    let calendar = config.counting.rules.calendar.clone();
    Recorder::new(config.counting.precision, calendar, Some(service))
}

fn aside(
    topic: Option<&String>,
    connection: &Connection,
    clock: &Arc<dyn Clock>,
) -> Result<Option<Box<dyn Aside>>, Failure> {
    let aside = topic.map(|topic| KafkaAside::new(connection, topic, Arc::clone(clock)));
    Ok(aside
        .transpose()?
        .map(|aside| Box::new(aside) as Box<dyn Aside>))
}

fn sink(
    config: &RunConfig,
    connection: &Connection,
    clock: &Arc<dyn Clock>,
) -> Result<Box<dyn Sink>, Failure> {
    Ok(match &config.output {
        OutputConfig::Stdout => Box::new(StdoutSink::start(Box::new(std::io::stdout()))?),
        OutputConfig::Topics { stats, windows } => {
            let exclusive = config.takeover_after_ms.map(|_| config.job.as_str());
            Box::new(KafkaSink::new(
                connection, stats, windows, exclusive, clock,
            )?)
        }
    })
}

fn turn(config: &RunConfig, connection: &Connection, own: Own, clock: &Arc<dyn Clock>) -> Turn {
    let (OutputConfig::Topics { stats, .. }, Some(takeover_after_ms)) =
        (&config.output, config.takeover_after_ms)
    else {
        return Turn::ours(Arc::clone(clock));
    };
    let ears = Ears {
        connection: connection.clone(),
        stats: stats.clone(),
    };
    let (job, leaves) = (config.job.clone(), config.exit_at_end);
    let clock = Arc::clone(clock);
    Turn::new(ears, job, own, takeover_after_ms, leaves, clock)
}
