//! 3x3 convolutions of stride 1 with fewer multiplications: Winograd's minimal filtering
//! F(2x2, 3x3) (Lavin and Gray, "Fast Algorithms for Convolutional Neural Networks", section 4.1).
//!
//! A tile of 4x4 inputs gives 2x2 outputs. Tiles and kernels are transformed by additions, and
//! then an output tile takes 16 multiplications per pair of channels instead of 36: one matrix
//! product for each of the 16 places of a tile. The transforms run in the host's memory.

use burn::tensor::{Tensor, TensorData};
use pulp::NullaryFnOnce;
use rayon::prelude::*;

use crate::host::vectorised;
use crate::rows::to_host;

/// Places of a tile.
const PLACES: usize = 16;

/// Tiles that are transformed at once, unless one picture has more: enough for matrix products
/// at full speed, while what lies between the transforms stays small.
const TILES: usize = 4096;

/// A 3x3 kernel, transformed, with the bias of its outputs.
#[derive(Clone, Debug)]
pub(crate) struct Kernel {
    /// `[16, out, in]`
    weight: Tensor<3>,
    bias: Vec<f32>,
}

impl Kernel {
    /// Transforms a kernel `[out, in, 3, 3]`.
    pub(crate) fn new(weight: Tensor<4>, bias: Tensor<1>) -> Self {
        let ([outputs, inputs, _, _], device) = (weight.dims(), weight.device());
        let values = to_host(weight);
        let mut transformed = vec![0.0; PLACES * outputs * inputs];
        for (pair, kernel) in values.chunks_exact(9).enumerate() {
            for (place, value) in transform_kernel(kernel).into_iter().enumerate() {
                transformed[place * outputs * inputs + pair] = value;
            }
        }
        let weight = TensorData::new(transformed, [PLACES, outputs, inputs]);
        Self { weight: Tensor::from_data(weight, &device), bias: to_host(bias) }
    }

    /// The rectified convolution, padded by 1.
    ///
    /// # Shapes
    ///
    /// `[batch, in, height, width]` to `[batch, out, height, width]`
    pub(crate) fn convolve_relu(&self, features: Tensor<4>) -> Tensor<4> {
        let [batch, _, height, width] = features.dims();
        let pictures = (TILES / Tiles::of(height, width).count()).max(1);
        if batch <= pictures {
            return self.convolve_few(features);
        }
        let parts = features.split(pictures, 0);
        Tensor::cat(parts.into_iter().map(|part| self.convolve_few(part)).collect(), 0)
    }

    fn convolve_few(&self, features: Tensor<4>) -> Tensor<4> {
        let ([batch, inputs, height, width], device) = (features.dims(), features.device());
        let ([_, outputs, _], tiles) = (self.weight.dims(), Tiles::of(height, width));
        let places = tiles.transform_inputs(&to_host(features), [batch, inputs]);
        let places = TensorData::new(places, [inputs, PLACES, batch * tiles.count()]);
        let places = Tensor::<3>::from_data(places, &device).swap_dims(0, 1);
        let products = self.weight.clone().matmul(places); // [16, out, batch * tiles]
        let values = tiles.outputs(&to_host(products), batch, &self.bias);
        Tensor::from_data(TensorData::new(values, [batch, outputs, height, width]), &device)
    }
}

/// `G g G^T`, row by row.
fn transform_kernel(kernel: &[f32]) -> [f32; PLACES] {
    let spread = |[a, b, c]: [f32; 3]| [a, 0.5 * (a + b + c), 0.5 * (a - b + c), c];
    let columns: [[f32; 4]; 3] =
        std::array::from_fn(|x| spread([kernel[x], kernel[3 + x], kernel[6 + x]]));
    let mut places = [0.0; PLACES];
    for (y, row) in places.chunks_exact_mut(4).enumerate() {
        row.copy_from_slice(&spread([columns[0][y], columns[1][y], columns[2][y]]));
    }
    places
}

/// How a picture is cut: tiles of outputs, of which the last may stick out.
#[derive(Clone, Copy, Debug)]
struct Tiles {
    height: usize,
    width: usize,
    rows: usize,
    columns: usize,
}

impl Tiles {
    fn of(height: usize, width: usize) -> Self {
        Self { height, width, rows: height.div_ceil(2), columns: width.div_ceil(2) }
    }

    fn count(self) -> usize {
        self.rows * self.columns
    }

