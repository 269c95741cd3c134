//! Which quotes begin and end strings, and so what stands outside of them.

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
pub(super) fn find<L: Lanes>(
    lanes: L,
    maps: &ByteMaps,
    group: usize,
    carry: &mut Carry,
) -> Strings<L> {
    let escaped = escaped(lanes, maps.backslash.group(lanes, group), carry);
    let quote = lanes.without(maps.quote.group(lanes, group), escaped);
    // An odd number of quotes up to here: inside. So the opening quote is, the closing one is not.
    let inside = lanes.prefix_xor(quote, &mut carry.inside);
    Strings {
        escaped,
        quote,
        inside,
    }
}

/// What is wrong with a group's strings, and what is still to be looked at.
pub(super) struct Marked<L: Lanes> {
    /// Control characters in strings.
    pub(super) wrong: L::Word,
    /// Escapes for which there is no letter.
    pub(super) odd_escape: L::Word,
    pub(super) bracket: L::Word,
}

/// Enters the tokens of a group. `within` has the bytes of the frame, which may end in this group.
#[inline(always)]
pub(super) fn mark<L: Lanes>(
    lanes: L,
    bytes: &ByteMaps,
    tokens: &mut TokenMaps,
    group: usize,
    within: Option<L::Word>,
    carry: &mut Carry,
) -> Marked<L> {
    let Strings {
        escaped,
        quote,
        inside,
    } = find(lanes, bytes, group, carry);
    let open = lanes.without(bytes.open.group(lanes, group), inside);
    let close = lanes.without(bytes.close.group(lanes, group), inside);
    let comma = lanes.without(bytes.comma.group(lanes, group), inside);
    let colon = lanes.without(bytes.colon.group(lanes, group), inside);
    let mut space = lanes.without(bytes.space.group(lanes, group), inside);
    let bracket = lanes.or(open, close);
    let known = lanes.or(
        lanes.or(inside, quote),
        lanes.or(lanes.or(bracket, comma), lanes.or(colon, space)),
    );
    let mut scalar = lanes.without(lanes.splat(u64::MAX), known);
    if let Some(within) = within {
        space = lanes.and(space, within);
        scalar = lanes.and(scalar, within);
    }
    tokens.quote.put_group(lanes, group, quote);
    tokens.inside.put_group(lanes, group, inside);
    tokens.open.put_group(lanes, group, open);
    tokens.close.put_group(lanes, group, close);
    tokens.comma.put_group(lanes, group, comma);
    tokens.colon.put_group(lanes, group, colon);
    tokens.space.put_group(lanes, group, space);
    tokens.scalar.put_group(lanes, group, scalar);
    // What may stand behind a backslash: a letter or a quote. A backslash outside of a string is no business of this
    // phase: it is not of a number or literal, so the scalar that it is in is wrong.
    let lettered = lanes.or(
        bytes.letter.group(lanes, group),
        bytes.quote.group(lanes, group),
    );
    Marked {
        wrong: lanes.and(bytes.control.group(lanes, group), inside),
        odd_escape: lanes.without(escaped, lettered),
        bracket,
    }
}
