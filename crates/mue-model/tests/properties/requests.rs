//! Random requests, and what is compared of their answers.

use mue_model::{
    BranchPolicy, Device, ExitPolicy, LayerSignal, Prediction, Schedule, SearchSettings,
    SimilarityRule, Tensor, TensorData,
};
use proptest::collection::vec;
use proptest::prelude::*;

use crate::model::{LAYERS, PIXELS, VOCABULARY, mixed};

/// Similarities this close to a threshold may fall on either side.
const UNDECIDED: f32 = 1e-5;

#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub(crate) picture: u64,
    pub(crate) text: Vec<u32>,
    pub(crate) policy: ExitPolicy,
    pub(crate) beam_size: usize,
    pub(crate) tokens_max: usize,
    /// Decoder steps of the others before this one joins.
    pub(crate) joins_after: usize,
}

/// What came of a request.
#[derive(Clone, Debug)]
pub(crate) struct Outcome {
    /// Generated ids, or the order of the answers.
    pub(crate) ids: Vec<u32>,
    pub(crate) log_probs: Vec<f32>,
    /// Exit layers: image, text, then one per decoder step.
    pub(crate) layers: Vec<usize>,
    /// Similarities noted for each of these.
    pub(crate) similarities: Vec<Vec<f32>>,
    /// Answers noted for each of these.
    pub(crate) predictions: Vec<Vec<Prediction>>,
    /// Multiply-accumulates of the decoder, and at full depth.
    pub(crate) macs: [u64; 2],
}

impl Outcome {
    /// The policies that decided, in the order of `layers`.
    pub(crate) fn policies<'a>(&self, policy: &'a ExitPolicy) -> Vec<&'a BranchPolicy> {
        let mut policies = vec![&policy.image, &policy.text];
        policies.resize(self.layers.len(), &policy.decoder);
        policies
    }
}

impl Request {
    pub(crate) fn settings(&self) -> SearchSettings {
        SearchSettings {
            beam_size: self.beam_size,
            tokens_max: self.tokens_max,
            tokens_min: 1,
            no_repeat_ngram_size: 3,
            length_penalty: 1.0,
        }
    }
}

/// Pictures as one tensor, `[requests, 3, height, width]`.
pub(crate) fn pixels(requests: &[Request], device: &Device) -> Tensor<4> {
    let values: Vec<f32> = requests
        .iter()
        .flat_map(|request| {
            let mut state = request.picture;
            (0..3 * PIXELS * PIXELS).map(move |_| {
                state = mixed(state);
                (state >> 40) as f32 / (1u32 << 23) as f32 - 1.0
            })
        })
        .collect();
    Tensor::from_data(TensorData::new(values, [requests.len(), 3, PIXELS, PIXELS]), device)
}

/// The layer at which a rule lets a row go; no schedule.
pub(crate) fn first_exit(rule: &SimilarityRule, noted: &[f32], layers: usize) -> usize {
    let place = |layer: usize| layer.min(rule.thresholds.len()) - 1;
    (1..=noted.len())
        .find(|layer| {
            *layer >= rule.layers_min && noted[layer - 1] > rule.thresholds[place(*layer)]
        })
        .unwrap_or(layers)
}

/// Whether some exit hangs on rounding.
pub(crate) fn undecided(outcomes: &[Outcome], requests: &[Request]) -> bool {
    outcomes.iter().zip(requests).any(|(outcome, request)| {
        let policies = outcome.policies(&request.policy);
        let noted = outcome.similarities.iter().zip(&outcome.predictions);
        noted.zip(policies).enumerate().any(|(place, ((noted, answers), policy))| {
            let rule = match policy {
                BranchPolicy::Similarity(rule) => rule,
                other => return answers.iter().any(|answer| hangs(other, answer)),
            };
            noted.iter().enumerate().any(|(index, similarity)| {
                let signal = LayerSignal {
                    layer: index + 1,
                    layers: LAYERS,
                    step: place.saturating_sub(2),
                    similarity: Some(*similarity),
                    prediction: None,
                };
                (similarity - rule.threshold(signal)).abs() < UNDECIDED
            })
        })
    })
}

/// Whether an exit by the answer hangs on rounding.
fn hangs(policy: &BranchPolicy, answer: &Prediction) -> bool {
    let held = |values: &[f32]| values[answer.layer.min(values.len()) - 1];
    match policy {
        BranchPolicy::TopProbability { thresholds } => {
            (answer.probability - held(thresholds)).abs() < UNDECIDED
        }
        BranchPolicy::Entropy { thresholds } => {
            (answer.entropy - held(thresholds)).abs() < 10.0 * UNDECIDED
        }
        _ => false,
    }
}

/// Where a policy that asks for answers lets a row go.
pub(crate) fn first_sure(policy: &BranchPolicy, answers: &[Prediction], layers: usize) -> usize {
    let held = |values: &[f32], layer: usize| values[layer.min(values.len()) - 1];
    let is_sure = |answer: &&Prediction| match policy {
        BranchPolicy::TopProbability { thresholds } => {
            answer.probability > held(thresholds, answer.layer)
        }
        BranchPolicy::Entropy { thresholds } => answer.entropy < held(thresholds, answer.layer),
        BranchPolicy::Patience { layers } => {
            let newest = answers.iter().filter(|other| other.layer <= answer.layer);
            let same = newest.rev().take_while(|other| other.token == answer.token).count();
            same > *layers
        }
        _ => false,
    };
    answers.iter().find(is_sure).map_or(layers, |answer| answer.layer)
}

/// A policy of the decoder: answers can be asked there.
fn decoder() -> impl Strategy<Value = BranchPolicy> {
    let thresholds = |range: std::ops::Range<f32>| vec(range, 1..=LAYERS);
    prop_oneof![
        3 => branch(),
        2 => thresholds(0.03..0.6)
            .prop_map(|thresholds| BranchPolicy::TopProbability { thresholds }),
        2 => thresholds(0.5..3.5).prop_map(|thresholds| BranchPolicy::Entropy { thresholds }),
        1 => (1..=LAYERS).prop_map(|layers| BranchPolicy::Patience { layers }),
        1 => Just(BranchPolicy::Watch),
    ]
}

fn branch() -> impl Strategy<Value = BranchPolicy> {
    let rule = (vec(0.5f32..1.0, 1..=LAYERS), 1..=LAYERS).prop_map(|(thresholds, layers_min)| {
        SimilarityRule { thresholds, schedule: Schedule::Constant, layers_min }
    });
    prop_oneof![
        1 => Just(BranchPolicy::Full),
        1 => (1..=LAYERS).prop_map(|layers| BranchPolicy::Fixed { layers }),
        4 => rule.prop_map(BranchPolicy::Similarity),
    ]
}

fn request() -> impl Strategy<Value = Request> {
    let policy = (branch(), branch(), decoder());
    let policy = policy.prop_map(|(image, text, decoder)| ExitPolicy { image, text, decoder });
    (any::<u64>(), vec(4..VOCABULARY, 1..8), policy, 1usize..4, 1usize..7, 0usize..3).prop_map(
        |(picture, text, policy, beam_size, tokens_max, joins_after)| {
            let text = [vec![0], text, vec![2]].concat();
            Request { picture, text, policy, beam_size, tokens_max, joins_after }
        },
    )
}

/// A model's seed and some requests.
pub(crate) fn requests(most: usize) -> impl Strategy<Value = (u64, Vec<Request>)> {
    (0u64..6, vec(request(), 1..=most))
}
