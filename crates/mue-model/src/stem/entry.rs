//! The stem's entry in the host's memory: the first convolution (of stride 2), ReLU and the maximum
//! of 3x3 (of stride 2), a block of channels at a time.
//!
//! With three channels in, the convolution is a poor matrix product: its patches are far larger
//! than the picture. So it is computed where it stands. With the even columns of the picture apart
//! from the odd ones, neighbouring outputs read neighbours in memory, and a block of outputs stays
//! in registers for all taps.

use burn::nn::conv::Conv2d;
use burn::tensor::{Tensor, TensorData};
use pulp::{Arch, Simd, WithSimd};
use rayon::prelude::*;

use super::planes::{Block, CHANNELS, LANES_MAX, add_taps};
use crate::rows::to_host;

/// Weights and bias of the convolution, by blocks of channels.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    blocks: Vec<Block>,
    channels: usize,
    inputs: usize,
    kernel: usize,
}

impl Entry {
    /// Of a convolution of stride 2 whose kernel is square and odd, padded by half of it.
    pub(crate) fn new(conv: &Conv2d) -> Option<Self> {
        let [channels, inputs, kernel, width] = conv.weight.dims();
        if conv.stride != [2, 2] || kernel != width || kernel % 2 == 0 {
            return None;
        }
        Some(Self { blocks: Block::all(conv)?, channels, inputs, kernel })
    }

    /// `[batch, 3, height, width]` to `[batch, channels, height / 4, width / 4]`, rounded up.
    pub(crate) fn forward(&self, pixels: Tensor<4>) -> Tensor<4> {
        let ([batch, _, height, width], device) = (pixels.dims(), pixels.device());
        let (pooled, [rows, columns]) = self.pooled(&to_host(pixels), [batch, height, width]);
        let shape = [batch, self.channels, rows, columns];
        Tensor::from_data(TensorData::new(pooled, shape), &device)
    }

    /// The same of pixels in memory, with height and width of what they become.
    pub(crate) fn pooled(
        &self,
        pixels: &[f32],
        [batch, height, width]: [usize; 3],
    ) -> (Vec<f32>, [usize; 2]) {
        let shape = Shape::of(self.kernel, height, width);
        let taps = shape.taps(self.kernel, self.inputs);
        let pictures = halves(pixels, self.inputs, &shape);
        let [rows, columns] = shape.pooled;
        let mut pooled = vec![0.0; batch * self.channels * rows * columns];
        let picture_pooled = pooled.par_chunks_mut(self.channels * rows * columns);
        picture_pooled.zip(&pictures).for_each(|(pooled, halves)| {
            let blocks = pooled.par_chunks_mut(CHANNELS * rows * columns).zip(&self.blocks);
            blocks.for_each(|(pooled, block)| {
                let (taps, shape) = (&taps, &shape);
                Arch::new().dispatch(BlockPass { block, taps, halves, shape, pooled });
            });
        });
        (pooled, shape.pooled)
    }
}

/// A block of channels of one picture.
struct BlockPass<'a> {
    block: &'a Block,
    /// Where each tap finds the first output's pixel.
    taps: &'a [usize],
    halves: &'a [f32],
    shape: &'a Shape,
    pooled: &'a mut [f32],
}

impl WithSimd for BlockPass<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let [rows, columns] = self.shape.pooled;
        let mut outputs = vec![0.0; CHANNELS * self.shape.plane()];
        self.convolve(simd, &mut outputs);
        let planes = outputs.chunks_exact(self.shape.plane());
        for (plane, pooled) in planes.zip(self.pooled.chunks_exact_mut(rows * columns)) {
            pool_relu(plane, self.shape, pooled);
        }
    }
}

impl BlockPass<'_> {
    /// The convolution's outputs, `[channels, rows, length]`.
    #[inline(always)]
    fn convolve<S: Simd>(&self, simd: S, outputs: &mut [f32]) {
        let Self { block, taps, halves, shape, .. } = *self;
        for y in 0..shape.rows {
            for first in (0..shape.length).step_by(S::F32_LANES) {
                let pixels = &halves[2 * y * shape.line + first..];
                let sums = block.bias.map(|bias| [simd.splat_f32s(bias)]);
                let sums = add_taps::<S, 1>(simd, block, taps, pixels, sums);
                for (sums, plane) in sums.iter().zip(outputs.chunks_exact_mut(shape.plane())) {
                    let output = &mut plane[y * shape.length + first..];
                    S::as_mut_simd_f32s(output).0[0] = sums[0];
                }
            }
        }
    }
}

/// Sizes of one picture on its way.
struct Shape {
    height: usize,
    width: usize,
    /// Zeros around the picture.
    padding: usize,
    /// Lines with their padding, of which each half has one.
    lines: usize,
    /// Length of a line of one half.
    line: usize,
    /// Lines after the convolution.
    rows: usize,
    columns: usize,
    /// Length of such a line in memory: whole vectors, of which the last may stick out.
    length: usize,
    /// Lines and columns at the end.
    pooled: [usize; 2],
}

