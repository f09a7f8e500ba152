//! Position biases, computed once per grid, rounded text length and layer, and shared by every request.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use burn::tensor::Tensor;

use crate::buckets::Grid;
use crate::decoder::DecoderPositions;
use crate::encoder::EncoderPositions;

/// Added to the score of a pair that must not attend: after the softmax it weighs nothing.
pub(crate) const MASKED: f32 = -1e9;

/// Lengths are rounded up to a multiple of this, so that few tables serve all of them.
const LENGTH_STEP: usize = 32;

/// Tables with image tokens kept: a model serves one grid, in joint encoding with a rounded text
/// length or two, and its biases are large (OFA-base at 480 pixels: 39 MB per layer).
const IMAGE_TABLES_MAX: usize = 2;

/// Other tables kept: a few rounded lengths.
const TABLES_MAX: usize = 8;

/// Encoder biases of one branch: one `[1, heads, tokens, tokens]` per layer.
#[derive(Debug)]
pub(crate) struct BranchTables {
    pub(crate) biases: Vec<Tensor<4>>,
}

/// Decoder self-attention biases up to a length.
#[derive(Debug)]
pub(crate) struct DecoderTables {
    pub(crate) tokens: usize,
    /// With the causal mask, `[layers, heads, tokens, tokens]`.
    pub(crate) causal: Tensor<4>,
    /// One row per (query, key) pair and a last row for masked pairs,
    /// `[tokens * tokens + 1, layers * heads]`.
    pub(crate) pairs: Tensor<2>,
}

/// A few most recently used values by key.
#[derive(Debug)]
pub(crate) struct Recent<K, V> {
    entries: Mutex<VecDeque<(K, Arc<V>)>>,
    entries_max: usize,
}

impl<K: PartialEq, V> Recent<K, V> {
    pub(crate) fn new(entries_max: usize) -> Self {
        Self { entries: Mutex::new(VecDeque::new()), entries_max }
    }

    /// Makes what is not there without holding the lock: a thread that waits for others inside may
    /// run another step's work meanwhile, which may look here too.
    pub(crate) fn get_or_insert_with(&self, key: K, make: impl FnOnce() -> V) -> Arc<V> {
        if let Some(value) = self.get(&key) {
            return value;
        }
        let value = Arc::new(make());
        let mut entries = self.lock();
        entries.push_front((key, Arc::clone(&value)));
        entries.truncate(self.entries_max);
        value
    }

