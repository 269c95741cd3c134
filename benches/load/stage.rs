//! What stands before a load test begins: a broker, a stream and the truth about it.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::Options;
use crate::support::broker::Broker;
use crate::support::process::headcount;

/// The broker and the stream.
pub struct Stage {
    /// `None` where BROKER names somebody else's.
    pub broker: Option<Broker>,
    pub address: String,
    pub frames: PathBuf,
    pub truth: Option<Value>,
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
        let given = std::env::var("BROKER")
            .ok()
            .filter(|broker| !broker.is_empty());
        let broker = match &given {
            Some(_) => None,
            None => Some(Broker::start("replay")?),
        };
        let own = broker.as_ref().map(|broker| broker.address().to_owned());
        Some(Stage {
            address: own.or(given).expect("one of the two"),
            broker,
            frames,
            truth: truth.map(|file| serde_json::from_reader(File::open(file).unwrap()).unwrap()),
        })
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
