//! The encoder: stem, embeddings, positions and layers.

use burn::module::Module;
use burn::nn::{Embedding, LayerNorm, Linear};
use burn::tensor::{Int, Tensor};

use crate::attention::{AttentionShape, split_heads};
use crate::buckets::{Grid, token_bucket};
use crate::config::{ConfigError, OfaConfig};
use crate::differentiable::project;
use crate::layers::EncoderLayer;
use crate::rows::index;
use crate::stem::{Stem, StemKernels};
use crate::weights::Loader;

/// The encoder's parameters.
#[derive(Module, Debug)]
pub struct Encoder {
    stem: Stem,
    image_projection: Linear,
    image_norm: LayerNorm,
    embed_tokens: Embedding,
    token_norm: LayerNorm,
    /// Row 0 is added to text tokens, row 1 to image tokens.
    type_embedding: Embedding,
    positions: EncoderPositions,
    /// The layers, shared by every branch.
    pub layers: Vec<EncoderLayer>,
    final_norm: LayerNorm,
}

impl Encoder {
    pub(crate) fn load(loader: &mut Loader<'_>, config: &OfaConfig) -> Result<Self, ConfigError> {
        let d_model = config.d_model;
        let shape = AttentionShape {
            d_model,
            heads: config.encoder_attention_heads,
            scale: position_scale(config.encoder_head_dim(), config),
        };
        Ok(Self {
            stem: Stem::load(loader, config, config.stem_blocks()?),
            image_projection: loader
                .linear("encoder.image_proj", [config.stem_channels(), d_model]),
            image_norm: loader.layer_norm("encoder.patch_layernorm_embedding", d_model),
            embed_tokens: loader.embedding("encoder.embed_tokens", [config.vocab_size, d_model]),
            token_norm: loader.layer_norm("encoder.layernorm_embedding", d_model),
            type_embedding: loader.embedding("encoder.type_embedding", [2, d_model]),
            positions: EncoderPositions::load(loader, config),
            layers: (0..config.encoder_layers)
                .map(|layer| {
                    let name = format!("encoder.layers.{layer}");
                    EncoderLayer::load(loader, &name, shape, config.encoder_ffn_dim)
                })
                .collect(),
            final_norm: loader.layer_norm("encoder.layer_norm", d_model),
        })
    }

    /// The image stem.
    pub fn stem(&self) -> &Stem {
        &self.stem
    }

    /// The position tables.
    pub fn positions(&self) -> &EncoderPositions {
        &self.positions
    }

    /// The token embedding, `[vocab_size, d_model]`, tied to the LM head.
    pub fn token_table(&self) -> Tensor<2> {
        self.embed_tokens.weight.val()
    }

    /// Token embeddings without type or norm, as the decoder uses them.
    pub fn embed(&self, ids: Tensor<2, Int>) -> Tensor<3> {
        self.embed_tokens.forward(ids)
    }

    /// The text branch's input, `[batch, tokens]` ids to `[batch, tokens, d_model]`.
    pub fn embed_text(&self, ids: Tensor<2, Int>) -> Tensor<3> {
        self.token_norm.forward(self.embed(ids) + self.type_row(0))
    }

    /// The image branch's input, `[batch, 3, height, width]` pixels to
    /// `[batch, image tokens, d_model]`, with the grid of its tokens.
    pub fn embed_image(&self, pixels: Tensor<4>, kernels: &StemKernels) -> (Tensor<3>, Grid) {
        let (tokens, grid) = self.stem.tokens(pixels, kernels);
        let hidden = project(&self.image_projection, tokens) + self.type_row(1);
        (self.image_norm.forward(hidden), grid)
    }

    /// The shared final LayerNorm.
    pub fn normalise(&self, hidden: Tensor<3>) -> Tensor<3> {
        self.final_norm.forward(hidden)
    }

    fn type_row(&self, row: usize) -> Tensor<3> {
        self.type_embedding.weight.val().slice(row..row + 1).unsqueeze()
    }
}

/// `(head_dim * attn_scale_factor)^-0.5`, the scale of content and position scores alike.
pub(crate) fn position_scale(head_dim: usize, config: &OfaConfig) -> f64 {
    (head_dim as f64 * config.attn_scale_factor).powf(-0.5)
}

/// Everything the encoder adds to its attention scores because of positions alone.
///
/// OFA keeps positions apart from content: the bias of a pair is the product of projected
/// position embeddings (one pair of projections for all layers) plus a row of a per-layer
/// relative table.
#[derive(Module, Debug)]
pub struct EncoderPositions {
    text: Embedding,
    text_norm: LayerNorm,
    image: Embedding,
    image_norm: LayerNorm,
    query: Linear,
    key: Linear,
    text_relative: Vec<Embedding>,
    image_relative: Vec<Embedding>,
    #[module(skip)]
    shape: PositionShape,
}

