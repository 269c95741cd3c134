//! One frame in, one verdict out. Only fields at the root count: nested objects often carry the same names.

mod bitmap;
mod bytewise;
mod reference;
mod text;
mod time;
mod unit;
mod value;

pub use bitmap::Isa;
pub use unit::{Guess, TsUnit, WrongUnit};

use super::frame::{Reject, UserHash, Verdict};
use crate::limits::{KEPT_SCRATCH_BYTES, MAX_FRAME_BYTES};
use bitmap::{Found, Scanner};
use bytewise::{Fault, Root};
use reference::{NoFields, Reference};
use value::{Raw, Value};

/// Which fields of a frame hold what, and how they are read.
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
    /// How they are read.
    pub reading: Reading,
    /// With which instructions, where the on-demand decoder reads; none are the fastest of this CPU, and so are those that it
    /// does not have. They change nothing about the verdicts.
    pub instructions: Option<Isa>,
}

impl Default for Fields {
    fn default() -> Self {
        Self {
            uid: "uid".to_owned(),
            ts: "ts".to_owned(),
            ts_unit: TsUnit::default(),
            ignored_uids: Vec::new(),
            reading: Reading::default(),
            instructions: None,
        }
    }
}

/// How frames are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Reading {
    /// The on-demand decoder, to the end of the frame: a frame counts if it is JSON.
    #[default]
    Full,
    /// The on-demand decoder, until it has both fields: what comes behind is not looked at, and what comes before only so
    /// far as it takes to find them. Of a key that stands twice the first one counts.
    FieldsOnly,
    /// `simd-json`, to the end of the frame.
    SimdJson,
}

/// Decodes frames. Keeps its memory from frame to frame, and allocates only for what has escapes.
pub struct Decoder {
    fields: Fields,
    method: Method,
    scratch: Scratch,
    /// The last event time that was read, in its unit.
    raw_ts: u64,
    guess: Guess,
}

enum Method {
    Full(Scanner),
    FieldsOnly(Scanner),
    SimdJson(Reference),
}

/// Where the two fields go that do not stand in the frame as they read.
#[derive(Default)]
struct Scratch {
    uid: Vec<u8>,
    ts: Vec<u8>,
}

impl Decoder {
    /// A decoder for frames with these fields.
    #[must_use]
    pub fn new(fields: Fields) -> Self {
        let Fields { uid, ts, .. } = &fields;
        let wanted = fields.instructions;
        let scanner = || {
            let wanted = wanted.and_then(|isa| Scanner::on(isa, uid, ts));
            wanted.unwrap_or_else(|| Scanner::new(uid, ts))
        };
        let method = match fields.reading {
            Reading::Full => Method::Full(scanner()),
            Reading::FieldsOnly => Method::FieldsOnly(scanner()),
            Reading::SimdJson => Method::SimdJson(Reference::new()),
        };
        Self::with(fields, method)
    }

    /// The same with these instructions; none if the CPU does not have them.
    #[must_use]
    pub fn on(isa: Isa, fields: Fields) -> Option<Self> {
        let instructions = Isa::available().find(|available| *available == isa)?;
        Some(Self::new(Fields {
            instructions: Some(instructions),
            ..fields
        }))
    }

    fn with(fields: Fields, method: Method) -> Self {
        Self {
            guess: Guess::new(fields.ts_unit),
            fields,
            method,
            scratch: Scratch::default(),
            raw_ts: 0,
        }
    }

    /// The verdict on one frame; `None` is a record without a value. Never panics, whatever the bytes, and reads nothing
    /// beyond them.
    pub fn decode(&mut self, frame: Option<&[u8]>) -> Verdict {
        self.guess.begin_frame();
        let Some(frame) = frame else {
            return Verdict::Rejected(Reject::Tombstone);
        };
        if frame.len() > MAX_FRAME_BYTES {
            return Verdict::Rejected(Reject::TooLarge);
        }
        match self.read(frame) {
            Ok((verdict, raw_ts)) => {
                self.raw_ts = raw_ts;
                verdict
            }
            Err(reason) => Verdict::Rejected(reason),
        }
    }

