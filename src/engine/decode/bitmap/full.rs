//! The whole frame: every rule of RFC 8259, and UTF-8. Chunk by chunk, phase by phase.

use super::brackets::Containers;
use super::bytes::Bytes;
use super::escapes;
use super::grammar::Grammar;
use super::keys::{FIELDS, Names, TS, UID};
use super::lanes::{Lanes, OneLane};
use super::maps::{BLOCK, CHUNK, MAX_LANES, Maps};
use super::numbers::Numbers;
use super::strings;
use super::utf8::Utf8;
use super::value;
use super::{Found, Job, Work};

/// Frames up to so many bytes are judged a block at a time: filling more lanes takes longer than they have blocks for.
pub(super) const SHORT: usize = 3 * BLOCK;
/// How far ahead memory is asked for, in bytes. Frames mostly lie one behind the other, in a file's buffer as in a fetched
/// batch of Kafka's.
pub(super) const PREFETCH: usize = 4_096;

pub(super) struct Full;

impl Job for Full {
    #[inline(always)]
    fn run<'f, B: Bytes, L: Lanes, F: Lanes>(
        bytes: B,
        lanes: L,
        _: F,
        work: Work<'f, '_>,
    ) -> Option<Found<'f>> {
        if work.root.len() <= SHORT {
            scan(bytes, OneLane(bytes), work)
        } else {
            scan(bytes, lanes, work)
        }
    }
}

#[inline(always)]
fn scan<'f, B: Bytes, L: Lanes>(bytes: B, lanes: L, work: Work<'f, '_>) -> Option<Found<'f>> {
    let Work { root, names, maps } = work;
    let mut frame = Frame {
        bytes,
        lanes,
        root,
        names,
        strings: strings::Carry::default(),
        digits_due: 0,
        containers: Containers::ROOT,
        grammar: Grammar::at_start(lanes),
        numbers: Numbers::default(),
        utf8: Utf8::default(),
        ends: [0; FIELDS],
    };
    if frame.is_short() {
        // All of it at once: what would be handed on from chunk to chunk is known to be nothing.
        return if frame.take(root, 0, maps) {
            frame.end()
        } else {
            None
        };
    }
    for (i, chunk) in root.chunks(CHUNK).enumerate() {
        if !frame.take(chunk, i * CHUNK, maps) {
            return None;
        }
    }
    frame.end()
}

/// A frame on its way through the phases.
struct Frame<'f, 'n, B: Bytes, L: Lanes> {
    bytes: B,
    lanes: L,
    /// From the brace on that opens the root.
    root: &'f [u8],
    names: &'n Names,
    strings: strings::Carry,
    digits_due: u64,
    containers: Containers,
    grammar: Grammar<L>,
    numbers: Numbers,
    utf8: Utf8,
    /// Closing quotes of the last keys that name a field, for each of the two; 0 is none.
    ends: [usize; FIELDS],
}

/// What is to be looked at in a chunk after the grammar, by blocks.
#[derive(Default)]
struct Left {
    scalars: u64,
    candidates: [u64; FIELDS],
    escaped_keys: u64,
}

