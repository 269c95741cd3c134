//! Blocks and lanes with AVX2: a block is two registers, and four lanes are one.
//!
//! Why the `unsafe` here is sound:
//!
//! - *Instructions.* [`Avx2`] is made by [`Avx2::detect`] alone, which asks the CPU for every feature that [`run`] names. So
//!   where there is a value of it, the instructions exist. Each method takes one.
//! - *Memory.* All loads and stores go through references to arrays of exactly the size that is read or written. A block
//!   that is not whole is copied first. A prefetch reads nothing: it has no effect but on caches, wherever it points.
//! - *Inlining.* The methods have no features of their own, because those of a trait cannot. They are always inlined into
//!   [`run`], which has. If one were not, it would be slow, not wrong.
//!
//! [`run`]: Avx2::run

#![allow(unsafe_code)]

use std::arch::x86_64::*;

use super::bytes::{Bytes, MARK_BY_LOW_HALF, SIGN_BY_LOW_HALF, by_low_half, utf8};
use super::lanes::Lanes;
use super::maps::{BLOCK, ByteMaps, CHUNK_BLOCKS, Row, StructureMaps};
use super::{Found, Job, Work};

/// Proof that this CPU has the instructions.
#[derive(Clone, Copy, Debug)]
pub(super) struct Avx2(());

impl Avx2 {
    pub(super) fn detect() -> Option<Self> {
        let is_there = is_x86_feature_detected!("avx2")
            && is_x86_feature_detected!("bmi1")
            && is_x86_feature_detected!("bmi2")
            && is_x86_feature_detected!("lzcnt")
            && is_x86_feature_detected!("popcnt")
            && is_x86_feature_detected!("pclmulqdq");
        is_there.then_some(Self(()))
    }

    /// Does the work with these instructions.
    pub(super) fn run<'f, J: Job>(self, work: Work<'f, '_>) -> Option<Found<'f>> {
        #[target_feature(enable = "avx2,bmi1,bmi2,lzcnt,popcnt,pclmulqdq")]
        fn inner<'f, J: Job>(proof: Avx2, work: Work<'f, '_>) -> Option<Found<'f>> {
            J::run(proof, proof, proof, work)
        }
        // SAFETY: the features are there, or there would be no `self`.
        unsafe { inner::<J>(self, work) }
    }
}

/// Intrinsics under the proof that is `self` (see the head of the file).
macro_rules! proven {
    ($($body:tt)*) => {
        // SAFETY: the CPU has the instructions, since there is a value of `Avx2`; what is read or written lies in the
        // array that the method was given.
        unsafe { $($body)* }
    };
}

/// The two halves of a block.
type Halves = (__m256i, __m256i);

/// `/bfnt` and the backslash where the low half of a byte leads to them. `r` shares that with `b`, and is looked for by
/// itself.
const LETTER_BY_LOW_HALF: [u8; 16] = by_low_half(b"/bfnt\\");

#[inline(always)]
fn all(byte: u8) -> __m256i {
    proven!(_mm256_set1_epi8(byte.cast_signed()))
}

/// A table of 16 bytes, once in each half.
#[inline(always)]
fn table(bytes: &[u8; 16]) -> __m256i {
    proven!(_mm256_broadcastsi128_si256(_mm_loadu_si128(
        bytes.as_ptr().cast()
    )))
}

/// All bits in the bytes that are equal.
#[inline(always)]
fn same(half: __m256i, byte: u8) -> __m256i {
    proven!(_mm256_cmpeq_epi8(half, all(byte)))
}

/// All bits in the bytes up to `most`.
#[inline(always)]
fn at_most(half: __m256i, most: u8) -> __m256i {
    proven!(_mm256_cmpeq_epi8(_mm256_min_epu8(half, all(most)), half))
}

/// The top bit of each byte.
#[inline(always)]
fn mask(half: __m256i) -> u32 {
    proven!(_mm256_movemask_epi8(half).cast_unsigned())
}

