//! Root keys: which are the two fields, and what stands behind them.

use super::lanes::Lanes;
use crate::engine::decode::text;

/// Bytes of a name that are compared at once.
const WORD: usize = 8;

/// A field's name, as it stands in a frame.
#[derive(Debug, Clone)]
struct Name {
    name: Box<[u8]>,
    /// With its quotes, as it mostly stands in a frame. None if it cannot, for want of an escape.
    quoted: Option<Box<[u8]>>,
    /// How far behind the opening quote the closing one is; 0 if the name is not looked for by its length.
    distance: u32,
    /// All bits if any key may be it, because it is too long to be looked for by its length.
    any: u64,
    /// Its first and last words, of which a short name is but a part; `is_short` if these two are all of it.
    head: u64,
    tail: u64,
    mask: u64,
    is_short: bool,
}

impl Name {
    fn new(name: &str) -> Self {
        let needs_escape = name
            .bytes()
            .any(|byte| byte < 0x20 || byte == b'"' || byte == b'\\');
        let quoted: Box<[u8]> = [b"\"", name.as_bytes(), b"\""].concat().into();
        let len = quoted.len();
        let word = |from: usize| {
            let mut word = [0; WORD];
            let len = len.min(WORD);
            word[..len].copy_from_slice(&quoted[from..from + len]);
            u64::from_le_bytes(word)
        };
        let mask = u64::MAX >> (u64::BITS as usize - 8 * len.min(WORD));
        let is_too_long = len as u64 - 1 > u64::from(FURTHEST);
        let distance = if needs_escape || is_too_long {
            0
        } else {
            len as u32 - 1
        };
        Self {
            name: name.as_bytes().into(),
            distance,
            any: u64::from(is_too_long && !needs_escape).wrapping_neg(),
            head: word(0),
            tail: word(len.saturating_sub(WORD)),
            mask,
            is_short: len <= 2 * WORD && !needs_escape,
            quoted: (!needs_escape).then_some(quoted),
        }
    }

    /// Where the closing quote of a key is that is as long as this name, if it begins at one of these quotes; `below` has those of the
    /// lanes below. The places mean something only where a key ends.
    #[inline(always)]
    fn of_length<L: Lanes>(&self, lanes: L, opening: L::Word, below: L::Word) -> L::Word {
        let ends = lanes.or(
            lanes.shl_by(opening, self.distance),
            lanes.shr_by(below, u64::BITS - self.distance),
        );
        lanes.or(ends, lanes.splat(self.any))
    }

    /// Whether the key whose closing quote is at `end` is this one, written as it is. It must be as long, if the name is looked for by
    /// its length.
    #[inline(always)]
    fn is_plain(&self, root: &[u8], end: usize) -> bool {
        if !self.is_short {
            return self.is_plain_and_long(root, end);
        }
        let start = end.wrapping_sub(self.distance as usize);
        // No jump where which of two names it is would be anybody's guess. A value follows on the key, so that mostly there are as
        // many bytes.
        let (head, tail) = (word_at(root, start), word_at(root, self.start_of_tail(end)));
        match (head, tail) {
            (Some(head), Some(tail)) => ((head ^ self.head) | (tail ^ self.tail)) & self.mask == 0,
            _ => self.is_plain_and_long(root, end),
        }
    }

    /// Where the last word begins of the name that ends at `end`.
    #[inline(always)]
    fn start_of_tail(&self, end: usize) -> usize {
        end.wrapping_sub((self.distance as usize).min(WORD - 1))
    }

    #[inline(never)]
    fn is_plain_and_long(&self, root: &[u8], end: usize) -> bool {
        let Some(quoted) = &self.quoted else {
            return false;
        };
        // The root's brace stands before all keys. Where any key may be it, a quote behind a backslash is one in a longer key.
        let Some(before) = end.checked_sub(quoted.len()) else {
            return false;
        };
        root[before] != b'\\' && root[before + 1..=end] == **quoted
    }

    /// Whether the key that ends there is this one, written with escapes.
    fn is_escaped(&self, root: &[u8], end: usize) -> bool {
        text::key_ending_at(root, end)
            .is_some_and(|key| key.contains(&b'\\') && text::unescapes_to(key, &self.name))
    }
}

/// The eight bytes at a place, the first of them lowest.
#[inline(always)]
fn word_at(root: &[u8], at: usize) -> Option<u64> {
    let word = root.get(at..)?.first_chunk::<WORD>()?;
    Some(u64::from_le_bytes(*word))
}

/// The names of the two fields.
#[derive(Debug, Clone)]
pub(in super::super) struct Names([Name; 2]);

/// Longest distance of quotes that a group's shift can tell.
const FURTHEST: u32 = 63;

impl Names {
    pub(in super::super) fn new(uid: &str, ts: &str) -> Self {
        Self([Name::new(uid), Name::new(ts)])
    }

    /// For each field: where the closing quote of a key is that is as long as its name, if it begins at one of these quotes. The
    /// places mean something only where a key ends.
    #[inline(always)]
    pub(super) fn of_length<L: Lanes>(
        &self,
        lanes: L,
        opening: L::Word,
        before: &mut L::Word,
    ) -> [L::Word; FIELDS] {
        let below = lanes.lane_before(opening, *before);
        *before = opening;
        let [uid, ts] = &self.0;
        [
            uid.of_length(lanes, opening, below),
            ts.of_length(lanes, opening, below),
        ]
    }

    /// Whether the key whose closing quote is at `end`, one of those of this field's length, is the field's, written as it is.
    #[inline(always)]
    pub(super) fn is_plain(&self, field: usize, root: &[u8], end: usize) -> bool {
        self.0[field].is_plain(root, end)
    }

    /// Which field's the key is that ends there, if it is one of them and written with escapes.
    #[cold]
    #[inline(never)]
    pub(super) fn field_escaped(&self, root: &[u8], end: usize) -> Option<usize> {
        self.0.iter().position(|name| name.is_escaped(root, end))
    }
}

/// The two fields, as they are numbered here.
pub(super) const FIELDS: usize = 2;
pub(super) const UID: usize = 0;
pub(super) const TS: usize = 1;
