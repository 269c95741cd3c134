//! What waits for a slow output: never more than fits, and never a final lost.
//!
//! Invariants: 1. A final or revision stays here until it is acknowledged, and these go out in the order of their `seq`,
//! those of one window one after the other. 2. Of
//! ticks only the newest waits, and one at a time is under way. 3. Of each window only the newest provisional waits,
//! and none once its final is here. 4. Where there is a state, a final goes out only once it is saved. 5. The deletion of a
//! window's records goes out behind all of them: overtaken by one, it would leave it in a compacted topic for good. 6. The
//! last tick of an instance waits until it takes its leave, and nothing goes out behind it: whoever hears it takes the right
//! to publish.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::record::Coalesced;
use crate::engine::calendar::WindowId;
use crate::engine::checkpoint::SavedRecord;
use crate::limits::{
    IN_FLIGHT_RECORDS_MAX, STANDBY_DELETIONS_KEPT, STANDBY_FINALS_KEPT,
    UNPUBLISHED_PROVISIONALS_MAX,
};

/// A record on its way out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outgoing {
    /// What it is.
    pub kind: Kind,
    /// The record's key.
    pub key: String,
    /// The record; `None` deletes the key from a compacted topic.
    pub payload: Option<Vec<u8>>,
}

/// What a record on its way out is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A tick: replaced by the next one.
    Tick,
    /// The last tick of an instance that stops: with it, another one may take the right to publish away from it.
    LastTick,
    /// A provisional window: replaced by its next one, or its final.
    Provisional(WindowId),
    /// A final or revised window, with its `seq`.
    Final(WindowId, u64),
    /// The deletion of an old window's records.
    Forgotten(WindowId),
}

/// Names one handing-over of a record to the output.
pub type Ticket = u64;

/// The records that are not yet acknowledged.
#[derive(Debug, Default)]
pub struct Outbox {
    tick: Option<Outgoing>,
    provisionals: BTreeMap<WindowId, Outgoing>,
    finals: VecDeque<(u64, Outgoing)>,
    forgotten: VecDeque<(WindowId, Outgoing)>,
    forgotten_in_flight: usize,
    in_flight: BTreeMap<Ticket, Outgoing>,
    tick_in_flight: bool,
    /// For each window with provisionals under way: how many, and the newest ticket of any record about it.
    provisionals_in_flight: BTreeMap<WindowId, (usize, Ticket)>,
    /// Of a window's final and revisions one at a time: sent again behind a newer one, it would take its place in a
    /// compacted topic.
    finals_in_flight: BTreeSet<WindowId>,
    next_ticket: Ticket,
    coalesced: Coalesced,
    held: Option<Held>,
    /// Whether the last tick may go out.
    leaves: bool,
}

/// Where finals are saved before they go out: how far that has come.
#[derive(Debug, Default)]
struct Held {
    /// Finals up to this `seq` have been given to be saved.
    given: u64,
    /// Finals up to this `seq` are saved, and may go out.
    saved: u64,
    /// Those that the output has taken since the last time that was asked for.
    acknowledged: Vec<u64>,
}

impl Outbox {
    /// An outbox from which a final goes out only once it is saved; these records are.
    #[must_use]
    pub fn saved(records: Vec<SavedRecord>) -> Self {
        let last = records.iter().map(|record| record.seq).max().unwrap_or(0);
        let mut outbox = Self {
            held: Some(Held {
                given: last,
                saved: last,
                acknowledged: Vec::new(),
            }),
            ..Self::default()
        };
        for record in records {
            outbox.put(Outgoing {
                kind: Kind::Final(record.id, record.seq),
                key: record.key,
                payload: Some(record.payload),
            });
        }
        outbox
    }

    /// Hands over what is to be saved since the last call: finals, and the `seq` of those that the output has taken.
    pub fn give_unsaved(&mut self) -> (Vec<SavedRecord>, Vec<u64>) {
        let Some(held) = &mut self.held else {
            return Default::default();
        };
        let from = self.finals.partition_point(|(seq, _)| *seq <= held.given);
        let unsaved = self.finals.range(from..).filter_map(|(seq, record)| {
            let Kind::Final(id, _) = record.kind else {
                return None;
            };
            let (key, payload) = (record.key.clone(), record.payload.clone()?);
            Some(SavedRecord {
                seq: *seq,
                id,
                key,
                payload,
            })
        });
        let unsaved: Vec<_> = unsaved.collect();
        held.given = unsaved.last().map_or(held.given, |record| record.seq);
        (unsaved, std::mem::take(&mut held.acknowledged))
    }

    /// Notes that all finals that were given to be saved are.
    pub fn note_saved(&mut self) {
        if let Some(held) = &mut self.held {
            held.saved = held.given;
        }
    }

