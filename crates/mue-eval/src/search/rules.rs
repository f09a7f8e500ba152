//! Candidate rules, made of what watched requests showed.

use mue_data::datasets::Task;
use mue_engine::{BranchRule, Deferral};

use super::thresholds::{SHARES, Sureness, decays, shares, similar, single_thresholds, sure};
use super::{Depths, Watched};

/// How sure an answer has to be that is not deferred.
const BELOW: [f32; 6] = [0.6, 0.7, 0.8, 0.9, 0.95, 0.99];

/// Every static depth.
pub(super) fn fixed(layers: usize) -> Vec<BranchRule> {
    (1..=layers).map(BranchRule::Fixed).collect()
}

/// Rules to try for each branch, in every combination.
#[derive(Clone, Debug)]
pub(crate) struct Candidates {
    pub(crate) images: Vec<BranchRule>,
    pub(crate) texts: Vec<BranchRule>,
    pub(crate) decoders: Vec<BranchRule>,
    /// What is done with unsure answers.
    pub(crate) deferrals: Vec<Option<Deferral>>,
}

impl Candidates {
    /// Static truncation, every combination of depths.
    pub(crate) fn fixed(depths: Depths) -> Self {
        let encoder = fixed(depths.encoder);
        Self::of(depths, (encoder.clone(), encoder), fixed(depths.decoder))
    }

    /// MuE as published: one threshold for all layers of a branch; over a caption it falls.
    pub(crate) fn mue(watched: &Watched, depths: Depths, task: Task) -> Self {
        // Of captions each rule costs a run, and a token has more layers to leave at than a picture.
        let shares = if task == Task::Entailment { &SHARES[..] } else { &[0.5] };
        let single = |noted: &[Vec<f32>], layers| -> Vec<BranchRule> {
            let thresholds = single_thresholds(noted, layers, shares).into_iter();
            thresholds.map(|threshold| BranchRule::Similarity(vec![threshold])).collect()
        };
        let decoders = match task {
            Task::Entailment => single(&watched.decoder, depths.decoder),
            Task::Caption => decays(&watched.decoder, depths),
        };
        let (image, text) = (&watched.image, &watched.text);
        Self::of(depths, (single(image, depths.encoder), single(text, depths.encoder)), decoders)
    }

    /// Thresholds of similarity for each layer; a static depth is a case of it.
    pub(crate) fn similarity(watched: &Watched, depths: Depths, task: Task) -> Self {
        let similar = affordable(similar(watched, depths.decoder), task);
        let decoders = [fixed(depths.decoder), similar].concat();
        Self::of(depths, encoder_branches(watched, depths), decoders)
    }

    /// Static encoder branches, and a decoder that asks how sure the answer is.
    pub(crate) fn sure(watched: &Watched, depths: Depths, by: Sureness, task: Task) -> Self {
        let encoder = fixed(depths.encoder);
        let all = sure(&watched.answers, depths.decoder, by);
        // Those by top probability are run for `any` as well.
        let decoders = if by == Sureness::Entropy { affordable(all, task) } else { all };
        Self::of(depths, (encoder.clone(), encoder), decoders)
    }

    /// Static encoder branches, a decoder that leaves by top probability, and unsure answers deferred;
    /// none where they cannot be.
    pub(crate) fn deferring(watched: &Watched, depths: Depths, task: Task) -> Self {
        let rules = Self::sure(watched, depths, Sureness::Probability, task);
        let deferrals = if depths.can_defer() { deferrals(depths.encoder) } else { Vec::new() };
        let images = if deferrals.is_empty() { Vec::new() } else { rules.images };
        Self { images, deferrals: deferrals.into_iter().map(Some).collect(), ..rules }
    }

    /// Whatever each branch does best with.
    pub(crate) fn any(watched: &Watched, depths: Depths, task: Task) -> Self {
        let sure = |by| sure(&watched.answers, depths.decoder, by);
        let mut decoders = [fixed(depths.decoder), sure(Sureness::Probability)].concat();
        // Of captions each rule costs a run, and entropy and patience are near top probability.
        if task == Task::Entailment {
            let others = [Sureness::Entropy, Sureness::Patience].map(sure).concat();
            decoders.extend([others, similar(watched, depths.decoder)].concat());
        }
        Self::of(depths, encoder_branches(watched, depths), decoders)
    }

    fn of(
        depths: Depths,
        (images, texts): (Vec<BranchRule>, Vec<BranchRule>),
        decoders: Vec<BranchRule>,
    ) -> Self {
        let texts = if depths.text { texts } else { vec![BranchRule::Full] };
        Self { images, texts, decoders, deferrals: vec![None] }
    }
}

/// Deferrals of the less sure to every deeper image.
fn deferrals(layers: usize) -> Vec<Deferral> {
    let depths = 2..=layers;
    depths.flat_map(|image| BELOW.map(|below| Deferral { below, image })).collect()
}

/// Of captions each rule costs a run: every other one.
fn affordable(rules: Vec<BranchRule>, task: Task) -> Vec<BranchRule> {
    rules.into_iter().step_by(if task == Task::Caption { 2 } else { 1 }).collect()
}

/// Static depths and per-layer thresholds of both encoder branches.
fn encoder_branches(watched: &Watched, depths: Depths) -> (Vec<BranchRule>, Vec<BranchRule>) {
    let branch =
        |noted: &[Vec<f32>]| [fixed(depths.encoder), shares(noted, depths.encoder)].concat();
    (branch(&watched.image), branch(&watched.text))
}
