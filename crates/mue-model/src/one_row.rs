//! The product of one row with a matrix, which is as fast as the matrix is read.

use burn::tensor::Tensor;

/// Parts of a matrix that are multiplied side by side: CPU backends divide a product among
/// threads by its rows, of which there is one, or by its batch.
const PARTS: usize = 4;

/// `rows` times a weight that is stored as PyTorch does, `[out, in]`, and is not copied.
///
/// # Shapes
///
/// - rows: `[rows, in]`
/// - weight: `[out, in]`
/// - output: `[rows, out]`
pub(crate) fn times_transposed(rows: Tensor<2>, weight: Tensor<2>) -> Tensor<2> {
    let ([count, inputs], [outputs, _]) = (rows.dims(), weight.dims());
    if count != 1 || outputs < PARTS {
        return rows.matmul(weight.transpose());
    }
    let (part, rest) = (outputs / PARTS, outputs % PARTS);
    let whole = weight
        .clone()
        .slice([0..PARTS * part])
        .reshape([PARTS, part, inputs]) // [parts, outputs of a part, in]
        .swap_dims(1, 2);
    let product = rows.clone().unsqueeze::<3>().matmul(whole); // [parts, 1, outputs of a part]
    let product = product.reshape([1, PARTS * part]);
    match rest {
        0 => product,
        _ => {
            let rest = rows.matmul(weight.slice([PARTS * part..outputs]).transpose());
            Tensor::cat(vec![product, rest], 1)
        }
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::{Device, Distribution};

    use super::*;

    #[test]
    fn the_parts_are_the_whole_product() {
        let device = Device::flex();
        let noise = Distribution::Uniform(-1.0, 1.0);
        for (count, outputs) in [(1, 3), (1, 4), (1, 8), (1, 23), (2, 23)] {
            let rows = Tensor::<2>::random([count, 37], noise, &device);
            let weight = Tensor::<2>::random([outputs, 37], noise, &device);
            let expected = rows.clone().matmul(weight.clone().transpose());
            let found = times_transposed(rows, weight);
            assert_eq!(found.dims(), [count, outputs]);
            let difference = (expected - found).abs().max().into_scalar::<f32>();
            assert!(difference < 1e-5, "{count} x {outputs}: {difference}");
        }
    }
}
