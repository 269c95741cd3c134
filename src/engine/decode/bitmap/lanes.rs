//! Several words of 64 bits as one long number: the arithmetic that all rules over bitmaps are written in.
//!
//! Lane 0 holds the lowest bits, so bit *i* of the number stands for byte *i* of the group. Shifts, sums and differences
//! run through all lanes, which is what lets a string or a run of white space cross from one block into the next.

use super::bytes::Bytes;

/// So many words side by side, and what can be done to all of them at once. The implementations hold nothing; where one
/// needs a CPU with certain instructions, its existence is the proof that this is one.
pub(super) trait Lanes: Copy {
    /// Words in a number: 1, 4 or 8.
    const COUNT: usize;
    type Word: Copy;

    /// From exactly [`COUNT`](Self::COUNT) words.
    fn load(self, from: &[u64]) -> Self::Word;
    /// To exactly [`COUNT`](Self::COUNT) words.
    fn store(self, word: Self::Word, to: &mut [u64]);
    fn splat(self, lane: u64) -> Self::Word;

    fn and(self, a: Self::Word, b: Self::Word) -> Self::Word;
    fn or(self, a: Self::Word, b: Self::Word) -> Self::Word;
    fn xor(self, a: Self::Word, b: Self::Word) -> Self::Word;
    /// The bits of `a` that `b` does not have.
    fn without(self, a: Self::Word, b: Self::Word) -> Self::Word;

    /// Lane by lane, carries lost.
    fn add(self, a: Self::Word, b: Self::Word) -> Self::Word;
    /// Lane by lane, borrows lost.
    fn sub(self, a: Self::Word, b: Self::Word) -> Self::Word;
    /// Lane by lane.
    fn shl<const BY: i32>(self, a: Self::Word) -> Self::Word;
    /// Lane by lane.
    fn shr<const BY: i32>(self, a: Self::Word) -> Self::Word;
    /// Lane by lane; 0 from 64 bits on.
    fn shl_by(self, a: Self::Word, by: u32) -> Self::Word;
    /// Lane by lane; 0 from 64 bits on.
    fn shr_by(self, a: Self::Word, by: u32) -> Self::Word;

    /// The highest bit of each lane; lane *i* gives bit *i*.
    fn tops(self, a: Self::Word) -> u64;
    /// Which lanes have all bits.
    fn full(self, a: Self::Word) -> u64;
    /// Which lanes have any bit.
    fn used(self, a: Self::Word) -> u64;
    /// All bits in the lanes that the mask names; bits of the mask beyond the lanes do not matter.
    fn spread(self, mask: u64) -> Self::Word;
    /// How many bits there are in all lanes.
    fn count(self, a: Self::Word) -> u64;
    /// Each lane gets the one below it, the lowest one the highest of `before`.
    fn lane_before(self, a: Self::Word, before: Self::Word) -> Self::Word;

    /// The sum of the long numbers and a carry; the carry out takes its place.
    #[inline(always)]
    fn add_long(self, a: Self::Word, b: Self::Word, carry: &mut u64) -> Self::Word {
        let sum = self.add(a, b);
        let overflow = self.or(self.and(a, b), self.without(self.or(a, b), sum));
        // A full lane hands on a carry that comes into it: adding the lanes' carries to the mask of full lanes lets them
        // run exactly as far as they would.
        let full = self.full(sum);
        let carries = ((self.tops(overflow) << 1) | *carry) + full;
        *carry = (carries >> Self::COUNT) & 1;
        // Taking away all bits is adding one.
        self.sub(sum, self.spread(carries ^ full))
    }

    /// The difference of the long numbers; a borrow out is dropped.
    #[inline(always)]
    fn sub_long(self, a: Self::Word, b: Self::Word) -> Self::Word {
        let difference = self.sub(a, b);
        let overflow = self.or(self.without(b, a), self.without(difference, self.xor(a, b)));
        let empty = self.used(difference) ^ ((1 << Self::COUNT) - 1);
        let borrows = (self.tops(overflow) << 1) + empty;
        self.add(difference, self.spread(borrows ^ empty))
    }

    /// The long number moved up by one bit; the lowest one is the highest of `before`, which `a` becomes.
    #[inline(always)]
    fn shift_in(self, a: Self::Word, before: &mut Self::Word) -> Self::Word {
        let below = self.shr::<63>(self.lane_before(a, *before));
        *before = a;
        self.or(self.add(a, a), below)
    }