    /// `B^T d B` of every tile, `[batch, channels, height, width]` to
    /// `[channels, 16, batch * tiles]`.
    fn transform_inputs(self, features: &[f32], [batch, channels]: [usize; 2]) -> Vec<f32> {
        let (pixels, tiles) = (self.height * self.width, self.count());
        let mut places = vec![0.0; channels * PLACES * batch * tiles];
        places.par_chunks_mut(PLACES * batch * tiles).enumerate().for_each_init(
            || Padded::new(self),
            |padded, (channel, places)| {
                for picture in 0..batch {
                    let plane = &features[(picture * channels + channel) * pixels..][..pixels];
                    vectorised(InputPass { padded, plane, places, picture, batch });
                }
            },
        );
        places
    }

    /// `A^T m A` of every tile with bias, negative values cut off, `[16, channels, batch * tiles]`
    /// to `[batch, channels, height, width]`.
    fn outputs(self, products: &[f32], batch: usize, bias: &[f32]) -> Vec<f32> {
        let (channels, pixels) = (bias.len(), self.height * self.width);
        let mut features = vec![0.0; batch * channels * pixels];
        features.par_chunks_mut(pixels).enumerate().for_each_init(
            || vec![0.0; 4 * self.columns],
            |sums, (plane, features)| {
                let of = [plane / channels, plane % channels];
                vectorised(OutputPass { tiles: self, products, batch, bias, of, sums, features });
            },
        );
        features
    }

    /// One channel of one picture; `place` gives a place of each of its tiles.
    #[inline(always)]
    fn output_plane<'a>(
        self,
        place: impl Fn(usize) -> &'a [f32],
        bias: f32,
        sums: &mut [f32],
        plane: &mut [f32],
    ) {
        for (y, line) in plane.chunks_exact_mut(self.width).enumerate() {
            let tiles = y / 2 * self.columns..(y / 2 + 1) * self.columns;
            // The upper line adds the tile's first three rows, the lower one takes the last two
            // from the second.
            let (first, sign) = if y % 2 == 0 { (0, 1.0) } else { (1, -1.0) };
            for (x, sums) in sums.chunks_exact_mut(self.columns).enumerate() {
                let row = |y: usize| place(4 * (first + y) + x)[tiles.clone()].iter();
                for (((sum, a), b), c) in sums.iter_mut().zip(row(0)).zip(row(1)).zip(row(2)) {
                    *sum = a + sign * (b + c);
                }
            }
            let (left, right) = sums.split_at(2 * self.columns);
            let ((a, b), (c, d)) = (left.split_at(self.columns), right.split_at(self.columns));
            let columns = a.iter().zip(b).zip(c).zip(d);
            let mut pairs = line.chunks_exact_mut(2);
            for (pair, (((a, b), c), d)) in pairs.by_ref().zip(columns) {
                pair[0] = rectified(a + b + c + bias);
                pair[1] = rectified(b - c - d + bias);
            }
            if let ([end], [.., a], [.., b], [.., c]) = (pairs.into_remainder(), a, b, c) {
                *end = rectified(a + b + c + bias);
            }
        }
    }
}

/// A channel of one picture on its way into the products.
struct InputPass<'a> {
    padded: &'a mut Padded,
    plane: &'a [f32],
    places: &'a mut [f32],
    picture: usize,
    batch: usize,
}

impl NullaryFnOnce for InputPass<'_> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        let Self { padded, plane, places, picture, batch } = self;
        let tiles = padded.tiles.count();
        padded.transform(plane, places, |number| (number * batch + picture) * tiles);
    }
}

/// A channel of one picture on its way out of the products.
struct OutputPass<'a> {
    tiles: Tiles,
    products: &'a [f32],
    batch: usize,
    bias: &'a [f32],
    /// Picture and channel.
    of: [usize; 2],
    sums: &'a mut [f32],
    features: &'a mut [f32],
}

impl NullaryFnOnce for OutputPass<'_> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        let Self { tiles, products, batch, bias, of: [picture, channel], sums, features } = self;
        let place = |number: usize| {
            let first = ((number * bias.len() + channel) * batch + picture) * tiles.count();
            &products[first..first + tiles.count()]
        };
        tiles.output_plane(place, bias[channel], sums, features);
    }
}

#[inline(always)]
fn rectified(value: f32) -> f32 {
    if value < 0.0 { 0.0 } else { value }
}

/// A plane with a border of zeros, its even and its odd columns apart, so that neighbouring tiles
/// are neighbours in memory.
struct Padded {
    tiles: Tiles,
    /// Columns 0, 2, ... of the padded lines, one more than there are columns of tiles.
    even: Vec<f32>,
    /// Columns 1, 3, ...
    odd: Vec<f32>,
    /// A row of tiles on its way: even and odd columns.
    sums: [Vec<f32>; 2],
}

