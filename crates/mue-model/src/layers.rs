//! The encoder and decoder layers: pre-norm with NormFormer's extra norms.

use burn::module::Module;
use burn::nn::{LayerNorm, Linear};
use burn::tensor::Tensor;

use crate::attention::{Attention, AttentionShape, KeysValues};
use crate::differentiable::{gelu, project};
use crate::score_bias::ScoreBias;
use crate::weights::Loader;

/// `x + fc2(norm(gelu(fc1(norm(x)))))`.
#[derive(Module, Debug)]
struct FeedForward {
    norm: LayerNorm,
    expand: Linear,
    inner_norm: LayerNorm,
    contract: Linear,
}

impl FeedForward {
    fn load(loader: &mut Loader<'_>, layer: &str, [d_model, inner]: [usize; 2]) -> Self {
        Self {
            norm: loader.layer_norm(&format!("{layer}.final_layer_norm"), d_model),
            expand: loader.linear(&format!("{layer}.fc1"), [d_model, inner]),
            inner_norm: loader.layer_norm(&format!("{layer}.ffn_layer_norm"), inner),
            contract: loader.linear(&format!("{layer}.fc2"), [inner, d_model]),
        }
    }

    fn forward(&self, hidden: Tensor<3>) -> Tensor<3> {
        let inner = gelu(project(&self.expand, self.norm.forward(hidden.clone())));
        project(&self.contract, self.inner_norm.forward(inner)) + hidden
    }
}

/// One encoder layer; image and text branches run through the same one.
#[derive(Module, Debug)]
pub struct EncoderLayer {
    norm: LayerNorm,
    attention: Attention,
    mid_norm: LayerNorm,
    feed_forward: FeedForward,
}

impl EncoderLayer {
    pub(crate) fn load(
        loader: &mut Loader<'_>,
        name: &str,
        shape: AttentionShape,
        ffn_dim: usize,
    ) -> Self {
        let d_model = shape.d_model;
        Self {
            norm: loader.layer_norm(&format!("{name}.self_attn_layer_norm"), d_model),
            attention: Attention::load(loader, &format!("{name}.self_attn"), shape),
            mid_norm: loader.layer_norm(&format!("{name}.self_attn_mid_layer_norm"), d_model),
            feed_forward: FeedForward::load(loader, name, [d_model, ffn_dim]),
        }
    }

    /// Its attention.
    pub fn attention(&self) -> &Attention {
        &self.attention
    }

    /// # Shapes
    ///
    /// - hidden, output: `[batch, tokens, d_model]`
    /// - bias: `[batch or 1, heads, tokens, tokens]`
    pub fn forward(&self, hidden: Tensor<3>, bias: impl Into<ScoreBias>) -> Tensor<3> {
        self.forward_with(hidden, |attention, normed| {
            let source = attention.keys_values(normed.clone());
            attention.project(attention.attend(attention.queries(normed), &source, bias))
        })
    }

    /// The layer around an attention of the caller's.
    ///
    /// # Shapes
    ///
    /// hidden, output, and what `attend` takes and gives: `[batch, tokens, d_model]`
    pub(crate) fn forward_with(
        &self,
        hidden: Tensor<3>,
        attend: impl FnOnce(&Attention, Tensor<3>) -> Tensor<3>,
    ) -> Tensor<3> {
        let attended = attend(&self.attention, self.norm.forward(hidden.clone()));
        let hidden = self.mid_norm.forward(attended) + hidden;
        self.feed_forward.forward(hidden)
    }

    /// Attention probabilities of this layer, `[batch, heads, tokens, tokens]`.
    pub fn probabilities(&self, hidden: Tensor<3>, bias: impl Into<ScoreBias>) -> Tensor<4> {
        let normed = self.norm.forward(hidden);
        let source = self.attention.keys_values(normed.clone());
        self.attention.probabilities(self.attention.queries(normed), &source, bias)
    }
}