#[inline(always)]
fn masks(low: __m256i, high: __m256i) -> u64 {
    u64::from(mask(low)) | u64::from(mask(high)) << 32
}

/// Enters the top bits of a block's bytes. Two stores of half a word are cheaper than putting the word together.
#[inline(always)]
fn put(row: &mut Row, at: usize, low: __m256i, high: __m256i) {
    let word: &mut u64 = &mut row.0[at & (CHUNK_BLOCKS - 1)];
    let halves = std::ptr::from_mut(word).cast::<u32>();
    proven! {
        // A word is two halves, the lower one first on every CPU that has AVX2.
        halves.write(mask(low));
        halves.add(1).write(mask(high));
    }
}

/// All bits in the bytes that the table leads to themselves.
#[inline(always)]
fn found(half: __m256i, by_low_half: &[u8; 16]) -> __m256i {
    proven!(_mm256_cmpeq_epi8(
        _mm256_shuffle_epi8(table(by_low_half), half),
        half
    ))
}

#[inline(always)]
fn lower(half: __m256i) -> __m256i {
    proven!(_mm256_or_si256(half, all(0x20)))
}

#[inline(always)]
fn letters(half: __m256i) -> __m256i {
    proven!(_mm256_or_si256(
        found(half, &LETTER_BY_LOW_HALF),
        same(half, b'r')
    ))
}

/// Bit `7 - BY` of each byte as its top bit.
#[inline(always)]
fn raised<const BY: i32>(half: __m256i) -> __m256i {
    proven!(_mm256_slli_epi16::<BY>(half))
}

/// The bits of mistakes in what follows on `before`.
#[inline(always)]
fn utf8_mistakes(half: __m256i, before: __m256i) -> __m256i {
    proven! {
        let shifted = _mm256_permute2x128_si256(before, half, 0x21);
        let first = _mm256_alignr_epi8(half, shifted, 15);
        let two_back = _mm256_alignr_epi8(half, shifted, 14);
        let three_back = _mm256_alignr_epi8(half, shifted, 13);
        let low_half = all(0x0f);
        let first_high = _mm256_and_si256(_mm256_srli_epi16(first, 4), low_half);
        let second_high = _mm256_and_si256(_mm256_srli_epi16(half, 4), low_half);
        let mistakes = _mm256_and_si256(
            _mm256_and_si256(
                _mm256_shuffle_epi8(table(&utf8::FIRST_HIGH), first_high),
                _mm256_shuffle_epi8(table(&utf8::FIRST_LOW), _mm256_and_si256(first, low_half)),
            ),
            _mm256_shuffle_epi8(table(&utf8::SECOND_HIGH), second_high),
        );
        // Saturating: the top bit is left behind a first byte of three or four bytes, and of four.
        let third = _mm256_subs_epu8(two_back, all(0xe0 - 0x80));
        let fourth = _mm256_subs_epu8(three_back, all(0xf0 - 0x80));
        let continued = _mm256_and_si256(_mm256_or_si256(third, fourth), all(utf8::TWO_CONTINUATIONS));
        _mm256_xor_si256(continued, mistakes)
    }
}

impl Bytes for Avx2 {
    type Block = Halves;

    #[inline(always)]
    fn load(self, bytes: &[u8; BLOCK]) -> Halves {
        proven! {(
            _mm256_loadu_si256(bytes.as_ptr().cast()),
            _mm256_loadu_si256(bytes.as_ptr().add(BLOCK / 2).cast()),
        )}
    }

    #[inline(always)]
    fn load_partial(self, bytes: &[u8]) -> Halves {
        let mut block = [b' '; BLOCK];
        let count = bytes.len().min(BLOCK);
        block[..count].copy_from_slice(&bytes[..count]);
        Bytes::load(self, &block)
    }

