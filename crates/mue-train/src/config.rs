//! A training run as its TOML file states it.

mod bounds;
mod data;
mod difference;
mod loss;
mod model;
mod optimizer;
mod run;

use mue_data::datasets::Task;
use serde::{Deserialize, Serialize};

use self::bounds::positive;
pub use self::data::{DataConfig, Reference};
pub use self::loss::{LossConfig, LossLayers, SelfCriticalConfig};
pub use self::model::{Encoding, ModelConfig};
pub use self::optimizer::{Decay, OptimizerConfig};
pub use self::run::RunConfig;

/// A whole recipe. Unknown keys are errors; every key and its default is in
/// `config/train/scenes.toml`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TrainConfig {
    /// Decides initial weights, data and branch depths.
    pub seed: u64,
    /// Optimiser steps of the whole run.
    pub steps: u64,
    /// The model.
    pub model: ModelConfig,
    /// What is learned from.
    pub data: DataConfig,
    /// What is minimised.
    pub loss: LossConfig,
    /// Captions by reward, as a second stage.
    pub self_critical: SelfCriticalConfig,
    /// How.
    pub optimizer: OptimizerConfig,
    /// What the run writes while it runs.
    pub run: RunConfig,
}

impl Default for TrainConfig {
    fn default() -> Self {
        Self {
            seed: 1,
            steps: 10_000,
            model: ModelConfig::default(),
            data: DataConfig::default(),
            loss: LossConfig::default(),
            self_critical: SelfCriticalConfig::default(),
            optimizer: OptimizerConfig::default(),
            run: RunConfig::default(),
        }
    }
}

/// Why a recipe cannot be followed.
#[derive(Debug, thiserror::Error)]
pub enum RecipeError {
    /// The file is not TOML of this form.
    #[error("the recipe is not valid")]
    Toml(#[from] toml::de::Error),
    /// A value makes no sense.
    #[error("the recipe's {0}")]
    Value(String),
}

impl TrainConfig {
    /// Reads and checks a recipe.
    ///
    /// # Errors
    ///
    /// If the text is not TOML, a key is unknown or a value makes no sense.
    pub fn from_toml(text: &str) -> Result<Self, RecipeError> {
        let config: Self = toml::from_str(text)?;
        config.check()?;
        Ok(config)
    }

    fn check(&self) -> Result<(), RecipeError> {
        positive(&[("steps", self.steps)])?;
        self.model.check()?;
        self.data.check(&self.loss)?;
        self.loss.check()?;
        self.self_critical.check()?;
        self.optimizer.check()?;
        self.run.check()?;
        match self.tasks().is_empty() {
            true => Err(RecipeError::Value("loss has no weight on any task".into())),
            false => Ok(()),
        }
    }

