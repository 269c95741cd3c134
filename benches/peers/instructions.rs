//! Instructions instead of seconds, counted by callgrind: the same on a machine that has other things to do.
//!
//! What a program does once, such as starting, is taken away: a figure is the difference of two runs, one over more frames.

use std::fs;
use std::path::Path;
use std::time::Duration;

use crate::child::Failure;
use crate::contender::Place;
use crate::machine::{self, Moment};
use crate::rounds::Bench;
use crate::table::thousands;

/// For one run below valgrind, which is some fifty times as slow.
const LIMIT: Duration = Duration::from_secs(900);
/// Passes of a decoder over its data, and frames of a file.
const PASSES: [u64; 2] = [1, 2];
const FRAMES: [u64; 2] = [4_000, 12_000];
/// Contenders of benches/decode that valgrind can run.
const DECODERS: [&str; 6] = [
    "full-avx2",
    "full-portable",
    "fields-avx2",
    "fields-portable",
    "simd-json",
    "newlines",
];

/// Instructions of some frames of so many bytes.
#[derive(Clone, Copy)]
struct Cost {
    instructions: u64,
    frames: u64,
    bytes: u64,
}

/// Something to be counted, on less and on more.
struct Subject {
    title: String,
    commands: [Vec<String>; 2],
    /// Frames of the files, or passes over the data in memory.
    amounts: [u64; 2],
    count: fn(&Bench, &[String], u64) -> Result<Cost, Failure>,
}

/// Prints the table.
pub fn print(bench: &Bench, decode: &str, began: &Moment) -> Result<(), Failure> {
    println!(
        "| | instructions a frame | a byte | of `headcount count` |\n| --- | --: | --: | --: |"
    );
    let mut commands = Vec::new();
    let mut reference = None;
    for subject in subjects(bench.place, decode) {
        match subject.costs(bench) {
            Ok(costs) => {
                let per_frame = row(&subject.title, costs, reference);
                reference = reference.or(Some(per_frame));
                commands.extend(subject.commands.into_iter().skip(1));
            }
            Err(Failure::Failed(why)) => {
                eprintln!("SKIPPED: {}: {why}", subject.title);
                println!(
                    "| {} | skipped: {} | | |",
                    subject.title,
                    why.replace('|', "\\|")
                );
            }
            Err(interrupted) => return Err(interrupted),
        }
    }
    println!("\n{NOTES}\n\n```sh");
    for command in commands {
        println!(
            "valgrind --tool=callgrind {}",
            shown(bench.place, &command, decode)
        );
    }
    println!("```\n\n{}", machine::describe(bench, began));
    Ok(())
}

impl Subject {
    fn costs(&self, bench: &Bench) -> Result<[Cost; 2], Failure> {
        let cost = |at: usize| (self.count)(bench, &self.commands[at], self.amounts[at]);
        Ok([cost(0)?, cost(1)?])
    }
}

const NOTES: &str = "Counted by callgrind, user space alone, one thread at a time: the difference of two runs over frames of 2 KB (files of \
     4,000 and 12,000 frames; one and two passes over 48 MiB in memory), so without start and end. valgrind has no AVX-512: decoders \
     run on AVX2 (`headcount count` too) or portable. What the kernel does, and what waits for memory, is not in it.";

fn shown(place: &Place, command: &[String], decode: &str) -> String {
    place
        .shown(command)
        .replace(&place.shown(&[decode.to_owned()]), "benches/decode")
}

fn subjects(place: &Place, decode: &str) -> Vec<Subject> {
    let words = |words: &[&str]| {
        words
            .iter()
            .map(|&word| word.to_owned())
            .collect::<Vec<_>>()
    };
    let on_file = |title: &str, command: &[&str]| Subject {
        title: title.to_owned(),
        commands: FRAMES.map(|frames| [words(command), vec![file(frames)]].concat()),
        amounts: FRAMES,
        count: of_file,
    };
    let decoder = |name: &str| Subject {
        title: format!("`benches/decode`, {name}"),
        commands: PASSES.map(|passes| words(&[decode, "--once", name, "2k", &passes.to_string()])),
        amounts: PASSES,
        count: of_decoder,
    };
    let count = [
        place.headcount.as_str(),
        "count",
        "--format",
        "json",
        "--threads",
        "1",
    ];
    let mut all = vec![
        on_file("`headcount count`", &count),
        on_file(
            "`headcount count --validate fields`",
            &[&count[..], &["--validate", "fields"]].concat(),
        ),
        on_file("`wc -l`", &["wc", "-l"]),
        on_file("`jq .uid`", &["jq", ".uid"]),
    ];
    all.extend(DECODERS.map(decoder));
    all
}

fn file(frames: u64) -> String {
    format!("instructions-{frames}.jsonl")
}

fn of_file(bench: &Bench, command: &[String], frames: u64) -> Result<Cost, Failure> {
    let path = bench.place.dir.join(file(frames));
    if !path.exists() {
        crate::generate(
            bench,
            frames,
            &file(frames),
            &format!("instructions-truth-{frames}.json"),
        )?;
    }
    let bytes = fs::metadata(&path).map_or(0, |file| file.len());
    let (instructions, _) = callgrind(bench, command)?;
    Ok(Cost {
        instructions,
        frames,
        bytes,
    })
}

fn of_decoder(bench: &Bench, command: &[String], passes: u64) -> Result<Cost, Failure> {
    let (instructions, said) = callgrind(bench, command)?;
    // NAME: 1234 frames, 5678 bytes
    let numbers: Vec<u64> = said
        .split([' ', '\n'])
        .filter_map(|word| word.parse().ok())
        .collect();
    match numbers[..] {
        [frames, bytes] => Ok(Cost {
            instructions,
            frames: frames * passes,
            bytes: bytes * passes,
        }),
        _ => Err(Failure::Failed(format!("benches/decode says {said:?}"))),
    }
}

/// Instructions of a command, and what it prints.
fn callgrind(bench: &Bench, command: &[String]) -> Result<(u64, String), Failure> {
    let dir = &bench.place.dir;
    let (profile, out) = (dir.join("callgrind.out"), dir.join("out"));
    let to = format!("--callgrind-out-file={}", profile.display());
    let under = ["valgrind", "--quiet", "--tool=callgrind", &to].map(str::to_owned);
    eprintln!("callgrind: {}", bench.place.shown(command));
    bench.run(
        &[&under, command].concat(),
        Some(&out),
        &dir.join("err"),
        LIMIT,
    )?;
    let total =
        total(&profile).ok_or_else(|| Failure::Failed("callgrind writes no total".to_owned()))?;
    Ok((total, fs::read_to_string(out).unwrap_or_default()))
}

fn total(profile: &Path) -> Option<u64> {
    let text = fs::read_to_string(profile).ok()?;
    text.lines()
        .find_map(|line| line.strip_prefix("totals: ")?.trim().parse().ok())
}

/// Prints what lies between two costs, and returns the instructions a frame.
fn row(title: &str, [less, more]: [Cost; 2], reference: Option<f64>) -> f64 {
    let instructions = more.instructions.saturating_sub(less.instructions) as f64;
    let per_frame = instructions / (more.frames - less.frames) as f64;
    let per_byte = instructions / (more.bytes - less.bytes) as f64;
    let share = per_frame / reference.unwrap_or(per_frame);
    println!(
        "| {title} | {} | {per_byte:.3} | {share:.2} |",
        thousands(per_frame.round() as u64)
    );
    per_frame
}
