//! What surrounds the two fields that matter: a fixed stock of members, written once and copied from then on.
//!
//! The stock holds the traps: `uid` and `ts` of other types and values inside objects and arrays, keys that
//! only look like them, text that reads like JSON, escapes, long and non-ASCII strings, and deep nesting.

use super::dice::Dice;

/// Enough for the members to come in many orders, and small enough (about 100 KB) to stay in a core's cache.
const STOCK: usize = 1024;

/// Below this many bytes left, one string of the exact length ends the filling.
const PAD_BELOW: usize = 40;

/// Keys as they stand between quotes. None of them decodes to `uid` or `ts`: on the root level those must
/// stand once only, for which of two counts is not what this traffic tests.
const KEYS: [&str; 40] = [
    "a",
    "k",
    "n",
    "v",
    "id",
    "UID",
    "Uid",
    "uids",
    "uid ",
    "_uid",
    "user_id",
    "u",
    "TS",
    "Ts",
    "tsx",
    "ts_ms",
    "t",
    "time",
    "visit",
    "device",
    "locale",
    "path",
    "status",
    "duration",
    "payload",
    "context",
    "geo",
    "tags",
    "exp",
    "version",
    "referrer",
    "\\\"uid\\\"",
    "uid\\\\",
    "t\\u0073\\u0000",
    "ключ",
    "名前",
    "caf\\u00e9",
    "🔑",
    "",
    "data",
];

/// Strings as they stand between quotes: what most of a frame is made of.
const PHRASES: [&str; 12] = [
    "GET /v2/items?page=3&sort=asc HTTP/1.1",
    "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0",
    "the quick brown fox jumps over the lazy dog",
    "ten thousand frames a second from nine in the morning on",
    "\\\"types,\\\"like\\\"dynamic\\\"languages\\\"do.\\\"On\\\"the",
    "other\\\\hand,\\\\static\\\\inference\\\\deduces\\\\types\\\\and\\\\other",
    "makes\\ffor\\fsafe,\\fsimple,\\fand\\frobust\\fmemory\\fmanagement",
    "static\\band\\bthe\\bdynamic\\bworlds.\\bShow\\bexample\\bAutomatic",
    "https://example.org/articles/2026/01/why-we-count-people?from=feed",
    "code\\/properties,\\/giving\\/the\\/best\\/of\\/both\\/the",
    "line one\\nline two\\r\\nline three\\n",
    "every\\tcol\\tumn\\tof\\tthe\\ttable\\tcol\\tumn\\tby\\tcolumn",
];

/// Strings as they stand between quotes that a reader may trip over.
const ODD_PHRASES: [&str; 24] = [
    "example",
    "",
    " ",
    "say \\\"hello\\\" and \\\"good bye\\\"",
    "\\\"uid\\\":\\\"nobody\\\",\\\"ts\\\":1,",
    "{\\\"uid\\\":\\\"nobody\\\",\\\"ts\\\":1468244385}",
    "\\\\\\\"uid\\\\\\\":\\\\\\\"twice escaped\\\\\\\"",
    "}],[{:,}}}}]]]]",
    "C:\\\\Users\\\\nobody\\\\",
    "\\\\\\\\",
    "\\\"",
    "form\\ffeed\\band\\bbackspace",
    "caf\\u00e9 na\\u00EFve \\u0022quoted\\u0022 \\u005c",
    "\\ud83d\\ude00\\uD83C\\uDF0D\\ud83d\\udc69\\u200d\\ud83d\\udcbb",
    "\\u0000\\u001f\\u007f\\u2028\\uffff",
    "Я помню чудное мгновенье: передо мной явилась ты,",
    "Как мимолетное виденье, как гений чистой красоты.",
    "春眠不觉晓，处处闻啼鸟。夜来风雨声，花落知多少。",
    "古池や蛙飛びこむ水の音 (an old pond, a frog leaps in)",
    "😀🌍👩‍💻🚀🇨🇭 and back to ASCII",
    "ﷺ \u{2028}\u{2029} \u{202e}right to left\u{202c} e\u{301} \u{feff}\u{7f}",
    "1468244385",
    "null",
    "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiIxMjM0NTY3ODkwIiwibmFtZSI6Ik5vYm9keSIsImlhdCI6MTUxNjIzOTAyMn0.\
     SflKxwRJSMeKKF2QT4fwpMeJf36POk6yJVadQssw5cSflKxwRJSMeKKF2QT4fwpMeJf36POk6yJVadQssw5cSflKxwRJSMeKKF2QT4fwpMeJf",
];

const NUMBERS: [&str; 16] = [
    "0",
    "-1",
    "7",
    "93",
    "255",
    "1468244385",
    "4294967296",
    "-9223372036854775808",
    "18446744073709551615",
    "0.574751",
    "-0.0",
    "3.14159265358979",
    "1e9",
    "6.02E+23",
    "-1.5e-7",
    "0.1",
];

