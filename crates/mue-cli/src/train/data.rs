//! What a run learns from and is evaluated on.

use std::sync::Arc;

use mue_train::{
    BatchSource, CaptionReward, DevSet, Files, FilesError, Interface, Scenes, TrainConfig,
    dev_files,
};

use crate::data::{left_out, warn};
use crate::error::user_error;

/// A run's data.
pub(super) struct Data {
    pub(super) source: Arc<dyn BatchSource>,
    pub(super) dev: DevSet,
    /// What captions are rewarded for, if the recipe rewards them.
    pub(super) reward: Option<CaptionReward>,
}

impl Data {
    /// Opens what the recipe names; endless scenes if it names nothing.
    pub(super) fn open(recipe: &TrainConfig, interface: &Arc<Interface>) -> anyhow::Result<Self> {
        let (config, seed) = (&recipe.data, recipe.seed);
        let tasks = recipe.tasks();
        let scenes = || Scenes::new(seed, config, interface);
        let dev = match (config.dev.is_empty(), config.train.is_empty()) {
            (true, true) => scenes().dev_set(config.dev_pictures),
            (true, false) => DevSet::new(interface),
            (false, _) => dev_files(config, &tasks, interface, &mut warn).map_err(unusable)?,
        };
        let documents = match recipe.self_critical.weight > 0.0 {
            true => recipe.self_critical.documents,
            false => 0,
        };
        let (source, references): (Arc<dyn BatchSource>, _) = match config.train.is_empty() {
            true => {
                let scenes = scenes();
                let references = scenes.references(documents);
                (Arc::new(scenes), references)
            }
            false => {
                let files = Files::open(config, (&tasks, seed), interface).map_err(unusable)?;
                files.problems().for_each(|found| left_out(found.first(), found.count()));
                let references = files.references(documents)?;
                (Arc::new(files), references)
            }
        };
        let reward = (documents > 0).then(|| CaptionReward::new(interface, &references));
        let reward = reward.transpose().map_err(|error| {
            user_error(error, "data.train has to name a data set with more captions")
        })?;
        Ok(Self { source, dev, reward })
    }
}

fn unusable(error: FilesError) -> anyhow::Error {
    user_error(error, "config/train/scenes.toml explains the keys of [data]")
}
