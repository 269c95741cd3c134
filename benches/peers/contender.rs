//! Who is compared: the command of each, and what it says of itself.

use std::path::{Path, PathBuf};

use crate::answer::Says;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Reads the file.
    File,
    /// Reads the topic.
    Kafka,
}

impl Kind {
    /// Who the others are compared with.
    pub fn base(self) -> &'static str {
        match self {
            Kind::File => "headcount",
            Kind::Kafka => "run",
        }
    }

    /// Who shows whether the machine drifts.
    pub fn control(self) -> &'static str {
        match self {
            Kind::File => "wc",
            Kind::Kafka => "bare",
        }
    }
}

#[derive(Debug, Clone)]
pub struct Contender {
    /// As `--only` has it.
    pub name: &'static str,
    pub kind: Kind,
    /// As the table has it.
    pub title: &'static str,
    pub command: Vec<String>,
    /// What has to listen at [`Place::socket`] before the command starts.
    pub server: Option<Vec<String>>,
    pub says: Says,
    /// Prints its version.
    pub version: Vec<String>,
}

/// Names, for `--only`.
pub const NAMES: [&str; 14] = [
    "headcount",
    "headcount-1",
    "headcount-fields",
    "wc",
    "jq",
    "duckdb",
    "clickhouse",
    "redis",
    "run",
    "run-fields",
    "bare",
    "bare-ours",
    "kcat",
    "streams",
];

/// Where everything is. The working folder of all children is `dir`.
pub struct Place {
    pub root: PathBuf,
    pub dir: PathBuf,
    pub headcount: String,
    /// The loops of benches/consume.
    pub bare: String,
    pub ours: String,
    pub python: String,
    /// The folder of the program in Kafka Streams.
    pub streams: String,
    pub frames: u64,
    pub partitions: i32,
    pub broker: String,
}

impl Place {
    /// The file of frames, in `dir`.
    pub fn file(&self) -> String {
        format!("frames-{}.jsonl", self.frames)
    }

    pub fn truth(&self) -> String {
        format!("truth-{}.json", self.frames)
    }

    /// The name is that which benches/consume gives it.
    pub fn topic(&self) -> String {
        format!("consume-{}-{}-none", self.frames, self.partitions)
    }

    pub fn socket(&self) -> PathBuf {
        self.dir.join("redis.sock")
    }

    /// What children leave behind them, removed after each run.
    pub fn scratch(&self) -> PathBuf {
        self.dir.join("streams-state")
    }

    /// A command as somebody else would type it in `dir`.
    pub fn shown(&self, command: &[String]) -> String {
        let this = own_path();
        let known = [
            (self.headcount.as_str(), "headcount"),
            (&self.bare, "benches/consume"),
            (&self.ours, "benches/consume-ours"),
            (&this, "benches/peers"),
            (&self.broker, "BROKER"),
        ];
        let word = |word: &String| {
            let known = known
                .iter()
                .find(|(path, _)| !path.is_empty() && path == word);
            let word = known.map_or(word.as_str(), |(_, name)| name);
            let word = without(&without(word, &self.dir), &self.root);
            let plain = !word.is_empty() && !word.contains([' ', '*', '|', '\'', '"']);
            if plain { word } else { format!("'{word}'") }
        };
        command.iter().map(word).collect::<Vec<_>>().join(" ")
    }

    fn bare_loop(&self, program: &str, kind: &str) -> Vec<String> {
        words(&[
            program,
            "--be",
            kind,
            "--broker",
            &self.broker,
            "--frames",
            &self.frames.to_string(),
            "--partitions",
            &self.partitions.to_string(),
            "--compression",
            "none",
        ])
    }
}

/// The path without that of the folder it is in.
fn without(text: &str, folder: &Path) -> String {
    text.replace(&format!("{}/", folder.display()), "")
}

fn own_path() -> String {
    std::env::current_exe().unwrap().display().to_string()
}

fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|&word| word.to_owned()).collect()
}

fn more(command: &[String], others: &[&str]) -> Vec<String> {
    [command, &words(others)].concat()
}

/// All of them, installed or not, in the table's order.
pub fn all(place: &Place) -> Vec<Contender> {
    let mut all = files(place);
    all.extend(kafka(place));
    assert!(
        all.iter().map(|one| one.name).eq(NAMES),
        "names are in order"
    );
    all
}

