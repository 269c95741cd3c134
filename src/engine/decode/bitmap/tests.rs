//! Each phase against the same thing said bit by bit or byte by byte.

use super::super::bytewise;
use super::brackets::Containers;
use super::bytes::Bytes;
use super::classes;
use super::lanes::{Lanes, OneLane};
use super::maps::{BLOCK, CHUNK_BLOCKS, Maps};
use super::numbers::Numbers;
use super::portable::Portable;
use super::strings;
#[cfg(target_arch = "x86_64")]
use super::{Avx2, Avx512};
use crate::limits::MAX_FRAME_DEPTH;

/// Sebastiano Vigna's splitmix64.
struct Dice(u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, n: usize) -> usize {
        (self.next() % n as u64) as usize
    }

    /// A word with few bits, many, none or all.
    fn word(&mut self) -> u64 {
        match self.below(6) {
            0 => 0,
            1 => u64::MAX,
            2 => self.next() & self.next() & self.next(),
            3 => self.next() | self.next() | self.next(),
            4 => u64::MAX << self.below(64),
            _ => self.next(),
        }
    }

    fn words(&mut self, n: usize) -> Vec<u64> {
        (0..n).map(|_| self.word()).collect()
    }
}

fn store<L: Lanes>(lanes: L, word: L::Word) -> Vec<u64> {
    let mut words = vec![0; L::COUNT];
    lanes.store(word, &mut words);
    words
}

fn bit(words: &[u64], at: usize) -> bool {
    (words[at / 64] >> (at % 64)) & 1 == 1
}

/// Bits from a rule for each place, which may keep a state.
fn by_bits(count: usize, mut rule: impl FnMut(usize) -> bool) -> Vec<u64> {
    let mut words = vec![0; count];
    for at in 0..64 * count {
        words[at / 64] |= u64::from(rule(at)) << (at % 64);
    }
    words
}

/// The long arithmetic of some lanes against long arithmetic one bit at a time.
fn check_lanes<L: Lanes>(lanes: L) {
    let n = L::COUNT;
    let mut dice = Dice(7);
    for _ in 0..2_000 {
        let (a, b) = (dice.words(n), dice.words(n));
        let (word_a, word_b) = (lanes.load(&a), lanes.load(&b));

        let carry_in = dice.next() & 1;
        let (mut carry, mut state) = (carry_in, carry_in);
        let sum = store(lanes, lanes.add_long(word_a, word_b, &mut carry));
        let expected = by_bits(n, |at| {
            let total = u64::from(bit(&a, at)) + u64::from(bit(&b, at)) + state;
            state = total >> 1;
            total & 1 == 1
        });
        assert_eq!(
            (sum, carry),
            (expected, state),
            "{a:x?} + {b:x?} + {carry_in}"
        );

        let mut borrow = 0;
        let expected = by_bits(n, |at| {
            let difference = i8::from(bit(&a, at)) - i8::from(bit(&b, at)) - borrow;
            borrow = i8::from(difference < 0);
            difference & 1 == 1
        });
        assert_eq!(
            store(lanes, lanes.sub_long(word_a, word_b)),
            expected,
            "{a:x?} - {b:x?}"
        );

        let mut before = word_b;
        let moved = store(lanes, lanes.shift_in(word_a, &mut before));
        let expected = by_bits(n, |at| match at.checked_sub(1) {
            Some(below) => bit(&a, below),
            None => bit(&b, 64 * n - 1),
        });
        assert_eq!(
            (moved, store(lanes, before)),
            (expected, a.clone()),
            "{a:x?} behind {b:x?}"
        );

        let parity_in = dice.next() & 1;
        let (mut parity, mut is_odd) = (parity_in, parity_in == 1);
        let prefix = store(lanes, lanes.prefix_xor(word_a, &mut parity));
        let expected = by_bits(n, |at| {
            is_odd ^= bit(&a, at);
            is_odd
        });
        assert_eq!(
            (prefix, parity == 1),
            (expected, is_odd),
            "parity of {a:x?}"
        );
    }
}

