//! The layers at which answers left the model.

use serde::Serialize;

use super::answer::ResultJson;

/// Exit layers of all three branches.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Layers {
    /// Of images, one each.
    pub image: BranchLayers,
    /// Of hypotheses, one each; in joint encoding they leave with the image. The prompt of captions
    /// is left out: it is the same each time and encoded once.
    pub text: BranchLayers,
    /// Of generated tokens; an entailment has one.
    pub decoder: BranchLayers,
}

/// How many rows left a branch at each of its layers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BranchLayers {
    /// Rows by layer, from 0 (no layer was run) to the last.
    counts: Vec<u64>,
}

/// A [`BranchLayers`] as it is written.
#[derive(Serialize)]
struct BranchJson<'a> {
    mean: f64,
    layers: usize,
    counts: &'a [u64],
}

impl Layers {
    /// Counts another result.
    pub(super) fn add(&mut self, result: &ResultJson) {
        let exit = &result.exit;
        self.image.add(exit.image.layer, exit.image.layers);
        if result.hypothesis.is_some() {
            self.text.add(exit.text.layer, exit.text.layers);
        }
        for token in &exit.decoder.tokens {
            self.decoder.add(token.layer, exit.decoder.layers);
        }
    }

    /// Counts what another has counted.
    pub(super) fn merge(&mut self, other: &Self) {
        for ((_, ours), (_, theirs)) in self.branches_mut().into_iter().zip(other.branches()) {
            ours.reach(theirs.layers());
            ours.counts.iter_mut().zip(&theirs.counts).for_each(|(sum, count)| *sum += count);
        }
    }

    /// Every branch by name.
    pub fn branches(&self) -> [(&'static str, &BranchLayers); 3] {
        [("image", &self.image), ("text", &self.text), ("decoder", &self.decoder)]
    }

    fn branches_mut(&mut self) -> [(&'static str, &mut BranchLayers); 3] {
        [("image", &mut self.image), ("text", &mut self.text), ("decoder", &mut self.decoder)]
    }
}

impl BranchLayers {
    /// Rows by layer, from 0 to the last.
    pub fn counts(&self) -> &[u64] {
        &self.counts
    }

    /// Layers that there are.
    pub fn layers(&self) -> usize {
        self.counts.len().saturating_sub(1)
    }

    /// Mean layer at which rows left; 0 without any.
    pub fn mean(&self) -> f64 {
        let sum: u64 = self.counts.iter().zip(0..).map(|(count, layer)| count * layer).sum();
        sum as f64 / self.rows().max(1) as f64
    }

    /// Rows counted.
    pub fn rows(&self) -> u64 {
        self.counts.iter().sum()
    }

    fn add(&mut self, layer: usize, layers: usize) {
        self.reach(layers.max(layer));
        self.counts[layer] += 1;
    }

    fn reach(&mut self, layers: usize) {
        if self.counts.len() <= layers {
            self.counts.resize(layers + 1, 0);
        }
    }
}

impl Serialize for BranchLayers {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let (mean, layers) = (self.mean(), self.layers());
        BranchJson { mean, layers, counts: &self.counts }.serialize(serializer)
    }
}

#[cfg(test)]
mod tests {
    use super::super::answer::tests::{answer, verdict};
    use super::*;

    #[test]
    fn rows_are_counted_by_layer_and_tokens_one_by_one() {
        let mut layers = Layers::default();
        layers.add(&answer(1, &[1, 3, 3]).results[0]);
        layers.add(&verdict(3, 2).results[0]);
        assert_eq!(layers.image.counts(), [0, 1, 0, 1]);
        assert_eq!((layers.image.mean(), layers.image.layers()), (2.0, 3));
        assert_eq!(layers.decoder.counts(), [0, 1, 1, 2]);
        assert_eq!(layers.decoder.mean(), 9.0 / 4.0);

        // A caption's text is the prompt.
        assert_eq!(layers.text.counts(), [0, 0, 0, 1]);

        let mut both = Layers::default();
        both.merge(&layers);
        both.merge(&layers);
        assert_eq!(both.decoder.counts(), [0, 2, 2, 4]);
        assert_eq!(serde_json::to_value(&both).unwrap()["text"]["mean"], 3.0);
    }
}
