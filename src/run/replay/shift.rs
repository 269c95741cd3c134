//! Event times moved by whole seconds: where the root `ts` stands in a frame, and its bytes rewritten.

use std::borrow::Cow;
use std::fmt;
use std::ops::Range;

use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use crate::engine::frame::EventTime;
use crate::limits::{MAX_EVENT_TIME_S, MIN_EVENT_TIME_S};

/// Where the value of a root key stands in a good frame, quotes of a string left out; of a duplicate key the last.
pub(super) fn find(frame: &[u8], key: &str) -> Option<Range<usize>> {
    let mut reader = serde_json::Deserializer::from_slice(frame);
    let value = reader.deserialize_map(Root { key }).ok()??.get();
    // Borrowed from the frame, so the distance of the two is its place there.
    let start = value.as_ptr() as usize - frame.as_ptr() as usize;
    let (from, to) = match value.strip_prefix('"') {
        Some(_) => (start + 1, start + value.len() - 1),
        None => (start, start + value.len()),
    };
    Some(from..to)
}

struct Root<'k> {
    key: &'k str,
}

impl<'de> Visitor<'de> for Root<'_> {
    type Value = Option<&'de RawValue>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut found = None;
        while let Some(key) = map.next_key::<Key<'de>>()? {
            let value = map.next_value::<&RawValue>()?;
            if key.0 == self.key {
                found = Some(value);
            }
        }
        Ok(found)
    }
}

/// A key, unescaped, and copied only where it has escapes.
#[derive(serde::Deserialize)]
struct Key<'a>(#[serde(borrow)] Cow<'a, str>);

/// The event time moved, if it stays one.
pub(super) fn moved(ts: EventTime, by_s: i64) -> Option<EventTime> {
    let to = EventTime::try_from(i64::from(ts).checked_add(by_s)?).ok()?;
    (MIN_EVENT_TIME_S..=MAX_EVENT_TIME_S)
        .contains(&to)
        .then_some(to)
}

/// Writes the frame with the number in `span`, which reads as an event time, moved to `to`. A fraction stays as it
/// is; a number with an exponent becomes a whole one.
pub(super) fn rewrite(frame: &[u8], span: Range<usize>, to: EventTime, into: &mut Vec<u8>) {
    let number = &frame[span.clone()];
    let fraction = match number.iter().position(|b| *b == b'.') {
        Some(point) if !number.contains(&b'e') && !number.contains(&b'E') => &number[point..],
        _ => b"",
    };
    into.clear();
    into.extend_from_slice(&frame[..span.start]);
    into.extend_from_slice(to.to_string().as_bytes());
    let start = into.len();
    into.extend_from_slice(fraction);
    // A double has less room for a fraction the greater it is: .9999999 may round up to the next second.
    let text = std::str::from_utf8(&into[span.start..]).unwrap_or_default();
    if text.parse::<f64>().map(f64::floor) != Ok(f64::from(to)) {
        into.truncate(start);
    }
    into.extend_from_slice(&frame[span.end..]);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::decode::{Decoder, Fields};
    use crate::engine::frame::Verdict;
    use proptest::prelude::*;

    fn shifted(frame: &str, by_s: i64) -> String {
        let verdict = Decoder::new(Fields::default()).decode(Some(frame.as_bytes()));
        let Verdict::Seen(_, ts) = verdict else {
            panic!("{frame}: {verdict:?}");
        };
        let span = find(frame.as_bytes(), "ts").unwrap();
        let mut out = Vec::new();
        rewrite(frame.as_bytes(), span, moved(ts, by_s).unwrap(), &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn forms_are_kept() {
        for (frame, expected) in [
            (r#"{"uid":"a","ts":7}"#, r#"{"uid":"a","ts":107}"#),
            (
                r#" { "ts" : "7.250" , "uid":1, "x":{"ts":7}}"#,
                r#" { "ts" : "107.250" , "uid":1, "x":{"ts":7}}"#,
            ),
            (
                r#"{"ts":1,"uid":"a","t\u0073":9.5,"s":"\"ts\":9"}"#,
                r#"{"ts":1,"uid":"a","t\u0073":109.5,"s":"\"ts\":9"}"#,
            ),
            (r#"{"uid":"a","ts":1.5e3}"#, r#"{"uid":"a","ts":1600}"#),
            (r#"{"uid":"a","ts":"15E-1"}"#, r#"{"uid":"a","ts":"101"}"#),
            ("{\"uid\":\"a\",\"ts\":7}\r", "{\"uid\":\"a\",\"ts\":107}\r"),
        ] {
            assert_eq!(shifted(frame, 100), expected);
        }
        let long = r#"{"uid":"a","ts":7.9999999}"#;
        assert_eq!(
            shifted(long, 1_795_000_000),
            r#"{"uid":"a","ts":1795000007}"#
        );
        assert_eq!(shifted(long, 100), r#"{"uid":"a","ts":107.9999999}"#);
    }

    #[test]
    fn an_event_time_does_not_leave_its_range() {
        assert_eq!(moved(7, -6), Some(1));
        assert_eq!(moved(7, -7), None);
        assert_eq!(moved(7, i64::MAX), None);
        assert_eq!(moved(MAX_EVENT_TIME_S, 1), None);
        assert_eq!(moved(MAX_EVENT_TIME_S - 1, 1), Some(MAX_EVENT_TIME_S));
    }

    fn time() -> impl Strategy<Value = String> {
        let number = (
            1..=MAX_EVENT_TIME_S,
            "(|\\.[0-9]{1,12}|\\.9{1,12}|[eE]0|\\.5e1)",
        );
        let number = number.prop_map(|(whole, rest)| format!("{whole}{rest}"));
        (number, any::<bool>()).prop_map(|(number, is_string)| match is_string {
            true => format!("\"{number}\""),
            false => number,
        })
    }

    fn field() -> impl Strategy<Value = String> {
        prop_oneof![
            time().prop_map(|ts| format!("\"ts\":{ts}")),
            time().prop_map(|ts| format!("\"\\u0074s\" : {ts}")),
            time().prop_map(|ts| format!("\"n\":[{{\"ts\":{ts}}}]")),
            "[a-z\\\\\\]{}:,]{0,9}".prop_map(|text| format!("\"t\":{}", serde_json::json!(text))),
            Just("\"uid\":\"ü\\\"ts\\\"\"".to_owned()),
        ]
    }

    proptest! {
        #[test]
        fn a_shifted_frame_reads_as_the_moved_time_and_no_other_byte_changes(
            fields in prop::collection::vec(field(), 1..8),
            by_s in -5_000_000_000_i64..5_000_000_000,
        ) {
            let frame = format!("{{\"uid\":\"a\",{}}}", fields.join(" ,"));
            let mut decoder = Decoder::new(Fields::default());
            let Verdict::Seen(user, ts) = decoder.decode(Some(frame.as_bytes())) else {
                return Ok(());
            };
            let Some(to) = moved(ts, by_s) else {
                return Ok(());
            };
            let span = find(frame.as_bytes(), "ts").unwrap();
            let mut out = Vec::new();
            rewrite(frame.as_bytes(), span.clone(), to, &mut out);
            prop_assert_eq!(decoder.decode(Some(&out)), Verdict::Seen(user, to));
            let tail = &frame.as_bytes()[span.end..];
            prop_assert!(out.starts_with(&frame.as_bytes()[..span.start]));
            prop_assert!(out.ends_with(tail));
            let number = &out[span.start..out.len() - tail.len()];
            prop_assert!(number.iter().all(|b| b.is_ascii_digit() || *b == b'.'));
        }
    }
}
