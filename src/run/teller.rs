//! What the reporter puts on the board: each tick, and how publishing and saving go.

use std::sync::Arc;

use crate::engine::report::outbox::Outbox;
use crate::engine::report::record::StatsRecord;
use crate::limits::BOARD_EVERY_MS;
use crate::observe::board::Board;
use crate::observe::facts::{Checkpoints, Publishing, TickNote};

/// Tells a board.
pub(super) struct Teller {
    board: Arc<Board>,
    epoch: u64,
    next_ms: u64,
    stuck_since_ms: Option<u64>,
    checkpoints: Checkpoints,
}

impl Teller {
    pub(super) fn new(board: Arc<Board>, epoch: u64) -> Self {
        Self {
            board,
            epoch,
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

    /// Puts up a tick, as it is published.
    pub(super) fn note_tick(&self, stats: &StatsRecord, tick: Option<u64>) {
        let (Some(tick), Ok(json)) = (tick, serde_json::to_string(stats)) else {
            return;
        };
        self.board.note_tick(TickNote {
            epoch: self.epoch,
            tick,
            json,
            trailing: stats.trailing_rows(),
        });
    }
}
