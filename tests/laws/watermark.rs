//! Whose clock the watermark waits for, and from when on windows are complete.

use headcount::engine::admit::{Admission, Admitted, PartitionIndex};
use headcount::engine::barrier::{Snapshot, Stage};
use headcount::engine::calendar::{Period, WindowId};
use headcount::engine::catalog::{Ask, Emission};
use headcount::engine::frame::{Reject, Verdict};

use super::script::uid;
use super::world::{at, rules, tick};

/// Noon of a day in UTC.
const NOON: u32 = 1_774_612_800;

fn admission() -> Admission {
    Admission::new(rules("UTC", Emission::Live))
}

fn see(admission: &mut Admission, partition: PartitionIndex, ts: u32) {
    let arrival = at(partition, admission.next_offset(partition));
    let admitted = admission.admit(arrival, Verdict::Seen(uid(ts as usize), ts));
    assert!(matches!(admitted, Admitted::Counted(sighting) if sighting.ts == ts));
}

fn reject(admission: &mut Admission, partition: PartitionIndex) {
    let arrival = at(partition, admission.next_offset(partition));
    admission.admit(arrival, Verdict::Rejected(Reject::Json));
}

fn snapshot(admission: &mut Admission) -> Snapshot {
    let barrier = admission.barrier(tick());
    assert!(!barrier.more);
    barrier.snapshot
}

fn is_complete(snapshot: &Snapshot, period: Period, start: u32) -> bool {
    let id = WindowId {
        period,
        start: start.into(),
    };
    let facts = snapshot.windows.iter().find(|facts| facts.id == id);
    facts
        .unwrap_or_else(|| panic!("{id:?} was not put out"))
        .complete
}

fn after_noon(seconds: i64) -> Option<i64> {
    Some(i64::from(NOON) + seconds)
}

#[test]
fn the_watermark_is_the_least_clock_less_the_lateness() {
    let mut a = admission();
    let (p, q) = (a.add_partition(0, true), a.add_partition(0, true));
    see(&mut a, p, NOON + 100);
    assert_eq!(a.watermark(), None, "the other one holds unread frames");
    reject(&mut a, q);
    assert_eq!(a.watermark(), None, "a rejected frame is no clock");
    see(&mut a, q, NOON);
    assert_eq!(a.watermark(), after_noon(-5));
    see(&mut a, q, NOON + 300);
    assert_eq!(a.watermark(), after_noon(95));
    see(&mut a, p, NOON + 50);
    assert_eq!(a.watermark(), after_noon(95), "a clock never falls");
    see(&mut a, p, NOON + 200);
    assert_eq!(a.watermark(), after_noon(195));
}

#[test]
fn a_partition_without_frames_is_left_out() {
    let mut a = admission();
    let p = a.add_partition(0, true);
    a.add_partition(0, false);
    a.add_partition(17, false);
    see(&mut a, p, NOON);
    assert_eq!(a.watermark(), after_noon(-5));
}

#[test]
fn an_unread_partition_holds_the_watermark_until_its_end_is_reached() {
    let mut a = admission();
    let (p, q) = (a.add_partition(0, true), a.add_partition(0, true));
    see(&mut a, p, NOON);
    reject(&mut a, q);
    a.reach_end(q);
    assert_eq!(a.watermark(), after_noon(-5));
    // Its first good frame makes it one of those that are waited for.
    see(&mut a, q, NOON + 1_000);
    see(&mut a, p, NOON + 2_000);
    assert_eq!(a.watermark(), after_noon(995));
}

#[test]
fn a_finished_partition_is_not_waited_for() {
    let mut a = admission();
    let (p, q) = (a.add_partition(0, true), a.add_partition(0, true));
    see(&mut a, p, NOON);
    see(&mut a, q, NOON + 500);
    a.finish(p);
    assert_eq!(a.watermark(), after_noon(495));
    a.finish(q);
    assert_eq!(a.watermark(), after_noon(495), "with none left it stays");
}

