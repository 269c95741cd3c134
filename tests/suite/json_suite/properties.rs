//! Both decoders against `serde_json`, which shares no code with them, on frames that nobody wrote by hand.
//!
//! Differences that both sides' documentation owns up to: an integer `-0` is a float to `serde_json`; it gives up on
//! more than 128 levels (the frames here have fewer); its floats may be off by the last bit.

use std::cell::RefCell;
use std::fmt::{self, Write};

use headcount::engine::decode::{Decoder, Fields, Reading};
use headcount::engine::frame::{Reject, UserHash, Verdict};
use proptest::prelude::*;
use proptest::sample::{Index, select};
use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::Value;

/// Bytes that a careless reader trips over, alone or side by side.
const SHARDS: &[&[u8]] = &[
    b"{",
    b"}",
    b"[",
    b"]",
    b",",
    b":",
    b"\"",
    b"\\",
    b"\\u",
    b"d83d",
    b"\\ude42",
    b"\\ud83d",
    b"0041",
    b"true",
    b"false",
    b"null",
    b"0",
    b"-",
    b".",
    b"e",
    b"E+",
    b"00",
    b"123456789012345678",
    b"9",
    b" ",
    b"\t",
    b"\n",
    b"\r",
    b"\x0c",
    b"\0",
    b"\x7f",
    b"\x1f",
    b"\xff",
    b"\xc3\xa9",
    b"\xc3",
    b"\xed\xa0\x80",
    b"\xf0\x9f\x99\x82",
    b"\xef\xbb\xbf",
    b"\"uid\"",
    b"\"ts\"",
    b"\"uid\":\"a\"",
    b"\"ts\":7",
    b"{\"uid\":\"a\",\"ts\":7",
    b"\"x\":[",
    b"/*",
    b"//",
    b"NaN",
    b"'",
    b"\\n",
    b"\\x",
    b"1e5",
    b"0.5",
    b"1E400",
    b"                                                                ",
];

/// What `serde_json` finds at the root.
enum Root {
    /// The last `uid` and the last `ts`.
    Object(Option<Value>, Option<Value>),
    Other,
}

impl<'de> Deserialize<'de> for Root {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(RootVisitor)
    }
}

struct RootVisitor;

