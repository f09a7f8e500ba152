//! Entailment: accuracy, and which label is taken for which.

use mue_engine::Label;
use serde::Serialize;
use std::collections::BTreeMap;

/// A hypothesis to score.
#[derive(Clone, Copy, Debug)]
pub struct EntailmentSample<'a> {
    /// What is true.
    pub expected: Label,
    /// What the model said.
    pub predicted: Label,
    /// The kind of question, where the data has kinds.
    pub family: Option<&'a str>,
}

/// How many of a set of answers are right.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Tally {
    /// Right answers.
    pub correct: u64,
    /// All answers.
    pub total: u64,
}

impl Tally {
    /// The share of right answers; none if there are no answers.
    pub fn accuracy(self) -> Option<f64> {
        share(self.correct, self.total)
    }

    fn add(&mut self, is_correct: bool) {
        self.correct += u64::from(is_correct);
        self.total += 1;
    }
}

/// How one label fares.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct LabelScores {
    /// Of the answers with this label, the share that is right; none if it was never answered.
    pub precision: Option<f64>,
    /// Of the samples with this label, the share that was found; none if no sample has it.
    pub recall: Option<f64>,
}

/// The scores of a set of hypotheses.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct EntailmentScores {
    /// The share of right answers; none if there are no samples.
    pub accuracy: Option<f64>,
    /// Counts, by expected label (rows) and predicted label (columns), in the order of
    /// [`Label::ALL`].
    pub confusion: [[u64; 3]; 3],
    /// Per label, in the order of [`Label::ALL`].
    pub labels: [LabelScores; 3],
    /// Per family; samples without one are only in the totals.
    pub families: BTreeMap<String, Tally>,
    /// Per sample, in the order given, whether the answer is right, for resampling.
    pub is_correct: Vec<bool>,
}

/// Scores answers.
pub fn score_entailment(samples: &[EntailmentSample<'_>]) -> EntailmentScores {
    let mut confusion = [[0; 3]; 3];
    let mut families: BTreeMap<String, Tally> = BTreeMap::new();
    let mut all = Tally::default();
    let mut is_correct = Vec::with_capacity(samples.len());
    for sample in samples {
        let is_right = sample.expected == sample.predicted;
        confusion[sample.expected as usize][sample.predicted as usize] += 1;
        all.add(is_right);
        is_correct.push(is_right);
        if let Some(family) = sample.family {
            families.entry(family.to_owned()).or_default().add(is_right);
        }
    }
    let labels = Label::ALL.map(|label| label_scores(&confusion, label as usize));
    EntailmentScores { accuracy: all.accuracy(), confusion, labels, families, is_correct }
}

fn label_scores(confusion: &[[u64; 3]; 3], label: usize) -> LabelScores {
    let right = confusion[label][label];
    let predicted = confusion.iter().map(|row| row[label]).sum();
    let expected = confusion[label].iter().sum();
    LabelScores { precision: share(right, predicted), recall: share(right, expected) }
}

fn share(part: u64, whole: u64) -> Option<f64> {
    (whole > 0).then(|| part as f64 / whole as f64)
}

#[cfg(test)]
mod tests {
    use super::Label::{Contradiction, Entailment, Neutral};
    use super::*;

    fn sample(expected: Label, predicted: Label, family: Option<&str>) -> EntailmentSample<'_> {
        EntailmentSample { expected, predicted, family }
    }

    #[test]
    fn labels_and_families_are_counted() {
        let scores = score_entailment(&[
            sample(Entailment, Entailment, Some("exists")),
            sample(Entailment, Neutral, Some("exists")),
            sample(Contradiction, Entailment, Some("count")),
            sample(Contradiction, Contradiction, None),
        ]);
        assert_eq!(scores.accuracy, Some(0.5));
        assert_eq!(scores.confusion, [[1, 1, 0], [0, 0, 0], [1, 0, 1]]);
        let [yes, maybe, no] = scores.labels;
        assert_eq!((yes.precision, yes.recall), (Some(0.5), Some(0.5)));
        assert_eq!((maybe.precision, maybe.recall), (Some(0.0), None));
        assert_eq!((no.precision, no.recall), (Some(1.0), Some(0.5)));
        assert_eq!(scores.families["exists"], Tally { correct: 1, total: 2 });
        assert_eq!(scores.families["count"], Tally { correct: 0, total: 1 });
        assert_eq!(scores.is_correct, [true, false, false, true]);
    }

    #[test]
    fn nothing_has_no_accuracy() {
        assert_eq!(score_entailment(&[]).accuracy, None);
    }
}
