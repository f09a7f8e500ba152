//! Candidate rules, made of what watched requests showed.

use mue_engine::{BranchPolicy, BranchRule, LayerSignal, Prediction, Reply};

/// A similarity that none exceeds, and one that all do; JSON has no infinity.
const NEVER: f32 = 2.0;
const ALWAYS: f32 = -2.0;

/// Shares of wrong exits that a layer's threshold may allow.
const ERRORS: [f64; 10] = [0.0, 0.001, 0.002, 0.005, 0.01, 0.02, 0.03, 0.05, 0.1, 0.2];

/// Every static depth.
pub(super) fn fixed(layers: usize) -> Vec<BranchRule> {
    (1..=layers).map(BranchRule::Fixed).collect()
}

/// Rules that let the more similar half of the rows leave at a layer and the others at the next:
/// per-layer thresholds, since similarities differ more between layers than between inputs.
pub(super) fn halves(similarities: &[Vec<f32>], layers: usize) -> Vec<BranchRule> {
    (1..layers)
        .filter_map(|layer| {
            let mut thresholds = vec![NEVER; layer - 1];
            thresholds.extend([median_at(similarities, layer)?, ALWAYS]);
            Some(BranchRule::Similarity(thresholds))
        })
        .collect()
}

/// MuE's rule at the typical similarity of each layer, and at one that nothing exceeds.
pub(super) fn single_thresholds(similarities: &[Vec<f32>], layers: usize) -> Vec<BranchRule> {
    let typical = (1..layers).filter_map(|layer| median_at(similarities, layer));
    let mut thresholds: Vec<f32> = typical.chain([NEVER]).collect();
    thresholds.sort_unstable_by(f32::total_cmp);
    thresholds.dedup();
    thresholds.into_iter().map(|threshold| BranchRule::Similarity(vec![threshold])).collect()
}

fn median_at(similarities: &[Vec<f32>], layer: usize) -> Option<f32> {
    let mut values: Vec<f32> =
        similarities.iter().filter_map(|noted| noted.get(layer - 1).copied()).collect();
    values.sort_unstable_by(f32::total_cmp);
    values.get(values.len() / 2).copied()
}

/// Rules by top probability and by entropy: at each layer the loosest threshold at which at most a
/// share of those that leave would have answered otherwise at the last layer. Then PABEE's.
pub(super) fn sure(watched: &[Vec<Prediction>], layers: usize) -> Vec<BranchRule> {
    let mut rules: Vec<BranchRule> = Vec::new();
    for error in ERRORS {
        let thresholds = |sureness: fn(&Prediction) -> f32, never: f32| {
            let threshold = |layer| loosest(watched, (layer, layers), (sureness, never), error);
            (1..layers).map(threshold).chain([never]).collect::<Vec<f32>>()
        };
        rules.push(BranchRule::Probability(thresholds(|answer| answer.probability, 1.0)));
        // An entropy falls where sureness rises.
        let entropies = thresholds(|answer| -answer.entropy, 0.0);
        rules.push(BranchRule::Entropy(entropies.into_iter().map(|value| -value).collect()));
    }
    rules.dedup();
    rules.extend((1..layers.min(4)).map(BranchRule::Patience));
    rules
}

fn loosest(
    watched: &[Vec<Prediction>],
    (layer, last): (usize, usize),
    (sureness, never): (fn(&Prediction) -> f32, f32),
    error: f64,
) -> f32 {
    let mut seen: Vec<(f32, bool)> = watched
        .iter()
        .filter_map(|answers| {
            let (answer, truth) = (answers.get(layer - 1)?, answers.get(last - 1)?);
            Some((sureness(answer), answer.token != truth.token))
        })
        .collect();
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

/// What each decoder step of some watched requests would have answered, by layer.
pub(super) fn steps(replies: &[Reply]) -> Vec<Vec<Prediction>> {
    replies.iter().flat_map(|reply| reply.exit().predictions.clone()).collect()
}

/// The similarities of each decoder step of some watched requests.
pub(super) fn step_similarities(replies: &[Reply]) -> Vec<Vec<f32>> {
    replies.iter().flat_map(|reply| reply.exit().similarities.decoder.clone()).collect()
}

#[cfg(test)]
mod tests {
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
        let sureness = |answer: &Prediction| answer.probability;
        let at = |error| loosest(&watched, (1, 2), (sureness, 1.0), error);
        assert!((at(0.0) - 0.52).abs() < 1e-6, "between the wrong one and the next");
        assert!(at(0.1) < 0.5, "one of ten may be wrong");
        let never = [vec![answer(1, 1, 0.9), answer(2, 0, 1.0)]];
        assert_eq!(loosest(&never, (1, 2), (sureness, 1.0), 0.0), 1.0);
    }

    #[test]
    fn half_of_the_rows_leave_a_layer_early() {
        let similarities: Vec<Vec<f32>> = (0..10u8).map(|i| vec![f32::from(i), 0.0, 0.0]).collect();
        let rules = halves(&similarities, 3);
        let BranchRule::Similarity(thresholds) = &rules[0] else { panic!("{rules:?}") };
        let leave = similarities.iter().filter(|row| row[0] > thresholds[0]).count();
        assert!((4..=5).contains(&leave));
        assert_eq!(rules.len(), 2);
    }
}
