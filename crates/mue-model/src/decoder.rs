//! The decoder: embeddings, positions, layers and the tied head.

use burn::module::Module;
use burn::nn::{Embedding, LayerNorm, Linear};
use burn::tensor::Tensor;

use crate::attention::{AttentionShape, split_heads};
use crate::config::OfaConfig;
use crate::encoder::{pair_buckets, position_scale, rows_of};
use crate::layers::DecoderLayer;
use crate::one_row::times_transposed;
use crate::weights::Loader;

/// The decoder's parameters. The token table belongs to the encoder and is tied.
#[derive(Module, Debug)]
pub struct Decoder {
    token_norm: LayerNorm,
    positions: DecoderPositions,
    /// The layers.
    pub layers: Vec<DecoderLayer>,
    final_norm: LayerNorm,
}

impl Decoder {
    pub(crate) fn load(loader: &mut Loader<'_>, config: &OfaConfig) -> Self {
        let d_model = config.d_model;
        let shape = AttentionShape {
            d_model,
            heads: config.decoder_attention_heads,
            scale: position_scale(config.decoder_head_dim(), config),
        };
        let decoder = Self {
            token_norm: loader.layer_norm("decoder.layernorm_embedding", d_model),
            positions: DecoderPositions::load(loader, config),
            layers: (0..config.decoder_layers)
                .map(|layer| {
                    let name = format!("decoder.layers.{layer}");
                    DecoderLayer::load(loader, &name, shape, config.decoder_ffn_dim)
                })
                .collect(),
            final_norm: loader.layer_norm("decoder.layer_norm", d_model),
        };
        accept_image_generation(loader, config);
        decoder
    }

    /// The decoder's input from token embeddings, `[batch, tokens, d_model]`.
    pub fn embed(&self, embedded: Tensor<3>) -> Tensor<3> {
        self.token_norm.forward(embedded)
    }

    /// The position tables.
    pub fn positions(&self) -> &DecoderPositions {
        &self.positions
    }

    /// Final LayerNorm and tied head.
    ///
    /// # Shapes
    ///
    /// - hidden: `[rows, d_model]`
    /// - table: `[tokens, d_model]`, the token embedding or some rows of it
    /// - output: `[rows, tokens]` logits
    pub fn logits(&self, hidden: Tensor<2>, table: Tensor<2>) -> Tensor<2> {
        times_transposed(self.final_norm.forward(hidden), table)
    }
}

/// Published checkpoints carry parameters that only image generation uses. They are checked for
/// shape where present, and left in the file.
fn accept_image_generation(loader: &mut Loader<'_>, config: &OfaConfig) {
    let d_model = config.d_model;
    loader.accept(
        "decoder.embed_image_positions.weight",
        &[config.image_bucket_size.pow(2) + 1, d_model],
    );
    for norm in ["image_pos_ln", "code_layernorm_embedding"] {
        loader.accept(&format!("decoder.{norm}.weight"), &[d_model]);
        loader.accept(&format!("decoder.{norm}.bias"), &[d_model]);
    }
    for layer in 0..config.decoder_layers {
        let name = format!("decoder.image_rel_pos_table_list.{layer}.weight");
        let rows = config.image_relative_positions();
        loader.accept(&name, &[rows, config.decoder_attention_heads]);
    }
}

/// What the decoder adds to its attention scores because of positions alone.
#[derive(Module, Debug)]
pub struct DecoderPositions {
    tokens: Embedding,
    norm: LayerNorm,
    self_query: Linear,
    self_key: Linear,
    cross_query: Linear,
    cross_key: Linear,
    relative: Vec<Embedding>,
    #[module(skip)]
    shape: PositionShape,
}

#[derive(Clone, Debug)]
struct PositionShape {
    heads: usize,
    scale: f64,
    token_bucket_size: usize,
}

impl DecoderPositions {
    fn load(loader: &mut Loader<'_>, config: &OfaConfig) -> Self {
        let (d_model, heads) = (config.d_model, config.decoder_attention_heads);
        let square = [d_model, d_model];
        let positions = config.max_position_embeddings + 2;
        Self {
            tokens: loader.embedding("decoder.embed_positions", [positions, d_model]),
            norm: loader.layer_norm("decoder.pos_ln", d_model),
            self_query: loader.linear("decoder.self_pos_q_linear", square),
            self_key: loader.linear("decoder.self_pos_k_linear", square),
            cross_query: loader.linear("decoder.cross_pos_q_linear", square),
            cross_key: loader.linear("decoder.cross_pos_k_linear", square),
            relative: (0..config.decoder_layers)
                .map(|layer| {
                    let name = format!("decoder.token_rel_pos_table_list.{layer}");
                    loader.embedding(&name, [2 * config.token_bucket_size - 1, heads])
                })
                .collect(),
            shape: PositionShape {
                heads,
                scale: position_scale(config.decoder_head_dim(), config),
                token_bucket_size: config.token_bucket_size,
            },
        }
    }

    /// Self-attention bias of every layer, `[layers, heads, tokens, tokens]`, not masked.
    pub fn self_bias(&self, tokens: usize) -> Tensor<4> {
        let positions = self.embedding(tokens);
        let heads = self.shape.heads;
        let queries = split_heads(self.self_query.forward(positions.clone()), heads);
        let keys = split_heads(self.self_key.forward(positions), heads);
        let absolute = (queries * self.shape.scale).matmul(keys.swap_dims(2, 3));
        let ids = pair_buckets(tokens, self.shape.token_bucket_size);
        let relative = self
            .relative
            .iter()
            .map(|table| rows_of(table, &ids).transpose().reshape([1, heads, tokens, tokens]))
            .collect();
        Tensor::cat(relative, 0) + absolute
    }

    /// Cross-attention bias, `[tokens, heads, source]`, the same in each layer.
    ///
    /// `source` is the `[1, source, d_model]` position embedding of encoder tokens.
    pub fn cross_bias(&self, tokens: usize, source: Tensor<3>) -> Tensor<3> {
        let heads = self.shape.heads;
        let queries = split_heads(self.cross_query.forward(self.embedding(tokens)), heads);
        let keys = split_heads(self.cross_key.forward(source), heads);
        (queries * self.shape.scale)
            .matmul(keys.swap_dims(2, 3)) // [1, heads, tokens, source]
            .squeeze_dim::<3>(0)
            .swap_dims(0, 1)
    }

    /// Largest number of tokens that have a position.
    pub fn tokens_max(&self) -> usize {
        self.tokens.weight.dims()[0]
    }

    fn embedding(&self, tokens: usize) -> Tensor<3> {
        self.norm.forward(self.tokens.weight.val().slice(0..tokens).unsqueeze())
    }
}
