//! Requests that can't be wrong: what is checked once is not checked again.

use std::sync::Arc;

use blake3::Hasher;
use mue_data::{PixelTensor, PromptError};
use mue_model::{ExitPolicy, SearchSettings};

use crate::calibration::Deferral;
use crate::model_folder::ModelFolder;
use crate::settings::{CaptionSearch, Encoding, ExitChoice};

/// A picture, preprocessed for one model, and the key under which its encoding is kept.
#[derive(Clone, Debug)]
pub struct Image {
    pub(crate) pixels: Arc<PixelTensor>,
    pub(crate) key: ImageKey,
}

/// A hash of the pixels that the model sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct ImageKey([u8; 32]);

impl Image {
    /// Takes what [`mue_data::preprocess`] made.
    pub fn new(pixels: PixelTensor) -> Self {
        let mut hash = Hasher::new();
        hash.update(&(pixels.height as u64).to_le_bytes());
        // A fixed buffer, so that a picture is not copied whole, of as much as is hashed side by side.
        let mut buffer = [0u8; 1 << 14];
        for chunk in pixels.values.chunks(buffer.len() / size_of::<f32>()) {
            for (bytes, value) in buffer.chunks_exact_mut(size_of::<f32>()).zip(chunk) {
                bytes.copy_from_slice(&value.to_le_bytes());
            }
            hash.update(&buffer[..size_of_val(chunk)]);
        }
        Self { pixels: Arc::new(pixels), key: ImageKey(hash.finalize().into()) }
    }
}

/// Something that the model answers, valid for the model that made it.
#[derive(Clone, Debug)]
pub struct Request {
    pub(crate) image: Image,
    pub(crate) task: Task,
    pub(crate) policy: ExitPolicy,
}

/// A request without its picture: it can be asked about any of the model's size.
///
/// Whatever can be wrong with it is known before anybody has decoded a picture for it.
#[derive(Clone, Debug)]
pub struct Question {
    task: Task,
    policy: ExitPolicy,
    image_size: usize,
}

/// What is asked.
#[derive(Clone, Debug)]
pub(crate) enum Task {
    /// Describe the picture.
    Caption {
        /// How to search.
        search: SearchSettings,
    },
    /// Judge a sentence.
    Entailment {
        /// The prompt with BOS and EOS.
        prompt: Vec<u32>,
        /// When its answer is not sure enough.
        deferral: Option<Deferral>,
    },
}

/// Why something cannot be asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidRequest {
    /// The text cannot be a prompt.
    #[error(transparent)]
    Prompt(#[from] PromptError),
    /// The picture is not of the model's size.
    #[error("the picture is {found} pixels a side; the model takes {expected}")]
    ImageSize {
        /// Found.
        found: usize,
        /// Expected.
        expected: usize,
    },
    /// A number is out of range.
    #[error("{field} is {found}; it must be between {least} and {most}")]
    OutOfRange {
        /// Which.
        field: &'static str,
        /// Found.
        found: usize,
        /// Least.
        least: usize,
        /// Most.
        most: usize,
    },
    /// A quality is a share of full depth's.
    #[error("the quality must be between 0 and 1")]
    Quality,
    /// Nobody has measured what exits cost this model.
    #[error(
        "this model is not calibrated for the task (by `mue calibrate`), so no quality can be promised"
    )]
    NotCalibrated,
    /// A threshold is not a number.
    #[error("the {0} threshold is not a finite number")]
    Threshold(&'static str),
    /// An encoder branch has no answer to be sure of.
    #[error(
        "the {0} branch has no answer to decide by; it exits by similarity or at a fixed layer"
    )]
    DecoderOnly(&'static str),
    /// There is nothing to go on with.
    #[error("only entailment can be deferred, of a model that encodes pictures apart from texts")]
    Deferral,
}

