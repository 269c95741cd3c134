//! Options as typed become one checked, immutable configuration. Nothing is opened here.

use std::io::IsTerminal;
use std::path::Path;

use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::cli::count::{CountArgs, Format};
use crate::cli::demo::DemoArgs;
use crate::cli::engine::EngineArgs;
use crate::cli::run::RunArgs;
use crate::engine::admit::Rules;
use crate::engine::calendar::{Calendar, Period};
use crate::engine::catalog::Emission;
use crate::engine::decode::Fields;
use crate::engine::sketch::Precision;
use crate::error::Failure;
use crate::generate::Plan;
use crate::io::source::lines::Input;
use crate::limits::{
    DEMO_MAX_S, DEMO_RATE_MAX, LATENESS_MAX_S, MAX_FILES, MAX_THREADS, PRECISION_MAX,
    PRECISION_MIN, RETENTION_MAX_S, TICK_MAX_MS, TICK_MIN_MS,
};

/// How frames are read and counted.
#[derive(Debug, Clone)]
pub struct Counting {
    /// Worker threads.
    pub threads: usize,
    /// Precision of every sketch.
    pub precision: Precision,
    /// What admission goes by.
    pub rules: Rules,
    /// What frames look like.
    pub fields: Fields,
}

/// The configuration of `run`.
#[derive(Debug, Clone)]
pub struct RunConfig {
    /// Brokers, as librdkafka takes them.
    pub brokers: String,
    /// Input topics, at least one, each once.
    pub topics: Vec<String>,
    /// Where records go.
    pub output: OutputConfig,
    /// The job's name.
    pub job: String,
    /// Consumer group for committed offsets.
    pub group: String,
    /// Time between two ticks, in milliseconds.
    pub every_ms: u64,
    /// Where to start.
    pub from: From,
    /// Whether the run ends at the high watermarks of its start.
    pub exit_at_end: bool,
    /// Properties for the client library, already known not to break the offset rules.
    pub properties: Vec<(String, String)>,
    /// How frames are counted.
    pub counting: Counting,
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

/// The configuration of `count`.
#[derive(Debug, Clone)]
pub struct CountConfig {
    /// Inputs in the order of their names: the order on the command line must not matter.
    pub inputs: Vec<Input>,
    /// How to print.
    pub format: Format,
    /// How frames are counted.
    pub counting: Counting,
}

/// Properties of the client library that are not the user's to set, and what to do instead.
const REFUSED_PROPERTIES: [(&str, &str); 15] = [
    ("bootstrap.servers", "use --broker"),
    ("metadata.broker.list", "use --broker"),
    ("group.id", "use --group"),
    (
        "client.id",
        "it is headcount's own name in the brokers' logs",
    ),
    (
        "auto.offset.reset",
        "use --from; a reset would hide lost frames",
    ),
    (
        "enable.auto.commit",
        "offsets follow the counts, never run ahead of them",
    ),
    (
        "enable.auto.offset.store",
        "offsets follow the counts, never run ahead of them",
    ),
    (
        "auto.commit.enable",
        "offsets follow the counts, never run ahead of them",
    ),
    (
        "enable.partition.eof",
        "the end of a partition decides when windows may close",
    ),
    ("acks", "a final must be acknowledged by all replicas"),
    (
        "request.required.acks",
        "a final must be acknowledged by all replicas",
    ),
    (
        "enable.idempotence",
        "a final must not be published twice or out of order",
    ),
    (
        "transactional.id",
        "records are not published in transactions",
    ),
    (
        "delivery.report.only.error",
        "a final is kept until it is acknowledged",
    ),
    (
        "enable.gapless.guarantee",
        "a failed final is sent again, not fatal",
    ),
];

impl Counting {
    /// The defaults of `run`, with so many threads.
    fn standard(threads: usize) -> Self {
        let day_s = 86_400;
        Self {
            threads,
            precision: Precision::default(),
            rules: Rules {
                calendar: Calendar::utc(),
                lateness_s: 5,
                retention_s: [
                    day_s / 4,
                    40 * day_s,
                    1_095 * day_s,
                    1_095 * day_s,
                    1_095 * day_s,
                    1_095 * day_s,
                ],
                emission: Emission::Live,
                periods: Period::all_bits(),
            },
            fields: Fields::default(),
        }
    }

