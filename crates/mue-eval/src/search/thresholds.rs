//! Thresholds that fit what was seen: of similarity, and of how sure an answer is.

use mue_engine::{BranchRule, Prediction};

use super::{Depths, Watched};

/// A similarity that none exceeds, and one that all do; JSON has no infinity.
const NEVER: f32 = 2.0;
const ALWAYS: f32 = -2.0;

/// Shares of wrong exits that a layer's threshold may allow.
const ERRORS: [f64; 10] = [0.0, 0.001, 0.002, 0.005, 0.01, 0.02, 0.03, 0.05, 0.1, 0.2];

/// Shares of rows that thresholds let go at a layer.
pub(super) const SHARES: [f64; 3] = [0.75, 0.5, 0.25];

/// MuE's decay over the tokens of a caption (section 4.1).
const BETA: f32 = 0.95;
const TAU: f32 = 1.0;

/// Rules that let the more similar rows leave at a layer and the others at the next: per-layer
/// thresholds, since similarities differ more between layers than between inputs.
pub(super) fn shares(similarities: &[Vec<f32>], layers: usize) -> Vec<BranchRule> {
    let all = (1..layers).flat_map(|layer| SHARES.map(|share| (layer, share)));
    all.filter_map(|(layer, share)| {
        let mut thresholds = vec![NEVER; layer - 1];
        thresholds.extend([quantile_at(similarities, layer, 1.0 - share)?, ALWAYS]);
        Some(BranchRule::Similarity(thresholds))
    })
    .collect()
}

/// Similarities that a share of the rows exceeds at some layer, and one that nothing exceeds.
pub(super) fn single_thresholds(
    similarities: &[Vec<f32>],
    layers: usize,
    shares: &[f64],
) -> Vec<f32> {
    let at = |layer, share: &f64| quantile_at(similarities, layer, 1.0 - share);
    let typical = (1..layers).flat_map(|layer| shares.iter().filter_map(move |s| at(layer, s)));
    let mut thresholds: Vec<f32> = typical.chain([NEVER]).collect();
    thresholds.sort_unstable_by(f32::total_cmp);
    thresholds.dedup();
    thresholds
}

/// MuE's rule for captions: thresholds that are typical similarities before they fall.
pub(super) fn decays(similarities: &[Vec<f32>], depths: Depths) -> Vec<BranchRule> {
    let tokens_max = depths.tokens_max;
    let rule = |first: f32| {
        let threshold = (first - (1.0 - BETA)) / BETA;
        BranchRule::Decay { threshold, beta: BETA, tau: TAU, tokens_max }
    };
    single_thresholds(similarities, depths.decoder, &SHARES).into_iter().map(rule).collect()
}

/// The similarity at a layer that a share of the rows stays below.
fn quantile_at(similarities: &[Vec<f32>], layer: usize, share: f64) -> Option<f32> {
    let mut values: Vec<f32> =
        similarities.iter().filter_map(|noted| noted.get(layer - 1).copied()).collect();
    values.sort_unstable_by(f32::total_cmp);
    let place = (share * values.len() as f64) as usize;
    values.get(place).copied()
}

/// How an answer says that it is sure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sureness {
    Probability,
    Entropy,
    Patience,
}

/// Decoder rules by one way to be sure; PABEE's count layers, the others have thresholds.
pub(super) fn sure(watched: &[Vec<Prediction>], layers: usize, by: Sureness) -> Vec<BranchRule> {
    match by {
        Sureness::Probability => {
            let seen = |answers: &[Prediction], layer: usize| Some(answers.get(layer)?.probability);
            thresholds((watched, watched), layers, (seen, 1.0), BranchRule::Probability)
        }
        // An entropy falls where sureness rises.
        Sureness::Entropy => {
            let seen = |answers: &[Prediction], layer: usize| Some(-answers.get(layer)?.entropy);
            let rule = |values: Vec<f32>| {
                BranchRule::Entropy(values.into_iter().map(|value| -value).collect())
            };
            thresholds((watched, watched), layers, (seen, 0.0), rule)
        }
        Sureness::Patience => (1..layers.min(4)).map(BranchRule::Patience).collect(),
    }
}

/// Decoder rules by similarity, with thresholds for each layer.
pub(super) fn similar(watched: &Watched, layers: usize) -> Vec<BranchRule> {
    let seen = |noted: &[f32], layer: usize| noted.get(layer).copied();
    let signals = (&watched.decoder[..], &watched.answers[..]);
    thresholds(signals, layers, (seen, NEVER), BranchRule::Similarity)
}