    /// Finals that wait to be saved.
    #[must_use]
    pub fn unsaved_finals(&self) -> usize {
        let saved = self.held.as_ref().map_or(u64::MAX, |held| held.saved);
        self.finals.len() - self.finals.partition_point(|(seq, _)| *seq <= saved)
    }

    /// Takes a record in.
    pub fn put(&mut self, record: Outgoing) {
        match record.kind {
            Kind::Tick | Kind::LastTick => {
                self.coalesced.ticks += u64::from(self.tick.replace(record).is_some());
            }
            Kind::Provisional(id) => {
                let replaced = self.provisionals.insert(id, record).is_some();
                let dropped = self.provisionals.len() > UNPUBLISHED_PROVISIONALS_MAX
                    && self.provisionals.pop_first().is_some();
                self.coalesced.provisionals += u64::from(replaced) + u64::from(dropped);
            }
            Kind::Final(id, seq) => {
                let replaced = self.provisionals.remove(&id).is_some();
                self.coalesced.provisionals += u64::from(replaced);
                // Nearly always at the back; a returned one finds its old place.
                let at = self.finals.partition_point(|(other, _)| *other < seq);
                self.finals.insert(at, (seq, record));
            }
            Kind::Forgotten(id) => {
                let replaced = self.provisionals.remove(&id).is_some();
                self.coalesced.provisionals += u64::from(replaced);
                self.forgotten.push_back((id, record));
            }
        }
    }

    /// The next record to hand over, if there is one and the output may take more. It counts as under way until
    /// [`Self::acknowledge`] or [`Self::give_back`] names its ticket.
    pub fn hand_over(&mut self) -> Option<(Ticket, &Outgoing)> {
        let record = match self.next_tick() {
            Some(tick) => tick,
            None => self.next_of_windows()?,
        };
        Some(self.send_off(record))
    }

    /// As [`Self::hand_over`], for an output that takes no tick for now: records of windows do not wait for that.
    pub fn hand_over_of_windows(&mut self) -> Option<(Ticket, &Outgoing)> {
        let record = self.next_of_windows()?;
        Some(self.send_off(record))
    }

    fn next_tick(&mut self) -> Option<Outgoing> {
        let Self { tick, leaves, .. } = self;
        let is_shut = !*leaves && self.in_flight.len() >= IN_FLIGHT_RECORDS_MAX;
        if self.tick_in_flight || is_shut {
            return None;
        }
        tick.take_if(|tick| tick.kind == Kind::Tick || *leaves)
    }

    /// From now on the last tick may go out, and nothing else does.
    pub fn take_leave(&mut self) {
        self.leaves = true;
    }

    /// Whether a tick waits or is under way.
    #[must_use]
    pub fn has_tick(&self) -> bool {
        self.tick.is_some() || self.tick_in_flight
    }

    fn next_of_windows(&mut self) -> Option<Outgoing> {
        if self.leaves || self.in_flight.len() >= IN_FLIGHT_RECORDS_MAX {
            return None;
        }
        if let Some(last) = self.next_final() {
            return Some(last);
        }
        if let Some(forgotten) = self.next_forgotten() {
            return Some(forgotten);
        }
        self.provisionals.pop_first().map(|(_, record)| record)
    }

    fn send_off(&mut self, record: Outgoing) -> (Ticket, &Outgoing) {
        let ticket = self.next_ticket;
        self.next_ticket += 1;
        match record.kind {
            Kind::Tick | Kind::LastTick => self.tick_in_flight = true,
            Kind::Forgotten(_) => self.forgotten_in_flight += 1,
            Kind::Provisional(id) => {
                let (count, newest) = self.provisionals_in_flight.entry(id).or_default();
                (*count, *newest) = (*count + 1, ticket);
            }
            Kind::Final(id, _) => {
                if let Some((_, newest)) = self.provisionals_in_flight.get_mut(&id) {
                    *newest = ticket;
                }
            }
        }
        (ticket, self.in_flight.entry(ticket).or_insert(record))
    }

    fn next_final(&mut self) -> Option<Outgoing> {
        let (seq, record) = self.finals.front()?;
        if self.held.as_ref().is_some_and(|held| *seq > held.saved) {
            return None;
        }
        if let Kind::Final(id, _) = record.kind
            && !self.finals_in_flight.insert(id)
        {
            return None;
        }
        self.finals.pop_front().map(|(_, record)| record)
    }

    /// The next deletion, unless a record of its window waits or is under way.
    fn next_forgotten(&mut self) -> Option<Outgoing> {
        let (id, _) = self.forgotten.front()?;
        let is_under_way =
            self.finals_in_flight.contains(id) || self.provisionals_in_flight.contains_key(id);
        if is_under_way || self.has_final(*id) {
            return None;
        }
        self.forgotten.pop_front().map(|(_, record)| record)
    }

