//! A reproducible random number generator: SplitMix64 (Steele, Lea, Flood 2014).
//!
//! It is implemented here because a seed in a report must mean the same drill in every later version, and a crate may
//! change its algorithm with any release.

use std::time::Duration;

/// A sequence of pseudo-random numbers that depends only on the seed.
#[derive(Debug, Clone)]
pub(super) struct Rng(u64);

impl Rng {
    /// Returns the sequence of this seed. Different `stream`s of one seed are independent.
    pub fn new(seed: u64, stream: u64) -> Self {
        let mut mixed = Rng(seed ^ stream.wrapping_mul(0xD1B5_4A32_D192_ED03));
        Rng(mixed.next())
    }

    /// Returns the next number.
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// Returns a number of `0..n`, or 0 if `n` is 0. The bias of the remainder is below one in 2^50 here.
    pub fn below(&mut self, n: usize) -> usize {
        if n == 0 { 0 } else { (self.next() % n as u64) as usize }
    }

    /// Returns a duration between two numbers of milliseconds.
    pub fn ms(&mut self, from: u64, to: u64) -> Duration {
        Duration::from_millis(from + self.below((to - from) as usize + 1) as u64)
    }

    /// Returns true in `percent` of 100 cases.
    pub fn chance(&mut self, percent: usize) -> bool {
        self.below(100) < percent
    }

    /// Returns one of the items; `None` if there are none.
    pub fn pick<'a, T>(&mut self, all: &'a [T]) -> Option<&'a T> {
        all.get(self.below(all.len()))
    }

    /// Shuffles the items.
    pub fn shuffle<T>(&mut self, all: &mut [T]) {
        for i in (1..all.len()).rev() {
            all.swap(i, self.below(i + 1));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_always_gives_the_same_numbers() {
        // The first numbers of SplitMix64 from 1234567, as its authors' program prints them.
        let mut rng = Rng(1_234_567);
        assert_eq!([rng.next(), rng.next()], [6_457_827_717_110_365_317, 3_203_168_211_198_807_973]);
        let mut order: Vec<u32> = (0..6).collect();
        Rng::new(1, 2).shuffle(&mut order);
        let mut again: Vec<u32> = (0..6).collect();
        Rng::new(1, 2).shuffle(&mut again);
        assert_eq!(order, again);
        assert_ne!(Rng::new(1, 2).next(), Rng::new(1, 3).next());
    }
}
