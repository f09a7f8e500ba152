//! Position biases, computed once per grid, rounded text length and layer, and shared by every request.

mod recent;

use std::sync::Arc;

use burn::tensor::Tensor;

use crate::buckets::Grid;
use crate::decoder::DecoderPositions;
use crate::encoder::EncoderPositions;
pub(crate) use recent::{HeldBytes, Recent, RecentLimits};

/// Added to the score of a pair that must not attend: after the softmax it weighs nothing.
pub(crate) const MASKED: f32 = -1e9;

/// Lengths are rounded up to a multiple of this, so that few tables serve all of them.
const LENGTH_STEP: usize = 32;

/// Tables with image tokens kept: a model serves one grid, in joint encoding with a rounded text
/// length or two, and its biases are large (OFA-base at 480 pixels: 39 MB per layer). Both are kept
/// however large they are: cohorts that alternate would make them anew each time.
const IMAGE_TABLES: RecentLimits = RecentLimits { entries_max: 2, bytes_max: usize::MAX };

/// Other tables kept: a few rounded lengths, unless they are long (OFA-base's decoder at 1,024
/// tokens: 302 MB).
const TABLES: RecentLimits = RecentLimits { entries_max: 8, bytes_max: 1 << 27 };

/// Encoder biases of one branch: one `[1, heads, tokens, tokens]` per layer.
#[derive(Debug)]
pub(crate) struct BranchTables {
    pub(crate) biases: Vec<Tensor<4>>,
}

impl HeldBytes for BranchTables {
    fn bytes(&self) -> usize {
        self.biases.iter().map(HeldBytes::bytes).sum()
    }
}

/// Decoder self-attention biases by pairs of positions.
#[derive(Debug)]
pub(crate) struct PairTable {
    /// Positions that it is made for.
    pub(crate) tokens: usize,
    /// One row per (query, key) pair and a last row for masked pairs,
    /// `[tokens * tokens + 1, layers * heads]`.
    pub(crate) pairs: Tensor<2>,
}

impl HeldBytes for PairTable {
    fn bytes(&self) -> usize {
        self.pairs.bytes()
    }
}

