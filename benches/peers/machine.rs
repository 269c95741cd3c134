//! The machine, for whoever reads the numbers.

use std::fs;

use procfs::process::Process;

use crate::child::Failure;
use crate::contender::Place;
use crate::rounds::Bench;

/// When it began, and how busy the machine was.
pub struct Moment {
    date: String,
    load: String,
}

impl Moment {
    pub fn now() -> Moment {
        let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
        Moment {
            date: jiff::Timestamp::now()
                .strftime("%Y-%m-%d %H:%M UTC")
                .to_string(),
            load: load.split(' ').next().unwrap_or("unknown").to_owned(),
        }
    }
}

/// The most memory that this program had.
pub fn own_peak_kib() -> u64 {
    let status = Process::myself().and_then(|own| own.status());
    status.ok().and_then(|status| status.vmhwm).unwrap_or(0)
}

pub fn describe(bench: &Bench, began: &Moment) -> String {
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    format!(
        "Machine: {}, {cores} cores, {} GiB, Linux {}; {}; {}; {}, load {} when it began.",
        line_of("/proc/cpuinfo", "model name"),
        memory_gib(),
        kernel.trim(),
        said(bench, &["rustc", "--version"]),
        said(bench, &["bash", "-c", "java -version 2>&1 | head -n 1"]),
        began.date,
        began.load,
    )
}

fn memory_gib() -> u64 {
    let kib = line_of("/proc/meminfo", "MemTotal");
    let kib: u64 = kib.trim_end_matches(" kB").parse().unwrap_or(0);
    (kib + (1 << 19)) >> 20
}

/// What stands behind the colon.
fn line_of(file: &str, key: &str) -> String {
    let text = fs::read_to_string(file).unwrap_or_default();
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix(key)?.split_once(':'));
    line.map_or_else(
        || "unknown".to_owned(),
        |(_, value)| value.trim().to_owned(),
    )
}

fn said(bench: &Bench, command: &[&str]) -> String {
    let Place { dir, .. } = bench.place;
    let command: Vec<String> = command.iter().map(|&word| word.to_owned()).collect();
    let out = dir.join("out");
    match bench.run(
        &command,
        Some(&out),
        &dir.join("err"),
        crate::rounds::RUN_LIMIT,
    ) {
        Ok(_) => fs::read_to_string(out)
            .unwrap_or_default()
            .trim()
            .to_owned(),
        Err(Failure::Failed(_) | Failure::Interrupted(_)) => format!("no {}", command[0]),
    }
}
