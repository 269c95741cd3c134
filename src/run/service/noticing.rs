//! What the consumer loop puts on the board, and the questions that it passes on: both only where somebody may want to know.
//! What is on the board it tells the supervisor too.

use std::sync::Arc;

use super::super::watchdog::Watchdog;
use super::super::web::Web;
use super::Run;
use crate::engine::ledger::Ledger;
use crate::io::source::kafka::Surveyed;
use crate::limits::BOARD_EVERY_MS;
use crate::observe::board::Board;
use crate::observe::facts::{Facts, Lately, PartitionFacts};
use crate::run::pipeline::Broken;
use crate::view::number::grouped;

/// What is kept for the board between two notes.
pub(super) struct Noticing {
    web: Option<Web>,
    board: Option<Arc<Board>>,
    next_ms: u64,
    read_before: u64,
    lately: Lately,
    /// Frames published and not yet read, by partition index.
    lags: Vec<Option<u64>>,
    names: Vec<(Arc<str>, Arc<str>)>,
    unreachable_since_ms: Option<u64>,
}

impl Noticing {
    /// Nothing was read yet; `ledger` is that of the state, if there is one.
    pub(super) fn new(
        web: Option<Web>,
        board: Option<Arc<Board>>,
        ledger: &Ledger,
        now_ms: u64,
    ) -> Self {
        Self {
            web,
            board,
            next_ms: 0,
            read_before: ledger.read,
            lately: Lately {
                read_ms: now_ms,
                counted_ms: now_ms,
                then: ledger.clone(),
            },
            lags: Vec::new(),
            names: Vec::new(),
            unreachable_since_ms: None,
        }
    }
}

impl Run<'_> {
    /// Passes questions on to the shards, and puts up what is known a few times a second.
    pub(super) fn notice(&mut self) -> Result<(), Broken> {
        if let Some(web) = &self.noticing.web {
            while let Some(slip) = web.inbox.take() {
                self.driver.look(slip)?;
            }
        }
        let now_ms = self.clock.monotonic_ms();
        if let Some(board) = self.noticing.board.clone()
            && now_ms >= self.noticing.next_ms
        {
            self.noticing.next_ms = now_ms + BOARD_EVERY_MS;
            board.note(self.facts(now_ms));
        }
        self.tell_supervisor(now_ms);
        Ok(())
    }

    fn tell_supervisor(&self, now_ms: u64) {
        let (Some(watchdog), Some(board)) = (&self.watchdog, &self.noticing.board) else {
            return;
        };
        let mut watchdog = watchdog.borrow_mut();
        if !self.driver.partitions().is_empty() && self.is_resumed() {
            watchdog.ready();
        }
        watchdog.tend(now_ms);
        tell_status(&mut watchdog, board, now_ms);
    }

    /// Takes note of what each partition has left to read.
    pub(super) fn note_lags(&mut self, partitions: &[Surveyed]) {
        if self.noticing.board.is_none() {
            return;
        }
        let mut lags = vec![None; self.driver.partitions().len()];
        for surveyed in partitions {
            let index = self.source.index(surveyed.topic, surveyed.partition);
            if let Some(lag) = index.and_then(|index| lags.get_mut(index)) {
                *lag = Some(self.lag(std::slice::from_ref(surveyed)));
            }
        }
        self.noticing.lags = lags;
    }

    fn facts(&mut self, now_ms: u64) -> Facts {
        let admission = &self.driver.admission;
        let noticing = &mut self.noticing;
        let ledger = admission.ledger();
        noticing.lately.note(ledger, now_ms, noticing.read_before);
        noticing.read_before = ledger.read;
        noticing.unreachable_since_ms =
            match (self.unreachable.is_some(), noticing.unreachable_since_ms) {
                (true, since_ms) => Some(since_ms.unwrap_or(now_ms)),
                (false, _) => None,
            };
        let known = noticing.names.len();
        for (topic, partition) in &self.places[known..] {
            let name = (topic.as_str().into(), partition.as_str().into());
            noticing.names.push(name);
        }
        // What was told before the brokers fell silent is worth nothing now.
        let lags = self.unreachable.is_none().then_some(&noticing.lags);
        let partitions = noticing.names.iter().zip(0..self.driver.partitions().len());
        let partitions = partitions.map(|((topic, partition), i)| PartitionFacts {
            topic: Arc::clone(topic),
            partition: Arc::clone(partition),
            next_offset: admission.next_offset(i),
            lag: lags.and_then(|lags| lags.get(i).copied().flatten()),
            clock: admission.clock(i),
        });
        let snapshot = admission.standing();
        Facts {
            at_ms: now_ms,
            read_bytes: self.driver.intake.read_bytes,
            as_of: admission.as_of(),
            since: snapshot.since,
            watermark: snapshot.watermark,
            partitions: partitions.collect(),
            ahead: admission.ahead(),
            unreachable_since_ms: noticing.unreachable_since_ms,
            aside_stuck_since_ms: self.aside_full_since_ms.filter(|_| self.told_aside),
            waits_for_output: self.is_behind,
            lately: noticing.lately.clone(),
            ledger: ledger.clone(),
        }
    }
}

/// What is wrong, or else how far it has come.
fn tell_status(watchdog: &mut Watchdog, board: &Board, now_ms: u64) {
    let view = board.view();
    if let Some(trouble) = view.troubles(board.about()).into_iter().next() {
        return watchdog.status(now_ms, trouble.kind.name(), || trouble.sentence);
    }
    if !watchdog.is_ready() {
        return watchdog.status(now_ms, "starting", || {
            "Asking the brokers what there is to read.".to_owned()
        });
    }
    watchdog.status(now_ms, "counting", || {
        let Some(facts) = view.facts else {
            return "Counting.".to_owned();
        };
        let lags = facts.partitions.iter().map(|p| p.lag);
        let lag: Option<u64> = lags.sum();
        let unread = lag.map_or(String::new(), |lag| format!(", {} unread", grouped(lag)));
        format!(
            "Counting: {} frames read{unread}.",
            grouped(facts.ledger.read)
        )
    });
}
