//! JSON read byte by byte: the twin that the bitmaps are held to, and the one that says why a frame was refused.
//!
//! It goes by RFC 8259 from the first byte to the first mistake, with one bit a level for the containers that are open. What it
//! takes for granted is UTF-8.

use crate::limits::MAX_FRAME_DEPTH;

/// What a text is that is JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Root {
    Object,
    Other,
}

/// The first thing that is wrong with a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    /// A container below `MAX_FRAME_DEPTH` others.
    TooDeep,
    Json,
}

/// Reads a text of which all is to be one JSON text.
///
/// # Errors
///
/// The first fault.
pub(super) fn check(text: &[u8]) -> Result<Root, Fault> {
    let mut reader = Reader {
        text,
        at: 0,
        open: [0; MAX_FRAME_DEPTH / 64],
        depth: 0,
    };
    reader.skip_space();
    let root = match reader.peek() {
        Some(b'{') => Root::Object,
        _ => Root::Other,
    };
    loop {
        // A value is due. One that is a container with something in it ends later.
        if !reader.value()? {
            continue;
        }
        while reader.depth > 0 {
            if reader.next_member()? {
                break;
            }
        }
        if reader.depth == 0 {
            break;
        }
    }
    reader.skip_space();
    if reader.at == text.len() {
        Ok(root)
    } else {
        Err(Fault::Json)
    }
}

struct Reader<'t> {
    text: &'t [u8],
    at: usize,
    /// One bit a level, 1 is an object.
    open: [u64; MAX_FRAME_DEPTH / 64],
    depth: usize,
}

impl Reader<'_> {
    fn peek(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    fn skip_space(&mut self) {
        while let Some(b' ' | b'\t' | b'\n' | b'\r') = self.peek() {
            self.at += 1;
        }
    }

    /// Takes this byte, white space around it included.
    fn take(&mut self, byte: u8) -> bool {
        self.skip_space();
        let is_there = self.peek() == Some(byte);
        if is_there {
            self.at += 1;
            self.skip_space();
        }
        is_there
    }

    fn in_object(&self) -> bool {
        let level = self.depth - 1;
        (self.open[level / 64] >> (level % 64)) & 1 == 1
    }

    /// Reads a value, or a container up to where its first value is due; then it returns false.
    fn value(&mut self) -> Result<bool, Fault> {
        self.skip_space();
        match self.peek() {
            Some(b'{') => self.open(true),
            Some(b'[') => self.open(false),
            Some(b'"') => self.string().map(|()| true),
            _ => {
                self.at += scalar_len(&self.text[self.at..]).ok_or(Fault::Json)?;
                Ok(true)
            }
        }
    }

    fn open(&mut self, is_object: bool) -> Result<bool, Fault> {
        if self.depth == MAX_FRAME_DEPTH {
            return Err(Fault::TooDeep);
        }
        let (word, bit) = (self.depth / 64, self.depth % 64);
        self.open[word] = (self.open[word] & !(1 << bit)) | (u64::from(is_object) << bit);
        self.depth += 1;
        self.at += 1;
        if self.take(if is_object { b'}' } else { b']' }) {
            self.depth -= 1;
            return Ok(true);
        }
        if is_object {
            self.key()?;
        }
        Ok(false)
    }

    fn key(&mut self) -> Result<(), Fault> {
        self.string()?;
        if self.take(b':') {
            Ok(())
        } else {
            Err(Fault::Json)
        }
    }

    /// Behind a value in a container: whether another is due, or the container ends.
    fn next_member(&mut self) -> Result<bool, Fault> {
        let is_object = self.in_object();
        if self.take(b',') {
            if is_object {
                self.key()?;
            }
            return Ok(true);
        }
        if self.take(if is_object { b'}' } else { b']' }) {
            self.depth -= 1;
            return Ok(false);
        }
        Err(Fault::Json)
    }

    fn string(&mut self) -> Result<(), Fault> {
        if self.peek() != Some(b'"') {
            return Err(Fault::Json);
        }
        self.at += 1;
        loop {
            let byte = self.peek().ok_or(Fault::Json)?;
            self.at += 1;
            match byte {
                b'"' => return Ok(()),
                b'\\' => self.escape()?,
                0..0x20 => return Err(Fault::Json),
                _ => {}
            }
        }
    }

    /// Behind a backslash.
    fn escape(&mut self) -> Result<(), Fault> {
        let letter = self.peek().ok_or(Fault::Json)?;
        self.at += 1;
        match letter {
            b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => Ok(()),
            b'u' => {
                let digits = self.text.get(self.at..self.at + 4).ok_or(Fault::Json)?;
                self.at += 4;
                let are_hex = digits.iter().all(u8::is_ascii_hexdigit);
                are_hex.then_some(()).ok_or(Fault::Json)
            }
            _ => Err(Fault::Json),
        }
    }
}