impl<'de> Visitor<'de> for RootVisitor {
    type Value = Root;

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("any JSON")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Root, A::Error> {
        let (mut uid, mut ts) = (None, None);
        while let Some((key, value)) = map.next_entry::<String, Value>()? {
            match key.as_str() {
                "uid" => uid = Some(value),
                "ts" => ts = Some(value),
                _ => {}
            }
        }
        Ok(Root::Object(uid, ts))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Root, A::Error> {
        while items.next_element::<Value>()?.is_some() {}
        Ok(Root::Other)
    }

    fn visit_str<E>(self, _: &str) -> Result<Root, E> {
        Ok(Root::Other)
    }

    fn visit_bool<E>(self, _: bool) -> Result<Root, E> {
        Ok(Root::Other)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Root, E> {
        Ok(Root::Other)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Root, E> {
        Ok(Root::Other)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Root, E> {
        Ok(Root::Other)
    }

    fn visit_unit<E>(self) -> Result<Root, E> {
        Ok(Root::Other)
    }
}

/// The verdicts that are right for a frame: one, or a few where `serde_json` does not say enough.
fn expected(frame: &[u8]) -> Vec<Verdict> {
    let Ok(text) = std::str::from_utf8(frame) else {
        return [Reject::Utf8, Reject::Json].map(Verdict::Rejected).to_vec();
    };
    if text.trim_ascii().is_empty() {
        return vec![Verdict::Rejected(Reject::Empty)];
    }
    let (uid, ts) = match serde_json::from_str(text) {
        Err(_) => return vec![Verdict::Rejected(Reject::Json)],
        Ok(Root::Other) => return vec![Verdict::Rejected(Reject::NotObject)],
        Ok(Root::Object(uid, ts)) => (uid, ts),
    };
    let mut right = Vec::new();
    for uid in expected_uid(uid) {
        match uid {
            Err(reason) => right.push(Verdict::Rejected(reason)),
            Ok(uid) => right.extend(expected_ts(ts.as_ref()).into_iter().map(|ts| match ts {
                Ok(ts) => Verdict::Seen(UserHash::of(uid.as_bytes()), ts),
                Err(reason) => Verdict::Rejected(reason),
            })),
        }
    }
    right
}

fn expected_uid(uid: Option<Value>) -> Vec<Result<String, Reject>> {
    match uid {
        None => vec![Err(Reject::UidMissing)],
        Some(Value::String(uid)) if uid.is_empty() => vec![Err(Reject::UidEmpty)],
        Some(Value::String(uid)) => vec![Ok(uid)],
        Some(Value::Number(n)) if n.is_u64() || n.is_i64() => vec![Ok(n.to_string())],
        // Either -0, which is an integer, or -0.0, which is none.
        Some(Value::Number(n)) if n.as_f64() == Some(0.0) => {
            vec![Ok("0".to_owned()), Err(Reject::UidType)]
        }
        Some(_) => vec![Err(Reject::UidType)],
    }
}

fn expected_ts(ts: Option<&Value>) -> Vec<Result<u32, Reject>> {
    match ts {
        None => vec![Err(Reject::TsMissing)],
        Some(Value::Number(n)) => seconds(n),
        Some(Value::String(text)) => {
            // White space is allowed around a JSON text, but a string that holds a number holds nothing else.
            let is_bare = text.starts_with(|c: char| c == '-' || c.is_ascii_digit())
                && text.ends_with(|c: char| c.is_ascii_digit());
            match serde_json::from_str(text) {
                Ok(Value::Number(n)) if is_bare => seconds(&n),
                Err(error) if is_bare && error.to_string().starts_with("number out of range") => {
                    vec![Err(Reject::TsRange)]
                }
                _ => vec![Err(Reject::TsType)],
            }
        }
        Some(_) => vec![Err(Reject::TsType)],
    }
}

fn seconds(n: &serde_json::Number) -> Vec<Result<u32, Reject>> {
    let in_range = |n: Option<u64>| {
        n.and_then(|n| u32::try_from(n).ok())
            .filter(|n| (1..u32::MAX).contains(n))
            .ok_or(Reject::TsRange)
    };
    if n.is_u64() || n.is_i64() {
        return vec![in_range(n.as_u64())];
    }
    let n = n.as_f64().unwrap();
    [n.next_down(), n, n.next_up()]
        .map(|n| in_range((n >= 0.0).then(|| n.floor() as u64)))
        .to_vec()
}

thread_local! {
    /// One for all frames of a test, so that what a frame leaves behind in the buffers would show.
    static USED: RefCell<Decoder> = RefCell::new(Decoder::new(Fields::default()));
    static REFERENCE: RefCell<Decoder> = RefCell::new(Decoder::new(Fields {
        reading: Reading::SimdJson,
        ..Fields::default()
    }));
}

fn check(frame: &[u8]) -> Result<Verdict, TestCaseError> {
    let verdict = USED.with_borrow_mut(|decoder| decoder.decode(Some(frame)));
    let fresh = Decoder::new(Fields::default()).decode(Some(frame));
    prop_assert_eq!(verdict, fresh, "the decoder remembers another frame");
    let right = expected(frame);
    let reference = REFERENCE.with_borrow_mut(|decoder| decoder.decode(Some(frame)));
    for (verdict, may_differ) in [(reference, false), (verdict, cannot_be_converted(frame))] {
        prop_assert!(
            right.contains(&verdict) || may_differ,
            "{:?} instead of {:?} for {}",
            verdict,
            right,
            String::from_utf8_lossy(frame)
        );
    }
    Ok(verdict)
}

/// Whether `serde_json` gives up on a value that JSON allows, and that nobody but it and `simd-json` wants to convert. What
/// the verdict is then, the tests in tests/decode know.
fn cannot_be_converted(frame: &[u8]) -> bool {
    let error = serde_json::from_slice::<Root>(frame).err();
    error.is_some_and(|error| {
        let error = error.to_string();
        ["number out of range", "surrogate", "end of hex escape"]
            .iter()
            .any(|cause| error.contains(cause))
    })
}

fn space() -> impl Strategy<Value = &'static str> {
    prop_oneof![6 => Just(""), 1 => select(vec![" ", "\t", "\r", "\n", "  \r\n\t "])]
}

/// A JSON string, its quotes included.
fn string() -> impl Strategy<Value = String> {
    let plain = any::<char>().prop_map(|c| match c {
        '"' | '\\' => format!("\\{c}"),
        '\0'..='\x1f' => format!("\\u{:04X}", u32::from(c)),
        c => c.to_string(),
    });
    let escaped = any::<char>().prop_map(|c| {
        let mut units = [0; 2];
        c.encode_utf16(&mut units)
            .iter()
            .fold(String::new(), |mut text, unit| {
                let _ = write!(text, "\\u{unit:04x}");
                text
            })
    });
    let short = select(vec![
        "\\n", "\\t", "\\\"", "\\\\", "\\/", "\\b", "\\f", "\\r",
    ]);
    let long = "[ -!#-\\[\\]-~]{1,70}";
    let piece = prop_oneof![
        4 => long.prop_map(String::from),
        2 => plain,
        2 => escaped,
        1 => short.prop_map(String::from)
    ];
    proptest::collection::vec(piece, 0..6).prop_map(|pieces| format!("\"{}\"", pieces.concat()))
}

/// A JSON number whose value a float can hold.
fn number() -> impl Strategy<Value = String> {
    prop_oneof![
        "-?(0|[1-9][0-9]{0,24})",
        "-?(0|[1-9][0-9]{0,11})\\.[0-9]{1,20}",
        "-?(0|[1-9][0-9]{0,11})(\\.[0-9]{1,20})?[eE][+-]?[0-9]{1,2}",
        "0[eE][+-]?[0-9]{1,12}",
        "-?[1-9][eE]-[0-9]{1,12}",
    ]
}

fn value() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        select(vec!["null", "true", "false", "[]", "{}"]).prop_map(String::from),
        number(),
        string()
    ];
    leaf.prop_recursive(5, 40, 6, |inner| {
        let key = prop_oneof![
            Just("\"uid\"".to_owned()),
            Just("\"ts\"".to_owned()),
            string()
        ];
        let member = (key, space(), inner.clone())
            .prop_map(|(key, s, value)| format!("{key}{s}:{s}{value}"));
        let list = |items: Vec<String>, s: &str| items.join(&format!("{s},{s}"));
        prop_oneof![
            (proptest::collection::vec(inner, 0..6), space())
                .prop_map(move |(items, s)| format!("[{s}{}{s}]", list(items, s))),
            (proptest::collection::vec(member, 0..6), space())
                .prop_map(move |(members, s)| format!("{{{s}{}{s}}}", list(members, s))),
        ]
    })
}

/// A root member: often one of the two that count, with any value that may be tried for it.
fn member() -> impl Strategy<Value = String> {
    let uid_key = select(vec!["\"uid\"", "\"\\u0075id\"", "\"ui\\u0064\""]);
    let ts_key = select(vec!["\"ts\"", "\"\\u0074s\""]);
    let uid = prop_oneof![4 => string(), 2 => number(), 1 => value()];
    let second = prop_oneof![
        3 => (0u64..5_000_000_000).prop_map(|n| n.to_string()),
        1 => "(0|[1-9][0-9]{0,9})\\.[0-9]{1,18}",
        1 => number()
    ];
    let quoted = second.clone().prop_map(|n| format!("\"{n}\""));
    let odd = select(vec![
        "\" 7\"",
        "\"7 \"",
        "\"+7\"",
        "\"07\"",
        "\"1e400\"",
        "\"-0\"",
        "\"\"",
    ]);
    let ts = prop_oneof![
        4 => second,
        2 => quoted,
        1 => odd.prop_map(String::from),
        1 => value()
    ];
    prop_oneof![
        2 => (uid_key, space(), uid).prop_map(|(key, s, uid)| format!("{key}{s}:{uid}{s}")),
        2 => (ts_key, space(), ts).prop_map(|(key, s, ts)| format!("{key}{s}:{s}{ts}")),
        3 => (string(), space(), value()).prop_map(|(key, s, value)| format!("{key}:{s}{value}{s}"))
    ]
}

/// A frame that is valid JSON.
fn frame() -> impl Strategy<Value = Vec<u8>> {
    (space(), proptest::collection::vec(member(), 0..8))
        .prop_map(|(s, members)| format!("{s}{{{s}{}{s}}}", members.join(",")).into_bytes())
}

/// A frame with both fields and good values for them.
fn good_frame() -> impl Strategy<Value = Vec<u8>> {
    (string(), 1u32..u32::MAX, value(), any::<bool>()).prop_map(|(text, ts, value, uid_first)| {
        let mut fields = [
            format!("\"uid\":\"u\",\"y\":{text}"),
            format!("\"ts\":{ts}"),
        ];
        if !uid_first {
            fields.reverse();
        }
        format!("{{{},\"x\":{value},{}}}", fields[0], fields[1]).into_bytes()
    })
}

#[derive(Debug, Clone)]
enum Damage {
    Flip(u8),
    Remove(usize),
    Insert(&'static [u8]),
    Overwrite(&'static [u8]),
}

fn damage() -> impl Strategy<Value = (Index, Damage)> {
    let kind = prop_oneof![
        (0u8..8).prop_map(Damage::Flip),
        (1usize..5).prop_map(Damage::Remove),
        select(SHARDS).prop_map(Damage::Insert),
        select(SHARDS).prop_map(Damage::Overwrite),
    ];
    (any::<Index>(), kind)
}

fn apply(frame: &mut Vec<u8>, at: Index, damage: &Damage) {
    if frame.is_empty() {
        return;
    }
    let at = at.index(frame.len());
    let until = |n: usize| (at + n).min(frame.len());
    match damage {
        Damage::Flip(bit) => frame[at] ^= 1 << bit,
        Damage::Remove(n) => drop(frame.drain(at..until(*n))),
        Damage::Insert(bytes) => drop(frame.splice(at..at, bytes.iter().copied())),
        Damage::Overwrite(bytes) => {
            drop(frame.splice(at..until(bytes.len()), bytes.iter().copied()));
        }
    }
}

fn config(cases: u32) -> ProptestConfig {
    ProptestConfig {
        cases,
        failure_persistence: None,
        ..ProptestConfig::default()
    }
}

proptest! {
    #![proptest_config(config(5_000))]

    #[test]
    fn random_bytes_get_the_verdict_that_an_independent_reader_gives(
        bytes in proptest::collection::vec(any::<u8>(), 0..300)
    ) {
        check(&bytes)?;
    }

    #[test]
    fn shards_of_json_get_the_verdict_that_an_independent_reader_gives(
        shards in proptest::collection::vec(select(SHARDS), 0..20)
    ) {
        check(&shards.concat())?;
    }

    #[test]
    fn valid_frames_give_the_last_uid_and_the_last_ts(frame in frame()) {
        let verdict = check(&frame)?;
        let invalid = [Reject::Json, Reject::Utf8, Reject::TooDeep, Reject::Empty].map(Verdict::Rejected);
        prop_assert!(!invalid.contains(&verdict), "{verdict:?}: {}", String::from_utf8_lossy(&frame));
    }

    #[test]
    fn damaged_frames_get_the_verdict_that_an_independent_reader_gives(
        mut frame in good_frame(),
        damages in proptest::collection::vec(damage(), 1..4)
    ) {
        for (at, damage) in &damages {
            apply(&mut frame, *at, damage);
        }
        check(&frame)?;
    }

    #[test]
    fn utf8_is_the_reason_exactly_when_the_bytes_are_not_utf8(
        mut frame in good_frame(),
        damages in proptest::collection::vec(damage(), 1..6)
    ) {
        for (at, damage) in &damages {
            apply(&mut frame, *at, damage);
        }
        let verdict = Decoder::new(Fields::default()).decode(Some(&frame));
        let is_utf8 = std::str::from_utf8(&frame).is_ok();
        prop_assert_eq!(verdict != Verdict::Rejected(Reject::Utf8), is_utf8, "{:?}", verdict);
    }
}

proptest! {
    #![proptest_config(config(200))]

    #[test]
    fn a_frame_cut_anywhere_is_refused_and_so_is_one_with_something_behind_it(frame in good_frame()) {
        let seen = check(&frame)?;
        prop_assert!(matches!(seen, Verdict::Seen(..)), "{seen:?}");
        for cut in 0..frame.len() {
            let verdict = check(&frame[..cut])?;
            prop_assert!(matches!(verdict, Verdict::Rejected(_)), "cut at {cut}: {verdict:?}");
        }
        for shard in SHARDS {
            let longer = [&frame[..], shard].concat();
            let verdict = check(&longer)?;
            let is_space = shard.iter().all(|byte| b" \t\r\n".contains(byte));
            prop_assert_eq!(verdict == seen, is_space, "{:?} behind it: {:?}", shard, verdict);
        }
    }
}

#[test]
fn a_frame_reads_the_same_wherever_it_lies_in_the_decoder_s_blocks() {
    let mut decoder = Decoder::new(Fields::default());
    let right = Verdict::Seen(UserHash::of("é\"\\🙂".as_bytes()), 7);
    for pad in 0..200 {
        let (spaces, letters) = (" ".repeat(pad), "x".repeat(pad));
        for frame in [
            format!(r#"{spaces}{{"uid":"é\"\\\ud83d\ude42","ts":7}}"#),
            format!(r#"{{"{letters}":"\\","uid":"é\"\\\ud83d\ude42","ts":7}}"#),
            format!(r#"{{"x":"{letters}\\\\\"","ts":7,"uid":"é\"\\🙂"}}{spaces}"#),
        ] {
            assert_eq!(decoder.decode(Some(frame.as_bytes())), right, "{frame}");
        }
    }
}

#[test]
fn the_oracle_s_reader_takes_any_root() {
    for text in ["null", "true", "1", "-1", "1.5", "\"x\"", "[1,{}]"] {
        assert!(
            matches!(serde_json::from_str(text), Ok(Root::Other)),
            "{text}"
        );
    }
}
