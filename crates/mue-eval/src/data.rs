//! The samples of an evaluation, with their pictures made ready for one model.

use std::ops::Range;
use std::sync::Arc;

use mue_data::datasets::{
    DataError, DataSpec, Dataset, DatasetOptions, Loaded, Loader, LoaderConfig, SampleText, Task,
};
use mue_data::preprocess;
use mue_engine::{Engine, ExitChoice, Image, Request};

use crate::EvalError;

/// A data set for one task, read anew in each pass: pictures are never all in memory.
#[derive(Clone, Debug)]
pub struct EvalData {
    dataset: Arc<Dataset>,
    task: Task,
    name: String,
}

/// A picture and what is true of it.
#[derive(Clone, Debug)]
pub struct EvalSample {
    /// Its name in the data set.
    pub id: String,
    /// References, or a hypothesis with its label.
    pub text: SampleText,
    image: Image,
}

impl EvalData {
    /// Opens the data that is named.
    ///
    /// # Errors
    ///
    /// If there is no such data for the task.
    pub fn open(spec: &DataSpec, task: Task) -> Result<Self, DataError> {
        let dataset = Arc::new(spec.open(task, &DatasetOptions::default())?);
        Ok(Self { dataset, task, name: spec.to_string() })
    }

    /// What it is asked for.
    pub fn task(&self) -> Task {
        self.task
    }

    /// Its name, as on the command line.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Number of samples; at least one.
    #[expect(clippy::len_without_is_empty, reason = "an empty data set cannot be opened")]
    pub fn len(&self) -> usize {
        self.dataset.len()
    }

    /// Some samples, decoded ahead and resized for the engine's model.
    ///
    /// # Errors
    ///
    /// If no thread can be started; each sample may be unreadable.
    pub fn samples(
        &self,
        engine: &Engine,
        range: Range<usize>,
    ) -> Result<impl Iterator<Item = Result<EvalSample, DataError>> + use<>, DataError> {
        let size = engine.model().settings().image_size;
        let order = range.start.min(self.len())..range.end.min(self.len());
        let loader = Loader::start(
            &self.dataset,
            order.collect(),
            LoaderConfig::default(),
            move |picture| Image::new(preprocess(&picture, size, size)),
        )?;
        Ok(loader.map(|loaded| {
            let Loaded { sample, picture: image, .. } = loaded?;
            Ok(EvalSample { id: sample.id, text: sample.text, image })
        }))
    }
}

impl EvalSample {
    /// The request that asks for the sample's answer.
    ///
    /// # Errors
    ///
    /// If the model cannot be asked this, or not to exit so.
    pub fn request(&self, engine: &Engine, exit: &ExitChoice) -> Result<Request, EvalError> {
        let model = engine.model();
        let image = self.image.clone();
        let request = match &self.text {
            SampleText::Captions(_) => model.caption(image, exit.clone(), &model.settings().search),
            SampleText::Hypothesis { hypothesis, premise, .. } => {
                model.entailment(image, exit.clone(), (premise.as_deref(), hypothesis))
            }
        };
        request.map_err(|source| EvalError::Request { sample: self.id.clone(), source })
    }
}
