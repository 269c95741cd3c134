//! An output that refuses records, loses acknowledgements, takes no more for a while, and what a reader finds in it, over all
//! lives of the service.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use headcount::engine::calendar::WindowId;
use headcount::engine::checkpoint::SavedRecord;
use headcount::engine::report::outbox::{Kind, Outbox, Outgoing, Ticket};
use headcount::limits::{UNPUBLISHED_FINALS_MAX, UNPUBLISHED_PROVISIONALS_MAX};

use super::dice::Dice;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Condition {
    Well,
    /// Single records are refused.
    Refusing,
    /// What is sent is written or not, and nobody is told.
    Disconnected,
    /// Nothing more is taken.
    Full,
}

/// Key and value of a record.
type Text = (String, Vec<u8>);

/// What happened to finals and revisions in a turn.
#[derive(Debug, Clone, Copy, Default)]
pub struct Turned {
    pub sent: bool,
    pub acknowledged: bool,
}

pub struct Output {
    pub outbox: Outbox,
    /// How often the condition changes; 0 is never.
    trouble: usize,
    condition: Condition,
    under_way: Vec<(Ticket, bool)>,
    /// Each record in the topics, in their order.
    written: Vec<(Kind, Text)>,
    /// What the engine put out: finals and revisions by `seq`, and the newest tick and provisional records.
    finals: BTreeMap<u64, Text>,
    newest: BTreeMap<String, Vec<u8>>,
    /// Where there is a state: the `seq` of all finals that are in one.
    saved: Option<BTreeSet<u64>>,
    /// Finals that were put out by a life that the state goes back behind.
    superseded: HashSet<(u64, Text)>,
    dice: Dice,
}

impl Output {
    pub fn new(trouble: usize, seed: u64) -> Self {
        Self {
            outbox: Outbox::default(),
            trouble,
            condition: Condition::Well,
            under_way: Vec::new(),
            written: Vec::new(),
            finals: BTreeMap::new(),
            newest: BTreeMap::new(),
            saved: None,
            superseded: HashSet::new(),
            dice: Dice::new(!seed),
        }
    }

    /// Notes a record that is put into the outbox.
    pub fn note(&mut self, record: &Outgoing) {
        let (key, value) = text_of(record);
        if let Kind::Final(id, seq) = record.kind {
            self.newest.remove(&format!("{key}|provisional"));
            let earlier = self.finals.insert(seq, (key, value));
            assert_eq!(earlier, None, "{id:?}: one record a seq");
        } else {
            self.newest.insert(key, value);
        }
    }

    /// Notes finals that are in a state now.
    pub fn note_saved(&mut self, records: &[SavedRecord]) {
        let saved = self.saved.get_or_insert_default();
        for record in records {
            let text = (record.key.clone(), record.payload.clone());
            let is_it = self.finals.get(&record.seq) == Some(&text);
            assert!(is_it, "seq {} is saved as it was put out", record.seq);
            saved.insert(record.seq);
        }
    }

    /// Another process goes on, whose state says that this `seq` comes next and that the output does not have these. The
    /// state is the newest one, or a copy of an earlier one. What was under way may be written.
    pub fn begin_life(&mut self, records: Vec<SavedRecord>, next_seq: u64, is_copy: bool) {
        self.under_way.clear();
        self.newest.clear();
        let behind = self.finals.split_off(&next_seq);
        let saved = self.saved.get_or_insert_default();
        let saved_behind = saved.split_off(&next_seq);
        assert!(
            is_copy || saved_behind.is_empty(),
            "what is saved has a seq before the next one"
        );
        if is_copy {
            let texts = behind.into_iter();
            self.superseded
                .extend(texts.filter(|(seq, _)| saved_behind.contains(seq)));
        }
        for seq in self.finals.keys() {
            assert!(saved.contains(seq), "seq {seq} is in the state");
        }
        let kept: BTreeSet<u64> = records.iter().map(|record| record.seq).collect();
        self.note_saved(&records);
        // Whatever the output may not have must still be there to be sent.
        let written: HashSet<&Text> = self.written.iter().map(|(_, text)| text).collect();
        for (seq, text) in &self.finals {
            let is_out = kept.contains(seq) || written.contains(text);
            assert!(is_out, "seq {seq} is neither published nor to be sent");
        }
        self.outbox = Outbox::saved(records);
    }

    /// Whether the service has to wait for it before it reads more.
    pub fn is_behind(&self) -> bool {
        self.outbox.unpublished_finals() > UNPUBLISHED_FINALS_MAX
    }

