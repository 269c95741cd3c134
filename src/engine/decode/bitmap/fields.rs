//! Only as much of the frame as it takes to read both fields, for producers that are trusted.
//!
//! What is known for sure is little: which quotes begin and end strings, and how deep each byte lies. A root key is a string
//! of the root's own that a colon follows.

use super::bytes::Bytes;
use super::keys::{Field, Names};
use super::lanes::Lanes;
use super::maps::{BLOCK, Maps};
use super::strings::{self, Strings};
use super::value;
use super::{Found, Job, Work};
use crate::engine::decode::value::Raw;

/// How far ahead memory is asked for, in bytes. Less than for the whole frame, as the rest of it is not read.
const PREFETCH: usize = 1_024;

pub(super) struct FieldsOnly;

impl Job for FieldsOnly {
    #[inline(always)]
    fn run<'f, B: Bytes, L: Lanes>(bytes: B, lanes: L, work: Work<'f, '_>) -> Option<Found<'f>> {
        let Work { root, names, maps } = work;
        let mut search = Search {
            bytes,
            lanes,
            root,
            names,
            strings: strings::Carry::default(),
            string_start: lanes.splat(0),
            depth: 0,
            at_root: 0,
            next_at_root: 0,
            uid: None,
            ts: None,
        };
        for (i, group) in root.chunks(L::COUNT * BLOCK).enumerate() {
            search.take(group, i * L::COUNT * BLOCK, maps);
            if search.uid.is_some() && search.ts.is_some() {
                return Some(Found {
                    uid: search.uid,
                    ts: search.ts,
                });
            }
            if search.depth == 0 {
                break;
            }
        }
        None
    }
}

struct Search<'f, 'n, B: Bytes, L: Lanes> {
    bytes: B,
    lanes: L,
    root: &'f [u8],
    names: &'n Names,
    strings: strings::Carry,
    /// Opening quotes of the group before.
    string_start: L::Word,
    depth: usize,
    /// 1 if the last byte lay in the root itself.
    at_root: u64,
    /// Whether that changes with the next group's first byte.
    next_at_root: u64,
    uid: Option<Raw<'f>>,
    ts: Option<Raw<'f>>,
}

impl<B: Bytes, L: Lanes> Search<'_, '_, B, L> {
    /// Looks through the group that begins at `from`.
    #[inline(always)]
    fn take(&mut self, group: &[u8], from: usize, maps: &mut Maps) {
        let lanes = self.lanes;
        self.classify(group, maps);
        let Strings { quote, inside, .. } = strings::find(lanes, &maps.bytes, 0, &mut self.strings);
        let brackets = lanes.or(
            maps.bytes.open.group(lanes, 0),
            maps.bytes.close.group(lanes, 0),
        );
        let brackets = lanes.without(brackets, inside);
        maps.changes.at_root.put_group(lanes, 0, lanes.splat(0));
        maps.changes.at_root.0[L::COUNT] = 0;
        maps.changes.at_root.0[0] ^= self.next_at_root;
        let used = lanes.used(brackets);
        if used != 0 {
            maps.tokens.bracket.put_group(lanes, 0, brackets);
            self.follow(group, used, maps);
        }
        self.next_at_root = maps.changes.at_root.0[L::COUNT];
        let at_root = lanes.prefix_xor(maps.changes.at_root.group(lanes, 0), &mut self.at_root);
        let string_start = lanes.and(quote, inside);
        let of_length = self
            .names
            .of_length(lanes, string_start, &mut self.string_start);
        let string_end = lanes.without(lanes.and(quote, at_root), inside);
        let candidates = lanes.and(string_end, of_length);
        let used = lanes.used(candidates);
        if used != 0 {
            maps.findings.candidate.put_group(lanes, 0, candidates);
            self.look(used, from, maps);
        }
    }

    #[inline(always)]
    fn classify(&self, group: &[u8], maps: &mut Maps) {
        let (whole, rest) = group.as_chunks::<BLOCK>();
        for (at, block) in whole.iter().enumerate() {
            self.bytes.prefetch(block, PREFETCH);
            self.bytes
                .classify_structure(self.bytes.load(block), &mut maps.bytes, at);
        }
        if whole.len() == L::COUNT {
            return;
        }
        maps.bytes
            .each_of_structure(|row| row.clear_from(self.lanes, whole.len()));
        if !rest.is_empty() {
            let block = self.bytes.load_partial(rest);
            self.bytes
                .classify_structure(block, &mut maps.bytes, whole.len());
        }
    }

    /// Enters where the root's own bytes begin and end, up to the end of the root.
    #[inline(always)]
    fn follow(&mut self, group: &[u8], mut used: u64, maps: &mut Maps) {
        let mut count = 0;
        while used != 0 {
            let at = used.trailing_zeros() as usize;
            used &= used - 1;
            let Some(into) = maps
                .brackets
                .get_mut(count..)
                .and_then(|rest| rest.first_chunk_mut())
            else {
                break;
            };
            count += self
                .bytes
                .places(maps.tokens.bracket.word(at), (at * BLOCK) as u16, into);
        }
        for place in maps.brackets.iter().take(count) {
            let place = usize::from(*place) & (super::maps::MAX_LANES * BLOCK - 1);
            let Some(byte) = group.get(place) else {
                break;
            };
            let opens = usize::from((byte >> 1) & 1);
            let was_at_root = self.depth == 1;
            self.depth = (self.depth + opens).saturating_sub(1 - opens);
            let (word, bit) = ((place + 1) / 64, (place + 1) % 64);
            maps.changes.at_root.0[word] ^= u64::from(was_at_root ^ (self.depth == 1)) << bit;
            if self.depth == 0 {
                break;
            }
        }
    }

    /// Looks at strings of the root's own that are as long as a field's name.
    #[inline(always)]
    fn look(&mut self, mut blocks: u64, from: usize, maps: &Maps) {
        while blocks != 0 {
            let block = blocks.trailing_zeros() as usize;
            blocks &= blocks - 1;
            let mut ends = maps.findings.candidate.word(block);
            while ends != 0 {
                let end = from + block * BLOCK + ends.trailing_zeros() as usize;
                ends &= ends - 1;
                // The first of two counts, and what no colon follows is a value.
                match self.names.field(self.root, end) {
                    Some(Field::Uid) if self.uid.is_none() => {
                        self.uid = value::behind(self.bytes, self.root, end);
                    }
                    Some(Field::Ts) if self.ts.is_none() => {
                        self.ts = value::behind(self.bytes, self.root, end);
                    }
                    _ => {}
                }
            }
        }
    }
}
