//! Attention of packed tokens, the only thing that puts them into rows.

use burn::tensor::Tensor;

use super::packing::Packing;
use super::{DecoderSequence, Encoded, TrainInput};
use crate::attention::{Attention, KeysValues};
use crate::differentiable::project;
use crate::rows::index;

/// What decoder sequences attend to.
pub(super) struct SourceParts<'a> {
    pub(super) images: &'a Encoded,
    pub(super) texts: &'a Encoded,
    pub(super) packing: &'a Packing,
}

impl SourceParts<'_> {
    /// What projects both parts once each, and gives every sequence its picture's and its text's
    /// keys and values, joined.
    pub(super) fn spread(
        &self,
        input: &TrainInput,
    ) -> impl Fn(&Attention, Tensor<3>, Tensor<3>) -> KeysValues + use<> {
        let chosen = |row: fn(&DecoderSequence) -> usize| {
            input.sequences.iter().map(row).collect::<Vec<usize>>()
        };
        let pictures = index(&chosen(|it| it.picture), &self.images.positions.device());
        let text_rows = self.packing.chosen_rows(&chosen(|it| it.text));
        let image_rows = move |projected: Tensor<3>| {
            let [batch, tokens, width] = projected.dims();
            let chosen = projected
                .reshape([batch, tokens * width]) // a picture is one piece
                .select(0, pictures.clone());
            let sequences = chosen.dims()[0];
            chosen.reshape([sequences, tokens, width])
        };
        move |attention, images, texts| {
            attention.keys_values_by(|projection| {
                let images = image_rows(project(projection, images.clone()));
                let texts = text_rows(project(projection, texts.clone()));
                Tensor::cat(vec![images, texts], 1) // [sequences, source, d_model]
            })
        }
    }
}

/// Self-attention of packed tokens, which is the only thing that puts them into rows.
pub(super) fn attend_packed(
    packing: &Packing,
    bias: Tensor<4>,
) -> impl FnOnce(&Attention, Tensor<3>) -> Tensor<3> + use<> {
    let (to_rows, to_tokens) = (packing.rows(), packing.tokens());
    move |attention, normed| {
        let source = attention.keys_values_at(normed.clone(), &to_rows);
        let queries = attention.queries_at(normed, &to_rows);
        attention.project_from(attention.attend(queries, &source, bias), to_tokens)
    }
}