/// What is done to each lane by itself, and told of each.
fn check_each_lane<L: Lanes>(lanes: L) {
    let n = L::COUNT;
    let mut dice = Dice(23);
    for _ in 0..2_000 {
        let a = dice.words(n);
        let word_a = lanes.load(&a);
        let lanes_with = |is_so: fn(u64) -> bool| {
            (0..n).fold(0, |mask, lane| mask | (u64::from(is_so(a[lane])) << lane))
        };
        assert_eq!(lanes.tops(word_a), lanes_with(|lane| lane >> 63 == 1));
        assert_eq!(lanes.full(word_a), lanes_with(|lane| lane == u64::MAX));
        assert_eq!(lanes.used(word_a), lanes_with(|lane| lane != 0));
        assert_eq!(
            lanes.count(word_a),
            a.iter()
                .map(|lane| u64::from(lane.count_ones()))
                .sum::<u64>()
        );
        let by = dice.below(66) as u32;
        let each = |shifted: fn(u64, u32) -> Option<u64>| -> Vec<u64> {
            a.iter()
                .map(|lane| shifted(*lane, by).unwrap_or(0))
                .collect()
        };
        assert_eq!(
            store(lanes, lanes.shl_by(word_a, by)),
            each(u64::checked_shl)
        );
        assert_eq!(
            store(lanes, lanes.shr_by(word_a, by)),
            each(u64::checked_shr)
        );
        let mask = dice.next();
        let expected: Vec<u64> = (0..n)
            .map(|lane| ((mask >> lane) & 1).wrapping_neg())
            .collect();
        assert_eq!(store(lanes, lanes.spread(mask)), expected);
    }
}

/// Which backslashes escape and what is inside of strings, against a walk over the bytes.
fn check_strings<L: Lanes>(lanes: L) {
    let n = L::COUNT;
    let mut dice = Dice(11);
    for _ in 0..500 {
        let mut carry = strings::Carry::default();
        let (mut is_escaped, mut is_inside) = (false, false);
        for _ in 0..4 {
            let backslash = dice.words(n);
            let quotes = dice.words(n);
            let quote: Vec<u64> = backslash.iter().zip(&quotes).map(|(b, q)| q & !b).collect();
            let found = strings::find(
                lanes,
                lanes.load(&backslash),
                lanes.load(&quote),
                &mut carry,
            );
            let mut escaped = Vec::new();
            let inside = by_bits(n, |at| {
                let was_escaped = is_escaped;
                escaped.push(was_escaped);
                is_escaped = bit(&backslash, at) && !was_escaped;
                is_inside ^= bit(&quote, at) && !was_escaped;
                is_inside
            });
            let escaped = by_bits(n, |at| escaped[at]);
            assert_eq!(
                store(lanes, found.escaped),
                escaped,
                "behind backslashes {backslash:x?}"
            );
            assert_eq!(
                store(lanes, found.inside),
                inside,
                "{backslash:x?} {quote:x?}"
            );
        }
    }
}

/// What each byte is, against plain comparisons, at every place of a block.
fn check_bytes<B: Bytes, L: Lanes>(bytes: B, lanes: L) {
    let mut maps = Maps::new();
    let mut dice = Dice(13);
    for round in 0..256 {
        let text: Vec<u8> = (0..L::COUNT * BLOCK)
            .map(|at| match round % 4 {
                0 => (at + round) as u8,
                1 => b"{}[],:\"\\ \t\n\r\x0c\x1a/bfnrtu"[dice.below(21)],
                _ => dice.next() as u8,
            })
            .collect();
        for (at, block) in text.as_chunks::<BLOCK>().0.iter().enumerate() {
            let block = bytes.load(block);
            bytes.classify(block, &mut maps.bytes, at);
            bytes.classify_structure(block, &mut maps.structure, at);
        }
        let all = classes::of_group(lanes, &maps.bytes, 0);
        let are = |is_so: fn(u8) -> bool| by_bits(L::COUNT, |at| is_so(text[at]));
        let has = |word: L::Word| store(lanes, word);
        assert_eq!(has(all.backslash), are(|b| b == b'\\'));
        assert_eq!(has(all.quote), are(|b| b == b'"'));
        assert_eq!(has(all.open), are(|b| matches!(b, b'{' | b'[')));
        assert_eq!(has(all.close), are(|b| matches!(b, b'}' | b']')));
        assert_eq!(has(all.comma), are(|b| matches!(b, b',' | 0x0c)));
        assert_eq!(has(all.colon), are(|b| matches!(b, b':' | 0x1a)));
        assert_eq!(
            has(all.space),
            are(|b| matches!(b, b' ' | b'\t' | b'\n' | b'\r'))
        );
        assert_eq!(has(all.control), are(|b| b < 0x20));
        assert_eq!(has(all.letter), are(|b| b"\\/bfnrt".contains(&b)));
        assert_eq!(has(all.high), are(|b| b >= 0x80));
        let structure = &maps.structure;
        assert_eq!(
            has(structure.backslash.group(lanes, 0)),
            are(|b| b == b'\\')
        );
        assert_eq!(has(structure.quote.group(lanes, 0)), are(|b| b == b'"'));
        assert_eq!(
            has(structure.open.group(lanes, 0)),
            are(|b| matches!(b, b'{' | b'['))
        );
        assert_eq!(
            has(structure.close.group(lanes, 0)),
            are(|b| matches!(b, b'}' | b']'))
        );
        check_block(bytes, text.first_chunk().unwrap(), &mut dice);
    }
}

