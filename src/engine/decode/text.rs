//! Strings as they stand in JSON, and what they say.

/// Writes what a string says behind `into`, given what is between its quotes. None if an escape is wrong, or is half a
/// surrogate pair, which no UTF-8 can say.
pub(super) fn unescape(raw: &[u8], into: &mut Vec<u8>) -> Option<()> {
    let mut rest = raw;
    while let Some(at) = memchr::memchr(b'\\', rest) {
        into.extend_from_slice(&rest[..at]);
        let (char, after) = escape(&rest[at..])?;
        into.extend_from_slice(char.encode_utf8(&mut [0; 4]).as_bytes());
        rest = after;
    }
    into.extend_from_slice(rest);
    Some(())
}

/// Whether a string says just this, given what is between its quotes.
pub(super) fn unescapes_to(raw: &[u8], text: &[u8]) -> bool {
    let (mut raw, mut text) = (raw, text);
    while !raw.is_empty() {
        let mut utf8 = [0; 4];
        let (said, rest) = if raw[0] == b'\\' {
            let Some((char, rest)) = escape(raw) else {
                return false;
            };
            (char.encode_utf8(&mut utf8).as_bytes(), rest)
        } else {
            raw.split_at(1)
        };
        let Some(left) = text.strip_prefix(said) else {
            return false;
        };
        (raw, text) = (rest, left);
    }
    text.is_empty()
}

/// What the escape says that the text begins with, and the text behind it.
fn escape(text: &[u8]) -> Option<(char, &[u8])> {
    let (letter, rest) = text.strip_prefix(b"\\")?.split_first()?;
    let char = match letter {
        b'"' | b'\\' | b'/' => char::from(*letter),
        b'b' => '\x08',
        b'f' => '\x0c',
        b'n' => '\n',
        b'r' => '\r',
        b't' => '\t',
        b'u' => return unicode(rest),
        _ => return None,
    };
    Some((char, rest))
}

/// The same for what stands behind `\u`: four digits, or two times four for what needs a pair.
fn unicode(text: &[u8]) -> Option<(char, &[u8])> {
    let (unit, rest) = hex(text)?;
    if let Some(char) = char::from_u32(unit) {
        return Some((char, rest));
    }
    let (low, rest) = hex(rest.strip_prefix(b"\\u")?)?;
    let pair = [unit, low].map(|unit| unit as u16);
    let char = char::decode_utf16(pair).next()?.ok()?;
    Some((char, rest))
}

fn hex(text: &[u8]) -> Option<(u32, &[u8])> {
    let (digits, rest) = text.split_first_chunk::<4>()?;
    let unit = digits.iter().try_fold(0, |unit, digit| {
        Some(16 * unit + char::from(*digit).to_digit(16)?)
    })?;
    Some((unit, rest))
}

/// What is between the quotes of the string whose closing one is at `end`. None if there is no opening one.
///
/// For strings whose opening quote stands behind no backslash, as that of a key never does.
pub(super) fn key_ending_at(text: &[u8], end: usize) -> Option<&[u8]> {
    let mut from = end;
    loop {
        let quote = memchr::memrchr(b'"', text.get(..from)?)?;
        let backslashes = text[..quote]
            .iter()
            .rev()
            .take_while(|byte| **byte == b'\\')
            .count();
        if backslashes % 2 == 0 {
            return text.get(quote + 1..end);
        }
        from = quote;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_say_what_their_escapes_stand_for() {
        for (raw, said) in [
            (r"", Some("")),
            (r"abc", Some("abc")),
            (r#"\"\\\/\b\f\n\r\t"#, Some("\"\\/\x08\x0c\n\r\t")),
            (r"\u0000\u00e9\u00E9\u20ac", Some("\0éé€")),
            (r"\ud83d\ude42x", Some("🙂x")),
            (r"a\ud83d", None),
            (r"\ud83dx", None),
            (r"\ud83d\n", None),
            (r"\ud83d\ud83d", None),
            (r"\ude42\ud83d", None),
            (r"\ude42", None),
            (r"\u00e", None),
            (r"\u+0e9", None),
            (r"\x", None),
            ("\\", None),
        ] {
            let mut text = Vec::new();
            let result = unescape(raw.as_bytes(), &mut text);
            assert_eq!(
                result.map(|()| text.as_slice()),
                said.map(str::as_bytes),
                "{raw}"
            );
            if let Some(said) = said {
                assert!(unescapes_to(raw.as_bytes(), said.as_bytes()), "{raw}");
            }
            assert!(!unescapes_to(raw.as_bytes(), b"abcd"), "{raw}");
            assert!(!unescapes_to(raw.as_bytes(), b"ab"), "{raw}");
        }
    }

    #[test]
    fn the_key_before_a_quote_is_found() {
        for (text, key) in [
            (r#"{"uid""#, Some("uid")),
            (r#"{"x":"y","""#, Some("")),
            (r#"{"a\"b""#, Some(r#"a\"b"#)),
            (r#"{"\\\"""#, Some(r#"\\\""#)),
            (r#"{"\\""#, Some(r"\\")),
            (r#"uid""#, None),
        ] {
            let found = key_ending_at(text.as_bytes(), text.len() - 1);
            assert_eq!(found, key.map(str::as_bytes), "{text}");
        }
    }
}
