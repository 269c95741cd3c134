//! The configuration of `run`.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use jiff::Timestamp;

use super::kafka::{check_topic, choose, connection, topic_names};
use super::{Counting, HttpConfig};
use crate::cli::duration::parse_duration;
use crate::cli::run::{Emit, OnGap, RunArgs};
use crate::engine::calendar::Period;
use crate::engine::catalog::Emission;
use crate::error::Failure;
use crate::io::kafka_client::Connection;
use crate::io::sink::kafka::TopicPlan;
use crate::limits::{
    CHECKPOINT_MAX_MS, CHECKPOINT_MIN_MS, IDLE_MAX_MS, IDLE_MIN_MS, MAX_CONSUMERS, RETENTION_MAX_S,
    SKEW_MAX_S, SKEW_MIN_S, TAKEOVER_DEFAULT_MS, TAKEOVER_MAX_MS, TAKEOVER_MIN_MS, TAKEOVER_TICKS,
    TICK_MAX_MS, TICK_MIN_MS,
};

/// The configuration of `run`.
#[derive(Debug, Clone)]
pub struct RunConfig {
    /// How to reach the brokers.
    pub connection: Connection,
    /// Consumers that share the partitions.
    pub consumers: usize,
    /// Input topics, at least one, each once.
    pub topics: Vec<String>,
    /// Where records go.
    pub output: OutputConfig,
    /// Where quarantined frames are written to as well, if anywhere.
    pub quarantine_topic: Option<String>,
    /// Where rejected frames are written to as well, if anywhere.
    pub rejects_topic: Option<String>,
    /// How long after their end a period's records are deleted from the windows topic, in seconds.
    pub forget_after_s: [Option<i64>; Period::ALL.len()],
    /// The job's name.
    pub job: String,
    /// Consumer group for committed offsets.
    pub group: String,
    /// Time between two ticks, in milliseconds.
    pub every_ms: u64,
    /// How long a partition must have had nothing to read to be idle, in milliseconds.
    pub idle_timeout_ms: u64,
    /// How far ahead of the slowest a partition of a backlog may be, in seconds of event time.
    pub max_skew_s: u32,
    /// How long another instance of the job must have been silent to be taken for gone, in milliseconds; `None` where
    /// several may publish side by side.
    pub takeover_after_ms: Option<u64>,
    /// Where the state is kept, if anywhere.
    pub state: Option<StateConfig>,
    /// Whether the log should say that nothing is saved.
    pub tells_unsaved: bool,
    /// Whether to go on when frames are gone before they were read.
    pub skips_gaps: bool,
    /// Where to start.
    pub from: From,
    /// Whether the run ends at the high watermarks of its start, or before `until`.
    pub exit_at_end: bool,
    /// Where the run stops in each partition, by its topic and number; partitions that are not there are not read.
    pub until: Option<Ends>,
    /// Where it answers over HTTP, if anywhere.
    pub http: Option<HttpConfig>,
    /// How frames are counted.
    pub counting: Counting,
}

/// Offsets by topic, as its index among those that are read, and number of a partition.
pub type Ends = BTreeMap<(usize, i32), i64>;

/// Where the state is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StateConfig {
    /// The directory.
    pub directory: PathBuf,
    /// Time between two checkpoints, in milliseconds.
    pub interval_ms: u64,
}

/// Where records go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OutputConfig {
    /// To standard output, one a line.
    Stdout,
    /// To two topics.
    Topics {
        /// Ticks.
        stats: String,
        /// Calendar windows.
        windows: String,
    },
}

/// Where reading starts in each partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum From {
    /// At the first offset that is still there.
    Earliest,
    /// At what is published from now on.
    Latest,
    /// At the first record whose own time is at or after this unix time in milliseconds.
    Time(i64),
}

impl RunConfig {
    /// The topics that are written to. Records go to one partition, so that their order is that of their numbers.
    #[must_use]
    pub fn written_topics(&self) -> Vec<TopicPlan> {
        let plan = |name: &String, partitions, cleanup| TopicPlan {
            name: name.clone(),
            partitions,
            cleanup,
        };
        let mut plans = match &self.output {
            OutputConfig::Stdout => Vec::new(),
            OutputConfig::Topics { stats, windows } => {
                vec![plan(stats, 1, "delete"), plan(windows, 1, "compact")]
            }
        };
        let aside = [&self.quarantine_topic, &self.rejects_topic];
        for name in aside.into_iter().flatten() {
            if plans.iter().all(|other| other.name != *name) {
                plans.push(plan(name, -1, "delete"));
            }
        }
        plans
    }

