//! The product of a few rows with a table, which is as fast as the table is read.

use burn::tensor::Tensor;

use crate::host::in_host_memory;

/// The most rows that are few: beyond, a matrix product proper is as fast.
const FEW: usize = 32;

/// Bytes of a part of the table: a core's cache holds it while it is packed and multiplied.
const PART_BYTES: usize = 32 << 10;

/// `rows` times a table whose rows are what is multiplied with, as the tied head's: PyTorch's
/// `[out, in]`, which is not copied.
///
/// CPU backends divide a product among threads by its rows, of which there are too few, or by its
/// batch. So the table becomes a batch of parts. A device with memory of its own has threads
/// enough.
///
/// # Shapes
///
/// - rows: `[rows, in]`
/// - table: `[out, in]`
/// - output: `[rows, out]`
pub(crate) fn times_transposed(rows: Tensor<2>, table: Tensor<2>) -> Tensor<2> {
    let ([count, inputs], [outputs, _]) = (rows.dims(), table.dims());
    let part = (PART_BYTES / (size_of::<f32>() * inputs)).max(1);
    let parts = outputs / part;
    if count > FEW || parts < 2 || !in_host_memory(&rows.device()) {
        return rows.matmul(table.transpose());
    }
    let inside = parts * part;
    let divided = table.clone().narrow(0, 0, inside).reshape([parts, part, inputs]);
    let product = rows
        .clone()
        .unsqueeze::<3>()
        .matmul(divided.swap_dims(1, 2)) // [parts, rows, outputs of a part]
        .swap_dims(0, 1)
        .reshape([count, inside]);
    if inside == outputs {
        return product;
    }
    let rest = rows.matmul(table.narrow(0, inside, outputs - inside).transpose());
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
