//! Holds every published number against the truth at the same offsets.

use std::collections::VecDeque;
use std::io::{self, Write};
use std::sync::Arc;

use parking_lot::Mutex;

use crate::error::Failure;
use crate::generate::LastSeen;
use crate::limits::DEMO_PARTITIONS;
use crate::run::viewing::Witness;
use crate::view::WINDOWS;
use crate::view::heard::{Count, Tick, Window};

/// What a good frame says; rubbish says nothing.
#[derive(Debug, Clone, Copy)]
pub(super) struct Said {
    pub user: u32,
    pub ts: u32,
}

/// What was sent and is not yet reflected in a tick, by partition in the order of its offsets.
#[derive(Debug, Clone, Default)]
pub(super) struct Ledger {
    // Shared by the producer and the checker; held only to push or pop.
    partitions: Arc<Mutex<[Sent; DEMO_PARTITIONS]>>,
}

#[derive(Debug, Default)]
struct Sent {
    frames: VecDeque<Option<Said>>,
    reflected: i64,
}

impl Ledger {
    pub(super) fn send(&self, partition: usize, said: Option<Said>) {
        let sent = &mut self.partitions.lock()[partition];
        sent.frames.push_back(said);
    }

    /// Moves frames before `offset` into the truth; returns whether there were as many.
    fn reflect(&self, partition: usize, offset: i64, truth: &mut LastSeen) -> bool {
        let sent = &mut self.partitions.lock()[partition];
        while sent.reflected < offset {
            let Some(said) = sent.frames.pop_front() else {
                return false;
            };
            sent.reflected += 1;
            if let Some(Said { user, ts }) = said {
                truth.add(user, ts);
            }
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

pub(super) struct Check {
    ledger: Ledger,
    truth: LastSeen,
    users: u32,
    ticks: u64,
    finals: u64,
    exact: u64,
    estimated: u64,
    worst_error: f64,
    outside: u64,
    wrong: Option<String>,
}

impl Witness for Check {
    fn tick(&mut self, tick: &Tick) -> Option<[u64; 6]> {
        self.ticks += 1;
        for partition in 0..DEMO_PARTITIONS {
            let offset = tick.source.offsets.get(&partition.to_string());
            let offset = offset.copied().unwrap_or(0);
            if !self.ledger.reflect(partition, offset, &mut self.truth) {
                self.wrong = Some(format!(
                    "a tick reflects offset {offset} of partition {partition}, which was not sent"
                ));
            }
        }
        let as_of = u32::try_from(tick.as_of?).ok()?;
        let truth = self.truth.trailing(as_of);
        let truth = [
            truth.last_minute,
            truth.last_hour,
            truth.last_day,
            truth.last_week,
            truth.last_month,
            truth.last_year,
        ]
        .map(u64::from);
        for (i, count) in tick.counts().into_iter().enumerate() {
            self.compare(WINDOWS[i], count, truth[i], tick.frames.pending);
        }
        Some(truth)
    }

    fn finalized(&mut self, _window: &Window) {
        self.finals += 1;
    }
}

impl Check {
    pub(super) fn new(ledger: Ledger, users: u32) -> Self {
        Self {
            ledger,
            truth: LastSeen::default(),
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

    /// The truth holds the frames that wait to be confirmed, too: each may be of a user more.
    fn compare(&mut self, window: &str, count: Count, truth: u64, pending: u64) {
        if count.is_exact() {
            self.exact += 1;
            if !(count.users..=count.users + pending).contains(&truth) {
                self.wrong = Some(format!(
                    "'last {window}' says exactly {} where {truth} is right",
                    count.users
                ));
            }
        } else {
            self.estimated += 1;
            self.worst_error = self.worst_error.max(count.error(truth).abs());
            self.outside += u64::from(!(count.lo..=count.hi + pending).contains(&truth));
        }
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