/// The caches of one model.
#[derive(Debug)]
pub(crate) struct Tables {
    image_relative_bias: bool,
    images: Recent<Grid, BranchTables>,
    texts: Recent<usize, BranchTables>,
    joints: Recent<(Option<Grid>, usize), BranchTables>,
    causal: Recent<usize, Tensor<4>>,
    pairs: Recent<usize, PairTable>,
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
            images: Recent::new(IMAGE_TABLES),
            texts: Recent::new(TABLES),
            joints: Recent::new(IMAGE_TABLES),
            causal: Recent::new(TABLES),
            pairs: Recent::new(TABLES),
            cross: Recent::new(TABLES),
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
    /// over everything, relative inside each modality. Text comes last, so a longer table has every
    /// shorter one in its corner.
    pub(crate) fn joint(
        &self,
        positions: &EncoderPositions,
        layers: usize,
        (grid, tokens): (Option<Grid>, usize),
    ) -> Arc<BranchTables> {
        let tokens = rounded(tokens, positions.text_tokens_max());
        let excess = |(other, length): &(Option<Grid>, usize)| {
            length.checked_sub(tokens).filter(|_| *other == grid)
        };
        self.joints.get_near_or_insert_with((grid, tokens), excess, || {
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

    /// Decoder self-attention biases with the causal mask, for whole prefixes of at least `tokens`
    /// tokens, `[layers, heads, tokens, tokens]`.
    pub(crate) fn causal(&self, positions: &DecoderPositions, tokens: usize) -> Arc<Tensor<4>> {
        let tokens = decoder_length(positions, tokens);
        self.causal.get_or_insert_with(tokens, || {
            let bias = positions.self_bias(tokens);
            let future = Tensor::<2>::ones([tokens, tokens], &bias.device()).triu(1) * MASKED;
            bias + future.unsqueeze()
        })
    }

    /// Decoder self-attention biases pair by pair, for rows of different ages with at least
    /// `tokens` tokens.
    pub(crate) fn pairs(&self, positions: &DecoderPositions, tokens: usize) -> Arc<PairTable> {
        let tokens = decoder_length(positions, tokens);
        self.pairs.get_or_insert_with(tokens, || {
            let bias = positions.self_bias(tokens);
            let [layers, heads, _, _] = bias.dims();
            let masked = Tensor::full([1, layers * heads], MASKED, &bias.device());
            let pairs = bias
                .permute([2, 3, 0, 1]) // [query, key, layers, heads]
                .reshape([tokens * tokens, layers * heads]);
            PairTable { tokens, pairs: Tensor::cat(vec![pairs, masked], 0) }
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

/// Decoder positions that tables for at least `tokens` are made for. They double, so that what a
/// long answer makes on its way is no more than twice its last table.
pub(crate) fn decoder_length(positions: &DecoderPositions, tokens: usize) -> usize {
    tokens.next_power_of_two().max(LENGTH_STEP).min(positions.tokens_max())
}

/// A length that tables are made for: at least `tokens`, at most `most`.
fn rounded(tokens: usize, most: usize) -> usize {
    tokens.next_multiple_of(LENGTH_STEP).min(most)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tiny_model::{encoded, model};
    use crate::{AnswerRequest, BranchPolicy, Ofa, SearchSettings};

    fn held(model: &Ofa) -> [Vec<usize>; 2] {
        [model.tables().causal.sizes(), model.tables().pairs.sizes()]
    }

    #[test]
    fn a_source_makes_no_table_of_self_attention() {
        let model = model();
        let _ = model.source(encoded(&model), 60);
        assert_eq!(held(&model), [Vec::<usize>::new(), Vec::new()]);
    }

    #[test]
    fn measuring_a_gather_makes_no_table() {
        let model = model();
        model.measure_gather(32);
        assert_eq!(model.tables().images.sizes(), Vec::<usize>::new());
    }

    #[test]
    fn captions_and_answers_make_their_own_table_for_the_tokens_there_are() {
        let model = model();
        let length = LENGTH_STEP * LENGTH_STEP;
        let source = model.source(encoded(&model), 1);
        let request =
            AnswerRequest { source: source.clone(), prefix: vec![0], policy: BranchPolicy::Full };
        model.answer(vec![request], &[5, 6]);
        assert_eq!(held(&model), [vec![4 * 2 * length], Vec::new()]);
        let mut run = model.begin_decode();
        let settings = SearchSettings { tokens_max: 60, ..SearchSettings::default() };
        model.join_decode(&mut run, source, BranchPolicy::Full, settings);
        model.decode_token(&mut run);
        assert_eq!(held(&model)[1], [4 * 2 * (length + 1)], "60 tokens may come, one has");
    }

    #[test]
    fn texts_of_nearby_lengths_share_a_joint_table() {
        let model = model();
        let grid = Grid::of_pixels(32, 32);
        let table =
            |tokens| model.tables().joint(model.encoder().positions(), 1, (Some(grid), tokens));
        let tables: Vec<_> = (5..=LENGTH_STEP).map(table).collect();
        assert!(tables.iter().all(|other| Arc::ptr_eq(other, &tables[0])));
        let longer = table(LENGTH_STEP + 1);
        assert_eq!(longer.biases[0].dims()[3], grid.tokens() + 2 * LENGTH_STEP);
        assert!(Arc::ptr_eq(&table(7), &tables[0]), "two are kept");
        let longest = table(2 * LENGTH_STEP + 1);
        let between = table(LENGTH_STEP + 1);
        assert!(Arc::ptr_eq(&between, &longest), "it has the shorter one in its corner");
        assert!(Arc::ptr_eq(&table(7), &tables[0]), "the shortest that does");
        let [_, heads, length, _] = tables[0].biases[0].dims();
        let corner = longer.biases[0].clone().slice([0..1, 0..heads, 0..length, 0..length]);
        let difference = (corner - tables[0].biases[0].clone()).abs().max().into_scalar::<f32>();
        assert!(difference < 1e-6, "{difference}");
    }
}
