//! What a request gets back, beside the words themselves.

use std::sync::Arc;

use mue_data::datasets::EntailmentLabel;
use mue_data::{Tokenizer, trim_caption};
use mue_model::{
    Branch, BranchEncoding, BranchExit, DecodedAnswer, DecoderCost, MacModel, Prediction,
    ScoredAnswer, StepExit,
};
use serde::Serialize;

use crate::settings::AnswerWords;

/// An answer of the model.
#[derive(Clone, Debug, PartialEq)]
pub enum Reply {
    /// To a caption request.
    Caption(Caption),
    /// To an entailment request.
    Entailment(Entailment),
}

impl Reply {
    /// Where the request left the model.
    pub fn exit(&self) -> &ExitTrace {
        match self {
            Self::Caption(caption) => &caption.exit,
            Self::Entailment(entailment) => &entailment.exit,
        }
    }

    /// What it cost.
    pub fn compute(&self) -> Compute {
        match self {
            Self::Caption(caption) => caption.compute,
            Self::Entailment(entailment) => entailment.compute,
        }
    }
}

/// Where one request left the model.
#[derive(Clone, Debug, PartialEq)]
pub struct ExitTrace {
    /// The image branch.
    pub image: BranchDepth,
    /// The text branch; in joint encoding it leaves with the image.
    pub text: BranchDepth,
    /// Layer of each decoder step.
    pub decoder: Vec<usize>,
    /// Steps that the answer's tokens are of, the first ones: those behind them found its end or, among
    /// several beams, nothing better.
    pub tokens: usize,
    /// What was read first, if that answer was not sure enough.
    pub deferred: Option<FirstReading>,
    /// Layers that the decoder has.
    pub decoder_layers: usize,
    /// What the exits were decided by.
    pub similarities: Similarities,
    /// Of each decoder step, what would have been answered from the layers that were asked: token
    /// ids of a caption, places in [`Label::ALL`] of an entailment; empty where no policy asked.
    pub predictions: Vec<Vec<Prediction>>,
}

impl ExitTrace {
    /// Mean decoder layer over the answer's tokens; over all steps if it has none.
    pub fn mean_layer(&self) -> f64 {
        let layers = match self.decoder.get(..self.tokens) {
            None | Some([]) => self.decoder.as_slice(),
            Some(layers) => layers,
        };
        layers.iter().sum::<usize>() as f64 / layers.len().max(1) as f64
    }
}

/// A reading whose answer was not sure enough, so that the image branch went on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FirstReading {
    /// The layer at which the image branch had left.
    pub image: usize,
    /// The layer at which the decoder had left.
    pub decoder: usize,
}

/// `cos(H_i, H_{i-1})` after each layer run (MuE, section 3.3), of an image that went on until it left
/// first; empty where no policy asked, but for the constant caption prompt's, which are always known.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Similarities {
    /// Of the image branch.
    pub image: Vec<f32>,
    /// Of the text branch.
    pub text: Vec<f32>,
    /// Of each decoder step.
    pub decoder: Vec<Vec<f32>>,
}

/// Layers run of those there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BranchDepth {
    /// Run.
    pub layer: usize,
    /// Possible.
    pub layers: usize,
}

impl From<&BranchExit> for BranchDepth {
    fn from(exit: &BranchExit) -> Self {
        Self { layer: exit.layer, layers: exit.layers }
    }
}

/// Multiply-accumulates of one request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Compute {
    /// Computed for it.
    pub macs: u64,
    /// The same at full depth.
    pub macs_full: u64,
}

impl Compute {
    /// Share of full depth that was not computed, at most 1; below 0 where a policy asked the head so
    /// often that the readings cost more than the layers saved, or a deferral read twice what it saved.
    pub fn saved(&self) -> f64 {
        1.0 - self.macs as f64 / self.macs_full.max(1) as f64
    }
}

/// What a request's encoder branches cost, and where they left.
#[derive(Clone, Debug)]
pub(crate) struct EncoderTrace {
    image: BranchExit,
    text: BranchExit,
    compute: Compute,
}

impl EncoderTrace {
    /// Of a request's branches, image first; the constant prompt costs nothing.
    pub(crate) fn new(parts: &[Arc<BranchEncoding>], macs: &MacModel) -> Self {
        let mut compute = Compute::default();
        for part in parts.iter().filter(|part| !part.is_constant()) {
            let stem = match part.branch() {
                Branch::Image(grid) | Branch::Joint(Some(grid)) => macs.stem(grid),
                Branch::Text | Branch::Joint(None) => 0,
            };
            let layer = macs.encoder_layer(part.tokens());
            compute.macs += stem + part.exit().layer as u64 * layer;
            compute.macs_full += stem + part.exit().layers as u64 * layer;
        }
        let image = parts.first().expect("a request has at least one branch").exit();
        let text = parts.get(1).map_or(image, |part| part.exit());
        Self { image: image.clone(), text: text.clone(), compute }
    }

