//! Families of exit rules that a frontier compares.

use mue_data::datasets::Task;
use mue_engine::{BranchRule, Deferral, ExitRules};
use serde::Serialize;

use crate::search::{Candidates, Depths, Sureness, Watched};

/// A family of exit rules.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Rule {
    /// Exits off.
    Full,
    /// The same depth for every sample, one per branch.
    Static,
    /// MuE as published: one similarity threshold per branch, which falls over a caption.
    Mue,
    /// A similarity threshold for each layer of each branch.
    Similarity,
    /// Static encoder branches, a decoder that leaves by top probability.
    Probability,
    /// The same by entropy (DeeBERT).
    Entropy,
    /// The same by patience (PABEE).
    Patience,
    /// As by top probability, and unsure answers are deferred until the image branch has gone on.
    Deferral,
    /// Every branch by whatever does best, all other families included.
    Any,
    /// The model's calibrated default.
    Auto,
    /// The other points of the model's calibration.
    Calibrated,
}

impl Rule {
    /// All that save something, in the order of the report; plots colour them by it.
    pub const ALL: [Self; 10] = [
        Self::Static,
        Self::Mue,
        Self::Similarity,
        Self::Probability,
        Self::Entropy,
        Self::Patience,
        Self::Deferral,
        Self::Any,
        Self::Auto,
        Self::Calibrated,
    ];

    /// Those that are tuned, in the order of the report.
    pub(super) fn tuned() -> impl Iterator<Item = Self> {
        Self::ALL.into_iter().filter(|rule| !matches!(rule, Self::Auto | Self::Calibrated))
    }

    /// As people read it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Full => "full depth",
            Self::Static => "static truncation",
            Self::Mue => "MuE as published",
            Self::Similarity => "similarity per layer",
            Self::Probability => "top probability",
            Self::Entropy => "entropy (DeeBERT)",
            Self::Patience => "patience (PABEE)",
            Self::Deferral => "top probability, unsure deferred",
            Self::Any => "best of all signals",
            Self::Auto => "auto",
            Self::Calibrated => "calibrated",
        }
    }

    /// What a tuned family chooses from.
    pub(super) fn candidates(self, watched: &Watched, depths: Depths, task: Task) -> Candidates {
        let sure = |by| Candidates::sure(watched, depths, by, task);
        match self {
            Self::Mue => Candidates::mue(watched, depths, task),
            Self::Similarity => Candidates::similarity(watched, depths, task),
            Self::Probability => sure(Sureness::Probability),
            Self::Entropy => sure(Sureness::Entropy),
            Self::Patience => sure(Sureness::Patience),
            Self::Deferral => Candidates::deferring(watched, depths, task),
            Self::Any => Candidates::any(watched, depths, task),
            Self::Full | Self::Static | Self::Auto | Self::Calibrated => Candidates::fixed(depths),
        }
    }
}

/// Rules in words, branch by branch.
pub(crate) fn in_words(rules: &ExitRules, task: Task) -> String {
    let mut branches = vec![format!("image {}", branch(&rules.image))];
    if task == Task::Entailment {
        branches.push(format!("text {}", branch(&rules.text)));
    }
    branches.push(format!("decoder {}", branch(&rules.decoder)));
    branches.extend(rules.deferral.map(|Deferral { below, image }| {
        format!("answers below {below} deferred to image depth {image}")
    }));
    branches.join(", ")
}

fn branch(rule: &BranchRule) -> String {
    match rule {
        BranchRule::Full | BranchRule::Watch => "in full".into(),
        BranchRule::Fixed(layers) => format!("at depth {layers}"),
        BranchRule::Similarity(thresholds) if thresholds.len() > 1 => {
            "by similarity per layer".into()
        }
        BranchRule::Similarity(_) => "by one similarity".into(),
        BranchRule::Decay { .. } => "by one similarity that falls".into(),
        BranchRule::Probability(_) => "by top probability".into(),
        BranchRule::Entropy(_) => "by entropy".into(),
        BranchRule::Patience(layers) => format!("by patience of {layers}"),
    }
}