#[test]
fn finishing_an_unread_partition_lets_the_watermark_go() {
    let mut a = admission();
    let (p, q) = (a.add_partition(0, true), a.add_partition(0, true));
    see(&mut a, p, NOON);
    a.finish(q);
    assert_eq!(a.watermark(), after_noon(-5));
}

#[test]
fn the_watermark_never_falls_when_an_older_partition_is_added() {
    let mut a = admission();
    let p = a.add_partition(0, true);
    see(&mut a, p, NOON + 1_000);
    let q = a.add_partition(0, true);
    assert_eq!(a.watermark(), after_noon(995));
    see(&mut a, p, NOON + 2_000);
    assert_eq!(a.watermark(), after_noon(995), "the new one holds it");
    see(&mut a, q, NOON);
    assert_eq!(a.watermark(), after_noon(995));
    for ts in [NOON + 500, NOON + 1_000, NOON + 1_001] {
        see(&mut a, q, ts);
    }
    assert_eq!(a.watermark(), after_noon(996));
    see(&mut a, q, NOON + 5_000);
    assert_eq!(a.watermark(), after_noon(1_995));
}

#[test]
fn read_from_offset_0_everything_is_complete_since_the_least_first_clock() {
    let mut a = admission();
    let partitions = [0, 1, 2].map(|_| a.add_partition(0, true));
    for (p, ts) in partitions
        .into_iter()
        .zip([NOON + 90, NOON + 30, NOON + 60])
    {
        see(&mut a, p, ts);
        see(&mut a, p, ts - 20);
    }
    let snapshot = snapshot(&mut a);
    assert_eq!(snapshot.since, Some(NOON + 30));
    assert!(snapshot.windows.iter().all(|facts| facts.complete));
}

#[test]
fn joined_partitions_are_complete_since_the_greatest_of_their_first_clocks() {
    let mut a = admission();
    let p = a.add_partition(0, true);
    let (q, r) = (a.add_partition(5, true), a.add_partition(9, true));
    see(&mut a, p, NOON - 3_600);
    see(&mut a, q, NOON);
    let early = snapshot(&mut a);
    assert_eq!(early.since, None, "one of them has no clock yet");
    assert!(early.windows.iter().all(|facts| !facts.complete));
    see(&mut a, r, NOON + 60);
    // What comes after the first clock does not move it.
    for (partition, ts) in [
        (q, NOON + 120),
        (r, NOON + 59),
        (p, NOON + 200),
        (r, NOON + 300),
    ] {
        see(&mut a, partition, ts);
    }
    let snapshot = snapshot(&mut a);
    assert_eq!(snapshot.since, Some(NOON + 60));
    assert!(!is_complete(&snapshot, Period::Minute, NOON));
    assert!(is_complete(&snapshot, Period::Minute, NOON + 60));
    assert!(is_complete(&snapshot, Period::Minute, NOON + 120));
    assert!(!is_complete(&snapshot, Period::Hour, NOON));
}

#[test]
fn a_window_that_starts_a_second_before_since_is_incomplete_and_never_final() {
    for (first, complete) in [(NOON, true), (NOON + 1, false)] {
        let mut a = admission();
        let p = a.add_partition(5, true);
        see(&mut a, p, first);
        see(&mut a, p, NOON + 90);
        let snapshot = snapshot(&mut a);
        assert_eq!(snapshot.since, Some(first));
        assert_eq!(is_complete(&snapshot, Period::Minute, NOON), complete);
        let of_first = snapshot
            .windows
            .iter()
            .find(|f| f.id.start == i64::from(NOON));
        let is_final = matches!(of_first.unwrap().stage, Stage::Final { .. });
        assert_eq!(is_final, complete);
    }
}

