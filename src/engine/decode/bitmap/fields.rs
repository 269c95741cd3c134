//! Only as much of the frame as it takes to read both fields, for producers that are trusted.
//!
//! What is known for sure is little: which quotes begin and end strings, and how many brackets opened and closed before. A
//! root key is a string as long as a field's name and equal to it, that a colon follows, and before which one bracket
//! more opened than closed.

use super::bytes::Bytes;
use super::full::{PREFETCH, SHORT};
use super::keys::{FIELDS, Names, TS, UID};
use super::lanes::{Lanes, OneLane};
use super::maps::{BLOCK, Maps, TokenMaps};
use super::strings::{self, Strings};
use super::value;
use super::{Found, Job, Work};
use crate::engine::decode::value::Raw;

/// Where the bitmaps of a group are, counted in groups. Two are kept at a time, the one that is looked through and the next; with room
/// between them, because a group that is not whole is emptied beyond its end.
fn slot(group: usize) -> usize {
    2 * (group % 2)
}

pub(super) struct FieldsOnly;

impl Job for FieldsOnly {
    #[inline(always)]
    fn run<'f, B: Bytes, L: Lanes, F: Lanes>(
        bytes: B,
        _: L,
        fewer: F,
        work: Work<'f, '_>,
    ) -> Option<Found<'f>> {
        if work.root.len() <= SHORT {
            search(bytes, OneLane(bytes), work)
        } else {
            // Smaller groups, since on the average half of the last one is looked at in vain.
            search(bytes, fewer, work)
        }
    }
}

#[inline(always)]
fn search<'f, B: Bytes, L: Lanes>(bytes: B, lanes: L, work: Work<'f, '_>) -> Option<Found<'f>> {
    let Work { root, names, maps } = work;
    let mut search = Search {
        bytes,
        lanes,
        root,
        names,
        strings: strings::Carry::default(),
        string_start: lanes.splat(0),
        opened: 0,
        closed: 0,
        values: [None; FIELDS],
    };
    let size = L::COUNT * BLOCK;
    let groups = root.len().div_ceil(size);
    // One group ahead: what was just written word by word cannot be read at once as a whole.
    search.classify(0, maps);
    for group in 0..groups {
        if group + 1 < groups {
            search.classify(group + 1, maps);
        }
        search.look_through(group, maps);
        if let [uid @ Some(_), ts @ Some(_)] = search.values {
            return Some(Found { uid, ts });
        }
    }
    None
}

struct Search<'f, 'n, B: Bytes, L: Lanes> {
    bytes: B,
    lanes: L,
    root: &'f [u8],
    names: &'n Names,
    strings: strings::Carry,
    /// Opening quotes of the group before.
    string_start: L::Word,
    /// Brackets in the groups before.
    opened: u64,
    closed: u64,
    /// What was found, for each field.
    values: [Option<Raw<'f>>; FIELDS],
}

impl<B: Bytes, L: Lanes> Search<'_, '_, B, L> {
    #[inline(always)]
    fn classify(&self, group: usize, maps: &mut Maps) {
        let from = group * L::COUNT * BLOCK;
        let rest = &self.root[from..];
        let (whole, rest) = rest[..rest.len().min(L::COUNT * BLOCK)].as_chunks::<BLOCK>();
        let at = slot(group) * L::COUNT;
        for (i, block) in whole.iter().enumerate() {
            self.bytes.prefetch(block, PREFETCH);
            let block = self.bytes.load(block);
            self.bytes
                .classify_structure(block, &mut maps.structure, at + i);
        }
        if whole.len() == L::COUNT {
            return;
        }
        let at = at + whole.len();
        for row in maps.structure.rows() {
            row.clear_from(self.lanes, at);
        }
        if !rest.is_empty() {
            let block = self.bytes.load_partial(rest);
            self.bytes
                .classify_structure(block, &mut maps.structure, at);
        }
    }

    #[inline(always)]
    fn look_through(&mut self, group: usize, maps: &mut Maps) {
        let (lanes, slot) = (self.lanes, slot(group));
        let Maps {
            structure,
            tokens,
            findings,
            ..
        } = maps;
        let backslash = structure.backslash.group(lanes, slot);
        let quote = structure.quote.group(lanes, slot);
        let Strings { quote, inside, .. } =
            strings::find(lanes, backslash, quote, &mut self.strings);
        let open = lanes.without(structure.open.group(lanes, slot), inside);
        let close = lanes.without(structure.close.group(lanes, slot), inside);
        let string_start = lanes.and(quote, inside);
        let of_length = self
            .names
            .of_length(lanes, string_start, &mut self.string_start);
        let end = lanes.without(quote, inside);
        let [uid, ts] = of_length;
        let (uid, ts) = (lanes.and(end, uid), lanes.and(end, ts));
        let (uid_used, ts_used) = (lanes.used(uid), lanes.used(ts));
        if uid_used | ts_used != 0 {
            tokens.open.put_group(lanes, 0, open);
            tokens.close.put_group(lanes, 0, close);
            findings.candidates[UID].put_group(lanes, 0, uid);
            findings.candidates[TS].put_group(lanes, 0, ts);
            for (field, mut blocks) in [(UID, uid_used), (TS, ts_used)] {
                while blocks != 0 {
                    let block = blocks.trailing_zeros() as usize;
                    blocks &= blocks - 1;
                    let mut ends = findings.candidates[field].word(block);
                    while ends != 0 {
                        let bit = ends.trailing_zeros();
                        ends &= ends - 1;
                        self.look_at(field, (group * L::COUNT, block, bit), tokens);
                    }
                }
            }
        }
        self.opened += lanes.count(open);
        self.closed += lanes.count(close);
    }

    /// Looks at a string that is as long as a field's name. `first` is the group's first block.
    #[inline(always)]
    fn look_at(
        &mut self,
        field: usize,
        (first, block, bit): (usize, usize, u32),
        tokens: &TokenMaps,
    ) {
        let end = (first + block) * BLOCK + bit as usize;
        if !self.names.is_plain(field, self.root, end) {
            return;
        }
        let (mut opened, mut closed) = (self.opened, self.closed);
        for before in 0..block {
            opened += u64::from(tokens.open.word(before).count_ones());
            closed += u64::from(tokens.close.word(before).count_ones());
        }
        let below = (1 << bit) - 1;
        opened += u64::from((tokens.open.word(block) & below).count_ones());
        closed += u64::from((tokens.close.word(block) & below).count_ones());
        // The first of two counts, and what no colon follows is a value.
        if opened == closed + 1 && self.values[field].is_none() {
            self.values[field] = value::behind(self.bytes, self.root, end);
        }
    }
}
