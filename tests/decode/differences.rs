//! The list of differences between the decoders, in docs/FORMAT.md, case by case.

use headcount::engine::decode::{Decoder, Fields, Reading};
use headcount::engine::frame::{EventTime, Reject, UserHash, Verdict};

use crate::law;

fn decode(reading: Reading, frame: &str) -> Verdict {
    let fields = Fields {
        reading,
        ..Fields::default()
    };
    Decoder::new(fields).decode(Some(frame.as_bytes()))
}

fn seen(uid: &str, ts: EventTime) -> Verdict {
    Verdict::Seen(UserHash::of(uid.as_bytes()), ts)
}

#[test]
fn what_cannot_be_converted_is_refused_only_where_it_is_needed() {
    for odd in [
        r#""\ud83d""#,
        r#""\ude42\ud83d""#,
        r#""\ud83dx""#,
        r#"{"\udead":1}"#,
        "1e400",
        "-1e400",
        "[123456789e999]",
    ] {
        let frame = format!(r#"{{"uid":"a","x":{odd},"ts":7}}"#);
        assert_eq!(law::check(frame.as_bytes()), seen("a", 7), "{frame}");
        assert_eq!(
            decode(Reading::SimdJson, &frame),
            Verdict::Rejected(Reject::Json),
            "{frame}"
        );
    }
    // A value of the two fields that is overruled by a later one is not needed either.
    let frame = r#"{"uid":1e400,"uid":"a","ts":"\ud83d","ts":7}"#;
    assert_eq!(law::check(frame.as_bytes()), seen("a", 7));
    for frame in [
        r#"{"uid":"\ud83d","ts":7}"#,
        r#"{"uid":1e400,"ts":7}"#,
        r#"{"uid":"a","ts":1e400}"#,
        r#"{"uid":"a","ts":"\udead"}"#,
    ] {
        for reading in [Reading::Full, Reading::FieldsOnly, Reading::SimdJson] {
            assert_eq!(
                decode(reading, frame),
                Verdict::Rejected(Reject::Json),
                "{frame}"
            );
        }
    }
}

#[test]
fn fields_only_stops_once_it_has_both() {
    let lets_pass = [
        (r#"{"uid":"a","ts":7,"x"#, "cut off behind them"),
        (r#"{"uid":"a","ts":7,}"#, "a comma too many behind them"),
        (r#"{"uid":"a","ts":7} {}"#, "something behind the object"),
        (
            r#"{"x":[1,},"uid":"a","ts":7}"#,
            "brackets that do not pair",
        ),
        (
            r#"{"x":tru,"y":01,"uid":"a","ts":7}"#,
            "a misspelt literal or number",
        ),
        (r#"{"x" 1 "uid":"a" "ts":7}"#, "signs that are missing"),
        (
            r#"{"x":"\q","uid":"a","ts":7}"#,
            "an escape that there is not",
        ),
        (
            "{\"x\":\"\t\",\"uid\":\"a\",\"ts\":7}",
            "a control character",
        ),
    ];
    for (frame, what) in lets_pass {
        assert_eq!(decode(Reading::FieldsOnly, frame), seen("a", 7), "{what}");
        assert_eq!(
            decode(Reading::Full, frame),
            Verdict::Rejected(Reject::Json),
            "{what}"
        );
    }
    let not_utf8 = b"{\"x\":\"\xff\",\"uid\":\"a\",\"ts\":7}";
    let fields = Fields {
        reading: Reading::FieldsOnly,
        ..Fields::default()
    };
    let mut decoder = Decoder::new(fields);
    assert_eq!(decoder.decode(Some(not_utf8)), seen("a", 7));
    let not_utf8 = b"{\"uid\":\"\xff\",\"ts\":7}";
    assert_eq!(
        decoder.decode(Some(not_utf8)),
        Verdict::Rejected(Reject::Utf8),
        "in the user id itself"
    );
}

#[test]
fn fields_only_takes_the_first_of_two() {
    let frame = r#"{"uid":"a","uid":"b","ts":7,"ts":8}"#;
    assert_eq!(decode(Reading::FieldsOnly, frame), seen("a", 7));
    assert_eq!(decode(Reading::Full, frame), seen("b", 8));
    // One that is written with escapes is not looked for while there is another.
    let frame = r#"{"\u0075id":"a","uid":"b","ts":7}"#;
    assert_eq!(decode(Reading::FieldsOnly, frame), seen("b", 7));
    let frame = r#"{"\u0075id":"a","ts":7}"#;
    assert_eq!(decode(Reading::FieldsOnly, frame), seen("a", 7));
}

#[test]
fn names_of_any_length_and_with_anything_in_them() {
    let long = "n".repeat(200);
    for (uid, ts) in [
        ("u", "t"),
        ("", "t"),
        ("user", "user_"),
        ("éà", "\u{1}"),
        ("a\"b", "a\\b"),
        ("a\nb", "/"),
        ("123456", "1234567"),
        (&long[..62], &long[..63]),
        (&long[..64], &long[..65]),
        (&long[..], "uid"),
    ] {
        let fields = Fields {
            uid: uid.to_owned(),
            ts: ts.to_owned(),
            ..Fields::default()
        };
        let quoted = |text: &str| serde_json::to_string(text).unwrap();
        let escaped = |text: &str| {
            let units: String = text
                .encode_utf16()
                .map(|unit| format!("\\u{unit:04x}"))
                .collect();
            format!("\"{units}\"")
        };
        for keys in [
            [quoted(uid), quoted(ts)],
            [quoted(uid), escaped(ts)],
            [escaped(uid), quoted(ts)],
        ] {
            let [uid_key, ts_key] = keys;
            let near_misses = format!(
                r#""x{uid}y":1,"{}":{{{uid_key}:"c",{ts_key}:9}}"#,
                &long[..61]
            );
            let near_misses = if uid.contains(['"', '\\', '\n']) {
                "\"x\":1".to_owned()
            } else {
                near_misses
            };
            let frame = format!(r#"{{{near_misses},{uid_key}:"b","z":{ts_key},{ts_key}:7,"y":2}}"#);
            let mut decoders = law::Decoders::new(&fields);
            assert_eq!(decoders.check(frame.as_bytes()), seen("b", 7), "{frame}");
        }
    }
}
