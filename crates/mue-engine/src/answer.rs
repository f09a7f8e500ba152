//! What a request gets back, beside the words themselves.

use std::time::Duration;

use mue_model::{BranchExit, DecoderCost};

/// Where one request left the model.
#[derive(Clone, Debug, PartialEq)]
pub struct ExitTrace {
    /// The image branch.
    pub image: BranchDepth,
    /// The text branch; in joint encoding it leaves with the image.
    pub text: BranchDepth,
    /// Layer of each decoder step.
    pub decoder: Vec<usize>,
    /// Layers that the decoder has.
    pub decoder_layers: usize,
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
    /// Share of full depth that was not computed, 0 to 1.
    pub fn saved(&self) -> f64 {
        1.0 - self.macs as f64 / self.macs_full.max(1) as f64
    }

    pub(crate) fn add_decoder(&mut self, cost: &DecoderCost) {
        self.macs += cost.macs;
        self.macs_full += cost.macs_full;
    }
}

/// Time that a request's batch spent in each stage.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Timing {
    /// Stem and encoder layers.
    pub encode: Duration,
    /// Decoder layers, LM head and search.
    pub decode: Duration,
}

/// One token of a caption.
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
    /// How long its batch took.
    pub timing: Timing,
}

/// Whether the picture supports a sentence.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Label {
    /// It does.
    Entailment,
    /// It does not tell.
    Neutral,
    /// It contradicts it.
    Contradiction,
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
}

/// The verdict on one hypothesis.
#[derive(Clone, Debug, PartialEq)]
pub struct Entailment {
    /// The most probable label.
    pub label: Label,
    /// Probabilities in the order of [`Label::ALL`].
    pub scores: [f32; 3],
    /// Where the request left the model.
    pub exit: ExitTrace,
    /// What it cost; a picture shared by several hypotheses is counted in each.
    pub compute: Compute,
    /// How long its batch took.
    pub timing: Timing,
}
