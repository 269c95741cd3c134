//! From registers to a number of users, with its interval.
//!
//! The estimator is the improved raw estimator of Otmar Ertl, "New cardinality estimation algorithms for HyperLogLog
//! sketches", arXiv 1702.01284, section 4 (algorithm 6): a function of the registers' histogram only, unbiased over
//! the whole range without tables or thresholds.

use super::Precision;
use crate::engine::frame::UserHash;
use crate::limits::{PAGES, PRECISION_MAX};

/// Register values run from 0 to at most `64 - 12 + 1`.
const VALUES: usize = 64;
/// Hashes in an exact page at the highest precision.
pub(crate) const MAX_PAGE_HASHES: usize = (1 << PRECISION_MAX) / PAGES / size_of::<UserHash>();
/// Users per register below which the standard error is that of collisions alone, to a few percent.
const FEW_USERS_LOAD: f64 = 0.02;
/// Standard normal quantile of a two-sided 95 % interval.
const Z95: f64 = 1.959_963_984_540_054;

/// What one or more shares of a sketch have to say: a sum, so shares add up in any order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tally {
    all_exact: bool,
    hashes: u64,
    histogram: [u32; VALUES],
}

impl Default for Tally {
    fn default() -> Self {
        Self {
            all_exact: true,
            hashes: 0,
            histogram: [0; VALUES],
        }
    }
}

impl Tally {
    /// Adds a page whose distinct users are all known.
    pub fn add_exact_page(&mut self, hashes: impl Iterator<Item = UserHash>, p: Precision) {
        let mut places = [(0u16, 0u8); MAX_PAGE_HASHES];
        let mut users = 0;
        for (slot, hash) in places.iter_mut().zip(hashes) {
            let place = p.place(hash);
            *slot = (place.register as u16, place.rank);
            users += 1;
        }
        self.hashes += users as u64;
        // A register counts once, with the greatest of its ranks: the last one of its run.
        let places = &mut places[..users];
        places.sort_unstable();
        let mut hit = 0;
        for run in places.chunk_by(|a, b| a.0 == b.0) {
            if let Some((_, rank)) = run.last() {
                self.histogram[usize::from(*rank)] += 1;
                hit += 1;
            }
        }
        self.histogram[0] += (p.page_registers() - hit) as u32;
    }

    /// Adds so many registers, of all of whose users the number and the greatest ranks are known.
    pub(super) fn add_exact_registers(
        &mut self,
        users: usize,
        ranks: impl Iterator<Item = u8>,
        registers: usize,
    ) {
        self.hashes += users as u64;
        let mut empty = registers as u32;
        for rank in ranks {
            self.histogram[usize::from(rank) % VALUES] += 1;
            empty -= 1;
        }
        self.histogram[0] += empty;
    }

    /// Adds a page whose users are known by its registers only.
    pub fn add_register_page(&mut self, registers: &[u8]) {
        self.all_exact = false;
        // Four histograms side by side: equal neighbours would otherwise wait for each other's store.
        let mut lanes = [[0u32; VALUES]; 4];
        let (quads, rest) = registers.as_chunks::<4>();
        for quad in quads {
            for (lane, value) in lanes.iter_mut().zip(quad) {
                lane[usize::from(*value) % VALUES] += 1;
            }
        }
        for value in rest {
            lanes[0][usize::from(*value) % VALUES] += 1;
        }
        for lane in lanes {
            for (sum, n) in self.histogram.iter_mut().zip(lane) {
                *sum += n;
            }
        }
    }

    /// Adds so many registers of one value, of a page whose users are known by its registers only.
    pub(in crate::engine) fn add_registers(&mut self, value: u8, registers: u32) {
        self.all_exact = false;
        self.histogram[usize::from(value) % VALUES] += registers;
    }

    /// Adds another share's tally.
    pub fn merge(&mut self, other: &Self) {
        self.all_exact &= other.all_exact;
        self.hashes += other.hashes;
        for (sum, n) in self.histogram.iter_mut().zip(other.histogram) {
            *sum += n;
        }
    }

    /// The number of users, once all shares of the sketch are in.
    #[must_use]
    pub fn users(&self, p: Precision) -> Users {
        if self.all_exact {
            return Users::exact(self.hashes);
        }
        debug_assert_eq!(
            self.histogram.iter().map(|n| *n as usize).sum::<usize>(),
            p.registers(),
            "the tally of all shares covers every register"
        );
        let estimate = ertl(&self.histogram, p);
        Users::estimated(estimate, standard_error(estimate, p))
    }
}

/// A number of users and its 95 % interval. Equal bounds mean that the number is exact.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Users {
    /// The number: exact, or the estimate rounded to the nearest integer.
    pub users: u64,
    /// Lower bound of the 95 % interval.
    pub lo: u64,
    /// Upper bound of the 95 % interval.
    pub hi: u64,
}

impl Users {
    fn exact(users: u64) -> Self {
        Self {
            users,
            lo: users,
            hi: users,
        }
    }

    /// The bounds are the counts for which the estimate lies 1.96 standard errors off, rounded outwards.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    fn estimated(estimate: f64, standard_error: f64) -> Self {
        let relative = Z95 * standard_error / estimate;
        let lo = (estimate / (1.0 + relative)).floor() as u64;
        let hi = (estimate / (1.0 - relative)).ceil() as u64;
        Self {
            users: estimate.round() as u64,
            lo,
            // Equal bounds would say that it is exact.
            hi: hi.max(lo.saturating_add(1)),
        }
    }

    /// Whether the number is exact.
    #[must_use]
    pub fn is_exact(&self) -> bool {
        self.lo == self.hi
    }
}

