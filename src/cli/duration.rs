//! Durations as people type them: `5s`, `90m`, `2y`.

use std::time::Duration;

/// Units and their lengths in milliseconds. A month is left out: its length is not fixed, and `m` is a minute.
const UNITS: [(&str, u64); 7] = [
    ("ms", 1),
    ("s", 1_000),
    ("m", 60_000),
    ("h", 3_600_000),
    ("d", 86_400_000),
    ("w", 7 * 86_400_000),
    ("y", 365 * 86_400_000),
];

/// Reads a whole number with a unit: `ms`, `s`, `m` (minutes), `h`, `d`, `w` or `y` (365 days), nothing between
/// or around them.
///
/// # Errors
///
/// One sentence that names what was typed and what is expected.
pub fn parse_duration(text: &str) -> Result<Duration, String> {
    let digits = text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let (number, unit) = text.split_at(digits);
    let expected =
        "a duration is a whole number with a unit (ms, s, m, h, d, w, y), such as 5s or 90m";
    if number.is_empty() {
        return Err(format!(
            "'{text}' does not start with a whole number; {expected}"
        ));
    }
    if unit.is_empty() {
        return Err(format!("'{text}' has no unit; {expected}"));
    }
    let Some((_, unit_ms)) = UNITS.iter().find(|(name, _)| *name == unit) else {
        return Err(format!("'{unit}' in '{text}' is not a unit; {expected}"));
    };
    let millis = number
        .parse::<u64>()
        .ok()
        .and_then(|number| number.checked_mul(*unit_ms));
    millis
        .map(Duration::from_millis)
        .ok_or_else(|| format!("'{text}' is too long a time to be counted"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_unit_is_read() {
        for (text, millis) in [
            ("0s", 0),
            ("250ms", 250),
            ("5s", 5_000),
            ("90m", 5_400_000),
            ("5h", 18_000_000),
            ("30d", 2_592_000_000),
            ("2w", 1_209_600_000),
            ("2y", 63_072_000_000),
            ("007s", 7_000),
        ] {
            assert_eq!(
                parse_duration(text),
                Ok(Duration::from_millis(millis)),
                "{text}"
            );
        }
    }

    #[test]
    fn errors_name_what_was_typed() {
        for (text, expected) in [
            ("", "'' does not start"),
            ("s", "'s' does not start"),
            ("-5s", "'-5s' does not start"),
            ("5", "'5' has no unit"),
            ("5 s", "' s' in '5 s' is not a unit"),
            ("1.5h", "'.5h' in '1.5h' is not a unit"),
            ("1h30m", "'h30m' in '1h30m' is not a unit"),
            ("5M", "'M' in '5M' is not a unit"),
            ("5µs", "'µs' in '5µs' is not a unit"),
            ("99999999999999999999s", "too long"),
            ("18446744073709551615s", "too long"),
        ] {
            let error = parse_duration(text).unwrap_err();
            assert!(error.contains(expected), "{text}: {error}");
        }
    }
}
