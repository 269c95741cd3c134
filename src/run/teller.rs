//! What the reporter puts on the board: each tick, and how publishing and saving go.

use std::sync::Arc;

use crate::engine::report::outbox::{Kind, Outbox, Outgoing};
use crate::limits::BOARD_EVERY_MS;
use crate::observe::board::Board;
use crate::observe::facts::{Checkpoints, Publishing, TickNote};
use crate::view::WINDOWS;
use crate::view::heard::Tick;

/// Tells a board.
pub(super) struct Teller {
    board: Arc<Board>,
    next_ms: u64,
    stuck_since_ms: Option<u64>,
    checkpoints: Checkpoints,
}

impl Teller {
    pub(super) fn new(board: Arc<Board>) -> Self {
        Self {
            board,
            next_ms: 0,
            stuck_since_ms: None,
            checkpoints: Checkpoints::default(),
        }
    }

    /// Takes note that the output has taken something.
    pub(super) fn note_taken(&mut self) {
        self.stuck_since_ms = None;
    }

    /// Takes note of how things stand; `is_saving` is whether a checkpoint is under way, where there are any.
    pub(super) fn note(
        &mut self,
        outbox: &Outbox,
        stands_by: bool,
        is_saving: Option<bool>,
        now_ms: u64,
    ) {
        match outbox.is_empty() {
            true => self.stuck_since_ms = None,
            false => drop(self.stuck_since_ms.get_or_insert(now_ms)),
        }
        let checkpoints = &mut self.checkpoints;
        match (is_saving, checkpoints.begun_ms) {
            (Some(true), None) => checkpoints.begun_ms = Some(now_ms),
            (Some(false), Some(begun_ms)) => {
                checkpoints.written += 1;
                checkpoints.last_ms = Some(now_ms);
                checkpoints.took_ms = now_ms - begun_ms;
                checkpoints.begun_ms = None;
            }
            _ => {}
        }
        if now_ms < self.next_ms {
            return;
        }
        self.next_ms = now_ms + BOARD_EVERY_MS;
        self.board.note_publishing(Publishing {
            stuck_since_ms: self.stuck_since_ms,
            unpublished_finals: outbox.unpublished_finals(),
            coalesced: outbox.coalesced(),
            stands_by,
            checkpoints: is_saving.map(|_| *checkpoints),
        });
    }

    /// Puts up a tick, as it is published; other records are passed over.
    pub(super) fn note_record(&self, record: &Outgoing) {
        let (Kind::Tick | Kind::LastTick, Some(payload)) = (record.kind, &record.payload) else {
            return;
        };
        // Read as a reader of the topic does: what is told here is what is published.
        if let (Ok(tick), Ok(json)) = (Tick::parse(payload), String::from_utf8(payload.clone())) {
            let trailing = WINDOWS.into_iter().zip(tick.counts());
            self.board.note_tick(TickNote {
                epoch: tick.epoch,
                tick: tick.tick,
                json,
                trailing: trailing.collect(),
            });
        }
    }
}
