//! A model folder: everything that a model needs, from one place.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use mue_data::Tokenizer;
use mue_model::weights::{Checkpoint, LoadError, RawTensor};
use mue_model::{Ofa, OfaConfig, RunOptions};

use serde::de::DeserializeOwned;

use crate::calibration::Calibration;
use crate::demo;
use crate::device::OpenDevice;
use crate::request::InvalidRequest;
use crate::settings::ModelSettings;

/// Where a model folder is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ModelSource {
    /// On disk.
    Folder(PathBuf),
    /// In this binary: the demo model.
    Demo,
}

impl<P: Into<PathBuf>> From<P> for ModelSource {
    fn from(path: P) -> Self {
        Self::Folder(path.into())
    }
}

impl fmt::Display for ModelSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Folder(path) => path.display().fmt(f),
            Self::Demo => f.write_str("demo"),
        }
    }
}

impl ModelSource {
    /// What errors call a file of it.
    fn path(&self, name: &str) -> PathBuf {
        match self {
            Self::Folder(path) => path.join(name),
            Self::Demo => Path::new("demo").join(name),
        }
    }

    /// The bytes of a file, none if there is no such file.
    fn find(&self, name: &str) -> Result<Option<Bytes>, OpenError> {
        let path = match self {
            Self::Folder(path) => path.join(name),
            Self::Demo => return Ok(demo::file(name).map(Bytes::from_static)),
        };
        match std::fs::read(&path) {
            Ok(bytes) => Ok(Some(bytes.into())),
            Err(source) if source.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(OpenError::Read { path, source }),
        }
    }

    fn read(&self, name: &str) -> Result<Bytes, OpenError> {
        let missing = || OpenError::Read {
            path: self.path(name),
            source: io::Error::from(io::ErrorKind::NotFound),
        };
        self.find(name)?.ok_or_else(missing)
    }

    fn parse<T: DeserializeOwned>(&self, name: &str, bytes: &[u8]) -> Result<T, OpenError> {
        serde_json::from_slice(bytes)
            .map_err(|source| OpenError::Json { path: self.path(name), source })
    }

    fn weights(&self) -> Result<Checkpoint, OpenError> {
        let name = "model.safetensors";
        let checkpoint = match self {
            // By memory map: its pages are read when they are needed.
            Self::Folder(path) => Checkpoint::open(&path.join(name)),
            Self::Demo => Checkpoint::from_safetensors(&self.path(name), &self.read(name)?),
        };
        Ok(checkpoint.map_err(LoadError::Checkpoint)?)
    }
}

/// A model folder, read and checked but for its weights, whose file is open and read by
/// [`load`](Self::load).
///
/// It makes [requests](crate::Request) out of what users ask.
#[derive(Debug)]
pub struct ModelFolder {
    source: ModelSource,
    /// Kept open, so that a model that is built again is the same one, whatever has become of the folder.
    /// It takes no memory: tensors are read from the file (by memory map, or on request) when they are
    /// needed.
    weights: Checkpoint,
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
    /// The settings ask for nothing, or for more than the model can.
    #[error("mue.json: {what} is {found}; this model takes 1 to {most}")]
    Setting {
        /// Which setting.
        what: &'static str,
        /// Its value.
        found: usize,
        /// The largest that works.
        most: usize,
    },
    /// No request could exit so.
    #[error("{file}: the exits of {task} cannot work")]
    Exits {
        /// Which file states them.
        file: &'static str,
        /// For which task.
        task: &'static str,
        /// Why.
        source: InvalidRequest,
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
    /// If a file is missing or wrong (of the weights, only their names and shapes are read), or the
    /// settings do not fit the model.
    pub fn open(source: impl Into<ModelSource>) -> Result<Self, OpenError> {
        let source = source.into();
        let settings: ModelSettings = source.parse("mue.json", &source.read("mue.json")?)?;
        let calibration = match source.find("calibration.json")? {
            Some(bytes) => source.parse("calibration.json", &bytes)?,
            None => Calibration::default(),
        };
        let tokenizer = Tokenizer::from_json(&source.read("tokenizer.json")?)?;
        let config = source.read("config.json")?;
        let config =
            OfaConfig::from_json(&String::from_utf8_lossy(&config)).map_err(LoadError::Config)?;
        let id =
            |word: &String| tokenizer.token_id(word).ok_or_else(|| OpenError::Answer(word.clone()));
        let words = &settings.answers;
        let answer_ids = [id(&words.entailment)?, id(&words.neutral)?, id(&words.contradiction)?];
        let caption_prompt = settings.prompts.caption_ids(&tokenizer);
        let folder = Self {
            weights: source.weights()?,
            source,
            config,
            tokenizer,
            settings,
            calibration,
            answer_ids,
            caption_prompt,
        };
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
        within("search.tokens_max", settings.search.tokens_max, tokens - 1)?;
        within("search.beam_size", settings.search.beam_size, self.beams_max())?;
        let (stated, found) = (&settings.exits, &self.calibration);
        for (task, can_defer, stated, found) in [
            ("captions", false, &stated.caption, &found.caption),
            ("entailment", self.can_defer(), &stated.entailment, &found.entailment),
        ] {
            let rules = stated.iter().map(|rules| ("mue.json", rules));
            let found = found.rules().map(|rules| ("calibration.json", rules));
            for (file, rules) in rules.chain(found) {
                let policy = rules.policy_of(can_defer);
                policy.map_err(|source| OpenError::Exits { file, task, source })?;
            }
        }
        Ok(())
    }

    /// Most beams of a caption: each goes on with one of two candidates.
    pub(crate) fn beams_max(&self) -> usize {
        self.config.vocab_size / 2
    }

    /// Reads the weights to a device. However often it is called, they are those of the file that was
    /// opened with the folder, even if another has been put in its place.
    ///
    /// # Errors
    ///
    /// If they are damaged or do not fit the configuration.
    pub fn load(&self, device: &OpenDevice, options: RunOptions) -> Result<Ofa, OpenError> {
        let weights = self.weights.clone().into_canonical().map_err(LoadError::Checkpoint)?;
        let model = Ofa::from_tensors(&weights.tensors, self.config.clone(), &device.device)?;
        Ok(model.with_options(options))
    }

    /// The folder's name; `demo` for the one in this binary.
    pub fn name(&self) -> String {
        match &self.source {
            ModelSource::Folder(path) => {
                path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned()
            }
            ModelSource::Demo => "demo".into(),
        }
    }

    /// The weights as they are stored, by name.
    pub fn weights(&self) -> &BTreeMap<String, RawTensor> {
        self.weights.tensors()
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
        false => Err(OpenError::Setting { what, found, most }),
    }
}
