//! What a decoder attends to, made of finished branches.

use std::sync::Arc;

use burn::tensor::Tensor;

use super::Ofa;
use crate::source::{Branch, BranchEncoding, Source};
use crate::tables::decoder_length;

impl Ofa {
    /// Joins finished branches into what a decoder attends to.
    ///
    /// It is made for the first `positions` decoder positions; where a run gets further, it makes
    /// more then. So an answer takes memory for the tokens that it has, not for those it may have.
    pub fn source(&self, parts: Vec<Arc<BranchEncoding>>, positions: usize) -> Source {
        let bias = self.cross_bias(&parts, positions);
        Source::new(parts, bias, self.decoder().layers.len())
    }

    /// Sees to it that a source has so many decoder positions.
    pub(crate) fn reach(&self, source: &mut Source, positions: usize) {
        if source.positions() < positions {
            source.set_bias(self.cross_bias(source.parts(), positions));
        }
    }

    /// Cross-attention bias, `[at least positions, heads, source tokens]`.
    fn cross_bias(&self, parts: &[Arc<BranchEncoding>], positions: usize) -> Tensor<3> {
        let (encoder, decoder) = (self.encoder().positions(), self.decoder().positions());
        let length = decoder_length(decoder, positions);
        let image = |grid| self.tables().cross_image((encoder, decoder), length, grid);
        let text = |count| self.tables().cross_text((encoder, decoder), length, count);
        let mut biases: Vec<Tensor<3>> = Vec::new();
        for part in parts {
            match part.branch() {
                Branch::Image(grid) => biases.push(image(grid)),
                Branch::Text => biases.push(text(part.tokens())),
                Branch::Joint(None) => biases.push(text(part.tokens())),
                Branch::Joint(Some(grid)) => {
                    biases.push(image(grid));
                    biases.push(text(part.tokens() - grid.tokens()));
                }
            }
        }
        if biases.len() == 1 { biases.remove(0) } else { Tensor::cat(biases, 2) }
    }
}

#[cfg(test)]
mod tests {
    use crate::tiny_model::{encoded, model};
    use crate::{BranchPolicy, Hypothesis, Ofa, SearchSettings};

    fn longest_captions(model: &Ofa, positions: usize) -> Vec<Hypothesis> {
        let settings = SearchSettings {
            beam_size: 2,
            tokens_max: 40,
            tokens_min: 40,
            no_repeat_ngram_size: 0,
            length_penalty: 1.0,
        };
        let source = model.source(encoded(model), positions);
        let mut run = model.begin_decode();
        model.join_decode(&mut run, source, BranchPolicy::Full, settings);
        loop {
            let step = model.decode_token(&mut run).requests.remove(0);
            if let Some(answer) = step.finished {
                return answer.unwrap().hypotheses;
            }
        }
    }

    #[test]
    fn a_source_grows_with_its_answer() {
        let model = model();
        let (grown, whole) = (longest_captions(&model, 1), longest_captions(&model, 41));
        for (grown, whole) in grown.iter().zip(&whole) {
            assert_eq!(grown.tokens, whole.tokens);
            assert_eq!(grown.tokens.len(), 41);
            assert!((grown.score - whole.score).abs() < 1e-5);
        }
    }
}
