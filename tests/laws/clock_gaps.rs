//! Traffic that pauses, hardly comes, or comes from producers with another clock.

use headcount::engine::admit::{Admission, Arrival};
use headcount::engine::clock::Quarantine;
use headcount::engine::frame::Verdict;
use headcount::limits::{CLOCK_QUORUM, CLOCK_START, CLOCK_VOTES};

use super::clock::{
    DAY, Frame, HOUR, MAX_JUMP_S, Outcome, Rate, START, YEAR, assert_none_lost, check,
    check_in_context, doubtful, from_times, honest,
};
use super::dice::Dice;
use super::script::uid;

const MINUTE: u32 = 60;
/// A pause is one of these and a little, so that it is over `--max-jump`.
const GAPS: [u32; 3] = [MINUTE + 5, DAY, YEAR];

/// Frames at a rate with a pause before the frame `at`.
fn with_gap(n: usize, at: usize, rate: Rate, gap: u32) -> Vec<Frame> {
    let pause = |i: usize| if i < at { 0 } else { gap };
    from_times((0..n).map(|i| START + rate.at(i) + pause(i)))
}

fn counted(outcome: &Outcome) -> usize {
    outcome.became.iter().filter(|b| b.counted()).count()
}

#[test]
fn a_true_gap_of_a_minute_a_day_a_year_in_the_middle_loses_nothing() {
    for gap in GAPS {
        for rate in [Rate::PerSecond(100), Rate::PerSecond(3), Rate::Every(1)] {
            for at in [12, 13, 40, 48, 100, 150] {
                let frames = with_gap(200, at, rate, gap);
                let outcome = check_in_context(&frames, &doubtful(), rate.reach_s());
                assert_none_lost(&frames, &outcome, (gap, rate, at));
            }
        }
    }
}

#[test]
fn a_true_gap_just_before_the_end_is_true_if_a_quorum_of_frames_follows_it() {
    for gap in GAPS {
        for after in 1..60 {
            let frames = with_gap(100 + after, 100, Rate::PerSecond(100), gap);
            let outcome = check(&frames, &doubtful(), MAX_JUMP_S);
            let unconfirmed = outcome.of_reason(Quarantine::Unconfirmed);
            let expected = if after < CLOCK_QUORUM { after } else { 0 };
            assert_eq!((unconfirmed, outcome.pending), (expected, expected));
            assert_eq!(counted(&outcome), frames.len() - expected);
        }
    }
}

#[test]
fn a_stream_shorter_than_a_quorum_is_counted_whole() {
    let mut dice = Dice::new(1);
    for n in 0..CLOCK_START {
        let frames = from_times((0..n).map(|_| START + dice.below(YEAR as usize) as u32));
        let outcome = check_in_context(&frames, &doubtful(), 0);
        assert_eq!(counted(&outcome), n);
        assert_eq!(outcome.pending, n);
    }
}

#[test]
fn frames_that_agree_on_nothing_are_counted_whole_if_they_end_before_a_majority_can_be_told() {
    // Two crowds of the same size, hours apart.
    for n in [CLOCK_START, 20, CLOCK_VOTES - 1] {
        let frames = from_times((0..n as u32).map(|i| START + i % 2 * 5 * HOUR));
        let outcome = check(&frames, &doubtful(), 0);
        assert_eq!((counted(&outcome), outcome.pending), (n, n));
    }
}

#[test]
fn one_frame_every_two_minutes_for_ten_hours_loses_nothing() {
    let frames = honest(300, Rate::Every(120));
    let outcome = check_in_context(&frames, &doubtful(), Rate::Every(120).reach_s());
    assert_eq!(counted(&outcome), 300);
    assert_eq!(outcome.quarantined(), 0);
    assert_eq!(outcome.pending, 0, "none waits at the end");
}

#[test]
fn one_frame_at_all_and_two_frames_a_year_apart_lose_nothing() {
    for times in [
        vec![START],
        vec![START, START + YEAR],
        vec![START + YEAR, START],
    ] {
        let frames = from_times(times);
        let outcome = check_in_context(&frames, &doubtful(), 0);
        assert_eq!(counted(&outcome), frames.len());
    }
}

