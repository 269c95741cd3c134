//! One frame in, one verdict out. Only fields at the root count: nested objects often carry the same names.

use std::borrow::Cow;
use std::mem;

use simd_json::{Buffers, ErrorType, INPUT_PADDING, Node, StaticNode, Tape};

use super::frame::{EventTime, Reject, UserHash, Verdict};
use crate::limits::{
    KEPT_SCRATCH_BYTES, MAX_EVENT_TIME_S, MAX_FRAME_BYTES, MAX_FRAME_DEPTH, MIN_EVENT_TIME_S,
};

/// Which fields of a frame hold what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fields {
    /// Root key of the user id.
    pub uid: String,
    /// Root key of the event time.
    pub ts: String,
    /// User ids that stand for nobody, such as `-` or `anonymous`.
    pub ignored_uids: Vec<String>,
}

impl Default for Fields {
    fn default() -> Self {
        Self {
            uid: "uid".to_owned(),
            ts: "ts".to_owned(),
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
}

impl Decoder {
    /// A decoder for frames with these fields.
    #[must_use]
    pub fn new(fields: Fields) -> Self {
        Self {
            fields,
            scratch: Vec::new(),
            buffers: new_buffers(),
            tape: Tape(Vec::new()),
        }
    }

    /// The verdict on one frame; `None` is a record without a value. Never panics, whatever the bytes.
    pub fn decode(&mut self, frame: Option<&[u8]>) -> Verdict {
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
                .and_then(|(uid, ts)| judge(uid, ts, &self.fields.ignored_uids)),
            Err(error) => Err(reason(frame, error.error())),
        };
        self.tape = tape.reset();
        verdict
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

fn judge(
    uid: Option<&Node<'_>>,
    ts: Option<&Node<'_>>,
    ignored: &[String],
) -> Result<Verdict, Reject> {
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
    let ts = event_time(ts)?;
    Ok(match uid {
        Some(uid) => Verdict::Seen(UserHash::of(uid.as_bytes()), ts),
        None => Verdict::Ignored,
    })
}

fn event_time(ts: Option<&Node<'_>>) -> Result<EventTime, Reject> {
    let seconds = match ts {
        None => return Err(Reject::TsMissing),
        Some(Node::Static(StaticNode::I64(n))) => return in_range(u64::try_from(*n).ok()),
        Some(Node::Static(StaticNode::U64(n))) => return in_range(Some(*n)),
        Some(Node::Static(StaticNode::F64(n))) => *n,
        Some(Node::String(text)) => {
            if let Ok(n) = text.parse::<u64>()
                && is_json_number(text.as_bytes())
            {
                return in_range(Some(n));
            }
            if !is_json_number(text.as_bytes()) {
                return Err(Reject::TsType);
            }
            text.parse().map_err(|_| Reject::TsType)?
        }
        Some(_) => return Err(Reject::TsType),
    };
    // Out of u64 saturates and is out of range there too; NaN cannot be written in JSON.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    in_range((seconds >= 0.0).then(|| seconds.floor() as u64))
}

fn in_range(seconds: Option<u64>) -> Result<EventTime, Reject> {
    seconds
        .and_then(|s| EventTime::try_from(s).ok())
        .filter(|s| (MIN_EVENT_TIME_S..=MAX_EVENT_TIME_S).contains(s))
        .ok_or(Reject::TsRange)
}

/// The number grammar of RFC 8259, section 6: no sign but minus, no leading zero, digits on both sides of a point.
fn is_json_number(text: &[u8]) -> bool {
    let digits = |text: &[u8]| text.iter().take_while(|b| b.is_ascii_digit()).count();
    let text = text.strip_prefix(b"-").unwrap_or(text);
    let whole = digits(text);
    if whole == 0 || (whole > 1 && text[0] == b'0') {
        return false;
    }
    let mut rest = &text[whole..];
    if let Some(fraction) = rest.strip_prefix(b".") {
        let n = digits(fraction);
        if n == 0 {
            return false;
        }
        rest = &fraction[n..];
    }
    if let [b'e' | b'E', exponent @ ..] = rest {
        let exponent = match exponent {
            [b'+' | b'-', digits @ ..] => digits,
            digits => digits,
        };
        let n = digits(exponent);
        if n == 0 {
            return false;
        }
        rest = &exponent[n..];
    }
    rest.is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;

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
    fn event_times() {
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
            assert_eq!(
                verdict(&format!(r#"{{"uid":"a","ts":{ts}}}"#)),
                seen("a", expected),
                "{ts}"
            );
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
            let frame = format!(r#"{{"uid":"a","ts":{ts}}}"#);
            assert_eq!(verdict(&frame), Verdict::Rejected(expected), "{ts}");
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
