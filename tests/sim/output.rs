//! An output that refuses records, loses acknowledgements, takes no more for a while, and what a reader finds in it.

use std::collections::BTreeMap;

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

pub struct Output {
    pub outbox: Outbox,
    /// How often the condition changes; 0 is never.
    trouble: usize,
    condition: Condition,
    under_way: Vec<(Ticket, bool)>,
    /// Key and value of each record in the topics, in their order.
    written: Vec<(Kind, String, Vec<u8>)>,
    /// What the engine put out: finals and revisions by `seq`, and the newest tick and provisional records.
    finals: BTreeMap<u64, (String, Vec<u8>)>,
    newest: BTreeMap<String, Vec<u8>>,
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
            dice: Dice::new(!seed),
        }
    }

    pub fn put(&mut self, record: Outgoing) {
        let (key, value) = (record.key.clone(), value_of(&record));
        if let Kind::Final(id, seq) = record.kind {
            self.newest.remove(&format!("{key}|provisional"));
            let earlier = self.finals.insert(seq, (key, value));
            assert_eq!(earlier, None, "{id:?}: one record a seq");
        } else {
            self.newest.insert(key, value);
        }
        self.outbox.put(record);
    }

    /// Whether the service has to wait for it before it reads more.
    pub fn is_behind(&self) -> bool {
        self.outbox.unpublished_finals() > UNPUBLISHED_FINALS_MAX
    }

    /// Some time passes: what is under way may arrive, and more is sent.
    pub fn turn(&mut self) {
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
                match is_written {
                    true => self.outbox.acknowledge(ticket),
                    false => self.outbox.give_back(ticket),
                }
            }
        }
        let mut room = self.dice.below(3_000);
        while let Some((ticket, record)) = self.outbox.hand_over() {
            if room == 0 || self.condition == Condition::Full {
                self.outbox.give_back(ticket);
                return;
            }
            room -= 1;
            let is_written = match self.condition {
                Condition::Well => true,
                _ => self.dice.once_in(2),
            };
            if is_written {
                self.written
                    .push((record.kind, record.key.clone(), value_of(record)));
            }
            self.under_way.push((ticket, is_written));
        }
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
        let mut found = BTreeMap::new();
        let mut compacted = BTreeMap::new();
        let mut last_tick = None;
        for (kind, key, value) in &self.written {
            compacted.insert(key.clone(), value);
            match kind {
                Kind::Tick => {
                    assert!(last_tick <= Some(tick_of(value)), "ticks go out in order");
                    last_tick = Some(tick_of(value));
                }
                Kind::Provisional(_) => {}
                Kind::Forgotten => panic!("nothing is to be forgotten"),
                Kind::Final(id, seq) => {
                    let put = &self.finals[seq];
                    assert_eq!(&(key.clone(), value.clone()), put, "{id:?}, seq {seq}");
                    found.insert(*seq, ());
                }
            }
        }
        assert!(
            self.finals.keys().eq(found.keys()),
            "a final or revision is missing"
        );
        for (key, value) in self.finals.values() {
            let newest = self.finals.values().rev().find(|(other, _)| other == key);
            if newest.is_some_and(|(_, newest)| newest == value) {
                assert_eq!(compacted[key], value, "the newest record of {key} wins");
            }
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

fn value_of(record: &Outgoing) -> Vec<u8> {
    record.payload.clone().expect("nothing is deleted")
}

fn tick_of(value: &[u8]) -> u64 {
    let tick: serde_json::Value = serde_json::from_slice(value).unwrap();
    tick["tick"].as_u64().unwrap()
}