    /// Some time passes: what is under way may arrive, and more is sent.
    pub fn turn(&mut self) -> Turned {
        let mut turned = self.take_answers();
        let mut room = self.dice.below(3_000);
        while let Some((ticket, record)) = self.outbox.hand_over() {
            if room == 0 || self.condition == Condition::Full {
                self.outbox.give_back(ticket);
                break;
            }
            room -= 1;
            let is_written = match self.condition {
                Condition::Well => true,
                _ => self.dice.once_in(2),
            };
            if let Kind::Final(_, seq) = record.kind {
                turned.sent = true;
                let is_saved = self.saved.as_ref().is_none_or(|saved| saved.contains(&seq));
                assert!(is_saved, "seq {seq} goes out, and no state has it");
            }
            if is_written {
                self.written.push((record.kind, text_of(record)));
            }
            self.under_way.push((ticket, is_written));
        }
        turned
    }

    /// What it has to say of records that were sent before.
    fn take_answers(&mut self) -> Turned {
        let mut turned = Turned::default();
        if self.trouble > 0 && self.dice.once_in(self.trouble) {
            self.condition = self.dice.pick(&[
                Condition::Well,
                Condition::Refusing,
                Condition::Disconnected,
                Condition::Full,
            ]);
            if self.condition != Condition::Disconnected {
                self.lose_connection();
            }
        }
        if self.condition != Condition::Disconnected {
            for (ticket, is_written) in std::mem::take(&mut self.under_way) {
                if is_written {
                    turned.acknowledged |= self.outbox.is_final(ticket);
                    self.outbox.acknowledge(ticket);
                } else {
                    self.outbox.give_back(ticket);
                }
            }
        }
        turned
    }

    /// What was not acknowledged may have been written all the same.
    fn lose_connection(&mut self) {
        for (ticket, _) in std::mem::take(&mut self.under_way) {
            self.outbox.give_back(ticket);
        }
    }

    /// The output is well again, and takes all that is left.
    pub fn recover(&mut self) {
        self.trouble = 0;
        self.condition = Condition::Well;
        self.lose_connection();
        // The revisions of one window go out one after the other: each takes a turn, and any turn may have no room.
        for _ in 0..100 + 2 * self.outbox.unpublished_finals() {
            self.turn();
            if self.outbox.is_empty() {
                return;
            }
        }
        panic!(
            "the output is well, and still does not get {} last words",
            self.outbox.unpublished_finals()
        );
    }

    /// What a reader of the topics finds: every final and revision, byte for byte, the newest of each window under its
    /// key, and the newest tick.
    pub fn check(&self) {
        let mut found = BTreeSet::new();
        let mut compacted = BTreeMap::new();
        let mut last_tick = None;
        let mut closed: HashSet<WindowId> = HashSet::new();
        for (kind, text) in &self.written {
            compacted.insert(&text.0, &text.1);
            match kind {
                Kind::Tick | Kind::LastTick => {
                    assert!(last_tick <= Some(tick_of(&text.1)), "ticks are in order");
                    last_tick = Some(tick_of(&text.1));
                }
                Kind::Provisional(id) => {
                    // A state that was put back in its place knows of fewer finals.
                    let comes_late = closed.contains(id) && self.superseded.is_empty();
                    assert!(!comes_late, "a provisional after the final of {id:?}");
                }
                Kind::Forgotten(_) => panic!("nothing is to be forgotten"),
                Kind::Final(id, seq) => {
                    closed.insert(*id);
                    if self.finals.get(seq) == Some(text) {
                        found.insert(*seq);
                    } else {
                        // Of each epoch and seq there is one text; one epoch is enough unless a copy was taken up.
                        let is_known = self.superseded.contains(&(*seq, text.clone()));
                        assert!(is_known, "{id:?}, seq {seq}: not as it was put out");
                    }
                }
            }
        }
        assert!(
            self.finals.keys().eq(found.iter()),
            "a final or revision is missing"
        );
        assert!(
            self.finals.keys().copied().eq(1..=found.len() as u64),
            "seq has a gap over all epochs"
        );
        self.check_compacted(&compacted);
    }

    /// What is left under each key once older records are gone.
    fn check_compacted(&self, compacted: &BTreeMap<&String, &Vec<u8>>) {
        let mut newest_finals = BTreeMap::new();
        for (key, value) in self.finals.values() {
            newest_finals.insert(key, value);
        }
        for (key, value) in newest_finals {
            assert_eq!(compacted[key], value, "the newest record of {key} wins");
        }
        if self.newest.len() < UNPUBLISHED_PROVISIONALS_MAX {
            for (key, value) in &self.newest {
                let found = compacted.get(key).map(|v| String::from_utf8_lossy(v));
                let put = String::from_utf8_lossy(value);
                assert_eq!(found.as_ref(), Some(&put), "the newest record of {key}");
            }
        }
    }
}

fn text_of(record: &Outgoing) -> Text {
    let value = record.payload.clone().expect("nothing is deleted");
    (record.key.clone(), value)
}

/// Epoch and number.
fn tick_of(value: &[u8]) -> (u64, u64) {
    let tick: serde_json::Value = serde_json::from_slice(value).unwrap();
    let number = |field: &str| tick[field].as_u64().unwrap();
    (number("epoch"), number("tick"))
}
