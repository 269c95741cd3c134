//! What a frame comes down to: a verdict, and for a good frame who was seen when.

use std::fmt;

/// The 64-bit hash that stands for a user: `xxh3_64`, seed 0, of the unescaped UTF-8 bytes of the `uid`.
///
/// Pinned for ever: a saved sketch is meaningless under any other hash.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UserHash(pub u64);

impl UserHash {
    /// Hashes a `uid` as it reads after unescaping.
    #[must_use]
    pub fn of(uid: &[u8]) -> Self {
        Self(xxhash_rust::xxh3::xxh3_64(uid))
    }
}

/// A frame's own time, in unix seconds, between `MIN_EVENT_TIME_S` and `MAX_EVENT_TIME_S`.
pub type EventTime = u32;

/// Why a frame was not counted. The names are part of the published records.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reject {
    /// A record without a value.
    Tombstone,
    /// Nothing, or nothing but white space.
    Empty,
    /// Larger than `MAX_FRAME_BYTES`.
    TooLarge,
    /// Nested deeper than `MAX_FRAME_DEPTH`.
    TooDeep,
    /// Not UTF-8.
    Utf8,
    /// Not one JSON text.
    Json,
    /// JSON, but not an object.
    NotObject,
    /// No `uid` at the root.
    UidMissing,
    /// A `uid` that is neither a string nor an integer within 64 bits.
    UidType,
    /// A `uid` of no characters.
    UidEmpty,
    /// No `ts` at the root.
    TsMissing,
    /// A `ts` that is neither a number nor a string holding one.
    TsType,
    /// A `ts` before second 1 or after second 4,294,967,294.
    TsRange,
}

impl Reject {
    /// All reasons, in the order in which records list them.
    pub const ALL: [Self; 13] = [
        Self::Tombstone,
        Self::Empty,
        Self::TooLarge,
        Self::TooDeep,
        Self::Utf8,
        Self::Json,
        Self::NotObject,
        Self::UidMissing,
        Self::UidType,
        Self::UidEmpty,
        Self::TsMissing,
        Self::TsType,
        Self::TsRange,
    ];

    /// The name under which records, logs and tables list the reason.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Tombstone => "tombstone",
            Self::Empty => "empty",
            Self::TooLarge => "too_large",
            Self::TooDeep => "too_deep",
            Self::Utf8 => "utf8",
            Self::Json => "json",
            Self::NotObject => "not_object",
            Self::UidMissing => "uid_missing",
            Self::UidType => "uid_type",
            Self::UidEmpty => "uid_empty",
            Self::TsMissing => "ts_missing",
            Self::TsType => "ts_type",
            Self::TsRange => "ts_range",
        }
    }
}

impl fmt::Display for Reject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What the decoder says of one frame. Every frame gets exactly one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// A good frame: this user was seen at this second.
    Seen(UserHash, EventTime),
    /// A good frame whose `uid` is a placeholder (`--ignore-uid`).
    Ignored,
    /// Not a good frame.
    Rejected(Reject),
}

/// One user seen at one second, on its way to the shard that owns the user's register.
///
/// At most 16 bytes, because millions of them a second cross the channels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sighting {
    /// Who.
    pub hash: UserHash,
    /// When.
    pub ts: EventTime,
    /// The periods whose window still takes this sighting: bit `Period as u8`. The others have expired.
    pub periods: u8,
}

const _: () = assert!(size_of::<Sighting>() <= 16);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hash_golden_vectors() {
        // From the reference implementation (xxHash 0.8.4, XXH3_64bits, seed 0). A change here breaks every saved sketch.
        let golden: [(&str, u64); 6] = [
            ("", 0x2d06_8005_38d3_94c2),
            ("a", 0xe6c6_32b6_1e96_4e1f),
            ("b1e22f46e8de773fd98", 0x9cc4_ac7b_a9b5_c5a2),
            ("Zürich", 0x0ba4_4fcc_12cc_a74e),
            ("пользователь", 0x0424_981a_9cb7_70e7),
            ("用户🙂", 0x9bb0_f93d_4dcd_2fcd),
        ];
        for (uid, hash) in golden {
            assert_eq!(UserHash::of(uid.as_bytes()), UserHash(hash), "{uid:?}");
        }
    }

    #[test]
    fn names_are_distinct() {
        let mut names: Vec<_> = Reject::ALL.iter().map(|r| r.name()).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), Reject::ALL.len());
    }
}