#[derive(Clone, Debug)]
struct PositionShape {
    heads: usize,
    scale: f64,
    token_bucket_size: usize,
    image_bucket_size: usize,
}

impl EncoderPositions {
    fn load(loader: &mut Loader<'_>, config: &OfaConfig) -> Self {
        let (d_model, heads) = (config.d_model, config.encoder_attention_heads);
        let mut relative = |kind: &str, rows: usize| -> Vec<Embedding> {
            (0..config.encoder_layers)
                .map(|layer| {
                    let name = format!("encoder.{kind}_rel_pos_table_list.{layer}");
                    loader.embedding(&name, [rows, heads])
                })
                .collect()
        };
        let text_relative = relative("token", 2 * config.token_bucket_size - 1);
        let image_relative = relative("image", config.image_relative_positions());
        let positions = config.max_position_embeddings + 2;
        let image_positions = config.image_bucket_size.pow(2) + 1;
        Self {
            text: loader.embedding("encoder.embed_positions", [positions, d_model]),
            text_norm: loader.layer_norm("encoder.pos_ln", d_model),
            image: loader.embedding("encoder.embed_image_positions", [image_positions, d_model]),
            image_norm: loader.layer_norm("encoder.image_pos_ln", d_model),
            query: loader.linear("encoder.pos_q_linear", [d_model, d_model]),
            key: loader.linear("encoder.pos_k_linear", [d_model, d_model]),
            text_relative,
            image_relative,
            shape: PositionShape {
                heads,
                scale: position_scale(config.encoder_head_dim(), config),
                token_bucket_size: config.token_bucket_size,
                image_bucket_size: config.image_bucket_size,
            },
        }
    }

    /// Normed position embeddings of `tokens` text tokens, `[1, tokens, d_model]`.
    pub fn text_embedding(&self, tokens: usize) -> Tensor<3> {
        self.text_norm.forward(self.text.weight.val().slice(0..tokens).unsqueeze())
    }

    /// Normed position embeddings of a grid, `[1, image tokens, d_model]`.
    pub fn image_embedding(&self, grid: Grid) -> Tensor<3> {
        let ids = grid.position_ids(self.shape.image_bucket_size);
        self.image_norm.forward(rows_of(&self.image, &ids).unsqueeze())
    }

    /// Absolute bias between positions, `[1, heads, positions, positions]`, the same in each layer.
    pub fn absolute_bias(&self, positions: Tensor<3>) -> Tensor<4> {
        let queries = split_heads(self.query.forward(positions.clone()), self.shape.heads);
        let keys = split_heads(self.key.forward(positions), self.shape.heads);
        (queries * self.shape.scale).matmul(keys.swap_dims(2, 3))
    }

    /// A layer's one-dimensional relative bias, `[1, heads, tokens, tokens]`.
    pub fn text_relative_bias(&self, layer: usize, tokens: usize) -> Tensor<4> {
        let ids = pair_buckets(tokens, self.shape.token_bucket_size);
        table_bias(&self.text_relative[layer], &ids, tokens)
    }

    /// A layer's two-dimensional relative bias, `[1, heads, image tokens, image tokens]`.
    pub fn image_relative_bias(&self, layer: usize, grid: Grid) -> Tensor<4> {
        let ids = grid.relative_ids(self.shape.image_bucket_size);
        table_bias(&self.image_relative[layer], &ids, grid.tokens())
    }

    /// Largest number of text tokens that have a position.
    pub fn text_tokens_max(&self) -> usize {
        self.text.weight.dims()[0]
    }
}

/// Table rows for every (query, key) pair of `tokens` positions, query-major.
pub(crate) fn pair_buckets(tokens: usize, bucket_size: usize) -> Vec<usize> {
    let positions = 0..tokens as i64;
    positions
        .clone()
        .flat_map(|query| positions.clone().map(move |key| token_bucket(query - key, bucket_size)))
        .collect()
}

/// A relative table read at `ids`, `[1, heads, length, length]`.
fn table_bias(table: &Embedding, ids: &[usize], length: usize) -> Tensor<4> {
    let heads = table.weight.dims()[1];
    rows_of(table, ids)
        .transpose() // [heads, length * length]
        .reshape([1, heads, length, length])
}

/// The given rows of an embedding, `[ids, width]`.
pub(crate) fn rows_of(table: &Embedding, ids: &[usize]) -> Tensor<2> {
    let weight = table.weight.val();
    let ids = index(ids, &weight.device());
    weight.select(0, ids)
}
