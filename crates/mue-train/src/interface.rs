//! How a model is asked: what makes pictures and texts into what it computes with.

use mue_data::datasets::EntailmentLabel;
use mue_data::scenes::{Scene, SceneLabel, scenes_prompts, scenes_tokenizer};
use mue_data::{PromptError, Prompts, RgbImage, Tokenizer, TokenizerError, preprocess};

/// Longest caption of a scene, with room to go wrong.
const SCENE_CAPTION_TOKENS_MAX: usize = 30;

/// Longest prompt about a scene, which is longer than any caption: what a model of scenes needs
/// positions for.
pub(crate) const SCENE_PROMPT_TOKENS_MAX: usize = 60;

/// Height and width of a scene in image tokens, of 16 pixels each.
pub(crate) const SCENE_TOKENS_PER_SIDE: usize = Scene::SIDE.div_ceil(16);

/// What a model's folder says of its tasks, as far as training needs it.
#[derive(Debug)]
pub struct Interface {
    /// Texts to token ids.
    pub tokenizer: Tokenizer,
    /// What the model is asked.
    pub prompts: Prompts,
    /// Height and width of its pictures in pixels.
    pub image_size: usize,
    /// Token ids of the answers entailment, neutral and contradiction.
    pub answers: [u32; 3],
    /// Most tokens of a caption that the model writes.
    pub caption_tokens_max: usize,
    /// Most tokens of a prompt, and of a caption that is learned from.
    pub prompt_tokens_max: usize,
}

impl Interface {
    /// That of a model of scenes.
    ///
    /// # Errors
    ///
    /// If the scenes' tokenizer cannot be made.
    pub fn scenes() -> Result<Self, TokenizerError> {
        let tokenizer = scenes_tokenizer()?;
        let words = [SceneLabel::Yes, SceneLabel::Maybe, SceneLabel::No].map(SceneLabel::word);
        Ok(Self {
            answers: words.map(|word| {
                tokenizer.token_id(word).expect("answers are words of the scenes' vocabulary")
            }),
            tokenizer,
            prompts: scenes_prompts(),
            image_size: Scene::SIDE,
            caption_tokens_max: SCENE_CAPTION_TOKENS_MAX,
            prompt_tokens_max: SCENE_PROMPT_TOKENS_MAX,
        })
    }

    /// The prompt that asks for a caption, with BOS and EOS.
    pub(crate) fn caption_prompt(&self) -> Vec<u32> {
        self.prompts.caption_ids(&self.tokenizer)
    }

    /// The prompt about a hypothesis, with BOS and EOS.
    pub(crate) fn prompt(
        &self,
        premise: Option<&str>,
        hypothesis: &str,
    ) -> Result<Vec<u32>, PromptError> {
        let tokens_max = self.prompt_tokens_max;
        self.prompts.entailment_ids(&self.tokenizer, premise, hypothesis, tokens_max)
    }

    /// A caption as the decoder writes it: in running text, so with a space in front.
    pub(crate) fn caption(&self, text: &str) -> Vec<u32> {
        self.tokenizer.encode(&format!(" {}", text.trim()))
    }

    /// The token that answers so.
    pub(crate) fn answer(&self, label: EntailmentLabel) -> u32 {
        let [entailment, neutral, contradiction] = self.answers;
        match label {
            EntailmentLabel::Entailment => entailment,
            EntailmentLabel::Neutral => neutral,
            EntailmentLabel::Contradiction => contradiction,
        }
    }

    /// Normalised samples of a picture, `[3, image_size, image_size]` row-major.
    pub(crate) fn pixels(&self, picture: &RgbImage) -> Vec<f32> {
        preprocess(picture, self.image_size, self.image_size).values
    }
}
