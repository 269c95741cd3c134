//! Where blocks, groups and chunks meet: every construct at every place around them.

use headcount::engine::frame::{Reject, UserHash, Verdict};

use crate::law;

/// Pieces of a frame that mean something as a whole only, each a member or two.
const PIECES: &[&str] = &[
    r#""x":"\\\\\\\"\u00e9\n""#,
    r#""x":"é日🙂é日🙂""#,
    r#""x":-12345678.25e+10"#,
    r#""x" : [ true , false , null , { } , [ ] ]"#,
    r#""\u0075x\"":{"uid":[{"uid":1},{"ts":2}],"ts":{"uid":"c"}}"#,
    r#""x":"","":"""#,
    "\"x\"\n \t \r :\n\n  {\n} ",
    r#""x":[[[[[[[[{"y":[[]]}]]]]]]]]"#,
    r#""x":"{\"uid\":\"d\",\"ts\":9}""#,
    r#""x":0"#,
];

fn seen() -> Verdict {
    Verdict::Seen(UserHash::of("b\"\u{e9}".as_bytes()), 7)
}

/// Every place around the borders of blocks, of groups of blocks for each instruction set, and of chunks.
fn paddings() -> impl Iterator<Item = usize> {
    let around = |border: usize| border.saturating_sub(70)..border + 6;
    [64, 192, 256, 512, 4_096, 8_192]
        .into_iter()
        .flat_map(around)
}

#[test]
fn every_construct_at_every_place_around_a_border() {
    for padding in paddings() {
        for piece in PIECES {
            let text = "p".repeat(padding);
            let frame = format!(r#"{{"{text}":"q",{piece},"uid":"b\"é","ts":7}}"#);
            assert_eq!(
                law::check(frame.as_bytes()),
                seen(),
                "{padding} before {piece}"
            );
        }
    }
}

#[test]
fn fields_at_every_place_around_a_border() {
    for padding in paddings() {
        let text = "\\\\".repeat(padding / 2) + &"é".repeat(padding % 2);
        for frame in [
            format!(r#"{{"x":"{text}","uid":"b\"é","ts":7}}"#),
            format!(r#"{{"uid":"b\"é","x":"{text}","ts":7 }}"#),
            format!(
                r#"{{"x":[{}],"uid" : "b\"é","ts"  :7}}"#,
                "[],".repeat(padding / 3) + "1"
            ),
            format!(
                r#"{{"x":{}1{},"uid":"b\"é","ts":7}}"#,
                "[".repeat(padding.min(1_000)),
                "]".repeat(padding.min(1_000))
            ),
            format!(
                "{}{{\"uid\":\"b\\\"é\",{}\"ts\":7{}}}",
                " ".repeat(padding),
                " ".repeat(padding),
                "\n".repeat(padding)
            ),
        ] {
            assert_eq!(law::check(frame.as_bytes()), seen(), "{padding}: {frame}");
        }
    }
}

#[test]
fn a_mistake_at_every_place_around_a_border_is_found() {
    let mistakes: &[(&[u8], Reject)] = &[
        (b"\"x\":\"\x01\"", Reject::Json),
        (b"\"x\":\"\\u12g4\"", Reject::Json),
        (b"\"x\":\"\\x\"", Reject::Json),
        (b"\"x\":01", Reject::Json),
        (b"\"x\":1 2", Reject::Json),
        (b"\"x\":[1}", Reject::Json),
        (b"\"x\":1,,\"y\":2", Reject::Json),
        (b"\"x\" 1", Reject::Json),
        (b"\"x\":tru", Reject::Json),
        (b"\"x\"", Reject::Json),
        (b"\"x\":\\\"\"", Reject::Json),
        (b"\"x\":\x0c1", Reject::Json),
        (b"\"x\":\"\xc3\"", Reject::Utf8),
        (b"\"x\":\"\xe2\x82\"", Reject::Utf8),
        (b"\"x\":\"\xf0\x9f\x99\"", Reject::Utf8),
        (b"\"x\":\"\x80\"", Reject::Utf8),
        (b"\"x\":\"\xed\xa0\x80\"", Reject::Utf8),
        (b"\"x\":\"\xf4\x90\x80\x80\"", Reject::Utf8),
    ];
    for padding in paddings() {
        for (mistake, reason) in mistakes {
            let head = format!(r#"{{"{}":"q","#, "p".repeat(padding));
            let tail = br#","uid":"b","ts":7}"#;
            let frame = [head.as_bytes(), mistake, tail].concat();
            assert_eq!(
                law::check(&frame),
                Verdict::Rejected(*reason),
                "{padding}: {}",
                mistake.escape_ascii()
            );
        }
    }
}

#[test]
fn a_frame_cut_at_every_place_is_refused() {
    let text = "x".repeat(150);
    for frame in [
        format!(
            r#"{{"uid":"b","ts":7,"é":"\u00e9{text}\\","y":[{{}},[1.5,true,null]],"日":"🙂"}}"#
        ),
        format!(
            r#"{{"{}":["é",{{"y":1}}],"uid":"b","ts":7}}"#,
            "z".repeat(4_050)
        ),
    ] {
        for cut in (0..frame.len()).filter(|cut| *cut < 400 || *cut > 4_000) {
            let verdict = law::check(&frame.as_bytes()[..cut]);
            assert!(
                matches!(verdict, Verdict::Rejected(_)),
                "cut at {cut}: {verdict:?}"
            );
        }
    }
}

#[test]
fn depth_is_bounded_in_every_chunk() {
    for before in [0, 1, 63, 64, 3_000, 4_095, 5_000] {
        let deep = |levels: usize| {
            let (open, close) = ("[".repeat(levels), "]".repeat(levels));
            format!(
                r#"{{"x":"{}","y":{open}{close},"uid":"b\"é","ts":7}}"#,
                "x".repeat(before)
            )
        };
        for levels in [1, 62, 63, 64, 65, 127, 128, 1_022, 1_023] {
            assert_eq!(
                law::check(deep(levels).as_bytes()),
                seen(),
                "{levels} levels"
            );
        }
        for levels in [1_024, 1_025, 5_000, 100_000] {
            let verdict = law::check(deep(levels).as_bytes());
            assert_eq!(
                verdict,
                Verdict::Rejected(Reject::TooDeep),
                "{levels} levels"
            );
        }
    }
}
