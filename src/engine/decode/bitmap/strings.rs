//! Which quotes begin and end strings, and so what stands outside of them.

use super::classes;
use super::lanes::Lanes;
use super::maps::{ByteMaps, TokenMaps};

/// Every other bit, from the second on.
const ODD: u64 = 0xaaaa_aaaa_aaaa_aaaa;

/// What one group leaves for the next.
#[derive(Clone, Copy, Default)]
pub(super) struct Carry {
    /// 1 if the next byte stands behind a backslash.
    pub(super) escaped: u64,
    /// 1 if the next byte is inside a string.
    pub(super) inside: u64,
}

/// The bytes that stand behind a backslash, which is not itself behind one.
///
/// Every second one of a run of backslashes escapes. A run that begins at an even place escapes what lies at odd ones and
/// the other way round, and which of the two holds for the byte behind a run is what a subtraction finds: taken from
/// all odd places, the first backslash of a run borrows through it to its end (Geoff Langdale's idea; as in simdjson).
#[inline(always)]
pub(super) fn escaped<L: Lanes>(lanes: L, backslash: L::Word, carry: &mut Carry) -> L::Word {
    let odd = lanes.splat(ODD);
    let from_before = lanes.and(lanes.spread(carry.escaped), first_bit(lanes));
    // A backslash that is escaped itself begins no run.
    let begins = lanes.without(backslash, from_before);
    let behind = lanes.shift_in(begins, &mut lanes.splat(0));
    let runs = lanes.sub_long(lanes.or(behind, odd), begins);
    let escapes_and_ends = lanes.xor(runs, odd);
    let escaped = lanes.xor(escapes_and_ends, lanes.or(backslash, from_before));
    carry.escaped = last_bit(lanes, lanes.and(escapes_and_ends, backslash));
    escaped
}

/// The lowest bit of each lane.
#[inline(always)]
fn first_bit<L: Lanes>(lanes: L) -> L::Word {
    lanes.splat(1)
}

/// The highest bit of the number.
#[inline(always)]
pub(super) fn last_bit<L: Lanes>(lanes: L, word: L::Word) -> u64 {
    (lanes.tops(word) >> (L::COUNT - 1)) & 1
}

/// Quotes that count, and what is inside of strings.
pub(super) struct Strings<L: Lanes> {
    pub(super) escaped: L::Word,
    pub(super) quote: L::Word,
    pub(super) inside: L::Word,
}

#[inline(always)]
pub(super) fn find<L: Lanes>(lanes: L, backslash: L::Word, quote: L::Word, carry: &mut Carry) -> Strings<L> {
    let escaped = escaped(lanes, backslash, carry);
    let quote = lanes.without(quote, escaped);
    // An odd number of quotes up to here: inside. So the opening quote is, the closing one is not.
    let inside = lanes.prefix_xor(quote, &mut carry.inside);
    Strings {
        escaped,
        quote,
        inside,
    }
}

/// What is wrong with a group, and what is still to be looked at.
pub(super) struct Marked<L: Lanes> {
    /// Control characters where there may be none.
    pub(super) wrong: L::Word,
    /// Escapes for which there is no letter.
    pub(super) odd_escape: L::Word,
    pub(super) bracket: L::Word,
    /// Bytes beyond ASCII.
    pub(super) high: L::Word,
}

/// Enters the tokens of a group. `within` has the bytes of the frame, which may end in this group.
#[inline(always)]
pub(super) fn mark<L: Lanes>(
    lanes: L,
    bytes: &ByteMaps,
    tokens: &mut TokenMaps,
    group: usize,
    within: L::Word,
    carry: &mut Carry,
) -> Marked<L> {
    let classes = classes::of_group(lanes, bytes, group);
    let Strings {
        escaped,
        quote,
        inside,
    } = find(lanes, classes.backslash, classes.quote, carry);
    let open = lanes.without(classes.open, inside);
    let close = lanes.without(classes.close, inside);
    let comma = lanes.without(classes.comma, inside);
    let colon = lanes.without(classes.colon, inside);
    let space = lanes.and(lanes.without(classes.space, inside), within);
    let bracket = lanes.or(open, close);
    let known = lanes.or(
        lanes.or(inside, quote),
        lanes.or(lanes.or(bracket, comma), lanes.or(colon, space)),
    );
    let scalar = lanes.without(within, known);
    // A control character may be white space outside of strings, and nothing else.
    let wrong = lanes.without(lanes.and(classes.control, within), space);
    tokens.quote.put_group(lanes, group, quote);
    tokens.inside.put_group(lanes, group, inside);
    tokens.open.put_group(lanes, group, open);
    tokens.close.put_group(lanes, group, close);
    tokens.comma.put_group(lanes, group, comma);
    tokens.colon.put_group(lanes, group, colon);
    tokens.space.put_group(lanes, group, space);
    tokens.scalar.put_group(lanes, group, scalar);
    tokens.backslash.put_group(lanes, group, classes.backslash);
    // What may stand behind a backslash: a letter or a quote. A backslash outside of a string is no business of this
    // phase: it is not of a number or literal, so the scalar that it is in is wrong.
    let lettered = lanes.or(classes.letter, classes.quote);
    Marked {
        wrong,
        odd_escape: lanes.without(escaped, lettered),
        bracket,
        high: classes.high,
    }
}