const BARE: [&str; 5] = ["true", "false", "null", "{}", "[]"];

/// What stands under a nested `uid`: among others an id that no user has, which a reader who takes it would count.
const TRAP_UIDS: [&str; 9] = [
    "7",
    "\"x\"",
    "null",
    "\"deadbeefdeadbeef001\"",
    "[]",
    "{}",
    "true",
    "0.25",
    "{\"uid\":\"cafe\",\"ts\":2}",
];

/// What stands under a nested `ts`: among others a plausible time in another year.
const TRAP_TIMES: [&str; 9] = [
    "1",
    "\"x\"",
    "null",
    "1468244386",
    "4102444800",
    "\"2016-07-11\"",
    "{}",
    "0.743156",
    "[1468244387]",
];

/// The key pairs of a nested trap; the escaped ones decode to the same.
const TRAP_KEYS: [(&str, &str); 4] = [
    ("\"uid\":", "\"ts\":"),
    ("\"uid\":", "\"ts\":"),
    ("\"uid\": ", "\"ts\" : "),
    ("\"\\u0075id\":", "\"t\\u0073\":"),
];

const PAD: &[u8; PAD_BELOW] = b"loremipsumdolorsitametconsecteturadipisc";

/// The stock of members. Each is `"key":value,` with the comma behind it.
#[derive(Debug)]
pub(super) struct Fillers {
    text: Vec<u8>,
    /// Where each member lies in `text`, shortest member first.
    members: Vec<(u32, u32)>,
    /// `fitting[n]`: how many members are at most `n` bytes long.
    fitting: Vec<u32>,
}

impl Fillers {
    pub(super) fn new(dice: &mut Dice) -> Self {
        let mut stock: Vec<Vec<u8>> = (0..STOCK).map(|kind| member(dice, kind)).collect();
        // A stable sort: members of one length stay in the order the seed made them in.
        stock.sort_by_key(Vec::len);
        let mut fillers = Self {
            text: Vec::new(),
            members: Vec::with_capacity(STOCK),
            fitting: Vec::new(),
        };
        for member in &stock {
            while fillers.fitting.len() < member.len() {
                fillers.fitting.push(fillers.members.len() as u32);
            }
            fillers
                .members
                .push((fillers.text.len() as u32, member.len() as u32));
            fillers.text.extend_from_slice(member);
        }
        fillers.fitting.push(fillers.members.len() as u32);
        fillers
    }

    /// Appends members until at most `stop` of the `left` bytes are left, never more than `left` bytes, and
    /// returns what is left.
    pub(super) fn fill(
        &self,
        dice: &mut Dice,
        mut left: usize,
        stop: usize,
        out: &mut Vec<u8>,
    ) -> usize {
        while left > stop {
            if left < PAD_BELOW {
                pad(left, out);
                return 0;
            }
            // A key and a scalar always fit into PAD_BELOW bytes, so there is something to choose from.
            let fitting = self.fitting[left.min(self.fitting.len() - 1)];
            let (at, len) = self.members[dice.below(fitting) as usize];
            out.extend_from_slice(&self.text[at as usize..(at + len) as usize]);
            left -= len as usize;
        }
        left
    }
}

/// Appends a member of exactly `len` bytes, or nothing where none is that short.
fn pad(len: usize, out: &mut Vec<u8>) {
    if let Some(letters) = len.checked_sub(7) {
        out.extend_from_slice(b"\"x\":\"");
        out.extend_from_slice(&PAD[..letters]);
        out.extend_from_slice(b"\",");
    }
}

/// One member for the stock; its `kind` sees to it that every sort of trap gets its share, also among the
/// short ones that small frames are made of. The shares give frames of 2 KB about as many quotes, brackets and
/// backslashes as real ones have: with more, a reader would be measured on work that it never gets.
fn member(dice: &mut Dice, kind: usize) -> Vec<u8> {
    let mut out = Vec::with_capacity(128);
    key(dice, &mut out);
    match kind % 16 {
        0 => trap(dice, 0, &mut out),
        1 if kind % 32 == 1 => long_trap(dice, &mut out),
        2 if kind % 128 == 2 => deep_trap(dice, &mut out),
        2 => list(dice, 1, &mut out),
        3..6 => scalar(dice, &mut out),
        _ => string(dice, &mut out),
    }
    out.push(b',');
    out
}

fn key(dice: &mut Dice, out: &mut Vec<u8>) {
    out.push(b'"');
    out.extend_from_slice(dice.pick(&KEYS).as_bytes());
    out.extend_from_slice(if dice.once_in(32) { b"\" : " } else { b"\":" });
}

fn string(dice: &mut Dice, out: &mut Vec<u8>) {
    out.push(b'"');
    let phrase = if dice.below(3) == 0 {
        dice.pick(&ODD_PHRASES)
    } else {
        dice.pick(&PHRASES)
    };
    out.extend_from_slice(phrase.as_bytes());
    out.push(b'"');
}