impl Padded {
    fn new(tiles: Tiles) -> Self {
        let columns = tiles.columns + 1;
        let zeros = vec![0.0; (2 * tiles.rows + 2) * columns];
        Self {
            tiles,
            even: zeros.clone(),
            odd: zeros,
            sums: [vec![0.0; columns], vec![0.0; columns]],
        }
    }

    /// `B^T d B` of the plane's tiles; `start` says where each place of theirs begins.
    #[inline(always)]
    fn transform(&mut self, plane: &[f32], places: &mut [f32], start: impl Fn(usize) -> usize) {
        self.fill(plane);
        let columns = self.tiles.columns;
        for row in 0..self.tiles.rows {
            for (y, (line, sign, other)) in
                [(0, -1.0, 2), (1, 1.0, 2), (2, -1.0, 1), (1, -1.0, 3)].into_iter().enumerate()
            {
                for (sums, half) in self.sums.iter_mut().zip([&self.even, &self.odd]) {
                    let at = |line| half[(2 * row + line) * (columns + 1)..].iter();
                    for ((sum, a), b) in sums.iter_mut().zip(at(line)).zip(at(other)) {
                        *sum = a + sign * b;
                    }
                }
                let [even, odd] = &self.sums;
                let mut write = |x: usize, sign: f32, a: &[f32], b: &[f32]| {
                    let first = start(4 * y + x) + row * columns;
                    let tiles = places[first..first + columns].iter_mut();
                    for ((value, a), b) in tiles.zip(a).zip(b) {
                        *value = a + sign * b;
                    }
                };
                write(0, -1.0, even, &even[1..]);
                write(1, 1.0, odd, &even[1..]);
                write(2, -1.0, &even[1..], odd);
                write(3, -1.0, odd, &odd[1..]);
            }
        }
    }

    /// Puts a plane inside the border, which stays.
    #[inline(always)]
    fn fill(&mut self, plane: &[f32]) {
        let columns = self.tiles.columns + 1;
        let lines = self.even.chunks_exact_mut(columns).zip(self.odd.chunks_exact_mut(columns));
        for ((even, odd), line) in lines.skip(1).zip(plane.chunks_exact(self.tiles.width)) {
            let pairs = line.chunks_exact(2);
            if let ([end], Some(place)) = (pairs.remainder(), odd.get_mut(columns - 2)) {
                *place = *end;
            }
            for ((even, odd), pair) in even[1..].iter_mut().zip(odd).zip(pairs) {
                (*odd, *even) = (pair[0], pair[1]);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::activation::relu;
    use burn::tensor::module::conv2d;
    use burn::tensor::ops::ConvOptions;
    use burn::tensor::{Device, Distribution};

    use super::*;

    #[test]
    fn it_is_the_convolution() {
        let device = Device::flex();
        let noise = Distribution::Uniform(-1.0, 1.0);
        let sizes = [(6, 6), (7, 4), (1, 1), (2, 9), (12, 12)];
        for ((batch, [height, width]), [inputs, outputs]) in sizes
            .into_iter()
            .flat_map(|(height, width)| [(1, [height, width]), (3, [height, width])])
            .zip([[5, 3], [8, 16], [1, 1], [4, 2]].into_iter().cycle())
        {
            let features = Tensor::random([batch, inputs, height, width], noise, &device);
            let weight = Tensor::<4>::random([outputs, inputs, 3, 3], noise, &device);
            let bias = Tensor::<1>::random([outputs], noise, &device);
            let options = ConvOptions::new([1, 1], [1, 1], [1, 1], 1);
            let expected =
                relu(conv2d(features.clone(), weight.clone(), Some(bias.clone()), options));
            let found = Kernel::new(weight, bias).convolve_relu(features);
            assert_eq!(found.dims(), [batch, outputs, height, width]);
            let difference = (expected - found).abs().max().into_scalar::<f32>();
            assert!(difference < 1e-5, "{batch} x {height} x {width}: {difference}");
        }
    }

    #[test]
    fn many_pictures_are_computed_in_parts() {
        let device = Device::flex();
        let noise = Distribution::Uniform(-1.0, 1.0);
        let side = 64; // 1024 tiles a picture
        let features = Tensor::<4>::random([6, 2, side, side], noise, &device);
        let weight = Tensor::<4>::random([3, 2, 3, 3], noise, &device);
        let kernel = Kernel::new(weight, Tensor::zeros([3], &device));
        let together = kernel.convolve_relu(features.clone());
        let alone = features.split(1, 0).into_iter().map(|one| kernel.convolve_relu(one)).collect();
        assert_eq!(together.into_data(), Tensor::cat(alone, 0).into_data());
    }
}
