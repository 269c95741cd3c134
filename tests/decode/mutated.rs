//! Generated frames, as they are and damaged.

use headcount::engine::decode::Fields;
use headcount::engine::frame::{Reject, UserHash, Verdict};

use crate::frames::{Dice, damage, frame, shards};
use crate::law;

/// As many as take seconds, or with `HEADCOUNT_TEST_LONG` a hundred times as many.
fn seeds() -> std::ops::Range<u64> {
    let is_long = std::env::var_os("HEADCOUNT_TEST_LONG").is_some();
    0..if is_long { 400_000 } else { 4_000 }
}

#[test]
fn good_frames_are_read_alike_by_all() {
    let mut seen = 0;
    for seed in seeds() {
        let frame = frame(&mut Dice::new(seed));
        let verdict = law::check(&frame);
        let is_refused = [Reject::Json, Reject::Utf8, Reject::Empty]
            .map(Verdict::Rejected)
            .contains(&verdict);
        // A field of 1e400 and the like cannot be converted; nothing else about these frames is wrong.
        let is_odd = verdict == Verdict::Rejected(Reject::Json) && law::cannot_be_converted(&frame);
        let text = String::from_utf8(frame).unwrap();
        assert!(is_odd || !is_refused, "seed {seed}, {verdict:?}: {text}");
        seen += u64::from(matches!(verdict, Verdict::Seen(..)));
    }
    assert!(seen > seeds().end / 4, "hardly any good frame: {seen}");
}

#[test]
fn any_keys_of_a_frame_can_be_its_fields() {
    for seed in seeds() {
        let mut dice = Dice::new(seed);
        let frame = frame(&mut dice);
        law::check_other_names(&frame, dice.below(1 << 20));
    }
}

/// A key that begins with an escaped quote ends like the name behind it.
#[test]
fn a_name_with_an_escaped_quote_before_it_is_another_key() {
    for (uid, ts) in [("uid", "ts"), ("abcd", "ts"), ("ts", "abcd"), ("é", "ts")] {
        let fields = Fields {
            uid: uid.to_owned(),
            ts: ts.to_owned(),
            ..Fields::default()
        };
        let mut decoders = law::Decoders::new(&fields);
        for frame in [
            format!(r#"{{"{uid}":"a","{ts}":7,"\"{ts}":8,"\"{uid}":"b"}}"#),
            format!(r#"{{"\"{ts}":8,"\"{uid}":"b","{uid}":"a","{ts}":7}}"#),
        ] {
            let expected = Verdict::Seen(UserHash::of(b"a"), 7);
            assert_eq!(decoders.check(frame.as_bytes()), expected, "{frame}");
        }
    }
}

#[test]
fn damaged_frames_are_refused_alike_by_all() {
    let mut refused = 0;
    for seed in seeds() {
        let mut dice = Dice::new(seed);
        let mut frame = frame(&mut dice);
        for _ in 0..=dice.below(3) {
            damage(&mut dice, &mut frame);
            refused += u64::from(matches!(
                law::check(&frame),
                Verdict::Rejected(Reject::Json | Reject::Utf8)
            ));
        }
    }
    assert!(refused > seeds().end / 2, "hardly any damage: {refused}");
}

#[test]
fn shards_of_json_are_refused_alike_by_all() {
    for seed in seeds() {
        let mut dice = Dice::new(seed);
        law::check(&shards(&mut dice));
        let mut object = shards(&mut dice);
        object.insert(0, b'{');
        law::check(&object);
    }
}
