//! Pixels to the model's input: Pillow's bicubic resize, then normalisation.
//!
//! OFA's published results come from Pillow releases that resize horizontally first and round
//! and clip to 8 bits between the passes; this does the same, with the same fixed-point
//! coefficients, so the result is theirs to the last bit.

use std::borrow::Cow;

use crate::picture::RgbImage;

/// A normalised picture, `[3, height, width]` row-major, values in -1..1.
#[derive(Clone, Debug, PartialEq)]
pub struct PixelTensor {
    /// Rows.
    pub height: usize,
    /// Columns.
    pub width: usize,
    /// `3 * height * width` values.
    pub values: Vec<f32>,
}

/// Fractional bits of a coefficient: 32, less 8 for the sample and 2 for the sum's headroom.
const PRECISION_BITS: u32 = 32 - 8 - 2;

/// Half-width of the cubic at scale 1.
const SUPPORT: f64 = 2.0;

/// Resizes to the size given, not keeping the aspect ratio, and normalises to
/// `(sample / 255 - 0.5) / 0.5` (OFA, `data/mm_data`).
pub fn preprocess(picture: &RgbImage, height: usize, width: usize) -> PixelTensor {
    let resized = resized(picture, height, width);
    let plane = height * width;
    let mut values = vec![0.0; 3 * plane];
    for (index, pixel) in resized.samples.chunks_exact(3).enumerate() {
        for (channel, sample) in pixel.iter().enumerate() {
            values[channel * plane + index] = (f32::from(*sample) / 255.0 - 0.5) / 0.5;
        }
    }
    PixelTensor { height, width, values }
}

/// Pillow's `Image.resize((width, height), BICUBIC)`.
pub fn resize(picture: &RgbImage, height: usize, width: usize) -> RgbImage {
    resized(picture, height, width).into_owned()
}

/// The same; a picture of this size is taken as it is.
fn resized(picture: &RgbImage, height: usize, width: usize) -> Cow<'_, RgbImage> {
    let mut resized = Cow::Borrowed(picture);
    if resized.width != width {
        resized = Cow::Owned(resize_rows(&resized, width));
    }
    if resized.height != height {
        resized = Cow::Owned(resize_columns(&resized, height));
    }
    resized
}

fn resize_rows(picture: &RgbImage, width: usize) -> RgbImage {
    let taps = taps(picture.width, width);
    let mut samples = Vec::with_capacity(picture.height * width * 3);
    for row in picture.samples.chunks_exact(picture.width * 3) {
        for Taps { first, weights } in &taps {
            let mut sums = [1i32 << (PRECISION_BITS - 1); 3];
            for (pixel, weight) in row[3 * first..].chunks_exact(3).zip(weights) {
                for (sum, sample) in sums.iter_mut().zip(pixel) {
                    *sum += i32::from(*sample) * weight;
                }
            }
            samples.extend(sums.map(clip));
        }
    }
    RgbImage { height: picture.height, width, samples }
}

fn resize_columns(picture: &RgbImage, height: usize) -> RgbImage {
    let stride = picture.width * 3;
    let mut samples = Vec::with_capacity(height * stride);
    let mut sums = vec![0i32; stride];
    for Taps { first, weights } in taps(picture.height, height) {
        sums.fill(1 << (PRECISION_BITS - 1));
        let rows = picture.samples[first * stride..].chunks_exact(stride);
        for (row, weight) in rows.zip(weights) {
            for (sum, sample) in sums.iter_mut().zip(row) {
                *sum += i32::from(*sample) * weight;
            }
        }
        samples.extend(sums.iter().copied().map(clip));
    }
    RgbImage { height, width: picture.width, samples }
}

fn clip(sum: i32) -> u8 {
    (sum >> PRECISION_BITS).clamp(0, 255) as u8
}

/// The input samples that make one output sample.
struct Taps {
    first: usize,
    weights: Vec<i32>,
}

/// Where each of `to` output samples reads `from` input samples, with fixed-point weights.
fn taps(from: usize, to: usize) -> Vec<Taps> {
    let scale = from as f64 / to as f64;
    let stretch = scale.max(1.0);
    let support = SUPPORT * stretch;
    (0..to)
        .map(|index| {
            let center = (index as f64 + 0.5) * scale;
            let first = (center - support + 0.5).max(0.0) as usize;
            let last = ((center + support + 0.5) as usize).min(from);
            let weights: Vec<f64> = (first..last)
                .map(|sample| cubic((sample as f64 - center + 0.5) / stretch))
                .collect();
            let total: f64 = weights.iter().sum();
            Taps { first, weights: weights.iter().map(|weight| fixed(weight / total)).collect() }
        })
        .collect()
}

fn fixed(weight: f64) -> i32 {
    let scaled = weight * f64::from(1 << PRECISION_BITS);
    (if scaled < 0.0 { scaled - 0.5 } else { scaled + 0.5 }) as i32
}

/// Keys' cubic with a = -0.5 (Catmull-Rom).
fn cubic(x: f64) -> f64 {
    const A: f64 = -0.5;
    let x = x.abs();
    match x {
        x if x < 1.0 => ((A + 2.0) * x - (A + 3.0)) * x * x + 1.0,
        x if x < 2.0 => (((x - 5.0) * x + 8.0) * x - 4.0) * A,
        _ => 0.0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn picture(height: usize, width: usize, sample: impl Fn(usize, usize) -> u8) -> RgbImage {
        let samples = (0..height)
            .flat_map(|y| (0..width).map(move |x| (y, x)))
            .flat_map(|(y, x)| [sample(y, x); 3])
            .collect();
        RgbImage { height, width, samples }
    }

    #[test]
    fn the_same_size_is_the_same_picture() {
        let original = picture(5, 7, |y, x| (y * 31 + x * 7) as u8);
        assert_eq!(resize(&original, 5, 7), original);
        assert!(matches!(resized(&original, 5, 7), Cow::Borrowed(_)), "it is not copied");
    }

    #[test]
    fn a_flat_picture_stays_flat() {
        for (height, width) in [(3, 3), (9, 40), (64, 2), (1, 1)] {
            let resized = resize(&picture(10, 10, |_, _| 77), height, width);
            assert!(resized.samples.iter().all(|sample| *sample == 77), "{height}x{width}");
        }
    }

    #[test]
    fn an_edge_overshoots_and_is_clipped_between_the_passes() {
        // By hand: doubling [0, 0, 255, 255] puts the weights of Catmull-Rom at quarters.
        let resized = resize(&picture(1, 4, |_, x| if x < 2 { 0 } else { 255 }), 1, 8);
        let row: Vec<u8> = resized.samples.iter().step_by(3).copied().collect();
        assert_eq!(row, [0, 0, 0, 52, 203, 255, 255, 255]);
    }

    #[test]
    fn values_are_normalised_channel_by_channel() {
        let two = RgbImage { height: 1, width: 2, samples: vec![0, 255, 51, 255, 0, 204] };
        let tensor = preprocess(&two, 1, 2);
        let expected = [-1.0, 1.0, 1.0, -1.0, -0.6, 0.6];
        for (found, expected) in tensor.values.iter().zip(expected) {
            assert!((found - expected).abs() < 1e-6);
        }
    }
}
