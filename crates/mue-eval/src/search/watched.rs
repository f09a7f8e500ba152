//! What watched requests showed, and where a rule would have let them leave.

use mue_engine::{BranchPolicy, LayerSignal, Prediction, Reply};

/// What watched requests showed after each layer.
#[derive(Clone, Debug, Default)]
pub(crate) struct Watched {
    /// Similarities of each request.
    pub(super) image: Vec<Vec<f32>>,
    pub(super) text: Vec<Vec<f32>>,
    /// Similarities and answers of each decoder step.
    pub(super) decoder: Vec<Vec<f32>>,
    pub(super) answers: Vec<Vec<Prediction>>,
}

impl Watched {
    pub(super) fn of(replies: &[Reply]) -> Self {
        let exits = || replies.iter().map(Reply::exit);
        Self {
            image: exits().map(|exit| exit.similarities.image.clone()).collect(),
            text: exits().map(|exit| exit.similarities.text.clone()).collect(),
            decoder: exits().flat_map(|exit| exit.similarities.decoder.clone()).collect(),
            answers: exits().flat_map(|exit| exit.predictions.clone()).collect(),
        }
    }
}

/// The layer at which a watched row would have left.
pub(super) fn leaves(
    policy: &BranchPolicy,
    (similarities, answers): (&[f32], &[Prediction]),
    layers: usize,
) -> usize {
    let exits = |layer: &usize| {
        policy.exits(LayerSignal {
            layer: *layer,
            layers,
            step: 0,
            similarity: similarities.get(layer - 1).copied(),
            prediction: answers.get(layer - 1).copied(),
        })
    };
    (1..=layers).find(exits).unwrap_or(layers)
}
