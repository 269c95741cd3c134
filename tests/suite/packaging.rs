//! Whether the files that make a container of it agree with the program and with each other. Nothing is built here:
//! that is `scripts/check-image`.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use clap::{CommandFactory, Parser};
use headcount::cli::Cli;
use tempfile::TempDir;

const COMPOSE: &str = "packaging/docker-compose.yml";

#[test]
fn lint_is_content() {
    let output = lint(root());
    assert!(output.status.success(), "{}", said(&output));
    assert!(said(&output).contains(" agree; read, not executed"));
}

/// File, what stands there, what a careless change makes of it, and a word of the complaint.
const SPECIMENS: [(&str, &str, &str, &str); 12] = [
    ("Dockerfile", "USER 10001:10001", "USER headcount", "USER"),
    ("Dockerfile", "USER 10001:10001", "USER 0:0", "USER"),
    (
        "Dockerfile",
        "USER 1",
        "RUN apt-get install -y gcc\nUSER 1",
        "gcc",
    ),
    (
        "Dockerfile",
        "STOPSIGNAL SIGTERM",
        "SHELL [\"sh\"]",
        "SHELL",
    ),
    (
        "Dockerfile",
        "STOPSIGNAL SIGTERM",
        "STOPSIGNAL SIGHUP",
        "SIGHUP",
    ),
    ("Dockerfile", "COPY src src", "COPY src/no src", "src/no"),
    (
        "Dockerfile",
        "COPY src src",
        "COPY README.md src/",
        "README.md",
    ),
    ("Dockerfile", "--from=build /t", "--from=biuld /t", "biuld"),
    ("Dockerfile", "rust:1.95-", "rust:1.94-", "1.95"),
    (".dockerignore", "!src", "!src\n!target", "target"),
    (".dockerignore", "!Cargo.lock", "", "Cargo.lock"),
    ("Cargo.toml", "version = \"0.", "version = \"9.", "version"),
];

#[test]
fn lint_catches_what_would_go_wrong() {
    let copy = copy_of_what_lint_reads();
    let output = lint(copy.path());
    assert!(output.status.success(), "{}", said(&output));
    for (path, from, to, word) in SPECIMENS {
        let text = read(path);
        assert!(text.contains(from), "{path} has no {from:?} any more");
        fs::write(copy.path().join(path), text.replacen(from, to, 1)).unwrap();
        let output = lint(copy.path());
        assert_eq!(output.status.code(), Some(65), "{to}: {}", said(&output));
        assert!(said(&output).contains(word), "{to}: {}", said(&output));
        fs::write(copy.path().join(path), text).unwrap();
    }
}

fn copy_of_what_lint_reads() -> TempDir {
    let copy = tempfile::tempdir().unwrap();
    let of_the_build = "Dockerfile .dockerignore Cargo.toml Cargo.lock LICENSE-APACHE LICENSE-MIT src/main.rs benches/load/main.rs README.md";
    let of_the_scripts = ["scripts/lib.sh", "scripts/check-image", COMPOSE];
    for path in of_the_build.split(' ').chain(of_the_scripts) {
        copy_into(copy.path(), path);
    }
    for file in fs::read_dir(root().join("scripts/check-image.d")).unwrap() {
        let name = file.unwrap().file_name();
        let path = Path::new("scripts/check-image.d").join(name);
        copy_into(copy.path(), path.to_str().unwrap());
    }
    copy
}

#[test]
fn every_command_line_is_one_that_the_program_takes() {
    let commands = [read("Dockerfile"), read(COMPOSE)]
        .iter()
        .flat_map(|text| commands(text))
        .collect::<Vec<_>>();
    let names: BTreeSet<&str> = commands.iter().map(|command| command[0].as_str()).collect();
    assert_eq!(
        names,
        BTreeSet::from(["generate", "replay", "run", "top"]),
        "what else is started?"
    );
    for command in &commands {
        let parsed = Cli::try_parse_from(
            ["headcount"]
                .into_iter()
                .chain(command.iter().map(String::as_str)),
        );
        if let Err(error) = parsed {
            panic!("{command:?}: {error}");
        }
    }
}

