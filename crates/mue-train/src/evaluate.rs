//! The quick evaluation of a run: full depth, greedy, a few hundred examples.

use std::collections::BTreeMap;

use mue_model::{AnswerRequest, BranchPolicy, Ofa};
use serde::Serialize;

use crate::config::Encoding;
use crate::interface::Interface;
use crate::pictures::{Pictures, begin_captions, positions};

/// Examples whose answers are known.
#[derive(Clone, Debug)]
pub struct DevSet {
    /// Height and width of the pictures in pixels.
    pub image_size: [usize; 2],
    /// The prompt that asks for a caption, with BOS and EOS.
    pub caption_prompt: Vec<u32>,
    /// Token ids of the possible answers.
    pub answers: Vec<u32>,
    /// Most tokens of a caption.
    pub caption_tokens_max: usize,
    /// The examples.
    pub examples: Vec<DevExample>,
}

impl DevSet {
    /// No examples yet, for a model that is asked so.
    pub fn new(interface: &Interface) -> Self {
        Self {
            image_size: [interface.image_size; 2],
            caption_prompt: interface.caption_prompt(),
            answers: interface.answers.to_vec(),
            caption_tokens_max: interface.caption_tokens_max,
            examples: Vec::new(),
        }
    }
}

/// A picture with what should be said of it.
#[derive(Clone, Debug)]
pub struct DevExample {
    /// Normalised samples, `[3, height, width]` row-major.
    pub pixels: Vec<f32>,
    /// Captions, each of which is right, without BOS and EOS.
    pub captions: Vec<Vec<u32>>,
    /// Hypotheses.
    pub hypotheses: Vec<DevHypothesis>,
}

/// A question with its kind and its answer.
#[derive(Clone, Debug)]
pub struct DevHypothesis {
    /// What kind of question it is; accuracy is reported by family.
    pub family: String,
    /// Token ids of the prompt, with BOS and EOS.
    pub prompt: Vec<u32>,
    /// The right answer's token id.
    pub answer: u32,
}

/// What an evaluation found; shares between 0 and 1.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Evaluation {
    /// Right answers, if there were questions.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub entailment: Option<f32>,
    /// Right answers by family.
    pub families: BTreeMap<String, f32>,
    /// Captions that are an expected one to the word, if there were any to write.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub captions_exact: Option<f32>,
    /// Pictures.
    pub pictures: usize,
}

/// Pictures that are computed together.
const PICTURES: usize = 32;

/// Right ones among all.
#[derive(Clone, Copy, Debug, Default)]
struct Share {
    right: usize,
    all: usize,
}

impl Share {
    fn add(&mut self, right: bool) {
        self.right += usize::from(right);
        self.all += 1;
    }

    /// None of nothing.
    fn value(self) -> Option<f32> {
        (self.all > 0).then(|| self.right as f32 / self.all as f32)
    }
}

/// Evaluates a model at full depth.
pub(crate) fn evaluate(model: &Ofa, set: &DevSet, encoding: Encoding) -> Evaluation {
    let mut captions = Share::default();
    let mut families = BTreeMap::<String, Share>::new();
    for examples in set.examples.chunks(PICTURES) {
        let values = examples.iter().flat_map(|example| example.pixels.clone()).collect();
        let pictures = Pictures::new(model, values, set.image_size, encoding);
        let described: Vec<usize> =
            (0..examples.len()).filter(|place| !examples[*place].captions.is_empty()).collect();
        let written = write_captions(model, set, &pictures, &described);
        for (place, caption) in described.into_iter().zip(written) {
            captions.add(examples[place].captions.contains(&caption));
        }
        for (hypothesis, answer) in judge(model, set, &pictures, examples) {
            let family = families.entry(hypothesis.family.clone()).or_default();
            family.add(answer == Some(hypothesis.answer));
        }
    }
    let all = families.values().fold(Share::default(), |sum, share| Share {
        right: sum.right + share.right,
        all: sum.all + share.all,
    });
    Evaluation {
        entailment: all.value(),
        families: families
            .into_iter()
            .filter_map(|(name, share)| Some((name, share.value()?)))
            .collect(),
        captions_exact: captions.value(),
        pictures: set.examples.len(),
    }
}

/// Greedy captions, without EOS; empty where the model broke down.
fn write_captions(
    model: &Ofa,
    set: &DevSet,
    pictures: &Pictures<'_>,
    asked: &[usize],
) -> Vec<Vec<u32>> {
    let tokens_max = set.caption_tokens_max;
    let sources = pictures.ask_alike(asked, &set.caption_prompt, positions(tokens_max));
    let (mut run, ids) = begin_captions(model, sources, tokens_max);
    let mut captions = vec![Vec::new(); ids.len()];
    while !run.is_finished() {
        for step in model.decode_token(&mut run).requests {
            let place = ids.iter().position(|id| *id == step.id);
            if let (Some(place), Some(Ok(_))) = (place, step.finished) {
                captions[place] = step.tokens;
                captions[place].retain(|token| *token != model.special_tokens().eos);
            }
        }
    }
    captions
}

/// The likeliest answer to each hypothesis.
fn judge<'a>(
    model: &Ofa,
    set: &DevSet,
    pictures: &Pictures<'_>,
    examples: &'a [DevExample],
) -> Vec<(&'a DevHypothesis, Option<u32>)> {
    let asked: Vec<(usize, &DevHypothesis)> = examples
        .iter()
        .enumerate()
        .flat_map(|(place, example)| example.hypotheses.iter().map(move |it| (place, it)))
        .collect();
    if asked.is_empty() {
        return Vec::new();
    }
    let (places, hypotheses): (Vec<usize>, Vec<&DevHypothesis>) = asked.into_iter().unzip();
    let prompts: Vec<Vec<u32>> = hypotheses.iter().map(|it| it.prompt.clone()).collect();
    let longest = prompts.iter().map(Vec::len).max().unwrap_or(0);
    let requests = pictures
        .ask(&places, &prompts, longest)
        .into_iter()
        .zip(prompts)
        .map(|(source, mut prefix)| {
            prefix.pop();
            AnswerRequest { source, prefix, policy: BranchPolicy::Full }
        })
        .collect();
    let scored = model.answer(requests, &set.answers);
    hypotheses
        .into_iter()
        .zip(scored)
        .map(|(hypothesis, scored)| {
            let best = scored.ok().and_then(|scored| {
                let best = (0..scored.logits.len())
                    .max_by(|a, b| scored.logits[*a].total_cmp(&scored.logits[*b]))?;
                set.answers.get(best).copied()
            });
            (hypothesis, best)
        })
        .collect()
}