impl<'f, B: Bytes, L: Lanes> Frame<'f, '_, B, L> {
    /// Takes the chunk that begins at `from`; false if it is wrong.
    #[inline(always)]
    fn take(&mut self, chunk: &[u8], from: usize, maps: &mut Maps) -> bool {
        let blocks = self.classify(chunk, maps);
        let Some((brackets, high)) = self.mark(chunk, blocks, maps) else {
            return false;
        };
        if !self.containers.follow(self.bytes, from, brackets, maps) {
            return false;
        }
        let left = self.judge(blocks, maps);
        let scalars = if self.is_short() {
            // All: which of so few they are would be anybody's guess.
            (1 << blocks) - 1
        } else {
            left.scalars | self.numbers.goes_on()
        };
        let numbers_are_good =
            (self.numbers).are_good(self.bytes, self.root, (from, scalars), &maps.tokens);
        self.find_fields(&left, (from, blocks), maps);
        self.utf8.check(self.bytes, self.root, from, high);
        numbers_are_good && self.utf8.is_good() && self.lanes.used(self.grammar.wrong) == 0
    }

    /// Whether the frame has so few blocks that they are looked at without asking whether there is anything in them.
    #[inline(always)]
    fn is_short(&self) -> bool {
        L::COUNT == 1 && self.root.len() <= SHORT
    }

    /// What each byte is; returns the number of blocks.
    #[inline(always)]
    fn classify(&self, chunk: &[u8], maps: &mut Maps) -> usize {
        let (whole, rest) = chunk.as_chunks::<BLOCK>();
        for (at, block) in whole.iter().enumerate() {
            self.bytes.prefetch(block, PREFETCH);
            let block = self.bytes.load(block);
            self.bytes.classify(block, &mut maps.bytes, at);
        }
        if rest.is_empty() {
            return whole.len();
        }
        let block = self.bytes.load_partial(rest);
        self.bytes.classify(block, &mut maps.bytes, whole.len());
        whole.len() + 1
    }

    /// Strings, and what is outside; returns which blocks have brackets, and which have bytes beyond ASCII. None if a string
    /// is wrong.
    #[inline(always)]
    fn mark(&mut self, chunk: &[u8], blocks: usize, maps: &mut Maps) -> Option<(u64, u64)> {
        let lanes = self.lanes;
        if !blocks.is_multiple_of(L::COUNT) {
            for row in maps.bytes.rows() {
                row.clear_from(lanes, blocks);
            }
        }
        let groups = blocks.div_ceil(L::COUNT);
        let (mut brackets, mut high) = (0, 0);
        for group in 0..groups {
            let within = if group + 1 == groups {
                within(lanes, chunk.len(), group)
            } else {
                lanes.splat(u64::MAX)
            };
            let marked = strings::mark(
                lanes,
                &maps.bytes,
                &mut maps.tokens,
                group,
                within,
                &mut self.strings,
            );
            self.grammar.wrong = lanes.or(self.grammar.wrong, marked.wrong);
            if (lanes.used(marked.odd_escape) | self.digits_due) != 0 {
                let in_group = group * L::COUNT..blocks.min((group + 1) * L::COUNT);
                maps.tokens
                    .odd_escape
                    .put_group(lanes, group, marked.odd_escape);
                let odd = &maps.tokens.odd_escape;
                if !escapes::are_good(self.bytes, chunk, odd, in_group, &mut self.digits_due) {
                    return None;
                }
            }
            maps.tokens.bracket.put_group(lanes, group, marked.bracket);
            brackets |= lanes.used(marked.bracket) << (group * L::COUNT);
            high |= lanes.used(marked.high) << (group * L::COUNT);
            maps.changes
                .in_object
                .put_group(lanes, group, lanes.splat(0));
            maps.changes.at_root.put_group(lanes, group, lanes.splat(0));
        }
        Some((brackets, high))
    }

    #[inline(always)]
    fn judge(&mut self, blocks: usize, maps: &mut Maps) -> Left {
        let mut left = Left::default();
        let Maps {
            tokens,
            changes,
            findings,
            ..
        } = maps;
        for group in 0..blocks.div_ceil(L::COUNT) {
            let found =
                self.grammar
                    .judge(self.lanes, (tokens, changes), findings, group, self.names);
            left.scalars |= found.scalars << (group * L::COUNT);
            for (blocks, found) in left.candidates.iter_mut().zip(found.candidates) {
                *blocks |= found << (group * L::COUNT);
            }
            left.escaped_keys |= found.escaped_keys << (group * L::COUNT);
        }
        left
    }

    /// Notes which keys name a field. Of a key that stands twice the last one counts, however it is written.
    #[inline(always)]
    fn find_fields(&mut self, left: &Left, (from, count): (usize, usize), maps: &Maps) {
        for field in [UID, TS] {
            let row = &maps.findings.candidates[field];
            let mut blocks = left.candidates[field];
            if self.is_short() && count == 2 {
                // In which of the two it is would be anybody's guess.
                let [first, second] = [0, 1].map(|block| u128::from(row.word(block)));
                let mut ends = first | (second << BLOCK);
                while ends != 0 {
                    self.note(field, ends.trailing_zeros() as usize);
                    ends &= ends - 1;
                }
                continue;
            }
            while blocks != 0 {
                let block = blocks.trailing_zeros() as usize;
                blocks &= blocks - 1;
                let mut ends = row.word(block);
                while ends != 0 {
                    self.note(field, from + block * BLOCK + ends.trailing_zeros() as usize);
                    ends &= ends - 1;
                }
            }
        }
        if left.escaped_keys != 0 {
            let found = find_escaped(self.names, self.root, (from, left.escaped_keys), maps);
            for (end, found) in self.ends.iter_mut().zip(found) {
                *end = found.max(*end);
            }
        }
    }

    #[inline(always)]
    fn note(&mut self, field: usize, end: usize) {
        if self.names.is_plain(field, self.root, end) {
            self.ends[field] = end;
        }
    }

    /// The fields, if the frame ends as it should.
    #[inline(always)]
    fn end(self) -> Option<Found<'f>> {
        // Inside a string, or with containers open, the frame is cut off; so it is within an escape or a character.
        let end = self.containers.end_of_root()?;
        let is_over = value::skip_space(self.root, end + 1).is_none();
        if !is_over || self.strings.inside != 0 || !self.utf8.is_over() {
            return None;
        }
        let field = |end: usize| match end {
            0 => Some(None),
            end => value::behind(self.bytes, self.root, end).map(Some),
        };
        Some(Found {
            uid: field(self.ends[UID])?,
            ts: field(self.ends[TS])?,
        })
    }
}

/// The closing quotes of the last keys that name a field and are written with escapes, in these blocks of the chunk at `from`; 0 is none.
#[cold]
#[inline(never)]
fn find_escaped(
    names: &Names,
    root: &[u8],
    (from, mut blocks): (usize, u64),
    maps: &Maps,
) -> [usize; FIELDS] {
    let mut found = [0; FIELDS];
    while blocks != 0 {
        let block = blocks.trailing_zeros() as usize;
        blocks &= blocks - 1;
        let mut ends = maps.findings.escaped_key.word(block);
        while ends != 0 {
            let end = from + block * BLOCK + ends.trailing_zeros() as usize;
            ends &= ends - 1;
            if let Some(field) = names.field_escaped(root, end) {
                found[field] = end;
            }
        }
    }
    found
}

/// The bytes of the last group that belong to the chunk.
#[inline(always)]
fn within<L: Lanes>(lanes: L, len: usize, group: usize) -> L::Word {
    let mut words = [0; MAX_LANES];
    let len = len - group * L::COUNT * BLOCK;
    let (whole, rest) = (len / BLOCK, len % BLOCK);
    for (i, word) in words.iter_mut().enumerate() {
        *word = match i.cmp(&whole) {
            std::cmp::Ordering::Less => u64::MAX,
            std::cmp::Ordering::Equal => (1 << rest) - 1,
            std::cmp::Ordering::Greater => 0,
        };
    }
    lanes.load(&words[..L::COUNT])
}
