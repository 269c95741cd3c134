//! What stands before a load test begins: a broker, a stream and the truth about it.

use std::cell::RefCell;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use serde_json::Value;

use crate::Options;
use crate::support::broker::Broker;
use crate::support::kafka::delete_topic;
use crate::support::process::headcount;

/// What is wrong with the options, before anything dear is done for them: an exit code and a sentence.
pub fn check(options: &Options) -> Result<(), (u8, String)> {
    let rate = options.rate.parse::<f64>().ok();
    if options.rate != "max" && !rate.is_some_and(|rate| rate.is_finite() && rate > 0.0) {
        return Err((
            2,
            format!("--rate '{}': give frames a second, or max", options.rate),
        ));
    }
    for file in [&options.file, &options.truth].into_iter().flatten() {
        if let Err(error) = File::open(file) {
            return Err((66, format!("cannot read {}: {error}", file.display())));
        }
    }
    if let Some(broker) = given_broker() {
        if options.restart_broker {
            return Err((
                2,
                "--restart-broker needs a broker of its own, not BROKER".to_owned(),
            ));
        }
        let consumer: BaseConsumer = ClientConfig::new()
            .set("bootstrap.servers", &broker)
            .create()
            .map_err(|error| (2, format!("BROKER '{broker}': {error}")))?;
        if consumer
            .fetch_metadata(None, Duration::from_secs(5))
            .is_err()
        {
            return Err((69, format!("no broker answers at BROKER '{broker}'")));
        }
    }
    Ok(())
}

fn given_broker() -> Option<String> {
    std::env::var("BROKER")
        .ok()
        .filter(|broker| !broker.is_empty())
}

/// The broker and the stream.
pub struct Stage {
    /// `None` where BROKER names somebody else's.
    pub broker: Option<Broker>,
    pub address: String,
    pub frames: PathBuf,
    pub truth: Option<Value>,
    /// Topics that were made on somebody else's broker.
    topics: RefCell<Vec<String>>,
}

impl Stage {
    /// Starts the broker, unless BROKER names one, and makes the stream, unless one is given; nothing without a broker.
    pub fn set(options: &Options) -> Option<Stage> {
        let (frames, truth) = match &options.file {
            Some(file) => (file.clone(), options.truth.clone()),
            None => {
                let (frames, truth) = generated(options);
                (frames, Some(truth))
            }
        };
        let given = given_broker();
        let broker = match &given {
            Some(_) => None,
            None => Some(Broker::start("replay")?),
        };
        let own = broker.as_ref().map(|broker| broker.address().to_owned());
        Some(Stage {
            address: own.or(given).expect("one of the two"),
            broker,
            frames,
            topics: RefCell::default(),
            truth: truth.map(|file| serde_json::from_reader(File::open(file).unwrap()).unwrap()),
        })
    }
}

impl Stage {
    /// Notes topics that must not stay behind.
    pub fn own(&self, topics: [&String; 3]) {
        self.topics.borrow_mut().extend(topics.into_iter().cloned());
    }

    /// Deletes the topics, where the broker does not go anyway.
    pub fn leave(&self) {
        if self.broker.is_none() {
            for topic in self.topics.take() {
                delete_topic(&self.address, &topic);
            }
        }
    }
}

/// A generated stream and its truth, from an earlier time where there is one.
fn generated(options: &Options) -> (PathBuf, PathBuf) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/replay");
    fs::create_dir_all(&folder).unwrap();
    let name = format!("{}-{}-{}", options.frames, options.users, options.span);
    let (frames, truth) = (
        folder.join(format!("{name}.jsonl")),
        folder.join(format!("{name}.json")),
    );
    // The truth is written last: it says that the stream is whole.
    if fs::metadata(&truth).is_ok_and(|file| file.len() > 0) && frames.exists() {
        return (frames, truth);
    }
    eprintln!(
        "generating {} frames into {} (kept)",
        options.frames,
        frames.display()
    );
    let mut generate = headcount();
    generate.arg("generate");
    for (option, value) in [
        ("--frames", options.frames.to_string()),
        ("--users", options.users.to_string()),
        ("--span", options.span.clone()),
    ] {
        generate.args([option, &value]);
    }
    generate
        .arg("--output")
        .arg(&frames)
        .arg("--truth")
        .arg(&truth);
    run(generate);
    (frames, truth)
}

fn run(mut command: Command) {
    let status = command.status().expect("it can be started");
    assert!(status.success(), "{command:?}: {status}");
}
