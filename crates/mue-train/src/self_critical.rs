//! Self-critical sequence training: captions that score better than the greedy one become likelier.
//!
//! Rennie et al., "Self-critical sequence training for image captioning" (CVPR 2017). For each
//! picture the model writes a greedy caption and samples some. With `r` the CIDEr-D of a caption
//! against the picture's references,
//!
//! ```text
//! loss = -1/tokens * sum over layers, samples and tokens of (r(sample) - r(greedy)) * log p(token)
//! ```
//!
//! Captions are written at full depth by the weights of the step; every decoder layer then learns
//! from them, as MuE's loss has it.

use std::sync::Arc;

use burn::tensor::Tensor;
use burn::tensor::activation::log_softmax;
use mue_model::{Ofa, RequestId, TrainOutput};
use mue_scores::{CiderFrequencies, tokenize};

use crate::batch::Batch;
use crate::config::Encoding;
use crate::interface::Interface;
use crate::loss::at_targets;
use crate::network::TrainNetwork;
use crate::pictures::{Pictures, begin_captions, positions};
use crate::random::Random;

/// What captions are rewarded for: CIDEr-D, by how rare words are among training references.
#[derive(Debug)]
pub struct CaptionReward {
    interface: Arc<Interface>,
    frequencies: CiderFrequencies,
}

/// Too few pictures have captions for words to be rare or not, and then nothing is rewarded.
#[derive(Debug, thiserror::Error)]
#[error("self-critical training needs at least 2 pictures with captions; the data has {0}")]
pub struct TooFewReferences(usize);

impl CaptionReward {
    /// Counts in how many of the samples an n-gram is, given the references of each.
    ///
    /// # Errors
    ///
    /// If there are fewer than two samples.
    pub fn new(
        interface: &Arc<Interface>,
        references: &[Vec<String>],
    ) -> Result<Self, TooFewReferences> {
        if references.len() < 2 {
            return Err(TooFewReferences(references.len()));
        }
        let words: Vec<Vec<Vec<String>>> = references
            .iter()
            .map(|sample| sample.iter().map(|text| ended_words(text)).collect())
            .collect();
        let frequencies = CiderFrequencies::new(&words);
        Ok(Self { interface: Arc::clone(interface), frequencies })
    }

    /// The reward of a caption, 0 to 10: its tokens without BOS and EOS, whether it came to its end, and
    /// the references' words with theirs.
    fn of(&self, (caption, is_ended): (&[u32], bool), references: &[Vec<String>]) -> f32 {
        let text = self.interface.tokenizer.decode(caption);
        let words = if is_ended { ended_words(&text) } else { tokenize(&text) };
        self.frequencies.score(references, &words).cider_d as f32
    }
}

/// Words with a last one for the end, which is rewarded like any other: else a caption that breaks off
/// would lose too little (OFA's `scst_loss` does so too, whether a caption was cut off or not).
fn ended_words(text: &str) -> Vec<String> {
    let mut words = tokenize(text);
    words.push("<eos>".into());
    words
}

/// A caption that the model sampled.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct SampledCaption {
    pub(crate) picture: usize,
    /// The tokens that were sampled: with EOS, unless the caption was cut off.
    pub(crate) tokens: Vec<u32>,
    /// By how much it is better than the greedy caption.
    pub(crate) advantage: f32,
}

/// The captions of a group of pictures.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Samples {
    pub(crate) captions: Vec<SampledCaption>,
    /// Mean reward of the samples.
    pub(crate) reward: f32,
    /// Mean reward of the greedy captions.
    pub(crate) greedy: f32,
}

/// How captions are sampled.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sampling {
    /// Samples of each picture.
    pub(crate) samples: usize,
    pub(crate) encoding: Encoding,
}

