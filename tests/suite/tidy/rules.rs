//! The rules: what each wants, where, how it is checked, and specimens of what it catches and what it lets pass.

use super::source::{Source, Token, UsedPath};

const MAX_FILE_LINES: usize = 600;
const MAX_FUNCTION_LINES: usize = 70;

/// Files in which `unsafe` may stand, each because SIMD, a call of librdkafka's, an allocator or wait4 needs it there.
const UNSAFE_FILES: &[&str] = &[
    "benches/consume/bare.rs",
    "benches/peers/child.rs",
    "src/allocator.rs",
    "src/engine/decode/bitmap/avx2.rs",
    "src/engine/decode/bitmap/avx512.rs",
    "src/engine/trailing/lanes.rs",
    "src/io/kafka_client/revival.rs",
    "src/io/source/kafka/tap.rs",
    "src/io/source/kafka/topic_id.rs",
    "tests/allocations/counting.rs",
    "tests/decode/guard.rs",
    "tests/support/faulty_vfs.rs",
];

/// Modules directly under src/io that all adapters there may use: what reaches the brokers, and the trait by which time is told.
const COMMON_IN_IO: &[&str] = &["clock", "kafka_client"];

pub struct Rule {
    pub words: &'static str,
    pub applies: fn(&str) -> bool,
    /// The lines that break the rule.
    pub check: fn(&Source) -> Vec<usize>,
    /// Path, text, and the one line to be found in it.
    pub caught: Vec<(&'static str, String, usize)>,
    pub passed: Vec<(&'static str, String)>,
}

impl Rule {
    fn new(
        words: &'static str,
        applies: fn(&str) -> bool,
        check: fn(&Source) -> Vec<usize>,
    ) -> Rule {
        Rule {
            words,
            applies,
            check,
            caught: Vec::new(),
            passed: Vec::new(),
        }
    }

    fn catches(mut self, path: &'static str, text: impl Into<String>, line: usize) -> Rule {
        self.caught.push((path, text.into(), line));
        self
    }

    fn passes(mut self, path: &'static str, text: impl Into<String>) -> Rule {
        self.passed.push((path, text.into()));
        self
    }
}

pub fn all_rules() -> Vec<Rule> {
    [
        size_rules(),
        leftover_rules(),
        engine_rules(),
        layer_rules(),
        test_rules(),
        script_rules(),
    ]
    .into_iter()
    .flatten()
    .collect()
}

fn size_rules() -> Vec<Rule> {
    vec![
        Rule::new(
            "a Rust file has at most 600 lines: find the concept that wants its own room",
            is_rust,
            |source| {
                (source.text.lines().count() > MAX_FILE_LINES)
                    .then_some(MAX_FILE_LINES + 1)
                    .into_iter()
                    .collect()
            },
        )
        .catches("src/a.rs", "\n".repeat(601), 601)
        .passes("tests/a.rs", "\n".repeat(600)),
        Rule::new("a function has at most 70 lines", is_rust, |source| {
            let long = source
                .functions()
                .into_iter()
                .filter(|function| function.lines > MAX_FUNCTION_LINES);
            long.map(|function| function.line).collect()
        })
        .catches(
            "src/a.rs",
            format!("\nfn long() {{{}}}", "\n".repeat(70)),
            2,
        )
        .catches(
            "tests/a.rs",
            format!("fn outer() {{ if x {{ }} {} \"}}\"; }}", "\n".repeat(70)),
            1,
        )
        .passes(
            "src/a.rs",
            format!("fn short() {{{}}} fn other() {{}}", "\n".repeat(69)),
        ),
        Rule::new(
            "a file under src says in its first line (//!) what it is",
            is_shipped,
            |source| {
                (!source.text.starts_with("//!"))
                    .then_some(1)
                    .into_iter()
                    .collect()
            },
        )
        .catches("src/a.rs", "use b;\n//! Late.", 1)
        .catches("src/a/b.rs", "", 1)
        .passes("src/a.rs", "//! First.\nuse b;")
        .passes("tests/a.rs", "use b;"),
    ]
}

fn leftover_rules() -> Vec<Rule> {
    vec![
        Rule::new("no todo!, unimplemented! or dbg! is left", is_rust, |source| {
            macros(&source.code, &["todo", "unimplemented", "dbg"])
        })
        .catches("src/a.rs", "fn f() {\n todo!() }", 2)
        .catches("src/a.rs", "#[cfg(test)]\nmod tests { fn f() { unimplemented!(\"x\") } }", 2)
        .catches("benches/a.rs", "fn f(x: u8) { dbg!(x); }", 1)
        .passes("src/a.rs", "// todo!()\nfn f() { g(\"todo!()\", todo) }"),
        Rule::new("no note of unfinished work (TODO, FIXME, XXX) is left: do it, or file an issue", |_| true, |source| {
            let is_word = |text: &str| ["TODO", "FIXME", "XXX"].contains(&text);
            let unfinished = |line: &str| line.split(|c: char| !c.is_alphanumeric() && c != '_').any(is_word);
            (1..).zip(source.unquoted.lines()).filter(|(_, line)| unfinished(line)).map(|(number, _)| number).collect()
        })
        .catches("src/a.rs", "fn f() {}\n// TODO: more", 2)
        .catches("tests/a.rs", "/* FIXME */", 1)
        .catches("scripts/a", "#!/bin/sh\necho # XXX", 2)
        .passes("tests/a.rs", "// TODOS\nf(\"TODO\")")
        .passes("scripts/a", "mktemp /tmp/a.XXXXXX"),
        Rule::new("no unsafe outside the files that are listed for it, with the argument for its soundness", is_rust, |source| {
            let allowed = UNSAFE_FILES.contains(&source.path.as_str());
            source.code.iter().filter(|token| token.text == "unsafe" && !allowed).map(|token| token.line).collect()
        })
        .catches("src/a.rs", "fn f() {\n\n unsafe { g() } }", 3)
        .catches("tests/a.rs", "unsafe extern \"C\" {}", 1)
        .passes("src/a.rs", "#![forbid(unsafe_code)]\n// unsafe"),
    ]
}

fn engine_rules() -> Vec<Rule> {
    vec![
        Rule::new("the engine is pure: no clock, thread, file, socket, environment, process or stream", in_engine, |source| {
            const IMPURE: [&str; 8] = [
                "std::time::Instant", "std::time::SystemTime", "std::thread", "std::fs", "std::net", "std::env", "std::io", "std::process",
            ];
            lines(source.paths(), |path| IMPURE.iter().any(|impure| reaches(path, impure)))
        })
        .catches("src/engine/a.rs", "use std::{fmt,\n time::{Duration, Instant}};", 2)
        .catches("src/engine/a.rs", "use std::time;", 1)
        .catches("src/engine/a/b.rs", "fn f() { std::env::var(\"X\"); }", 1)
        .catches("src/engine/mod.rs", "use std::io::{self as stream};", 1)
        .catches("src/engine.rs", "fn f() -> ::std::net::IpAddr {}", 1)
        .passes("src/engine/a.rs", "use std::time::Duration;\n#[cfg(test)]\nmod tests { use std::fs; }\n// std::fs")
        .passes("src/io/a.rs", "use std::fs;"),
        Rule::new("the engine reads no clock and no zone of the machine through jiff either", in_engine, |source| {
            const READERS: [&str; 3] = ["Timestamp::now", "Zoned::now", "TimeZone::system"];
            lines(source.paths(), |path| READERS.iter().any(|reader| path.names.join("::").ends_with(reader)))
        })
        .catches("src/engine/a.rs", "fn f() { jiff::Timestamp::now(); }", 1)
        .catches("src/engine/a.rs", "fn f() {\n TimeZone::system() }", 2)
        .passes("src/engine/a.rs", "fn f() { Timestamp::from_second(now) }"),
        Rule::new("the engine is silent: no tracing, no printing", in_engine, |source| {
            let mut found = lines(source.paths(), |path| path.names[0] == "tracing");
            found.extend(macros(&source.production, &["print", "println", "eprint", "eprintln"]));
            found
        })
        .catches("src/engine/a.rs", "fn f() { tracing::info!(\"x\") }", 1)
        .catches("src/engine/a.rs", "use tracing;", 1)
        .catches("src/engine/a.rs", "fn f() {\n eprintln!(\"x\") }", 2)
        .passes("src/engine/a.rs", "fn f() { writeln!(out, \"println!\") }"),
        Rule::new("the engine's maps have a hasher that is the same in every process", in_engine, |source| {
            (0..source.production.len()).filter(|&at| hashes_at_random(&source.production[at..])).map(|at| source.production[at].line).collect()
        })
        .catches("src/engine/a.rs", "struct A {\n a: HashMap<u64, Vec<(u8, u8)>> }", 2)
        .catches("src/engine/a.rs", "fn f(a: HashSet<fn(u8) -> u8>) {}", 1)
        .catches("src/engine/a.rs", "fn f() { let a = HashMap::new(); }", 1)
        .catches("src/engine/a.rs", "fn f() { x.collect::<HashSet<_>>() }", 1)
        .catches("src/engine/a.rs", "use std::hash::RandomState;", 1)
        .passes("src/engine/a.rs", "struct A { a: HashMap<u64, (u8, u8), Fixed>, b: HashSet<u64, Fixed>, c: BTreeMap<u8, u8> }")
        .passes("src/engine/a.rs", "use std::collections::HashMap;\nfn f() { HashMap::with_hasher(Fixed) }"),
        Rule::new("the engine imports nothing of ours but limits", in_engine, |source| {
            let ours = |path: &UsedPath| ["engine", "limits"].map(Some).contains(&path.names.get(1).map(String::as_str));
            lines(source.paths(), |path| path.names[0] == "crate" && !ours(path))
        })
        .catches("src/engine/a.rs", "use crate::{engine::b,\n config::Config};", 2)
        .catches("src/engine/a.rs", "fn f() { crate::io::clock::now() }", 1)
        .catches("src/engine/a/b.rs", "use super::super::super::error;", 1)
        .catches("src/engine/mod.rs", "use super::run;", 1)
        .passes("src/engine/a.rs", "use crate::{engine::b, limits};\nuse super::c;\nmod d { use super::super::e; }")
        .passes("src/run/a.rs", "use crate::config;"),
    ]
}

fn layer_rules() -> Vec<Rule> {
    vec![
        Rule::new("adapters under src/io do not import each other: what joins them is in src/run", in_io, |source| {
            let own = source.path["src/io/".len()..].split(['/', '.']).next().unwrap_or_default();
            let is_sibling = |name: &str| name.starts_with(char::is_lowercase) && name != own && !COMMON_IN_IO.contains(&name);
            lines(source.paths(), |path| {
                path.names.len() > 2 && path.names[..2] == ["crate", "io"] && is_sibling(&path.names[2])
            })
        })
        .catches("src/io/sink/kafka.rs", "use crate::io::source::kafka;", 1)
        .catches("src/io/clock.rs", "fn f() {\n super::http::serve() }", 2)
        .passes("src/io/sink/kafka.rs", "use crate::io::{kafka_client, sink::lines};\nuse crate::io::Shared;\nuse crate::engine::Batch;")
        .passes("src/io/mod.rs", "pub use self::sink::Sink;"),
        Rule::new("threads and channels are in src/run alone", outside_run, |source| {
            const STARTS: [&str; 3] = ["spawn", "Builder", "scope"];
            lines(source.paths(), |path| {
                let starts_thread = path.names.windows(2).any(|pair| pair[0] == "thread" && STARTS.contains(&pair[1].as_str()));
                let has = |name: &str| path.names.iter().any(|other| other == name);
                starts_thread || has("crossbeam_channel") || has("mpsc")
            })
        })
        .catches("src/io/a.rs", "fn f() { thread::spawn(g); }", 1)
        .catches("src/a.rs", "use std::thread::{current,\n Builder};", 2)
        .catches("src/demo/a.rs", "fn f() { std::thread::scope(g) }", 1)
        .catches("src/a.rs", "use crossbeam_channel::bounded;", 1)
        .catches("src/a.rs", "use std::sync::mpsc;", 1)
        .passes("src/run/a.rs", "fn f() { thread::spawn(g); }")
        .passes("src/a.rs", "fn f() { thread::available_parallelism(); }\n#[cfg(test)]\nmod tests { use std::sync::mpsc; }"),
    ]
}

fn test_rules() -> Vec<Rule> {
    vec![
        Rule::new(
            "tests do not sleep: wait for the thing itself, with a limit",
            in_tests,
            |source| {
                let mut found = lines(source.paths_with_tests(), |path| {
                    path.names
                        .windows(2)
                        .any(|pair| pair[0] == "thread" && pair[1].starts_with("sleep"))
                });
                found.dedup();
                found
            },
        )
        .catches("tests/a.rs", "fn f() {\n thread::sleep(d) }", 2)
        .catches("tests/a/b.rs", "use std::thread::{spawn,\n sleep};", 2)
        .catches("src/a/tests.rs", "fn f() { std::thread::sleep(d) }", 1)
        .passes(
            "tests/a.rs",
            "fn f() { receiver.recv_timeout(d) } // thread::sleep",
        ),
    ]
}

fn script_rules() -> Vec<Rule> {
    vec![
        Rule::new(
            "a script stops at its first error: set -euo pipefail",
            is_script,
            |source| {
                let is_shell = source
                    .text
                    .lines()
                    .next()
                    .is_some_and(|line| line.starts_with("#!") && line.ends_with("sh"));
                let strict = source.text.lines().any(|line| line == "set -euo pipefail");
                (is_shell && !strict).then_some(1).into_iter().collect()
            },
        )
        .catches("scripts/a", "#!/usr/bin/env bash\nset -e\n", 1)
        .passes(
            "scripts/a",
            "#!/usr/bin/env bash\n# What it does.\nset -euo pipefail\n",
        )
        .passes("scripts/a", "#!/usr/bin/env python3\n")
        .passes("scripts/a.d/settings", "a=1\n"),
    ]
}

fn is_rust(path: &str) -> bool {
    path.ends_with(".rs")
}

fn is_shipped(path: &str) -> bool {
    is_rust(path) && path.starts_with("src/")
}

fn in_engine(path: &str) -> bool {
    is_shipped(path) && (path.starts_with("src/engine/") || path == "src/engine.rs")
}

fn in_io(path: &str) -> bool {
    is_shipped(path) && path.starts_with("src/io/") && path != "src/io/mod.rs"
}

fn outside_run(path: &str) -> bool {
    is_shipped(path) && !path.starts_with("src/run/") && path != "src/run.rs"
}

fn in_tests(path: &str) -> bool {
    is_rust(path) && (path.starts_with("tests/") || path.ends_with("/tests.rs"))
}

fn is_script(path: &str) -> bool {
    path.starts_with("scripts/") || path.starts_with(".ci/")
}

fn lines(paths: Vec<UsedPath>, breaks: impl Fn(&UsedPath) -> bool) -> Vec<usize> {
    paths
        .iter()
        .filter(|path| breaks(path))
        .map(|path| path.line)
        .collect()
}

/// Whether the path leads to `target` or into it; an import of what holds `target` leads there too.
fn reaches(path: &UsedPath, target: &str) -> bool {
    let target: Vec<&str> = target.split("::").collect();
    let common = path
        .names
        .iter()
        .zip(&target)
        .take_while(|(a, b)| a == b)
        .count();
    common == target.len() || (path.imported && common == path.names.len())
}

fn macros(code: &[Token], names: &[&str]) -> Vec<usize> {
    let calls = code
        .windows(2)
        .filter(|pair| names.contains(&pair[0].text.as_str()) && pair[1].text == "!");
    calls.map(|pair| pair[0].line).collect()
}

/// Whether a map or set that seeds itself starts here: `HashMap<K, V>`, `HashSet::new`, `RandomState`.
fn hashes_at_random(code: &[Token]) -> bool {
    let text = |at: usize| code.get(at).map_or("", |token| token.text.as_str());
    let with_hasher = match text(0) {
        "RandomState" => return true,
        "HashMap" => 3,
        "HashSet" => 2,
        _ => return false,
    };
    let open = if text(1) == "::" { 2 } else { 1 };
    match text(open) {
        "<" => type_arguments(&code[open..]) < with_hasher,
        name => open == 2 && ["new", "with_capacity", "from"].contains(&name),
    }
}

/// How many arguments stand between the angle bracket that comes first and its fellow.
fn type_arguments(code: &[Token]) -> usize {
    let mut depth = 0;
    let mut arguments = 1;
    for (at, token) in code.iter().enumerate() {
        match token.text.as_str() {
            "<" | "(" | "[" => depth += 1,
            // The arrow of a function type closes nothing.
            ">" if code[at - 1].text == "-" => {}
            ">" | ")" | "]" => depth -= 1,
            // One after which nothing follows separates nothing.
            "," if depth == 1 && code.get(at + 1).is_some_and(|next| next.text != ">") => {
                arguments += 1
            }
            _ => {}
        }
        if depth == 0 {
            break;
        }
    }
    arguments
}