    #[inline(always)]
    fn classify(self, (low, high): Halves, maps: &mut ByteMaps, at: usize) {
        let (sign_low, sign_high) = (lower(low), lower(high));
        put(
            &mut maps.sign,
            at,
            found(sign_low, &SIGN_BY_LOW_HALF),
            found(sign_high, &SIGN_BY_LOW_HALF),
        );
        put(
            &mut maps.mark,
            at,
            found(low, &MARK_BY_LOW_HALF),
            found(high, &MARK_BY_LOW_HALF),
        );
        put(&mut maps.letter, at, letters(low), letters(high));
        put(&mut maps.bit1, at, raised::<6>(low), raised::<6>(high));
        put(&mut maps.bit5, at, raised::<2>(low), raised::<2>(high));
        put(&mut maps.bit6, at, raised::<1>(low), raised::<1>(high));
        put(&mut maps.bit7, at, low, high);
    }

    #[inline(always)]
    fn classify_structure(self, (low, high): Halves, maps: &mut StructureMaps, at: usize) {
        put(&mut maps.backslash, at, same(low, b'\\'), same(high, b'\\'));
        put(&mut maps.quote, at, same(low, b'"'), same(high, b'"'));
        // Braces and square brackets differ in this bit alone.
        let (low, high) = (lower(low), lower(high));
        put(&mut maps.open, at, same(low, b'{'), same(high, b'{'));
        put(&mut maps.close, at, same(low, b'}'), same(high, b'}'));
    }

    #[inline(always)]
    fn equal(self, (low, high): Halves, byte: u8) -> u64 {
        masks(same(low, byte), same(high, byte))
    }

    #[inline(always)]
    fn hex(self, (low, high): Halves) -> u64 {
        proven! {
            let digits = (_mm256_sub_epi8(low, all(b'0')), _mm256_sub_epi8(high, all(b'0')));
            let letters = (
                _mm256_sub_epi8(_mm256_or_si256(low, all(0x20)), all(b'a')),
                _mm256_sub_epi8(_mm256_or_si256(high, all(0x20)), all(b'a')),
            );
            masks(
                _mm256_or_si256(at_most(digits.0, 9), at_most(letters.0, 5)),
                _mm256_or_si256(at_most(digits.1, 9), at_most(letters.1, 5)),
            )
        }
    }

    #[inline(always)]
    fn equal_letter(self, (low, high): Halves, letter: u8) -> u64 {
        masks(same(lower(low), letter), same(lower(high), letter))
    }

    #[inline(always)]
    fn digits(self, (low, high): Halves) -> u64 {
        proven! {
            let low = _mm256_sub_epi8(low, all(b'0'));
            let high = _mm256_sub_epi8(high, all(b'0'));
            masks(at_most(low, 9), at_most(high, 9))
        }
    }

    #[inline(always)]
    fn breaks_utf8(self, (low, high): Halves, before: Halves) -> bool {
        proven! {
            let wrong = _mm256_or_si256(utf8_mistakes(low, before.1), utf8_mistakes(high, low));
            _mm256_testz_si256(wrong, wrong) == 0
        }
    }

    #[inline(always)]
    fn extract(self, word: u64, mask: u64) -> u64 {
        proven!(_pext_u64(word, mask))
    }

    #[inline(always)]
    fn deposit(self, word: u64, mask: u64) -> u64 {
        proven!(_pdep_u64(word, mask))
    }

    #[inline(always)]
    fn parities(self, word: u64) -> u64 {
        // A product without carries, with a factor of ones.
        proven! {
            let word = _mm_cvtsi64_si128(word.cast_signed());
            let parities = _mm_clmulepi64_si128::<0>(word, _mm_set1_epi64x(-1));
            _mm_cvtsi128_si64(parities).cast_unsigned()
        }
    }

    #[inline(always)]
    fn prefetch(self, bytes: &[u8; BLOCK], distance: usize) {
        proven!(_mm_prefetch::<_MM_HINT_T0>(
            bytes.as_ptr().wrapping_add(distance).cast()
        ));
    }
}