    fn read(&mut self, frame: &[u8]) -> Result<(Verdict, u64), Reject> {
        let Self {
            fields,
            method,
            scratch,
            guess,
            ..
        } = self;
        if let Method::SimdJson(reference) = method {
            if frame.trim_ascii().is_empty() {
                return Err(Reject::Empty);
            }
            return match reference.read(frame, fields, |uid, ts| judge(uid, ts, fields, guess)) {
                Ok(verdict) => verdict,
                Err(NoFields::NotObject) => Err(Reject::NotObject),
                Err(NoFields::Unread) => Err(reason(frame)),
            };
        }
        let Some(root) = root(frame) else {
            return Err(no_object(frame));
        };
        let (scanner, is_trusted) = match method {
            Method::FieldsOnly(scanner) => (scanner, true),
            Method::Full(scanner) => (scanner, false),
            Method::SimdJson(_) => return Err(Reject::Json),
        };
        scratch.give_back();
        if is_trusted && let Some(found) = scanner.fields(root) {
            if let Some((uid, ts)) = usual(&found)
                && std::str::from_utf8(uid).is_ok()
            {
                return judge_usual(uid, ts, fields, guess);
            }
            if let (Some(uid), Some(ts)) = scratch.values(found)
                && [&uid, &ts].into_iter().flatten().all(is_utf8)
            {
                return judge(uid, ts, fields, guess);
            }
        }
        // Where trust was misplaced, and there are not both fields, the frame is judged as any other.
        let found = scanner.full(root).ok_or_else(|| reason(frame))?;
        if let Some((uid, ts)) = usual(&found) {
            return judge_usual(uid, ts, fields, guess);
        }
        match scratch.values(found) {
            (Some(uid), Some(ts)) => judge(uid, ts, fields, guess),
            _ => Err(Reject::Json),
        }
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

/// A field's value, none if there is no such key; and none of both if the value means nothing.
type MayFail<'v> = Option<Option<Value<'v>>>;

impl Scratch {
    /// What the fields mean; for each None if it means nothing.
    #[inline]
    fn values<'v, 'f: 'v>(&'v mut self, found: Found<'f>) -> (MayFail<'v>, MayFail<'v>) {
        let uid = match found.uid {
            Some(uid) => uid.value(&mut self.uid).map(Some),
            None => Some(None),
        };
        let ts = match found.ts {
            Some(ts) => ts.value(&mut self.ts).map(Some),
            None => Some(None),
        };
        (uid, ts)
    }

    /// Gives back memory that one huge field of the frame before took.
    #[inline]
    fn give_back(&mut self) {
        if self.uid.capacity() + self.ts.capacity() > KEPT_SCRATCH_BYTES {
            *self = Self::default();
        }
    }
}

/// The frame from the brace on that opens it; none if it begins with anything else.
#[inline]
fn root(frame: &[u8]) -> Option<&[u8]> {
    if frame.first() == Some(&b'{') {
        return Some(frame);
    }
    let is_space = |byte: &u8| matches!(byte, b' ' | b'\t' | b'\n' | b'\r');
    let at = frame.iter().position(|byte| !is_space(byte))?;
    (frame[at] == b'{').then(|| &frame[at..])
}

fn is_utf8(value: &Value<'_>) -> bool {
    match value {
        Value::Text(text) => std::str::from_utf8(text).is_ok(),
        _ => true,
    }
}

/// Why a frame is refused that does not begin as an object does.
#[cold]
fn no_object(frame: &[u8]) -> Reject {
    if frame.trim_ascii().is_empty() {
        return Reject::Empty;
    }
    if std::str::from_utf8(frame).is_err() {
        return Reject::Utf8;
    }
    match bytewise::check(frame) {
        Ok(Root::Other) => Reject::NotObject,
        Ok(Root::Object) | Err(Fault::Json) => Reject::Json,
        Err(Fault::TooDeep) => Reject::TooDeep,
    }
}

/// Why a frame was refused. The reason must not depend on where a parser happens to stop: what is not UTF-8 is refused as
/// that, else the first fault from the left decides.
#[cold]
fn reason(frame: &[u8]) -> Reject {
    if std::str::from_utf8(frame).is_err() {
        return Reject::Utf8;
    }
    match bytewise::check(frame) {
        Err(Fault::TooDeep) => Reject::TooDeep,
        // Without a fault it is JSON with a value that cannot be converted.
        Ok(_) | Err(Fault::Json) => Reject::Json,
    }
}

/// The fields as they mostly are: a text as it reads, and digits.
#[inline]
fn usual<'f>(found: &Found<'f>) -> Option<(&'f [u8], u64)> {
    match (found.uid, found.ts) {
        (Some(Raw::Plain(uid)), Some(Raw::Number(ts))) => Some((uid, value::digits(ts)?)),
        _ => None,
    }
}

