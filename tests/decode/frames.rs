//! Frames that nobody wrote by hand, of any shape and size, each from a seed.

/// Sebastiano Vigna's splitmix64.
pub struct Dice(u64);

impl Dice {
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub fn below(&mut self, n: usize) -> usize {
        (self.next() % n as u64) as usize
    }

    pub fn one_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }

    pub fn pick<'a, T: ?Sized>(&mut self, of: &[&'a T]) -> &'a T {
        of[self.below(of.len())]
    }
}

/// What a frame is like; drawn once for each.
struct Style {
    /// White space at one of so many places where it may stand; 0 is nowhere.
    space: usize,
    /// Of 16 pieces of a string so many are escapes, and so many beyond ASCII.
    escapes: usize,
    wide: usize,
    /// Longest string, in pieces.
    text: usize,
    /// Most members of a container.
    members: usize,
    deepest: usize,
    /// Longest frame, about, in bytes.
    bytes: usize,
}

impl Style {
    fn draw(dice: &mut Dice) -> Self {
        Self {
            space: [0, 0, 1, 2, 9][dice.below(5)],
            escapes: [0, 1, 4, 15][dice.below(4)],
            wide: [0, 1, 4, 12][dice.below(4)],
            text: [1, 8, 60][dice.below(3)],
            members: [2, 6, 24][dice.below(3)],
            deepest: [1, 3, 12, 90][dice.below(4)],
            bytes: [40, 130, 600, 2_500, 6_000, 14_000][dice.below(6)],
        }
    }
}

/// A frame that is JSON; mostly one with a user and a time.
pub fn frame(dice: &mut Dice) -> Vec<u8> {
    let style = Style::draw(dice);
    let mut text = String::new();
    space(dice, &style, &mut text);
    text.push('{');
    let before = dice.below(style.members);
    for place in 0..=before + dice.below(style.members) + 1 {
        if place > 0 {
            text.push(',');
        }
        space(dice, &style, &mut text);
        // Early, late or in the midst, in any order, sometimes twice, sometimes not at all.
        match dice.below(6) {
            0 => field(dice, &style, &mut text, UID_KEYS, uid),
            1 => field(dice, &style, &mut text, TS_KEYS, ts),
            _ if place == before => {
                field(dice, &style, &mut text, &UID_KEYS[..1], uid);
                text.push(',');
                field(dice, &style, &mut text, &TS_KEYS[..1], ts);
            }
            _ => member(dice, &style, 1, &mut text),
        }
        space(dice, &style, &mut text);
        if text.len() > style.bytes && place >= before {
            break;
        }
    }
    text.push('}');
    space(dice, &style, &mut text);
    text.into_bytes()
}

const UID_KEYS: &[&str] = &[
    r#""uid""#,
    r#""\u0075id""#,
    r#""ui\u0064""#,
    r#""uid\u0000""#,
    r#""xuid""#,
];
const TS_KEYS: &[&str] = &[
    r#""ts""#,
    r#""\u0074s""#,
    r#""t\u0073""#,
    r#""ts ""#,
    r#""xts""#,
];

fn field(
    dice: &mut Dice,
    style: &Style,
    into: &mut String,
    keys: &[&str],
    value: fn(&mut Dice, &Style, &mut String),
) {
    let key = if dice.one_in(4) {
        dice.pick(keys)
    } else {
        keys[0]
    };
    into.push_str(key);
    space(dice, style, into);
    into.push(':');
    space(dice, style, into);
    value(dice, style, into);
}

fn uid(dice: &mut Dice, style: &Style, into: &mut String) {
    match dice.below(8) {
        0 => into.push_str(dice.pick(&[
            "0",
            "-0",
            "42",
            "-9223372036854775808",
            "18446744073709551615",
            "18446744073709551616",
        ])),
        1 => into.push_str(dice.pick(&[
            r#""""#,
            "null",
            "true",
            "{}",
            "[1,2]",
            "1.5",
            "1e3",
            r#""\u0000""#,
        ])),
        2 => string(dice, style, into),
        3 => into.push_str(dice.pick(&[
            r#""uid""#,
            r#""ts""#,
            r#""\ud83d\ude42""#,
            r#""a\\""#,
            r#""\"uid\":""#,
        ])),
        _ => into.push_str(&format!("\"u{}\"", dice.next() >> dice.below(64))),
    }
}

fn ts(dice: &mut Dice, _: &Style, into: &mut String) {
    let second = 1 + dice.next() % 4_294_967_294;
    match dice.below(8) {
        0 => into.push_str(&format!("\"{second}\"")),
        1 => into.push_str(&format!("{second}.{}", dice.below(1_000))),
        2 => into.push_str(dice.pick(&[
            "0",
            "-1",
            "1e9",
            "\"1E9\"",
            "4294967295",
            "1468244385000",
            "99999999999999999999",
            "\"7.\"",
        ])),
        3 => into.push_str(dice.pick(&[
            "null",
            "\"\"",
            "[]",
            "{\"ts\":7}",
            "false",
            "\"\\u0037\"",
            "\"ts\"",
        ])),
        _ => into.push_str(&second.to_string()),
    }
}

fn space(dice: &mut Dice, style: &Style, into: &mut String) {
    if style.space > 0 && dice.one_in(style.space) {
        for _ in 0..=dice.below(3) {
            into.push_str(dice.pick(&[" ", "\n", "\t", "\r", "  ", "                    "]));
        }
        if dice.one_in(50) {
            into.push_str(&" ".repeat(dice.below(700)));
        }
    }
}

