//! What is minimised: MuE's layer-wise cross-entropy and the options around it.

use burn::tensor::activation::log_softmax;
use burn::tensor::{Int, Tensor, TensorData};
use mue_model::TrainOutput;

use crate::batch::{Batch, CellLabels};
use crate::config::{LossConfig, LossLayers, TrainConfig};
use crate::network::TrainNetwork;
use crate::parameters::host;
use crate::saturation::saturation;
use crate::self_critical::{Samples, self_critical};

/// What the loss of one group was made of.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct LossReport {
    /// Everything together.
    pub(crate) total: f32,
    /// Captions' cross-entropy per token, by decoder layer that is learned.
    pub(crate) caption: Vec<f32>,
    /// Answers' cross-entropy, by decoder layer that is learned.
    pub(crate) entailment: Vec<f32>,
    /// Cross-entropy of the grounding heads, by image depth from 0.
    pub(crate) grounding: Vec<f32>,
    /// Saturation loss, averaged over the layers.
    pub(crate) saturation: Option<f32>,
    /// Mean rewards of sampled and of greedy captions.
    pub(crate) rewards: Option<[f32; 2]>,
}

/// Places in the decoder's states where a token is predicted, and which token.
pub(crate) struct Targets {
    pub(crate) rows: Vec<usize>,
    pub(crate) tokens: Vec<u32>,
}

/// The loss of one group of pictures; the report's tensors are read when the graph is done.
pub(crate) fn loss(
    network: &TrainNetwork,
    output: &TrainOutput,
    (batch, samples): (&Batch, Option<&Samples>),
    recipe: &TrainConfig,
) -> (Tensor<1>, LossReport) {
    let config = &recipe.loss;
    let states = learned_states(output, config.layers);
    let captions = caption_targets(output, batch);
    let answers = answer_targets(output, batch);
    let rows: Vec<usize> = captions.rows.iter().chain(&answers.rows).copied().collect();
    // [layers, captions' tokens and answers, vocabulary]
    let log_probs = log_softmax(network.model.layer_logits(states, &rows), 2);

    let mut report = LossReport::default();
    let mut total = Tensor::<1>::zeros([1], &log_probs.device());
    let parts = [
        (&captions, 0, config.caption, &mut report.caption),
        (&answers, captions.rows.len(), config.entailment, &mut report.entailment),
    ];
    for (targets, first, weight, layers) in parts {
        if targets.rows.is_empty() {
            continue;
        }
        let log_probs = log_probs.clone().narrow(1, first, targets.rows.len());
        let by_layer = cross_entropy(log_probs.clone(), &targets.tokens, config.label_smoothing);
        total = total + by_layer.clone().sum() * weight;
        if config.distillation > 0.0 && states.len() > 1 {
            total = total + distillation(log_probs) * (weight * config.distillation);
        }
        *layers = host(by_layer.inner());
    }
    if let Some((by_depth, weighted)) = grounding(network, output, batch, config) {
        report.grounding = by_depth;
        total = total + weighted;
    }
    if let Some(loss) = saturation(network, output, batch, log_probs) {
        report.saturation = host(loss.clone().inner()).first().copied();
        total = total + loss * config.saturation;
    }
    if let Some(samples) = samples {
        report.rewards = Some([samples.reward, samples.greedy]);
        let first = batch.captions.len() + batch.hypotheses.len();
        if let Some(loss) = self_critical(network, (output, states), samples, first) {
            total = total + loss * recipe.self_critical.weight;
        }
    }
    report.total = host(total.clone().inner()).first().copied().unwrap_or_default();
    (total, report)
}

/// States after each layer that losses are summed over.
fn learned_states(output: &TrainOutput, layers: LossLayers) -> &[Tensor<3>] {
    let last = output.decoder_states.len().saturating_sub(1);
    let first = match layers {
        LossLayers::All => 1,
        LossLayers::Last => last,
    };
    output.decoder_states.get(first.max(1)..).unwrap_or_default()
}

pub(crate) fn caption_targets(output: &TrainOutput, batch: &Batch) -> Targets {
    let mut targets = Targets { rows: Vec::new(), tokens: Vec::new() };
    for (sequence, caption) in batch.captions.iter().enumerate() {
        for (place, token) in caption.tokens.iter().copied().chain([batch.eos]).enumerate() {
            targets.rows.push(output.place(sequence, place));
            targets.tokens.push(token);
        }
    }
    targets
}

fn answer_targets(output: &TrainOutput, batch: &Batch) -> Targets {
    let sequences = batch.captions.len()..;
    let (rows, tokens) = sequences
        .zip(&batch.hypotheses)
        .map(|(sequence, hypothesis)| {
            // The prefix is the prompt without EOS; its last place predicts the answer.
            (output.place(sequence, hypothesis.prompt.len().saturating_sub(2)), hypothesis.answer)
        })
        .unzip();
    Targets { rows, tokens }
}

/// Mean cross-entropy by layer: `[layers, places, vocabulary]` to `[layers]`.
fn cross_entropy(log_probs: Tensor<3>, targets: &[u32], smoothing: f32) -> Tensor<1> {
    let likelihood = at_targets(log_probs.clone(), targets); // [layers, places]
    let chosen = likelihood.mean_dim(1).squeeze_dim::<1>(1).neg();
    match smoothing {
        0.0 => chosen,
        share => {
            let all = log_probs.mean_dim(2).mean_dim(1).squeeze_dims::<1>(&[1, 2]).neg();
            chosen * (1.0 - share) + all * share
        }
    }
}

