//! Large digits of half blocks: three pixels wide, five high, and one more for the tail of a comma.

/// Pixels of a digit's height, with the comma's tail.
const HEIGHT: usize = 6;

/// The rows of a glyph from the top, one bit a pixel, and its width in pixels.
fn glyph(c: char) -> ([u8; HEIGHT], usize) {
    match c {
        '0' => ([0b111, 0b101, 0b101, 0b101, 0b111, 0], 3),
        '1' => ([0b010, 0b110, 0b010, 0b010, 0b111, 0], 3),
        '2' => ([0b111, 0b001, 0b111, 0b100, 0b111, 0], 3),
        '3' => ([0b111, 0b001, 0b111, 0b001, 0b111, 0], 3),
        '4' => ([0b101, 0b101, 0b111, 0b001, 0b001, 0], 3),
        '5' => ([0b111, 0b100, 0b111, 0b001, 0b111, 0], 3),
        '6' => ([0b111, 0b100, 0b111, 0b101, 0b111, 0], 3),
        '7' => ([0b111, 0b001, 0b001, 0b001, 0b001, 0], 3),
        '8' => ([0b111, 0b101, 0b111, 0b101, 0b111, 0], 3),
        '9' => ([0b111, 0b101, 0b111, 0b001, 0b111, 0], 3),
        ',' => ([0, 0, 0, 0, 1, 1], 1),
        _ => ([0, 0, 0b111, 0, 0, 0], 3),
    }
}

/// Lines of characters that a number takes at a scale.
pub(super) fn rows(scale: usize) -> usize {
    (HEIGHT * scale).div_ceil(2)
}

/// Columns that a number takes at a scale.
pub(super) fn columns(text: &str, scale: usize) -> usize {
    let pixels: usize = text.chars().map(|c| glyph(c).1 + 1).sum();
    pixels.saturating_sub(1) * scale
}

/// The number as lines of characters; digits, commas, and a dash for anything else.
pub(super) fn large(text: &str, scale: usize) -> Vec<String> {
    let is_set = |x: usize, y: usize| {
        let (x, y) = (x / scale, y / scale);
        let mut left = 0;
        for c in text.chars() {
            let (glyph_rows, width) = glyph(c);
            if x < left + width {
                return x >= left
                    && y < HEIGHT
                    && glyph_rows[y] >> (width - 1 - (x - left)) & 1 == 1;
            }
            left += width + 1;
        }
        false
    };
    let row = |row: usize| {
        let cell = |x: usize| match (is_set(x, 2 * row), is_set(x, 2 * row + 1)) {
            (true, true) => '█',
            (true, false) => '▀',
            (false, true) => '▄',
            (false, false) => ' ',
        };
        (0..columns(text, scale)).map(cell).collect()
    };
    (0..rows(scale)).map(row).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_look_like_digits() {
        let lines = large("1,024-", 1);
        assert_eq!(
            lines,
            [
                "▄█    █▀█ ▀▀█ █ █    ",
                " █    █ █ █▀▀ ▀▀█ ▀▀▀",
                "▀▀▀ █ ▀▀▀ ▀▀▀   ▀    ",
            ]
        );
        assert!(
            lines
                .iter()
                .all(|line| line.chars().count() == columns("1,024-", 1))
        );
    }

    #[test]
    fn a_scale_doubles_both_sides() {
        let (one, two) = (large("7", 1), large("7", 2));
        assert_eq!((one.len(), two.len()), (3, 6));
        assert_eq!(two[0], "██████");
        assert_eq!(two[1], "    ██");
    }
}