fn string(dice: &mut Dice, style: &Style, into: &mut String) {
    into.push('"');
    for _ in 0..dice.below(style.text + 1) {
        let piece = dice.below(16);
        if piece < style.escapes {
            into.push_str(dice.pick(&[
                r"\n",
                r"\t",
                r#"\""#,
                r"\\",
                r"\/",
                r"\b",
                r"\f",
                r"\r",
                r"\u0041",
                r"\u00e9",
                r"\uD83D\uDE42",
                r"\\\\",
                r"\u20aC",
            ]));
        } else if piece - style.escapes < style.wide {
            into.push_str(dice.pick(&[
                "é",
                "日",
                "🙂",
                "пользователь",
                "\u{7f}",
                "\u{80}",
                "\u{7ff}",
                "\u{800}",
                "\u{ffff}",
                "\u{10ffff}",
            ]));
        } else {
            into.push_str(dice.pick(&[
                "a",
                "uid",
                "ts",
                "{",
                "}",
                "[",
                "]",
                ":",
                ",",
                "/",
                " ",
                "the dynamic worlds",
                "0",
                "true",
            ]));
        }
    }
    into.push('"');
}

fn member(dice: &mut Dice, style: &Style, depth: usize, into: &mut String) {
    string(dice, style, into);
    space(dice, style, into);
    into.push(':');
    space(dice, style, into);
    value(dice, style, depth, into);
}

fn value(dice: &mut Dice, style: &Style, depth: usize, into: &mut String) {
    let kinds = if depth >= style.deepest || into.len() > style.bytes {
        3
    } else {
        6
    };
    match dice.below(kinds) {
        0 => string(dice, style, into),
        1 => number(dice, into),
        2 => into.push_str(dice.pick(&["true", "false", "null", "{}", "[]"])),
        kind => {
            let is_object = kind == 3 || kind == 4;
            into.push(if is_object { '{' } else { '[' });
            space(dice, style, into);
            for i in 0..dice.below(style.members + 1) {
                if i > 0 {
                    into.push(',');
                    space(dice, style, into);
                }
                match (is_object, dice.below(8)) {
                    (true, 0) => field(dice, style, into, UID_KEYS, uid),
                    (true, 1) => field(dice, style, into, TS_KEYS, ts),
                    (true, _) => member(dice, style, depth + 1, into),
                    (false, _) => value(dice, style, depth + 1, into),
                }
                space(dice, style, into);
            }
            into.push(if is_object { '}' } else { ']' });
        }
    }
}

fn number(dice: &mut Dice, into: &mut String) {
    match dice.below(6) {
        0 => into.push_str(dice.pick(&[
            "0",
            "-0",
            "0.0",
            "-0.5",
            "1e5",
            "1E+05",
            "0e1",
            "-1.25e-7",
            "1e400",
            "123456789012345.1",
        ])),
        1 => into.push_str(&format!(
            "{}.{}",
            dice.below(1_000),
            dice.next() >> dice.below(64)
        )),
        2 => into.push_str(&format!("-{}", dice.next())),
        3 => into.push_str(&format!("{}e{}", dice.below(100), dice.below(330))),
        _ => into.push_str(&(dice.next() >> dice.below(64)).to_string()),
    }
}

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
    b"\\u12",
    b"d83d",
    b"\\ud83d",
    b"true",
    b"tru",
    b"null",
    b"0",
    b"-",
    b".",
    b"e",
    b"E+",
    b"00",
    b" ",
    b"\t",
    b"\n",
    b"\r",
    b"\x0c",
    b"\0",
    b"\x1f",
    b"\x7f",
    b"\xff",
    b"\xc3\xa9",
    b"\xc3",
    b"\xed\xa0\x80",
    b"\xf0\x9f\x99",
    b"\xe2\x82",
    b"\x80",
    b"\xef\xbb\xbf",
    b"\"uid\"",
    b"\"uid\":\"a\"",
    b"\"ts\":7,",
    b"\"ts\"",
    b"{\"uid\":\"a\",\"ts\":7",
    b"\"x\":[",
    b"/",
    b"'",
    b"\\\\",
    b"\\\"",
    b"1e5",
    b"1E400",
    b"                                                                 ",
];

/// Damages a frame in one place.
pub fn damage(dice: &mut Dice, frame: &mut Vec<u8>) {
    if frame.is_empty() {
        return;
    }
    let at = dice.below(frame.len());
    let until = (at + 1 + dice.below(4)).min(frame.len());
    match dice.below(7) {
        0 => frame[at] ^= 1 << dice.below(8),
        1 => frame[at] = dice.next() as u8,
        2 => drop(frame.drain(at..until)),
        3 => drop(frame.splice(at..at, dice.pick(SHARDS).iter().copied())),
        4 => drop(frame.splice(at..until, dice.pick(SHARDS).iter().copied())),
        5 => frame.truncate(at),
        _ => {
            // A piece of the frame once more, somewhere else.
            let piece = frame[at..(at + dice.below(80)).min(frame.len())].to_vec();
            let to = dice.below(frame.len());
            drop(frame.splice(to..to, piece));
        }
    }
}

/// Anything made of shards.
pub fn shards(dice: &mut Dice) -> Vec<u8> {
    (0..dice.below(40))
        .flat_map(|_| dice.pick(SHARDS))
        .copied()
        .collect()
}
