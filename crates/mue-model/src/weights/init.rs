//! Weights to start training from, and for benchmarks: a function of seed, name and shape.

use std::collections::BTreeMap;

use burn::tensor::Device;

use super::{LoadError, RawTensor};
use crate::config::OfaConfig;
use crate::model::Ofa;

/// Every tensor that a model of this configuration needs, freshly initialised.
///
/// Linear layers and embeddings are uniform with OFA's standard deviations (Xavier; embeddings
/// `d_model^-0.5`), convolutions He-scaled, norms and head scales one, biases and relative tables
/// zero, and the last BatchNorm of a residual block one half, which keeps a deep stem stable.
///
/// # Errors
///
/// If the configuration is impossible.
pub fn initial_tensors(
    config: &OfaConfig,
    seed: u64,
    device: &Device,
) -> Result<BTreeMap<String, RawTensor>, LoadError> {
    // An empty checkpoint misses exactly the tensors that the model has.
    let missing = match Ofa::from_tensors(&BTreeMap::new(), config.clone(), device) {
        Err(LoadError::Mismatch(error)) => error.0,
        Err(error) => return Err(error),
        Ok(_) => Vec::new(),
    };
    let named = missing.into_iter().filter_map(|missing| Some((missing.name, missing.expected?)));
    named
        .map(|(name, shape)| {
            let values = initial_values(&name, &shape, seed);
            Ok((name, RawTensor::from_f32(shape, &values)?))
        })
        .collect()
}

fn initial_values(name: &str, shape: &[usize], seed: u64) -> Vec<f32> {
    let elements = shape.iter().product();
    let inputs = shape.iter().skip(1).product::<usize>() as f32;
    let outputs = shape[0] as f32;
    let deviation = match name {
        _ if name.ends_with("bias") || name.ends_with("running_mean") => {
            return vec![0.0; elements];
        }
        _ if name.contains("rel_pos_table") => return vec![0.0; elements],
        _ if name.ends_with("bn3.weight") => return vec![0.5; elements],
        _ if shape.len() == 1 => return vec![1.0; elements],
        _ if shape.len() == 4 => (2.0 / inputs).sqrt(),
        _ if name.contains("embed") || name.contains("embedding") => inputs.powf(-0.5),
        _ => (2.0 / (inputs + outputs)).sqrt(),
    };
    let half_width = deviation * 3f32.sqrt();
    let mut stream = SplitMix64::new(seed, name);
    (0..elements).map(|_| half_width * (2.0 * stream.unit() - 1.0)).collect()
}

/// The SplitMix64 generator (Steele, Lea and Flood 2014), started from a seed and a name.
struct SplitMix64(u64);

impl SplitMix64 {
    const GAMMA: u64 = 0x9E37_79B9_7F4A_7C15;

    fn new(seed: u64, name: &str) -> Self {
        let hash = name.bytes().fold(0xcbf2_9ce4_8422_2325, |hash: u64, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
        });
        Self(hash ^ seed.wrapping_mul(Self::GAMMA))
    }

    /// Uniform in 0..1.
    fn unit(&mut self) -> f32 {
        self.0 = self.0.wrapping_add(Self::GAMMA);
        let mut x = self.0;
        x = (x ^ (x >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        x = (x ^ (x >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((x ^ (x >> 31)) >> 40) as f32 / (1u32 << 24) as f32
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_gives_the_same_values_and_another_does_not() {
        let values = |seed| initial_values("encoder.layers.0.fc1.weight", &[8, 4], seed);
        assert_eq!(values(1), values(1));
        assert_ne!(values(1), values(2));
        let bound = (2.0f32 / 12.0).sqrt() * 3f32.sqrt();
        assert!(values(1).iter().all(|value| value.abs() <= bound));
    }
}