#[test]
fn every_variable_is_one_that_the_program_reads() {
    let cli = Cli::command();
    let arguments = cli.get_subcommands().flat_map(clap::Command::get_arguments);
    let known: BTreeSet<&str> = arguments
        .filter_map(|argument| argument.get_env()?.to_str())
        .collect();
    let compose = read(COMPOSE);
    let lines = compose
        .lines()
        .map(str::trim)
        .filter(|line| line.starts_with("HEADCOUNT_"));
    let names: Vec<&str> = lines
        .filter_map(|line| Some(line.split_once(':')?.0))
        .collect();
    assert!(names.contains(&"HEADCOUNT_BROKER"), "{names:?}");
    for name in names {
        assert!(known.contains(name), "nothing reads {name}");
    }
}

#[test]
fn dockerfile_and_compose_file_ask_the_same_of_a_healthy_container() {
    let [of_image, of_compose] = ["Dockerfile", COMPOSE].map(|path| {
        let health = commands(&read(path))
            .into_iter()
            .filter(|command| command[0] == "top");
        health.collect::<Vec<_>>()
    });
    assert_eq!(of_image.len(), 1);
    assert_eq!(of_image, of_compose);
}

#[test]
fn the_compose_file_gives_no_more_than_is_needed() {
    let compose = read(COMPOSE);
    for setting in [
        "read_only: true",
        "cap_drop: [ALL]",
        "security_opt: [\"no-new-privileges:true\"]",
        "mem_limit: 1g",
        "stop_grace_period: 10s",
        "restart: unless-stopped",
        "condition: service_healthy",
    ] {
        assert!(compose.contains(setting), "no {setting}");
    }
    assert_eq!(
        compose.matches("<<: *headcount").count(),
        3,
        "for headcount, load and ticks"
    );
    assert!(!compose.contains("privileged"));
}

#[test]
fn the_broker_is_of_the_version_that_the_tests_use() {
    let pom = read("scripts/kafka.d/pom.xml");
    let version = pom
        .split_once("<kafka.version>")
        .unwrap()
        .1
        .split_once('<')
        .unwrap()
        .0;
    let compose = read(COMPOSE);
    let images = compose
        .lines()
        .filter(|line| line.contains("image: apache/"));
    let images: Vec<&str> = images.map(str::trim).collect();
    assert!(!images.is_empty());
    for image in images {
        assert_eq!(image, format!("image: apache/kafka:{version}"));
    }
}

/// The arguments that headcount is started with: in JSON arrays, one a line, or in a pipeline in such an array.
fn commands(text: &str) -> Vec<Vec<String>> {
    let lines = text
        .lines()
        .filter(|line| !line.trim_start().starts_with('#'));
    let mut found = Vec::new();
    for array in lines.filter_map(json_array) {
        match array
            .iter()
            .map(String::as_str)
            .collect::<Vec<_>>()
            .as_slice()
        {
            ["CMD", "headcount", ..] => found.push(array[2..].to_vec()),
            ["headcount", _, ..] | ["run", ..] => {
                let skipped = usize::from(array[0] == "headcount");
                found.push(array[skipped..].to_vec());
            }
            [pipeline] if pipeline.contains(" | ") => {
                let words = |part: &str| {
                    part.split_whitespace()
                        .map(str::to_owned)
                        .collect::<Vec<_>>()
                };
                let parts = pipeline.split(" | ").map(words);
                found.extend(
                    parts
                        .filter(|part| part[0] == "headcount")
                        .map(|part| part[1..].to_vec()),
                );
            }
            _ => {}
        }
    }
    found
}

fn json_array(line: &str) -> Option<Vec<String>> {
    serde_json::from_str(&line[line.find('[')?..]).ok()
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn copy_into(folder: &Path, path: &str) {
    let target = folder.join(path);
    fs::create_dir_all(target.parent().unwrap()).unwrap();
    fs::copy(root().join(path), target).unwrap();
}

fn lint(folder: &Path) -> Output {
    let script = folder.join("scripts/check-image");
    Command::new(script)
        .arg("--lint")
        .output()
        .expect("it can be started")
}

fn said(output: &Output) -> String {
    let [stdout, stderr] =
        [&output.stdout, &output.stderr].map(|bytes| String::from_utf8_lossy(bytes));
    format!("{stdout}{stderr}")
}