/// The length of the number or literal that the text begins with.
pub(super) fn scalar_len(text: &[u8]) -> Option<usize> {
    let literals: [&[u8]; 3] = [b"true", b"false", b"null"];
    let literal = literals
        .into_iter()
        .find(|literal| text.starts_with(literal));
    literal.map(<[u8]>::len).or_else(|| number_len(text))
}

/// The length of the number that the text begins with: no sign but minus, no leading zero, digits on both sides of a point
/// (RFC 8259, section 6).
pub(super) fn number_len(text: &[u8]) -> Option<usize> {
    let digits = |from: usize| {
        text[from..]
            .iter()
            .take_while(|byte| byte.is_ascii_digit())
            .count()
    };
    let whole = usize::from(text.first() == Some(&b'-'));
    let mut at = whole + digits(whole);
    if at == whole {
        return None;
    }
    if text[whole] == b'0' {
        at = whole + 1;
    }
    if text.get(at) == Some(&b'.') {
        let fraction = digits(at + 1);
        if fraction == 0 {
            return None;
        }
        at += 1 + fraction;
    }
    if let Some(b'e' | b'E') = text.get(at) {
        at += 1;
        if let Some(b'+' | b'-') = text.get(at) {
            at += 1;
        }
        let exponent = digits(at);
        if exponent == 0 {
            return None;
        }
        at += exponent;
    }
    Some(at)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts() {
        let deep = |n: usize| format!("{}{}", "[".repeat(n), "]".repeat(n));
        let (at_limit, too_deep) = (deep(MAX_FRAME_DEPTH), deep(MAX_FRAME_DEPTH + 1));
        let cases: &[(&str, Result<Root, Fault>)] = &[
            (r#" {"a" : [1, {"b":[]}, "x"] , "c":{}} "#, Ok(Root::Object)),
            ("{}", Ok(Root::Object)),
            ("[]", Ok(Root::Other)),
            ("[[[1],[]],{}]", Ok(Root::Other)),
            (" 1.5e-7\n", Ok(Root::Other)),
            (r#""\u00e9\n""#, Ok(Root::Other)),
            (&at_limit, Ok(Root::Other)),
            (&too_deep, Err(Fault::TooDeep)),
            ("", Err(Fault::Json)),
            ("[", Err(Fault::Json)),
            ("[1}", Err(Fault::Json)),
            ("[1,]", Err(Fault::Json)),
            ("[,1]", Err(Fault::Json)),
            ("{,}", Err(Fault::Json)),
            (r#"{"a"}"#, Err(Fault::Json)),
            (r#"{"a":}"#, Err(Fault::Json)),
            (r#"{"a":1,}"#, Err(Fault::Json)),
            (r#"{"a":1]"#, Err(Fault::Json)),
            (r#"{a:1}"#, Err(Fault::Json)),
            ("{} {}", Err(Fault::Json)),
            ("1 2", Err(Fault::Json)),
            ("01", Err(Fault::Json)),
            ("\"\t\"", Err(Fault::Json)),
            (r#""\u00g0""#, Err(Fault::Json)),
            (r#""\x""#, Err(Fault::Json)),
        ];
        for (text, expected) in cases {
            assert_eq!(check(text.as_bytes()), *expected, "{text}");
        }
    }

    #[test]
    fn numbers() {
        for (text, len) in [
            ("0", Some(1)),
            ("-0", Some(2)),
            ("01", Some(1)),
            ("10", Some(2)),
            ("1.5", Some(3)),
            ("1.", None),
            (".5", None),
            ("-", None),
            ("+1", None),
            ("1e5", Some(3)),
            ("1E+05,", Some(5)),
            ("1e", None),
            ("1e+", None),
            ("0e1", Some(3)),
            ("", None),
        ] {
            assert_eq!(number_len(text.as_bytes()), len, "{text}");
        }
    }
}
