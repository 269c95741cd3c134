//! The on-demand decoder: the grammar of JSON as algebra on bitmaps, 64 bytes a word.
//!
//! No tape, no tokens, no copy of the frame: each phase makes bitmaps of a chunk of 4 KiB from those of the phase before,
//! and only the two fields are ever looked at as values.
//!
//! | phase | file | from | to |
//! |---|---|---|---|
//! | what is known of each byte | `bytes`, and one file an instruction set | bytes | `ByteMaps` |
//! | classes, strings, and what is outside of them | `classes`, `strings`, `escapes` | `ByteMaps` | `TokenMaps` |
//! | containers | `brackets` | brackets | `ChangeMaps` |
//! | the grammar | `grammar` | tokens, changes | `FindingMaps`, or what is wrong |
//! | numbers and literals | `numbers`, `literal` | tokens | what is wrong |
//! | the two fields | `keys`, `value` | findings | where their values are |
//! | UTF-8 | `utf8` | blocks beyond ASCII | what is wrong |
//!
//! `lanes` has the arithmetic on several words at once, `full` and `fields` string the phases together.

mod brackets;
mod bytes;
mod classes;
mod escapes;
mod fields;
mod full;
mod grammar;
mod keys;
mod lanes;
mod literal;
mod maps;
mod numbers;
mod portable;
mod strings;
#[cfg(test)]
mod tests;
mod utf8;
mod value;

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;

#[cfg(target_arch = "x86_64")]
use avx2::Avx2;
#[cfg(target_arch = "x86_64")]
use avx512::Avx512;

use super::value::Raw;
use bytes::Bytes;
use keys::Names;
use lanes::Lanes;
use maps::Maps;
use portable::Portable;

/// An instruction set that the on-demand decoder knows how to use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Isa {
    /// AVX-512 with VBMI, VBMI2, VPOPCNTDQ and VPCLMULQDQ: Ice Lake, Zen 4 and later.
    Avx512,
    /// AVX2.
    Avx2,
    /// Plain Rust, on any CPU.
    Portable,
}

impl Isa {
    /// All of them, the fastest first.
    pub const ALL: [Self; 3] = [Self::Avx512, Self::Avx2, Self::Portable];

    /// The name that benches and tests have for it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Avx512 => "avx512",
            Self::Avx2 => "avx2",
            Self::Portable => "portable",
        }
    }

    /// Those that this CPU has, the fastest first. Never empty.
    pub fn available() -> impl Iterator<Item = Self> {
        Self::ALL
            .into_iter()
            .filter(|isa| Simd::detect(*isa).is_some())
    }
}

/// The instructions that a scanner uses, and the proof that they are there.
#[derive(Clone, Copy, Debug)]
enum Simd {
    #[cfg(target_arch = "x86_64")]
    Avx512(Avx512),
    #[cfg(target_arch = "x86_64")]
    Avx2(Avx2),
    Portable(Portable),
}

impl Simd {
    fn detect(isa: Isa) -> Option<Self> {
        match isa {
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512 => Avx512::detect().map(Self::Avx512),
            #[cfg(target_arch = "x86_64")]
            Isa::Avx2 => Avx2::detect().map(Self::Avx2),
            #[cfg(not(target_arch = "x86_64"))]
            Isa::Avx512 | Isa::Avx2 => None,
            Isa::Portable => Some(Self::Portable(Portable)),
        }
    }

    fn best() -> Self {
        Isa::ALL
            .into_iter()
            .find_map(Self::detect)
            .unwrap_or(Self::Portable(Portable))
    }
}

/// A frame, and what is needed to look into it.
struct Work<'f, 's> {
    /// The frame from the brace on that opens it.
    root: &'f [u8],
    names: &'s Names,
    maps: &'s mut Maps,
}

/// What may be done to a frame, for any instruction set, with many lanes or with fewer.
trait Job {
    fn run<'f, B: Bytes, L: Lanes, F: Lanes>(
        bytes: B,
        lanes: L,
        fewer: F,
        work: Work<'f, '_>,
    ) -> Option<Found<'f>>;
}

/// The values of the two fields, as they stand in the frame; none where the key is missing.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Found<'f> {
    pub(super) uid: Option<Raw<'f>>,
    pub(super) ts: Option<Raw<'f>>,
}

/// Looks for two fields in frames. Holds the bitmaps of one chunk, and allocates nothing more.
pub(super) struct Scanner {
    simd: Simd,
    names: Names,
    maps: Box<Maps>,
}

impl Scanner {
    /// With the fastest instructions of this CPU.
    pub(super) fn new(uid: &str, ts: &str) -> Self {
        Self::with(Simd::best(), uid, ts)
    }

    /// With these instructions, if the CPU has them.
    pub(super) fn on(isa: Isa, uid: &str, ts: &str) -> Option<Self> {
        Simd::detect(isa).map(|simd| Self::with(simd, uid, ts))
    }

    fn with(simd: Simd, uid: &str, ts: &str) -> Self {
        Self {
            simd,
            names: Names::new(uid, ts),
            maps: Maps::new(),
        }
    }

    /// The fields of a frame that is one JSON object, nested no deeper than `MAX_FRAME_DEPTH`, and UTF-8; of a key that
    /// stands twice the last. None if the frame is anything else.
    ///
    /// `root` begins with the frame's first brace; behind its end nothing is read.
    pub(super) fn full<'f>(&mut self, root: &'f [u8]) -> Option<Found<'f>> {
        self.run::<full::Full>(root)
    }

    /// The fields of a frame that is trusted to be JSON, read up to the later of the two; of a key that stands twice
    /// the first. None if there are not both.
    pub(super) fn fields<'f>(&mut self, root: &'f [u8]) -> Option<Found<'f>> {
        self.run::<fields::FieldsOnly>(root)
    }

    fn run<'f, J: Job>(&mut self, root: &'f [u8]) -> Option<Found<'f>> {
        debug_assert_eq!(root.first(), Some(&b'{'), "not the root of a frame");
        let work = Work {
            root,
            names: &self.names,
            maps: &mut self.maps,
        };
        match self.simd {
            #[cfg(target_arch = "x86_64")]
            Simd::Avx512(simd) => simd.run::<J>(work),
            #[cfg(target_arch = "x86_64")]
            Simd::Avx2(simd) => simd.run::<J>(work),
            Simd::Portable(simd) => simd.run::<J>(work),
        }
    }
}
