//! The quick evaluation of a run: full depth, greedy, a few hundred examples.

use std::collections::BTreeMap;
use std::sync::Arc;

use mue_model::{
    AnswerRequest, BranchEncoding, BranchPolicy, Ofa, SearchSettings, Tensor, TensorData,
};
use serde::Serialize;

use crate::interface::Interface;

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
pub(crate) fn evaluate(model: &Ofa, set: &DevSet) -> Evaluation {
    let mut captions = Share::default();
    let mut families = BTreeMap::<String, Share>::new();
    for examples in set.examples.chunks(PICTURES) {
        let images = encode_images(model, set, examples);
        let (asked, shown): (Vec<_>, Vec<_>) = examples
            .iter()
            .zip(&images)
            .filter(|(example, _)| !example.captions.is_empty())
            .map(|(example, image)| (example, Arc::clone(image)))
            .unzip();
        for (example, caption) in asked.into_iter().zip(write_captions(model, set, &shown)) {
            captions.add(example.captions.contains(&caption));
        }
        for (hypothesis, answer) in judge(model, set, (examples, &images)) {
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

fn encode_images(model: &Ofa, set: &DevSet, examples: &[DevExample]) -> Vec<Arc<BranchEncoding>> {
    let [height, width] = set.image_size;
    let values: Vec<f32> = examples.iter().flat_map(|example| example.pixels.clone()).collect();
    let data = TensorData::new(values, [examples.len(), 3, height, width]);
    let pixels = Tensor::from_data(data, model.device());
    let run = model.begin_images(pixels, vec![BranchPolicy::Full; examples.len()]);
    model.encode_all(run).into_iter().map(Arc::new).collect()
}

/// Greedy captions, without EOS; empty where the model broke down.
fn write_captions(model: &Ofa, set: &DevSet, images: &[Arc<BranchEncoding>]) -> Vec<Vec<u32>> {
    let prompt = model.constant_text(&set.caption_prompt, &BranchPolicy::Full);
    let settings = SearchSettings {
        beam_size: 1,
        tokens_max: set.caption_tokens_max,
        no_repeat_ngram_size: 0,
        ..SearchSettings::default()
    };
    let mut run = model.begin_decode();
    let ids: Vec<_> = images
        .iter()
        .map(|image| {
            let parts = vec![Arc::clone(image), Arc::clone(&prompt)];
            let source = model.source(parts, set.caption_tokens_max + 2);
            model.join_decode(&mut run, source, BranchPolicy::Full, settings.clone())
        })
        .collect();
    let mut captions = vec![Vec::new(); images.len()];
    while !run.is_finished() {
        for step in model.decode_token(&mut run).requests {
            let place = ids.iter().position(|id| *id == step.id);
            if let (Some(place), Some(Ok(answer))) = (place, step.finished) {
                let mut tokens =
                    answer.hypotheses.into_iter().next().map(|it| it.tokens).unwrap_or_default();
                tokens.retain(|token| *token != model.special_tokens().eos);
                captions[place] = tokens;
            }
        }
    }
    captions
}

/// The likeliest answer to each hypothesis.
fn judge<'a>(
    model: &Ofa,
    set: &DevSet,
    (examples, images): (&'a [DevExample], &[Arc<BranchEncoding>]),
) -> Vec<(&'a DevHypothesis, Option<u32>)> {
    let asked: Vec<(&DevHypothesis, &Arc<BranchEncoding>)> = examples
        .iter()
        .zip(images)
        .flat_map(|(example, image)| example.hypotheses.iter().map(move |it| (it, image)))
        .collect();
    if asked.is_empty() {
        return Vec::new();
    }
    let prompts: Vec<Vec<u32>> = asked.iter().map(|(it, _)| it.prompt.clone()).collect();
    let run = model.begin_texts(&prompts, vec![BranchPolicy::Full; prompts.len()]);
    let texts = model.encode_all(run).into_iter().map(Arc::new);
    let requests = asked
        .iter()
        .zip(texts)
        .map(|((hypothesis, image), text)| {
            let prefix = hypothesis.prompt[..hypothesis.prompt.len() - 1].to_vec();
            let source = model.source(vec![Arc::clone(image), text], prefix.len());
            AnswerRequest { source, prefix, policy: BranchPolicy::Full }
        })
        .collect();
    let scored = model.answer(requests, &set.answers);
    asked
        .iter()
        .zip(scored)
        .map(|((hypothesis, _), scored)| {
            let best = scored.ok().and_then(|scored| {
                let best = (0..scored.logits.len())
                    .max_by(|a, b| scored.logits[*a].total_cmp(&scored.logits[*b]))?;
                set.answers.get(best).copied()
            });
            (*hypothesis, best)
        })
        .collect()
}
