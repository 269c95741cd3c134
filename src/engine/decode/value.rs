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

#[inline]
fn number(text: &[u8]) -> Option<Value<'_>> {
    let is_short = (1..=DIGITS_THAT_FIT).contains(&text.len());
    if is_short && (text[0] != b'0' || text.len() == 1) {
        let digit = |byte: &u8| byte.wrapping_sub(b'0');
        if text.iter().all(|byte| digit(byte) < 10) {
            let count = text
                .iter()
                .fold(0, |n: u64, byte| 10 * n + u64::from(digit(byte)));
            return Some(Value::Integer {
                digits: Cow::Borrowed(text),
                count: Some(count),
            });
        }
    }
    any_number(text)
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
