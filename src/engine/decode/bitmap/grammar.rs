//! The grammar of JSON as rules over bitmaps: each token's right to its place follows from the token before it and from the
//! kind of the innermost container.
//!
//! With `before(x)` for "the token before this byte is an x", white space passed over:
//!
//! | token | may stand |
//! |---|---|
//! | a string | behind `{`, `[`, `,` or `:`; in an object, unless behind `:`, it is a key |
//! | `{`, `[`, a number, a literal | behind `:`, or in an array behind `[` or `,` |
//! | `,` | not behind `{`, `[`, `,` or `:` |
//! | `}`, `]` | not behind `,` or `:` |
//! | `:` | behind a key, and nothing else may |
//!
//! That is the whole grammar, but for what other phases see to: that brackets pair (`brackets`), what is in strings
//! (`strings`, `escapes`, `utf8`), how numbers and literals are spelled (`numbers`, `literal`), and that the root's end is the frame's
//! (`full`). The tests compare the sum with a reader that goes byte by byte.

use super::keys::{FIELDS, Names, TS, UID};
use super::lanes::Lanes;
use super::maps::{ChangeMaps, FindingMaps, Row, TokenMaps};
use super::strings::last_bit;

/// What one group leaves for the next: of each of these, whether the last token was it.
pub(super) struct Grammar<L: Lanes> {
    open: L::Word,
    comma: L::Word,
    colon: L::Word,
    key_end: L::Word,
    /// The last bytes of scalars.
    scalar: L::Word,
    /// Opening quotes of keys.
    key_start: L::Word,
    /// 1 if the next byte is inside a key.
    in_key: u64,
    /// 1 if the next byte is inside a key in which there was a backslash.
    in_escaped_key: u64,
    in_object: u64,
    at_root: u64,
    /// Everything that broke a rule.
    pub(super) wrong: L::Word,
}

/// What a group holds that is to be looked at, by blocks.
pub(super) struct Found {
    pub(super) scalars: u64,
    /// For each field.
    pub(super) candidates: [u64; FIELDS],
    pub(super) escaped_keys: u64,
}

impl<L: Lanes> Grammar<L> {
    /// Before the root, which is a value like one behind a colon.
    #[inline(always)]
    pub(super) fn at_start(lanes: L) -> Self {
        let none = lanes.splat(0);
        Self {
            open: none,
            comma: none,
            colon: lanes.splat(1 << 63),
            key_end: none,
            scalar: none,
            key_start: none,
            in_key: 0,
            in_escaped_key: 0,
            in_object: 0,
            at_root: 0,
            wrong: none,
        }
    }