impl CaptionReward {
    /// Lets a model write about the pictures of a batch that have captions.
    pub(crate) fn sample(
        &self,
        model: &Ofa,
        batch: &Batch,
        sampling: Sampling,
        random: &mut Random,
    ) -> Samples {
        let pictures: Vec<usize> = batch.captions.iter().map(|caption| caption.picture).collect();
        // The greedy captions first, then the samples, one of each picture after the other.
        let asked = pictures.repeat(1 + sampling.samples);
        let how = (sampling.encoding, random);
        let written = self.write(model, batch, (&asked, pictures.len()), how);
        let references: Vec<Vec<Vec<String>>> = batch
            .captions
            .iter()
            .map(|caption| caption.references.iter().map(|text| ended_words(text)).collect())
            .collect();
        let rewards: Vec<f32> = written
            .iter()
            .zip(references.iter().cycle())
            .map(|(tokens, references)| {
                let is_ended = tokens.last() == Some(&batch.eos);
                let caption: Vec<u32> =
                    tokens.iter().copied().filter(|token| *token != batch.eos).collect();
                self.of((&caption, is_ended), references)
            })
            .collect();
        let (greedy, sampled) = rewards.split_at(pictures.len());
        let captions = written
            .into_iter()
            .zip(&asked)
            .skip(pictures.len())
            .zip(sampled.iter().zip(greedy.iter().cycle()))
            .map(|((tokens, picture), (reward, greedy))| SampledCaption {
                picture: *picture,
                tokens,
                advantage: reward - greedy,
            })
            .collect();
        Samples { captions, reward: mean(sampled), greedy: mean(greedy) }
    }

    /// Captions of pictures, of which the first are greedy; with EOS, unless they were cut off.
    fn write(
        &self,
        model: &Ofa,
        batch: &Batch,
        (asked, greedy): (&[usize], usize),
        (encoding, random): (Encoding, &mut Random),
    ) -> Vec<Vec<u32>> {
        let tokens_max = self.interface.caption_tokens_max;
        let pixels = batch.pixels.clone();
        let pictures = Pictures::new(model, pixels, batch.image_size, encoding);
        let sources = pictures.ask_alike(asked, &batch.caption_prompt, positions(tokens_max));
        let (mut run, ids) = begin_captions(model, sources, tokens_max);
        let place = |id: RequestId| ids.iter().position(|other| *other == id);
        let mut captions = vec![Vec::new(); ids.len()];
        while !run.is_finished() {
            let report = model.decode_token_with(&mut run, |id, logits| {
                if place(id).is_some_and(|place| place >= greedy) {
                    perturb(logits, random);
                }
            });
            for step in report.requests {
                if let (Some(place), Some(Ok(_))) = (place(step.id), step.finished) {
                    captions[place] = step.tokens;
                    // Behind the last token there is no choice but the end.
                    captions[place].truncate(tokens_max);
                }
            }
        }
        captions
    }
}

fn mean(values: &[f32]) -> f32 {
    values.iter().sum::<f32>() / values.len().max(1) as f32
}

/// Adds Gumbel noise: the largest of the sums is a sample of the softmax (Gumbel 1954).
fn perturb(logits: &mut [f32], random: &mut Random) {
    for logit in logits {
        let uniform = f64::from(random.unit()) + f64::from(f32::EPSILON) / 8.0; // never 0 nor 1
        *logit -= (-uniform.ln()).ln() as f32;
    }
}

/// The loss of sampled captions, whose decoder sequences begin with number `first`; none without
/// a token.
pub(crate) fn self_critical(
    network: &TrainNetwork,
    (output, states): (&TrainOutput, &[Tensor<3>]),
    samples: &Samples,
    first: usize,
) -> Option<Tensor<1>> {
    let (mut rows, mut tokens, mut advantages) = (Vec::new(), Vec::new(), Vec::new());
    for (number, caption) in samples.captions.iter().enumerate() {
        for (place, token) in caption.tokens.iter().enumerate() {
            rows.push(output.place(first + number, place));
            tokens.push(*token);
            advantages.push(caption.advantage);
        }
    }
    (!rows.is_empty()).then(|| {
        let log_probs = log_softmax(network.model.layer_logits(states, &rows), 2);
        policy_loss(log_probs, &tokens, &advantages)
    })
}