    fn get(&self, key: &K) -> Option<Arc<V>> {
        let mut entries = self.lock();
        let place = entries.iter().position(|entry| entry.0 == *key)?;
        let entry = entries.remove(place)?;
        let value = Arc::clone(&entry.1);
        entries.push_front(entry);
        Some(value)
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<(K, Arc<V>)>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The caches of one model.
#[derive(Debug)]
pub(crate) struct Tables {
    image_relative_bias: bool,
    images: Recent<Grid, BranchTables>,
    texts: Recent<usize, BranchTables>,
    joints: Recent<(Option<Grid>, usize), BranchTables>,
    decoders: Recent<usize, DecoderTables>,
    cross: Recent<(usize, CrossKey), Tensor<3>>,
}

/// Which encoder tokens a cross-attention table is over.
#[derive(Clone, Copy, Debug, PartialEq)]
enum CrossKey {
    Image(Grid),
    Text(usize),
}

impl Tables {
    pub(crate) fn new(image_relative_bias: bool) -> Self {
        Self {
            image_relative_bias,
            images: Recent::new(IMAGE_TABLES_MAX),
            texts: Recent::new(TABLES_MAX),
            joints: Recent::new(IMAGE_TABLES_MAX),
            decoders: Recent::new(TABLES_MAX),
            cross: Recent::new(TABLES_MAX),
        }
    }

    /// Biases of the image branch.
    pub(crate) fn image(
        &self,
        positions: &EncoderPositions,
        layers: usize,
        grid: Grid,
    ) -> Arc<BranchTables> {
        self.images.get_or_insert_with(grid, || {
            let embedding = positions.image_embedding(grid);
            let absolute = positions.absolute_bias(embedding);
            let biases = (0..layers)
                .map(|layer| match self.image_relative_bias {
                    true => absolute.clone() + positions.image_relative_bias(layer, grid),
                    false => absolute.clone(),
                })
                .collect();
            BranchTables { biases }
        })
    }

    /// Biases of the text branch for at least `tokens` tokens.
    pub(crate) fn text(
        &self,
        positions: &EncoderPositions,
        layers: usize,
        tokens: usize,
    ) -> Arc<BranchTables> {
        let tokens = rounded(tokens, positions.text_tokens_max());
        self.texts.get_or_insert_with(tokens, || {
            let embedding = positions.text_embedding(tokens);
            let absolute = positions.absolute_bias(embedding);
            let biases = (0..layers)
                .map(|layer| absolute.clone() + positions.text_relative_bias(layer, tokens))
                .collect();
            BranchTables { biases }
        })
    }

    /// Biases of joint encoding over a grid, if any, and then at least `tokens` text tokens: absolute
    /// over everything, relative inside each modality.
    pub(crate) fn joint(
        &self,
        positions: &EncoderPositions,
        layers: usize,
        (grid, tokens): (Option<Grid>, usize),
    ) -> Arc<BranchTables> {
        let tokens = rounded(tokens, positions.text_tokens_max());
        self.joints.get_or_insert_with((grid, tokens), || {
            let text = positions.text_embedding(tokens);
            let embedding = match grid {
                Some(grid) => Tensor::cat(vec![positions.image_embedding(grid), text], 1),
                None => text,
            };
            let absolute = positions.absolute_bias(embedding);
            let biases = (0..layers)
                .map(|layer| joint_bias(positions, absolute.clone(), layer, (grid, tokens)))
                .collect();
            BranchTables { biases }
        })
    }

    /// Decoder self-attention biases for at least `tokens` tokens.
    pub(crate) fn decoder(
        &self,
        positions: &DecoderPositions,
        tokens: usize,
    ) -> Arc<DecoderTables> {
        let tokens = rounded(tokens, positions.tokens_max());
        self.decoders.get_or_insert_with(tokens, || {
            let bias = positions.self_bias(tokens);
            let [layers, heads, _, _] = bias.dims();
            let device = bias.device();
            let future = Tensor::<2>::ones([tokens, tokens], &device).triu(1) * MASKED;
            let pairs = bias
                .clone()
                .permute([2, 3, 0, 1]) // [query, key, layers, heads]
                .reshape([tokens * tokens, layers * heads]);
            let masked = Tensor::full([1, layers * heads], MASKED, &device);
            DecoderTables {
                tokens,
                causal: bias + future.unsqueeze(),
                pairs: Tensor::cat(vec![pairs, masked], 0),
            }
        })
    }

    /// Cross-attention bias of `tokens` decoder positions against a grid, `[tokens, heads, image]`.
    pub(crate) fn cross_image(
        &self,
        (encoder, decoder): (&EncoderPositions, &DecoderPositions),
        tokens: usize,
        grid: Grid,
    ) -> Tensor<3> {
        let make = || decoder.cross_bias(tokens, encoder.image_embedding(grid));
        self.cross.get_or_insert_with((tokens, CrossKey::Image(grid)), make).as_ref().clone()
    }

    /// Cross-attention bias of `tokens` decoder positions against `text` tokens,
    /// `[tokens, heads, text]`.
    pub(crate) fn cross_text(
        &self,
        (encoder, decoder): (&EncoderPositions, &DecoderPositions),
        tokens: usize,
        text: usize,
    ) -> Tensor<3> {
        let length = rounded(text, encoder.text_tokens_max());
        let make = || decoder.cross_bias(tokens, encoder.text_embedding(length));
        let table = self.cross.get_or_insert_with((tokens, CrossKey::Text(length)), make);
        let [tokens, heads, _] = table.dims();
        table.as_ref().clone().slice([0..tokens, 0..heads, 0..text])
    }
}

/// A layer's bias of joint encoding, from the absolute one over image tokens, if any, and text
/// tokens: relative inside each modality.
pub(crate) fn joint_bias(
    positions: &EncoderPositions,
    absolute: Tensor<4>,
    layer: usize,
    (grid, tokens): (Option<Grid>, usize),
) -> Tensor<4> {
    let bias = match grid {
        Some(grid) => add_block(absolute, 0, positions.image_relative_bias(layer, grid)),
        None => absolute,
    };
    let image = grid.map_or(0, Grid::tokens);
    add_block(bias, image, positions.text_relative_bias(layer, tokens))
}

/// Adds a square block to the diagonal of `[1, heads, tokens, tokens]`, starting at `from`.
fn add_block(bias: Tensor<4>, from: usize, block: Tensor<4>) -> Tensor<4> {
    let [_, heads, size, _] = block.dims();
    let range = [0..1, 0..heads, from..from + size, from..from + size];
    let sum = bias.clone().slice(range.clone()) + block;
    bias.slice_assign(range, sum)
}

/// A length that tables are made for: at least `tokens`, at most `most`.
fn rounded(tokens: usize, most: usize) -> usize {
    tokens.next_multiple_of(LENGTH_STEP).min(most)
}

#[cfg(test)]
mod tests {
    use burn::tensor::Device;

    use super::*;
    use crate::weights::initial_tensors;
    use crate::{Ofa, OfaConfig};

    fn model() -> Ofa {
        let config = r#"{"vocab_size": 9, "d_model": 8, "encoder_layers": 1, "decoder_layers": 1,
            "encoder_attention_heads": 2, "decoder_attention_heads": 2, "encoder_ffn_dim": 8,
            "decoder_ffn_dim": 8, "resnet_layers": [1, 1, 1], "stem_width": 4,
            "max_position_embeddings": 64, "token_bucket_size": 8, "image_bucket_size": 4}"#;
        let (config, device) = (OfaConfig::from_json(config).unwrap(), Device::flex());
        let tensors = initial_tensors(&config, 1, &device).unwrap();
        Ofa::from_tensors(&tensors, config, &device).unwrap()
    }

    #[test]
    fn texts_of_nearby_lengths_share_a_joint_table() {
        let model = model();
        let grid = Grid::of_pixels(32, 32);
        let table =
            |tokens| model.tables().joint(model.encoder().positions(), 1, (Some(grid), tokens));
        let tables: Vec<_> = (5..=LENGTH_STEP).map(table).collect();
        assert!(tables.iter().all(|other| Arc::ptr_eq(other, &tables[0])));
        let beside = table(LENGTH_STEP + 1);
        assert!(beside.biases[0].dims()[3] > grid.tokens() + LENGTH_STEP);
        assert!(Arc::ptr_eq(&table(7), &tables[0]), "two are kept");
    }
}