fn check_block<B: Bytes>(bytes: B, text: &[u8; BLOCK], dice: &mut Dice) {
    let block = bytes.load(text);
    let are = |is_so: &dyn Fn(u8) -> bool| by_bits(1, |at| is_so(text[at]))[0];
    assert_eq!(bytes.hex(block), are(&|b| b.is_ascii_hexdigit()));
    let byte = dice.next() as u8;
    assert_eq!(bytes.equal(block, byte), are(&|b| b == byte));
    assert_eq!(bytes.digits(block), are(&|b| b.is_ascii_digit()));
    let letter = b"etrz"[dice.below(4)];
    assert_eq!(
        bytes.equal_letter(block, letter),
        are(&|b| b | 0x20 == letter)
    );
    let len = dice.below(BLOCK);
    let padded = bytes.load_partial(&text[..len]);
    let expected = by_bits(1, |at| {
        if at < len {
            text[at] == byte
        } else {
            byte == b' '
        }
    })[0];
    assert_eq!(bytes.equal(padded, byte), expected, "{len} bytes");
    let (word, mask) = (dice.word(), dice.word());
    let places: Vec<usize> = (0..64).filter(|at| (mask >> at) & 1 == 1).collect();
    let extracted = by_bits(1, |at| {
        (places.get(at)).is_some_and(|place| (word >> place) & 1 == 1)
    })[0];
    assert_eq!(bytes.extract(word, mask), extracted);
    let deposited = by_bits(1, |at| {
        let number = places.iter().position(|place| *place == at);
        number.is_some_and(|number| (word >> number) & 1 == 1)
    })[0];
    assert_eq!(bytes.deposit(word, mask), deposited);
}

/// UTF-8 against the standard library, on pieces of characters at the border of two blocks.
fn check_utf8<B: Bytes>(bytes: B) {
    let pieces: [&[u8]; 14] = [
        b"a",
        b" ",
        "é".as_bytes(),
        "日".as_bytes(),
        "🙂".as_bytes(),
        b"\xc3",
        b"\xe2\x82",
        b"\xf0\x9f\x99",
        b"\x80",
        b"\xed\xa0\x80",
        b"\xc0\x80",
        b"\xf4\x90\x80\x80",
        b"\xff",
        b"\xe0\x80\x80",
    ];
    let mut dice = Dice(17);
    let mut broken = 0;
    for round in 0..20_000 {
        let kinds = if round % 2 == 0 { 5 } else { pieces.len() };
        let mut text = Vec::new();
        while text.len() < 2 * BLOCK {
            // Mostly whole characters, so that the mistakes are few.
            let kind = if dice.below(40) == 0 {
                dice.below(kinds)
            } else {
                dice.below(5)
            };
            text.extend_from_slice(pieces[kind]);
        }
        text.truncate(2 * BLOCK);
        let fault = std::str::from_utf8(&text).err();
        let (before, block) = text.split_at(BLOCK);
        let (before, block) = (before.first_chunk().unwrap(), block.first_chunk().unwrap());
        let none = bytes.load(&[0; BLOCK]);
        let breaks = bytes.breaks_utf8(bytes.load(before), none)
            || bytes.breaks_utf8(bytes.load(block), bytes.load(before));
        // What is cut off at the end is none of these two blocks' business. Of a last byte that would begin something they
        // may tell or not: whatever follows it does.
        let is_begun = text.last().is_some_and(|last| *last >= 0xc0);
        if is_begun && fault.is_some_and(|fault| fault.valid_up_to() + 1 == text.len()) {
            continue;
        }
        let is_wrong = fault.is_some_and(|fault| fault.error_len().is_some());
        assert_eq!(breaks, is_wrong, "{}", text.escape_ascii());
        broken += u32::from(is_wrong);
    }
    assert!(broken > 1_000, "hardly any mistakes: {broken}");
}

