//! Blocks and lanes with AVX-512: a block is one register, and so are eight lanes.
//!
//! Why the `unsafe` here is sound:
//!
//! - *Instructions.* [`Avx512`] is made by [`Avx512::detect`] alone, which asks the CPU for every feature that [`run`]
//!   names. So where there is a value of it, the instructions exist. Each method takes one.
//! - *Memory.* All loads and stores go through references to arrays of exactly the size that is read or written, or through
//!   a mask that names only bytes within the slice; for a masked load the CPU promises not to touch, and never to fault
//!   on, what the mask leaves out. A prefetch reads nothing: it has no effect but on caches, wherever it points.
//! - *Inlining.* The methods have no features of their own, because those of a trait cannot. They are always inlined into
//!   [`run`], which has. If one were not, it would be slow, not wrong.

#![allow(unsafe_code)]

use std::arch::x86_64::*;

use super::avx2::Avx2;
use super::bytes::{Bytes, LETTERS, MARK_BY_LOW_HALF, SIGN_BY_LOW_HALF, utf8};
use super::lanes::Lanes;
use super::maps::{BLOCK, ByteMaps, StructureMaps};
use super::{Found, Job, Work};

/// Proof that this CPU has the instructions. Needs VBMI, VBMI2, VPOPCNTDQ and VPCLMULQDQ too (Ice Lake, Zen 4 and later): what has AVX-512 without
/// them is as well served by AVX2.
#[derive(Clone, Copy, Debug)]
pub(super) struct Avx512(Avx2);

impl Avx512 {
    pub(super) fn detect() -> Option<Self> {
        let is_there = is_x86_feature_detected!("avx512f")
            && is_x86_feature_detected!("avx512bw")
            && is_x86_feature_detected!("avx512dq")
            && is_x86_feature_detected!("avx512vl")
            && is_x86_feature_detected!("avx512vbmi")
            && is_x86_feature_detected!("avx512vbmi2")
            && is_x86_feature_detected!("avx512vpopcntdq")
            && is_x86_feature_detected!("vpclmulqdq");
        // What AVX2 code takes for granted is taken for granted here too.
        Avx2::detect().filter(|_| is_there).map(Self)
    }

    /// Does the work with these instructions.
    pub(super) fn run<'f, J: Job>(self, work: Work<'f, '_>) -> Option<Found<'f>> {
        #[target_feature(
            enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vbmi,avx512vbmi2,avx512vpopcntdq,vpclmulqdq,avx2,bmi1,bmi2,lzcnt,popcnt"
        )]
        fn inner<'f, J: Job>(proof: Avx512, work: Work<'f, '_>) -> Option<Found<'f>> {
            J::run(proof, proof, proof.0, work)
        }
        // SAFETY: the features are there, or there would be no `self`.
        unsafe { inner::<J>(self, work) }
    }
}

/// Intrinsics under the proof that is `self` (see the head of the file).
macro_rules! proven {
    ($($body:tt)*) => {
        // SAFETY: the CPU has the instructions, since there is a value of `Avx512`; what is read or written lies in the
        // array or slice that the method was given.
        unsafe { $($body)* }
    };
}

/// `/bfnrt` and the backslash where the low six bits of a byte lead to them; elsewhere what no such byte equals.
static LETTER_BY_LOW_BITS: [u8; 64] = {
    let mut table = [0; 64];
    let mut i = 0;
    while i < 64 {
        table[i] = (i as u8 + 1) & 63;
        i += 1;
    }
    let mut i = 0;
    while i < LETTERS.len() {
        table[(LETTERS[i] & 63) as usize] = LETTERS[i];
        i += 1;
    }
    table
};

#[inline(always)]
fn load(bytes: &[u8; BLOCK]) -> __m512i {
    proven!(_mm512_loadu_si512(bytes.as_ptr().cast()))
}

/// A table of 16 bytes, once in each quarter.
#[inline(always)]
fn table(bytes: &[u8; 16]) -> __m512i {
    proven!(_mm512_broadcast_i32x4(_mm_loadu_si128(
        bytes.as_ptr().cast()
    )))
}

#[inline(always)]
fn all(byte: u8) -> __m512i {
    proven!(_mm512_set1_epi8(byte.cast_signed()))
}

#[inline(always)]
fn equal(block: __m512i, byte: u8) -> u64 {
    proven!(_mm512_cmpeq_epi8_mask(block, all(byte)))
}

impl Bytes for Avx512 {
    type Block = __m512i;

    #[inline(always)]
    fn load(self, bytes: &[u8; BLOCK]) -> __m512i {
        load(bytes)
    }

