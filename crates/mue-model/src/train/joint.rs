//! Joint encoding, as plain OFA has it: each text with its picture, attending to each other.

use burn::tensor::Tensor;

use super::TrainInput;
use super::attending::{TrainSource, picture_rows};
use super::packing::Packing;
use crate::differentiable::project;
use crate::model::Network;
use crate::rows::token_ids;
use crate::score_bias::{ScoreBias, padding_bias};
use crate::stem::StemKernels;
use crate::tables::joint_bias;

/// The pairs of a picture and a text that decoder sequences attend to.
struct Pairs {
    pictures: Vec<usize>,
    texts: Vec<usize>,
    /// Pair of each sequence.
    of_sequences: Vec<usize>,
}

impl Pairs {
    fn of(input: &TrainInput) -> Self {
        let mut pairs = Self { pictures: vec![], texts: vec![], of_sequences: vec![] };
        for sequence in &input.sequences {
            let mut known = pairs.pictures.iter().zip(&pairs.texts);
            let place = known.position(|pair| pair == (&sequence.picture, &sequence.text));
            pairs.of_sequences.push(place.unwrap_or(pairs.pictures.len()));
            if place.is_none() {
                pairs.pictures.push(sequence.picture);
                pairs.texts.push(sequence.text);
            }
        }
        pairs
    }
}

impl Network {
    /// Every pair of picture and text through some layers: image tokens first, then text tokens,
    /// padded to the longest text.
    pub(super) fn encode_together(
        &self,
        input: &TrainInput,
        packing: &Packing,
        layers: usize,
    ) -> TrainSource {
        let encoder = &self.encoder;
        let device = encoder.token_table().device();
        let pairs = Pairs::of(input);
        let (images, grid) = encoder.embed_image(input.pixels.clone(), &StemKernels::default());
        let texts = encoder.embed_text(token_ids(&[input.texts.concat()], &device));
        let (image_tokens, text_tokens) = (grid.tokens(), packing.longest());
        let images = picture_rows(&pairs.pictures, &device)(images);
        let texts = packing.chosen_rows(&pairs.texts)(texts);

        let positions = encoder.positions();
        let embedded = [positions.image_embedding(grid), positions.text_embedding(text_tokens)];
        let absolute = positions.absolute_bias(Tensor::cat(embedded.to_vec(), 1));
        let lengths: Vec<usize> =
            pairs.texts.iter().map(|text| image_tokens + input.texts[*text].len()).collect();
        let padding = padding_bias(&lengths, image_tokens + text_tokens, &device);
        let mut states = vec![Tensor::cat(vec![images, texts], 1)]; // [pairs, tokens, d_model]
        for (number, layer) in encoder.layers.iter().take(layers).enumerate() {
            let shape = (Some(grid), text_tokens);
            let bias = joint_bias(positions, absolute.clone(), number, shape);
            let bias = ScoreBias::padded(bias, padding.clone());
            states.push(layer.forward(states[number].clone(), bias));
        }

        let output = encoder.normalise(states.last().expect("there is an input").clone());
        let rows = picture_rows(&pairs.of_sequences, &device);
        TrainSource {
            keys_values: Box::new(move |attention| {
                attention.keys_values_by(|projection| rows(project(projection, output.clone())))
            }),
            positions: embedded,
            image_states: states.into_iter().map(|it| it.narrow(1, 0, image_tokens)).collect(),
            image_rows: pairs.pictures,
            grid,
        }
    }
}
