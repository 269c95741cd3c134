//! The value of a field: as it stands in a frame, and as what it means.

use std::borrow::Cow;

use super::{bytewise, text};

/// A value as it stands in a frame.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Raw<'f> {
    /// What is between the quotes of a string without escapes.
    Plain(&'f [u8]),
    /// What is between the quotes of a string with some.
    Escaped(&'f [u8]),
    /// What looks like a number.
    Number(&'f [u8]),
    Null,
    /// `true`, `false`, an object or an array.
    Other,
}

/// A value as what it means.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Value<'v> {
    /// A string, unescaped.
    Text(&'v [u8]),
    /// An integer within `i64` or `u64`.
    Integer {
        /// In decimal, with no more than a sign and digits.
        digits: Cow<'v, [u8]>,
        /// None if it is negative.
        count: Option<u64>,
    },
    /// Any other number, as the double that is nearest to it.
    Float(f64),
    Null,
    Other,
}

impl<'f> Raw<'f> {
    /// What the value means; `unescaped` is where the text goes that does not stand so in the frame. None if it means nothing:
    /// half a surrogate pair, a number beyond a double; and, in a frame whose grammar was not looked at, any mistake.
    #[inline]
    pub(super) fn value<'v>(self, unescaped: &'v mut Vec<u8>) -> Option<Value<'v>>
    where
        'f: 'v,
    {
        match self {
            Self::Plain(text) => Some(Value::Text(text)),
            Self::Escaped(text) => {
                unescaped.clear();
                text::unescape(text, unescaped)?;
                Some(Value::Text(unescaped))
            }
            Self::Number(text) => number(text),
            Self::Null => Some(Value::Null),
            Self::Other => Some(Value::Other),
        }
    }
}

/// Digits that surely fit 64 bits.
const DIGITS_THAT_FIT: usize = 19;

/// The number that is written with digits alone, if it surely fits.
#[inline]
pub(super) fn digits(text: &[u8]) -> Option<u64> {
    let is_short = (1..=DIGITS_THAT_FIT).contains(&text.len());
    let is_whole = is_short && (text[0] != b'0' || text.len() == 1);
    if is_whole { count(text) } else { None }
}

#[inline]
fn number(text: &[u8]) -> Option<Value<'_>> {
    if let Some(count) = digits(text) {
        return Some(Value::Integer {
            digits: Cow::Borrowed(text),
            count: Some(count),
        });
    }
    any_number(text)
}

/// What digits say; none if anything else is among them. There may be `DIGITS_THAT_FIT`.
#[inline]
fn count(text: &[u8]) -> Option<u64> {
    let (eights, rest) = text.as_chunks::<8>();
    let mut count = 0;
    for eight in eights {
        count = 100_000_000 * count + eight_digits(*eight)?;
    }
    for byte in rest {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 {
            return None;
        }
        count = 10 * count + u64::from(digit);
    }
    Some(count)
}

/// Eight digits at once: neighbours are added up to pairs, these to fours, and these to all eight (Lemire, "Quickly parsing
/// eight digits", 2022).
#[inline]
fn eight_digits(text: [u8; 8]) -> Option<u64> {
    const EACH: u64 = 0x0101_0101_0101_0101;
    const LOW_OF_EACH_HALF: u64 = 0x0000_00ff_0000_00ff;
    let digits = u64::from_le_bytes(text) ^ (EACH * u64::from(b'0'));
    // From 10 on the sum has the top bit of its byte; what carries into the next one has it itself.
    let others = digits | digits.wrapping_add(EACH * (0x80 - 10));
    if others & (EACH * 0x80) != 0 {
        return None;
    }
    // The first digit is the lowest byte.
    let pairs = digits * 10 + (digits >> 8);
    let odd = (pairs & LOW_OF_EACH_HALF).wrapping_mul(100 + (1_000_000 << 32));
    let even = ((pairs >> 16) & LOW_OF_EACH_HALF).wrapping_mul(1 + (10_000 << 32));
    Some(odd.wrapping_add(even) >> 32)
}

#[inline(never)]
fn any_number(text: &[u8]) -> Option<Value<'_>> {
    if bytewise::number_len(text) != Some(text.len()) {
        return None;
    }
    let text = std::str::from_utf8(text).ok()?;
    if let Ok(count) = text.parse::<u64>() {
        return Some(Value::Integer {
            digits: Cow::Borrowed(text.as_bytes()),
            count: Some(count),
        });
    }
    if let Ok(negative) = text.parse::<i64>() {
        // There is one zero among the integers.
        let (digits, count) = match negative {
            0 => (&b"0"[..], Some(0)),
            _ => (text.as_bytes(), None),
        };
        return Some(Value::Integer {
            digits: Cow::Borrowed(digits),
            count,
        });
    }
    let float = text.parse::<f64>().ok()?;
    float.is_finite().then_some(Value::Float(float))
}

#[cfg(test)]
mod tests {
    use super::{DIGITS_THAT_FIT, count};

    #[test]
    fn digits_are_read_whole_or_not_at_all() {
        let digits = b"9876543210987654321";
        for from in 0..digits.len() {
            for to in from + 1..=digits.len().min(from + DIGITS_THAT_FIT) {
                let text = &digits[from..to];
                let expected = std::str::from_utf8(text).unwrap().parse().ok();
                assert_eq!(count(text), expected, "{}", text.escape_ascii());
                for at in 0..text.len() {
                    for other in (0..=u8::MAX).filter(|byte| !byte.is_ascii_digit()) {
                        let mut text = text.to_vec();
                        text[at] = other;
                        assert_eq!(count(&text), None, "{}", text.escape_ascii());
                    }
                }
            }
        }
        assert_eq!(
            count(&[b'9'; DIGITS_THAT_FIT]),
            Some(9_999_999_999_999_999_999)
        );
    }
}