    #[inline(always)]
    fn load_partial(self, bytes: &[u8]) -> __m512i {
        let count = bytes.len().min(BLOCK) as u32;
        proven! {
            let mask = _bzhi_u64(u64::MAX, count);
            _mm512_mask_loadu_epi8(all(b' '), mask, bytes.as_ptr().cast())
        }
    }

    #[inline(always)]
    fn classify(self, block: __m512i, maps: &mut ByteMaps, at: usize) {
        proven! {
            let lower = _mm512_or_si512(block, all(0x20));
            let signs = _mm512_shuffle_epi8(table(&SIGN_BY_LOW_HALF), lower);
            maps.sign.put(at, _mm512_cmpeq_epi8_mask(signs, lower));
            let marks = _mm512_shuffle_epi8(table(&MARK_BY_LOW_HALF), block);
            maps.mark.put(at, _mm512_cmpeq_epi8_mask(marks, block));
            let letters = _mm512_permutexvar_epi8(block, load(&LETTER_BY_LOW_BITS));
            maps.letter.put(at, _mm512_cmpeq_epi8_mask(letters, block));
            maps.bit1.put(at, _mm512_test_epi8_mask(block, all(1 << 1)));
            // Moved to the top of the bytes rather than tested: all that was done above goes through the same port.
            maps.bit5.put(at, _mm512_movepi8_mask(_mm512_slli_epi16::<2>(block)));
            maps.bit6.put(at, _mm512_movepi8_mask(_mm512_slli_epi16::<1>(block)));
            maps.bit7.put(at, _mm512_movepi8_mask(block));
        }
    }

    #[inline(always)]
    fn classify_structure(self, block: __m512i, maps: &mut StructureMaps, at: usize) {
        // Braces and square brackets differ in this bit alone.
        let lower = proven!(_mm512_or_si512(block, all(0x20)));
        maps.backslash.put(at, equal(block, b'\\'));
        maps.quote.put(at, equal(block, b'"'));
        maps.open.put(at, equal(lower, b'{'));
        maps.close.put(at, equal(lower, b'}'));
    }

    #[inline(always)]
    fn equal(self, block: __m512i, byte: u8) -> u64 {
        equal(block, byte)
    }

    #[inline(always)]
    fn hex(self, block: __m512i) -> u64 {
        proven! {
            let digits = _mm512_sub_epi8(block, all(b'0'));
            let letters = _mm512_sub_epi8(_mm512_or_si512(block, all(0x20)), all(b'a'));
            _mm512_cmple_epu8_mask(digits, all(9)) | _mm512_cmple_epu8_mask(letters, all(5))
        }
    }

    #[inline(always)]
    fn equal_letter(self, block: __m512i, letter: u8) -> u64 {
        equal(proven!(_mm512_or_si512(block, all(0x20))), letter)
    }

    #[inline(always)]
    fn digits(self, block: __m512i) -> u64 {
        proven! {
            let digits = _mm512_sub_epi8(block, all(b'0'));
            _mm512_cmple_epu8_mask(digits, all(9))
        }
    }

    #[inline(always)]
    fn breaks_utf8(self, block: __m512i, before: __m512i) -> bool {
        proven! {
            // The last quarter of the block before, then the first three of this one: each quarter's own predecessor.
            let shifted = _mm512_alignr_epi64(block, before, 6);
            let first = _mm512_alignr_epi8(block, shifted, 15);
            let two_back = _mm512_alignr_epi8(block, shifted, 14);
            let three_back = _mm512_alignr_epi8(block, shifted, 13);
            let low_half = all(0x0f);
            let first_high = _mm512_and_si512(_mm512_srli_epi16(first, 4), low_half);
            let second_high = _mm512_and_si512(_mm512_srli_epi16(block, 4), low_half);
            let mistakes = _mm512_and_si512(
                _mm512_and_si512(
                    _mm512_shuffle_epi8(table(&utf8::FIRST_HIGH), first_high),
                    _mm512_shuffle_epi8(table(&utf8::FIRST_LOW), _mm512_and_si512(first, low_half)),
                ),
                _mm512_shuffle_epi8(table(&utf8::SECOND_HIGH), second_high),
            );
            // Saturating: the top bit is left behind a first byte of three or four bytes, and of four.
            let third = _mm512_subs_epu8(two_back, all(0xe0 - 0x80));
            let fourth = _mm512_subs_epu8(three_back, all(0xf0 - 0x80));
            let continued = _mm512_and_si512(_mm512_or_si512(third, fourth), all(utf8::TWO_CONTINUATIONS));
            let wrong = _mm512_xor_si512(continued, mistakes);
            _mm512_test_epi8_mask(wrong, wrong) != 0
        }
    }

