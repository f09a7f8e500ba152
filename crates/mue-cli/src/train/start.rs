//! What a run starts from: a model folder, or new weights for a model of scenes.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::Context;
use mue_data::Tokenizer;
use mue_data::scenes::{Scene, scenes_prompts, scenes_tokenizer_json};
use mue_engine::{AnswerWords, CaptionSearch, Encoding, ExitDefaults, ModelFolder, ModelSettings};
use mue_model::Device;
use mue_model::weights::{Checkpoint, OutputFolder, RawTensor, initial_tensors};
use mue_train::{Interface, ModelConfig, TrainConfig};

use crate::error::user_error;
use crate::model_files::ModelFiles;

/// A model to train.
pub(super) struct Start {
    pub(super) weights: BTreeMap<String, RawTensor>,
    pub(super) interface: Interface,
    pub(super) files: ModelFiles,
}

impl Start {
    /// The model that the recipe names or describes.
    pub(super) fn new(recipe: &TrainConfig, device: &Device) -> anyhow::Result<Self> {
        match &recipe.model.from {
            Some(folder) => Self::existing(folder, &recipe.model).map_err(|error| {
                let error = error.context(format!("cannot start from {}", folder.display()));
                user_error(error, "model.from names a folder that `mue import` or `mue train` made")
            }),
            None => Self::scenes(recipe, device),
        }
    }

    fn existing(path: &Path, recipe: &ModelConfig) -> anyhow::Result<Self> {
        let folder = ModelFolder::open(path)?;
        let tokenizer_json =
            std::fs::read(path.join("tokenizer.json")).context("cannot read its tokenizer.json")?;
        let tokenizer = Tokenizer::from_json(&tokenizer_json)?;
        let AnswerWords { entailment, neutral, contradiction } = &folder.settings().answers;
        let answer = |word: &String| {
            tokenizer
                .token_id(word)
                .with_context(|| format!("the answer {word:?} is not one token"))
        };
        let answers = [answer(entailment)?, answer(neutral)?, answer(contradiction)?];
        let weights = Checkpoint::open(&path.join("model.safetensors"))?.into_canonical()?.tensors;
        let (config, settings) = (folder.config().clone(), folder.settings().clone());
        let interface = Interface {
            answers,
            tokenizer,
            prompts: settings.prompts.clone(),
            image_size: settings.image_size,
            caption_tokens_max: settings.search.tokens_max,
            prompt_tokens_max: config.max_position_embeddings,
        };
        // Exits were measured with other weights.
        let exits = ExitDefaults::default();
        let settings = ModelSettings { encoding: encoding(recipe), exits, ..settings };
        let files = ModelFiles { config, tokenizer: tokenizer_json, settings };
        Ok(Self { weights, interface, files })
    }

    fn scenes(recipe: &TrainConfig, device: &Device) -> anyhow::Result<Self> {
        let interface = Interface::scenes()?;
        let config = recipe.model.ofa(interface.tokenizer.vocab_size())?;
        let weights = initial_tensors(&config, recipe.seed, device)?;
        let settings = scenes_settings(encoding(&recipe.model));
        let files = ModelFiles { config, tokenizer: scenes_tokenizer_json(), settings };
        Ok(Self { weights, interface, files })
    }
}

/// What is kept in a run's folder of the model that the run starts from. What is there is replaced:
/// nobody else calls a folder so.
const KEPT: &str = "model-without-weights";

/// Keeps in a run's folder what its model's folder will hold besides weights.
pub(super) fn keep(files: &ModelFiles, run: &Path) -> anyhow::Result<()> {
    let folder = OutputFolder::create(&run.join(KEPT), true)?;
    files.write_beside_weights(folder.path())?;
    Ok(folder.commit()?)
}

/// What was kept; of a run that began before anything was, what the recipe's start has.
pub(super) fn kept(
    run: &Path,
    recipe: &TrainConfig,
    device: &Device,
) -> anyhow::Result<ModelFiles> {
    let folder = run.join(KEPT);
    match folder.is_dir() {
        true => ModelFiles::read(&folder),
        false => Ok(Start::new(recipe, device)?.files),
    }
}

fn encoding(recipe: &ModelConfig) -> Encoding {
    match recipe.encoding {
        mue_train::Encoding::Decomposed => Encoding::Decomposed,
        mue_train::Encoding::Joint => Encoding::Joint,
    }
}

/// How a model of scenes is asked. Captions are searched for greedily, and may repeat words:
/// "a large red circle left of a large red ring" has a 3-gram twice.
fn scenes_settings(encoding: Encoding) -> ModelSettings {
    ModelSettings {
        image_size: Scene::SIDE,
        encoding,
        prompts: scenes_prompts(),
        answers: AnswerWords {
            entailment: "yes".into(),
            neutral: "maybe".into(),
            contradiction: "no".into(),
        },
        search: CaptionSearch {
            beam_size: 1,
            tokens_max: 30,
            no_repeat_ngram_size: 0,
            ..CaptionSearch::default()
        },
        ..ModelSettings::default()
    }
}
