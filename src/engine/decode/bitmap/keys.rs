//! Root keys: which are the two fields, and what stands behind them.

use super::lanes::Lanes;
use crate::engine::decode::text;

/// Bytes of a name that are compared at once.
const HEAD: usize = 8;

/// A field's name, as it stands in a frame.
#[derive(Debug, Clone)]
struct Name {
    name: Box<[u8]>,
    /// With its quotes, as it mostly stands in a frame. None if it cannot, for want of an escape.
    quoted: Option<Box<[u8]>>,
    /// The first eight bytes of that, the first of them lowest, and which of them are part of it.
    head: u64,
    head_mask: u64,
}

impl Name {
    fn new(name: &str) -> Self {
        let needs_escape = name
            .bytes()
            .any(|byte| byte < 0x20 || byte == b'"' || byte == b'\\');
        let quoted: Box<[u8]> = [b"\"", name.as_bytes(), b"\""].concat().into();
        let mut head = [0; HEAD];
        let mut head_mask = [0; HEAD];
        for (i, byte) in quoted.iter().take(HEAD).enumerate() {
            head[i] = *byte;
            head_mask[i] = 0xff;
        }
        Self {
            name: name.as_bytes().into(),
            quoted: (!needs_escape).then_some(quoted),
            head: u64::from_le_bytes(head),
            head_mask: u64::from_le_bytes(head_mask),
        }
    }

    /// Whether the key that ends with the quote at `end` is this one, written as it is.
    #[inline(always)]
    fn is_plain(&self, root: &[u8], end: usize) -> bool {
        let Some(quoted) = &self.quoted else {
            return false;
        };
        // The root's brace stands before all keys.
        let Some(before) = end.checked_sub(quoted.len()) else {
            return false;
        };
        // A quote with a backslash before it is one in a longer key.
        let is_whole = root[before] != b'\\';
        // A value follows on the key, so that mostly there are as many bytes.
        let is_it = match root[before + 1..].first_chunk() {
            Some(head) if quoted.len() <= HEAD => self.begins(*head),
            _ => root[before + 1..=end] == **quoted,
        };
        is_whole & is_it
    }

    /// Whether the text that these bytes begin has this name in front, which is no longer than they are. No jump, where which of
    /// the two it is would be anybody's guess.
    #[inline(always)]
    fn begins(&self, head: [u8; HEAD]) -> bool {
        u64::from_le_bytes(head) & self.head_mask == self.head
    }

    /// Whether the key that ends there is this one, written with escapes.
    fn is_escaped(&self, root: &[u8], end: usize) -> bool {
        text::key_ending_at(root, end)
            .is_some_and(|key| key.contains(&b'\\') && text::unescapes_to(key, &self.name))
    }
}

/// The names of the two fields.
#[derive(Debug, Clone)]
pub(in super::super) struct Names {
    uid: Name,
    ts: Name,
    /// How far behind its opening quote the closing one of each name is. 0: it is not looked for by its length.
    distances: [u32; 2],
    /// All bits if a name cannot be looked for by its length.
    any: u64,
}

/// Longest distance of quotes that a group's shift can tell.
const FURTHEST: u32 = 63;

impl Names {
    pub(in super::super) fn new(uid: &str, ts: &str) -> Self {
        let names = [Name::new(uid), Name::new(ts)];
        let distances = [&names[0], &names[1]].map(|name| match &name.quoted {
            Some(quoted) => (quoted.len() as u64 - 1).min(u64::from(FURTHEST) + 1) as u32,
            None => 0,
        });
        let [uid, ts] = names;
        Self {
            uid,
            ts,
            any: u64::from(distances.iter().any(|distance| *distance > FURTHEST)).wrapping_neg(),
            distances: distances.map(|distance| if distance > FURTHEST { 0 } else { distance }),
        }
    }

    /// Where the closing quote of a key is that is as long as one of the names, if it begins at one of these quotes. The
    /// places mean something only where a key ends.
    #[inline(always)]
    pub(super) fn of_length<L: Lanes>(
        &self,
        lanes: L,
        opening: L::Word,
        before: &mut L::Word,
    ) -> L::Word {
        let below = lanes.lane_before(opening, *before);
        *before = opening;
        let [a, b] = self.distances.map(|distance| (distance, 64 - distance));
        let a = lanes.or(lanes.shl_by(opening, a.0), lanes.shr_by(below, a.1));
        let b = lanes.or(lanes.shl_by(opening, b.0), lanes.shr_by(below, b.1));
        lanes.or(lanes.or(a, b), lanes.splat(self.any))
    }

    /// Which field's the key is that ends with the quote at `end`.
    #[inline(always)]
    pub(super) fn field(&self, root: &[u8], end: usize) -> Option<Field> {
        if self.uid.is_plain(root, end) {
            return Some(Field::Uid);
        }
        if self.ts.is_plain(root, end) {
            return Some(Field::Ts);
        }
        None
    }

    /// The same as two places: `end` at the field's, 0 at the other.
    #[inline(always)]
    pub(super) fn ends_of_fields(&self, root: &[u8], end: usize) -> (usize, usize) {
        let is_uid = self.uid.is_plain(root, end);
        let is_ts = self.ts.is_plain(root, end) & !is_uid;
        (end * usize::from(is_uid), end * usize::from(is_ts))
    }

    /// The same for a key that is written with escapes.
    #[cold]
    #[inline(never)]
    pub(super) fn field_escaped(&self, root: &[u8], end: usize) -> Option<Field> {
        if self.uid.is_escaped(root, end) {
            Some(Field::Uid)
        } else if self.ts.is_escaped(root, end) {
            Some(Field::Ts)
        } else {
            None
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Field {
    Uid,
    Ts,
}
