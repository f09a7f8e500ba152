//! 3x3 convolutions of stride 1 with fewer multiplications: Winograd's minimal filtering
//! F(2x2, 3x3) (Lavin and Gray, "Fast Algorithms for Convolutional Neural Networks", section 4.1).
//!
//! A tile of 4x4 inputs gives 2x2 outputs. Tiles and kernels are transformed by additions, and
//! then an output tile takes 16 multiplications per pair of channels instead of 36: one matrix
//! product for each of the 16 places of a tile. The transforms run in the host's memory.

mod tiles;

use burn::tensor::{Tensor, TensorData};

use crate::rows::to_host;
use tiles::Tiles;

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