impl Question {
    /// Asks it about a picture.
    ///
    /// # Errors
    ///
    /// If the picture has another size than the model's.
    pub fn about(&self, image: Image) -> Result<Request, InvalidRequest> {
        let expected = self.image_size;
        let sides = [image.pixels.height, image.pixels.width];
        match sides.into_iter().find(|side| *side != expected) {
            None => Ok(Request { image, task: self.task.clone(), policy: self.policy.clone() }),
            Some(found) => Err(InvalidRequest::ImageSize { found, expected }),
        }
    }
}

impl ModelFolder {
    /// Asks for a caption.
    ///
    /// # Errors
    ///
    /// If the picture has another size than the model's, or the search asks for more than it can.
    pub fn caption(
        &self,
        image: Image,
        exit: ExitChoice,
        search: &CaptionSearch,
    ) -> Result<Request, InvalidRequest> {
        self.caption_question(exit, search)?.about(image)
    }

    /// What asks for captions.
    ///
    /// # Errors
    ///
    /// If the search asks for more than the model can, or the exits are impossible.
    pub fn caption_question(
        &self,
        exit: ExitChoice,
        search: &CaptionSearch,
    ) -> Result<Question, InvalidRequest> {
        let tokens_max = self.config.max_position_embeddings - 1;
        in_range("beam_size", search.beam_size, 1, self.beams_max())?;
        in_range("max_tokens", search.tokens_max, 1, tokens_max)?;
        let mut search = search.settings();
        search.tokens_min = search.tokens_min.min(search.tokens_max);
        let rules = exit.rules(self.settings.exits.caption.as_ref(), &self.calibration.caption)?;
        Ok(self.question(Task::Caption { search }, rules.policy_of(false)?))
    }

    /// Asks whether the picture supports a hypothesis, given the premise if there is one.
    ///
    /// # Errors
    ///
    /// If the picture has another size than the model's, or a text is empty or too long.
    pub fn entailment(
        &self,
        image: Image,
        exit: ExitChoice,
        texts: (Option<&str>, &str),
    ) -> Result<Request, InvalidRequest> {
        self.entailment_question(exit, texts)?.about(image)
    }

    /// What asks whether pictures support a hypothesis, given the premise if there is one.
    ///
    /// # Errors
    ///
    /// If a text is empty or too long, or the exits are impossible.
    pub fn entailment_question(
        &self,
        exit: ExitChoice,
        (premise, hypothesis): (Option<&str>, &str),
    ) -> Result<Question, InvalidRequest> {
        let tokens_max = self.config.max_position_embeddings;
        let prompts = &self.settings.prompts;
        let prompt = prompts.entailment_ids(&self.tokenizer, premise, hypothesis, tokens_max)?;
        let rules =
            exit.rules(self.settings.exits.entailment.as_ref(), &self.calibration.entailment)?;
        let policy = rules.policy_of(self.can_defer())?;
        Ok(self.question(Task::Entailment { prompt, deferral: rules.deferral }, policy))
    }

    /// Most tokens of a hypothesis without a premise: what its prompt leaves of the positions.
    pub fn text_tokens_max(&self) -> usize {
        let prompts = &self.settings.prompts;
        // Alone between spaces, an article is one token.
        let prompt = prompts.entailment_ids(&self.tokenizer, None, "a", usize::MAX);
        let around = prompt.map_or(0, |prompt| prompt.len() - 1);
        self.config.max_position_embeddings.saturating_sub(around)
    }

    /// Whether entailment can be deferred.
    pub(crate) fn can_defer(&self) -> bool {
        self.settings.encoding == Encoding::Decomposed
    }

    fn question(&self, task: Task, policy: ExitPolicy) -> Question {
        Question { task, policy, image_size: self.settings.image_size }
    }
}

fn in_range(
    field: &'static str,
    found: usize,
    least: usize,
    most: usize,
) -> Result<(), InvalidRequest> {
    match (least..=most).contains(&found) {
        true => Ok(()),
        false => Err(InvalidRequest::OutOfRange { field, found, least, most }),
    }
}
