//! What waits for a slow output, and in which order it goes out.

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
fn the_last_tick_waits_for_the_leave_and_nothing_follows_it() {
    let mut outbox = Outbox::saved(Vec::new());
    outbox.put(record(Kind::Tick, "before"));
    outbox.put(record(Kind::LastTick, "last"));
    outbox.put(record(Kind::Final(id(0), 1), "final"));
    for minute in 0..2 * IN_FLIGHT_RECORDS_MAX as i64 {
        outbox.put(record(Kind::Provisional(id(60 * minute)), "provisional"));
    }
    assert_eq!(outbox.coalesced().ticks, 1);
    let out = drain(&mut outbox);
    assert_eq!(
        out.len(),
        IN_FLIGHT_RECORDS_MAX,
        "as many as may be under way"
    );
    assert!(out.iter().all(|(_, text)| text == "provisional"));
    assert!(!outbox.is_empty());
    outbox.take_leave();
    // However much is under way, and comes back.
    outbox.give_back(out[0].0);
    let out = drain(&mut outbox);
    assert_eq!(out.len(), 1);
    assert_eq!(out[0].1, "last");
    assert!(outbox.has_tick());
    outbox.give_back(out[0].0);
    let out = drain(&mut outbox);
    assert_eq!(out[0].1, "last");
    outbox.acknowledge(out[0].0);
    assert!(!outbox.has_tick());
    outbox.give_unsaved();
    outbox.note_saved();
    assert_eq!(drain(&mut outbox), []);
}

#[test]
fn nothing_but_the_last_tick_is_left_before_the_leave() {
    let mut outbox = Outbox::default();
    outbox.put(record(Kind::LastTick, "last"));
    assert_eq!(drain(&mut outbox), []);
    assert!(outbox.is_empty() && outbox.has_tick());
    outbox.take_leave();
    assert!(!outbox.is_empty());
}

#[test]
fn records_of_windows_do_not_wait_for_a_tick_that_is_not_taken() {
    let mut outbox = Outbox::default();
    outbox.put(record(Kind::Tick, "tick"));
    outbox.put(record(Kind::Final(id(0), 1), "final"));
    outbox.put(record(Kind::Provisional(id(60)), "provisional"));
    let (tick, _) = outbox.hand_over().expect("the tick");
    outbox.give_back(tick);
    let mut kinds = Vec::new();
    while let Some((_, record)) = outbox.hand_over_of_windows() {
        kinds.push(record.kind);
    }
    assert_eq!(kinds, [Kind::Final(id(0), 1), Kind::Provisional(id(60))]);
    assert_eq!(outbox.hand_over().expect("the tick").1.kind, Kind::Tick);
    assert_eq!(outbox.coalesced(), Coalesced::default());
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