    fn resolve(args: &EngineArgs, emission: Emission, periods: u8) -> Result<Self, Failure> {
        let usage = |text: String| Err(Failure::Usage(text));
        if !(1..=MAX_THREADS).contains(&args.threads) {
            return usage(format!(
                "--threads must be 1 to {MAX_THREADS}, not {}",
                args.threads
            ));
        }
        let Some(precision) = Precision::new(args.precision) else {
            return usage(format!(
                "--precision must be {PRECISION_MIN} to {PRECISION_MAX}, not {}",
                args.precision
            ));
        };
        let lateness_s = args.lateness.as_secs();
        if lateness_s > LATENESS_MAX_S || args.lateness.subsec_millis() != 0 {
            return usage(format!(
                "--lateness must be whole seconds, at most {} days",
                LATENESS_MAX_S / 86_400
            ));
        }
        if args.uid_field == args.ts_field {
            return usage("--uid-field and --ts-field must differ".to_owned());
        }
        Ok(Self {
            threads: args.threads,
            precision,
            rules: Rules {
                calendar: calendar(&args.timezone)?,
                lateness_s: lateness_s as u32,
                retention_s: retention(args)?,
                emission,
                periods,
            },
            fields: Fields {
                uid: args.uid_field.clone(),
                ts: args.ts_field.clone(),
                ignored_uids: args.ignore_uid.clone(),
            },
        })
    }
}

fn calendar(name: &str) -> Result<Calendar, Failure> {
    if name == "UTC" {
        return Ok(Calendar::utc());
    }
    match TimeZone::get(name) {
        Ok(zone) => {
            let name = zone.iana_name().unwrap_or(name).to_owned();
            Ok(Calendar::new(zone, &name))
        }
        Err(_) => Err(Failure::Usage(format!(
            "--timezone '{name}' is not known; give an IANA name such as Europe/Zurich or UTC"
        ))),
    }
}

fn retention(args: &EngineArgs) -> Result<[i64; Period::ALL.len()], Failure> {
    let given = [
        args.retain_minutes,
        args.retain_hours,
        args.retain_days,
        args.retain_weeks,
        args.retain_months,
        args.retain_years,
    ];
    for (period, retention) in Period::ALL.into_iter().zip(given) {
        if retention.as_secs() > RETENTION_MAX_S {
            return Err(Failure::Usage(format!(
                "--retain-{}s must be at most {} days",
                period.name(),
                RETENTION_MAX_S / 86_400
            )));
        }
    }
    Ok(given.map(|r| r.as_secs() as i64))
}

impl CountConfig {
    /// Checks the options of `count`.
    ///
    /// # Errors
    ///
    /// One sentence about the first thing that makes no sense.
    pub fn resolve(args: &CountArgs) -> Result<Self, Failure> {
        let mut inputs: Vec<_> = args.files.iter().map(|path| input(path)).collect();
        if inputs.is_empty() {
            if std::io::stdin().is_terminal() {
                return Err(Failure::Usage(
                    "nothing to read: name files, or pipe frames to standard input".to_owned(),
                ));
            }
            inputs.push(Input::Stdin);
        }
        if inputs.len() > MAX_FILES {
            return Err(Failure::Usage(format!("at most {MAX_FILES} files at once")));
        }
        inputs.sort();
        if let Some(pair) = inputs.windows(2).find(|pair| pair[0] == pair[1]) {
            return Err(Failure::Usage(format!(
                "{} is named twice, which would count its frames twice",
                pair[0].name()
            )));
        }
        let format = args.format.unwrap_or(if std::io::stdout().is_terminal() {
            Format::Table
        } else {
            Format::Json
        });
        let chosen = args.window.iter().map(|p| Period::from(*p).bit());
        let periods = chosen.fold(0, |all, bit| all | bit);
        Ok(Self {
            inputs,
            format,
            counting: Counting::resolve(
                &args.engine,
                Emission::Once,
                if periods == 0 {
                    Period::all_bits()
                } else {
                    periods
                },
            )?,
        })
    }
}

fn input(path: &Path) -> Input {
    if path == Path::new("-") {
        Input::Stdin
    } else {
        Input::File(path.to_owned())
    }
}

impl RunConfig {
    /// Checks the options of `run`. `env` looks up the aliases of the tool that this one replaces.
    ///
    /// # Errors
    ///
    /// One sentence about the first thing that makes no sense.
    pub fn resolve(args: &RunArgs, env: impl Fn(&str) -> Option<String>) -> Result<Self, Failure> {
        let choose = |given: &Option<String>, alias: &str, default: &str| {
            let alias = || env(alias).filter(|value| !value.is_empty());
            given
                .clone()
                .or_else(alias)
                .unwrap_or_else(|| default.to_owned())
        };
        let topic = choose(&args.topic, "USERS_TOPIC", "users");
        let topics = topic_names(&topic)?;
        let output = output(&choose(&args.output, "STATS_TOPIC", "stats"), args, &topics)?;
        let job = args.job.clone().unwrap_or_else(|| topics.join(","));
        if job.is_empty() || job.contains(['|', '\n']) {
            return Err(Failure::Usage(
                "--job must be a name without | and line breaks: it is part of the records' keys"
                    .to_owned(),
            ));
        }
        let every_ms = args.every.as_millis() as u64;
        if !(TICK_MIN_MS..=TICK_MAX_MS).contains(&every_ms) {
            return Err(Failure::Usage("--every must be 100ms to 1h".to_owned()));
        }
        let group = args.group.clone();
        let group = group.unwrap_or_else(|| format!("headcount-{job}"));
        if group.is_empty() {
            return Err(Failure::Usage(
                "--group must be a name, not nothing".to_owned(),
            ));
        }
        Ok(Self {
            brokers: brokers(&choose(&args.broker, "KAFKA_BROKER", "localhost:9092"))?,
            topics,
            output,
            group,
            job,
            every_ms,
            from: start(&args.from)?,
            exit_at_end: args.exit_at_end,
            properties: properties(&args.properties)?,
            counting: Counting::resolve(&args.engine, Emission::Live, Period::all_bits())?,
        })
    }
}

/// Properties for the client library from environment variables: `HEADCOUNT_X_SASL_PASSWORD=s` is `sasl.password=s`.
#[must_use]
pub fn environment_properties(variables: impl Iterator<Item = (String, String)>) -> Vec<String> {
    let properties = variables.filter_map(|(name, value)| {
        let key = name.strip_prefix("HEADCOUNT_X_")?;
        Some(format!("{}={value}", key.to_lowercase().replace('_', ".")))
    });
    let mut properties: Vec<_> = properties.collect();
    properties.sort();
    properties
}

fn brokers(list: &str) -> Result<String, Failure> {
    for broker in list.split(',') {
        let broker = broker.trim();
        let schemes = ["PLAINTEXT://", "SSL://", "SASL_PLAINTEXT://", "SASL_SSL://"];
        let stripped = schemes
            .iter()
            .find_map(|scheme| broker.strip_prefix(scheme));
        check_broker(stripped.unwrap_or(broker))
            .map_err(|why| Failure::Usage(format!("--broker '{list}': {why}")))?;
    }
    Ok(list.to_owned())
}

/// `HOST`, `HOST:PORT`, `[IPV6]` or `[IPV6]:PORT`. Anything else would be tried for ever without a word.
fn check_broker(address: &str) -> Result<(), &'static str> {
    let (host, rest) = match address.strip_prefix('[') {
        Some(bracketed) => bracketed.split_once(']').ok_or("a [ without a ]")?,
        None => address.split_at(address.find(':').unwrap_or(address.len())),
    };
    let is_ipv6 = address.starts_with('[');
    let legal =
        |c: char| c.is_ascii_alphanumeric() || "-._".contains(c) || (is_ipv6 && ":%".contains(c));
    if host.is_empty() || !host.chars().all(legal) {
        return Err("give HOST:PORT, comma-separated");
    }
    let port = match rest {
        "" => return Ok(()),
        rest => rest
            .strip_prefix(':')
            .ok_or("give HOST:PORT, comma-separated")?,
    };
    match port.parse::<u16>() {
        Ok(1..) => Ok(()),
        _ => Err("the port must be a number from 1 to 65535; an IPv6 address stands in brackets"),
    }
}

