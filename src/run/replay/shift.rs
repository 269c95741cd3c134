//! Event times moved by whole seconds, in whatever unit: where the root `ts` stands in a frame, and its bytes rewritten.

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

/// Writes the frame with the number in `span`, which reads as an event time, moved to `to` in its unit. A fraction stays
/// as it is; a number with an exponent becomes a whole one.
pub(super) fn rewrite(frame: &[u8], span: Range<usize>, to: u64, into: &mut Vec<u8>) {
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
    // A double has less room for a fraction the greater it is: .9999999 may round up to the next whole number.
    let text = std::str::from_utf8(&into[span.start..]).unwrap_or_default();
    if text.parse::<f64>().map(|number| number as u64) != Ok(to) {
        into.truncate(start);
    }
    into.extend_from_slice(&frame[span.end..]);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::decode::{Decoder, Fields, TsUnit};
    use crate::engine::frame::Verdict;
    use proptest::prelude::*;

    fn decoder(unit: TsUnit) -> Decoder {
        Decoder::new(Fields {
            ts_unit: unit,
            ..Fields::default()
        })
    }

    fn shifted_in(unit: TsUnit, frame: &str, by_s: i64) -> String {
        let mut decoder = decoder(unit);
        let verdict = decoder.decode(Some(frame.as_bytes()));
        let Verdict::Seen(_, ts) = verdict else {
            panic!("{frame}: {verdict:?}");
        };
        let span = find(frame.as_bytes(), "ts").unwrap();
        let to = unit.at_second(moved(ts, by_s).unwrap(), decoder.raw_ts());
        let mut out = Vec::new();
        rewrite(frame.as_bytes(), span, to, &mut out);
        String::from_utf8(out).unwrap()
    }

    fn shifted(frame: &str, by_s: i64) -> String {
        shifted_in(TsUnit::Seconds, frame, by_s)
    }

    #[test]
    fn whole_seconds_are_added_in_the_unit_and_what_is_finer_stays() {
        use TsUnit::{Micros, Millis, Nanos};
        for (unit, ts, by_s, expected) in [
            (Millis, "1468244385007", 100, "1468244485007"),
            (Millis, "1468244385999.75", -1, "1468244384999.75"),
            (Millis, "\"1001\"", 1_795_411_000, "\"1795411001001\""),
            (Millis, "1.4682443850075e12", 100, "1468244485007"),
            (Micros, "1468244385000001", 1, "1468244386000001"),
            (Nanos, "1468244385123456789", 1, "1468244386123456789"),
            (
                Nanos,
                "\"4294967293999999999\"",
                1,
                "\"4294967294999999999\"",
            ),
            // Read as a double, which is what is moved.
            (Nanos, "1468244385123456789.5", 1, "1468244386123456768.5"),
        ] {
            let frame = |ts: &str| format!(r#"{{"uid":"a","ts":{ts}}}"#);
            assert_eq!(
                shifted_in(unit, &frame(ts), by_s),
                frame(expected),
                "{ts} {unit:?}"
            );
        }
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
            prop_oneof![
                1..=u64::from(MAX_EVENT_TIME_S),
                1..=u64::from(MAX_EVENT_TIME_S) * 1_000_000_000,
            ],
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
            unit in 0..TsUnit::ALL.len(),
            by_s in -5_000_000_000_i64..5_000_000_000,
        ) {
            let frame = format!("{{\"uid\":\"a\",{}}}", fields.join(" ,"));
            let unit = TsUnit::ALL[unit];
            let mut decoder = decoder(unit);
            let Verdict::Seen(user, ts) = decoder.decode(Some(frame.as_bytes())) else {
                return Ok(());
            };
            let Some(to) = moved(ts, by_s) else {
                return Ok(());
            };
            let span = find(frame.as_bytes(), "ts").unwrap();
            let mut out = Vec::new();
            let raw_to = unit.at_second(to, decoder.raw_ts());
            rewrite(frame.as_bytes(), span.clone(), raw_to, &mut out);
            prop_assert_eq!(decoder.decode(Some(&out)), Verdict::Seen(user, to));
            prop_assert_eq!(decoder.raw_ts(), raw_to);
            let tail = &frame.as_bytes()[span.end..];
            prop_assert!(out.starts_with(&frame.as_bytes()[..span.start]));
            prop_assert!(out.ends_with(tail));
            let number = &out[span.start..out.len() - tail.len()];
            prop_assert!(number.iter().all(|b| b.is_ascii_digit() || *b == b'.'));
        }
    }
}