impl Lanes for Avx2 {
    const COUNT: usize = 4;
    type Word = __m256i;

    #[inline(always)]
    fn load(self, from: &[u64]) -> __m256i {
        let from: &[u64; 4] = from.try_into().expect("four words");
        proven!(_mm256_loadu_si256(from.as_ptr().cast()))
    }
    #[inline(always)]
    fn store(self, word: __m256i, to: &mut [u64]) {
        let to: &mut [u64; 4] = to.try_into().expect("four words");
        proven!(_mm256_storeu_si256(to.as_mut_ptr().cast(), word));
    }
    #[inline(always)]
    fn splat(self, lane: u64) -> __m256i {
        proven!(_mm256_set1_epi64x(lane.cast_signed()))
    }
    #[inline(always)]
    fn and(self, a: __m256i, b: __m256i) -> __m256i {
        proven!(_mm256_and_si256(a, b))
    }
    #[inline(always)]
    fn or(self, a: __m256i, b: __m256i) -> __m256i {
        proven!(_mm256_or_si256(a, b))
    }
    #[inline(always)]
    fn xor(self, a: __m256i, b: __m256i) -> __m256i {
        proven!(_mm256_xor_si256(a, b))
    }
    #[inline(always)]
    fn without(self, a: __m256i, b: __m256i) -> __m256i {
        proven!(_mm256_andnot_si256(b, a))
    }
    #[inline(always)]
    fn add(self, a: __m256i, b: __m256i) -> __m256i {
        proven!(_mm256_add_epi64(a, b))
    }
    #[inline(always)]
    fn sub(self, a: __m256i, b: __m256i) -> __m256i {
        proven!(_mm256_sub_epi64(a, b))
    }
    #[inline(always)]
    fn shl<const BY: i32>(self, a: __m256i) -> __m256i {
        proven!(_mm256_slli_epi64::<BY>(a))
    }
    #[inline(always)]
    fn shr<const BY: i32>(self, a: __m256i) -> __m256i {
        proven!(_mm256_srli_epi64::<BY>(a))
    }
    #[inline(always)]
    fn shl_by(self, a: __m256i, by: u32) -> __m256i {
        proven!(_mm256_sll_epi64(a, _mm_cvtsi32_si128(by.cast_signed())))
    }
    #[inline(always)]
    fn shr_by(self, a: __m256i, by: u32) -> __m256i {
        proven!(_mm256_srl_epi64(a, _mm_cvtsi32_si128(by.cast_signed())))
    }
    #[inline(always)]
    fn tops(self, a: __m256i) -> u64 {
        proven!(_mm256_movemask_pd(_mm256_castsi256_pd(a)) as u64)
    }
    #[inline(always)]
    fn full(self, a: __m256i) -> u64 {
        proven!(self.tops(_mm256_cmpeq_epi64(a, _mm256_set1_epi64x(-1))))
    }
    #[inline(always)]
    fn used(self, a: __m256i) -> u64 {
        proven!(self.tops(_mm256_cmpeq_epi64(a, _mm256_setzero_si256())) ^ 15)
    }
    #[inline(always)]
    fn spread(self, mask: u64) -> __m256i {
        proven! {
            let each = _mm256_setr_epi64x(1, 2, 4, 8);
            _mm256_cmpeq_epi64(_mm256_and_si256(_mm256_set1_epi64x(mask.cast_signed()), each), each)
        }
    }
    #[inline(always)]
    fn count(self, a: __m256i) -> u64 {
        let mut lanes = [0_u64; 4];
        self.store(a, &mut lanes);
        let [a, b, c, d] = lanes.map(u64::count_ones);
        u64::from(a + b + c + d)
    }
    #[inline(always)]
    fn lane_before(self, a: __m256i, before: __m256i) -> __m256i {
        proven!(_mm256_permute4x64_epi64::<0x93>(
            _mm256_blend_epi32::<0xc0>(a, before)
        ))
    }
}
