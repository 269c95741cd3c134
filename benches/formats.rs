//! What JSON itself costs: the same frames as JSON, as Protobuf, and with the two fields in record headers.
//!
//! ```sh
//! cargo bench --bench formats
//! ```
//!
//! One thread, frames one behind the other in memory, all readers in turn over the same frames; each hashes every user, as
//! counting does, and all must come to the same sum. What counts is the processor time of the thread, the least of all rounds.
//!
//! Protobuf (protobuf.dev/programming-guides/encoding) has `string uid = 1; uint64 ts = 2; google.protobuf.Struct rest = 3;`.
//! One reader passes over the rest by its length, as generated code with a bytes field would; another walks over all of it and
//! checks lengths, wire types and UTF-8, as full validation of JSON does. Headers are laid out as in a record batch
//! (kafka.apache.org/documentation/#recordheader); the frame stays JSON and is not looked at.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::disallowed_methods,
    reason = "a measurement is about real time, and says by panicking that it cannot go on"
)]

#[allow(dead_code, reason = "another bench uses the rest")]
#[path = "decode/data.rs"]
mod data;

use std::fmt;
use std::hint::black_box;

use headcount::engine::decode::{Decoder, Fields, Reading};
use headcount::engine::frame::{UserHash, Verdict};
use rustix::time::{ClockId, clock_gettime};
use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};

const ROUNDS: usize = 11;

const VARINT: u64 = 0;
const FIXED64: u64 = 1;
const BYTES: u64 = 2;

/// Frames one behind the other, and where each ends.
#[derive(Default)]
struct Packed {
    bytes: Vec<u8>,
    ends: Vec<usize>,
}

impl Packed {
    fn push(&mut self, frame: &[u8]) {
        self.bytes.extend_from_slice(frame);
        self.ends.push(self.bytes.len());
    }

    fn frames(&self) -> impl Iterator<Item = &[u8]> {
        let mut start = 0;
        (self.ends.iter()).map(move |end| &self.bytes[std::mem::replace(&mut start, *end)..*end])
    }
}

/// A JSON value with its members in their order, those too whose keys stand twice.
enum Value {
    Null,
    Bool(bool),
    Number(f64),
    Text(String),
    Array(Vec<Value>),
    Object(Vec<(String, Value)>),
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(Shape)
    }
}

struct Shape;

impl<'de> Visitor<'de> for Shape {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }
    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }
    fn visit_bool<E>(self, b: bool) -> Result<Value, E> {
        Ok(Value::Bool(b))
    }
    fn visit_u64<E>(self, n: u64) -> Result<Value, E> {
        Ok(Value::Number(n as f64))
    }
    fn visit_i64<E>(self, n: i64) -> Result<Value, E> {
        Ok(Value::Number(n as f64))
    }
    fn visit_f64<E>(self, n: f64) -> Result<Value, E> {
        Ok(Value::Number(n))
    }
    fn visit_str<E>(self, text: &str) -> Result<Value, E> {
        Ok(Value::Text(text.to_owned()))
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Value, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = seq.next_element()? {
            items.push(item);
        }
        Ok(Value::Array(items))
    }
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let mut members = Vec::new();
        while let Some(member) = map.next_entry()? {
            members.push(member);
        }
        Ok(Value::Object(members))
    }
}

/// The user and the time of a frame whose fields are of the usual types; of a key that stands twice the last counts.
fn fields_of(members: &[(String, Value)]) -> Option<(&str, u64)> {
    let field = |name| members.iter().rev().find(|(key, _)| key == name);
    match (field("uid")?, field("ts")?) {
        ((_, Value::Text(uid)), (_, Value::Number(ts))) => Some((uid, *ts as u64)),
        _ => None,
    }
}

fn put_varint(mut n: u64, into: &mut Vec<u8>) {
    while n > 0x7f {
        into.push(n as u8 | 0x80);
        n >>= 7;
    }
    into.push(n as u8);
}

fn put_bytes(field: u64, bytes: &[u8], into: &mut Vec<u8>) {
    put_varint(field << 3 | BYTES, into);
    put_varint(bytes.len() as u64, into);
    into.extend_from_slice(bytes);
}

