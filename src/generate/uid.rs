//! Who the users are: a string for each number, and the ways to write that string in JSON.

use super::dice::{Dice, mix};

/// What about one user in ten carries in front of the digits: text that a reader gets wrong when it compares
/// bytes without undoing escapes, normalises (the two spellings of "josé" are different users), or takes a
/// byte for a character.
const PREFIXES: [&str; 12] = [
    "Ольга-",
    "用户",
    "josé.",
    "jose\u{301}.",
    "😀",
    "𝒳-",
    "a\"b",
    "c:\\",
    "tab\t/",
    "x\ny\u{c}",
    "\u{1}\u{7f}",
    "{\"uid\":",
];

/// A user's id, decoded. The digits alone tell users apart; a prefix never does.
#[derive(Debug, Clone, Copy)]
pub(super) struct Uid {
    prefix: &'static str,
    digits: [u8; 19],
}

/// The decoded id of user number `user` in a population: 19 hexadecimal digits, which about one user
/// in ten has behind a prefix of other characters. No two numbers share an id.
pub fn uid_of(user: u32, population: u64) -> String {
    let uid = Uid::new(user, population);
    let mut text = String::with_capacity(32);
    text.push_str(uid.prefix);
    text.extend(uid.digits.iter().map(|&digit| char::from(digit)));
    text
}

impl Uid {
    pub(super) fn new(user: u32, population: u64) -> Self {
        let high = mix(u64::from(user) ^ mix(population));
        let low = mix(high);
        let mut digits = [0; 19];
        for (i, digit) in digits.iter_mut().enumerate() {
            let nibble = if i < 16 {
                high >> (60 - 4 * i)
            } else {
                low >> (4 * (i - 16))
            };
            *digit = hex(nibble as u32);
        }
        let kind = (low >> 32) as usize % 120;
        let prefix = PREFIXES.get(kind).copied().unwrap_or("");
        Self { prefix, digits }
    }

    /// Appends the id as the inside of a JSON string, spelled as `dice` will have it.
    pub(super) fn spell(&self, dice: &mut Dice, out: &mut Vec<u8>) {
        if !self.prefix.is_empty() {
            let escaping = dice.below(3) == 0;
            for ch in self.prefix.chars() {
                spell_char(ch, escaping, out);
            }
        }
        if dice.once_in(32) {
            let (before, after) = self.digits.split_at(dice.below(19) as usize);
            out.extend_from_slice(before);
            escape(char::from(after[0]), out);
            out.extend_from_slice(&after[1..]);
        } else {
            out.extend_from_slice(&self.digits);
        }
    }
}

/// Appends one character: in its usual form, or as `\u` escapes when `escaping`.
fn spell_char(ch: char, escaping: bool, out: &mut Vec<u8>) {
    let short: &[u8] = match ch {
        _ if escaping => return escape(ch, out),
        '"' => b"\\\"",
        '\\' => b"\\\\",
        '/' => b"\\/",
        '\n' => b"\\n",
        '\t' => b"\\t",
        '\u{c}' => b"\\f",
        ch if ch < ' ' => return escape(ch, out),
        ch => return out.extend_from_slice(ch.encode_utf8(&mut [0; 4]).as_bytes()),
    };
    out.extend_from_slice(short);
}

/// Appends `ch` as one `\uXXXX`, or as a surrogate pair; the case of its digits differs from one character to
/// the next, since both are valid.
fn escape(ch: char, out: &mut Vec<u8>) {
    for &unit in &*ch.encode_utf16(&mut [0; 2]) {
        out.extend_from_slice(b"\\u");
        for shift in [12, 8, 4, 0] {
            let digit = hex(u32::from(unit) >> shift);
            out.push(if unit & 1 == 0 {
                digit
            } else {
                digit.to_ascii_uppercase()
            });
        }
    }
}

fn hex(nibble: u32) -> u8 {
    b"0123456789abcdef"[(nibble & 15) as usize]
}

#[cfg(test)]
mod tests {
    use super::super::dice::Purpose;
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_user_has_an_id_of_its_own() {
        let ids: BTreeSet<String> = (0..50_000).map(|user| uid_of(user, 9)).collect();
        assert_eq!(ids.len(), 50_000);
        assert_ne!(uid_of(0, 9), uid_of(0, 10));
    }

    #[test]
    fn about_one_id_in_ten_has_a_prefix_and_every_prefix_occurs() {
        let prefixed = (0..12_000)
            .filter(|&user| uid_of(user, 1).len() > 19)
            .count();
        assert!((1_000..1_400).contains(&prefixed), "{prefixed}");
        for prefix in PREFIXES {
            assert!(
                (0..12_000).any(|user| uid_of(user, 1).starts_with(prefix)),
                "{prefix:?}"
            );
        }
    }

    #[test]
    fn every_spelling_of_an_id_decodes_to_it() {
        let mut dice = Dice::new(5, Purpose::Frame);
        for user in 0..500 {
            let mut spellings = BTreeSet::new();
            for _ in 0..200 {
                let mut json = vec![b'"'];
                Uid::new(user, 5).spell(&mut dice, &mut json);
                json.push(b'"');
                let decoded: String = serde_json::from_slice(&json).unwrap();
                assert_eq!(decoded, uid_of(user, 5));
                spellings.insert(json);
            }
            assert!(
                spellings.len() > 1,
                "user {user} is always written the same way"
            );
        }
    }
}
