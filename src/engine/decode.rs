//! One frame in, one verdict out. Only fields at the root count: nested objects often carry the same names.

mod time;
mod unit;

use std::borrow::Cow;
use std::mem;

use simd_json::{Buffers, ErrorType, INPUT_PADDING, Node, StaticNode, Tape};

pub use unit::{Guess, TsUnit, WrongUnit};

use super::frame::{Reject, UserHash, Verdict};
use crate::limits::{KEPT_SCRATCH_BYTES, MAX_FRAME_BYTES, MAX_FRAME_DEPTH};

/// Which fields of a frame hold what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fields {
    /// Root key of the user id.
    pub uid: String,
    /// Root key of the event time.
    pub ts: String,
    /// What the event time counts since the epoch.
    pub ts_unit: TsUnit,
    /// User ids that stand for nobody, such as `-` or `anonymous`.
    pub ignored_uids: Vec<String>,
}

impl Default for Fields {
    fn default() -> Self {
        Self {
            uid: "uid".to_owned(),
            ts: "ts".to_owned(),
            ts_unit: TsUnit::default(),
            ignored_uids: Vec::new(),
        }
    }
}

/// Decodes frames with `simd-json`, its buffers kept from frame to frame.
pub struct Decoder {
    fields: Fields,
    scratch: Vec<u8>,
    buffers: Buffers,
    tape: Tape<'static>,
    /// The last event time that was read, in its unit.
    raw_ts: u64,
    guess: Guess,
}

impl Decoder {
    /// A decoder for frames with these fields.
    #[must_use]
    pub fn new(fields: Fields) -> Self {
        Self {
            guess: Guess::new(fields.ts_unit),
            fields,
            scratch: Vec::new(),
            buffers: new_buffers(),
            tape: Tape(Vec::new()),
            raw_ts: 0,
        }
    }

    /// The verdict on one frame; `None` is a record without a value. Never panics, whatever the bytes.
    pub fn decode(&mut self, frame: Option<&[u8]>) -> Verdict {
        self.guess.begin_frame();
        let Some(frame) = frame else {
            return Verdict::Rejected(Reject::Tombstone);
        };
        if frame.len() > MAX_FRAME_BYTES {
            return Verdict::Rejected(Reject::TooLarge);
        }
        if frame.trim_ascii().is_empty() {
            return Verdict::Rejected(Reject::Empty);
        }
        let verdict = self.parse(frame).unwrap_or_else(Verdict::Rejected);
        if self.scratch.capacity() > KEPT_SCRATCH_BYTES {
            self.scratch = Vec::new();
            self.buffers = new_buffers();
            self.tape = Tape(Vec::new());
        }
        verdict
    }

    fn parse(&mut self, frame: &[u8]) -> Result<Verdict, Reject> {
        self.scratch.clear();
        self.scratch.extend_from_slice(frame);
        self.scratch.resize(frame.len() + INPUT_PADDING, b' ');
        let mut tape = mem::replace(&mut self.tape, Tape(Vec::new())).reset();
        let parsed = simd_json::fill_tape_padded(
            &mut self.scratch,
            frame.len(),
            &mut self.buffers,
            &mut tape,
        );
        let verdict = match parsed {
            Ok(()) => root_fields(&tape.0, &self.fields)
                .and_then(|root| judge(root, &self.fields, &mut self.guess))
                .map(|(verdict, raw_ts)| {
                    self.raw_ts = raw_ts;
                    verdict
                }),
            Err(error) => Err(reason(frame, error.error())),
        };
        self.tape = tape.reset();
        verdict
    }

    /// The event time of the last frame that was good, as it stands there: in the unit of the fields, since the epoch,
    /// fractions cut off. 0 before the first one.
    #[must_use]
    pub fn raw_ts(&self) -> u64 {
        self.raw_ts
    }

    /// What a [`Guess`] is to look at in the last frame: its event time as it stands there, none if that is before the epoch;
    /// nothing where it had no good user id or no number. For who decodes a stream's frames out of their order.
    #[must_use]
    pub fn noted(&self) -> Option<Option<u64>> {
        self.guess.noted()
    }

    /// That every event time so far looks like another unit: told once, after [`HINT_FRAMES`] of them, or with
    /// `at_end` after any.
    ///
    /// [`HINT_FRAMES`]: crate::limits::HINT_FRAMES
    pub fn take_wrong_unit(&mut self, at_end: bool) -> Option<WrongUnit> {
        self.guess.take(at_end)
    }
}

fn new_buffers() -> Buffers {
    Buffers::with_max_depth(0, MAX_FRAME_DEPTH)
}