/// Irregular sparse traffic: nothing is ever refuted. At the end of the input fewer than a quorum may be unconfirmed,
/// where it ends soon after an unusual pause: in about one stream in a hundred.
#[test]
fn sparse_traffic_at_random_moments_is_never_refuted() {
    let mut dice = Dice::new(2);
    let mut with_unconfirmed = 0;
    let streams = 1_000;
    for _ in 0..streams {
        let mean_s = dice.pick(&[10.0, 120.0, 3_600.0, 86_400.0]);
        let mut at = f64::from(START);
        let frames = from_times((0..dice.between(12, 300)).map(|_| {
            let uniform = (dice.bits() >> 11) as f64 / (1_u64 << 53) as f64;
            at -= mean_s * (1.0 - uniform).ln();
            at as u32
        }));
        let outcome = check(&frames, &doubtful(), u32::MAX);
        let unconfirmed = outcome.of_reason(Quarantine::Unconfirmed);
        assert_eq!(counted(&outcome) + unconfirmed, frames.len());
        with_unconfirmed += usize::from(unconfirmed > 0);
    }
    assert!(with_unconfirmed <= streams / 50, "{with_unconfirmed}");
}

#[test]
fn frames_hours_late_are_counted_and_hold_up_nobody() {
    let mut dice = Dice::new(3);
    for share in [10, 50, 90, 97] {
        let frames: Vec<_> = (0..20_000)
            .map(|i| {
                let now = START + i / 20;
                // The clock is established by frames that are on time.
                let late = i > 100 && dice.below(100) < share;
                Frame::honest(
                    now - if late {
                        dice.below(5 * 3_600) as u32
                    } else {
                        0
                    },
                )
            })
            .collect();
        let outcome = check(&frames, &doubtful(), MAX_JUMP_S);
        assert_eq!(counted(&outcome), frames.len(), "{share} %");
    }
}

/// After an outage, devices send what they kept: honest frames from anywhere in it, mixed with those of now.
#[test]
fn what_was_kept_during_an_outage_is_counted_and_so_is_what_comes_with_it() {
    let mut dice = Dice::new(6);
    for gap in [10 * MINUTE, HOUR, DAY] {
        for share in [10, 30, 50] {
            for seed in 0..40 {
                let frames = from_times((0..1_000_u32).map(|i| {
                    let now = START + i / 10 + if i < 500 { 0 } else { gap };
                    let kept = (500..800).contains(&i) && dice.below(100) < share;
                    now - if kept {
                        dice.below(gap as usize) as u32
                    } else {
                        0
                    }
                }));
                let outcome = check(&frames, &doubtful(), MAX_JUMP_S);
                assert_none_lost(&frames, &outcome, (gap, share, seed));
            }
        }
    }
}

/// Where most frames are hours late and have no vote, those on time take longer to be a quorum.
#[test]
fn a_pause_of_a_partition_in_which_most_frames_are_hours_late_loses_nothing() {
    let mut dice = Dice::new(7);
    for gap in [MINUTE + 5, 10 * MINUTE, DAY] {
        for share in [50, 80, 85, 90] {
            for seed in 0..8 {
                let frames = from_times((0..6_000_u32).map(|i| {
                    let now = START + i / 10 + if i < 3_000 { 0 } else { gap };
                    let late = i > 200 && dice.below(100) < share;
                    let by = gap + 600 + dice.below(5 * 3_600) as u32;
                    now - if late { by } else { 0 }
                }));
                let outcome = check(&frames, &doubtful(), MAX_JUMP_S);
                assert_none_lost(&frames, &outcome, (gap, share, seed));
            }
        }
    }
}