    /// Judges a group, and enters what is left to be looked at.
    #[inline(always)]
    pub(super) fn judge(
        &mut self,
        lanes: L,
        (tokens, changes): (&TokenMaps, &ChangeMaps),
        findings: &mut FindingMaps,
        group: usize,
        names: &Names,
    ) -> Found {
        let [quote, inside, open, close, comma, colon, space, scalar] =
            tokens.for_grammar(lanes, group);
        let in_object = behind_changes(lanes, &changes.in_object, group, &mut self.in_object);
        let at_root = behind_changes(lanes, &changes.at_root, group, &mut self.at_root);

        let space = Space {
            is_any: lanes.used(space) != 0,
            bytes: space,
        };
        let after_open = before(lanes, open, &mut self.open, &space);
        let after_comma = before(lanes, comma, &mut self.comma, &space);
        let after_colon = before(lanes, colon, &mut self.colon, &space);
        let member_due = lanes.or(after_open, after_comma);
        let value_due = lanes.or(after_colon, lanes.without(member_due, in_object));
        let string_due = lanes.or(member_due, after_colon);

        let string_start = lanes.and(quote, inside);
        let key_start = lanes.and(lanes.and(string_start, member_due), in_object);
        // A carry that is let in at the opening quote of a key runs through all of it, and comes out at its closing quote.
        let passed = lanes.add_long(inside, key_start, &mut self.in_key);
        let key_end = lanes.without(passed, inside);
        let after_key = before(lanes, key_end, &mut self.key_end, &space);
        let scalar_start = lanes.without(scalar, lanes.shift_in(scalar, &mut self.scalar));

        let wrong_value = lanes.or(
            lanes.without(string_start, string_due),
            lanes.without(lanes.or(open, scalar_start), value_due),
        );
        let wrong_sign = lanes.or(
            lanes.and(comma, string_due),
            lanes.and(close, lanes.or(after_comma, after_colon)),
        );
        let wrong_colon = lanes.xor(colon, after_key);
        let wrong = lanes.or(lanes.or(wrong_value, wrong_sign), wrong_colon);
        self.wrong = lanes.or(self.wrong, wrong);

        let root_key_end = lanes.and(key_end, at_root);
        let of_length = names.of_length(lanes, key_start, &mut self.key_start);
        // Not by `map`, whose closures would not be compiled for the instructions that they use.
        let [uid, ts] = of_length;
        let candidates = [lanes.and(root_key_end, uid), lanes.and(root_key_end, ts)];
        // The bytes of root keys, opening quotes included: what the carry emptied on its way.
        let root_key = lanes.and(lanes.without(inside, passed), at_root);
        let escape = lanes.and(root_key, tokens.backslash.group(lanes, group));
        let mut escaped_keys = 0;
        if (lanes.used(escape) | self.in_escaped_key) != 0 {
            let escaped_key = self.escaped_keys(lanes, root_key, escape, root_key_end);
            findings.escaped_key.put_group(lanes, group, escaped_key);
            escaped_keys = lanes.used(escaped_key);
        }
        findings.candidates[UID].put_group(lanes, group, candidates[UID]);
        findings.candidates[TS].put_group(lanes, group, candidates[TS]);
        Found {
            // A number may end with a block: whether it may is seen in the next one.
            scalars: lanes.used(scalar) | (lanes.tops(scalar) << 1),
            candidates: [lanes.used(candidates[UID]), lanes.used(candidates[TS])],
            escaped_keys,
        }
    }

    /// The ends of root keys in which there is a backslash.
    #[inline(always)]
    fn escaped_keys(
        &mut self,
        lanes: L,
        root_key: L::Word,
        escape: L::Word,
        root_key_end: L::Word,
    ) -> L::Word {
        // A carry let in at the first backslash comes out at the key's end. Later ones in the same key find it emptied, so
        // they change nothing that matters.
        let passed = lanes.add_long(root_key, escape, &mut self.in_escaped_key);
        lanes.and(passed, root_key_end)
    }
}

/// What the brackets before each byte have made of something that they change.
#[inline(always)]
fn behind_changes<L: Lanes>(lanes: L, changes: &Row, group: usize, parity: &mut u64) -> L::Word {
    let changes = changes.group(lanes, group);
    lanes.xor(lanes.prefix_xor(changes, parity), changes)
}

/// White space outside of strings.
struct Space<L: Lanes> {
    bytes: L::Word,
    /// Mostly there is none, and nothing to be passed over.
    is_any: bool,
}

/// Whether the token before a byte is one of `tokens`, white space passed over. `carry` is the same of the group before.
#[inline(always)]
fn before<L: Lanes>(lanes: L, tokens: L::Word, carry: &mut L::Word, space: &Space<L>) -> L::Word {
    let last = last_bit(lanes, tokens);
    let next = lanes.shift_in(tokens, carry);
    if !space.is_any {
        return next;
    }
    // A carry that is let in at the first byte of white space behind the token comes out behind the last.
    let mut beyond = 0;
    let passed = lanes.add_long(space.bytes, lanes.and(next, space.bytes), &mut beyond);
    *carry = lanes.splat((last | beyond) << 63);
    lanes.without(lanes.or(next, passed), space.bytes)
}