    /// The tasks that are learned: those whose loss has a weight.
    pub fn tasks(&self) -> Vec<Task> {
        let caption = self.loss.caption.max(self.self_critical.weight);
        let weights = [(Task::Caption, caption), (Task::Entailment, self.loss.entailment)];
        weights.into_iter().filter(|(_, weight)| *weight > 0.0).map(|(task, _)| task).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schedule::learning_rate;

    const SCENES: &str = include_str!("../../../config/train/scenes.toml");

    #[test]
    fn the_scenes_recipe_has_every_key_and_no_other() {
        let recipe = TrainConfig::from_toml(SCENES).unwrap();
        let known = serde_json::to_value(&recipe).unwrap();
        let written: serde_json::Value = toml::from_str(SCENES).unwrap();
        let keys = |value: &serde_json::Value| {
            let mut keys = Vec::new();
            for (key, value) in value.as_object().unwrap() {
                match value.as_object() {
                    Some(section) => keys.extend(section.keys().map(|it| format!("{key}.{it}"))),
                    None => keys.push(key.clone()),
                }
            }
            keys.sort();
            keys
        };
        assert_eq!(keys(&known), keys(&written));
    }

    #[test]
    fn ablations_and_options_differ_in_one_switch_alone() {
        type Switch = fn(&mut TrainConfig);
        let others: [(&str, Switch); 5] = [
            (include_str!("../../../config/train/ablation-joint.toml"), |it| {
                it.model.encoding = Encoding::Joint;
            }),
            (include_str!("../../../config/train/ablation-last-layer.toml"), |it| {
                it.loss.layers = LossLayers::Last;
            }),
            (include_str!("../../../config/train/option-random-depth.toml"), |it| {
                it.loss.random_depth = 0.4;
            }),
            (include_str!("../../../config/train/option-distillation.toml"), |it| {
                it.loss.distillation = 0.5;
            }),
            (include_str!("../../../config/train/option-saturation.toml"), |it| {
                it.loss.saturation = 0.2;
            }),
        ];
        let mue = include_str!("../../../config/train/ablation-mue.toml");
        for (text, switch) in others {
            let mut expected = TrainConfig::from_toml(mue).unwrap();
            switch(&mut expected);
            assert_eq!(TrainConfig::from_toml(text).unwrap(), expected);
        }
    }

    #[test]
    fn the_options_are_on_in_the_demo_models_recipe_at_the_same_values() {
        let LossConfig { random_depth, distillation, saturation, .. } =
            TrainConfig::from_toml(SCENES).unwrap().loss;
        assert_eq!([random_depth, distillation, saturation], [0.4, 0.5, 0.2]);
    }

    #[test]
    fn the_demo_models_rate_and_data_changed_at_the_steps_that_its_card_names() {
        let recipe = TrainConfig::from_toml(SCENES).unwrap();
        let rate = |step| learning_rate(&recipe.optimizer, step, recipe.steps);
        assert_eq!((recipe.steps, recipe.data.emphasis_after), (8_800, 4_000));
        assert!(rate(6_050) == 1e-3 && rate(6_051) < 1e-3);
    }

    #[test]
    fn what_goes_on_from_a_model_learns_both_tasks() {
        let recipe = |text| TrainConfig::from_toml(text).unwrap();
        let second = recipe(include_str!("../../../config/train/self-critical.toml"));
        let tuned = recipe(include_str!("../../../config/train/finetune.toml"));
        for recipe in [&second, &tuned] {
            assert_eq!(recipe.tasks(), [Task::Caption, Task::Entailment]);
            assert!(recipe.model.from.is_some());
        }
        assert!(second.self_critical.weight > 0.0 && tuned.self_critical.weight == 0.0);
    }

    #[test]
    fn an_empty_recipe_is_the_defaults_and_unknown_keys_are_errors() {
        assert_eq!(TrainConfig::from_toml("").unwrap(), TrainConfig::default());
        for recipe in ["epochs = 3", "[loss]\ncaptions = 1.0"] {
            assert!(TrainConfig::from_toml(recipe).is_err(), "{recipe}");
        }
    }

    #[test]
    fn values_that_make_no_sense_are_refused_by_name() {
        for (recipe, key) in [
            ("steps = 0", "steps must not be 0"),
            ("[loss]\nrandom_depth = 1.5", "loss.random_depth is 1.5"),
            ("[loss]\ncaption = -1.0", "loss.caption is -1"),
            ("[loss]\nsaturation = nan", "loss.saturation is NaN"),
            ("[data]\npictures = 0", "data.pictures"),
            ("[data]\nemphasis = [\"two-hops\"]", "data.emphasis"),
            ("[data]\ntrain = \"scenes:seed=1\"", "data.train"),
            ("[data]\ntrain = [\"a.json\"]\n[loss]\ngrounding = 1.0", "loss.grounding"),
            ("[loss]\nlayers = \"last\"\nsaturation = 0.2", "loss.saturation"),
            ("[loss]\ncaption = 0.0\nentailment = 0.0", "loss has no weight"),
            ("[self_critical]\nweight = -1.0", "self_critical.weight"),
            ("[self_critical]\ndocuments = 1", "self_critical.documents is 1"),
            ("[optimizer]\nlearning_rate = -1.0", "optimizer.learning_rate is -1"),
            ("[optimizer]\nweight_decay = inf", "optimizer.weight_decay is inf"),
            ("[optimizer]\nclip_norm = -0.1", "optimizer.clip_norm"),
            ("[optimizer]\nepsilon = 0.0", "optimizer.epsilon must not be 0"),
            ("[optimizer]\nbetas = [1.0, 0.98]", "optimizer.betas has 1,"),
            ("[optimizer]\nbetas = [0.9, -0.5]", "optimizer.betas has -0.5"),
            ("[run]\nlog_every = 0", "run.log_every"),
        ] {
            refused(recipe, key);
        }
    }

    #[test]
    fn models_that_cannot_be_are_refused_by_name_where_they_are_to_be_made() {
        for (keys, reason) in [
            ("heads = 3", "model.d_model 128 is not divisible by 3 heads"),
            ("heads = 0", "model.heads must not be 0"),
            ("d_model = 0", "model.d_model"),
            ("ffn_dim = 0", "model.ffn_dim"),
            ("encoder_layers = 0", "model.encoder_layers"),
            ("decoder_layers = 0", "model.decoder_layers"),
            ("stem_width = 0", "model.stem_width"),
            ("stem_blocks = [1, 0, 1]", "model.stem_blocks"),
            ("positions_max = 59", "model.positions_max is 59; scenes take up to 60"),
            ("image_bucket_size = 5", "model.image_bucket_size is 5; scenes take up to 6"),
            ("token_bucket_size = 3", "model.token_bucket_size must be at least 4"),
            ("d_model = 1000000", "model.d_model is 1000000; at most 4096 is possible"),
            ("d_model = 4096\nheads = 128", "model.heads is 128"),
            ("ffn_dim = 1000000000", "model.ffn_dim is 1000000000"),
            ("encoder_layers = 1000000", "model.encoder_layers is 1000000"),
            ("decoder_layers = 1000000", "model.decoder_layers is 1000000"),
            ("stem_width = 1000000", "model.stem_width is 1000000"),
            ("stem_blocks = [1, 1, 1000000]", "model.stem_blocks is 1000000"),
            ("positions_max = 1000000000", "model.positions_max is 1000000000"),
            ("image_bucket_size = 1000000", "model.image_bucket_size is 1000000"),
            ("token_bucket_size = 1000000000", "model.token_bucket_size is 1000000000"),
        ] {
            refused(&format!("[model]\n{keys}"), reason);
            let existing = format!("[model]\nfrom = \"demo\"\n{keys}");
            assert!(TrainConfig::from_toml(&existing).is_ok(), "{keys} are not the folder's");
        }
    }

    fn refused(recipe: &str, reason: &str) {
        let error = TrainConfig::from_toml(recipe).unwrap_err().to_string();
        assert!(error.contains(reason), "{recipe}: {error}");
    }
}
