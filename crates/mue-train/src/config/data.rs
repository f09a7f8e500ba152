//! What is learned from: `[data]`.

use std::path::PathBuf;

use mue_data::datasets::DataSpec;
use mue_data::scenes::Family;
use serde::{Deserialize, Deserializer, Serialize};

use super::bounds::{positive, shares};
use super::{LossConfig, RecipeError};

/// What is learned from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DataConfig {
    /// Data sets to learn from, at most one for each task; none is endless scenes.
    #[serde(deserialize_with = "one_or_more", skip_serializing_if = "Vec::is_empty")]
    pub train: Vec<String>,
    /// Data sets of the quick evaluations. None is scenes where scenes are learned, and else no
    /// evaluation.
    #[serde(deserialize_with = "one_or_more", skip_serializing_if = "Vec::is_empty")]
    pub dev: Vec<String>,
    /// Folder of the pictures; if none, they are looked for around the annotations.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub images: Option<PathBuf>,
    /// Splits to learn of a file that holds several.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub splits: Vec<String>,
    /// Splits to evaluate on of a file that holds several.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub dev_splits: Vec<String>,
    /// Share of the pictures that come from the captions, where `train` has both tasks.
    pub caption_share: f32,
    /// Which reference of a picture of `train` is learned.
    pub reference: Reference,
    /// Whether captions of `train` and `dev` keep their punctuation.
    pub punctuation: bool,
    /// Entries and pictures of a data set that may be unusable, in each pass over it, before the
    /// run fails.
    pub problems_max: usize,
    /// Pictures that are computed together.
    pub pictures: usize,
    /// Groups of pictures whose gradients are added up for one step.
    pub accumulation: usize,
    /// Hypotheses about each picture.
    pub hypotheses: usize,
    /// Families of scenes' hypotheses that one hypothesis of each picture is about, where the
    /// picture has what they take; empty lets the families' own odds decide alone.
    pub emphasis: Vec<String>,
    /// Steps before the emphasis begins.
    pub emphasis_after: u64,
    /// Pictures of the quick evaluations.
    pub dev_pictures: usize,
}

/// Which of a picture's references is learned.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Reference {
    /// One at random, another in each pass.
    Any,
    /// The first: of scenes, the canonical caption.
    First,
}

impl Default for DataConfig {
    fn default() -> Self {
        Self {
            train: Vec::new(),
            dev: Vec::new(),
            images: None,
            splits: Vec::new(),
            dev_splits: Vec::new(),
            caption_share: 0.5,
            reference: Reference::Any,
            punctuation: true,
            problems_max: 0,
            pictures: 16,
            accumulation: 2,
            hypotheses: 2,
            emphasis: Vec::new(),
            emphasis_after: 0,
            dev_pictures: 300,
        }
    }
}

impl DataConfig {
    pub(super) fn check(&self, loss: &LossConfig) -> Result<(), RecipeError> {
        positive(&[
            ("data.pictures", self.pictures as u64),
            ("data.accumulation", self.accumulation as u64),
        ])?;
        shares(&[("data.caption_share", self.caption_share)])?;
        if let Some(name) = self.emphasis.iter().find(|name| Family::named(name).is_none()) {
            let known = Family::ALL.map(Family::name).join(", ");
            let what = format!("data.emphasis names {name:?}; there are {known}");
            return Err(RecipeError::Value(what));
        }
        for (key, names) in [("data.train", &self.train), ("data.dev", &self.dev)] {
            for name in names {
                if let Err(error) = name.parse::<DataSpec>() {
                    return Err(RecipeError::Value(format!("{key}: {error}")));
                }
            }
        }
        match !self.train.is_empty() && loss.grounding > 0.0 {
            true => Err(RecipeError::Value(
                "loss.grounding needs the endless scenes, whose cells are known; leave out \
                 data.train or the grounding"
                    .into(),
            )),
            false => Ok(()),
        }
    }
}

/// A list, or its only element.
fn one_or_more<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum OneOrMore {
        One(String),
        More(Vec<String>),
    }
    Ok(match OneOrMore::deserialize(deserializer)? {
        OneOrMore::One(name) => vec![name],
        OneOrMore::More(names) => names,
    })
}
