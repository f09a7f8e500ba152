//! OFA's multi-head attention: NormFormer head scale, additive position bias.

use burn::module::{Module, Param};
use burn::nn::Linear;
use burn::tensor::Tensor;
use burn::tensor::activation::softmax;
use burn::tensor::module::attention;
use burn::tensor::ops::AttentionModuleOptions;
use rayon::prelude::*;

use crate::differentiable::project;
use crate::host::{self, in_host_memory};
use crate::score_bias::ScoreBias;
use crate::weights::Loader;

/// Scores of a head up to which a fused kernel is as fast: beyond, burn's computes exponentials
/// one by one, and they take longer than the products. As many fit a core's cache.
const FUSED_SCORES_MAX: usize = 1 << 18;

/// Width and division of an attention.
#[derive(Clone, Copy, Debug)]
pub(crate) struct AttentionShape {
    pub(crate) d_model: usize,
    pub(crate) heads: usize,
    /// Scale of the scores, `(head_dim * attn_scale_factor)^-0.5`.
    pub(crate) scale: f64,
}

/// Scaled dot-product attention with an additive bias and a learned scale per head.
#[derive(Module, Debug)]
pub struct Attention {
    query: Linear,
    key: Linear,
    value: Linear,
    out: Linear,
    /// NormFormer's `c_attn`, `[heads]`.
    head_scale: Param<Tensor<1>>,
    heads: usize,
    scale: f64,
}

/// Keys and values of a sequence, each `[batch, heads, source, head_dim]`.
#[derive(Clone, Debug)]
pub struct KeysValues {
    /// Keys.
    pub keys: Tensor<4>,
    /// Values.
    pub values: Tensor<4>,
}

impl KeysValues {
    /// Joins along the source dimension.
    pub(crate) fn concat(parts: Vec<Self>) -> Self {
        Self::join(parts, 2)
    }

    /// Joins along the batch dimension.
    pub(crate) fn stack(parts: Vec<Self>) -> Self {
        Self::join(parts, 0)
    }

    fn join(mut parts: Vec<Self>, dim: usize) -> Self {
        if parts.len() == 1 {
            return parts.remove(0);
        }
        let (keys, values) = parts.into_iter().map(|part| (part.keys, part.values)).unzip();
        Self { keys: Tensor::cat(keys, dim), values: Tensor::cat(values, dim) }
    }

    /// Applies one operation to both.
    pub(crate) fn map(self, f: impl Fn(Tensor<4>) -> Tensor<4>) -> Self {
        Self { keys: f(self.keys), values: f(self.values) }
    }
}

impl Attention {
    pub(crate) fn load(loader: &mut Loader<'_>, name: &str, shape: AttentionShape) -> Self {
        let square = [shape.d_model, shape.d_model];
        Self {
            query: loader.linear(&format!("{name}.q_proj"), square),
            key: loader.linear(&format!("{name}.k_proj"), square),
            value: loader.linear(&format!("{name}.v_proj"), square),
            out: loader.linear(&format!("{name}.out_proj"), square),
            head_scale: loader.param(&format!("{name}.c_attn"), [shape.heads]),
            heads: shape.heads,
            scale: shape.scale,
        }
    }

    /// Queries, not yet scaled.
    ///
    /// # Shapes
    ///
    /// `[batch, target, d_model]` to `[batch, heads, target, head_dim]`
    pub fn queries(&self, hidden: Tensor<3>) -> Tensor<4> {
        self.queries_at(hidden, |projected| projected)
    }

    /// Queries of tokens that `place` puts into rows once they are projected.
    pub(crate) fn queries_at(
        &self,
        hidden: Tensor<3>,
        place: impl Fn(Tensor<3>) -> Tensor<3>,
    ) -> Tensor<4> {
        split_heads(place(project(&self.query, hidden)), self.heads)
    }

    /// Keys and values of a sequence.
    ///
    /// # Shapes
    ///
    /// `[batch, source, d_model]` to twice `[batch, heads, source, head_dim]`
    pub fn keys_values(&self, hidden: Tensor<3>) -> KeysValues {
        self.keys_values_at(hidden, |projected| projected)
    }

    /// Keys and values of tokens that `place` puts into rows once they are projected.
    pub(crate) fn keys_values_at(
        &self,
        hidden: Tensor<3>,
        place: impl Fn(Tensor<3>) -> Tensor<3>,
    ) -> KeysValues {
        self.keys_values_by(|projection| place(project(projection, hidden.clone())))
    }

