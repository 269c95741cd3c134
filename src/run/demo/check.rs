//! Holds every published number against the truth at the same offsets.

use std::collections::VecDeque;
use std::io::{self, Write};
use std::sync::Arc;

use parking_lot::Mutex;
use serde_json::Value;

use crate::error::Failure;
use crate::generate::Truth;
use crate::io::print::grouped;
use crate::limits::{DEMO_DISORDER_S, DEMO_PARTITIONS, DEMO_UNREAD_BYTES};

/// What was sent and is not yet reflected in a tick, by partition in the order of its offsets.
#[derive(Debug, Clone, Default)]
pub(super) struct Ledger {
    // Shared by the producer and the checker; held only to push or pop.
    partitions: Arc<Mutex<[Sent; DEMO_PARTITIONS]>>,
}

#[derive(Debug, Default)]
struct Sent {
    frames: VecDeque<(u32, u32, usize)>,
    unread_bytes: usize,
    reflected: i64,
}

impl Ledger {
    /// Whether one more frame leaves the partition within what the mock cluster surely keeps.
    pub(super) fn has_room(&self, partition: usize, bytes: usize) -> bool {
        let sent = &self.partitions.lock()[partition];
        sent.unread_bytes + bytes <= DEMO_UNREAD_BYTES
    }

    pub(super) fn send(&self, partition: usize, user: u32, ts: u32, bytes: usize) {
        let sent = &mut self.partitions.lock()[partition];
        sent.frames.push_back((user, ts, bytes));
        sent.unread_bytes += bytes;
    }

    /// Moves frames before `offset` into the truth; returns whether there were as many.
    fn reflect(&self, partition: usize, offset: i64, truth: &mut Truth) -> bool {
        let sent = &mut self.partitions.lock()[partition];
        while sent.reflected < offset {
            let Some((user, ts, bytes)) = sent.frames.pop_front() else {
                return false;
            };
            sent.unread_bytes -= bytes;
            sent.reflected += 1;
            truth.add(user, ts);
        }
        true
    }

    fn is_settled(&self) -> bool {
        self.partitions
            .lock()
            .iter()
            .all(|sent| sent.frames.is_empty())
    }
}

const WINDOWS: [&str; 6] = ["minute", "hour", "day", "week", "month", "year"];

pub(super) struct Check {
    ledger: Ledger,
    truth: Truth,
    users: u32,
    ticks: u64,
    finals: u64,
    exact: u64,
    estimated: u64,
    worst_error: f64,
    outside: u64,
    wrong: Option<String>,
}

impl Check {
    pub(super) fn new(ledger: Ledger, users: u32) -> Self {
        Self {
            ledger,
            truth: Truth::new(DEMO_DISORDER_S),
            users,
            ticks: 0,
            finals: 0,
            exact: 0,
            estimated: 0,
            worst_error: 0.0,
            outside: 0,
            wrong: None,
        }
    }

    /// Whether the last tick reflected everything that was sent.
    pub(super) fn is_settled(&self) -> bool {
        self.ticks > 0 && self.ledger.is_settled()
    }

    pub(super) fn tick(&mut self, tick: &Value, out: &mut impl Write) -> io::Result<()> {
        self.ticks += 1;
        for partition in 0..DEMO_PARTITIONS {
            let offset = tick["source"]["offsets"][partition.to_string()].as_i64();
            if !self
                .ledger
                .reflect(partition, offset.unwrap_or(0), &mut self.truth)
            {
                self.wrong = Some(format!(
                    "a tick reflects offset {offset:?} of partition {partition}, which was not sent"
                ));
            }
        }
        let Some(as_of) = tick["as_of"].as_u64().and_then(|at| u32::try_from(at).ok()) else {
            return Ok(());
        };
        let at = jiff::Timestamp::from_second(as_of.into())
            .map_or_else(|_| String::new(), |t| t.strftime("%H:%M:%S").to_string());
        let counted = grouped(number(&tick["frames"]["counted"]));
        writeln!(
            out,
            "tick {:<4} as of {at} UTC, {counted} frames counted",
            number(&tick["tick"])
        )?;
        writeln!(
            out,
            "  {:<8}{:>12}{:>12}{:>10}   95 % interval",
            "last", "users", "true", "error"
        )?;
        let truth = self.truth.trailing(as_of);
        let truths = [
            truth.last_minute,
            truth.last_hour,
            truth.last_day,
            truth.last_week,
            truth.last_month,
            truth.last_year,
        ];
        for (window, truth) in WINDOWS.into_iter().zip(truths) {
            self.row(tick, window, truth.into(), out)?;
        }
        writeln!(out)?;
        out.flush()
    }

    fn row(
        &mut self,
        tick: &Value,
        window: &str,
        truth: u64,
        out: &mut impl Write,
    ) -> io::Result<()> {
        let users = number(&tick[format!("users_last_{window}")]);
        let interval = &tick["intervals"][format!("last_{window}")];
        let (lo, hi) = (number(&interval[0]), number(&interval[1]));
        let error = if truth == users {
            0.0
        } else {
            (users as f64 - truth as f64) / truth.max(1) as f64
        };
        let shown = if lo == hi {
            self.exact += 1;
            if truth != users {
                self.wrong = Some(format!(
                    "'last {window}' says exactly {users} where {truth} is right"
                ));
            }
            "exact".to_owned()
        } else {
            self.estimated += 1;
            self.worst_error = self.worst_error.max(error.abs());
            self.outside += u64::from(!(lo..=hi).contains(&truth));
            format!("{} to {}", grouped(lo), grouped(hi))
        };
        let (users, truth, error) = (grouped(users), grouped(truth), error * 100.0);
        writeln!(
            out,
            "  {window:<8}{users:>12}{truth:>12}{error:>+8.2} %   {shown}"
        )
    }

    pub(super) fn window(&mut self, window: &Value, out: &mut impl Write) -> io::Result<()> {
        self.finals += 1;
        let text = |key: &str| window[key].as_str().unwrap_or("").to_owned();
        writeln!(
            out,
            "final      the {} from {} had {} users in {} frames\n",
            text("window"),
            text("start"),
            grouped(number(&window["users"])),
            grouped(number(&window["frames"]))
        )
    }

    pub(super) fn summary(&self, out: &mut impl Write) -> io::Result<()> {
        writeln!(
            out,
            "{} ticks and {} final windows over {} users: {} numbers exact, {} estimated with a worst error of {:.2} %, {} of them outside their 95 % interval.",
            self.ticks,
            self.finals,
            self.users,
            self.exact,
            self.estimated,
            self.worst_error * 100.0,
            self.outside
        )
    }

    /// Whether every published number was right. A run that was cut short need not reflect every frame.
    pub(super) fn verdict(self, is_cut_short: bool) -> Result<(), Failure> {
        let wrong = |why: String| Err(Failure::Internal(format!("{why}; please report this")));
        match self.wrong {
            Some(why) => wrong(why),
            None if is_cut_short => Ok(()),
            None if self.ticks == 0 => wrong("no tick was published".to_owned()),
            None if !self.ledger.is_settled() => {
                wrong("the last tick does not reflect all frames".to_owned())
            }
            None => Ok(()),
        }
    }
}

fn number(value: &Value) -> u64 {
    value.as_u64().unwrap_or(0)
}