fn topic_names(list: &str) -> Result<Vec<String>, Failure> {
    let topics: Vec<_> = list.split(',').map(|t| t.trim().to_owned()).collect();
    for (i, topic) in topics.iter().enumerate() {
        check_topic("--topic", topic)?;
        if topics[..i].contains(topic) {
            return Err(Failure::Usage(format!(
                "--topic names '{topic}' twice, which would count its frames twice"
            )));
        }
    }
    Ok(topics)
}

/// Kafka's own rule: letters, digits, dot, underscore and dash, at most 249 of them.
fn check_topic(option: &str, topic: &str) -> Result<(), Failure> {
    let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    if topic.is_empty()
        || topic.len() > 249
        || !topic.chars().all(legal)
        || matches!(topic, "." | "..")
    {
        return Err(Failure::Usage(format!(
            "{option} '{topic}' is no topic name: 1 to 249 letters, digits, dots, underscores and dashes"
        )));
    }
    Ok(())
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

fn properties(given: &[String]) -> Result<Vec<(String, String)>, Failure> {
    let mut properties = Vec::new();
    for property in given {
        let Some((key, value)) = property.split_once('=') else {
            return Err(Failure::Usage(format!("-X '{property}': give KEY=VALUE")));
        };
        let key = key.trim();
        // librdkafka also takes a topic property with this prefix.
        let name = key.strip_prefix("topic.").unwrap_or(key);
        if let Some((_, instead)) = REFUSED_PROPERTIES
            .iter()
            .find(|(refused, _)| *refused == name)
        {
            return Err(Failure::Usage(format!("-X {key} cannot be set: {instead}")));
        }
        properties.push((key.to_owned(), value.to_owned()));
    }
    Ok(properties)
}

/// The configuration of `demo`.
#[derive(Debug, Clone)]
pub struct DemoConfig {
    /// Input topic.
    pub topic: String,
    /// Output topics.
    pub output: OutputConfig,
    /// The traffic.
    pub plan: Plan,
    /// Frames a second.
    pub rate: u32,
    /// How long to run, in milliseconds; for ever if absent.
    pub run_for_ms: Option<u64>,
    every_ms: u64,
    counting: Counting,
}

impl DemoConfig {
    /// Checks the options of `demo`. Its traffic starts at `now_ms`, unix time in milliseconds.
    ///
    /// # Errors
    ///
    /// One sentence about the first thing that makes no sense.
    pub fn resolve(args: &DemoArgs, now_ms: u64) -> Result<Self, Failure> {
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
            frames: u64::from(args.rate) * DEMO_MAX_S,
            users: args.users,
            start: (now_ms / 1_000) as u32,
            span_ms: DEMO_MAX_S * 1_000,
            seed: args.seed,
            ..Plan::default()
        };
        plan.check()
            .map_err(|error| Failure::Usage(error.to_string()))?;
        Ok(Self {
            topic: "users".to_owned(),
            output: OutputConfig::Topics {
                stats: "stats".to_owned(),
                windows: "stats-windows".to_owned(),
            },
            plan,
            rate: args.rate,
            run_for_ms,
            every_ms,
            counting: Counting::standard(args.threads),
        })
    }

    /// The service that the demo runs.
    #[must_use]
    pub fn service(&self, brokers: &str) -> RunConfig {
        RunConfig {
            brokers: brokers.to_owned(),
            topics: vec![self.topic.clone()],
            output: self.output.clone(),
            job: self.topic.clone(),
            group: "headcount-demo".to_owned(),
            every_ms: self.every_ms,
            from: From::Earliest,
            exit_at_end: false,
            properties: Vec::new(),
            counting: self.counting.clone(),
        }
    }
}