/// A job that sends a few dozen frames every hour, one in a hundred with a flipped bit.
#[test]
fn frames_that_come_in_hourly_batches_are_never_refuted() {
    let mut dice = Dice::new(8);
    for batch in [2, 10, 20, 24, 30, 36, 60] {
        for seed in 0..40 {
            let mut frames = honest(batch * 40, Rate::Every(1));
            for (i, frame) in frames.iter_mut().enumerate() {
                let truth = START + (i / batch) as u32 * HOUR + (i % batch / 4) as u32;
                let bit = 1 << dice.below(32);
                *frame = Frame::honest(truth);
                if dice.once_in(100) {
                    *frame = frame.flipped(bit);
                }
            }
            // Batches far apart have a fence as wide as that.
            let outcome = check(&frames, &doubtful(), 13 * HOUR);
            for (frame, became) in frames.iter().zip(&outcome.became) {
                let refuted = became
                    .reason()
                    .is_some_and(|r| r != Quarantine::Unconfirmed);
                assert!(!(frame.honest && refuted), "{batch}, {seed}: {frame:?}");
            }
        }
    }
}

#[test]
fn a_producer_an_hour_ahead_mixed_into_a_partition_is_quarantined() {
    let mut dice = Dice::new(4);
    for share in [10, 25, 33] {
        let frames: Vec<_> = (0..100_000)
            .map(|i| {
                let truth = START + i / 50;
                let ahead = dice.below(100) < share;
                Frame::new(truth, u64::from(truth + if ahead { HOUR } else { 0 }))
            })
            .collect();
        let outcome = check(&frames, &doubtful(), MAX_JUMP_S);
        assert_none_lost(&frames, &outcome, share);
        for (frame, became) in frames.iter().zip(&outcome.became) {
            assert_eq!(frame.honest, became.counted(), "{share} %");
        }
    }
}

#[test]
fn a_producer_an_hour_ahead_alone_on_its_partition_counts_where_it_claims() {
    let mut admission = Admission::new(doubtful());
    let partitions = [0; 4].map(|_| admission.add_partition(0, true));
    let mut counted = 0;
    for i in 0..1_000 {
        for partition in partitions {
            let ts = START + i / 10 + if partition == 2 { HOUR } else { 0 };
            let arrival = Arrival {
                partition,
                offset: i.into(),
                appended: None,
            };
            admission.admit(arrival, Verdict::Seen(uid(i as usize), ts));
            counted += admission
                .take_settled()
                .filter(|s| s.outcome.is_ok())
                .count();
        }
    }
    assert_eq!(counted, partitions.len() * CLOCK_START);
    assert_eq!(admission.ledger().counted, 4_000);
    assert_eq!(admission.watermark(), Some(i64::from(START) + 99 - 5));
    assert_eq!(admission.as_of(), Some(START + 99 + HOUR));
    assert_eq!(admission.ahead(), [], "there may be a backlog");
    for partition in partitions {
        admission.reach_end(partition);
    }
    assert_eq!(admission.ahead(), [(2, HOUR)]);
}

#[test]
fn only_the_brokers_own_clock_is_a_witness_and_only_if_it_agrees() {
    let mut frames = honest(3, Rate::Every(1));
    for frame in &mut frames {
        frame.appended = Some(frame.truth + MAX_JUMP_S);
    }
    let outcome = check(&frames, &doubtful(), 0);
    assert_eq!(outcome.pending, 0, "counted at once");
    for frame in &mut frames {
        frame.appended = Some(frame.truth + MAX_JUMP_S + 1);
    }
    let outcome = check(&frames, &doubtful(), 0);
    assert_eq!(outcome.pending, 3);
    // A day later, one frame is enough to believe in the gap; a flipped one is not believed.
    let mut frames = with_gap(200, 150, Rate::PerSecond(10), DAY);
    frames[160] = Frame::new(frames[160].truth, u64::from(frames[160].truth) + (1 << 24));
    for frame in &mut frames {
        frame.appended = Some(frame.truth + 1);
    }
    let outcome = check_in_context(&frames, &doubtful(), MAX_JUMP_S);
    assert_none_lost(&frames, &outcome, "witnessed");
    for (at, became) in outcome.became.iter().enumerate() {
        let at_once = matches!(became, super::clock::Became::Counted(when) if *when == at);
        assert_eq!(at_once, at != 160);
    }
}
