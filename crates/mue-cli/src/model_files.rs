//! The folder of a model as commands write it.

use std::collections::BTreeMap;
use std::path::Path;

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

const WEIGHTS: &str = "model.safetensors";
const CALIBRATION: &str = "calibration.json";

impl ModelFiles {
    /// Writes all of it and puts the folder in its place. What exits keep and save was measured with
    /// certain weights: a calibration comes along from a folder with these, and no other.
    ///
    /// Returns whether there was a calibration that does not hold any more.
    pub(crate) fn write(
        &self,
        folder: OutputFolder,
        (weights, floats): (&BTreeMap<String, RawTensor>, FloatStorage),
        calibrated: &Path,
    ) -> anyhow::Result<bool> {
        let path = |name: &str| folder.path().join(name);
        write_safetensors(&path(WEIGHTS), weights, floats)?;
        std::fs::write(path("config.json"), self.config.to_json())?;
        std::fs::write(path("tokenizer.json"), &self.tokenizer)?;
        std::fs::write(path("mue.json"), serde_json::to_string_pretty(&self.settings)?)?;
        let calibration = calibrated.join(CALIBRATION);
        let is_calibrated = calibration.is_file();
        let holds = is_calibrated && self.is_alike(calibrated, folder.path());
        if holds {
            std::fs::copy(calibration, path(CALIBRATION))?;
        }
        folder.commit()?;
        Ok(is_calibrated && !holds)
    }

    /// Whether a folder has the weights of a new one, and answers alike.
    fn is_alike(&self, folder: &Path, new: &Path) -> bool {
        let read = |folder: &Path, name: &str| std::fs::read(folder.join(name)).ok();
        let settings = read(folder, "mue.json").map(|json| serde_json::from_slice(&json).ok());
        let config = read(folder, "config.json")
            .and_then(|json| OfaConfig::from_json(std::str::from_utf8(&json).ok()?).ok());
        settings.flatten() == Some(self.settings.clone())
            && config.as_ref() == Some(&self.config)
            && read(folder, "tokenizer.json").as_ref() == Some(&self.tokenizer)
            && read(folder, WEIGHTS).is_some_and(|weights| Some(weights) == read(new, WEIGHTS))
    }
}

/// What is said where a calibration is left behind.
pub(crate) const NOT_CALIBRATED: &str =
    "of other weights or settings; `mue calibrate` measures these";