/// A `google.protobuf.Value`.
fn value_message(value: &Value) -> Vec<u8> {
    let mut message = Vec::new();
    match value {
        Value::Null => message.extend([(1 << 3 | VARINT) as u8, 0]),
        Value::Bool(b) => message.extend([(4 << 3 | VARINT) as u8, u8::from(*b)]),
        Value::Number(n) => {
            put_varint(2 << 3 | FIXED64, &mut message);
            message.extend(n.to_le_bytes());
        }
        Value::Text(text) => put_bytes(3, text.as_bytes(), &mut message),
        Value::Object(members) => put_bytes(5, &struct_message(members, &[]), &mut message),
        Value::Array(items) => {
            let mut list = Vec::new();
            for item in items {
                put_bytes(1, &value_message(item), &mut list);
            }
            put_bytes(6, &list, &mut message);
        }
    }
    message
}

/// A `google.protobuf.Struct` of an object's members but for some.
fn struct_message(members: &[(String, Value)], without: &[&str]) -> Vec<u8> {
    let mut message = Vec::new();
    for (key, value) in members {
        if !without.contains(&key.as_str()) {
            let mut entry = Vec::new();
            put_bytes(1, key.as_bytes(), &mut entry);
            put_bytes(2, &value_message(value), &mut entry);
            put_bytes(1, &entry, &mut message);
        }
    }
    message
}

fn protobuf(uid: &str, ts: u64, members: &[(String, Value)]) -> Vec<u8> {
    let mut message = Vec::new();
    put_bytes(1, uid.as_bytes(), &mut message);
    put_varint(2 << 3 | VARINT, &mut message);
    put_varint(ts, &mut message);
    put_bytes(3, &struct_message(members, &["uid", "ts"]), &mut message);
    message
}

/// Two record headers and the frame behind them. Lengths are zigzag varints, so twice the number.
fn with_headers(uid: &str, ts: u64, frame: &[u8]) -> Vec<u8> {
    let mut record = Vec::new();
    put_varint(2 * 2, &mut record);
    for (key, value) in [("uid", uid.as_bytes()), ("ts", &ts.to_le_bytes())] {
        put_varint(2 * key.len() as u64, &mut record);
        record.extend(key.as_bytes());
        put_varint(2 * value.len() as u64, &mut record);
        record.extend(value);
    }
    record.extend(frame);
    record
}

fn take_varint(bytes: &mut &[u8]) -> Option<u64> {
    let (mut n, mut shift) = (0, 0);
    loop {
        let (first, rest) = bytes.split_first()?;
        *bytes = rest;
        n |= u64::from(first & 0x7f).checked_shl(shift)?;
        if *first < 0x80 {
            return Some(n);
        }
        shift += 7;
    }
}

fn take<'b>(bytes: &mut &'b [u8], len: u64) -> Option<&'b [u8]> {
    let (taken, rest) = bytes.split_at_checked(usize::try_from(len).ok()?)?;
    *bytes = rest;
    Some(taken)
}

/// The user and the time of a Protobuf frame.
fn read_protobuf(mut frame: &[u8], checks_all: bool) -> Option<(UserHash, u64)> {
    let (mut uid, mut ts) = (None, None);
    while !frame.is_empty() {
        let tag = take_varint(&mut frame)?;
        match (tag >> 3, tag & 7) {
            (2, VARINT) => ts = Some(take_varint(&mut frame)?),
            (field, BYTES) => {
                let len = take_varint(&mut frame)?;
                let bytes = take(&mut frame, len)?;
                if field == 1 {
                    std::str::from_utf8(bytes).ok()?;
                    uid = Some(bytes);
                } else if checks_all {
                    check_struct(bytes)?;
                }
            }
            _ => return None,
        }
    }
    Some((UserHash::of(uid?), ts?))
}

fn check_struct(mut message: &[u8]) -> Option<()> {
    while !message.is_empty() {
        (take_varint(&mut message)? == 1 << 3 | BYTES).then_some(())?;
        let len = take_varint(&mut message)?;
        let mut entry = take(&mut message, len)?;
        while !entry.is_empty() {
            let tag = take_varint(&mut entry)?;
            let len = take_varint(&mut entry)?;
            let bytes = take(&mut entry, len)?;
            match tag >> 3 {
                1 => drop(std::str::from_utf8(bytes).ok()?),
                _ => check_value(bytes)?,
            }
        }
    }
    Some(())
}

