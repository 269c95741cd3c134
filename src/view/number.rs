//! Numbers as people read them.

/// A number with its digits in groups of three.
#[must_use]
pub fn grouped(n: u64) -> String {
    let digits = n.to_string();
    let mut grouped = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

/// A rate or an amount as people read it: `8.1 k`, `4.1 M`.
#[must_use]
pub fn amount(value: f64) -> String {
    let scaled = |divisor: f64, unit: &str| {
        let value = value / divisor;
        let digits = if value < 9.95 { 1 } else { 0 };
        format!("{value:.digits$} {unit}")
    };
    match value {
        v if v < 9_999.5 => grouped(v.round() as u64) + " ",
        v if v < 999_500.0 => scaled(1e3, "k"),
        v if v < 999.5e6 => scaled(1e6, "M"),
        _ => scaled(1e9, "G"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_grouped() {
        let texts: Vec<_> = [0, 999, 1_000, 1_234_567].map(grouped).to_vec();
        assert_eq!(texts, ["0", "999", "1,000", "1,234,567"]);
    }

    #[test]
    fn amounts_keep_two_or_three_digits() {
        let texts = [
            0.0,
            9_999.0,
            9_999.6,
            12_345.0,
            999_499.0,
            999_501.0,
            98_765_432.0,
            2.5e9,
        ]
        .map(amount);
        assert_eq!(
            texts,
            [
                "0 ", "9,999 ", "10 k", "12 k", "999 k", "1.0 M", "99 M", "2.5 G"
            ]
        );
    }
}
