//! Random requests, and what is compared of their answers.

use mue_model::{
    BranchPolicy, DecoderState, Device, ExitPolicy, LayerSignal, Prediction, Schedule,
    SearchSettings, SimilarityRule, Tensor, TensorData,
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
    /// Generated ids; of an entailment the place of its most probable answer.
    pub(crate) ids: Vec<u32>,
    pub(crate) log_probs: Vec<f32>,
    /// Encoder branches: image and text, or both as one.
    pub(crate) branches: usize,
    /// Exit layers: of each branch, then one per decoder step.
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
        policies.truncate(self.branches);
        policies.resize(self.layers.len(), &policy.decoder);
        policies
    }

    /// The decoder step of a place in `layers`; 0 of a branch.
    pub(crate) fn step(&self, place: usize) -> usize {
        place.saturating_sub(self.branches)
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

/// The layer at which a rule lets a row go at a step.
pub(crate) fn first_exit(
    rule: &SimilarityRule,
    noted: &[f32],
    (step, layers): (usize, usize),
) -> usize {
    let threshold = |layer: usize| {
        let own = f64::from(rule.thresholds[layer.min(rule.thresholds.len()) - 1]);
        match &rule.schedule {
            Schedule::Constant => own,
            Schedule::Decay { beta, tau, tokens_max } => {
                let (beta, tau) = (f64::from(*beta), f64::from(*tau));
                beta * own + (1.0 - beta) * (-tau * step as f64 / *tokens_max as f64).exp()
            }
            Schedule::PerStep(steps) => f64::from(steps[step.min(steps.len() - 1)]),
        }
    };
    (1..=noted.len())
        .find(|layer| f64::from(noted[layer - 1]) > threshold(*layer))
        .unwrap_or(layers)
}

/// Whether a branch's exit hangs on rounding.
pub(crate) fn hangs_on_rounding(policy: &BranchPolicy, noted: &[f32], step: usize) -> bool {
    let BranchPolicy::Similarity(rule) = policy else { return false };
    noted.iter().enumerate().any(|(index, similarity)| {
        let signal = LayerSignal {
            layer: index + 1,
            layers: LAYERS,
            step,
            similarity: Some(*similarity),
            prediction: None,
        };
        (similarity - rule.threshold(signal)).abs() < UNDECIDED
    })
}

/// Whether some exit hangs on rounding.
pub(crate) fn undecided(outcomes: &[Outcome], requests: &[Request]) -> bool {
    outcomes.iter().zip(requests).any(|(outcome, request)| {
        let policies = outcome.policies(&request.policy);
        let noted = outcome.similarities.iter().zip(&outcome.predictions);
        noted.zip(policies).enumerate().any(|(place, ((noted, answers), policy))| {
            hangs_on_rounding(policy, noted, outcome.step(place))
                || answers.iter().any(|answer| hangs(policy, answer))
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

/// How a threshold changes over the decoder's steps; an encoder branch is at step 0.
fn schedule() -> impl Strategy<Value = Schedule> {
    let decay = (0.3f32..1.0, 0.0f32..4.0, 1usize..8);
    prop_oneof![
        Just(Schedule::Constant),
        decay.prop_map(|(beta, tau, tokens_max)| Schedule::Decay { beta, tau, tokens_max }),
    ]
}

fn branch() -> impl Strategy<Value = BranchPolicy> {
    let threshold = prop_oneof![9 => 0.5f32..1.0, 1 => Just(2.0)];
    let rule = (vec(threshold, 1..=LAYERS), schedule());
    let rule = rule.prop_map(|(thresholds, schedule)| SimilarityRule { thresholds, schedule });
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

/// How the decoder keeps what skipped layers attend to.
pub(crate) fn decoder_state() -> impl Strategy<Value = DecoderState> {
    prop_oneof![
        2 => Just(DecoderState::Propagate),
        1 => Just(DecoderState::Recompute),
        1 => Just(DecoderState::RecomputePrefix),
    ]
}

/// A model's seed and some requests.
pub(crate) fn requests(most: usize) -> impl Strategy<Value = (u64, Vec<Request>)> {
    (0u64..6, vec(request(), 1..=most))
}
