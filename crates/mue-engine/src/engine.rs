//! A model folder, opened: the model, its tokenizer and its settings.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use mue_data::{PixelTensor, Tokenizer};
use mue_model::weights::{Checkpoint, LoadError};
use mue_model::{
    Branch, BranchEncoding, BranchPolicy, NonFiniteLogits, Ofa, OfaConfig, RunOptions, Tensor,
    TensorData,
};

use crate::answer::{Compute, ExitTrace};
use crate::device::OpenDevice;
use crate::settings::{Encoding, ModelSettings};

/// Answers requests with one model on one device.
#[derive(Debug)]
pub struct Engine {
    pub(crate) model: Ofa,
    pub(crate) tokenizer: Tokenizer,
    pub(crate) settings: ModelSettings,
    device: OpenDevice,
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
    /// `mue.json` is not as it should be.
    #[error("{path} is not valid")]
    Settings {
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
    /// The weights or the configuration do not make a model.
    #[error(transparent)]
    Load(#[from] LoadError),
}

/// Why a request failed.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// The text cannot be a prompt.
    #[error(transparent)]
    Prompt(#[from] mue_data::PromptError),
    /// The model broke down.
    #[error(transparent)]
    NonFinite(#[from] NonFiniteLogits),
}

impl Engine {
    /// Opens a folder that `mue import` or the trainer wrote.
    ///
    /// # Errors
    ///
    /// If a file is missing or wrong, or the weights do not fit the configuration.
    pub fn open(folder: &Path, device: OpenDevice) -> Result<Self, OpenError> {
        let settings = read(&folder.join("mue.json"))?;
        let settings = serde_json::from_slice(&settings)
            .map_err(|source| OpenError::Settings { path: folder.join("mue.json"), source })?;
        let tokenizer = Tokenizer::from_json(&read(&folder.join("tokenizer.json"))?)?;
        let config = read(&folder.join("config.json"))?;
        let config = OfaConfig::from_json(&String::from_utf8_lossy(&config))
            .map_err(LoadError::Config)?;
        let weights = Checkpoint::open(&folder.join("model.safetensors"))
            .and_then(Checkpoint::into_canonical)
            .map_err(LoadError::Checkpoint)?;
        let model = Ofa::from_tensors(&weights.tensors, config, &device.device)?;
        Self::new(model, tokenizer, settings, device)
    }

    /// An engine of parts that are already there.
    ///
    /// # Errors
    ///
    /// If an answer word is not one token.
    pub fn new(
        model: Ofa,
        tokenizer: Tokenizer,
        settings: ModelSettings,
        device: OpenDevice,
    ) -> Result<Self, OpenError> {
        let id = |word: &String| {
            tokenizer.token_id(word).ok_or_else(|| OpenError::Answer(word.clone()))
        };
        let words = &settings.answers;
        let answer_ids = [id(&words.entailment)?, id(&words.neutral)?, id(&words.contradiction)?];
        let caption_prompt = settings.prompts.caption_ids(&tokenizer);
        Ok(Self { model, tokenizer, settings, device, answer_ids, caption_prompt })
    }

    /// The model, its exits executed and its decoder state kept as these options say.
    pub fn with_options(mut self, options: RunOptions) -> Self {
        self.model = self.model.with_options(options);
        self
    }

    /// The model.
    pub fn model(&self) -> &Ofa {
        &self.model
    }

    /// The folder's settings.
    pub fn settings(&self) -> &ModelSettings {
        &self.settings
    }

    /// Where it runs.
    pub fn device(&self) -> &OpenDevice {
        &self.device
    }

    /// Pictures of one size as one tensor, `[pictures, 3, height, width]`.
    pub(crate) fn pixels(&self, images: &[PixelTensor]) -> Tensor<4> {
        let shape = match images.first() {
            Some(image) => [images.len(), 3, image.height, image.width],
            None => [0, 3, 0, 0],
        };
        let values: Vec<f32> =
            images.iter().flat_map(|image| image.values.iter().copied()).collect();
        Tensor::from_data(TensorData::new(values, shape), &self.device.device)
    }

    /// Encodes a cohort: one image policy and one text policy each, an own text each unless it is
    /// the constant prompt.
    pub(crate) fn encode(
        &self,
        images: &[PixelTensor],
        texts: Texts<'_>,
        (image, text): (&BranchPolicy, &BranchPolicy),
    ) -> Vec<Vec<Arc<BranchEncoding>>> {
        let pixels = self.pixels(images);
        let policies = |policy: &BranchPolicy, rows: usize| vec![policy.clone(); rows];
        match (self.settings.encoding, texts) {
            (Encoding::Decomposed, Texts::Constant(prompt)) => {
                let prompt = self.model.constant_text(prompt, text);
                let run = self.model.begin_images(pixels, policies(image, images.len()));
                let images = self.model.encode_all(run).into_iter().map(Arc::new);
                images.map(|image| vec![image, Arc::clone(&prompt)]).collect()
            }
            (Encoding::Decomposed, Texts::OfOneImage(texts)) => {
                let run = self.model.begin_images(pixels, policies(image, 1));
                let image: Vec<_> =
                    self.model.encode_all(run).into_iter().map(Arc::new).collect();
                let run = self.model.begin_texts(texts, policies(text, texts.len()));
                let texts = self.model.encode_all(run).into_iter().map(Arc::new);
                texts.map(|text| image.iter().cloned().chain([text]).collect()).collect()
            }
            (Encoding::Joint, texts) => {
                let (pixels, texts) = match texts {
                    Texts::Constant(prompt) => (pixels, vec![prompt.to_vec(); images.len()]),
                    Texts::OfOneImage(texts) => (pixels.repeat_dim(0, texts.len()), texts.to_vec()),
                };
                let rows = texts.len();
                let run = self.model.begin_joint(Some(pixels), &texts, policies(image, rows));
                self.model.encode_all(run).into_iter().map(|row| vec![Arc::new(row)]).collect()
            }
        }
    }

    /// What a request's encoder branches cost, and where they left.
    pub(crate) fn encoder_trace(&self, parts: &[Arc<BranchEncoding>]) -> (Compute, ExitTrace) {
        let macs = self.model.macs();
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
        let depth = |part: Option<&Arc<BranchEncoding>>| part.map(|part| part.exit().into());
        let image = depth(parts.first()).expect("a request has at least one branch");
        let exit = ExitTrace {
            image,
            text: depth(parts.get(1)).unwrap_or(image),
            decoder: Vec::new(),
            decoder_layers: self.model.config().decoder_layers,
        };
        (compute, exit)
    }
}

/// The texts of a cohort.
#[derive(Clone, Copy)]
pub(crate) enum Texts<'a> {
    /// The same for every picture, and for every request of this model.
    Constant(&'a [u32]),
    /// Several about one picture.
    OfOneImage(&'a [Vec<u32>]),
}

fn read(path: &Path) -> Result<Vec<u8>, OpenError> {
    std::fs::read(path).map_err(|source| OpenError::Read { path: path.to_owned(), source })
}
