//! Convolutions computed where they stand: features are planes with zeros around them, and what a
//! kernel's tap reads of a plane lies at one distance from what it adds to.
//!
//! A plane is its lines one behind the other, each with a margin that serves the next one too, so
//! that a convolution runs through all lines at once, a block of channels at a time. What it writes
//! into margins is taken back. With a stride a plane is first cut into its phases, the planes of
//! every other line and column.

use burn::nn::conv::Conv2d;
use pulp::{Arch, Simd, WithSimd};
use rayon::prelude::*;

use crate::rows::to_host;

/// Output channels that are computed together.
pub(super) const CHANNELS: usize = 8;

/// Floats in a vector, at most.
pub(super) const LANES_MAX: usize = 16;

/// Vectors of each channel that are computed together, where registers suffice.
const VECTORS: usize = 2;

/// What makes a block of output channels; channels beyond the last are zeros.
#[derive(Clone, Debug)]
pub(super) struct Block {
    /// By input channel, line and column of the kernel.
    pub(super) weights: Vec<[f32; CHANNELS]>,
    pub(super) bias: [f32; CHANNELS],
}

impl Block {
    /// Those of a convolution with a bias.
    pub(super) fn all(conv: &Conv2d) -> Option<Vec<Self>> {
        let bias = to_host(conv.bias.as_ref()?.val());
        let [channels, inputs, height, width] = conv.weight.dims();
        let (weight, taps) = (to_host(conv.weight.val()), inputs * height * width);
        let block = |first: usize| {
            let of = |values: &[f32], stride: usize, offset: usize| {
                std::array::from_fn(|place| match first + place < channels {
                    true => values[(first + place) * stride + offset],
                    false => 0.0,
                })
            };
            let weights = (0..taps).map(|tap| of(&weight, taps, tap)).collect();
            Self { weights, bias: of(&bias, 1, 0) }
        };
        Some((0..channels).step_by(CHANNELS).map(block).collect())
    }
}

/// How planes lie in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Layout {
    pub(super) height: usize,
    pub(super) width: usize,
}

/// Zeros around a plane, enough for kernels of 3x3.
const MARGIN: usize = 1;

impl Layout {
    /// From one line to the next.
    fn line(self) -> usize {
        self.width + MARGIN
    }

    /// Where the first pixel of a plane is.
    fn first(self) -> usize {
        MARGIN * self.line() + MARGIN
    }

    /// All lines with their margins.
    fn lines(self) -> usize {
        self.height * self.line()
    }

    /// A plane with the zeros around it and what the last vectors stick out.
    fn plane(self) -> usize {
        self.lines().next_multiple_of(VECTORS * LANES_MAX) + 2 * self.first()
    }

    /// Of every other line and column.
    pub(super) fn halved(self) -> Self {
        Self { height: self.height.div_ceil(2), width: self.width.div_ceil(2) }
    }

    /// Planes of features `[channels, height, width]`.
    pub(super) fn spread(self, features: &[f32]) -> Vec<f32> {
        let channels = features.len() / (self.height * self.width);
        let mut planes = vec![0.0; channels * self.plane()];
        let dense = features.chunks_exact(self.height * self.width);
        for (features, plane) in dense.zip(planes.chunks_exact_mut(self.plane())) {
            let lines = plane[self.first()..].chunks_exact_mut(self.line());
            for (pixels, line) in features.chunks_exact(self.width).zip(lines) {
                line[..self.width].copy_from_slice(pixels);
            }
        }
        planes
    }

    /// The pixels of planes, `[height * width, channels]`.
    pub(super) fn gather(self, planes: &[f32]) -> Vec<f32> {
        let channels = planes.len() / self.plane();
        let mut pixels = Vec::with_capacity(self.height * self.width * channels);
        for y in 0..self.height {
            for x in 0..self.width {
                let place = self.first() + y * self.line() + x;
                pixels.extend(planes.iter().skip(place).step_by(self.plane()));
            }
        }
        pixels
    }

    /// The phases of planes, one behind the other, as planes of half the size: even lines' even
    /// columns, their odd ones, then the odd lines'. The first alone are the pixels a stride of 2
    /// leaves.
    pub(super) fn phases(self, planes: &[f32], count: usize) -> Vec<f32> {
        let half = self.halved();
        let channels = planes.len() / self.plane();
        let mut phases = vec![0.0; channels * count * half.plane()];
        let each = phases.par_chunks_exact_mut(count * half.plane());
        each.zip(planes.par_chunks_exact(self.plane())).for_each(|(phases, plane)| {
            for (number, phase) in phases.chunks_exact_mut(half.plane()).enumerate() {
                let (down, right) = (number / 2, number % 2);
                let lines = phase[half.first()..].chunks_exact_mut(half.line());
                for (y, line) in (down..self.height).step_by(2).zip(lines) {
                    let pixels = &plane[self.first() + y * self.line()..][..self.width];
                    for (x, pixel) in pixels.iter().skip(right).step_by(2).enumerate() {
                        line[x] = *pixel;
                    }
                }
            }
        });
        phases
    }

    /// Takes back what was written around the pixels.
    fn clear_margins(self, plane: &mut [f32]) {
        let (pixels, behind) = plane[self.first()..].split_at_mut(self.lines());
        for line in pixels.chunks_exact_mut(self.line()) {
            line[self.width..].fill(0.0);
        }
        behind.fill(0.0);
    }
}

/// A convolution of planes whose size is kept, but for the stride.
#[derive(Clone, Debug)]
pub(super) struct Convolution {
    blocks: Vec<Block>,
    inputs: usize,
    kernel: usize,
    /// Phases of each input plane: 1, or 4 for a kernel of 3x3 with a stride of 2.
    phases: usize,
}

