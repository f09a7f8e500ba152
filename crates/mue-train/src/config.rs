//! A training run as its TOML file states it.

mod sections;

use mue_data::datasets::{DataSpec, Task};
use mue_data::scenes::Family;
use serde::{Deserialize, Serialize};

pub use self::sections::{
    DataConfig, Decay, Encoding, LossConfig, LossLayers, ModelConfig, OptimizerConfig, Reference,
    RunConfig, SelfCriticalConfig,
};

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
        let positive = [
            ("steps", self.steps),
            ("data.pictures", self.data.pictures as u64),
            ("data.accumulation", self.data.accumulation as u64),
            ("self_critical.samples", self.self_critical.samples as u64),
            ("self_critical.documents", self.self_critical.documents as u64),
            ("run.log_every", self.run.log_every),
            ("run.checkpoint_every", self.run.checkpoint_every),
        ];
        if let Some((key, _)) = positive.iter().find(|(_, value)| *value == 0) {
            return Err(RecipeError::Value(format!("{key} must not be 0")));
        }
        let families = &self.data.emphasis;
        if let Some(name) = families.iter().find(|name| Family::named(name).is_none()) {
            let known = Family::ALL.map(Family::name).join(", ");
            let what = format!("data.emphasis names {name:?}; there are {known}");
            return Err(RecipeError::Value(what));
        }
        let shares = [
            ("data.caption_share", self.data.caption_share),
            ("loss.label_smoothing", self.loss.label_smoothing),
            ("loss.random_depth", self.loss.random_depth),
            ("optimizer.constant_share", self.optimizer.constant_share),
            ("optimizer.ema_decay", self.optimizer.ema_decay),
            ("optimizer.betas", self.optimizer.betas[0]),
            ("optimizer.betas", self.optimizer.betas[1]),
        ];
        if let Some((key, value)) = shares.iter().find(|(_, value)| !(0.0..=1.0).contains(value)) {
            return Err(RecipeError::Value(format!("{key} is {value}, not between 0 and 1")));
        }
        self.check_loss()?;
        self.check_data()
    }

    fn check_loss(&self) -> Result<(), RecipeError> {
        let LossConfig { layers, distillation, saturation, .. } = self.loss;
        let between = [("distillation", distillation), ("saturation", saturation)];
        match between.iter().find(|(_, weight)| layers == LossLayers::Last && *weight > 0.0) {
            Some((key, _)) => Err(RecipeError::Value(format!(
                "loss.{key} is between layers, of which loss.layers = \"last\" leaves one"
            ))),
            None if self.tasks().is_empty() => {
                Err(RecipeError::Value("loss has no weight on any task".into()))
            }
            None => Ok(()),
        }
    }

    fn check_data(&self) -> Result<(), RecipeError> {
        for (key, names) in [("data.train", &self.data.train), ("data.dev", &self.data.dev)] {
            for name in names {
                if let Err(error) = name.parse::<DataSpec>() {
                    return Err(RecipeError::Value(format!("{key}: {error}")));
                }
            }
        }
        match !self.data.train.is_empty() && self.loss.grounding > 0.0 {
            true => Err(RecipeError::Value(
                "loss.grounding needs the endless scenes, whose cells are known; leave out \
                 data.train or the grounding"
                    .into(),
            )),
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
    fn the_ablations_differ_in_what_they_leave_out_alone() {
        let [mue, joint, last] = [
            include_str!("../../../config/train/ablation-mue.toml"),
            include_str!("../../../config/train/ablation-joint.toml"),
            include_str!("../../../config/train/ablation-last-layer.toml"),
        ]
        .map(|text| TrainConfig::from_toml(text).unwrap());
        let mut expected = mue.clone();
        expected.model.encoding = Encoding::Joint;
        assert_eq!(joint, expected);
        expected = mue;
        expected.loss.layers = LossLayers::Last;
        assert_eq!(last, expected);
    }

    #[test]
    fn the_second_stage_learns_both_tasks() {
        let text = include_str!("../../../config/train/self-critical.toml");
        let recipe = TrainConfig::from_toml(text).unwrap();
        assert_eq!(recipe.tasks(), [Task::Caption, Task::Entailment]);
        assert!(recipe.self_critical.weight > 0.0 && recipe.model.from.is_some());
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
            ("steps = 0", "steps"),
            ("[loss]\nrandom_depth = 1.5", "loss.random_depth"),
            ("[data]\npictures = 0", "data.pictures"),
            ("[data]\nemphasis = [\"two-hops\"]", "data.emphasis"),
            ("[data]\ntrain = \"scenes:seed=1\"", "data.train"),
            ("[data]\ntrain = [\"a.json\"]\n[loss]\ngrounding = 1.0", "loss.grounding"),
            ("[loss]\nlayers = \"last\"\nsaturation = 0.2", "loss.saturation"),
            ("[loss]\ncaption = 0.0\nentailment = 0.0", "loss"),
        ] {
            let error = TrainConfig::from_toml(recipe).unwrap_err().to_string();
            assert!(error.contains(key), "{error}");
        }
    }
}
