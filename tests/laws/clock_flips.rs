//! Bit flips in the time of frames.

use headcount::engine::clock::Quarantine;
use headcount::limits::{CLOCK_QUORUM, CLOCK_START, CLOCK_VOTES};

use super::clock::{
    Frame, MAX_JUMP_S, MAX_LATENESS_S, RATES, Rate, START, assert_lies_judged, assert_none_lost,
    check, check_in_context, doubtful, honest,
};
use super::dice::Dice;

const BITS: u32 = u64::BITS;

fn every_bit_at(rate: Rate, positions: impl Iterator<Item = usize> + Clone) {
    let rules = doubtful();
    let mut frames = honest(300, rate);
    for bit in 0..BITS {
        for position in positions.clone() {
            let before = frames[position];
            frames[position] = before.flipped(1 << bit);
            let outcome = check(&frames, &rules, rate.reach_s());
            assert_none_lost(&frames, &outcome, (rate, bit, position));
            assert_lies_judged(&frames, &outcome, rate.reach_s());
            frames[position] = before;
        }
    }
}

#[test]
fn each_of_64_bits_flipped_at_each_position_of_a_dense_stream() {
    every_bit_at(Rate::PerSecond(100), 0..300);
}

#[test]
fn each_of_64_bits_flipped_at_each_position_of_a_stream_of_a_frame_a_second() {
    every_bit_at(Rate::Every(1), 0..300);
}

#[test]
fn each_of_64_bits_flipped_at_each_position_of_a_stream_of_a_frame_in_two_minutes() {
    every_bit_at(Rate::Every(120), 0..300);
}

#[test]
fn the_first_frame_flipped() {
    for rate in RATES {
        for bit in 0..BITS {
            let mut frames = honest(200, rate);
            frames[0] = frames[0].flipped(1 << bit);
            let outcome = check_in_context(&frames, &doubtful(), rate.reach_s());
            assert_none_lost(&frames, &outcome, (rate, bit));
            assert_lies_judged(&frames, &outcome, rate.reach_s());
        }
    }
}

/// Nothing follows that could refute it: it is not confirmed, either.
#[test]
fn the_last_frame_flipped() {
    for rate in RATES {
        for bit in 0..BITS {
            let mut frames = honest(200, rate);
            frames[199] = frames[199].flipped(1 << bit);
            let outcome = check_in_context(&frames, &doubtful(), rate.reach_s());
            assert_none_lost(&frames, &outcome, (rate, bit));
            assert_lies_judged(&frames, &outcome, rate.reach_s());
            let says = frames[199].says();
            if says.is_some_and(|ts| ts > frames[199].truth + rate.reach_s()) {
                let unconfirmed = Some(Quarantine::Unconfirmed);
                assert_eq!(outcome.became[199].reason(), unconfirmed);
                assert_eq!(outcome.pending, 1);
            }
        }
    }
}

/// Of the first 12 frames 5 may be wrong in whatever way, as long as the others are the majority.
#[test]
fn the_first_few_frames_flipped() {
    let mut dice = Dice::new(1);
    for rate in RATES {
        for few in 2..=5 {
            for bit in 0..BITS {
                let mut frames = honest(200, rate);
                for (i, frame) in frames[..few].iter_mut().enumerate() {
                    let other = 1 << dice.below(BITS as usize);
                    *frame = frame.flipped(if i == 0 || dice.once_in(2) {
                        1 << bit
                    } else {
                        other
                    });
                }
                let outcome = check_in_context(&frames, &doubtful(), rate.reach_s());
                assert_none_lost(&frames, &outcome, (rate, few, bit));
                assert_lies_judged(&frames, &outcome, rate.reach_s());
            }
        }
    }
}

#[derive(Debug, Clone, Copy)]
enum Bits {
    All,
    Below(u32),
}

fn at_random(rate: Rate, once_in: usize, bits: Bits, seed: u64) {
    let mut dice = Dice::new(seed);
    let mut frames = honest(4_000, rate);
    for frame in &mut frames {
        if dice.once_in(once_in) {
            let bit = match bits {
                Bits::All => dice.below(BITS as usize),
                Bits::Below(bit) => dice.below(bit as usize),
            };
            *frame = frame.flipped(1 << bit);
        }
    }
    let outcome = if seed.is_multiple_of(8) {
        check_in_context(&frames, &doubtful(), rate.reach_s())
    } else {
        check(&frames, &doubtful(), rate.reach_s())
    };
    assert_none_lost(&frames, &outcome, (rate, once_in, bits, seed));
    assert_lies_judged(&frames, &outcome, rate.reach_s());
}

fn at_random_at_all_rates(once_in: usize, bits: &[Bits]) {
    for rate in RATES {
        for bits in bits {
            for seed in 0..24 {
                at_random(rate, once_in, *bits, seed);
            }
        }
    }
}

#[test]
fn one_frame_in_a_thousand_flipped_in_any_bit() {
    at_random_at_all_rates(1_000, &[Bits::All]);
}

#[test]
fn one_frame_in_a_hundred_flipped_in_any_bit() {
    at_random_at_all_rates(100, &[Bits::All]);
}

