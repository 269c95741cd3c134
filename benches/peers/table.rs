//! The one table, and what belongs below it.

use std::fmt::Write as _;

use crate::answer::Answer;
use crate::contender::Kind;
use crate::machine;
use crate::rounds::{Bench, Runs, Section, median};

const COLUMNS: [&str; 12] = [
    "",
    "version",
    "frames/s",
    "MB/s",
    "x headcount",
    "x `wc -l`",
    "CPU s",
    "peak MiB",
    "runs",
    "users",
    "error",
    "worst minute",
];

/// What the numbers are about.
pub struct Subject {
    pub frames: u64,
    pub bytes: u64,
    pub truth: Answer,
}

/// Somebody who is not compared, and why.
pub struct Absent {
    pub title: &'static str,
    pub kind: Kind,
    pub why: String,
}

/// All of it, in Markdown.
pub fn print(
    bench: &Bench,
    subject: &Subject,
    sections: &[Section],
    absent: &[Absent],
    began: &machine::Moment,
) {
    row(&COLUMNS.map(str::to_owned));
    row(&COLUMNS.map(|name| {
        if name.is_empty() || name == "version" {
            "---"
        } else {
            "--:"
        }
        .to_owned()
    }));
    for kind in [Kind::File, Kind::Kafka] {
        let absent = absent.iter().filter(|one| one.kind == kind);
        let absent =
            absent.map(|one| filled(&[(0, one.title), (1, &format!("skipped: {}", one.why))]));
        let section = sections.iter().find(|section| section.kind == kind);
        match section {
            Some(section) => print_section(subject, section, &absent.collect::<Vec<_>>()),
            None => absent.for_each(|cells| row(&cells)),
        }
    }
    println!("\n{}", notes(bench, subject));
    println!("\nThe commands, in `target/bench`:\n\n```sh");
    let (generate, replay) = crate::making(bench.place);
    println!("{}", bench.place.shown(&generate));
    if sections.iter().any(|section| section.kind == Kind::Kafka) {
        println!("{}", bench.place.shown(&replay));
    }
    for runs in sections.iter().flat_map(|section| &section.runs) {
        if let Some(server) = &runs.contender.server {
            println!("{} &", bench.place.shown(server));
        }
        println!("{}", bench.place.shown(&runs.contender.command));
    }
    println!("```\n\n{}", machine::describe(bench, began));
}

fn print_section(subject: &Subject, section: &Section, absent: &[[String; COLUMNS.len()]]) {
    let title = match section.kind {
        Kind::File => "**Readers of the file**",
        Kind::Kafka => "**Readers of the topic**",
    };
    let exact = format!("**{}**", subject.truth.all);
    row(&filled(&[(0, title), (9, &exact), (10, "exact")]));
    let [before, after] = section.control_s;
    control(subject, section, "before", before, "");
    for runs in &section.runs {
        row(&cells(subject, section, runs));
    }
    for cells in absent {
        row(cells);
    }
    control(
        subject,
        section,
        "after",
        after,
        &format!("{:.2} of before", before / after),
    );
}

fn control(subject: &Subject, section: &Section, when: &str, seconds: f64, ratio: &str) {
    let (frames, mb) = speeds(subject, seconds);
    let title = format!("*control {when}: {}*", section.control);
    row(&filled(&[(0, &title), (2, &frames), (3, &mb), (4, ratio)]));
}

fn speeds(subject: &Subject, seconds: f64) -> (String, String) {
    let frames = (subject.frames as f64 / seconds).round() as u64;
    (
        thousands(frames),
        format!("{:.0}", subject.bytes as f64 / seconds / 1e6),
    )
}