    /// Checks the options of `run`. `env` looks up the aliases of the tool that this one replaces.
    ///
    /// # Errors
    ///
    /// One sentence about the first thing that makes no sense.
    pub fn resolve(args: &RunArgs, env: impl Fn(&str) -> Option<String>) -> Result<Self, Failure> {
        let topic = choose(args.topic.as_deref(), &env, "topic", "users");
        let topics = in_order(topic_names(&topic)?);
        let stats = choose(args.output.as_deref(), &env, "output", "stats");
        let output = output(&stats, args, &topics)?;
        let (job, group) = job_and_group(args, &topics)?;
        let every_ms = args.every.as_millis() as u64;
        if !(TICK_MIN_MS..=TICK_MAX_MS).contains(&every_ms) {
            return Err(Failure::Usage("--every must be 100ms to 1h".to_owned()));
        }
        let idle_timeout_ms = args.idle_timeout.as_millis() as u64;
        if !(IDLE_MIN_MS..=IDLE_MAX_MS).contains(&idle_timeout_ms) {
            return Err(Failure::Usage("--idle-timeout must be 1s to 1d".to_owned()));
        }
        let max_skew_s = args.max_skew.as_secs();
        if !(SKEW_MIN_S..=SKEW_MAX_S).contains(&max_skew_s) {
            return Err(Failure::Usage("--max-skew must be 1m to 366d".to_owned()));
        }
        let emission = match args.emit {
            Emit::All => Emission::Live,
            Emit::Final => Emission::Finals,
        };
        if !(1..=MAX_CONSUMERS).contains(&args.consumers) {
            return Err(Failure::Usage(format!(
                "--consumers must be 1 to {MAX_CONSUMERS}, not {}",
                args.consumers
            )));
        }
        let counting = Counting::resolve(&args.engine, emission, Period::all_bits())?;
        let until = until(&args.until, &topics)?;
        let forget_after_s = forget(&args.forget, &counting)?;
        if output == OutputConfig::Stdout && !args.forget.is_empty() {
            return Err(Failure::Usage(
                "--forget deletes from a topic; --output - has none".to_owned(),
            ));
        }
        Ok(Self {
            connection: connection(&args.kafka, &env)?,
            quarantine_topic: aside(
                "--quarantine-topic",
                args.quarantine_topic.as_ref(),
                &topics,
                &output,
            )?,
            rejects_topic: aside(
                "--rejects-topic",
                args.rejects_topic.as_ref(),
                &topics,
                &output,
            )?,
            forget_after_s,
            consumers: args.consumers,
            topics,
            output,
            group,
            job,
            every_ms,
            idle_timeout_ms,
            max_skew_s: max_skew_s as u32,
            takeover_after_ms: takeover(args, every_ms)?,
            state: state(args.state.as_ref(), args.checkpoint_interval)?,
            tells_unsaved: args.state.is_none() && !args.exit_at_end && until.is_none(),
            skips_gaps: args.on_gap == OnGap::Continue,
            from: start(&args.from)?,
            exit_at_end: args.exit_at_end || until.is_some(),
            until,
            http: HttpConfig::resolve(&args.http, false)?,
            counting,
        })
    }
}

/// Offsets by partition, named as records name them.
fn until(given: &[String], topics: &[String]) -> Result<Option<Ends>, Failure> {
    let mut until = BTreeMap::new();
    for given in given {
        let refused = || {
            Failure::Usage(format!(
                "--until '{given}': give a partition of the topics and an offset, as records list them, such as 0:1500 or users:0:1500"
            ))
        };
        let (partition, offset) = given.rsplit_once(':').ok_or_else(refused)?;
        let (topic, number) = partition
            .rsplit_once(':')
            .unwrap_or((&topics[0], partition));
        let topic = topics
            .iter()
            .position(|known| known == topic)
            .ok_or_else(refused)?;
        if topics.len() > 1 && !partition.contains(':') {
            return Err(refused());
        }
        let number: i32 = number.parse().map_err(|_| refused())?;
        let offset: i64 = offset.parse().map_err(|_| refused())?;
        if number < 0 || offset < 0 || until.insert((topic, number), offset).is_some() {
            return Err(refused());
        }
    }
    Ok(Some(until).filter(|until| !until.is_empty()))
}

/// The topics make up the job's name and what its state belongs to, for which the order they were given in is nothing.
fn in_order(mut topics: Vec<String>) -> Vec<String> {
    topics.sort_unstable();
    topics
}

fn job_and_group(args: &RunArgs, topics: &[String]) -> Result<(String, String), Failure> {
    let job = args.job.clone().unwrap_or_else(|| topics.join(","));
    if job.is_empty() || job.contains(['|', '\n']) {
        return Err(Failure::Usage(
            "--job must be a name without | and line breaks: it is part of the records' keys"
                .to_owned(),
        ));
    }
    let group = args.group.clone();
    let group = group.unwrap_or_else(|| format!("headcount-{job}"));
    if group.is_empty() {
        return Err(Failure::Usage(
            "--group must be a name, not nothing".to_owned(),
        ));
    }
    Ok((job, group))
}

