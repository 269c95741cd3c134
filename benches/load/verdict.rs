//! Whether the counts are right, and how long frames took to show in them.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::Message;
use rdkafka::{ClientConfig, Offset, TopicPartitionList};
use serde_json::Value;

use crate::support::kafka::{Record, high_watermarks, read_all};

/// What a comparison with the truth gave.
#[derive(Debug, Default)]
pub struct Verdict {
    pub windows: u64,
    pub exact: u64,
    pub estimated: u64,
    /// The largest error of an estimate, in its standard errors and relative to the truth.
    pub worst_sigma: f64,
    pub worst_error: f64,
    /// One sentence for each number that is wrong.
    pub wrong: Vec<String>,
}

impl Verdict {
    /// Holds every window's last record and the last tick against the truth.
    pub fn of(address: &str, stats: &str, windows: &str, truth: &Value) -> Verdict {
        let mut verdict = Verdict::default();
        let last = last_of_each(&read_all(address, windows));
        for period in ["minute", "hour", "day", "week", "month", "year"] {
            let users = truth["windows"][period]
                .as_object()
                .expect("windows by period");
            for (start, users) in users {
                let what = format!("the {period} at {start}");
                verdict.windows += 1;
                let Some(record) = last.get(&(period.to_owned(), start.clone())) else {
                    verdict.wrong.push(format!("{what} was never published"));
                    continue;
                };
                let frames = &truth["window_frames"][period][start];
                if record["frames"] != *frames {
                    let (counted, right) = (&record["frames"], frames);
                    verdict
                        .wrong
                        .push(format!("{what} has {counted} frames instead of {right}"));
                }
                let bounds = (number(&record["lo"]), number(&record["hi"]));
                verdict.compare(&what, number(&record["users"]), bounds, number(users));
            }
        }
        let ticks = read_all(address, stats);
        let tick = ticks.last().and_then(json).unwrap_or_default();
        for (name, users) in truth["trailing"].as_object().expect("trailing counts") {
            let interval = &tick["intervals"][name];
            let bounds = (number(&interval[0]), number(&interval[1]));
            let counted = number(&tick[format!("users_{name}")]);
            verdict.compare(name, counted, bounds, number(users));
        }
        verdict
    }

    fn compare(&mut self, what: &str, users: u64, (lo, hi): (u64, u64), truth: u64) {
        if lo == hi {
            self.exact += 1;
            if users != truth {
                self.wrong
                    .push(format!("{what} says exactly {users} instead of {truth}"));
            }
            return;
        }
        self.estimated += 1;
        let error = (users as f64 - truth as f64).abs();
        let sigma = (hi - lo) as f64 / 2.0 / 1.96;
        self.worst_sigma = self.worst_sigma.max(error / sigma);
        self.worst_error = self.worst_error.max(error / truth.max(1) as f64);
        if error > 5.0 * sigma {
            self.wrong.push(format!(
                "{what} says {users} instead of {truth}, more than 5 sigma off"
            ));
        }
    }
}

fn number(value: &Value) -> u64 {
    value.as_u64().unwrap_or(0)
}

fn json(record: &Record) -> Option<Value> {
    serde_json::from_slice(record.payload.as_deref()?).ok()
}

/// The last record of each window, provisional or final, by period and start.
fn last_of_each(records: &[Record]) -> BTreeMap<(String, String), Value> {
    let mut last = BTreeMap::new();
    for record in records {
        let key = String::from_utf8(record.key.clone().unwrap_or_default()).unwrap();
        let mut parts = key.split('|').skip(1);
        if let (Some(period), Some(start), Some(value)) = (parts.next(), parts.next(), json(record))
        {
            last.insert((period.to_owned(), start.to_owned()), value);
        }
    }
    last
}

/// Milliseconds from each frame's production (the record's own time) to that of the first tick that reflects it,
/// ascending.
pub fn delays_ms(address: &str, topic: &str, stats: &str) -> Vec<i64> {
    let mut produced = production_times(address, topic);
    let mut delays = Vec::new();
    for record in read_all(address, stats) {
        let (Some(tick), Some(at_ms)) = (json(&record), record.timestamp_ms) else {
            continue;
        };
        for (partition, times) in &mut produced {
            let reflected = number(&tick["source"]["offsets"][partition.to_string()]) as usize;
            let from = times.taken.min(times.ms.len());
            let to = reflected.clamp(from, times.ms.len());
            delays.extend(
                times.ms[from..to]
                    .iter()
                    .map(|produced_ms| at_ms - produced_ms),
            );
            times.taken = to;
        }
    }
    delays.sort_unstable();
    delays
}

#[derive(Default)]
struct Times {
    ms: Vec<i64>,
    taken: usize,
}

/// When each record of a topic was produced, by partition and offset.
fn production_times(address: &str, topic: &str) -> BTreeMap<i32, Times> {
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", address)
        .set("group.id", "headcount-load")
        .set("enable.auto.commit", "false")
        .set("fetch.queue.backoff.ms", "1")
        .create()
        .expect("a valid configuration");
    let high = high_watermarks(address, topic);
    let mut list = TopicPartitionList::new();
    for partition in high.keys() {
        list.add_partition_offset(topic, *partition, Offset::Offset(0))
            .expect("a valid offset");
    }
    consumer.assign(&list).expect("a valid assignment");
    let mut times: BTreeMap<i32, Times> = high.keys().map(|p| (*p, Times::default())).collect();
    let mut missing: i64 = high.values().sum();
    let deadline = Instant::now() + Duration::from_secs(300);
    while missing > 0 && Instant::now() < deadline {
        if let Some(Ok(message)) = consumer.poll(Duration::from_millis(100)) {
            missing -= 1;
            let at = message.timestamp().to_millis().unwrap_or(0);
            times.entry(message.partition()).or_default().ms.push(at);
        }
    }
    times
}