    /// With the decoder's part, the first `tokens` of whose steps are in the answer.
    fn joined(
        self,
        (steps, tokens): (Vec<StepExit>, usize),
        cost: &DecoderCost,
    ) -> (ExitTrace, Compute) {
        let Self { image, text, mut compute } = self;
        compute.macs += cost.macs;
        compute.macs_full += cost.macs_full;
        let (image_depth, text_depth) = ((&image).into(), (&text).into());
        let decoder = steps.iter().map(|step| step.layer).collect();
        let (similarities, predictions) =
            steps.into_iter().map(|step| (step.similarities, step.predictions)).unzip();
        let exit = ExitTrace {
            predictions,
            image: image_depth,
            text: text_depth,
            decoder,
            tokens,
            deferred: None,
            decoder_layers: cost.layers(),
            similarities: Similarities {
                image: image.similarities,
                text: text.similarities,
                decoder: similarities,
            },
        };
        (exit, compute)
    }
}

/// One token of an answer.
#[derive(Clone, Debug, PartialEq)]
pub struct TokenExit {
    /// Its text, with the space before it.
    pub text: String,
    /// The layer at which its step left the decoder.
    pub layer: usize,
}

/// A picture in words.
#[derive(Clone, Debug, PartialEq)]
pub struct Caption {
    /// The best caption.
    pub text: String,
    /// Its length-normalised log-probability.
    pub score: f32,
    /// Its tokens.
    pub tokens: Vec<TokenExit>,
    /// Where the request left the model.
    pub exit: ExitTrace,
    /// What it cost.
    pub compute: Compute,
}

impl Caption {
    pub(crate) fn new(
        answer: DecodedAnswer,
        trace: EncoderTrace,
        (tokenizer, eos): (&Tokenizer, u32),
    ) -> Self {
        let best = answer.hypotheses.into_iter().next();
        let (ids, score) = best.map_or((Vec::new(), 0.0), |best| (best.tokens, best.score));
        let words: Vec<u32> = ids.into_iter().filter(|id| *id != eos).collect();
        let pieces = tokenizer.pieces(&words);
        let tokens: Vec<TokenExit> = pieces
            .into_iter()
            .zip(&answer.exits)
            .map(|(text, exit)| TokenExit { text, layer: exit.layer })
            .collect();
        let (exit, compute) = trace.joined((answer.exits, tokens.len()), &answer.cost);
        Self { text: trim_caption(&tokenizer.decode(&words)), score, tokens, exit, compute }
    }
}

/// Whether the picture supports a sentence.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Label {
    /// It does.
    Entailment,
    /// It does not tell.
    Neutral,
    /// It contradicts it.
    Contradiction,
}

impl From<EntailmentLabel> for Label {
    fn from(label: EntailmentLabel) -> Self {
        match label {
            EntailmentLabel::Entailment => Self::Entailment,
            EntailmentLabel::Neutral => Self::Neutral,
            EntailmentLabel::Contradiction => Self::Contradiction,
        }
    }
}

impl Label {
    /// Every label, in the order of [`Entailment::scores`].
    pub const ALL: [Self; 3] = [Self::Entailment, Self::Neutral, Self::Contradiction];

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Entailment => "entailment",
            Self::Neutral => "neutral",
            Self::Contradiction => "contradiction",
        }
    }

    /// The word that stands for it.
    fn word(self, words: &AnswerWords) -> &str {
        match self {
            Self::Entailment => &words.entailment,
            Self::Neutral => &words.neutral,
            Self::Contradiction => &words.contradiction,
        }
    }
}

/// The verdict on one hypothesis.
#[derive(Clone, Debug, PartialEq)]
pub struct Entailment {
    /// The most probable label.
    pub label: Label,
    /// Probabilities in the order of [`Label::ALL`].
    pub scores: [f32; 3],
    /// The label's word, the one token that the decoder answers with.
    pub tokens: Vec<TokenExit>,
    /// Where the request left the model.
    pub exit: ExitTrace,
    /// What it cost; a picture shared by several hypotheses is counted in each.
    pub compute: Compute,
}

impl Entailment {
    /// With what was deferred for it, if anything was; `answer` has the cost of that too.
    pub(crate) fn new(
        (answer, deferred): (ScoredAnswer, Option<FirstReading>),
        trace: EncoderTrace,
        words: &AnswerWords,
    ) -> Self {
        let mut scores = [0.0; 3];
        for (score, log_prob) in scores.iter_mut().zip(&answer.log_probs) {
            *score = log_prob.exp();
        }
        let best = |best: usize, next: usize| if scores[next] > scores[best] { next } else { best };
        let label = Label::ALL[(0..3).fold(0, best)];
        let text = label.word(words).to_owned();
        let tokens = vec![TokenExit { text, layer: answer.exit.layer }];
        let (exit, compute) = trace.joined((vec![answer.exit], tokens.len()), &answer.cost);
        let exit = ExitTrace { deferred, ..exit };
        Self { label, scores, tokens, exit, compute }
    }
}
