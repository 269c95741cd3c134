//! The rate at which the lag begins to grow.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use headcount::view::number::grouped;

use crate::Options;
use crate::run::{Counting, Heartbeat, Job, replay, summary};
use crate::stage::Stage;
use crate::support::kafka::delete_topic;
use crate::usage::{Sampler, Usage};

/// How much faster each rate is than the last one that was kept.
const FACTOR: f64 = 1.6;
/// How often the gap between the last rate kept and the first one lost is halved.
const HALVINGS: u32 = 3;
/// A rate that is sent at less than this share was not sent.
const SENT: f64 = 0.97;
/// A lag that grows by less than this share of the rate does not grow.
const GROWTH: f64 = 0.02;
const SOON: Duration = Duration::from_secs(60);

/// What came of a rate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Kept,
    /// The service fell behind.
    Lost,
    /// The replay could not send so much.
    Unsent,
}

struct Trial {
    fate: Fate,
    sent_per_s: f64,
    cores: BTreeMap<&'static str, f64>,
}

/// Raises the rate until the lag grows, and says which rate was kept and what the limit was; returns whether any was.
pub fn find(stage: &Stage, options: &Options) -> bool {
    println!(
        "{:>10}{:>10}{:>12}{:>12}   cores: run, replay, broker   ",
        "frames/s", "sent/s", "lag at end", "lag +/s"
    );
    let (mut kept, mut rate) = (None::<u64>, options.start_at);
    let mut lost = None;
    for _ in 0..32 {
        let trial = hold(stage, options, rate);
        match trial.fate {
            Fate::Kept => kept = Some(rate),
            Fate::Lost | Fate::Unsent => {
                lost = Some((rate, trial));
                break;
            }
        }
        rate = (rate as f64 * FACTOR) as u64;
    }
    for _ in 0..HALVINGS {
        let (Some(low), Some((high, _))) = (kept, &lost) else {
            break;
        };
        let middle = (low + high) / 2;
        let trial = hold(stage, options, middle);
        match trial.fate {
            Fate::Kept => kept = Some(middle),
            Fate::Lost | Fate::Unsent => lost = Some((middle, trial)),
        }
    }
    println!();
    println!("{}", conclusion(kept, lost.as_ref()));
    kept.is_some()
}

fn conclusion(kept: Option<u64>, lost: Option<&(u64, Trial)>) -> String {
    let Some(kept) = kept else {
        return "not even the first rate was kept; try a lower --start-at".to_owned();
    };
    let kept = format!(
        "kept for as long as it was held: {} frames/s",
        grouped(kept)
    );
    let Some((rate, trial)) = lost else {
        return format!("{kept}; no limit was found");
    };
    let busy: f64 = trial.cores.values().sum();
    let cores = std::thread::available_parallelism().map_or(1, usize::from) as f64;
    let service = trial.cores.get("headcount run").copied().unwrap_or(0.0);
    let cause = if service > 0.9 {
        format!("its consumer thread is busy all the time ({service:.2} cores)")
    } else if busy > 0.85 * cores {
        format!(
            "the machine is: {busy:.2} of {cores} cores are busy with broker, replay and service together"
        )
    } else {
        format!(
            "no CPU is ({busy:.2} of {cores} cores busy): look at the broker, its disk and the network"
        )
    };
    let rate = grouped(*rate);
    match trial.fate {
        Fate::Unsent => format!(
            "{kept}; at {rate} the replay got no more than {} out, so the limit of the service lies above; what limits: {cause}",
            grouped(trial.sent_per_s as u64)
        ),
        _ => format!("{kept}; at {rate} the lag grows; what limits: {cause}"),
    }
}

fn hold(stage: &Stage, options: &Options, rate: u64) -> Trial {
    let job = Job::new(&stage.address, &format!("limit-{rate}"), options.partitions);
    let mut counting = Counting::start(stage, &job, "1s", options.threads);
    let mut replay = replay(stage, &job, options, &rate.to_string(), &["--loop"]);
    // What starting costs is no part of what holding costs.
    let deadline = Instant::now() + SOON;
    while counting.read() == 0 && Instant::now() < deadline {
        counting.follow(Duration::from_millis(100));
    }
    counting.follow(options.step / 4);
    let sampler = Sampler::start();
    sampler.watch("headcount run", counting.service.id());
    sampler.watch("headcount replay", replay.id());
    if let Some(process) = stage.broker.as_ref().and_then(|broker| broker.process()) {
        sampler.watch("broker", process);
    }
    let before = sampler.now();
    counting.follow(options.step);
    let cores = cores(&before, &sampler.stop(), options.step);
    replay.signal("INT");
    replay.wait(SOON);
    let summary = summary(&mut replay);
    counting.service.terminate();
    counting.service.wait(SOON);
    for topic in [&job.topic, &job.stats, &job.windows] {
        delete_topic(&stage.address, topic);
    }
    let sent_per_s = summary["frames_per_s"].as_f64().unwrap_or(0.0);
    let (lag, growth) = trend(&counting.beats, options.step);
    let is_growing = growth > GROWTH * rate as f64 && lag > rate as f64 / 2.0;
    let fate = match (is_growing, sent_per_s < SENT * rate as f64) {
        (true, _) => Fate::Lost,
        (false, true) => Fate::Unsent,
        (false, false) => Fate::Kept,
    };
    let core = |name| cores.get(name).copied().unwrap_or(0.0);
    println!(
        "{:>10}{:>10}{:>12}{:>12}   {:.2}, {:.2}, {:.2}   {}",
        grouped(rate),
        grouped(sent_per_s as u64),
        grouped(lag as u64),
        growth as i64,
        core("headcount run"),
        core("headcount replay"),
        core("broker"),
        match fate {
            Fate::Kept => "kept",
            Fate::Lost => "the lag grows",
            Fate::Unsent => "could not be sent",
        }
    );
    Trial {
        fate,
        sent_per_s,
        cores,
    }
}

fn cores(
    before: &BTreeMap<&'static str, Usage>,
    after: &BTreeMap<&'static str, Usage>,
    time: Duration,
) -> BTreeMap<&'static str, f64> {
    let used = |name: &&'static str, usage: &Usage| {
        usage.cpu_s - before.get(name).map_or(0.0, |u| u.cpu_s)
    };
    after
        .iter()
        .map(|(name, usage)| (*name, used(name, usage) / time.as_secs_f64()))
        .collect()
}

/// The lag at the end, and by how many frames a second it grew while the rate was held (least squares).
fn trend(beats: &[Heartbeat], held: Duration) -> (f64, f64) {
    let end_s = beats.last().map_or(0.0, |beat| beat.at_s);
    let points: Vec<(f64, f64)> = beats
        .iter()
        .filter(|beat| beat.at_s > end_s - held.as_secs_f64())
        .filter_map(|beat| Some((beat.at_s, beat.tick.process.lag? as f64)))
        .collect();
    let n = points.len() as f64;
    if n < 2.0 {
        return (0.0, 0.0);
    }
    let (mean_t, mean_lag) = (
        points.iter().map(|p| p.0).sum::<f64>() / n,
        points.iter().map(|p| p.1).sum::<f64>() / n,
    );
    let covariance: f64 = points
        .iter()
        .map(|p| (p.0 - mean_t) * (p.1 - mean_lag))
        .sum();
    let variance: f64 = points.iter().map(|p| (p.0 - mean_t).powi(2)).sum();
    let last = points.last().map_or(0.0, |p| p.1);
    (last, covariance / variance.max(f64::MIN_POSITIVE))
}
