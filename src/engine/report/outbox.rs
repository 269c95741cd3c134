//! What waits for a slow output: never more than fits, and never a final lost.
//!
//! Invariants: 1. A final or revision stays here until it is acknowledged, and these go out in the order of their `seq`,
//! those of one window one after the other. 2. Of
//! ticks only the newest waits, and one at a time is under way. 3. Of each window only the newest provisional waits,
//! and none once its final is here. 4. Where there is a state, a final goes out only once it is saved. 5. The deletion of a
//! window's records goes out behind all of them: overtaken by one, it would leave it in a compacted topic for good.

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
            Kind::Tick => self.coalesced.ticks += u64::from(self.tick.replace(record).is_some()),
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
        if self.in_flight.len() >= IN_FLIGHT_RECORDS_MAX {
            return None;
        }
        let record = if let Some(tick) = self.tick.take_if(|_| !self.tick_in_flight) {
            self.tick_in_flight = true;
            tick
        } else if let Some(last) = self.next_final() {
            last
        } else if let Some(forgotten) = self.next_forgotten() {
            self.forgotten_in_flight += 1;
            forgotten
        } else {
            self.provisionals.pop_first()?.1
        };
        let ticket = self.next_ticket;
        self.next_ticket += 1;
        match record.kind {
            Kind::Tick | Kind::Forgotten(_) => {}
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
        Some((ticket, self.in_flight.entry(ticket).or_insert(record)))
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
            Kind::Tick if self.tick.is_some() => self.coalesced.ticks += 1,
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
            Kind::Tick => self.tick_in_flight = false,
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

    /// Whether everything is acknowledged.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.tick.is_none()
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
mod tests {
    use super::*;
    use crate::engine::calendar::Period;

    fn id(start: i64) -> WindowId {
        WindowId {
            period: Period::Minute,
            start,
        }
    }

    fn record(kind: Kind, text: &str) -> Outgoing {
        Outgoing {
            kind,
            key: String::new(),
            payload: Some(text.into()),
        }
    }

    fn drain(outbox: &mut Outbox) -> Vec<(Ticket, String)> {
        let mut out = Vec::new();
        while let Some((ticket, record)) = outbox.hand_over() {
            out.push((
                ticket,
                String::from_utf8(record.payload.clone().unwrap()).unwrap(),
            ));
        }
        out
    }

    #[test]
    fn only_the_newest_tick_waits_and_one_is_under_way() {
        let mut outbox = Outbox::default();
        outbox.put(record(Kind::Tick, "1"));
        assert_eq!(drain(&mut outbox), [(0, "1".to_owned())]);
        outbox.put(record(Kind::Tick, "2"));
        outbox.put(record(Kind::Tick, "3"));
        assert_eq!(drain(&mut outbox), []);
        outbox.acknowledge(0);
        assert_eq!(drain(&mut outbox), [(1, "3".to_owned())]);
        outbox.acknowledge(1);
        assert!(outbox.is_empty());
        assert_eq!(
            outbox.coalesced(),
            Coalesced {
                ticks: 1,
                provisionals: 0
            }
        );
    }

    #[test]
    fn a_failed_final_goes_out_again_in_its_place() {
        let mut outbox = Outbox::default();
        for seq in 1..=3 {
            outbox.put(record(Kind::Final(id(seq as i64), seq), &seq.to_string()));
        }
        let sent: Vec<_> = (0..2).map(|_| outbox.hand_over().unwrap().0).collect();
        assert_eq!(outbox.unpublished_finals(), 3);
        outbox.give_back(sent[1]);
        outbox.give_back(sent[0]);
        let texts: Vec<_> = drain(&mut outbox)
            .into_iter()
            .map(|(_, text)| text)
            .collect();
        assert_eq!(texts, ["1", "2", "3"]);
        assert!(!outbox.is_empty());
        for ticket in 2..5 {
            outbox.acknowledge(ticket);
        }
        assert!(outbox.is_empty());
        assert_eq!(outbox.unpublished_finals(), 0);
    }

    #[test]
    fn a_final_goes_out_once_it_is_saved_and_is_trimmed_once_it_is_taken() {
        let mut outbox = Outbox::saved(vec![SavedRecord {
            seq: 7,
            id: id(0),
            key: "k".to_owned(),
            payload: b"7".to_vec(),
        }]);
        outbox.put(record(Kind::Final(id(60), 8), "8"));
        outbox.put(record(Kind::Provisional(id(120)), "p"));
        assert_eq!(outbox.unsaved_finals(), 1);
        let out = drain(&mut outbox);
        assert_eq!(out, [(0, "7".to_owned()), (1, "p".to_owned())]);
        let (given, acknowledged) = outbox.give_unsaved();
        assert_eq!(given.iter().map(|r| r.seq).collect::<Vec<_>>(), [8]);
        assert!(acknowledged.is_empty());
        outbox.put(record(Kind::Final(id(180), 9), "9"));
        assert_eq!(drain(&mut outbox), []);
        outbox.note_saved();
        // What came after the save was begun waits for the next one.
        assert_eq!(drain(&mut outbox), [(2, "8".to_owned())]);
        outbox.give_back(2);
        outbox.acknowledge(0);
        let (given, acknowledged) = outbox.give_unsaved();
        assert_eq!(given.iter().map(|r| r.seq).collect::<Vec<_>>(), [9]);
        assert_eq!(acknowledged, [7]);
        outbox.note_saved();
        let texts = drain(&mut outbox).into_iter().map(|(_, text)| text);
        assert_eq!(texts.collect::<Vec<_>>(), ["8", "9"]);
        assert_eq!(outbox.unsaved_finals(), 0);
    }

    #[test]
    fn provisionals_are_coalesced_and_give_way_to_finals() {
        let mut outbox = Outbox::default();
        outbox.put(record(Kind::Provisional(id(0)), "a"));
        outbox.put(record(Kind::Provisional(id(0)), "b"));
        outbox.put(record(Kind::Provisional(id(60)), "c"));
        outbox.put(record(Kind::Final(id(60), 1), "d"));
        let texts: Vec<_> = drain(&mut outbox)
            .into_iter()
            .map(|(_, text)| text)
            .collect();
        assert_eq!(texts, ["d", "b"]);
        assert_eq!(outbox.coalesced().provisionals, 2);
        // A provisional that failed stays away when something newer waits.
        outbox.put(record(Kind::Provisional(id(0)), "e"));
        outbox.give_back(1);
        let texts: Vec<_> = drain(&mut outbox)
            .into_iter()
            .map(|(_, text)| text)
            .collect();
        assert_eq!(texts, ["e"]);
    }

    #[test]
    fn a_dead_output_holds_no_more_than_the_bounds() {
        let mut outbox = Outbox::default();
        for i in 0..3 * UNPUBLISHED_PROVISIONALS_MAX as i64 {
            outbox.put(record(Kind::Provisional(id(i)), "p"));
            outbox.put(record(Kind::Tick, "t"));
            drain(&mut outbox);
        }
        assert_eq!(outbox.in_flight.len(), IN_FLIGHT_RECORDS_MAX);
        assert_eq!(outbox.provisionals.len(), UNPUBLISHED_PROVISIONALS_MAX);
        assert!(outbox.coalesced().provisionals > 0 && outbox.coalesced().ticks > 0);
    }

    #[test]
    fn a_deletion_goes_out_behind_the_records_that_it_deletes() {
        let texts = |outbox: &mut Outbox| {
            let drained = drain(outbox).into_iter();
            drained.unzip::<_, _, Vec<_>, Vec<_>>()
        };
        let mut outbox = Outbox::saved(Vec::new());
        outbox.put(record(Kind::Final(id(0), 1), "final"));
        outbox.put(record(Kind::Forgotten(id(0)), "deletion"));
        // Not saved, then under way, then given back.
        assert_eq!(drain(&mut outbox), []);
        outbox.give_unsaved();
        outbox.note_saved();
        let (tickets, first) = texts(&mut outbox);
        assert_eq!(first, ["final"]);
        outbox.give_back(tickets[0]);
        let (tickets, again) = texts(&mut outbox);
        assert_eq!(again, ["final"]);
        outbox.acknowledge(tickets[0]);
        assert_eq!(texts(&mut outbox).1, ["deletion"]);
        assert_eq!(outbox.unpublished_finals(), 1);

        // The last word on an incomplete window is a provisional.
        let mut outbox = Outbox::default();
        outbox.put(record(Kind::Provisional(id(0)), "under way"));
        let (tickets, _) = texts(&mut outbox);
        outbox.put(record(Kind::Provisional(id(0)), "waiting"));
        outbox.put(record(Kind::Forgotten(id(0)), "deletion"));
        assert_eq!(drain(&mut outbox), []);
        outbox.give_back(tickets[0]);
        assert_eq!(texts(&mut outbox).1, ["deletion"]);
    }

    #[test]
    fn what_another_instance_has_come_to_is_not_kept_for_ever() {
        let minutes = STANDBY_FINALS_KEPT as i64 + 1_000;
        let mut outbox = Outbox::saved(Vec::new());
        for minute in 0..minutes {
            let kind = Kind::Final(id(60 * minute), minute as u64 + 1);
            outbox.put(record(kind, "final"));
            for _ in 0..4 {
                let kind = Kind::Forgotten(id(60 * (minute - 100_000)));
                outbox.put(record(kind, "deletion"));
            }
        }
        // Nothing is saved yet.
        assert_eq!(outbox.leave_to_another(60 * minutes), 0);
        assert_eq!(outbox.finals.len() as i64, minutes);
        assert_eq!(outbox.give_unsaved().0.len() as i64, minutes);
        outbox.note_saved();
        // It is not as far as this instance.
        assert_eq!(outbox.leave_to_another(60 * (minutes - 300)), 300);
        assert_eq!(outbox.finals.len(), STANDBY_FINALS_KEPT + 300);
        assert_eq!(outbox.leave_to_another(60 * minutes), 0);
        assert_eq!(outbox.finals.len(), STANDBY_FINALS_KEPT);
        assert_eq!(outbox.forgotten.len(), STANDBY_DELETIONS_KEPT);
        // The state forgets them, the oldest first.
        let taken: Vec<_> = (1..=1_000).collect();
        assert_eq!(outbox.give_unsaved(), (Vec::new(), taken));
        assert_eq!(outbox.finals[0].0, 1_001);
    }
}