    /// Keys and values as `rows` makes them with either projection, `[batch, source, d_model]`.
    pub(crate) fn keys_values_by(&self, rows: impl Fn(&Linear) -> Tensor<3>) -> KeysValues {
        KeysValues {
            keys: split_heads(rows(&self.key), self.heads),
            values: split_heads(rows(&self.value), self.heads),
        }
    }

    /// Attention per head: `softmax(scale * q k^T + bias) v`.
    ///
    /// # Shapes
    ///
    /// - queries: `[batch, heads, target, head_dim]`
    /// - bias: `[batch or 1, heads or 1, target or 1, source]`, very negative where masked
    /// - output: as queries
    pub fn attend(
        &self,
        queries: Tensor<4>,
        source: &KeysValues,
        bias: impl Into<ScoreBias>,
    ) -> Tensor<4> {
        let bias = bias.into();
        if queries.is_autodiff() {
            // burn has no backward of its fused attention, and differentiates the parts that it
            // falls back to through the row maximum, which a softmax does not depend on.
            let probabilities = self.probabilities(queries, source, bias);
            return probabilities.matmul(source.values.clone());
        }
        let (target, length) = (queries.dims()[2], source.keys.dims()[2]);
        if target * length > FUSED_SCORES_MAX && in_host_memory(&queries.device()) {
            return self.attend_in_parts(queries, source, &bias);
        }
        let options = AttentionModuleOptions { scale: Some(self.scale), ..Default::default() };
        let (keys, values) = (source.keys.clone(), source.values.clone());
        attention(queries, keys, values, None, Some(bias.sum()), options)
    }

    /// The same over a sequence in several parts of the host's memory, none of which is copied.
    pub(crate) fn attend_parts(
        &self,
        queries: Tensor<4>,
        parts: &[KeysValues],
        bias: Tensor<4>,
    ) -> Tensor<4> {
        if let [one] = parts {
            return self.attend(queries, one, bias);
        }
        let queries = queries * self.scale;
        let scores = |part: &KeysValues| queries.clone().matmul(part.keys.clone().swap_dims(2, 3));
        let scores = Tensor::cat(parts.iter().map(scores).collect(), 3) + bias;
        let probabilities = host::softmax(scores); // [batch, heads, target, source]
        let mut first = 0;
        let weighed = parts.iter().map(|part| {
            let length = part.values.dims()[2];
            let share = probabilities.clone().narrow(3, first, length);
            first += length;
            share.matmul(part.values.clone())
        });
        weighed.reduce(|sum, part| sum + part).expect("a source has parts")
    }

    /// The same, every head in parts that a core's cache holds, on all threads.
    fn attend_in_parts(
        &self,
        queries: Tensor<4>,
        source: &KeysValues,
        bias: &ScoreBias,
    ) -> Tensor<4> {
        let [batch, heads, target, _] = queries.dims();
        let rows = (FUSED_SCORES_MAX / source.keys.dims()[2]).max(1);
        let queries = queries * self.scale;
        let part = |number: usize| {
            let (row, head) = (number / heads, number % heads);
            let one = |tensor: &Tensor<4>| {
                let [rows, heads, _, _] = tensor.dims();
                tensor.clone().narrow(0, row.min(rows - 1), 1).narrow(1, head.min(heads - 1), 1)
            };
            let (keys, values) = (one(&source.keys).swap_dims(2, 3), one(&source.values));
            let (queries, terms) = (one(&queries), bias.terms().map(one).collect::<Vec<_>>());
            let parts = (0..target).step_by(rows).map(|first| {
                let part = |tensor: &Tensor<4>| match tensor.dims()[2] {
                    1 => tensor.clone(), // for every row
                    _ => tensor.clone().narrow(2, first, rows.min(target - first)),
                };
                let products = part(&queries).matmul(keys.clone());
                let scores = terms.iter().fold(products, |scores, term| scores + part(term));
                host::softmax(scores).matmul(values.clone())
            });
            Tensor::cat(parts.collect(), 2)
        };
        let parts: Vec<_> = (0..batch * heads).into_par_iter().map(part).collect();
        let head_dim = source.values.dims()[3];
        Tensor::cat(parts, 1).reshape([batch, heads, target, head_dim])
    }

