//! How much a layer changed a row: `cos(H_i, H_{i-1})` (MuE, section 3.3).

use std::ops::Range;

use burn::tensor::Tensor;

use crate::host::{self, in_host_memory};
use crate::rows::to_host;

/// Inner products of two states, token by token.
///
/// The width is summed on the device; tokens and rows are added up here in double precision, so
/// that any group of them can be one vector: a row's valid tokens, or a request's beams.
pub(crate) struct Products {
    /// `before . after`, `before . before`, `after . after`, for each row and token.
    sums: Vec<f32>,
    tokens: usize,
}

impl Products {
    /// # Shapes
    ///
    /// both `[rows, tokens, d_model]`
    pub(crate) fn of(before: Tensor<3>, after: Tensor<3>) -> Self {
        let [_, tokens, width] = before.dims();
        if in_host_memory(&before.device()) {
            let sums = host::inner_products(&to_host(before), &to_host(after), width);
            return Self { sums, tokens };
        }
        let products = vec![
            (before.clone() * after.clone()).sum_dim(2),
            (before.clone() * before).sum_dim(2),
            (after.clone() * after).sum_dim(2),
        ];
        Self { sums: to_host(Tensor::cat(products, 2)), tokens } // [rows, tokens, 3]
    }

    /// Similarity of some rows' tokens, flattened to one vector.
    pub(crate) fn cosine(&self, rows: Range<usize>, tokens: Range<usize>) -> f32 {
        let mut totals = [0.0f64; 3];
        for row in rows {
            let row = &self.sums[3 * row * self.tokens..][..3 * self.tokens];
            for token in row[3 * tokens.start..3 * tokens.end].chunks_exact(3) {
                for (total, product) in totals.iter_mut().zip(token) {
                    *total += f64::from(*product);
                }
            }
        }
        let [xy, xx, yy] = totals;
        let norm = xx.sqrt() * yy.sqrt();
        // Two zero vectors are as different as can be told; NaN stays NaN and never exits.
        if norm == 0.0 { 0.0 } else { (xy / norm) as f32 }
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::{Device, Distribution};

    use super::*;

    fn products(sums: &[[f32; 3]], tokens: usize) -> Products {
        Products { sums: sums.concat(), tokens }
    }

    #[test]
    fn rows_and_tokens_are_joined_before_the_division() {
        let two = products(&[[1.0, 1.0, 4.0], [0.0, 3.0, 5.0]], 1);
        assert!((two.cosine(0..2, 0..1) - 1.0 / 6.0).abs() < 1e-7);
        assert_eq!(two.cosine(0..1, 0..1), 0.5);
    }

    #[test]
    fn products_of_states_are_summed_over_the_width() {
        let (device, noise) = (Device::flex(), Distribution::Uniform(-1.0, 1.0));
        for shape in [[1, 1, 5], [3, 2, 64], [2, 300, 100]] {
            let [before, after] = [(); 2].map(|()| Tensor::<3>::random(shape, noise, &device));
            let pairs = [(&before, &after), (&before, &before), (&after, &after)];
            let expected = pairs.map(|(a, b)| (a.clone() * b.clone()).sum_dim(2));
            let expected = to_host(Tensor::cat(expected.to_vec(), 2));
            let found = Products::of(before, after).sums;
            assert_eq!(found.len(), expected.len());
            assert!(found.iter().zip(&expected).all(|(a, b)| (a - b).abs() < 1e-4));
        }
    }

    #[test]
    fn padding_tokens_do_not_count() {
        let padded = products(&[[1.0, 1.0, 4.0], [9.0, 9.0, 9.0]], 2);
        assert_eq!(padded.cosine(0..1, 0..1), 0.5);
    }

    #[test]
    fn nothing_is_similar_to_nothing_and_nan_stays() {
        assert_eq!(products(&[[0.0, 0.0, 1.0]], 1).cosine(0..1, 0..1), 0.0);
        assert!(products(&[[f32::NAN, 1.0, 1.0]], 1).cosine(0..1, 0..1).is_nan());
    }
}