/// Numbers and literals against the reader that goes byte by byte, wherever in two blocks they are.
fn check_scalars<B: Bytes>(bytes: B) {
    let pieces = [
        "0", "1", "9", "12", "345678", "-", ".", "e", "E", "+", "true", "false", "null", "nul",
        "x", "\\", "é",
    ];
    let mut dice = Dice(19);
    let mut good = 0;
    let mut maps = Maps::new();
    for _ in 0..100_000 {
        let mut text = " ".repeat(dice.below(BLOCK));
        let mut scalars = Vec::new();
        for _ in 0..1 + dice.below(3) {
            let start = text.len();
            for _ in 0..1 + dice.below(6) {
                text.push_str(pieces[dice.below(pieces.len())]);
            }
            scalars.push(start..text.len());
            text.push_str(&",]} "[dice.below(4)..][..1]);
        }
        let is_good = |scalar: &std::ops::Range<usize>| {
            let scalar = &text[scalar.clone()];
            bytewise::scalar_len(scalar.as_bytes()) == Some(scalar.len())
        };
        let blocks = text.len().div_ceil(BLOCK);
        let is_scalar = |at: usize| scalars.iter().any(|scalar| scalar.contains(&at));
        for (at, word) in by_bits(blocks, is_scalar).into_iter().enumerate() {
            maps.tokens.scalar.put(at, word);
        }
        let expected = scalars.iter().all(is_good);
        let found = Numbers::default().are_good(
            bytes,
            text.as_bytes(),
            (0, (1 << blocks) - 1),
            &maps.tokens,
        );
        assert_eq!(found, expected, "{text}");
        good += u32::from(expected);
    }
    assert!(good > 3_000, "hardly any good ones: {good}");
}

/// Brackets and spaces, and what is known of each place.
struct Bracketed {
    text: Vec<u8>,
    /// Whether the innermost container before each byte but the first is an object, and whether it is the root.
    contexts: Vec<(bool, bool)>,
    depth: usize,
    deepest: usize,
    is_good: bool,
}

/// A text that is mostly well formed and now and then deep, by a walk with a stack.
fn bracketed(opening: usize, dice: &mut Dice) -> Bracketed {
    let spaces = [0, 0, 1, 30][dice.below(4)];
    let (mut text, mut stack) = (vec![b'{'], vec![b'{']);
    let (mut contexts, mut deepest) = (Vec::new(), 0);
    let mut is_good = true;
    while text.len() < CHUNK_BLOCKS * BLOCK && !(stack.is_empty() && dice.below(4) > 0) {
        contexts.push((stack.last() == Some(&b'{'), stack.len() == 1));
        let is_behind = stack.is_empty() && dice.below(8) > 0;
        let byte = if dice.below(1 + spaces) > 0 || is_behind {
            b' '
        } else if dice.below(100) < opening {
            b"{["[dice.below(2)]
        } else {
            let fits = stack.last().map_or(b'}', |open| open + 2);
            let is_other = dice.below(3_000) == 0;
            if is_other { b'}' ^ b']' ^ fits } else { fits }
        };
        text.push(byte);
        // Behind the root there may be no bracket of any kind.
        is_good &= byte == b' ' || !stack.is_empty();
        match byte {
            b'{' | b'[' => stack.push(byte),
            b'}' | b']' => is_good &= stack.pop() == Some(byte - 2),
            _ => {}
        }
        deepest = deepest.max(stack.len());
        is_good &= stack.len() <= MAX_FRAME_DEPTH;
    }
    Bracketed {
        text,
        contexts,
        depth: stack.len(),
        deepest,
        is_good,
    }
}