/// One decoder layer: self-attention, cross-attention, feed-forward.
///
/// It runs in three parts, because what each attends to is kept outside: the self-attention cache
/// grows token by token, and each request has its own source.
#[derive(Module, Debug)]
pub struct DecoderLayer {
    self_norm: LayerNorm,
    self_attention: Attention,
    self_mid_norm: LayerNorm,
    cross_norm: LayerNorm,
    cross_attention: Attention,
    cross_mid_norm: LayerNorm,
    feed_forward: FeedForward,
}

impl DecoderLayer {
    pub(crate) fn load(
        loader: &mut Loader<'_>,
        name: &str,
        shape: AttentionShape,
        ffn_dim: usize,
    ) -> Self {
        let d_model = shape.d_model;
        let mut norm = |part: &str| loader.layer_norm(&format!("{name}.{part}"), d_model);
        let self_norm = norm("self_attn_layer_norm");
        let self_mid_norm = norm("self_attn_mid_layer_norm");
        let cross_norm = norm("cross_attn_layer_norm");
        let cross_mid_norm = norm("cross_attn_mid_layer_norm");
        Self {
            self_norm,
            self_attention: Attention::load(loader, &format!("{name}.self_attn"), shape),
            self_mid_norm,
            cross_norm,
            cross_attention: Attention::load(loader, &format!("{name}.cross_attn"), shape),
            cross_mid_norm,
            feed_forward: FeedForward::load(loader, name, [d_model, ffn_dim]),
        }
    }

    /// Self-attention keys and values of states that enter this layer.
    ///
    /// For a token that left at an earlier layer this is the `propagate` rule: the layer's own
    /// projections of the exit state.
    ///
    /// # Shapes
    ///
    /// `[batch, tokens, d_model]` to twice `[batch, heads, tokens, head_dim]`
    pub fn self_keys_values(&self, hidden: Tensor<3>) -> KeysValues {
        self.self_attention.keys_values(self.self_norm.forward(hidden))
    }

    /// Cross-attention keys and values of an encoder output.
    pub fn cross_keys_values(&self, encoded: Tensor<3>) -> KeysValues {
        self.cross_attention.keys_values(encoded)
    }

    /// The layer's output, `[batch, target, d_model]`.
    ///
    /// # Shapes
    ///
    /// - hidden: `[batch, target, d_model]`
    /// - bias: `[batch or 1, heads, target, cached tokens]`
    /// - cross: from queries `[batch, heads, target, head_dim]` to what was attended, same shape
    pub fn forward(
        &self,
        hidden: Tensor<3>,
        cached: &KeysValues,
        bias: Tensor<4>,
        cross: impl FnOnce(&Attention, Tensor<4>) -> Tensor<4>,
    ) -> Tensor<3> {
        let attend_self = |attention: &Attention, normed: Tensor<3>| {
            attention.project(attention.attend(attention.queries(normed), cached, bias))
        };
        self.forward_with(hidden, attend_self, |attention, normed| {
            attention.project(cross(attention, attention.queries(normed)))
        })
    }

    /// The layer around attentions of the caller's.
    ///
    /// # Shapes
    ///
    /// hidden, output, and what both take and give: `[batch, target, d_model]`
    pub(crate) fn forward_with(
        &self,
        hidden: Tensor<3>,
        attend_self: impl FnOnce(&Attention, Tensor<3>) -> Tensor<3>,
        attend_cross: impl FnOnce(&Attention, Tensor<3>) -> Tensor<3>,
    ) -> Tensor<3> {
        let attended = attend_self(&self.self_attention, self.self_norm.forward(hidden.clone()));
        let hidden = self.self_mid_norm.forward(attended) + hidden;
        let attended = attend_cross(&self.cross_attention, self.cross_norm.forward(hidden.clone()));
        let hidden = self.cross_mid_norm.forward(attended) + hidden;
        self.feed_forward.forward(hidden)
    }

    /// Self-attention probabilities of this layer, `[batch, heads, target, cached tokens]`.
    pub fn self_probabilities(&self, hidden: Tensor<3>, bias: Tensor<4>) -> Tensor<4> {
        let cached = self.self_keys_values(hidden.clone());
        let queries = self.self_attention.queries(self.self_norm.forward(hidden));
        self.self_attention.probabilities(queries, &cached, bias)
    }
}