fn check_value(mut message: &[u8]) -> Option<()> {
    while !message.is_empty() {
        let tag = take_varint(&mut message)?;
        match tag & 7 {
            VARINT => drop(take_varint(&mut message)?),
            FIXED64 => drop(take(&mut message, 8)?),
            BYTES => {
                let len = take_varint(&mut message)?;
                let mut bytes = take(&mut message, len)?;
                match tag >> 3 {
                    3 => drop(std::str::from_utf8(bytes).ok()?),
                    5 => check_struct(bytes)?,
                    _ => {
                        while !bytes.is_empty() {
                            take_varint(&mut bytes)?;
                            let len = take_varint(&mut bytes)?;
                            check_value(take(&mut bytes, len)?)?;
                        }
                    }
                }
            }
            _ => return None,
        }
    }
    Some(())
}

/// The user and the time of a record with headers.
fn read_headers(mut record: &[u8]) -> Option<(UserHash, u64)> {
    let (mut uid, mut ts) = (None, None);
    for _ in 0..take_varint(&mut record)? / 2 {
        let len = take_varint(&mut record)? / 2;
        let key = take(&mut record, len)?;
        let len = take_varint(&mut record)? / 2;
        let value = take(&mut record, len)?;
        match key {
            b"uid" => uid = Some(value),
            b"ts" => ts = Some(u64::from_le_bytes(value.try_into().ok()?)),
            _ => {}
        }
    }
    Some((UserHash::of(uid?), ts?))
}

type Read = Box<dyn FnMut(&[u8]) -> Option<(UserHash, u64)>>;

struct Reader<'d> {
    name: &'static str,
    frames: &'d Packed,
    read: Read,
    best_s: f64,
}

fn json(reading: Reading) -> Read {
    let mut decoder = Decoder::new(Fields {
        reading,
        ..Fields::default()
    });
    Box::new(move |frame| match decoder.decode(Some(frame)) {
        Verdict::Seen(user, ts) => Some((user, u64::from(ts))),
        Verdict::Ignored | Verdict::Rejected(_) => None,
    })
}

fn cpu_s() -> f64 {
    let now = clock_gettime(ClockId::ThreadCPUTime);
    now.tv_sec as f64 + now.tv_nsec as f64 * 1e-9
}

fn main() {
    let (name, make) = data::ALL[1];
    let recorded = make(name).unwrap_or_else(|| data::Data::of_size("2k", 2_048, 48 << 20));
    let (mut as_json, mut as_protobuf, mut as_headers) =
        (Packed::default(), Packed::default(), Packed::default());
    for frame in recorded.frames() {
        let Ok(Value::Object(members)) = serde_json::from_slice(frame) else {
            continue;
        };
        let Some((uid, ts)) = fields_of(&members) else {
            continue;
        };
        as_json.push(frame);
        as_protobuf.push(&protobuf(uid, ts, &members));
        as_headers.push(&with_headers(uid, ts, frame));
    }
    let reader = |name, frames, read| Reader {
        name,
        frames,
        read,
        best_s: f64::INFINITY,
    };
    let mut readers = [
        reader("JSON, full", &as_json, json(Reading::Full)),
        reader("JSON, fields", &as_json, json(Reading::FieldsOnly)),
        reader("JSON, simd-json", &as_json, json(Reading::SimdJson)),
        reader(
            "Protobuf, all of it checked",
            &as_protobuf,
            Box::new(|frame| read_protobuf(frame, true)),
        ),
        reader(
            "Protobuf, the two fields",
            &as_protobuf,
            Box::new(|frame| read_protobuf(frame, false)),
        ),
        reader("record headers", &as_headers, Box::new(read_headers)),
    ];
    let mut sums = Vec::new();
    for _ in 0..ROUNDS {
        for reader in &mut readers {
            let begin = cpu_s();
            let mut sum = 0_u64;
            for frame in reader.frames.frames() {
                let (user, ts) = (reader.read)(frame).expect("a good frame");
                sum = sum.wrapping_add(user.0 ^ ts);
            }
            reader.best_s = reader.best_s.min(cpu_s() - begin);
            sums.push(black_box(sum));
        }
    }
    assert!(sums.iter().all(|sum| *sum == sums[0]), "other users");
    println!("| | bytes a frame | ns a frame | frames/s |\n|---|---|---|---|");
    for reader in &readers {
        let count = reader.frames.ends.len();
        println!(
            "| {} | {} | {:.1} | {:.0} |",
            reader.name,
            reader.frames.bytes.len() / count,
            reader.best_s * 1e9 / count as f64,
            count as f64 / reader.best_s
        );
    }
}
