//! The saturation loss: that the similarity of neighbouring layers tells whether a prediction is
//! final.

use burn::tensor::activation::log_sigmoid;
use burn::tensor::{Device, Tensor, TensorData};
use mue_model::{TrainOutput, chosen_states};

use crate::batch::Batch;
use crate::loss::caption_targets;
use crate::network::TrainNetwork;

/// Whether each layer's prediction is the last layer's already, asked of the similarity between
/// the layer's state and the one before, which is what exits are decided by.
///
/// The first layer is left out, whose similarity is with an embedding, and the last, which agrees
/// with itself. A caption's places are asked one by one and an answer's with all its prefix, as
/// exits are decided.
pub(crate) fn saturation(
    network: &TrainNetwork,
    output: &TrainOutput,
    batch: &Batch,
    log_probs: Tensor<3>,
) -> Option<Tensor<1>> {
    let scale = network.saturation.as_ref()?;
    let [layers, places, _] = log_probs.dims();
    let asked = layers.checked_sub(2).filter(|asked| *asked > 0)?;
    let chosen = log_probs.inner().argmax(2).reshape([layers, places]); // [layers, places]
    let last = chosen.clone().narrow(0, layers - 1, 1);
    let agrees = chosen.narrow(0, 1, asked).equal(last.repeat_dim(0, asked)).float();

    let similarity = similarities(output, batch, asked); // [asked, places]
    let by_layer = |param: Tensor<1>| param.narrow(0, 1, asked).unsqueeze_dim::<2>(1);
    let odds = (similarity - by_layer(scale.offset.val())) * by_layer(scale.scale.val());
    Some(surprise(odds, agrees))
}

/// Mean cross-entropy of what is (1 or 0) under these log-odds.
fn surprise(odds: Tensor<2>, agrees: Tensor<2>) -> Tensor<1> {
    let differs = agrees.clone().neg() + 1.0;
    let likelihood = log_sigmoid(odds.clone()) * agrees + log_sigmoid(odds.neg()) * differs;
    likelihood.mean().neg()
}

/// Similarity of each layer from the second on with the one before, `[asked, places]`.
fn similarities(output: &TrainOutput, batch: &Batch, asked: usize) -> Tensor<2> {
    let states = output.decoder_states.get(1..asked + 2).unwrap_or_default();
    let (rows, spread) = similarity_rows(output, batch, &states[0].device());
    let chosen = chosen_states(states, &rows);
    let product = |a: &Tensor<2>, b: &Tensor<2>| {
        let product = (a.clone() * b.clone()).sum_dim(1); // [rows, 1]
        spread.clone().matmul(product) // [places, 1]
    };
    let squares: Vec<Tensor<2>> = chosen.iter().map(|state| product(state, state)).collect();
    let by_layer = (1..=asked)
        .map(|layer| {
            let inner = product(&chosen[layer], &chosen[layer - 1]);
            let norms = squares[layer].clone() * squares[layer - 1].clone();
            (inner / (norms + 1e-12).sqrt()).transpose() // [1, places]
        })
        .collect();
    Tensor::cat(by_layer, 0)
}

/// Rows whose states take part in similarities, and which of them each place adds up,
/// `[places, rows]`.
fn similarity_rows(
    output: &TrainOutput,
    batch: &Batch,
    device: &Device,
) -> (Vec<usize>, Tensor<2>) {
    let mut rows = caption_targets(output, batch).rows;
    let captions = rows.len();
    let mut groups: Vec<std::ops::Range<usize>> = (0..captions).map(|row| row..row + 1).collect();
    for (sequence, hypothesis) in (batch.captions.len()..).zip(&batch.hypotheses) {
        let prefix = hypothesis.prompt.len().saturating_sub(1);
        groups.push(rows.len()..rows.len() + prefix);
        rows.extend((0..prefix).map(|token| output.place(sequence, token)));
    }
    let mut values = vec![0.0f32; groups.len() * rows.len()];
    for (place, group) in groups.iter().enumerate() {
        values[place * rows.len()..][group.clone()].fill(1.0);
    }
    let spread = TensorData::new(values, [groups.len(), rows.len()]);
    (rows, Tensor::from_data(spread, device))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_loss_is_the_surprise_at_what_layers_agree_with() {
        let device = Device::flex();
        let tensor = |values| Tensor::<2>::from_floats([values], &device);
        let found = surprise(tensor([2.0, -1.0, 0.0]), tensor([1.0, 1.0, 0.0]));
        let sigmoid = |odds: f32| 1.0 / (1.0 + (-odds).exp());
        let expected = -(sigmoid(2.0).ln() + sigmoid(-1.0).ln() + 0.5f32.ln()) / 3.0;
        assert!((found.into_scalar::<f32>() - expected).abs() < 1e-6);
    }
}