/// With `--from latest` most partitions of a quiet topic are like this; one that stays empty must not keep all windows
/// provisional for ever.
#[test]
fn a_joined_partition_that_holds_nothing_does_not_keep_windows_incomplete() {
    let mut a = admission();
    let (p, q) = (a.add_partition(5, false), a.add_partition(9, false));
    see(&mut a, p, NOON + 1);
    see(&mut a, p, NOON + 100);
    let first = snapshot(&mut a);
    assert_eq!(first.since, Some(NOON + 1));
    assert!(is_complete(&first, Period::Minute, NOON + 60));
    see(&mut a, q, NOON + 150);
    assert_eq!(
        snapshot(&mut a).since,
        Some(NOON + 1),
        "it was followed all the while"
    );
}

/// Half an hour of frames is gone; the next one comes at 12:30:10. What was lost may belong to any window until then.
#[test]
fn no_window_that_lost_frames_to_a_gap_passes_for_complete() {
    let mut a = admission();
    let p = a.add_partition(0, true);
    see(&mut a, p, NOON + 30);
    a.gap(p, 1_000);
    see(&mut a, p, NOON + 1_810);
    see(&mut a, p, NOON + 1_870);
    see(&mut a, p, NOON + 1_950);
    let snapshot = snapshot(&mut a);
    assert!(!is_complete(&snapshot, Period::Minute, NOON));
    assert!(!is_complete(&snapshot, Period::Hour, NOON));
    assert!(
        !is_complete(&snapshot, Period::Minute, NOON + 1_800),
        "12:30"
    );
    assert!(
        is_complete(&snapshot, Period::Minute, NOON + 1_860),
        "12:31"
    );
}

#[test]
fn another_partitions_frames_do_not_make_a_gap_whole() {
    let mut a = admission();
    let (p, q) = (a.add_partition(0, true), a.add_partition(0, true));
    see(&mut a, p, NOON + 30);
    see(&mut a, q, NOON + 30);
    a.gap(p, 1_000);
    see(&mut a, q, NOON + 600);
    see(&mut a, q, NOON + 1_900);
    see(&mut a, p, NOON + 1_810);
    let snapshot = snapshot(&mut a);
    assert!(
        !is_complete(&snapshot, Period::Minute, NOON + 600),
        "half of it is gone"
    );
}

#[test]
fn a_gap_before_the_first_frame_makes_a_partition_one_that_was_joined_there() {
    let mut a = admission();
    let (p, q) = (a.add_partition(0, true), a.add_partition(0, true));
    see(&mut a, q, NOON);
    a.gap(p, 1_000);
    see(&mut a, p, NOON + 1_810);
    see(&mut a, q, NOON + 600);
    let snapshot = snapshot(&mut a);
    assert_eq!(snapshot.since, Some(NOON + 1_810));
    assert!(!is_complete(&snapshot, Period::Minute, NOON + 600));
}

#[test]
fn after_a_gap_nothing_is_final_until_it_is_known_how_much_was_lost() {
    let mut a = admission();
    let (p, q) = (a.add_partition(0, true), a.add_partition(0, true));
    see(&mut a, p, NOON + 30);
    see(&mut a, q, NOON + 30);
    snapshot(&mut a);
    a.gap(p, 1_000);
    see(&mut a, q, NOON + 600);
    // Even the end of the input makes no final of what may lack frames.
    let barrier = a.barrier(Ask {
        end: true,
        ..Ask::default()
    });
    let facts = barrier
        .snapshot
        .windows
        .iter()
        .find(|f| f.id.start == i64::from(NOON) + 600);
    assert_eq!(facts, None, "12:10 was closed as complete");
}

#[test]
fn where_all_of_a_beginning_was_lost_nothing_is_complete_until_a_frame_comes() {
    let mut a = admission();
    let (p, q) = (a.add_partition(0, true), a.add_partition(0, true));
    see(&mut a, p, NOON);
    see(&mut a, q, NOON);
    // Made anew, as after a rotation: nobody knows what was behind offset 1 of the one before.
    a.gap(q, 0);
    a.finish(q);
    see(&mut a, p, NOON + 600);
    let later = snapshot(&mut a);
    assert_eq!(later.since, None);
    assert!(later.windows.iter().all(|facts| !facts.complete));
}