/// Enters the brackets of a text, and returns which blocks have some.
fn put_brackets(text: &[u8], maps: &mut Maps) -> u64 {
    let blocks = text.len().div_ceil(BLOCK);
    let words = |is_so: &dyn Fn(u8) -> bool| {
        by_bits(blocks, |at| text.get(at).is_some_and(|byte| is_so(*byte)))
    };
    let brackets = words(&|byte| b"{}[]".contains(&byte));
    let opens = words(&|byte| b"{[".contains(&byte));
    let closes = words(&|byte| b"}]".contains(&byte));
    let bit5 = words(&|byte| byte & 0x20 != 0);
    let mut used = 0;
    for at in 0..blocks {
        maps.tokens.bracket.put(at, brackets[at]);
        maps.tokens.open.put(at, opens[at]);
        maps.tokens.close.put(at, closes[at]);
        maps.bytes.bit5.put(at, bit5[at]);
        maps.changes.in_object.put(at, 0);
        maps.changes.at_root.put(at, 0);
        used |= u64::from(brackets[at] != 0) << at;
    }
    used
}

/// Which brackets change contexts.
fn check_brackets<B: Bytes>(bytes: B) {
    let mut dice = Dice(29);
    let mut maps = Maps::new();
    let (mut good, mut deepest) = (0, 0);
    for round in 0..20_000 {
        let made = bracketed([30, 45, 70, 95][round % 4], &mut dice);
        deepest = deepest.max(made.deepest);
        let used = put_brackets(&made.text, &mut maps);
        let mut containers = Containers::ROOT;
        let follows = containers.follow(bytes, 0, used, &mut maps);
        assert_eq!(follows, made.is_good, "{}", made.text.escape_ascii());
        if !made.is_good {
            continue;
        }
        good += 1;
        assert_eq!(containers.end_of_root().is_some(), made.depth == 0);
        let (mut in_object, mut at_root) = (false, false);
        for (at, expected) in made.contexts.iter().enumerate() {
            in_object ^= bit(&[maps.changes.in_object.word(at / BLOCK)], at % BLOCK);
            at_root ^= bit(&[maps.changes.at_root.word(at / BLOCK)], at % BLOCK);
            let text = made.text.escape_ascii();
            assert_eq!((in_object, at_root), *expected, "behind {at} of {text}");
        }
    }
    assert!(good > 10_000, "hardly any good ones: {good}");
    assert!(deepest > MAX_FRAME_DEPTH, "never too deep: {deepest}");
}

/// All phases that there is a twin for, on these instructions.
fn check_all<B: Bytes, L: Lanes>(bytes: B, lanes: L) {
    check_lanes(lanes);
    check_each_lane(lanes);
    check_strings(lanes);
    check_bytes(bytes, lanes);
    check_utf8(bytes);
    check_scalars(bytes);
    check_brackets(bytes);
}

#[test]
fn without_simd() {
    check_all(Portable, OneLane(Portable));
}

#[test]
#[cfg(target_arch = "x86_64")]
fn with_avx2() {
    if let Some(avx2) = Avx2::detect() {
        check_all(avx2, avx2);
        check_bytes(avx2, OneLane(avx2));
        check_each_lane(OneLane(avx2));
        check_lanes(OneLane(avx2));
    }
}

#[test]
#[cfg(target_arch = "x86_64")]
fn with_avx512() {
    if let Some(avx512) = Avx512::detect() {
        check_all(avx512, avx512);
        check_bytes(avx512, OneLane(avx512));
        check_each_lane(OneLane(avx512));
        check_lanes(OneLane(avx512));
    }
}

#[test]
fn a_group_is_found_where_it_was_put() {
    let mut maps = Maps::new();
    let row = &mut maps.tokens.quote;
    for block in 0..CHUNK_BLOCKS {
        row.put_group(OneLane(Portable), block, block as u64);
    }
    for block in 0..CHUNK_BLOCKS {
        assert_eq!(
            (row.group(OneLane(Portable), block), row.word(block)),
            (block as u64, block as u64)
        );
    }
}