impl Convolution {
    /// Of a convolution of whole blocks of channels, with a kernel of 1x1 or 3x3 padded by half of it.
    pub(super) fn new(conv: &Conv2d) -> Option<Self> {
        let [channels, inputs, kernel, width] = conv.weight.dims();
        let phases = match (kernel, conv.stride) {
            (1, [1, 1] | [2, 2]) | (3, [1, 1]) => 1,
            (3, [2, 2]) => 4,
            _ => return None,
        };
        let fits = kernel == width && channels % CHANNELS == 0;
        let blocks = Block::all(conv).filter(|_| fits)?;
        Some(Self { blocks, inputs, kernel, phases })
    }

    /// How many phases of each plane it takes.
    pub(super) fn phases(&self) -> usize {
        self.phases
    }

    /// Added to `past`, if there is any; then, if wanted, negative values are cut off. The planes of
    /// input (its phases) and output have one layout.
    pub(super) fn forward(
        &self,
        planes: &[f32],
        layout: Layout,
        (past, is_rectified): (Option<&[f32]>, bool),
    ) -> Vec<f32> {
        let (taps, plane) = (self.taps(layout), layout.plane());
        let mut outputs = vec![0.0; self.blocks.len() * CHANNELS * plane];
        let blocks = outputs.par_chunks_exact_mut(CHANNELS * plane).zip(&self.blocks);
        blocks.enumerate().for_each(|(number, (outputs, block))| {
            let past = past.map(|past| &past[number * CHANNELS * plane..][..CHANNELS * plane]);
            let taps = &taps;
            let pass = Pass { block, taps, planes, layout, past, is_rectified, outputs };
            Arch::new().dispatch(pass);
        });
        outputs
    }

    /// Where each tap finds what it adds to the first output.
    fn taps(&self, layout: Layout) -> Vec<usize> {
        let (plane, line) = (layout.plane(), layout.line());
        let (half, stride) = (self.kernel / 2, if self.phases == 4 { 2 } else { 1 });
        // Counted from the margin, so that nothing is below zero: phase and place on one axis.
        let axis = move |at: usize| match (stride, at) {
            (1, at) => (0, at + MARGIN - half),
            (_, 0) => (1, MARGIN - 1),
            (_, at) => (at - 1, MARGIN),
        };
        let channels = 0..self.inputs;
        let lines = channels.flat_map(|channel| (0..self.kernel).map(move |y| (channel, y)));
        lines
            .flat_map(|(channel, y)| {
                (0..self.kernel).map(move |x| {
                    let ((down, y), (right, x)) = (axis(y), axis(x));
                    let number = channel * self.phases + 2 * down + right;
                    number * plane + y * line + x
                })
            })
            .collect()
    }
}

/// A block of channels on its way.
struct Pass<'a> {
    block: &'a Block,
    taps: &'a [usize],
    planes: &'a [f32],
    layout: Layout,
    past: Option<&'a [f32]>,
    is_rectified: bool,
    outputs: &'a mut [f32],
}

impl WithSimd for Pass<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(mut self, simd: S) {
        // Sums and pixels of all vectors, and a weight.
        if S::REGISTER_COUNT > VECTORS * (CHANNELS + 1) {
            self.run::<S, VECTORS>(simd);
        } else {
            self.run::<S, 1>(simd);
        }
        let planes = self.outputs.chunks_exact_mut(self.layout.plane());
        planes.for_each(|plane| self.layout.clear_margins(plane));
    }
}

impl Pass<'_> {
    #[inline(always)]
    fn run<S: Simd, const V: usize>(&mut self, simd: S) {
        let (plane, first) = (self.layout.plane(), self.layout.first());
        let (step, zero) = (V * S::F32_LANES, simd.splat_f32s(0.0));
        for at in (0..self.layout.lines()).step_by(step) {
            let mut sums = self.block.bias.map(|bias| [simd.splat_f32s(bias); V]);
            if let Some(past) = self.past {
                for (channel, sums) in sums.iter_mut().enumerate() {
                    let past = &past[channel * plane + first + at..][..step];
                    for (sum, past) in sums.iter_mut().zip(S::as_simd_f32s(past).0) {
                        *sum = simd.add_f32s(*sum, *past);
                    }
                }
            }
            let mut sums = add_taps::<S, V>(simd, self.block, self.taps, &self.planes[at..], sums);
            if self.is_rectified {
                for sum in sums.iter_mut().flatten() {
                    // What is not a number stays so.
                    *sum = simd.select_f32s(simd.less_than_f32s(*sum, zero), zero, *sum);
                }
            }
            for (channel, sums) in sums.iter().enumerate() {
                let output = &mut self.outputs[channel * plane + first + at..][..step];
                S::as_mut_simd_f32s(output).0.copy_from_slice(sums);
            }
        }
    }
}

/// Adds every tap's share to neighbouring outputs of a block of channels; `planes` begin where the
/// first output's taps are counted from.
#[inline(always)]
pub(super) fn add_taps<S: Simd, const V: usize>(
    simd: S,
    block: &Block,
    taps: &[usize],
    planes: &[f32],
    mut sums: [[S::f32s; V]; CHANNELS],
) -> [[S::f32s; V]; CHANNELS] {
    for (weights, tap) in block.weights.iter().zip(taps) {
        let pixels = S::as_simd_f32s(&planes[*tap..][..V * S::F32_LANES]).0;
        for (sums, weight) in sums.iter_mut().zip(weights) {
            let weight = simd.splat_f32s(*weight);
            for (sum, pixels) in sums.iter_mut().zip(pixels) {
                *sum = simd.mul_add_f32s(weight, *pixels, *sum);
            }
        }
    }
    sums
}
