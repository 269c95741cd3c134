//! The number of a `ts`, before anybody asks what it counts.

use super::bytewise;
use super::value::Value;
use crate::engine::frame::Reject;

/// The number, fractions cut off; none if it is negative. Beyond `u64` it saturates, which is out of range in any unit.
///
/// # Errors
///
/// [`Reject::TsMissing`] and [`Reject::TsType`].
pub(super) fn raw(ts: Option<&Value<'_>>) -> Result<Option<u64>, Reject> {
    let number: f64 = match ts {
        None => return Err(Reject::TsMissing),
        Some(Value::Integer { count, .. }) => return Ok(*count),
        Some(Value::Float(number)) => *number,
        Some(Value::Text(text)) => {
            if bytewise::number_len(text) != Some(text.len()) {
                return Err(Reject::TsType);
            }
            let text = std::str::from_utf8(text).map_err(|_| Reject::TsType)?;
            if let Ok(n) = text.parse::<u64>() {
                return Ok(Some(n));
            }
            text.parse().map_err(|_| Reject::TsType)?
        }
        Some(_) => return Err(Reject::TsType),
    };
    // Cut off before it is scaled, since a quotient of doubles may round up to the next second. NaN cannot be written
    // in JSON.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    Ok((number >= 0.0).then(|| number.floor() as u64))
}

#[cfg(test)]
mod tests {
    use super::super::{Decoder, Fields, TsUnit};
    use crate::engine::frame::{EventTime, Reject, UserHash, Verdict};

    fn verdict(unit: TsUnit, ts: &str) -> Verdict {
        let fields = Fields {
            ts_unit: unit,
            ..Fields::default()
        };
        let frame = format!(r#"{{"uid":"a","ts":{ts}}}"#);
        Decoder::new(fields).decode(Some(frame.as_bytes()))
    }

    fn seen(ts: EventTime) -> Verdict {
        Verdict::Seen(UserHash::of(b"a"), ts)
    }

    #[test]
    fn seconds() {
        let good = [
            ("1", 1),
            ("4294967294", u32::MAX - 1),
            ("4294967294.9", u32::MAX - 1),
            ("1.999", 1),
            ("1.5e9", 1_500_000_000),
            ("1468244385E0", 1_468_244_385),
            ("\"1468244385\"", 1_468_244_385),
            ("\"1468244385.75\"", 1_468_244_385),
            ("\"1.46e9\"", 1_460_000_000),
        ];
        for (ts, expected) in good {
            assert_eq!(verdict(TsUnit::Seconds, ts), seen(expected), "{ts}");
        }
        let bad = [
            ("0", Reject::TsRange),
            ("0.99", Reject::TsRange),
            ("-0.5", Reject::TsRange),
            ("-1", Reject::TsRange),
            ("4294967295", Reject::TsRange),
            ("1468244385000", Reject::TsRange),
            ("18446744073709551616", Reject::TsRange),
            ("1e300", Reject::TsRange),
            ("1e400", Reject::Json),
            ("true", Reject::TsType),
            ("null", Reject::TsType),
            ("[7]", Reject::TsType),
            ("\"\"", Reject::TsType),
            ("\" 7\"", Reject::TsType),
            ("\"+7\"", Reject::TsType),
            ("\"07\"", Reject::TsType),
            ("\"7.\"", Reject::TsType),
            ("\"7e\"", Reject::TsType),
            ("\"0x7\"", Reject::TsType),
            ("\"inf\"", Reject::TsType),
            ("\"NaN\"", Reject::TsType),
            ("\"1e400\"", Reject::TsRange),
            ("\"-7\"", Reject::TsRange),
            ("\"2016-07-11T13:39:45Z\"", Reject::TsType),
        ];
        for (ts, expected) in bad {
            let verdict = verdict(TsUnit::Seconds, ts);
            assert_eq!(verdict, Verdict::Rejected(expected), "{ts}");
        }
    }

    #[test]
    fn whole_numbers_of_any_unit_are_exact() {
        let digits = [(TsUnit::Millis, 3), (TsUnit::Micros, 6), (TsUnit::Nanos, 9)];
        for (unit, n) in digits {
            let (zeros, nines) = ("0".repeat(n), "9".repeat(n));
            for (ts, expected) in [
                (format!("1{zeros}"), Some(1)),
                (nines.clone(), None),
                ("0".to_owned(), None),
                (format!("4294967294{nines}"), Some(u32::MAX - 1)),
                (format!("4294967295{zeros}"), None),
                // As a double, nanoseconds with these nines are the next second.
                (format!("1468244385{zeros}"), Some(1_468_244_385)),
                (format!("1468244385{nines}"), Some(1_468_244_385)),
                (
                    "1468244385".to_owned(),
                    [1_468_244, 1_468, 1].get(n / 3 - 1).copied(),
                ),
                (u64::MAX.to_string(), None),
                (format!("-1468244385{zeros}"), None),
                ("-1".to_owned(), None),
            ] {
                let expected = expected.map_or(Verdict::Rejected(Reject::TsRange), seen);
                assert_eq!(verdict(unit, &ts), expected, "{ts} {unit:?}");
                let quoted = format!("\"{ts}\"");
                assert_eq!(verdict(unit, &quoted), expected, "{quoted} {unit:?}");
            }
        }
    }

    #[test]
    fn fractions_and_exponents_of_any_unit_are_scaled_and_cut_off() {
        use TsUnit::{Micros, Millis, Nanos};
        for (unit, ts, expected) in [
            (Millis, "1468244385000.0", 1_468_244_385),
            // Divided as a double this is the next second.
            (Millis, "1468244385999.9998", 1_468_244_385),
            (Millis, "1468244385.9", 1_468_244),
            (Millis, "1000.5", 1),
            (Millis, "1.468244385e12", 1_468_244_385),
            (Millis, "4294967294999.5", u32::MAX - 1),
            (Micros, "1468244385000000.5", 1_468_244_385),
            (Micros, "1.5E15", 1_500_000_000),
            (Nanos, "1.5e18", 1_500_000_000),
            (Nanos, "1e9", 1),
            // Beyond what a double can tell apart.
            (Nanos, "1468244385999999999.5", 1_468_244_386),
        ] {
            assert_eq!(verdict(unit, ts), seen(expected), "{ts} {unit:?}");
            let quoted = format!("\"{ts}\"");
            assert_eq!(verdict(unit, &quoted), seen(expected), "{quoted} {unit:?}");
        }
        for (unit, ts, expected) in [
            (Millis, "999.9", Reject::TsRange),
            (Millis, "-0.5", Reject::TsRange),
            (Millis, "4294967295000.0", Reject::TsRange),
            (Micros, "-1.5e15", Reject::TsRange),
            (Nanos, "1e8", Reject::TsRange),
            (Nanos, "1e300", Reject::TsRange),
            (Nanos, "18446744073709551616", Reject::TsRange),
            (Nanos, "\"1e400\"", Reject::TsRange),
            (Nanos, "\"-7\"", Reject::TsRange),
            (Nanos, "\"07\"", Reject::TsType),
            (Millis, "\"2016-07-11T13:39:45Z\"", Reject::TsType),
        ] {
            let verdict = verdict(unit, ts);
            assert_eq!(verdict, Verdict::Rejected(expected), "{ts} {unit:?}");
        }
    }
}