    /// Lane by lane: for each bit the parity of all bits up to it, itself included.
    #[inline(always)]
    fn prefix_xor_each(self, a: Self::Word) -> Self::Word {
        let a = self.xor(a, self.shl::<1>(a));
        let a = self.xor(a, self.shl::<2>(a));
        let a = self.xor(a, self.shl::<4>(a));
        let a = self.xor(a, self.shl::<8>(a));
        let a = self.xor(a, self.shl::<16>(a));
        self.xor(a, self.shl::<32>(a))
    }

    /// For each bit the parity of all bits up to it, itself included, and of those in groups before (`parity`).
    #[inline(always)]
    fn prefix_xor(self, a: Self::Word, parity: &mut u64) -> Self::Word {
        let a = self.prefix_xor_each(a);
        let mut lanes = self.tops(a);
        lanes ^= lanes << 1;
        if Self::COUNT > 2 {
            lanes ^= lanes << 2;
        }
        if Self::COUNT > 4 {
            lanes ^= lanes << 4;
        }
        let flipped = (lanes << 1) ^ parity.wrapping_neg();
        *parity ^= (lanes >> (Self::COUNT - 1)) & 1;
        self.xor(a, self.spread(flipped))
    }
}

/// A single word: for frames too short to fill more, and where there is no SIMD.
#[derive(Clone, Copy)]
pub(super) struct OneLane<B: Bytes>(pub(super) B);

impl<B: Bytes> Lanes for OneLane<B> {
    const COUNT: usize = 1;
    type Word = u64;

    #[inline(always)]
    fn load(self, from: &[u64]) -> u64 {
        from[0]
    }
    #[inline(always)]
    fn store(self, word: u64, to: &mut [u64]) {
        to[0] = word;
    }
    #[inline(always)]
    fn splat(self, lane: u64) -> u64 {
        lane
    }
    #[inline(always)]
    fn and(self, a: u64, b: u64) -> u64 {
        a & b
    }
    #[inline(always)]
    fn or(self, a: u64, b: u64) -> u64 {
        a | b
    }
    #[inline(always)]
    fn xor(self, a: u64, b: u64) -> u64 {
        a ^ b
    }
    #[inline(always)]
    fn without(self, a: u64, b: u64) -> u64 {
        a & !b
    }
    #[inline(always)]
    fn add(self, a: u64, b: u64) -> u64 {
        a.wrapping_add(b)
    }
    #[inline(always)]
    fn sub(self, a: u64, b: u64) -> u64 {
        a.wrapping_sub(b)
    }
    #[inline(always)]
    fn shl<const BY: i32>(self, a: u64) -> u64 {
        a << BY
    }
    #[inline(always)]
    fn shr<const BY: i32>(self, a: u64) -> u64 {
        a >> BY
    }
    #[inline(always)]
    fn shl_by(self, a: u64, by: u32) -> u64 {
        a.checked_shl(by).unwrap_or(0)
    }
    #[inline(always)]
    fn shr_by(self, a: u64, by: u32) -> u64 {
        a.checked_shr(by).unwrap_or(0)
    }
    #[inline(always)]
    fn tops(self, a: u64) -> u64 {
        a >> 63
    }
    #[inline(always)]
    fn full(self, a: u64) -> u64 {
        u64::from(a == u64::MAX)
    }
    #[inline(always)]
    fn used(self, a: u64) -> u64 {
        u64::from(a != 0)
    }
    #[inline(always)]
    fn spread(self, mask: u64) -> u64 {
        (mask & 1).wrapping_neg()
    }
    #[inline(always)]
    fn count(self, a: u64) -> u64 {
        a.count_ones().into()
    }
    #[inline(always)]
    fn lane_before(self, _: u64, before: u64) -> u64 {
        before
    }

    // What the carries come down to where there is but one lane.
    #[inline(always)]
    fn add_long(self, a: u64, b: u64, carry: &mut u64) -> u64 {
        let (sum, over) = a.overflowing_add(b);
        let (sum, over_again) = sum.overflowing_add(*carry);
        *carry = u64::from(over | over_again);
        sum
    }
    #[inline(always)]
    fn sub_long(self, a: u64, b: u64) -> u64 {
        a.wrapping_sub(b)
    }
    #[inline(always)]
    fn prefix_xor_each(self, a: u64) -> u64 {
        self.0.parities(a)
    }
}