    #[inline(always)]
    fn extract(self, word: u64, mask: u64) -> u64 {
        self.0.extract(word, mask)
    }

    #[inline(always)]
    fn deposit(self, word: u64, mask: u64) -> u64 {
        self.0.deposit(word, mask)
    }

    #[inline(always)]
    fn parities(self, word: u64) -> u64 {
        self.0.parities(word)
    }

    #[inline(always)]
    fn prefetch(self, bytes: &[u8; BLOCK], distance: usize) {
        proven!(_mm_prefetch::<_MM_HINT_T0>(
            bytes.as_ptr().wrapping_add(distance).cast()
        ));
    }
}

impl Lanes for Avx512 {
    const COUNT: usize = 8;
    type Word = __m512i;

    #[inline(always)]
    fn load(self, from: &[u64]) -> __m512i {
        let from: &[u64; 8] = from.try_into().expect("eight words");
        proven!(_mm512_loadu_si512(from.as_ptr().cast()))
    }
    #[inline(always)]
    fn store(self, word: __m512i, to: &mut [u64]) {
        let to: &mut [u64; 8] = to.try_into().expect("eight words");
        proven!(_mm512_storeu_si512(to.as_mut_ptr().cast(), word));
    }
    #[inline(always)]
    fn splat(self, lane: u64) -> __m512i {
        proven!(_mm512_set1_epi64(lane.cast_signed()))
    }
    #[inline(always)]
    fn and(self, a: __m512i, b: __m512i) -> __m512i {
        proven!(_mm512_and_si512(a, b))
    }
    #[inline(always)]
    fn or(self, a: __m512i, b: __m512i) -> __m512i {
        proven!(_mm512_or_si512(a, b))
    }
    #[inline(always)]
    fn xor(self, a: __m512i, b: __m512i) -> __m512i {
        proven!(_mm512_xor_si512(a, b))
    }
    #[inline(always)]
    fn without(self, a: __m512i, b: __m512i) -> __m512i {
        proven!(_mm512_andnot_si512(b, a))
    }
    #[inline(always)]
    fn add(self, a: __m512i, b: __m512i) -> __m512i {
        proven!(_mm512_add_epi64(a, b))
    }
    #[inline(always)]
    fn sub(self, a: __m512i, b: __m512i) -> __m512i {
        proven!(_mm512_sub_epi64(a, b))
    }
    #[inline(always)]
    fn shl<const BY: i32>(self, a: __m512i) -> __m512i {
        proven!(_mm512_sll_epi64(a, _mm_cvtsi32_si128(BY)))
    }
    #[inline(always)]
    fn shr<const BY: i32>(self, a: __m512i) -> __m512i {
        proven!(_mm512_srl_epi64(a, _mm_cvtsi32_si128(BY)))
    }
    #[inline(always)]
    fn shl_by(self, a: __m512i, by: u32) -> __m512i {
        proven!(_mm512_sll_epi64(a, _mm_cvtsi32_si128(by.cast_signed())))
    }
    #[inline(always)]
    fn shr_by(self, a: __m512i, by: u32) -> __m512i {
        proven!(_mm512_srl_epi64(a, _mm_cvtsi32_si128(by.cast_signed())))
    }
    #[inline(always)]
    fn tops(self, a: __m512i) -> u64 {
        proven!(u64::from(_mm512_movepi64_mask(a)))
    }
    #[inline(always)]
    fn full(self, a: __m512i) -> u64 {
        proven!(u64::from(_mm512_cmpeq_epi64_mask(a, _mm512_set1_epi64(-1))))
    }
    #[inline(always)]
    fn used(self, a: __m512i) -> u64 {
        proven!(u64::from(_mm512_test_epi64_mask(a, a)))
    }
    #[inline(always)]
    fn spread(self, mask: u64) -> __m512i {
        proven!(_mm512_movm_epi64(mask as u8))
    }
    #[inline(always)]
    fn count(self, a: __m512i) -> u64 {
        proven!(_mm512_reduce_add_epi64(_mm512_popcnt_epi64(a)).cast_unsigned())
    }
    #[inline(always)]
    fn prefix_xor_each(self, a: __m512i) -> __m512i {
        // A product without carries, with a factor of ones: each bit is the parity of those up to it.
        proven! {
            let ones = _mm512_set1_epi64(-1);
            let even = _mm512_clmulepi64_epi128::<0x00>(a, ones);
            let odd = _mm512_clmulepi64_epi128::<0x01>(a, ones);
            _mm512_unpacklo_epi64(even, odd)
        }
    }
    #[inline(always)]
    fn lane_before(self, a: __m512i, before: __m512i) -> __m512i {
        proven!(_mm512_alignr_epi64(a, before, 7))
    }
}
