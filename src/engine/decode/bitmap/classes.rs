//! The classes of bytes, from what is known of each byte.
//!
//! A mark or a sign is told from the others of its kind by single bits of its ASCII code:
//!
//! | | bit 6 | bit 5 | bit 1 |
//! |---|---|---|---|
//! | sign `{` `[` | 1 | | 1 |
//! | sign `}` `]` | 1 | | 0 |
//! | sign `:` (and 0x1a) | 0 | | 1 |
//! | sign `,` (and 0x0c) | 0 | | 0 |
//! | mark backslash | 1 | | |
//! | mark `"` | 0 | 1 | 1 |
//! | mark space | 0 | 1 | 0 |
//! | mark tab, line feed, carriage return | 0 | 0 | |

use super::lanes::Lanes;
use super::maps::ByteMaps;

/// One group's classes.
pub(super) struct Classes<L: Lanes> {
    pub(super) backslash: L::Word,
    pub(super) quote: L::Word,
    /// `{` and `[`.
    pub(super) open: L::Word,
    /// `}` and `]`.
    pub(super) close: L::Word,
    /// Also 0x0c, which is a control character too.
    pub(super) comma: L::Word,
    /// Also 0x1a, which is a control character too.
    pub(super) colon: L::Word,
    /// What is white space to JSON: space, tab, line feed, carriage return.
    pub(super) space: L::Word,
    /// Below 0x20.
    pub(super) control: L::Word,
    /// What may stand behind a backslash, but for `"` and `u`.
    pub(super) letter: L::Word,
    /// 0x80 and above.
    pub(super) high: L::Word,
}

#[inline(always)]
pub(super) fn of_group<L: Lanes>(lanes: L, maps: &ByteMaps, group: usize) -> Classes<L> {
    let sign = maps.sign.group(lanes, group);
    let mark = maps.mark.group(lanes, group);
    let bit1 = maps.bit1.group(lanes, group);
    let bit5 = maps.bit5.group(lanes, group);
    let bit6 = maps.bit6.group(lanes, group);
    let high = maps.bit7.group(lanes, group);
    let bracket = lanes.and(sign, bit6);
    let point = lanes.without(sign, bit6);
    let blank_or_quote = lanes.without(mark, bit6);
    let quote = lanes.and(blank_or_quote, lanes.and(bit5, bit1));
    Classes {
        backslash: lanes.and(mark, bit6),
        quote,
        open: lanes.and(bracket, bit1),
        close: lanes.without(bracket, bit1),
        comma: lanes.without(point, bit1),
        colon: lanes.and(point, bit1),
        space: lanes.without(blank_or_quote, quote),
        control: lanes.without(
            lanes.splat(u64::MAX),
            lanes.or(lanes.or(bit5, bit6), high),
        ),
        letter: maps.letter.group(lanes, group),
        high,
    }
}
