//! What waits for a slow output. Whatever fails and is tried again, a reader never sees a window's older word after a
//! newer one.

use headcount::engine::calendar::{Period, WindowId};
use headcount::engine::report::outbox::{Kind, Outbox, Outgoing, Ticket};

const WINDOW: WindowId = WindowId {
    period: Period::Minute,
    start: 0,
};

fn put(outbox: &mut Outbox, kind: Kind, text: &str) {
    outbox.put(Outgoing {
        kind,
        key: String::new(),
        payload: Some(text.into()),
    });
}

fn hand_over(outbox: &mut Outbox) -> Option<(Ticket, String)> {
    let (ticket, record) = outbox.hand_over()?;
    Some((
        ticket,
        String::from_utf8(record.payload.clone().unwrap()).unwrap(),
    ))
}

#[test]
fn a_provisional_that_failed_is_not_sent_after_a_newer_one_that_is_under_way() {
    let mut outbox = Outbox::default();
    put(&mut outbox, Kind::Provisional(WINDOW), "older");
    let (older, _) = hand_over(&mut outbox).unwrap();
    put(&mut outbox, Kind::Provisional(WINDOW), "newer");
    hand_over(&mut outbox).unwrap();
    outbox.give_back(older);
    assert_eq!(
        hand_over(&mut outbox),
        None,
        "it would take the newer one's place in a compacted topic"
    );
}

#[test]
fn a_provisional_that_failed_is_not_sent_after_a_newer_one_that_was_acknowledged() {
    let mut outbox = Outbox::default();
    put(&mut outbox, Kind::Provisional(WINDOW), "older");
    let (older, _) = hand_over(&mut outbox).unwrap();
    put(&mut outbox, Kind::Provisional(WINDOW), "newer");
    let (newer, _) = hand_over(&mut outbox).unwrap();
    outbox.acknowledge(newer);
    outbox.give_back(older);
    assert_eq!(hand_over(&mut outbox), None);
}

#[test]
fn a_provisional_that_failed_is_not_sent_after_its_final() {
    let mut outbox = Outbox::default();
    put(&mut outbox, Kind::Provisional(WINDOW), "provisional");
    let (provisional, _) = hand_over(&mut outbox).unwrap();
    put(&mut outbox, Kind::Final(WINDOW, 1), "final");
    hand_over(&mut outbox).unwrap();
    outbox.give_back(provisional);
    assert_eq!(hand_over(&mut outbox), None);
}