impl Shape {
    fn of(kernel: usize, height: usize, width: usize) -> Self {
        let (rows, columns) = (height.div_ceil(2), width.div_ceil(2));
        let length = columns.next_multiple_of(LANES_MAX);
        Self {
            height,
            width,
            padding: kernel / 2,
            lines: 2 * rows + kernel,
            line: length + kernel / 2 + 1,
            rows,
            columns,
            length,
            pooled: [rows.div_ceil(2), columns.div_ceil(2)],
        }
    }

    /// Size of one channel after the convolution.
    fn plane(&self) -> usize {
        self.rows * self.length
    }

    /// Where the pixels of the first output are in [`halves`], by input channel, line and column.
    fn taps(&self, kernel: usize, inputs: usize) -> Vec<usize> {
        let lines = |channel| (0..kernel).map(move |line| (channel, line));
        let tap = |(channel, line)| {
            let half = move |x: usize| 2 * channel + x % 2;
            (0..kernel).map(move |x| (half(x) * self.lines + line) * self.line + x / 2)
        };
        (0..inputs).flat_map(lines).flat_map(tap).collect()
    }
}

/// Every picture with zeros around it, `[channels, 2, lines, line]`: even columns, then odd ones.
fn halves(pixels: &[f32], channels: usize, shape: &Shape) -> Vec<Vec<f32>> {
    let half = shape.lines * shape.line;
    let picture = |pixels: &[f32]| {
        let mut halves = vec![0.0; channels * 2 * half];
        let planes = pixels.chunks_exact(shape.height * shape.width);
        for (plane, halves) in planes.zip(halves.chunks_exact_mut(2 * half)) {
            for (y, line) in plane.chunks_exact(shape.width).enumerate() {
                // Columns of either half come alternately.
                for x in [shape.padding, shape.padding + 1] {
                    let first = x % 2 * half + (y + shape.padding) * shape.line + x / 2;
                    let pixels = line.iter().skip(x - shape.padding).step_by(2);
                    halves[first..].iter_mut().zip(pixels).for_each(|(half, pixel)| *half = *pixel);
                }
            }
        }
        halves
    };
    pixels.par_chunks_exact(channels * shape.height * shape.width).map(picture).collect()
}

/// The maximum of 3x3 around every other output and zero; what is not a number stays so.
#[inline(always)]
fn pool_relu(plane: &[f32], shape: &Shape, pooled: &mut [f32]) {
    let length = shape.length;
    // Of three lines with a zero at both ends, then of three columns.
    let (mut highest, mut widest) = (vec![0.0; length + 2], vec![0.0; length]);
    for (y, pooled) in pooled.chunks_exact_mut(shape.pooled[1]).enumerate() {
        let highest = &mut highest[..];
        highest.fill(0.0);
        for row in (2 * y).saturating_sub(1)..(2 * y + 2).min(shape.rows) {
            let line = &plane[row * length..][..shape.columns];
            for (highest, value) in highest[1..].iter_mut().zip(line) {
                *highest = larger(*highest, *value);
            }
        }
        let neighbours = highest.iter().zip(&highest[1..]).zip(&highest[2..]);
        for (widest, ((a, b), c)) in widest.iter_mut().zip(neighbours) {
            *widest = larger(larger(*a, *b), *c);
        }
        for (pooled, widest) in pooled.iter_mut().zip(widest.iter().step_by(2)) {
            *pooled = *widest;
        }
    }
}

#[inline(always)]
fn larger(a: f32, b: f32) -> f32 {
    if a > b || a.is_nan() { a } else { b }
}

#[cfg(test)]
mod tests {
    use burn::nn::PaddingConfig2d;
    use burn::nn::conv::Conv2dConfig;
    use burn::nn::pool::MaxPool2dConfig;
    use burn::tensor::activation::relu;
    use burn::tensor::{Device, Distribution};

    use super::*;

    fn conv(channels: usize) -> Conv2d {
        let padding = PaddingConfig2d::Explicit(3, 3, 3, 3);
        let config = Conv2dConfig::new([3, channels], [7, 7]).with_stride([2, 2]);
        config.with_padding(padding).init(&Device::flex())
    }

    #[test]
    fn it_is_the_convolution_pooled() {
        let noise = Distribution::Uniform(-1.0, 1.0);
        let pool = MaxPool2dConfig::new([3, 3])
            .with_strides([2, 2])
            .with_padding(PaddingConfig2d::Explicit(1, 1, 1, 1))
            .init();
        let sizes = [(1, 16, 96, 96), (2, 5, 33, 70), (3, 8, 1, 2), (1, 20, 31, 64), (2, 1, 7, 5)];
        for (batch, channels, height, width) in sizes {
            let conv = conv(channels);
            let pixels = Tensor::random([batch, 3, height, width], noise, &Device::flex());
            let expected = pool.forward(relu(conv.forward(pixels.clone())));
            let found = Entry::new(&conv).expect("its stride is 2").forward(pixels);
            assert_eq!(found.dims(), expected.dims());
            let difference = (expected - found).abs().max().into_scalar::<f32>();
            assert!(difference < 1e-5, "{channels} of {height} x {width}: {difference}");
        }
    }

    #[test]
    fn what_is_not_a_number_stays_so() {
        let nan = Tensor::<4>::full([1, 3, 9, 9], f32::NAN, &Device::flex());
        let found = to_host(Entry::new(&conv(3)).expect("its stride is 2").forward(nan));
        assert!(found.iter().all(|value| value.is_nan()), "{found:?}");
    }
}
