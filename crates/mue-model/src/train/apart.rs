//! Decomposed encoding: pictures and texts each on their own, and each once.

use burn::tensor::Tensor;

use super::attending::{TrainSource, attend_packed, picture_rows};
use super::packing::Packing;
use super::{BranchDepths, DecoderSequence, TrainInput};
use crate::buckets::Grid;
use crate::config::OfaConfig;
use crate::differentiable::project;
use crate::model::Network;
use crate::rows::token_ids;
use crate::score_bias::{ScoreBias, padding_bias};
use crate::stem::StemKernels;

/// Encoder output of one branch, before the final LayerNorm.
struct Encoded {
    /// Input of the branch, then the residual stream after each layer.
    states: Vec<Tensor<3>>,
    /// Normed position embedding, `[1, tokens, d_model]`.
    positions: Tensor<3>,
}

impl Encoded {
    fn output(&self) -> Tensor<3> {
        self.states.last().expect("a branch has an input").clone()
    }
}

impl Network {
    /// Both branches to their depths.
    ///
    /// Keys and values are projected once per picture and text; then every sequence gets its
    /// picture's and its text's, joined.
    pub(super) fn encode_apart(
        &self,
        config: &OfaConfig,
        input: &TrainInput,
        packing: &Packing,
        depths: BranchDepths,
    ) -> TrainSource {
        let (images, grid) = self.encode_images(config, input, depths.image);
        let texts = self.encode_texts(input, packing, depths.text);
        let positions = [images.positions.clone(), texts.positions.clone()];
        let [image_states, text_states] =
            [&images, &texts].map(|part| self.encoder.normalise(part.output()));
        let chosen = |row: fn(&DecoderSequence) -> usize| {
            input.sequences.iter().map(row).collect::<Vec<usize>>()
        };
        let image_rows = picture_rows(&chosen(|it| it.picture), &images.positions.device());
        let text_rows = packing.chosen_rows(&chosen(|it| it.text));
        TrainSource {
            keys_values: Box::new(move |attention| {
                attention.keys_values_by(|projection| {
                    let images = image_rows(project(projection, image_states.clone()));
                    let texts = text_rows(project(projection, text_states.clone()));
                    Tensor::cat(vec![images, texts], 1) // [sequences, source, d_model]
                })
            }),
            positions,
            image_rows: (0..input.pixels.dims()[0]).collect(),
            image_states: images.states,
            grid,
        }
    }

    fn encode_images(
        &self,
        config: &OfaConfig,
        input: &TrainInput,
        layers: usize,
    ) -> (Encoded, Grid) {
        let encoder = &self.encoder;
        let (hidden, grid) = encoder.embed_image(input.pixels.clone(), &StemKernels::default());
        let positions = encoder.positions().image_embedding(grid);
        let absolute = encoder.positions().absolute_bias(positions.clone());
        let mut states = vec![hidden];
        for (number, layer) in encoder.layers.iter().take(layers).enumerate() {
            let bias = match config.image_relative_bias {
                true => absolute.clone() + encoder.positions().image_relative_bias(number, grid),
                false => absolute.clone(),
            };
            states.push(layer.forward(states[number].clone(), bias));
        }
        (Encoded { states, positions }, grid)
    }

    fn encode_texts(&self, input: &TrainInput, packing: &Packing, layers: usize) -> Encoded {
        let encoder = &self.encoder;
        let ids: Vec<u32> = input.texts.concat();
        let device = encoder.token_table().device();
        let hidden = encoder.embed_text(token_ids(&[ids], &device)); // [1, tokens, d_model]
        let tokens = packing.longest();
        let positions = encoder.positions().text_embedding(tokens);
        let absolute = encoder.positions().absolute_bias(positions.clone());
        let padding = padding_bias(packing.lengths(), tokens, &device);
        let mut states = vec![hidden];
        for (number, layer) in encoder.layers.iter().take(layers).enumerate() {
            let bias = absolute.clone() + encoder.positions().text_relative_bias(number, tokens);
            let bias = ScoreBias::padded(bias, padding.clone());
            states.push(layer.forward_with(states[number].clone(), attend_packed(packing, bias)));
        }
        Encoded { states, positions }
    }
}
