//! What every command that runs a model takes: where it is, on which device, how it exits.

use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;

use clap::Args;
use mue_data::{ImageLimits, Orientation, decode_image, preprocess};
use mue_engine::batcher::NoObserver;
use mue_engine::{
    DeviceChoice, Engine, EngineObserver, EngineSettings, ExitChoice, Image, ModelSource,
    StartError, Thresholds,
};

use crate::error::user_error;

/// Arguments of every command that runs a model.
#[derive(Debug, Args)]
pub(crate) struct ModelArgs {
    /// Model folder, as `mue import` writes it [default: the demo model in this binary]
    #[arg(long, value_name = "DIR")]
    model: Option<PathBuf>,
    /// Device to run on: auto, flex, ndarray or wgpu
    #[arg(long, default_value = "auto")]
    device: DeviceChoice,
    /// How to exit: auto, off, mue (one calibrated threshold per branch), quality=0.99, or
    /// thresholds such as image=0.9,text=0.95,decoder=0.95
    #[arg(long, default_value = "auto", value_name = "HOW")]
    exit: ExitArg,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

impl ModelArgs {
    /// Opens the model for a few requests.
    pub(crate) fn open(&self) -> anyhow::Result<Engine> {
        // A warm-up would be as long as one of them.
        self.open_with(EngineSettings { warm_up: false, ..EngineSettings::default() })
    }

    /// Opens the model, with other settings than the device's.
    pub(crate) fn open_with(&self, settings: EngineSettings) -> anyhow::Result<Engine> {
        open_model(self.source(), EngineSettings { device: self.device, ..settings })
    }

    /// Opens another model on the same device.
    pub(crate) fn open_other(
        &self,
        folder: PathBuf,
        settings: EngineSettings,
    ) -> anyhow::Result<Engine> {
        open_model(folder.into(), EngineSettings { device: self.device, ..settings })
    }

    /// Where the model is.
    pub(crate) fn source(&self) -> ModelSource {
        self.model.clone().map_or(ModelSource::Demo, ModelSource::Folder)
    }

    /// How to exit, as the user wrote it.
    pub(crate) fn exit_name(&self) -> &str {
        &self.exit.written
    }

    /// How the request wants to exit.
    pub(crate) fn exit(&self) -> ExitChoice {
        self.exit.choice.clone()
    }
}

/// Opens a model.
pub(crate) fn open_model(source: ModelSource, settings: EngineSettings) -> anyhow::Result<Engine> {
    open_observed(source, settings, Arc::new(NoObserver))
}

/// Opens a model whose engine tells an observer what it does.
pub(crate) fn open_observed(
    source: ModelSource,
    settings: EngineSettings,
    observer: Arc<dyn EngineObserver>,
) -> anyhow::Result<Engine> {
    let what = format!("cannot open the model {source}");
    Engine::open(source, settings, observer).map_err(|error| {
        let remedy = match error {
            StartError::Device(_) => {
                return user_error(error, "`--device auto` takes the best one there is");
            }
            _ => "give the folder that `mue import` wrote, or import the checkpoint anew",
        };
        user_error(anyhow::Error::new(error).context(what), remedy)
    })
}

/// An [`ExitChoice`], and how the user wrote it.
#[derive(Clone, Debug, PartialEq)]
struct ExitArg {
    choice: ExitChoice,
    written: String,
}

impl FromStr for ExitArg {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Ok(Self { choice: choice(text)?, written: text.to_owned() })
    }
}

/// A number between 0 and 1.
pub(crate) fn share(text: &str) -> Result<f64, String> {
    let share = text.parse().ok().filter(|share| (0.0..=1.0).contains(share));
    share.ok_or_else(|| format!("{text:?} is no share between 0 and 1"))
}

fn choice(text: &str) -> Result<ExitChoice, String> {
    match text {
        "auto" => return Ok(ExitChoice::Auto),
        "off" => return Ok(ExitChoice::Off),
        "mue" => return Ok(ExitChoice::Mue),
        _ => {}
    }
    if let Some(value) = text.strip_prefix("quality=") {
        return Ok(ExitChoice::Quality(share(value)?));
    }
    let mut thresholds = Thresholds::default();
    for part in text.split(',') {
        let (branch, value) = part.split_once('=').ok_or_else(|| {
            format!(
                "{part:?} is neither auto, off, mue, a quality such as quality=0.99, nor a \
                 threshold such as image=0.9"
            )
        })?;
        let threshold: f32 =
            value.parse().map_err(|_| format!("{branch}: {value:?} is no number"))?;
        if !Thresholds::RANGE.contains(&threshold) {
            return Err(format!("{branch}: a threshold must be between -2 and 2"));
        }
        let given = match branch {
            "image" => &mut thresholds.image,
            "text" => &mut thresholds.text,
            "decoder" => &mut thresholds.decoder,
            other => {
                return Err(format!("{other:?} is no branch; there are image, text, decoder"));
            }
        };
        if given.replace(threshold).is_some() {
            return Err(format!("{branch} is given twice"));
        }
    }
    Ok(ExitChoice::Thresholds(thresholds))
}

/// Reads, decodes and resizes a picture for a model.
pub(crate) fn read_image(path: &PathBuf, engine: &Engine) -> anyhow::Result<Image> {
    let what = || format!("cannot use the image {}", path.display());
    let bytes = std::fs::read(path)
        .map_err(|error| user_error(anyhow::Error::new(error).context(what()), "check the path"))?;
    let picture =
        decode_image(&bytes, ImageLimits::default(), Orientation::Apply).map_err(|error| {
            let remedy = "convert it to a PNG or JPEG of moderate size";
            user_error(anyhow::Error::new(error).context(what()), remedy)
        })?;
    let size = engine.model().settings().image_size;
    Ok(Image::new(preprocess(&picture, size, size)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exits_are_named_or_given_by_branch() {
        assert_eq!(choice("auto"), Ok(ExitChoice::Auto));
        assert_eq!(choice("off"), Ok(ExitChoice::Off));
        assert_eq!(choice("mue"), Ok(ExitChoice::Mue));
        assert_eq!(choice("quality=0.99"), Ok(ExitChoice::Quality(0.99)));
        let some = Thresholds { image: Some(0.9), decoder: Some(0.95), text: None };
        assert_eq!(choice("image=0.9,decoder=0.95"), Ok(ExitChoice::Thresholds(some)));
    }

    #[test]
    fn what_is_wrong_with_an_exit_is_said() {
        for (text, word) in [
            ("on", "auto"),
            ("image=x", "x"),
            ("img=1", "img"),
            ("text=nan", "between -2 and 2"),
            ("image=95", "between -2 and 2"),
            ("image=0.9,decoder=-2.5", "decoder"),
            ("image=0.5,image=2", "image is given twice"),
            ("quality=2", "between"),
        ] {
            let error = choice(text).unwrap_err();
            assert!(error.contains(word), "{error}");
        }
    }
}