/// Ertl's improved raw estimator.
fn ertl(histogram: &[u32; VALUES], p: Precision) -> f64 {
    let m = p.registers() as f64;
    let q = usize::from(p.max_rank()) - 1;
    let mut z = m * tau(1.0 - f64::from(histogram[q + 1]) / m);
    for k in (1..=q).rev() {
        z = 0.5 * (z + f64::from(histogram[k]));
    }
    z += m * sigma(f64::from(histogram[0]) / m);
    let alpha_infinity = 0.5 / std::f64::consts::LN_2;
    alpha_infinity * m * m / z
}

/// `x + sum over k >= 1 of x^(2^k) 2^(k-1)`, Ertl's (13); infinite at 1.
fn sigma(x: f64) -> f64 {
    if x >= 1.0 {
        return f64::INFINITY;
    }
    let (mut power, mut weight, mut sum) = (x, 1.0, x);
    loop {
        power *= power;
        let before = sum;
        sum += power * weight;
        weight += weight;
        if sum <= before {
            return sum;
        }
    }
}

/// The derivative of [`sigma`]: `1 + sum over k >= 1 of 2^k x^(2^k - 1) 2^(k-1)`.
fn sigma_derivative(x: f64) -> f64 {
    // power = x^(2^k - 1); the next one is power^2 * x.
    let (mut power, mut weight, mut sum) = (x, 2.0, 1.0);
    loop {
        let before = sum;
        sum += power * weight;
        power = power * power * x;
        weight *= 4.0;
        if sum <= before {
            return sum;
        }
    }
}

/// `(1 - x - sum over k >= 1 of (1 - x^(2^-k))^2 2^-k) / 3`, Ertl's (19).
fn tau(x: f64) -> f64 {
    if x <= 0.0 || x >= 1.0 {
        return 0.0;
    }
    let (mut root, mut weight, mut sum) = (x, 1.0, 1.0 - x);
    loop {
        root = root.sqrt();
        let before = sum;
        weight *= 0.5;
        sum -= (1.0 - root).powi(2) * weight;
        if sum >= before {
            return sum / 3.0;
        }
    }
}

/// The standard error of the estimator at `users` users, in users.
///
/// By the delta method: with a Poisson number of users of mean `n`, the registers are independent with
/// `P(K <= k) = exp(-(n/m) 2^-k)`, and the estimator is `A / sum of g(K)` to first order, where `g(0)` is the slope of
/// [`sigma`] and `g(k) = 2^-k`. That gives the variance with a random number of users; a fixed number takes away the
/// variance of the number itself, which is `n`. It tends to `1.039 / sqrt(m)` for many users and to 0 for few.
#[must_use]
pub fn standard_error(users: f64, p: Precision) -> f64 {
    let m = p.registers() as f64;
    let load = users / m;
    if load < FEW_USERS_LOAD {
        // Collisions only: n^2 / 2m. Below, the difference of two nearly equal variances would lose its digits.
        return users * (0.5 / m).sqrt();
    }
    let below = |k: i32| (-load * 0.5f64.powi(k)).exp();
    let empty = below(0);
    let slope = sigma_derivative(empty);
    let (mut mean, mut square) = (slope * empty, slope * slope * empty);
    let mut sum = sigma(empty);
    for k in 1..i32::from(p.max_rank()) {
        let (share, g) = (below(k) - below(k - 1), 0.5f64.powi(k));
        mean += share * g;
        square += share * g * g;
        sum += share * g;
    }
    let deviation_of_sum = (m * (square - mean * mean)).sqrt();
    let poisson = users * deviation_of_sum / (m * sum);
    (poisson * poisson - users).max(0.0).sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn relative(users: f64, p: u8) -> f64 {
        standard_error(users, Precision::new(p).unwrap()) / users
    }

    #[test]
    fn standard_error_tends_to_its_known_limits() {
        // Many users: 1.03896 / sqrt(m) (Ertl, table 1). Few: collisions only, about sqrt(1/2) / sqrt(m).
        for p in 12..=18 {
            let root = f64::from(1u32 << p).sqrt();
            assert!((relative(1e9, p) * root - 1.039).abs() < 0.002, "p = {p}");
            let few = f64::from(1u32 << p) / 50.0;
            assert!(
                (relative(few, p) * root - 0.5f64.sqrt()).abs() < 0.03,
                "p = {p}"
            );
        }
    }

    #[test]
    fn sigma_derivative_is_the_slope_of_sigma() {
        for x in [0.0, 0.1, 0.5, 0.9, 0.99] {
            let slope = (sigma(x + 1e-7) - sigma(x)) / 1e-7;
            assert!((sigma_derivative(x) / slope - 1.0).abs() < 1e-4, "x = {x}");
        }
    }

    #[test]
    fn nothing_seen_is_exactly_nobody() {
        let mut tally = Tally::default();
        let p = Precision::new(12).unwrap();
        for _ in 0..PAGES {
            tally.add_exact_page(std::iter::empty(), p);
        }
        let users = tally.users(p);
        assert_eq!((users.users, users.lo, users.hi), (0, 0, 0));
    }

    #[test]
    fn saturated_registers_do_not_overflow() {
        let p = Precision::new(12).unwrap();
        let mut tally = Tally::default();
        tally.add_register_page(&vec![p.max_rank(); p.registers()]);
        assert_eq!(tally.users(p).users, u64::MAX);
    }
}
