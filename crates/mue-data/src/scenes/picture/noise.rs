//! Gaussian noise, fast and the same everywhere.

use std::sync::LazyLock;

use super::super::random::Random;
use super::canvas::Canvas;

/// Equally likely values of the table.
const VALUES: usize = 1 << 12;

/// Quantiles of the standard normal distribution at the middles of equal shares.
static NORMAL: LazyLock<Vec<f32>> = LazyLock::new(|| {
    let share = |i: usize| (i as f64 + 0.5) / VALUES as f64;
    (0..VALUES).map(|i| quantile(share(i)) as f32).collect()
});

/// Adds independent noise of this deviation to every channel of every pixel.
pub(super) fn add(canvas: &mut Canvas, deviation: f32, random: &mut Random) {
    let normal = &NORMAL[..VALUES];
    let samples = canvas.pixels.as_flattened_mut();
    let mut bytes = vec![0; 2 * samples.len()];
    random.fill(&mut bytes);
    for (sample, bytes) in samples.iter_mut().zip(bytes.as_chunks().0) {
        *sample += deviation * normal[usize::from(u16::from_le_bytes(*bytes)) % VALUES];
    }
}

/// Below which value a standard normal variable lies with this probability; by bisection, whose
/// every step is exact but for `libm`'s error function.
fn quantile(probability: f64) -> f64 {
    let (mut low, mut high) = (-5.0, 5.0);
    for _ in 0..48 {
        let middle = (low + high) / 2.0;
        let below = libm::erfc(-middle / std::f64::consts::SQRT_2) / 2.0;
        if below < probability {
            low = middle;
        } else {
            high = middle;
        }
    }
    (low + high) / 2.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_those_of_the_normal_distribution() {
        for (probability, expected) in [(0.5, 0.0), (0.841_344_746, 1.0), (0.022_750_132, -2.0)] {
            assert!((quantile(probability) - expected).abs() < 1e-7);
        }
        let variance: f32 = NORMAL.iter().map(|z| z * z).sum::<f32>() / VALUES as f32;
        assert!((variance - 1.0).abs() < 1e-3, "{variance}");
    }
}
