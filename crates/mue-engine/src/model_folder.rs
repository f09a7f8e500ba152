//! A model folder: everything that a model needs, from one place.

use std::path::{Path, PathBuf};

use mue_data::Tokenizer;
use mue_model::weights::{Checkpoint, LoadError};
use mue_model::{Ofa, OfaConfig, RunOptions};

use crate::calibration::Calibration;
use crate::device::OpenDevice;
use crate::settings::ModelSettings;

/// A model folder, read and checked but for its weights, which [`load`](Self::load) opens.
///
/// It makes [requests](crate::Request) out of what users ask.
#[derive(Debug)]
pub struct ModelFolder {
    path: PathBuf,
    pub(crate) config: OfaConfig,
    pub(crate) tokenizer: Tokenizer,
    pub(crate) settings: ModelSettings,
    pub(crate) calibration: Calibration,
    /// Ids of the answer words, in the order of [`Label::ALL`](crate::Label::ALL).
    pub(crate) answer_ids: [u32; 3],
    /// The caption prompt with BOS and EOS.
    pub(crate) caption_prompt: Vec<u32>,
}

/// Why a model folder cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// A file is missing or unreadable.
    #[error("cannot read {path}; `mue import` writes a folder with everything a model needs")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// `mue.json` or `calibration.json` is not as it should be.
    #[error("{path} is not valid")]
    Json {
        /// The file.
        path: PathBuf,
        /// Why.
        source: serde_json::Error,
    },
    /// The tokenizer cannot be used.
    #[error("tokenizer.json is not valid")]
    Tokenizer(#[from] mue_data::TokenizerError),
    /// An answer must be one token for entailment to be one pass.
    #[error("mue.json: the answer {0:?} is not one token of this tokenizer")]
    Answer(String),
    /// The tokenizer has ids that the model does not embed.
    #[error("tokenizer.json has {ids} ids and the model embeds {vocab_size}")]
    Vocabulary {
        /// Ids of the tokenizer.
        ids: usize,
        /// Rows of the embedding.
        vocab_size: usize,
    },
    /// The settings ask for more than the model has positions for.
    #[error("mue.json: {what} is {found}; this model has positions for {most}")]
    Positions {
        /// Which setting.
        what: &'static str,
        /// Its value.
        found: usize,
        /// The largest that works.
        most: usize,
    },
    /// The weights or the configuration do not make a model.
    #[error(transparent)]
    Load(#[from] LoadError),
}

impl ModelFolder {
    /// Reads a folder that `mue import` or the trainer wrote.
    ///
    /// # Errors
    ///
    /// If a file is missing or wrong, or the settings do not fit the model.
    pub fn open(path: &Path) -> Result<Self, OpenError> {
        let settings: ModelSettings = parse(&path.join("mue.json"))?;
        let calibration = path.join("calibration.json");
        let calibration = match calibration.exists() {
            true => parse(&calibration)?,
            false => Calibration::default(),
        };
        let tokenizer = Tokenizer::from_json(&read(&path.join("tokenizer.json"))?)?;
        let config = read(&path.join("config.json"))?;
        let config =
            OfaConfig::from_json(&String::from_utf8_lossy(&config)).map_err(LoadError::Config)?;
        let id =
            |word: &String| tokenizer.token_id(word).ok_or_else(|| OpenError::Answer(word.clone()));
        let words = &settings.answers;
        let answer_ids = [id(&words.entailment)?, id(&words.neutral)?, id(&words.contradiction)?];
        let caption_prompt = settings.prompts.caption_ids(&tokenizer);
        let path = path.to_owned();
        let folder =
            Self { path, config, tokenizer, settings, calibration, answer_ids, caption_prompt };
        folder.check()?;
        Ok(folder)
    }

    fn check(&self) -> Result<(), OpenError> {
        let Self { config, settings, .. } = self;
        let (ids, vocab_size) = (self.tokenizer.vocab_size(), config.vocab_size);
        if ids > vocab_size {
            return Err(OpenError::Vocabulary { ids, vocab_size });
        }
        let (pixels, tokens) = (16 * config.image_bucket_size, config.max_position_embeddings);
        within("image_size", settings.image_size, pixels)?;
        within("the caption prompt's length", self.caption_prompt.len(), tokens)?;
        within("search.tokens_max", settings.search.tokens_max, tokens - 1)
    }

    /// Opens the weights on a device.
    ///
    /// # Errors
    ///
    /// If they are missing, damaged, or do not fit the configuration.
    pub fn load(&self, device: &OpenDevice, options: RunOptions) -> Result<Ofa, OpenError> {
        let weights = Checkpoint::open(&self.path.join("model.safetensors"))
            .and_then(Checkpoint::into_canonical)
            .map_err(LoadError::Checkpoint)?;
        let model = Ofa::from_tensors(&weights.tensors, self.config.clone(), &device.device)?;
        Ok(model.with_options(options))
    }

    /// The folder's name.
    pub fn name(&self) -> String {
        let name = self.path.file_name().unwrap_or(self.path.as_os_str());
        name.to_string_lossy().into_owned()
    }

    /// The model's dimensions.
    pub fn config(&self) -> &OfaConfig {
        &self.config
    }

    /// What exits cost the model; empty if nobody has measured it.
    pub fn calibration(&self) -> &Calibration {
        &self.calibration
    }

    /// How the model is asked.
    pub fn settings(&self) -> &ModelSettings {
        &self.settings
    }
}

fn within(what: &'static str, found: usize, most: usize) -> Result<(), OpenError> {
    match (1..=most).contains(&found) {
        true => Ok(()),
        false => Err(OpenError::Positions { what, found, most }),
    }
}

fn parse<T: serde::de::DeserializeOwned>(path: &Path) -> Result<T, OpenError> {
    serde_json::from_slice(&read(path)?)
        .map_err(|source| OpenError::Json { path: path.to_owned(), source })
}

fn read(path: &Path) -> Result<Vec<u8>, OpenError> {
    std::fs::read(path).map_err(|source| OpenError::Read { path: path.to_owned(), source })
}