fn cells(subject: &Subject, section: &Section, runs: &Runs) -> [String; COLUMNS.len()] {
    let contender = &runs.contender;
    if runs.used.is_empty() {
        let why = runs.failure.as_deref().unwrap_or("interrupted");
        return filled(&[
            (0, contender.title),
            (1, &runs.version),
            (2, &format!("failed: {why}")),
        ]);
    }
    let mut walls: Vec<f64> = runs.used.values().map(|used| used.wall_s).collect();
    let mut cpus: Vec<f64> = runs.used.values().map(|used| used.cpu_s).collect();
    let peak_kib = runs
        .used
        .values()
        .map(|used| used.peak_kib)
        .max()
        .unwrap_or(0);
    let (frames, mb) = speeds(subject, median(&mut walls));
    let own_kib = machine::own_peak_kib();
    let peak = match peak_kib {
        // What a child has at least is what this program has, from before it became another one.
        peak if peak <= own_kib + own_kib / 16 => format!("< {}", own_kib.div_ceil(1024)),
        peak => format!("{}", peak.div_ceil(1024)),
    };
    let answer = runs.answer.as_ref();
    let percent = |share: f64, sign: bool| match sign {
        true => format!("{:+.2} %", share * 100.0),
        false => format!("{:.2} %", share * 100.0),
    };
    let runs_made = match &runs.failure {
        Some(why) => format!("{}, then failed: {why}", runs.used.len()),
        None => runs.used.len().to_string(),
    };
    [
        contender.title.to_owned(),
        runs.version.clone(),
        frames,
        mb,
        times(section, runs, section.kind.base()),
        if section.kind == Kind::File {
            times(section, runs, "wc")
        } else {
            String::new()
        },
        format!("{:.2}", median(&mut cpus)),
        peak,
        runs_made,
        answer.map_or_else(|| "none".to_owned(), |answer| answer.all.to_string()),
        answer.map_or_else(String::new, |answer| {
            percent(answer.error(&subject.truth), true)
        }),
        answer
            .and_then(|answer| answer.worst_minute(&subject.truth))
            .map_or_else(String::new, |worst| percent(worst, false)),
    ]
}

/// How many times as fast as the one of that name: the median over the rounds that both ran in.
fn times(section: &Section, runs: &Runs, name: &str) -> String {
    let Some(base) = section.runs.iter().find(|one| one.contender.name == name) else {
        return String::new();
    };
    let shared = runs
        .used
        .iter()
        .filter_map(|(round, used)| Some(base.used.get(round)?.wall_s / used.wall_s));
    let mut ratios: Vec<f64> = shared.collect();
    if ratios.is_empty() {
        return String::new();
    }
    match median(&mut ratios) {
        small if small < 0.1 => format!("{small:.3}"),
        ratio => format!("{ratio:.2}"),
    }
}

fn notes(bench: &Bench, subject: &Subject) -> String {
    let mut text = String::new();
    let _ = write!(
        text,
        "{} frames, {:.0} MB, of one hour, {} users drawn from, seed as `headcount generate` has it; partitions: {}, uncompressed, one \
         broker on the same machine. Medians; a ratio is the median of the ratios of each round, in which all ran one after the other, \
         beginning with another one each time. Time is from a program's start to its end, CPU that of user and system, of children and of \
         Redis' server too (the broker's is nobody's); memory is that of the largest process (of both for Redis), the most of all runs. \
         File and topic had been read twice before. Who took longer than {} s in a run sat out the rounds that followed. *Worst minute* is \
         the error of the minute that is furthest off, where minutes are counted. Controls are medians of three runs.",
        thousands(subject.frames),
        subject.bytes as f64 / 1e6,
        thousands(crate::USERS),
        bench.place.partitions,
        bench.patience.as_secs(),
    );
    text
}

fn filled(cells: &[(usize, &str)]) -> [String; COLUMNS.len()] {
    let mut all = [const { String::new() }; COLUMNS.len()];
    for (at, text) in cells {
        all[*at] = (*text).to_owned();
    }
    all
}

fn row(cells: &[String]) {
    let cells: Vec<String> = cells.iter().map(|cell| cell.replace('|', "\\|")).collect();
    println!("| {} |", cells.join(" | "));
}

/// 1,234,567
pub fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}