fn scalar(dice: &mut Dice, out: &mut Vec<u8>) {
    let text = if dice.once_in(2) {
        dice.pick(&NUMBERS)
    } else {
        dice.pick(&BARE)
    };
    out.extend_from_slice(text.as_bytes());
}

/// Any value; the deeper, the likelier one that ends there.
fn value(dice: &mut Dice, depth: u32, out: &mut Vec<u8>) {
    match dice.below(8 + 2 * depth) {
        0 => trap(dice, depth + 1, out),
        1 => list(dice, depth + 1, out),
        2 | 3 => scalar(dice, out),
        _ => string(dice, out),
    }
}

fn list(dice: &mut Dice, depth: u32, out: &mut Vec<u8>) {
    out.push(b'[');
    for i in 0..dice.below(5) {
        if i > 0 {
            out.extend_from_slice(if dice.once_in(16) { b", " } else { b"," });
        }
        value(dice, depth, out);
    }
    out.push(b']');
}

/// An object with a `uid` and a `ts` of its own, in either order, and up to `extra` members before and behind.
fn trap(dice: &mut Dice, extra: u32, out: &mut Vec<u8>) {
    let (uid, ts) = dice.pick(&TRAP_KEYS);
    let mut pair = [(uid, dice.pick(&TRAP_UIDS)), (ts, dice.pick(&TRAP_TIMES))];
    if dice.once_in(2) {
        pair.swap(0, 1);
    }
    out.push(b'{');
    for _ in 0..dice.below(extra + 1) {
        key(dice, out);
        value(dice, extra + 1, out);
        out.push(b',');
    }
    out.extend_from_slice(pair[0].0.as_bytes());
    out.extend_from_slice(pair[0].1.as_bytes());
    out.push(b',');
    out.extend_from_slice(pair[1].0.as_bytes());
    out.extend_from_slice(pair[1].1.as_bytes());
    for _ in 0..dice.below(extra + 1) {
        out.push(b',');
        key(dice, out);
        value(dice, extra + 1, out);
    }
    out.push(b'}');
}

/// A trap among several members, now and then inside an array, as a batch of events would be.
fn long_trap(dice: &mut Dice, out: &mut Vec<u8>) {
    if dice.once_in(3) {
        out.push(b'[');
        trap(dice, 2, out);
        out.push(b',');
        trap(dice, 1, out);
        out.push(b']');
    } else {
        trap(dice, 4, out);
    }
}

/// A trap under up to 40 brackets.
fn deep_trap(dice: &mut Dice, out: &mut Vec<u8>) {
    let depth = dice.below(40) as usize;
    out.extend(std::iter::repeat_n(b'[', depth));
    trap(dice, 1, out);
    out.extend(std::iter::repeat_n(b']', depth));
}

#[cfg(test)]
mod tests {
    use super::super::dice::Purpose;
    use super::*;
    use serde_json::Value;

    #[test]
    fn every_member_is_valid_and_none_is_a_root_field() {
        let mut dice = Dice::new(1, Purpose::Filler);
        let mut nested = 0;
        for kind in 0..4 * STOCK {
            let member = member(&mut dice, kind);
            let json = format!(
                "{{{}}}",
                std::str::from_utf8(&member[..member.len() - 1]).unwrap()
            );
            assert!(!json.contains(['\n', '\r']), "{json}");
            let root: Value = serde_json::from_str(&json).unwrap_or_else(|e| panic!("{json}: {e}"));
            assert!(
                root.get("uid").is_none() && root.get("ts").is_none(),
                "{json}"
            );
            nested += usize::from(
                root.as_object()
                    .unwrap()
                    .values()
                    .any(|v| v.get("uid").is_some()),
            );
        }
        assert!(nested > STOCK / 4, "{nested} of {} hold a trap", 4 * STOCK);
    }

    #[test]
    fn filling_never_overshoots_and_falls_short_by_less_than_the_shortest_member() {
        let mut dice = Dice::new(2, Purpose::Filler);
        let fillers = Fillers::new(&mut dice);
        for size in 0..5_000 {
            let mut out = Vec::new();
            fillers.fill(&mut dice, size, 0, &mut out);
            assert!(
                out.len() <= size && out.len() + 7 > size,
                "{size}: {}",
                out.len()
            );
        }
    }

    #[test]
    fn the_stock_is_indexed_by_length() {
        let fillers = Fillers::new(&mut Dice::new(3, Purpose::Filler));
        for (n, &count) in fillers.fitting.iter().enumerate() {
            let expected = fillers
                .members
                .iter()
                .filter(|(_, len)| *len as usize <= n)
                .count();
            assert_eq!(count as usize, expected, "length {n}");
        }
        assert_eq!(fillers.members.len(), STOCK);
        assert!(fillers.fitting[PAD_BELOW] > 0);
        assert!(fillers.text.len() < 200_000, "{} bytes", fillers.text.len());
    }
}