/// `[layers, places, vocabulary]` to the loss, given each place's token and advantage.
fn policy_loss(log_probs: Tensor<3>, tokens: &[u32], advantages: &[f32]) -> Tensor<1> {
    let places = tokens.len();
    let advantages = Tensor::<1>::from_floats(advantages, &log_probs.device()).unsqueeze();
    (at_targets(log_probs, tokens) * advantages).sum().neg() / places as f32
}

#[cfg(test)]
mod tests {
    use burn::tensor::Device;

    use super::*;

    #[test]
    fn the_loss_is_the_advantages_weighted_by_log_probabilities() {
        let logits = [
            [[0.0, 1.0, 2.0], [1.0, 1.0, 1.0]], // the first layer's two places
            [[3.0, 0.0, 0.0], [0.0, 2.0, 0.0]],
        ];
        let log_prob = |row: [f32; 3], token: usize| {
            row[token] - row.iter().map(|logit| logit.exp()).sum::<f32>().ln()
        };
        let [[a, b], [c, d]] = logits;
        let expected = -(1.5 * (log_prob(a, 2) + log_prob(c, 2))
            - 0.5 * (log_prob(b, 1) + log_prob(d, 1)))
            / 2.0;
        let logits = Tensor::<3>::from_floats(logits, &Device::flex());
        let found = policy_loss(log_softmax(logits, 2), &[2, 1], &[1.5, -0.5]);
        assert!((found.into_scalar::<f32>() - expected).abs() < 1e-6);
    }

    #[test]
    fn noise_samples_the_softmax() {
        let logits = [0.0f32, 1.0, 2.0];
        let sum: f32 = logits.iter().map(|logit| logit.exp()).sum();
        let mut random = Random::new(1, "samples", 0);
        let mut counts = [0; 3];
        for _ in 0..20_000 {
            let mut noisy = logits;
            perturb(&mut noisy, &mut random);
            let best = (0..3).max_by(|a, b| noisy[*a].total_cmp(&noisy[*b])).unwrap();
            counts[best] += 1;
        }
        for (count, logit) in counts.iter().zip(logits) {
            let (found, expected) = (*count as f32 / 20_000.0, logit.exp() / sum);
            assert!((found - expected).abs() < 0.015, "{counts:?}");
        }
    }

    #[test]
    fn a_reference_is_worth_more_than_half_of_it_and_nonsense_nothing() {
        let interface = Arc::new(Interface::scenes().unwrap());
        let references: Vec<Vec<String>> =
            ["a large red ring", "two small blue squares"].map(|text| vec![text.to_owned()]).into();
        let reward = CaptionReward::new(&interface, &references).unwrap();
        let worth = |text: &str, is_ended| {
            let caption = interface.caption(text);
            reward.of((&caption, is_ended), &[ended_words("a large red ring")])
        };
        assert!((worth("a large red ring", true) - 10.0).abs() < 1e-3);
        assert!(worth("a large", true) > 0.5 && worth("a large", true) < 9.0);
        assert_eq!(worth("two green crosses", false), 0.0);
        // What is cut off is worth less than what ends, and a word too many before the end costs much.
        assert!(worth("a large red ring", false) < 9.0);
        assert!(worth("a large red ring and a", true) < worth("a large red ring", true) - 2.0);
    }

    #[test]
    fn one_picture_tells_nothing_of_how_rare_words_are() {
        let interface = Arc::new(Interface::scenes().unwrap());
        let error = CaptionReward::new(&interface, &[vec!["a large red ring".into()]]).unwrap_err();
        assert!(error.to_string().ends_with("the data has 1"), "{error}");
    }
}