/// The same as [`judge`] on such fields: what any others take costs a small frame a tenth more.
#[inline]
fn judge_usual(
    uid: &[u8],
    ts: u64,
    fields: &Fields,
    guess: &mut Guess,
) -> Result<(Verdict, u64), Reject> {
    let uid = named(uid, &fields.ignored_uids)?;
    verdict(uid, Some(ts), fields, guess)
}

/// The verdict on a frame that is an object, and its event time as it stands there.
fn judge(
    uid: Option<Value<'_>>,
    ts: Option<Value<'_>>,
    fields: &Fields,
    guess: &mut Guess,
) -> Result<(Verdict, u64), Reject> {
    let uid = user(uid.as_ref(), &fields.ignored_uids)?;
    verdict(uid, time::raw(ts.as_ref())?, fields, guess)
}

/// The verdict on a frame of this user, if it is one, and of this time, if that is not before the epoch.
#[inline]
fn verdict(
    uid: Option<&[u8]>,
    raw_ts: Option<u64>,
    fields: &Fields,
    guess: &mut Guess,
) -> Result<(Verdict, u64), Reject> {
    guess.note(raw_ts);
    let raw_ts = raw_ts.ok_or(Reject::TsRange)?;
    let ts = fields.ts_unit.event_time(raw_ts).ok_or(Reject::TsRange)?;
    let verdict = match uid {
        Some(uid) => Verdict::Seen(UserHash::of(uid), ts),
        None => Verdict::Ignored,
    };
    Ok((verdict, raw_ts))
}

/// The user id; none for one that stands for nobody.
fn user<'v>(uid: Option<&'v Value<'_>>, ignored: &[String]) -> Result<Option<&'v [u8]>, Reject> {
    match uid {
        None => Err(Reject::UidMissing),
        Some(Value::Text(text)) => named(text, ignored),
        Some(Value::Integer { digits, .. }) => named(digits, ignored),
        // A placeholder written without quotes is a placeholder all the same.
        Some(Value::Null) if ignored.iter().any(|i| i == "null") => Ok(None),
        Some(_) => Err(Reject::UidType),
    }
}

#[inline]
fn named<'v>(uid: &'v [u8], ignored: &[String]) -> Result<Option<&'v [u8]>, Reject> {
    if ignored.iter().any(|i| i.as_bytes() == uid) {
        return Ok(None);
    }
    if uid.is_empty() {
        return Err(Reject::UidEmpty);
    }
    Ok(Some(uid))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::frame::EventTime;
    use crate::limits::MAX_FRAME_DEPTH;

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
            (r#"{"uid":"a","ts":7},{}"#, Verdict::Rejected(Json)),
            (r#"{"uid":"a","ts":7},[[]]"#, Verdict::Rejected(Json)),
            (r#"{"uid":"a","ts":7},[7]"#, Verdict::Rejected(Json)),
            (r#"{"uid":"a","ts":7},"#, Verdict::Rejected(Json)),
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