    /// The attention probabilities that [`attend`](Self::attend) weighs the values with.
    pub fn probabilities(
        &self,
        queries: Tensor<4>,
        source: &KeysValues,
        bias: impl Into<ScoreBias>,
    ) -> Tensor<4> {
        let scores = (queries * self.scale).matmul(source.keys.clone().swap_dims(2, 3));
        softmax(scores + bias.into().sum(), 3) // [batch, heads, target, source]
    }

    /// Scales the heads, joins them and projects.
    ///
    /// # Shapes
    ///
    /// `[batch, heads, target, head_dim]` to `[batch, target, d_model]`
    pub fn project(&self, attended: Tensor<4>) -> Tensor<3> {
        self.project_from(attended, |joined| joined)
    }

    /// The same of the tokens that `take` takes out of the rows before they are projected.
    pub(crate) fn project_from(
        &self,
        attended: Tensor<4>,
        take: impl Fn(Tensor<3>) -> Tensor<3>,
    ) -> Tensor<3> {
        let scale = self.head_scale.val().reshape([1, self.heads, 1, 1]);
        let [batch, heads, target, head_dim] = attended.dims();
        let joined = (attended * scale)
            .swap_dims(1, 2) // [batch, target, heads, head_dim]
            .reshape([batch, target, heads * head_dim]);
        project(&self.out, take(joined))
    }
}

/// `[batch, length, heads * head_dim]` to `[batch, heads, length, head_dim]`.
pub(crate) fn split_heads(hidden: Tensor<3>, heads: usize) -> Tensor<4> {
    let [batch, length, width] = hidden.dims();
    hidden
        .reshape([batch, length, heads, width / heads]) // [batch, length, heads, head_dim]
        .swap_dims(1, 2)
}

#[cfg(test)]
mod tests {
    use burn::nn::LinearConfig;
    use burn::tensor::{Device, Distribution};

    use super::*;
    use crate::score_bias::padding_bias;

    const HEADS: usize = 3;
    const HEAD_DIM: usize = 8;

    fn layer() -> Attention {
        let (device, width) = (Device::flex(), HEADS * HEAD_DIM);
        let linear = || LinearConfig::new(width, width).init(&device);
        Attention {
            query: linear(),
            key: linear(),
            value: linear(),
            out: linear(),
            head_scale: Param::from_tensor(Tensor::ones([HEADS], &device)),
            heads: HEADS,
            scale: 0.3,
        }
    }

    fn random(shape: [usize; 4]) -> Tensor<4> {
        Tensor::random(shape, Distribution::Uniform(-1.0, 1.0), &Device::flex())
    }

    #[test]
    fn a_source_in_parts_is_the_source() {
        let attention = layer();
        let part = |length| KeysValues {
            keys: random([1, HEADS, length, HEAD_DIM]),
            values: random([1, HEADS, length, HEAD_DIM]),
        };
        let parts = vec![part(30), part(1), part(7)];
        let (queries, bias) = (random([1, HEADS, 5, HEAD_DIM]), random([1, HEADS, 5, 38]) * 9.0);
        let whole = KeysValues::concat(parts.clone());
        let expected = attention.attend(queries.clone(), &whole, bias.clone());
        let found = attention.attend_parts(queries, &parts, bias);
        let difference = (expected - found).abs().max().into_scalar::<f32>();
        assert!(difference < 1e-5, "{difference}");
    }

    #[test]
    fn attention_in_parts_is_attention() {
        let (device, attention) = (Device::flex(), layer());
        let (heads, target, length, head_dim) = (HEADS, 700, 500, HEAD_DIM);
        let shapes = [
            (1, [1, 3, 700, 500], None),
            (2, [2, 1, 1, 500], None),
            (2, [1, 3, 1, 500], None),
            (2, [1, 3, 700, 500], Some([500, 350])),
        ];
        for (batch, bias, lengths) in shapes {
            let queries = random([batch, heads, target, head_dim]);
            let source = KeysValues {
                keys: random([batch, heads, length, head_dim]),
                values: random([batch, heads, length, head_dim]),
            };
            let padding = lengths.and_then(|lengths| padding_bias(&lengths, length, &device));
            let bias = ScoreBias::padded(random(bias) * 9.0, padding);
            let probabilities = attention.probabilities(queries.clone(), &source, bias.clone());
            let expected = probabilities.matmul(source.values.clone());
            let found = attention.attend_in_parts(queries, &source, &bias);
            let difference = (expected - found).abs().max().into_scalar::<f32>();
            assert!(difference < 1e-5, "{difference}");
        }
    }
}
