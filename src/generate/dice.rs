//! Seeded choices: every choice that decides a byte of the output is made here.
//!
//! The sampling is spelled out instead of taken from `rand`, whose methods may draw differently from one
//! release to the next: the bytes of a seed must outlive an upgrade. For the same reason there is no
//! floating-point function in it beyond one multiplication, which IEEE 754 rounds the same everywhere.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

/// What a sequence of choices is for. Each purpose draws from a sequence of its own, so that an option about
/// one of them (CRLF, say) leaves the bytes of the others as they were.
#[derive(Debug, Clone, Copy)]
pub(super) enum Purpose {
    Schedule = 1,
    Frame = 2,
    LineEnd = 3,
    Filler = 4,
}

/// A probability, as the number of the 2^32 values of a draw that count as a hit.
#[derive(Debug, Clone, Copy)]
pub(super) struct Chance(u64);

impl Chance {
    /// `p` outside 0..=1 is taken as the nearer end, NaN as 0.
    pub(super) fn new(p: f64) -> Self {
        Self((p.clamp(0.0, 1.0) * 4_294_967_296.0) as u64)
    }

    pub(super) fn holds(self, draw: u32) -> bool {
        u64::from(draw) < self.0
    }

    /// This chance or the other, for one draw that decides between them.
    pub(super) fn or(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }
}

/// A sequence of choices that a seed and a purpose determine.
#[derive(Debug)]
pub(super) struct Dice(ChaCha8Rng);

impl Dice {
    pub(super) fn new(seed: u64, purpose: Purpose) -> Self {
        let mut key = [0; 32];
        for (i, part) in key.chunks_exact_mut(8).enumerate() {
            part.copy_from_slice(&mix(seed.wrapping_add(i as u64)).to_le_bytes());
        }
        let mut rng = ChaCha8Rng::from_seed(key);
        rng.set_stream(purpose as u64);
        Self(rng)
    }

    pub(super) fn bits(&mut self) -> u32 {
        self.0.next_u32()
    }

    /// A number in `0..n`, or 0 for `n = 0`; uneven by less than `n` in 2^32.
    pub(super) fn below(&mut self, n: u32) -> u32 {
        ((u64::from(self.bits()) * u64::from(n)) >> 32) as u32
    }

    /// A number in `0..=most`.
    pub(super) fn up_to(&mut self, most: u64) -> u64 {
        ((u128::from(self.0.next_u64()) * (u128::from(most) + 1)) >> 64) as u64
    }

    pub(super) fn hit(&mut self, chance: Chance) -> bool {
        chance.holds(self.bits())
    }

    /// True once in `n` draws.
    pub(super) fn once_in(&mut self, n: u32) -> bool {
        self.below(n) == 0
    }

    /// One of `choices`, which must not be empty.
    pub(super) fn pick<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len() as u32) as usize]
    }
}

/// The SplitMix64 step and finaliser: a bijection on 64 bits, so that different inputs never meet.
pub(super) fn mix(x: u64) -> u64 {
    let mut z = x.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ends_of_a_probability_are_certain() {
        let mut dice = Dice::new(1, Purpose::Frame);
        for _ in 0..10_000 {
            assert!(dice.hit(Chance::new(1.0)));
            assert!(!dice.hit(Chance::new(0.0)));
            assert!(!dice.hit(Chance::new(f64::NAN)));
        }
    }

    #[test]
    fn bounds_are_kept_and_reached() {
        let mut dice = Dice::new(2, Purpose::Frame);
        let mut below = [false; 7];
        let mut up_to = [false; 7];
        for _ in 0..1_000 {
            below[dice.below(7) as usize] = true;
            up_to[dice.up_to(6) as usize] = true;
        }
        assert_eq!((below, up_to), ([true; 7], [true; 7]));
        assert_eq!((dice.below(0), dice.below(1), dice.up_to(0)), (0, 0, 0));
        dice.up_to(u64::MAX);
    }

    #[test]
    fn purposes_draw_differently() {
        let first = |purpose| Dice::new(3, purpose).bits();
        assert_ne!(first(Purpose::Schedule), first(Purpose::Frame));
        assert_ne!(first(Purpose::Frame), Dice::new(4, Purpose::Frame).bits());
    }
}