#[test]
fn one_frame_in_twenty_flipped_in_any_bit() {
    at_random_at_all_rates(20, &[Bits::All]);
}

/// The clock does not walk away in small steps, each of which is believed.
#[test]
fn low_bits_flipped_at_random_do_not_carry_the_clock_away() {
    let low = [4, 6, 7, 10, 13, 16].map(Bits::Below);
    for once_in in [1_000, 100, 20] {
        at_random_at_all_rates(once_in, &low);
    }
}

/// All at once that may be flipped in a burst: one less than the quorum.
const BURST: usize = CLOCK_QUORUM - 1;

#[test]
fn one_bit_flipped_in_a_burst_of_up_to_35_frames() {
    for rate in RATES {
        for bit in 0..BITS {
            for length in [2, 5, 11, 12, 13, 24, 25, BURST - 1, BURST] {
                // Where the burst itself is a pause beyond the fence, the honest frames after it have to wait too, and
                // the majority of both decides.
                if length > CLOCK_VOTES / 2 && rate.at(length) > MAX_JUMP_S {
                    continue;
                }
                for start in [CLOCK_START, 13, 30, 48, 130, 300 - length] {
                    let mut frames = honest(300, rate);
                    for frame in &mut frames[start..start + length] {
                        *frame = frame.flipped(1 << bit);
                    }
                    // The few votes that count stand on both sides of the burst, as far apart as all 48 are.
                    let reach_s = rate.reach_s().max(6 * rate.at(CLOCK_VOTES));
                    let outcome = check(&frames, &doubtful(), reach_s);
                    assert_none_lost(&frames, &outcome, (rate, bit, length, start));
                    assert_lies_judged(&frames, &outcome, reach_s);
                }
            }
        }
    }
}

/// Where a burst is itself a pause beyond the fence, the honest frames after it wait with it: it must not be the majority
/// of 48.
#[test]
fn one_bit_flipped_in_a_burst_of_up_to_23_frames_of_sparse_traffic() {
    for rate in [Rate::Every(2), Rate::Every(120)] {
        for bit in 0..32 {
            for length in [2, 12, 13, 18, 22, CLOCK_VOTES / 2 - 1] {
                for start in [CLOCK_START, 20, 24, 47, 130, 300 - length] {
                    let mut frames = honest(300, rate);
                    for frame in &mut frames[start..start + length] {
                        *frame = frame.flipped(1 << bit);
                    }
                    let reach_s = rate.reach_s().max(6 * rate.at(CLOCK_VOTES));
                    let outcome = check(&frames, &doubtful(), reach_s);
                    assert_none_lost(&frames, &outcome, (rate, bit, length, start));
                }
            }
        }
    }
}

/// From 25 on it is, and is counted where it claims to be: the clock is carried off as by a jump in time.
#[test]
fn a_burst_longer_than_24_in_sparse_traffic_is_taken_for_a_jump_in_time() {
    let mut frames = honest(300, Rate::Every(120));
    for frame in &mut frames[100..125] {
        *frame = frame.flipped(1 << 25);
    }
    let jump = frames[100].says().unwrap() - frames[100].truth;
    let outcome = check_in_context(&frames, &doubtful(), jump);
    assert!(outcome.became.iter().all(|became| became.counted()));
    assert!(outcome.clocks[299] > Some(frames[299].truth + jump / 2));
}

/// One more cannot be told from a true jump in time: the burst is counted where it claims to be, and the frames after
/// it count as late ones, or as too late ones if the jump was longer than `--max-lateness`.
#[test]
fn a_burst_longer_than_35_is_taken_for_a_jump_in_time() {
    for (bit, reason) in [(20, None), (31, Some(Quarantine::Behind))] {
        let mut frames = honest(300, Rate::Every(1));
        let start = 100;
        for frame in &mut frames[start..=start + BURST] {
            *frame = frame.flipped(1 << bit);
        }
        let jump = frames[start].says().unwrap() - frames[start].truth;
        let outcome = check_in_context(&frames, &doubtful(), jump + 60);
        assert!(outcome.became[..=start + BURST].iter().all(|b| b.counted()));
        let after = &outcome.became[start + BURST + 1..];
        assert!(after.iter().all(|became| became.reason() == reason));
    }
}

/// Frames that are flipped back in time stay where they claim to be, or are too far behind.
#[test]
fn a_flip_back_in_time_counts_unless_it_is_further_back_than_max_lateness() {
    let mut frames = honest(100, Rate::Every(1));
    let edge = frames[60].truth - 1 - MAX_LATENESS_S;
    frames[60] = Frame::new(frames[60].truth, edge.into());
    frames[70] = Frame::new(
        frames[70].truth,
        u64::from(frames[69].truth - MAX_LATENESS_S - 1),
    );
    let outcome = check_in_context(&frames, &doubtful(), 60);
    assert_none_lost(&frames, &outcome, START);
    assert!(outcome.became[60].counted());
    assert_eq!(outcome.became[70].reason(), Some(Quarantine::Behind));
}
