//! The folder of a model as commands write it.

use std::collections::BTreeMap;

use mue_engine::ModelSettings;
use mue_model::OfaConfig;
use mue_model::weights::{FloatStorage, OutputFolder, RawTensor, write_safetensors};

/// What a model's folder holds besides weights.
pub(crate) struct ModelFiles {
    pub(crate) config: OfaConfig,
    /// `tokenizer.json`.
    pub(crate) tokenizer: Vec<u8>,
    pub(crate) settings: ModelSettings,
}

impl ModelFiles {
    /// Writes all of it and puts the folder in its place.
    pub(crate) fn write(
        &self,
        folder: OutputFolder,
        weights: &BTreeMap<String, RawTensor>,
        floats: FloatStorage,
    ) -> anyhow::Result<()> {
        let path = |name: &str| folder.path().join(name);
        write_safetensors(&path("model.safetensors"), weights, floats)?;
        std::fs::write(path("config.json"), self.config.to_json())?;
        std::fs::write(path("tokenizer.json"), &self.tokenizer)?;
        std::fs::write(path("mue.json"), serde_json::to_string_pretty(&self.settings)?)?;
        Ok(folder.commit()?)
    }
}