/// Log-probability of each place's target, `[layers, places]`.
pub(crate) fn at_targets(log_probs: Tensor<3>, targets: &[u32]) -> Tensor<2> {
    let [layers, places, _] = log_probs.dims();
    let ids: Vec<i32> = targets.iter().map(|id| *id as i32).collect();
    let ids =
        Tensor::<3, Int>::from_data(TensorData::new(ids, [1, places, 1]), &log_probs.device());
    log_probs.gather(2, ids.repeat_dim(0, layers)).squeeze_dim::<2>(2)
}

/// Cross-entropy of every layer but the last against the last one's distribution, summed.
fn distillation(log_probs: Tensor<3>) -> Tensor<1> {
    let [layers, places, _] = log_probs.dims();
    let teacher = log_probs.clone().narrow(0, layers - 1, 1).detach().exp();
    let students = log_probs.narrow(0, 0, layers - 1);
    (students * teacher).sum().neg() / places as f32
}

/// Cross-entropy of the cells' attributes: by depth, and weighted for the sum.
fn grounding(
    network: &TrainNetwork,
    output: &TrainOutput,
    batch: &Batch,
    config: &LossConfig,
) -> Option<(Vec<f32>, Tensor<1>)> {
    let labels = batch.cells.as_ref()?;
    let depths = output.image_states.len();
    let logits = network.read_cells(&output.image_states, output.grid, labels.side)?;
    let places = logits.dims()[0] / depths;
    let mut first = 0;
    let mut sum: Option<Tensor<1>> = None;
    for (attribute, classes) in batch.cell_classes.iter().enumerate() {
        let part = logits.clone().narrow(1, first, *classes);
        first += classes;
        let log_probs = log_softmax(part, 1).reshape([depths, places, *classes]);
        let shown = attribute_labels(labels, attribute, batch, &output.image_rows);
        let by_depth = cross_entropy(log_probs, &shown, 0.0);
        sum = Some(match sum {
            Some(sum) => sum + by_depth,
            None => by_depth,
        });
    }
    let by_depth = sum?;
    Some((host(by_depth.clone().inner()), by_depth.mean() * config.grounding))
}

/// Classes of an attribute in the cells of these pictures, one picture behind the other.
fn attribute_labels(
    labels: &CellLabels,
    attribute: usize,
    batch: &Batch,
    pictures: &[usize],
) -> Vec<u32> {
    let attributes = batch.cell_classes.len();
    let values = labels.side * labels.side * attributes;
    let cells = pictures
        .iter()
        .flat_map(|picture| labels.classes[picture * values..][..values].chunks_exact(attributes));
    cells.map(|cell| cell[attribute] as u32).collect()
}

#[cfg(test)]
mod tests {
    use burn::tensor::Device;

    use super::*;

    /// Two layers, two places, three words.
    const LOGITS: [[[f32; 3]; 2]; 2] =
        [[[0.0, 1.0, 2.0], [1.0, 1.0, 1.0]], [[3.0, 0.0, 0.0], [0.0, 2.0, 0.0]]];

    fn log_probs() -> Tensor<3> {
        log_softmax(Tensor::from_floats(LOGITS, &Device::flex()), 2)
    }

    /// The same by hand.
    fn log_prob(layer: usize, place: usize, word: usize) -> f32 {
        let row = LOGITS[layer][place];
        row[word] - row.iter().map(|logit| logit.exp()).sum::<f32>().ln()
    }

    fn all_words(layer: usize, place: usize) -> f32 {
        (0..3).map(|word| log_prob(layer, place, word)).sum::<f32>() / 3.0
    }

    fn assert_near(found: &[f32], expected: &[f32]) {
        assert_eq!(found.len(), expected.len());
        for (found, expected) in found.iter().zip(expected) {
            assert!((found - expected).abs() < 1e-5, "{found} for {expected}");
        }
    }

    #[test]
    fn each_layer_has_the_mean_cross_entropy_of_its_places() {
        let found = host(cross_entropy(log_probs(), &[2, 1], 0.0));
        let expected = [0, 1].map(|layer| -(log_prob(layer, 0, 2) + log_prob(layer, 1, 1)) / 2.0);
        assert_near(&found, &expected);
    }

    #[test]
    fn smoothing_gives_a_share_to_every_word() {
        let found = host(cross_entropy(log_probs(), &[2, 1], 0.1));
        let expected = [0, 1].map(|layer| {
            let chosen = log_prob(layer, 0, 2) + log_prob(layer, 1, 1);
            let all = all_words(layer, 0) + all_words(layer, 1);
            -(0.9 * chosen + 0.1 * all) / 2.0
        });
        assert_near(&found, &expected);
    }

    #[test]
    fn layers_are_distilled_from_the_last_one() {
        let found = host(distillation(log_probs()));
        let place = |place| -> f32 {
            (0..3).map(|word| -log_prob(1, place, word).exp() * log_prob(0, place, word)).sum()
        };
        assert_near(&found, &[(place(0) + place(1)) / 2.0]);
    }
}
