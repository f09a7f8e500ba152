//! The folder of a model as commands write it.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::Context;
use mue_engine::{Calibration, ModelSettings};
use mue_model::OfaConfig;
use mue_model::weights::{FloatStorage, OutputFolder, RawTensor, write_safetensors};

/// What a model's folder holds besides weights.
#[derive(Debug, PartialEq)]
pub(crate) struct ModelFiles {
    pub(crate) config: OfaConfig,
    /// `tokenizer.json`.
    pub(crate) tokenizer: Vec<u8>,
    pub(crate) settings: ModelSettings,
}

const WEIGHTS: &str = "model.safetensors";
const CONFIG: &str = "config.json";
const TOKENIZER: &str = "tokenizer.json";
/// What is known of its exits: see [`Calibration`].
pub(crate) const CALIBRATION: &str = "calibration.json";
/// How a model is asked: see [`ModelSettings`].
pub(crate) const SETTINGS: &str = "mue.json";

impl ModelFiles {
    /// Writes all of it into a new folder. What exits keep and save was measured with certain
    /// weights: a calibration comes along from a folder with these, and no other.
    ///
    /// Returns whether there was a calibration that does not hold any more.
    pub(crate) fn write(
        &self,
        folder: &OutputFolder,
        (weights, floats): (&BTreeMap<String, RawTensor>, FloatStorage),
        calibrated: &Path,
    ) -> anyhow::Result<bool> {
        let path = |name: &str| folder.path().join(name);
        write_safetensors(&path(WEIGHTS), weights, floats)?;
        self.write_beside_weights(folder.path())?;
        let calibration = calibrated.join(CALIBRATION);
        let is_calibrated = calibration.is_file();
        let holds = is_calibrated && self.is_alike(calibrated, folder.path());
        if holds {
            std::fs::copy(calibration, path(CALIBRATION))?;
        }
        Ok(is_calibrated && !holds)
    }

    /// Writes what the folder holds besides weights.
    pub(crate) fn write_beside_weights(&self, folder: &Path) -> anyhow::Result<()> {
        std::fs::write(folder.join(CONFIG), self.config.to_json())?;
        std::fs::write(folder.join(TOKENIZER), &self.tokenizer)?;
        std::fs::write(folder.join(SETTINGS), serde_json::to_string_pretty(&self.settings)?)?;
        Ok(())
    }

    /// Reads what was written besides weights.
    pub(crate) fn read(folder: &Path) -> anyhow::Result<Self> {
        let read = |name: &str| {
            let path = folder.join(name);
            std::fs::read(&path).with_context(|| format!("cannot read {}", path.display()))
        };
        let config = OfaConfig::from_json(&String::from_utf8_lossy(&read(CONFIG)?))?;
        let settings = read_settings(&folder.join(SETTINGS))?;
        Ok(Self { config, tokenizer: read(TOKENIZER)?, settings })
    }

    /// Whether a folder has the weights of a new one, and answers alike.
    fn is_alike(&self, folder: &Path, new: &Path) -> bool {
        let weights = |folder: &Path| std::fs::read(folder.join(WEIGHTS)).ok();
        Self::read(folder).is_ok_and(|files| files == *self)
            && weights(folder).is_some_and(|weights_there| Some(weights_there) == weights(new))
    }
}

/// What is known of the exits of a folder's model; `None` if it has not been calibrated.
pub(crate) fn read_calibration(folder: &Path) -> anyhow::Result<Option<Calibration>> {
    let path = folder.join(CALIBRATION);
    if !path.is_file() {
        return Ok(None);
    }
    let what = || format!("cannot read {}", path.display());
    let json = std::fs::read(&path).with_context(what)?;
    Ok(Some(serde_json::from_slice(&json).with_context(what)?))
}

/// Reads a model's settings.
pub(crate) fn read_settings(path: &Path) -> anyhow::Result<ModelSettings> {
    let json = std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    serde_json::from_slice(&json).with_context(|| format!("{} is not valid", path.display()))
}

/// What is said where a calibration is left behind.
pub(crate) const NOT_CALIBRATED: &str =
    "of other weights or settings; `mue calibrate` measures these";