    /// Whether a final or revision of a window waits.
    fn has_final(&self, id: WindowId) -> bool {
        let is_its =
            |record: &Outgoing| matches!(record.kind, Kind::Final(other, _) if other == id);
        self.finals.iter().any(|(_, record)| is_its(record))
    }

    /// Whether a record under way is a final or revision.
    #[must_use]
    pub fn is_final(&self, ticket: Ticket) -> bool {
        let record = self.in_flight.get(&ticket);
        record.is_some_and(|record| matches!(record.kind, Kind::Final(..)))
    }

    /// The output has the record for good.
    pub fn acknowledge(&mut self, ticket: Ticket) {
        if let Some(Kind::Final(_, seq)) = self.land(ticket).map(|record| record.kind)
            && let Some(held) = &mut self.held
        {
            held.acknowledged.push(seq);
        }
    }

    /// The output does not have the record. A final waits for another try; of the others, whatever is newer wins.
    pub fn give_back(&mut self, ticket: Ticket) {
        let is_superseded = self.is_superseded(ticket);
        let Some(record) = self.land(ticket) else {
            return;
        };
        match record.kind {
            Kind::Tick | Kind::LastTick if self.tick.is_some() => self.coalesced.ticks += 1,
            Kind::Provisional(_) if is_superseded => self.coalesced.provisionals += 1,
            _ => self.put(record),
        }
    }

    /// Whether a provisional under way has been overtaken by a newer record about its window, waiting or handed over:
    /// sent again behind that one, it would take its place in a compacted topic.
    fn is_superseded(&self, ticket: Ticket) -> bool {
        let Some(&Kind::Provisional(id)) = self.in_flight.get(&ticket).map(|r| &r.kind) else {
            return false;
        };
        let newest = self
            .provisionals_in_flight
            .get(&id)
            .map(|(_, newest)| *newest);
        if newest.is_some_and(|newest| newest > ticket) {
            return true;
        }
        let is_forgotten = self.forgotten.iter().any(|(other, _)| *other == id);
        is_forgotten || self.provisionals.contains_key(&id) || self.has_final(id)
    }

    fn land(&mut self, ticket: Ticket) -> Option<Outgoing> {
        let record = self.in_flight.remove(&ticket)?;
        match record.kind {
            Kind::Tick | Kind::LastTick => self.tick_in_flight = false,
            Kind::Forgotten(_) => self.forgotten_in_flight -= 1,
            Kind::Final(id, _) => {
                self.finals_in_flight.remove(&id);
            }
            Kind::Provisional(id) => {
                if let Some((count, _)) = self.provisionals_in_flight.get_mut(&id) {
                    *count -= 1;
                    if *count == 0 {
                        self.provisionals_in_flight.remove(&id);
                    }
                }
            }
        }
        Some(record)
    }

    /// Finals, revisions and deletions that the output does not yet have.
    #[must_use]
    pub fn unpublished_finals(&self) -> usize {
        self.finals.len()
            + self.finals_in_flight.len()
            + self.forgotten.len()
            + self.forgotten_in_flight
    }

    /// Whether everything is acknowledged that may go out.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        let may_go = |tick: &Outgoing| tick.kind == Kind::Tick || self.leaves;
        !self.tick.as_ref().is_some_and(may_go)
            && self.provisionals.is_empty()
            && self.finals.is_empty()
            && self.in_flight.is_empty()
    }

    /// Leaves to another instance what that one has come to, which has closed all windows up to this watermark: nothing goes out
    /// here as long as it lives, and what it cannot have left unpublished need not be kept for when it is gone. Returns the
    /// finals that it has not come to.
    pub fn leave_to_another(&mut self, watermark: i64) -> usize {
        let has_come_to = |id: WindowId| id.start + id.period.longest_s() <= watermark;
        let is_left =
            |record: &Outgoing| matches!(record.kind, Kind::Final(id, _) if has_come_to(id));
        let left = self.finals.iter().filter(|(_, record)| is_left(record));
        let left = left.count();
        let ahead = self.finals.len() - left;
        for _ in STANDBY_FINALS_KEPT..left {
            let saved = self.held.as_ref().map_or(u64::MAX, |held| held.saved);
            let Some((seq, _)) = self
                .finals
                .pop_front_if(|(seq, record)| *seq <= saved && is_left(record))
            else {
                break;
            };
            // As if the output had taken it: the state need not keep it either.
            if let Some(held) = &mut self.held {
                held.acknowledged.push(seq);
            }
        }
        // A deletion that is made twice does no harm, and these are due long after their windows were closed.
        let deletions = self.forgotten.len().saturating_sub(STANDBY_DELETIONS_KEPT);
        self.forgotten.drain(..deletions);
        ahead
    }

    /// What was never put out because something newer took its place.
    #[must_use]
    pub fn coalesced(&self) -> Coalesced {
        self.coalesced
    }
}

#[cfg(test)]
mod tests;