fn takeover(args: &RunArgs, every_ms: u64) -> Result<Option<u64>, Failure> {
    let given = args.takeover_after.map(|after| after.as_millis() as u64);
    if given.is_some_and(|ms| !(TAKEOVER_MIN_MS..=TAKEOVER_MAX_MS).contains(&ms)) {
        return Err(Failure::Usage(
            "--takeover-after must be 100ms to 1d".to_owned(),
        ));
    }
    let default = TAKEOVER_DEFAULT_MS.max(TAKEOVER_TICKS * every_ms);
    Ok(args.exclusive.then_some(given.unwrap_or(default)))
}

pub(super) fn state(
    directory: Option<&PathBuf>,
    checkpoint_interval: Duration,
) -> Result<Option<StateConfig>, Failure> {
    let interval_ms = checkpoint_interval.as_millis() as u64;
    if !(CHECKPOINT_MIN_MS..=CHECKPOINT_MAX_MS).contains(&interval_ms) {
        return Err(Failure::Usage(
            "--checkpoint-interval must be 100ms to 1h".to_owned(),
        ));
    }
    Ok(directory.map(|directory| StateConfig {
        directory: directory.clone(),
        interval_ms,
    }))
}

fn output(stats: &str, args: &RunArgs, topics: &[String]) -> Result<OutputConfig, Failure> {
    if stats == "-" {
        return match args.windows_output {
            None => Ok(OutputConfig::Stdout),
            Some(_) => Err(Failure::Usage(
                "--output - prints the windows too; leave out --windows-output".to_owned(),
            )),
        };
    }
    let windows = args
        .windows_output
        .clone()
        .unwrap_or_else(|| format!("{stats}-windows"));
    check_topic("--output", stats)?;
    check_topic("--windows-output", &windows)?;
    if stats == windows {
        return Err(Failure::Usage(
            "--output and --windows-output must differ: the windows topic is compacted".to_owned(),
        ));
    }
    if let Some(topic) = topics.iter().find(|t| **t == stats || **t == windows) {
        return Err(Failure::Usage(format!(
            "'{topic}' cannot be both read and written; choose another --output"
        )));
    }
    Ok(OutputConfig::Topics {
        stats: stats.to_owned(),
        windows,
    })
}

/// A topic for frames that are not counted: it must not be one that is read, or they would come round for ever, nor
/// one that records go to.
fn aside(
    option: &str,
    topic: Option<&String>,
    read: &[String],
    output: &OutputConfig,
) -> Result<Option<String>, Failure> {
    let Some(topic) = topic else {
        return Ok(None);
    };
    check_topic(option, topic)?;
    let is_output = match output {
        OutputConfig::Stdout => false,
        OutputConfig::Topics { stats, windows } => topic == stats || topic == windows,
    };
    if read.contains(topic) || is_output {
        return Err(Failure::Usage(format!(
            "{option} '{topic}' is read or written already; choose another one"
        )));
    }
    Ok(Some(topic.clone()))
}

/// `minute=90d` and the like.
fn forget(
    given: &[String],
    counting: &Counting,
) -> Result<[Option<i64>; Period::ALL.len()], Failure> {
    let mut after_s = [None; Period::ALL.len()];
    for text in given {
        let parts = text.split_once('=').and_then(|(name, duration)| {
            let period = Period::ALL.into_iter().find(|p| p.name() == name)?;
            Some((period, duration))
        });
        let Some((period, duration)) = parts else {
            return Err(Failure::Usage(format!(
                "--forget '{text}': give a period and a duration, such as minute=90d"
            )));
        };
        let duration = parse_duration(duration)
            .map_err(|why| Failure::Usage(format!("--forget '{text}': {why}")))?;
        let seconds = duration.as_secs() as i64;
        if seconds > RETENTION_MAX_S as i64 || seconds < counting.rules.retention_s[period as usize]
        {
            return Err(Failure::Usage(format!(
                "--forget '{text}' must be at least --retain-{}s, so that nothing is published again afterwards, and at \
                 most {} days",
                period.name(),
                RETENTION_MAX_S / 86_400
            )));
        }
        after_s[period as usize] = Some(seconds);
    }
    Ok(after_s)
}

fn start(from: &str) -> Result<From, Failure> {
    match from {
        "earliest" => Ok(From::Earliest),
        "latest" => Ok(From::Latest),
        time => time
            .parse::<Timestamp>()
            .map(|t| From::Time(t.as_millisecond()))
            .map_err(|_| {
                Failure::Usage(format!(
                    "--from '{from}': give earliest, latest, or a time such as 2026-01-31T12:00:00Z"
                ))
            }),
    }
}