fn files(place: &Place) -> Vec<Contender> {
    let (file, socket) = (place.file(), place.socket().display().to_string());
    let one = |name, title, says, command, version| Contender {
        name,
        kind: Kind::File,
        title,
        command,
        server: None,
        says,
        version,
    };
    let headcount = |name, title, options: &[&str]| {
        let command = more(
            &words(&[&place.headcount, "count", "--format", "json"]),
            options,
        );
        one(
            name,
            title,
            Says::Records,
            more(&command, &[&file]),
            words(&[&place.headcount, "--version"]),
        )
    };
    let python = |name, title, program: &str, version: &str| {
        let path = place
            .root
            .join("scripts/bench.d")
            .join(program)
            .display()
            .to_string();
        let command = words(&[&place.python, &path, &file]);
        one(
            name,
            title,
            Says::Lines,
            command,
            words(&[&place.python, "-c", version]),
        )
    };
    let jq = format!("set -o pipefail; jq .uid {file} | LC_ALL=C sort -u | wc -l");
    let server = [
        "redis-server",
        "--port",
        "0",
        "--unixsocket",
        &socket,
        "--save",
        "",
        "--appendonly",
        "no",
    ];
    vec![
        headcount(
            "headcount",
            "`headcount count`, 2 threads",
            &["--threads", "2"],
        ),
        headcount(
            "headcount-1",
            "`headcount count`, 1 thread",
            &["--threads", "1"],
        ),
        headcount(
            "headcount-fields",
            "`headcount count --validate fields`, 2 threads",
            &["--validate", "fields", "--threads", "2"],
        ),
        one(
            "wc",
            "`wc -l`",
            Says::Nothing,
            words(&["wc", "-l", &file]),
            words(&["wc", "--version"]),
        ),
        one(
            "jq",
            "`jq`, `sort -u`, `wc -l`",
            Says::Number,
            words(&["bash", "-c", &jq]),
            words(&["jq", "--version"]),
        ),
        python(
            "duckdb",
            "DuckDB, `approx_count_distinct`",
            "duckdb_count.py",
            "import duckdb; print(duckdb.__version__)",
        ),
        python(
            "clickhouse",
            "ClickHouse (chDB), `uniqCombined`",
            "clickhouse_count.py",
            "import chdb; print(str(chdb.query('select version()', 'TSV')).strip(), '(chDB ' + chdb.__version__ + ')')",
        ),
        Contender {
            server: Some(words(&server)),
            ..one(
                "redis",
                "Redis, `PFADD` pipelined",
                Says::Lines,
                words(&[&own_path(), "redis-client", &socket, &file]),
                words(&["redis-server", "--version"]),
            )
        },
    ]
}

fn kafka(place: &Place) -> Vec<Contender> {
    let (broker, topic) = (place.broker.as_str(), place.topic());
    let one = |name, title, says, command, version| Contender {
        name,
        kind: Kind::Kafka,
        title,
        command,
        server: None,
        says,
        version,
    };
    let run = |name, title, options: &[&str]| {
        let command = words(&[
            &place.headcount,
            "run",
            "-b",
            broker,
            "-t",
            &topic,
            "-o",
            "-",
            "-e",
        ]);
        one(
            name,
            title,
            Says::Records,
            more(&command, options),
            words(&[&place.headcount, "--version"]),
        )
    };
    let librdkafka = format!("librdkafka {}", rdkafka::util::get_rdkafka_version().1);
    let bare = |name, title, program: &str, kind| {
        one(
            name,
            title,
            Says::Nothing,
            place.bare_loop(program, kind),
            words(&["echo", &librdkafka]),
        )
    };
    let classes = format!("{0}/classes:{0}/dependency/*", place.streams);
    let (partitions, scratch) = (
        place.partitions.to_string(),
        place.scratch().display().to_string(),
    );
    let streams = [
        "java",
        "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
        "-cp",
        &classes,
        "bench.Count",
        broker,
        &topic,
        &partitions,
        &scratch,
    ];
    let jars = format!(
        "ls {}/dependency | sed -nE 's/^(kafka-streams|datasketches-java)-(.*)\\.jar$/\\1 \\2/p' | sort -r | paste -sd, | sed 's/,/, /'",
        place.streams
    );
    vec![
        run("run", "`headcount run`", &[]),
        run(
            "run-fields",
            "`headcount run --validate fields`",
            &["--validate", "fields"],
        ),
        bare(
            "bare",
            "bare loop, default settings",
            &place.bare,
            "default",
        ),
        bare(
            "bare-ours",
            "bare loop, headcount's settings and allocator",
            &place.ours,
            "ours",
        ),
        one(
            "kcat",
            "`kcat`",
            Says::Nothing,
            words(&[
                "kcat",
                "-C",
                "-q",
                "-b",
                broker,
                "-t",
                &topic,
                "-o",
                "beginning",
                "-e",
            ]),
            words(&[
                "bash",
                "-c",
                "kcat -V | sed -n 's/^Version //p' | sed 's/ builtin.*//; s/JSON.*librdkafka/librdkafka/; s/$/)/'",
            ]),
        ),
        one(
            "streams",
            "Kafka Streams, DataSketches HLL",
            Says::Lines,
            words(&streams),
            words(&["bash", "-c", &jars]),
        ),
    ]
}
