//! Random numbers that are a function of where they are used, so that no state needs saving.

/// The SplitMix64 generator (Steele, Lea and Flood 2014).
#[derive(Clone, Debug)]
pub(crate) struct Random(u64);

impl Random {
    const GAMMA: u64 = 0x9E37_79B9_7F4A_7C15;

    /// Numbers for one purpose, step and part of a run.
    pub(crate) fn new(seed: u64, purpose: &str, step: u64) -> Self {
        let hash = purpose.bytes().fold(0xcbf2_9ce4_8422_2325, |hash: u64, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
        });
        let mut random = Self(hash ^ seed.wrapping_mul(Self::GAMMA));
        random.0 = random.next().wrapping_add(step.wrapping_mul(0xD1B5_4A32_D192_ED03));
        random.next();
        random
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(Self::GAMMA);
        let mut x = self.0;
        x = (x ^ (x >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        x = (x ^ (x >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        x ^ (x >> 31)
    }

    /// Uniform in 0..1.
    pub(crate) fn unit(&mut self) -> f32 {
        (self.next() >> 40) as f32 / (1u32 << 24) as f32
    }

    /// Uniform among `0..count`.
    pub(crate) fn below(&mut self, count: usize) -> usize {
        (self.next() % count as u64) as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_depend_on_seed_purpose_and_step_alone() {
        let first = |seed, purpose, step| Random::new(seed, purpose, step).next();
        assert_eq!(first(1, "depths", 7), first(1, "depths", 7));
        for other in [first(2, "depths", 7), first(1, "init", 7), first(1, "depths", 8)] {
            assert_ne!(first(1, "depths", 7), other);
        }
        let mut random = Random::new(1, "unit", 0);
        let mean = (0..1000).map(|_| random.unit()).sum::<f32>() / 1000.0;
        assert!((mean - 0.5).abs() < 0.05, "{mean}");
    }
}