/// The reason must not depend on where a parser happens to stop, so what is not UTF-8 is refused as that.
fn reason(frame: &[u8], error: &ErrorType) -> Reject {
    if std::str::from_utf8(frame).is_err() {
        return Reject::Utf8;
    }
    match error {
        ErrorType::DepthLimitExceeded => Reject::TooDeep,
        _ => Reject::Json,
    }
}

type RootFields<'t> = (Option<&'t Node<'t>>, Option<&'t Node<'t>>);

/// Finds `uid` and `ts` at the root; of a duplicate key the last one wins, as in most JSON readers.
fn root_fields<'t>(tape: &'t [Node<'t>], fields: &Fields) -> Result<RootFields<'t>, Reject> {
    let Some(Node::Object { len, .. }) = tape.first() else {
        return Err(Reject::NotObject);
    };
    let (mut uid, mut ts) = (None, None);
    let mut at = 1;
    for _ in 0..*len {
        let (Some(Node::String(key)), Some(value)) = (tape.get(at), tape.get(at + 1)) else {
            // The tape's own invariant: keys and values alternate. Refusing the frame beats a panic.
            return Err(Reject::Json);
        };
        if *key == fields.uid {
            uid = Some(value);
        }
        if *key == fields.ts {
            ts = Some(value);
        }
        at += match value {
            Node::Object { count, .. } | Node::Array { count, .. } => 2 + count,
            Node::String(_) | Node::Static(_) => 2,
        };
    }
    Ok((uid, ts))
}

/// The verdict on a frame that is an object, and its event time as it stands there.
fn judge(
    (uid, ts): RootFields<'_>,
    fields: &Fields,
    guess: &mut Guess,
) -> Result<(Verdict, u64), Reject> {
    let uid = user(uid, &fields.ignored_uids)?;
    let raw_ts = time::raw(ts)?;
    guess.note(raw_ts);
    let raw_ts = raw_ts.ok_or(Reject::TsRange)?;
    let ts = fields.ts_unit.event_time(raw_ts).ok_or(Reject::TsRange)?;
    let verdict = match uid {
        Some(uid) => Verdict::Seen(UserHash::of(uid.as_bytes()), ts),
        None => Verdict::Ignored,
    };
    Ok((verdict, raw_ts))
}

/// The user id; none for one that stands for nobody.
fn user<'t>(uid: Option<&'t Node<'t>>, ignored: &[String]) -> Result<Option<Cow<'t, str>>, Reject> {
    let is_ignored = |text: &str| ignored.iter().any(|i| i == text);
    let uid = match uid {
        None => return Err(Reject::UidMissing),
        Some(Node::String(text)) => Some(Cow::Borrowed(*text)),
        Some(Node::Static(StaticNode::I64(n))) => Some(Cow::Owned(n.to_string())),
        Some(Node::Static(StaticNode::U64(n))) => Some(Cow::Owned(n.to_string())),
        // A placeholder written without quotes is a placeholder all the same.
        Some(Node::Static(StaticNode::Null)) if is_ignored("null") => None,
        Some(_) => return Err(Reject::UidType),
    };
    let uid = uid.filter(|uid| !is_ignored(uid));
    if uid.as_deref().is_some_and(str::is_empty) {
        return Err(Reject::UidEmpty);
    }
    Ok(uid)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::frame::EventTime;

    fn verdict(frame: &str) -> Verdict {
        Decoder::new(Fields::default()).decode(Some(frame.as_bytes()))
    }

    fn seen(uid: &str, ts: EventTime) -> Verdict {
        Verdict::Seen(UserHash::of(uid.as_bytes()), ts)
    }

    #[test]
    fn verdicts() {
        use Reject::*;
        let cases: &[(&str, Verdict)] = &[
            (r#"{"uid":"a","ts":7}"#, seen("a", 7)),
            (" {\"ts\":7 ,\r\n\t\"uid\":\"a\"}\r\n", seen("a", 7)),
            (
                r#"{"x":{"uid":"b","ts":9},"uid":"a","y":[{"uid":3}],"ts":7,"z":{"ts":[]}}"#,
                seen("a", 7),
            ),
            (r#"{"uid":"a","ts":7,"uid":"b","ts":8}"#, seen("b", 8)),
            (r#"{"uid":"a","ts":7,"uid":[]}"#, Verdict::Rejected(UidType)),
            (r#"{"\u0075id":"\u0061","t\u0073":7}"#, seen("a", 7)),
            (r#"{"uid":"Z\u00fcrich","ts":7}"#, seen("Zürich", 7)),
            (r#"{"uid":"\ud83d\ude42","ts":7}"#, seen("🙂", 7)),
            (r#"{"uid":42,"ts":7}"#, seen("42", 7)),
            (r#"{"uid":-42,"ts":7}"#, seen("-42", 7)),
            (r#"{"uid":-0,"ts":7}"#, seen("0", 7)),
            (
                r#"{"uid":18446744073709551615,"ts":7}"#,
                seen("18446744073709551615", 7),
            ),
            (
                r#"{"uid":-9223372036854775808,"ts":7}"#,
                seen("-9223372036854775808", 7),
            ),
            (
                r#"{"uid":18446744073709551616,"ts":7}"#,
                Verdict::Rejected(UidType),
            ),
            (r#"{"uid":1.0,"ts":7}"#, Verdict::Rejected(UidType)),
            (r#"{"uid":1e3,"ts":7}"#, Verdict::Rejected(UidType)),
            (r#"{"uid":null,"ts":7}"#, Verdict::Rejected(UidType)),
            (r#"{"uid":true,"ts":7}"#, Verdict::Rejected(UidType)),
            (r#"{"uid":{},"ts":7}"#, Verdict::Rejected(UidType)),
            (r#"{"uid":"","ts":7}"#, Verdict::Rejected(UidEmpty)),
            (r#"{"ts":7}"#, Verdict::Rejected(UidMissing)),
            (r#"{"Uid":"a","ts":7}"#, Verdict::Rejected(UidMissing)),
            (r#"{"uid":"a"}"#, Verdict::Rejected(TsMissing)),
            ("{}", Verdict::Rejected(UidMissing)),
            ("[]", Verdict::Rejected(NotObject)),
            (r#""uid""#, Verdict::Rejected(NotObject)),
            ("7", Verdict::Rejected(NotObject)),
            ("", Verdict::Rejected(Empty)),
            (" \r\n\t", Verdict::Rejected(Empty)),
            ("{", Verdict::Rejected(Json)),
            (r#"{"uid":"a","ts":7}}"#, Verdict::Rejected(Json)),
            (r#"{"uid":"a","ts":7} {}"#, Verdict::Rejected(Json)),
            (r#"{"uid":"a","ts":7,}"#, Verdict::Rejected(Json)),
            (r#"{"uid":"a\ud83d","ts":7}"#, Verdict::Rejected(Json)),
        ];
        for (frame, expected) in cases {
            assert_eq!(verdict(frame), *expected, "{frame}");
        }
    }

    #[test]
    fn placeholders_are_ignored_only_in_good_frames() {
        let mut decoder = Decoder::new(Fields {
            ignored_uids: ["-", "null", "0"].map(str::to_owned).to_vec(),
            ..Fields::default()
        });
        let mut decode = |frame: &str| decoder.decode(Some(frame.as_bytes()));
        for uid in [r#""-""#, r#""null""#, "null", "0", r#""\u002d""#] {
            assert_eq!(
                decode(&format!(r#"{{"uid":{uid},"ts":7}}"#)),
                Verdict::Ignored,
                "{uid}"
            );
            assert_eq!(
                decode(&format!(r#"{{"uid":{uid}}}"#)),
                Verdict::Rejected(Reject::TsMissing)
            );
        }
        assert_eq!(decode(r#"{"uid":"--","ts":7}"#), seen("--", 7));
    }

    #[test]
    fn bytes_that_are_not_utf8_or_too_deep_or_too_large() {
        let mut decoder = Decoder::new(Fields::default());
        assert_eq!(
            decoder.decode(Some(b"{\"uid\":\"\xff\",\"ts\":7}")),
            Verdict::Rejected(Reject::Utf8)
        );
        let deep = |n: usize| {
            format!(
                r#"{{"uid":"a","ts":7,"x":{}{}}}"#,
                "[".repeat(n),
                "]".repeat(n)
            )
            .into_bytes()
        };
        assert_eq!(
            decoder.decode(Some(&deep(MAX_FRAME_DEPTH - 1))),
            seen("a", 7)
        );
        assert_eq!(
            decoder.decode(Some(&deep(MAX_FRAME_DEPTH))),
            Verdict::Rejected(Reject::TooDeep)
        );
        assert_eq!(
            decoder.decode(Some(&vec![b'['; 1 << 20])),
            Verdict::Rejected(Reject::TooDeep)
        );
        assert_eq!(
            decoder.decode(Some(&vec![b' '; MAX_FRAME_BYTES + 1])),
            Verdict::Rejected(Reject::TooLarge)
        );
        assert_eq!(decoder.decode(None), Verdict::Rejected(Reject::Tombstone));
        assert_eq!(decoder.decode(Some(br#"{"uid":"a","ts":7}"#)), seen("a", 7));
    }

    #[test]
    fn other_field_names() {
        let mut decoder = Decoder::new(Fields {
            uid: "user id".to_owned(),
            ts: "zeit".to_owned(),
            ..Fields::default()
        });
        assert_eq!(
            decoder.decode(Some(br#"{"uid":"b","user id":"a","zeit":7,"ts":0}"#)),
            seen("a", 7)
        );
    }
}
