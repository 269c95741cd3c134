//! Frames to be measured on: of every size, recorded ones where there are any, and such as are hard for a decoder.

use std::fmt::Write as _;
use std::io::Read;
use std::ops::Range;
use std::path::PathBuf;

use headcount::generate::{Plan, Traffic};
use serde_json::Value;

/// Bytes of frames: more than the caches hold near the processor.
const BYTES: usize = 48 << 20;

/// Frames, one behind the other, each with its newline.
pub struct Data {
    pub name: String,
    text: Vec<u8>,
    frames: Vec<Range<usize>>,
}

type Make = fn(&str) -> Option<Data>;

/// By name.
pub const ALL: &[(&str, Make)] = &[
    ("2k", |name| Some(Data::of_size(name, 2_048, BYTES))),
    ("recorded", recorded),
    ("100b", |name| Some(Data::of_size(name, 100, BYTES / 2))),
    ("64k", |name| Some(Data::of_size(name, 64 << 10, BYTES))),
    ("1m", |name| Some(Data::of_size(name, 1 << 20, BYTES))),
    ("spaced", |name| Some(rewritten(name, spaced))),
    ("escaped", |name| Some(rewritten(name, escaped))),
    ("nested", |name| Some(made(name, nested))),
    ("numbers", |name| Some(made(name, numbers))),
];

impl Data {
    fn new(name: &str, text: Vec<u8>) -> Self {
        let mut start = 0;
        let ends = memchr::memchr_iter(b'\n', &text);
        let frames = ends
            .map(|end| std::mem::replace(&mut start, end + 1)..end)
            .collect();
        Self {
            name: name.to_owned(),
            text,
            frames,
        }
    }

    /// What `headcount generate --frame-bytes SIZE` writes, with the seed that it has.
    pub fn of_size(name: &str, frame_bytes: u32, bytes: usize) -> Self {
        let plan = Plan {
            frame_bytes,
            frames: (bytes / frame_bytes as usize) as u64,
            ..Plan::default()
        };
        plan.check().unwrap();
        let mut traffic = Traffic::new(&plan);
        let (mut text, mut frame) = (Vec::with_capacity(bytes + bytes / 4), Vec::new());
        while traffic.next_frame(&mut frame).is_some() {
            text.extend_from_slice(frame.trim_ascii_end());
            text.push(b'\n');
        }
        Self::new(name, text)
    }

    pub fn text(&self) -> &[u8] {
        &self.text
    }

    pub fn frames(&self) -> impl Iterator<Item = &[u8]> {
        self.frames.iter().map(|frame| &self.text[frame.clone()])
    }
}

/// The recorded frames that the tests use too, as often as it takes.
fn recorded(name: &str) -> Option<Data> {
    let folder = std::env::var_os("HEADCOUNT_TEST_DATA").map_or_else(
        || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../shared/data"),
        PathBuf::from,
    );
    let file = std::fs::File::open(folder.join("ordered.jsonl.zst")).ok()?;
    let mut once = Vec::new();
    zstd::Decoder::new(file).ok()?.read_to_end(&mut once).ok()?;
    Some(Data::new(name, once.repeat(BYTES.div_ceil(once.len()))))
}

/// Generated frames of 2 KB, written anew.
fn rewritten(name: &str, write: fn(&Value, &mut String)) -> Data {
    let source = Data::of_size(name, 2_048, BYTES / 2);
    let mut text = String::new();
    for frame in source.frames() {
        write(&serde_json::from_slice(frame).unwrap(), &mut text);
        text.push('\n');
    }
    Data::new(name, text.into_bytes())
}

/// Frames of about 2 KB from their numbers.
fn made(name: &str, write: fn(u64, &mut String)) -> Data {
    let mut text = String::new();
    for number in 0..(BYTES / 2 / 2_048) as u64 {
        let _ = write!(text, "{{\"uid\":\"u{number}\",\"x\":");
        write(number, &mut text);
        let _ = writeln!(text, ",\"ts\":{}}}", 1_767_225_600 + number);
    }
    Data::new(name, text.into_bytes())
}

/// As Python writes JSON: a space behind each comma and colon.
fn spaced(value: &Value, into: &mut String) {
    write_with(value, into, ", ", ": ", &|text| {
        serde_json::to_string(text).unwrap()
    });
}

/// Everything beyond ASCII as `\uXXXX`, and every eighth letter too.
fn escaped(value: &Value, into: &mut String) {
    write_with(value, into, ",", ":", &|text| {
        let mut quoted = "\"".to_owned();
        for (i, unit) in text.encode_utf16().enumerate() {
            match u8::try_from(unit) {
                Ok(byte @ (b' '..=b'~'))
                    if byte != b'"' && byte != b'\\' && (i % 8 > 0 || text.len() < 8) =>
                {
                    quoted.push(byte.into());
                }
                _ => {
                    let _ = write!(quoted, "\\u{unit:04x}");
                }
            }
        }
        quoted.push('"');
        quoted
    });
}

fn write_with(
    value: &Value,
    into: &mut String,
    comma: &str,
    colon: &str,
    quoted: &dyn Fn(&str) -> String,
) {
    match value {
        Value::Object(members) => {
            into.push('{');
            for (i, (key, member)) in members.iter().enumerate() {
                into.push_str(if i > 0 { comma } else { "" });
                into.push_str(&quoted(key));
                into.push_str(colon);
                write_with(member, into, comma, colon, quoted);
            }
            into.push('}');
        }
        Value::Array(items) => {
            into.push('[');
            for (i, item) in items.iter().enumerate() {
                into.push_str(if i > 0 { comma } else { "" });
                write_with(item, into, comma, colon, quoted);
            }
            into.push(']');
        }
        Value::String(text) => into.push_str(&quoted(text)),
        other => into.push_str(&other.to_string()),
    }
}

/// Brackets above all, some 60 levels deep.
fn nested(number: u64, into: &mut String) {
    into.push('[');
    for i in 0..8 {
        let levels = 20 + ((number + i) % 40) as usize;
        into.push_str(if i > 0 { "," } else { "" });
        into.push_str(&"[{\"a\":".repeat(levels));
        into.push('1');
        into.push_str(&"}]".repeat(levels));
    }
    into.push(']');
}

/// Numbers above all, of every form.
fn numbers(number: u64, into: &mut String) {
    into.push('[');
    let mut seed = number;
    for i in 0..200 {
        seed = seed
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        let n = seed >> 33;
        into.push_str(if i > 0 { "," } else { "" });
        let _ = match i % 10 {
            0..=4 => write!(into, "{n}"),
            5 | 6 => write!(into, "{}.{}", n % 1_000, n % 977),
            7 => write!(into, "-{n}"),
            8 => write!(into, "{}.{}e{}", n % 10, n % 89, n % 20),
            _ => write!(into, "{}", n % 10),
        };
    }
    into.push(']');
}
