//! What must hold between the decoders, for any bytes: the fuzz target, its corpus and the tests all ask this.

use std::borrow::Cow;
use std::cell::RefCell;
use std::fmt;

use headcount::engine::decode::{Decoder, Fields, Isa, Reading};
use headcount::engine::frame::{Reject, Verdict};
use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, MapAccess, Visitor};

/// One decoder of each kind, used for frame after frame, so that what one leaves behind would show in the next.
pub struct Decoders {
    names: [String; 2],
    full: Vec<(Isa, Decoder)>,
    fields_only: Vec<(Isa, Decoder)>,
    reference: Decoder,
}

thread_local! {
    static DECODERS: RefCell<Decoders> = RefCell::new(Decoders::new(&Fields::default()));
}

/// Holds the decoders to what must be, on one frame with the usual field names; returns the verdict on all of it.
pub fn check(frame: &[u8]) -> Verdict {
    DECODERS.with_borrow_mut(|decoders| decoders.check(frame))
}

/// The same with names that are keys of the frame itself, whatever they are, or what some end with: drawn by `draw`, one of them
/// or both. Nothing if it has none, or is no JSON.
pub fn check_other_names(frame: &[u8], draw: usize) {
    let Ok(Keys(keys)) = serde_json::from_slice(frame) else {
        return;
    };
    if keys.is_empty() {
        return;
    }
    let usual = Fields::default();
    let [one, other] = [draw, draw / 7].map(|draw| {
        let key = keys[draw % keys.len()].chars();
        key.skip(draw / 49 % 2).collect::<String>()
    });
    let (uid, ts) = match draw % 3 {
        0 => (one, usual.ts.clone()),
        1 => (usual.uid.clone(), one),
        _ => (one, other),
    };
    if uid != ts {
        Decoders::new(&Fields { uid, ts, ..usual }).check(frame);
    }
}

impl Decoders {
    /// Decoders of such frames.
    pub fn new(fields: &Fields) -> Self {
        let on = |reading: Reading| {
            let fields = Fields {
                reading,
                ..fields.clone()
            };
            Isa::available()
                .map(|isa| {
                    (
                        isa,
                        Decoder::on(isa, fields.clone()).expect("the CPU has it"),
                    )
                })
                .collect()
        };
        Self {
            names: [fields.uid.clone(), fields.ts.clone()],
            full: on(Reading::Full),
            fields_only: on(Reading::FieldsOnly),
            reference: Decoder::new(Fields {
                reading: Reading::SimdJson,
                ..fields.clone()
            }),
        }
    }

    /// The verdict on all of the frame, once everybody agrees on it.
    ///
    /// # Panics
    ///
    /// When somebody does not and may not differ.
    pub fn check(&mut self, frame: &[u8]) -> Verdict {
        let full = same(&mut self.full, frame);
        let fields_only = same(&mut self.fields_only, frame);
        let reference = (self.reference.decode(Some(frame)), self.reference.raw_ts());
        if full.0 != reference.0 {
            assert_eq!(
                (reference.0, cannot_be_converted(frame)),
                (Verdict::Rejected(Reject::Json), true),
                "simd-json differs, and {:?} is no difference that is documented: {:?} of {}",
                full.0,
                self.names,
                Shown(frame)
            );
        } else if let Verdict::Seen(..) = full.0 {
            assert_eq!(full.1, reference.1, "another time: {}", Shown(frame));
        }
        if is_json(full.0) && !has_duplicates(frame, &self.names) {
            let names = &self.names;
            assert_eq!(
                fields_only.0,
                full.0,
                "fields {names:?} only: {}",
                Shown(frame)
            );
        }
        full.0
    }
}

/// The verdict of all of them.
fn same(decoders: &mut [(Isa, Decoder)], frame: &[u8]) -> (Verdict, u64) {
    let verdicts: Vec<_> = decoders
        .iter_mut()
        .map(|(isa, decoder)| (*isa, decoder.decode(Some(frame)), decoder.raw_ts()))
        .collect();
    let first = verdicts[0];
    for other in &verdicts {
        assert_eq!(
            other.1,
            first.1,
            "{:?} and {:?}: {}",
            other.0,
            first.0,
            Shown(frame)
        );
        if let Verdict::Seen(..) = first.1 {
            assert_eq!(other.2, first.2, "another time: {}", Shown(frame));
        }
    }
    (first.1, first.2)
}

/// Whether all of the frame obeys the grammar, as far as a verdict tells.
fn is_json(verdict: Verdict) -> bool {
    use Reject::{Empty, Json, TooDeep, TooLarge, Utf8};
    !matches!(
        verdict,
        Verdict::Rejected(Empty | Json | TooDeep | TooLarge | Utf8)
    )
}

/// Whether a frame may hold what `simd-json` refuses and JSON allows: a number beyond a double, or an escaped half of a
/// surrogate pair. Says no more than that there is one somewhere.
pub fn cannot_be_converted(frame: &[u8]) -> bool {
    let is_beyond = |number: &[u8]| {
        let text = String::from_utf8_lossy(number);
        text.parse::<f64>().is_ok_and(f64::is_infinite)
    };
    let mut rest = frame;
    let mut number = Vec::new();
    while let Some((byte, after)) = rest.split_first() {
        rest = after;
        if byte.is_ascii_digit() || b"+-.eE".contains(byte) {
            number.push(*byte);
            continue;
        }
        if is_beyond(&number) {
            return true;
        }
        number.clear();
        if *byte == b'"' {
            let end = end_of_string(rest);
            let quoted = [b"\"", &rest[..end], b"\""].concat();
            let lone = serde_json::from_slice::<String>(&quoted)
                .err()
                .map(|error| error.to_string());
            if lone.is_some_and(|error| error.contains("surrogate") || error.contains("hex escape"))
            {
                return true;
            }
            rest = rest.get(end + 1..).unwrap_or_default();
        }
    }
    is_beyond(&number)
}

fn end_of_string(text: &[u8]) -> usize {
    let mut is_escaped = false;
    let ends = |byte: &u8| {
        let ends = *byte == b'"' && !is_escaped;
        is_escaped = *byte == b'\\' && !is_escaped;
        ends
    };
    text.iter().position(ends).unwrap_or(text.len())
}

/// Whether one of the two keys stands twice at the root, or nobody knows.
fn has_duplicates(frame: &[u8], names: &[String; 2]) -> bool {
    let stands_twice = |keys: Keys<'_>| {
        let count = |name: &String| keys.0.iter().filter(|key| *key == name).count();
        names.iter().any(|name| count(name) > 1)
    };
    serde_json::from_slice(frame).map_or(true, stands_twice)
}

/// The keys at the root.
struct Keys<'f>(Vec<Cow<'f, str>>);

impl<'de: 'f, 'f> Deserialize<'de> for Keys<'f> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Keys(Vec::new()))
    }
}

impl<'de: 'f, 'f> Visitor<'de> for Keys<'f> {
    type Value = Self;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<Self, A::Error> {
        while let Some((key, IgnoredAny)) = map.next_entry::<Cow<'de, str>, IgnoredAny>()? {
            self.0.push(key);
        }
        Ok(self)
    }
}

/// A frame as text, cut where it is long.
struct Shown<'f>(&'f [u8]);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let head = &self.0[..self.0.len().min(2_000)];
        write!(f, "{} bytes, {}", self.0.len(), head.escape_ascii())
    }
}