/// Rules that have at each layer the loosest threshold at which at most a share of those that leave
/// would have answered otherwise at the last layer.
fn thresholds<T>(
    (signals, answers): (&[Vec<T>], &[Vec<Prediction>]),
    layers: usize,
    (seen, never): (impl Fn(&[T], usize) -> Option<f32>, f32),
    rule: impl Fn(Vec<f32>) -> BranchRule,
) -> Vec<BranchRule> {
    let at = |layer: usize, error| {
        let steps = signals.iter().zip(answers).filter_map(|(signals, answers)| {
            let (answer, last) = (answers.get(layer - 1)?, answers.get(layers - 1)?);
            Some((seen(signals, layer - 1)?, answer.token != last.token))
        });
        loosest(steps.collect(), never, error)
    };
    let mut rules: Vec<BranchRule> = ERRORS
        .into_iter()
        .map(|error| rule((1..layers).map(|layer| at(layer, error)).chain([never]).collect()))
        .collect();
    rules.dedup();
    rules
}

/// The loosest threshold of sureness at which at most a share of those above it are wrong.
fn loosest(mut seen: Vec<(f32, bool)>, never: f32, error: f64) -> f32 {
    seen.sort_unstable_by(|a, b| b.0.total_cmp(&a.0));
    let (mut wrong, mut threshold) = (0.0, never);
    for (place, (value, is_wrong)) in seen.iter().enumerate() {
        wrong += f64::from(u8::from(*is_wrong));
        // Equal values leave together: only where the next is lower lies a threshold.
        let next = seen.get(place + 1).map_or(value - 1e-4, |next| next.0);
        if wrong <= error * (place + 1) as f64 && next < *value {
            threshold = f32::midpoint(*value, next);
        }
    }
    threshold
}

#[cfg(test)]
mod tests {
    use mue_engine::{ExitRules, LayerSignal};

    use super::*;

    fn answer(layer: usize, token: u32, probability: f32) -> Prediction {
        Prediction { layer, token, probability, entropy: 1.0 - probability, unchanged: 0 }
    }

    #[test]
    fn thresholds_allow_as_many_errors_as_they_say() {
        // Nine agree with the last layer, the least sure one does not.
        let watched: Vec<Vec<Prediction>> = (0..10u8)
            .map(|i| {
                vec![answer(1, u32::from(i == 0), 0.5 + 0.04 * f32::from(i)), answer(2, 0, 1.0)]
            })
            .collect();
        let rules = sure(&watched, 2, Sureness::Probability);
        let of = |rule: &BranchRule| match rule {
            BranchRule::Probability(thresholds) => thresholds.clone(),
            other => panic!("{other:?}"),
        };
        let (strict, loose) = (of(&rules[0]), of(rules.last().unwrap()));
        assert!((strict[0] - 0.52).abs() < 1e-6, "between the wrong one and the next");
        assert!(loose[0] < 0.5, "one of ten may be wrong");
        assert_eq!((strict[1], rules.len()), (1.0, 2));
        let never = [vec![answer(1, 1, 0.9), answer(2, 0, 1.0)]];
        assert_eq!(of(&sure(&never, 2, Sureness::Probability)[0]), [1.0, 1.0]);
    }

    #[test]
    fn similarity_counts_as_sureness_for_each_layer() {
        let step = |i: u8| vec![answer(1, u32::from(i < 5), 0.5), answer(2, 0, 1.0)];
        let watched = Watched {
            decoder: (0..10u8).map(|i| vec![f32::from(i) / 10.0, 0.0]).collect(),
            answers: (0..10).map(step).collect(),
            ..Watched::default()
        };
        let rules = similar(&watched, 2);
        let BranchRule::Similarity(strict) = &rules[0] else { panic!("{rules:?}") };
        assert!((strict[0] - 0.45).abs() < 1e-6 && strict[1] == NEVER, "{strict:?}");
    }

    #[test]
    fn as_many_rows_leave_a_layer_early_as_is_said() {
        let similarities: Vec<Vec<f32>> = (0..8u8).map(|i| vec![f32::from(i), 0.0, 0.0]).collect();
        let rules = shares(&similarities, 3);
        let left: Vec<usize> = rules[..3]
            .iter()
            .map(|rule| {
                let BranchRule::Similarity(thresholds) = rule else { panic!("{rule:?}") };
                similarities.iter().filter(|row| row[0] > thresholds[0]).count()
            })
            .collect();
        assert_eq!((left, rules.len()), (vec![5, 3, 1], 6));
    }

    #[test]
    fn a_decay_begins_at_a_typical_similarity() {
        let depths = Depths { encoder: 2, decoder: 2, text: false, tokens_max: 16 };
        let rules = decays(&[vec![0.8, 0.9]], depths);
        let rules = ExitRules { decoder: rules[0].clone(), ..ExitRules::default() };
        let policy = rules.policy().unwrap().decoder;
        let leaves_at = |step, similarity| {
            let (similarity, prediction) = (Some(similarity), None);
            policy.exits(LayerSignal { layer: 1, layers: 2, step, similarity, prediction })
        };
        assert!(!leaves_at(0, 0.7999) && leaves_at(0, 0.8001));
        assert!(leaves_at(16, 0.7999), "by then it has fallen");
    }
}
