//! How numbers are spelled, as rules over bitmaps; literals are looked at one by one.
//!
//! A number is a run of bytes outside of strings that are neither signs nor white space. RFC 8259, section 6:
//!
//! | byte | may stand |
//! |---|---|
//! | `-` | at the beginning, or behind `e` |
//! | `+` | behind `e` |
//! | `.`, `e` | behind a digit; a point but once and before any `e`, an `e` but once |
//! | what follows on a sign or a point | is a digit |
//! | what follows on an `e` | is a digit or a sign |
//! | what follows on a zero that begins the number, its sign left out | is no digit |
//!
//! That a number ends with a digit is in there: what follows on its last byte is no digit.

use super::bytes::Bytes;
use super::literal;
use super::maps::{BLOCK, TokenMaps};

/// What one block leaves for the next: of each of these 1 if its last byte was it.
#[derive(Clone, Copy, Default)]
pub(super) struct Numbers {
    scalar: u64,
    digit: u64,
    sign: u64,
    /// A minus that begins a number.
    minus: u64,
    /// A zero that begins one.
    zero: u64,
    point: u64,
    exponent: u64,
    /// 1 if the next byte belongs to a literal that was looked at, to a number behind its point or `e`, or behind its `e`.
    in_literal: u64,
    beyond_point: u64,
    beyond_exponent: u64,
}

/// The bytes behind these, in a block; `before` is 1 if the last byte of the block before was one, and becomes the same of
/// this one.
#[inline(always)]
fn behind(these: u64, before: &mut u64) -> u64 {
    let behind = (these << 1) | *before;
    *before = these >> (BLOCK - 1);
    behind
}

/// What is left of `runs` and its bits `from` where one is let in at each of these: it empties the run from there on to its
/// end, but for later ones of `from`, which find it emptied. `carry` is one that comes in from the block before.
#[inline(always)]
fn run_out(runs: u64, from: u64, carry: &mut u64) -> u64 {
    let (sum, over) = runs.overflowing_add(from);
    let (sum, over_again) = sum.overflowing_add(*carry);
    *carry = u64::from(over | over_again);
    sum
}

impl Numbers {
    /// The blocks of a chunk to be looked at beside those that hold a scalar's byte: the first one, if a scalar may go on in
    /// it.
    #[inline(always)]
    pub(super) fn goes_on(&self) -> u64 {
        self.scalar
    }

    /// Whether what the blocks hold of numbers and literals is spelled right. All blocks must be among them that have a byte
    /// of a scalar, and those behind them.
    #[inline(always)]
    pub(super) fn are_good<B: Bytes>(
        &mut self,
        bytes: B,
        root: &[u8],
        (from, mut blocks): (usize, u64),
        tokens: &TokenMaps,
    ) -> bool {
        let mut carry = *self;
        let mut wrong = 0;
        while blocks != 0 {
            let block = blocks.trailing_zeros() as usize;
            blocks &= blocks - 1;
            let at = from + block * BLOCK;
            // A scalar that the frame ends with would go on here. A frame ends with a brace.
            let Some(text @ [_, ..]) = root.get(at..) else {
                return false;
            };
            wrong |= carry.mistakes(bytes, text, tokens.scalar.word(block));
        }
        *self = carry;
        wrong == 0
    }

    /// The mistakes in a block, whose bytes `scalar` belong to scalars.
    #[inline(always)]
    fn mistakes<B: Bytes>(&mut self, bytes: B, text: &[u8], scalar: u64) -> u64 {
        let block = bytes.block_at(text, 0);
        let starts = scalar & !behind(scalar, &mut self.scalar);
        let digit = bytes.digits(block) & scalar;
        let minus = bytes.equal(block, b'-') & scalar;
        let literals = starts & !(digit | minus);
        let mut wrong = 0;
        let mut left = literals;
        while left != 0 {
            let at = left.trailing_zeros() as usize;
            left &= left - 1;
            wrong |= u64::from(!literal::is_good(&text[at..]));
        }
        let number = scalar & run_out(scalar, literals, &mut self.in_literal);
        let (digit, starts) = (digit & number, starts & number);
        let zero = bytes.equal(block, b'0') & starts;
        let behind_digit = behind(digit, &mut self.digit);
        if (number ^ digit) | self.under_way() == 0 {
            // Whole numbers without a sign: most are.
            return wrong | (behind(zero, &mut self.zero) & digit);
        }
        wrong | self.mistakes_beside_digits(bytes, block, number, (digit, behind_digit), starts)
    }

    /// Not 0 if a number goes on in which there was more than digits.
    #[inline(always)]
    fn under_way(&self) -> u64 {
        self.sign | self.point | self.exponent | self.beyond_point | self.beyond_exponent
    }

    /// The mistakes in a block that are made with signs, points and exponents, and with what follows on a zero.
    #[inline(always)]
    fn mistakes_beside_digits<B: Bytes>(
        &mut self,
        bytes: B,
        block: B::Block,
        number: u64,
        (digit, behind_digit): (u64, u64),
        starts: u64,
    ) -> u64 {
        let minus = bytes.equal(block, b'-') & number;
        let plus = bytes.equal(block, b'+') & number;
        let point = bytes.equal(block, b'.') & number;
        let exponent = bytes.equal_letter(block, b'e') & number;
        let zero = bytes.equal(block, b'0') & number;
        let sign = minus | plus;

        let behind_exponent = behind(exponent, &mut self.exponent);
        let behind_minus = behind(minus & starts, &mut self.minus);
        let digit_due = behind(sign, &mut self.sign) | behind(point, &mut self.point);
        let leading_zero = zero & (starts | behind_minus);
        // The first of each run finds all bits set and empties its own; what comes later does not.
        let mark = point | exponent;
        let later_mark = mark & run_out(number, mark, &mut self.beyond_point);
        let later_exponent = exponent & run_out(number, exponent, &mut self.beyond_exponent);

        let mut wrong = number & !(digit | sign | mark);
        wrong |= minus & !(starts | behind_exponent);
        wrong |= plus & !behind_exponent;
        wrong |= mark & !behind_digit;
        wrong |= digit_due & !digit;
        wrong |= behind_exponent & !(digit | sign);
        wrong |= behind(leading_zero, &mut self.zero) & digit;
        wrong | (later_mark & point) | later_exponent
    }
}
