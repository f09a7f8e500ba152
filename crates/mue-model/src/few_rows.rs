//! The product of a few rows with a matrix, which is as fast as the matrix is read.

use burn::tensor::Tensor;

use crate::host::in_host_memory;

/// The most rows that are few: beyond, a matrix product proper is faster.
const FEW: usize = 32;

/// Bytes of the part of a matrix that one row after the other is multiplied with while a core
/// holds it in its cache.
const PART_BYTES: usize = 256 << 10;

/// `rows` times a weight that is stored as PyTorch does, `[out, in]`, and is not copied.
///
/// CPU backends divide a product among threads by its rows, of which there are too few, or by its
/// batch. So the weight becomes a batch of parts, and every row is multiplied with each. A device
/// with memory of its own would read the weight once per row, and has threads enough.
///
/// # Shapes
///
/// - rows: `[rows, in]`
/// - weight: `[out, in]`
/// - output: `[rows, out]`
pub(crate) fn times_transposed(rows: Tensor<2>, weight: Tensor<2>) -> Tensor<2> {
    let ([count, inputs], [outputs, _]) = (rows.dims(), weight.dims());
    let part = (PART_BYTES / (size_of::<f32>() * inputs)).max(1);
    let parts = outputs / part;
    if count > FEW || parts < 2 || !in_host_memory(&rows.device()) {
        return rows.matmul(weight.transpose());
    }
    let inside = parts * part;
    let divided = weight.clone().narrow(0, 0, inside).reshape([parts, 1, part, inputs]);
    let product = rows
        .clone()
        .reshape([1, count, 1, inputs])
        .matmul(divided.swap_dims(2, 3)) // [parts, rows, 1, outputs of a part]
        .swap_dims(0, 1)
        .reshape([count, inside]);
    if inside == outputs {
        return product;
    }
    let rest = rows.matmul(weight.narrow(0, inside, outputs - inside).transpose());
    Tensor::cat(vec![product, rest], 1)
}

#[cfg(test)]
mod tests {
    use burn::tensor::{Device, Distribution};

    use super::*;

    #[test]
    fn the_parts_are_the_whole_product() {
        let device = Device::flex();
        let noise = Distribution::Uniform(-1.0, 1.0);
        let inputs = 1000;
        let part = PART_BYTES / 4 / inputs;
        for count in [1, 2, 5, FEW, FEW + 1] {
            for outputs in [3, part, 2 * part, 3 * part + 1] {
                let rows = Tensor::<2>::random([count, inputs], noise, &device);
                let weight = Tensor::<2>::random([outputs, inputs], noise, &device);
                let expected = rows.clone().matmul(weight.clone().transpose());
                let found = times_transposed(rows, weight);
                assert_eq!(found.dims(), [count, outputs]);
                let difference = (expected - found).abs().max().into_scalar::<f32>();
                assert!(difference < 1e-4, "{count} x {outputs}: {difference}");
            }
        }
    }
}
