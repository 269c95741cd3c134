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

/// Name, title, what it says, and command, in which [`Place::word`] knows the words in capitals; in the table's order.
type Row = (&'static str, &'static str, Says, &'static str);

const FILE_READERS: [Row; 8] = [
    (
        "headcount",
        "`headcount count`, 2 threads",
        Says::Records,
        "HEADCOUNT count --format json --threads 2 FILE",
    ),
    (
        "headcount-1",
        "`headcount count`, 1 thread",
        Says::Records,
        "HEADCOUNT count --format json --threads 1 FILE",
    ),
    (
        "headcount-fields",
        "`headcount count --validate fields`, 2 threads",
        Says::Records,
        "HEADCOUNT count --format json --threads 2 --validate fields FILE",
    ),
    ("wc", "`wc -l`", Says::Nothing, "wc -l FILE"),
    ("jq", "`jq`, `sort -u`, `wc -l`", Says::Number, "bash -c JQ"),
    (
        "duckdb",
        "DuckDB, `approx_count_distinct`",
        Says::Lines,
        "PYTHON scripts/bench.d/duckdb_count.py FILE",
    ),
    (
        "clickhouse",
        "ClickHouse (chDB), `uniqCombined`",
        Says::Lines,
        "PYTHON scripts/bench.d/clickhouse_count.py FILE",
    ),
    (
        "redis",
        "Redis, `PFADD` pipelined",
        Says::Lines,
        "PEERS redis-client SOCKET FILE",
    ),
];

const TOPIC_READERS: [Row; 6] = [
    (
        "run",
        "`headcount run`",
        Says::Records,
        "HEADCOUNT run -b BROKER -t TOPIC -o - -e",
    ),
    (
        "run-fields",
        "`headcount run --validate fields`",
        Says::Records,
        "HEADCOUNT run -b BROKER -t TOPIC -o - -e --validate fields",
    ),
    (
        "bare",
        "bare loop, default settings",
        Says::Nothing,
        "BARE --be default --broker BROKER --frames FRAMES --partitions PARTITIONS --compression none",
    ),
    (
        "bare-ours",
        "bare loop, headcount's settings and allocator",
        Says::Nothing,
        "OURS --be ours --broker BROKER --frames FRAMES --partitions PARTITIONS --compression none",
    ),
    (
        "kcat",
        "`kcat`",
        Says::Nothing,
        "kcat -C -q -b BROKER -t TOPIC -o beginning -e",
    ),
    (
        "streams",
        "Kafka Streams, DataSketches HLL",
        Says::Lines,
        "java -Dorg.slf4j.simpleLogger.defaultLogLevel=warn -cp CLASSES bench.Count BROKER TOPIC PARTITIONS SCRATCH",
    ),
];

const REDIS_SERVER: &str =
    "redis-server --port 0 --unixsocket SOCKET --save NOTHING --appendonly no";

/// For `--only`.
pub fn names() -> Vec<&'static str> {
    FILE_READERS
        .iter()
        .chain(&TOPIC_READERS)
        .map(|row| row.0)
        .collect()
}

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

    /// A command from how it is written in the tables.
    fn command(&self, line: &str) -> Vec<String> {
        line.split(' ').map(|word| self.word(word)).collect()
    }

    fn word(&self, word: &str) -> String {
        let path = |path: PathBuf| path.display().to_string();
        match word {
            "HEADCOUNT" => self.headcount.clone(),
            "BARE" => self.bare.clone(),
            "OURS" => self.ours.clone(),
            "PYTHON" => self.python.clone(),
            "PEERS" => own_path(),
            "FILE" => self.file(),
            "JQ" => format!(
                "set -o pipefail; jq .uid {} | LC_ALL=C sort -u | wc -l",
                self.file()
            ),
            "SOCKET" => path(self.socket()),
            "BROKER" => self.broker.clone(),
            "TOPIC" => self.topic(),
            "FRAMES" => self.frames.to_string(),
            "PARTITIONS" => self.partitions.to_string(),
            "CLASSES" => format!("{0}/classes:{0}/dependency/*", self.streams),
            "SCRATCH" => path(self.scratch()),
            "NOTHING" => String::new(),
            script if script.starts_with("scripts/") => path(self.root.join(script)),
            other => other.to_owned(),
        }
    }

    /// What prints the version of a contender.
    fn version(&self, name: &str) -> Vec<String> {
        let with =
            |program: &str, text: &str| [self.command(program), vec![text.to_owned()]].concat();
        match name {
            "wc" | "jq" => self.command(&format!("{name} --version")),
            "redis" => self.command("redis-server --version"),
            "duckdb" => with("PYTHON -c", "import duckdb; print(duckdb.__version__)"),
            "clickhouse" => with(
                "PYTHON -c",
                "import chdb; print(str(chdb.query('select version()', 'TSV')).strip(), '(chDB ' + chdb.__version__ + ')')",
            ),
            "bare" | "bare-ours" => with(
                "echo",
                &format!("librdkafka {}", rdkafka::util::get_rdkafka_version().1),
            ),
            "kcat" => with(
                "bash -c",
                "kcat -V | sed -n 's/^Version \\([^ ]*\\) .*librdkafka \\([^ ]*\\) .*/\\1 (librdkafka \\2)/p'",
            ),
            "streams" => with("bash -c", &jars(&self.streams)),
            _ => self.command("HEADCOUNT --version"),
        }
    }
}

/// Prints which version of Kafka Streams and of DataSketches is there, by their files.
fn jars(streams: &str) -> String {
    let versions = "sed -nE 's/^(kafka-streams|datasketches-java)-(.*)\\.jar$/\\1 \\2/p'";
    format!("ls {streams}/dependency | {versions} | sort -r | paste -sd, | sed 's/,/, /'")
}

/// The path without that of the folder it is in.
fn without(text: &str, folder: &Path) -> String {
    text.replace(&format!("{}/", folder.display()), "")
}

fn own_path() -> String {
    std::env::current_exe().unwrap().display().to_string()
}

/// All of them, installed or not.
pub fn all(place: &Place) -> Vec<Contender> {
    let of_kind = |kind, rows: &'static [Row]| {
        rows.iter()
            .map(move |&(name, title, says, line)| Contender {
                name,
                kind,
                title,
                command: place.command(line),
                server: (name == "redis").then(|| place.command(REDIS_SERVER)),
                says,
                version: place.version(name),
            })
    };
    of_kind(Kind::File, &FILE_READERS)
        .chain(of_kind(Kind::Kafka, &TOPIC_READERS))
        .collect()
}
