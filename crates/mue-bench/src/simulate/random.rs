//! The random numbers of a simulation.

use std::ops::RangeInclusive;

use chacha20::ChaCha8Rng;
use chacha20::rand_core::{Rng, SeedableRng};

/// Marks the keys, so that no other use of ChaCha in this project shares a stream with simulations.
const TAG: [u8; 8] = *b"simulate";

/// What random numbers decide. Each purpose has streams of its own, so that the requests are the
/// same whatever the load.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// When requests arrive.
    Arrivals,
    /// What a request needs; its number is the index.
    Jobs,
}

/// ChaCha8 keyed by seed and purpose, the index being the stream number.
///
/// Every policy meets the same requests at the same times, so differences between policies are not
/// differences of luck.
pub(crate) struct Random(ChaCha8Rng);

impl Random {
    /// The stream of a purpose and an index.
    pub(crate) fn new(seed: u64, purpose: Purpose, index: usize) -> Self {
        let mut key = [0; 32];
        key[..8].copy_from_slice(&seed.to_le_bytes());
        key[8] = purpose as u8;
        key[24..].copy_from_slice(&TAG);
        let mut generator = ChaCha8Rng::from_seed(key);
        generator.set_stream(index as u64);
        Self(generator)
    }

    /// From 0 to below 1.
    pub(crate) fn unit(&mut self) -> f64 {
        (self.0.next_u64() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// Whether something of this probability happens.
    pub(crate) fn chance(&mut self, probability: f64) -> bool {
        self.unit() < probability
    }

    /// Each number of the range is as likely as the others.
    pub(crate) fn among(&mut self, range: RangeInclusive<usize>) -> usize {
        let count = range.end() - range.start() + 1;
        range.start() + (self.unit() * count as f64) as usize
    }

    /// Exponentially distributed with this mean: the time between two arrivals that know nothing of
    /// each other.
    pub(crate) fn exponential(&mut self, mean: f64) -> f64 {
        -mean * (1.0 - self.unit()).ln()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_within_their_bounds_and_have_the_mean_asked_for() {
        let mut random = Random::new(1, Purpose::Arrivals, 0);
        let mut sum = 0.0;
        for _ in 0..20_000 {
            assert!((3..=5).contains(&random.among(3..=5)));
            sum += random.exponential(2.0);
        }
        assert!((sum / 20_000.0 - 2.0).abs() < 0.05, "mean {}", sum / 20_000.0);
    }

    #[test]
    fn streams_differ_by_seed_purpose_and_index_and_by_nothing_else() {
        let first = |seed, purpose, index| Random::new(seed, purpose, index).0.next_u64();
        let one = first(1, Purpose::Jobs, 0);
        assert_eq!(one, first(1, Purpose::Jobs, 0));
        let others = [
            first(2, Purpose::Jobs, 0),
            first(1, Purpose::Arrivals, 0),
            first(1, Purpose::Jobs, 1),
        ];
        assert!(!others.contains(&one));
    }
}
