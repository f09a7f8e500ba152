//! The random numbers that scenes are made of.

use chacha20::ChaCha8Rng;
use chacha20::rand_core::{Rng, SeedableRng};

use super::SceneSet;

/// Marks the keys, so that no other use of ChaCha in this project shares a stream with scenes.
/// A change of what any stream is used for has to change it.
const TAG: [u8; 8] = *b"scenes 1";

/// What a scene's random numbers decide. Each has a stream of its own, so that a change in one
/// leaves the others as they were.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    Layout,
    Pixels,
    Hypotheses,
}

/// ChaCha8 keyed by seed, split and purpose, the scene's index being the stream number.
///
/// The algorithm is fixed by its specification, and what is drawn from it is made with exact
/// arithmetic, so a scene is the same on every machine. Splits are different keys: no two of
/// them share a stream, whatever the seeds.
pub(super) struct Random(ChaCha8Rng);

impl Random {
    pub(super) fn new(set: SceneSet, purpose: Purpose, index: u64) -> Self {
        let mut key = [0; 32];
        key[..8].copy_from_slice(&set.seed.to_le_bytes());
        key[8] = set.split as u8;
        key[16] = purpose as u8;
        key[24..].copy_from_slice(&TAG);
        let mut generator = ChaCha8Rng::from_seed(key);
        generator.set_stream(index);
        Self(generator)
    }

    /// Less than `count`; the bias of `count / 2^32` is of no consequence here.
    pub(super) fn below(&mut self, count: usize) -> usize {
        ((u64::from(self.0.next_u32()) * count as u64) >> 32) as usize
    }

    /// From 0 to below 1, in steps that `f32` holds exactly.
    pub(super) fn unit(&mut self) -> f32 {
        (self.0.next_u32() >> 8) as f32 / (1 << 24) as f32
    }

    pub(super) fn uniform(&mut self, low: f32, high: f32) -> f32 {
        low + (high - low) * self.unit()
    }

    pub(super) fn chance(&mut self, probability: f32) -> bool {
        self.unit() < probability
    }

    /// One of some values.
    pub(super) fn pick<T: Copy, const N: usize>(&mut self, values: [T; N]) -> T {
        values[self.below(N)]
    }

    /// One of a list, if there is any.
    pub(super) fn choose<T: Copy>(&mut self, values: &[T]) -> Option<T> {
        values.get(self.below(values.len())).copied()
    }

    /// A place in a list of weights, each with the probability of its share.
    pub(super) fn weighted<const N: usize>(&mut self, weights: [f32; N]) -> usize {
        let mut left = self.unit() * weights.iter().sum::<f32>();
        let past = |weight: &f32| {
            left -= weight;
            left < 0.0
        };
        weights.iter().position(past).unwrap_or(N - 1)
    }

    pub(super) fn shuffle<T, const N: usize>(&mut self, mut values: [T; N]) -> [T; N] {
        for end in (1..N).rev() {
            values.swap(end, self.below(end + 1));
        }
        values
    }

    pub(super) fn fill(&mut self, bytes: &mut [u8]) {
        self.0.fill_bytes(bytes);
    }
}
