//! One picture with what is said of it.

use std::path::PathBuf;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::picture::{ImageError, ImageLimits, Orientation, RgbImage, decode_image};
use crate::scenes::{Scene, SceneLabel};

/// What samples are for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Task {
    /// Captions.
    Caption,
    /// Hypotheses and whether the picture supports them.
    Entailment,
}

/// Whether a picture supports a sentence.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum EntailmentLabel {
    /// It does.
    Entailment,
    /// It does not tell.
    Neutral,
    /// It contradicts it.
    Contradiction,
}

impl From<SceneLabel> for EntailmentLabel {
    fn from(label: SceneLabel) -> Self {
        match label {
            SceneLabel::Yes => Self::Entailment,
            SceneLabel::Maybe => Self::Neutral,
            SceneLabel::No => Self::Contradiction,
        }
    }
}

/// A picture and its text.
#[derive(Clone, Debug, PartialEq)]
pub struct Sample {
    /// Its name in the data set: COCO's image id, SNLI-VE's pair id, a scene's number.
    pub id: String,
    /// Where its picture comes from.
    pub picture: PictureSource,
    /// What is said of it.
    pub text: SampleText,
}

/// What is said of a picture.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SampleText {
    /// Reference captions, at least one.
    Captions(Vec<String>),
    /// A sentence to judge.
    Hypothesis {
        /// The sentence.
        hypothesis: String,
        /// A description of the picture in words.
        premise: Option<String>,
        /// The right answer.
        label: EntailmentLabel,
        /// Kind of hypothesis, where the data set tells kinds apart.
        family: Option<String>,
    },
}

/// Where a picture comes from.
#[derive(Clone, Debug, PartialEq)]
pub enum PictureSource {
    /// A file in the first of some folders that has it.
    File {
        /// Its name, perhaps with folders in front.
        name: String,
        /// Where to look.
        folders: Arc<[PathBuf]>,
    },
    /// Made on the spot.
    Scene(Box<Scene>),
}

/// Why there is no picture.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PictureError {
    /// None of the folders has the file.
    #[error("no picture {name} in {}", list(folders))]
    Missing {
        /// The name.
        name: String,
        /// Where it was looked for.
        folders: Arc<[PathBuf]>,
    },
    /// The file is there and cannot be read.
    #[error("cannot read {path}")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The file is no picture.
    #[error("{path} is not a picture")]
    Decode {
        /// The file.
        path: PathBuf,
        /// Why.
        source: ImageError,
    },
}

fn list(folders: &[PathBuf]) -> String {
    let names: Vec<String> = folders.iter().map(|folder| folder.display().to_string()).collect();
    names.join(", ")
}

impl PictureSource {
    /// Reads and decodes the picture, or makes it.
    ///
    /// # Errors
    ///
    /// If the file is missing, unreadable, too large or no picture.
    pub fn load(
        &self,
        limits: ImageLimits,
        orientation: Orientation,
    ) -> Result<RgbImage, PictureError> {
        let (name, folders) = match self {
            Self::Scene(scene) => return Ok(scene.image()),
            Self::File { name, folders } => (name, folders),
        };
        let mut paths = folders.iter().map(|folder| folder.join(name));
        let path = paths.find(|path| path.is_file()).ok_or_else(|| PictureError::Missing {
            name: name.clone(),
            folders: Arc::clone(folders),
        })?;
        match std::fs::read(&path) {
            Ok(bytes) => decode_image(&bytes, limits, orientation)
                .map_err(|source| PictureError::Decode { path, source }),
            Err(source) => Err(PictureError::Read { path, source }),
        }
    }
}
