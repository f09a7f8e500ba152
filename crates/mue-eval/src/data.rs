//! The samples of an evaluation, with their pictures made ready for one model.

use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use mue_data::datasets::{
    DataError, DataSpec, Dataset, DatasetOptions, Loaded, Loader, LoaderConfig, Problem,
    SampleText, Task,
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
    unreadable_max: usize,
    unreadable: Arc<Unreadable>,
}

/// Samples whose pictures could not be read, each once, however often it was tried.
#[derive(Debug, Default)]
struct Unreadable(Mutex<Vec<Problem>>);

impl Unreadable {
    fn known(&self) -> MutexGuard<'_, Vec<Problem>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn note(&self, problem: &Problem) {
        let mut known = self.known();
        if !known.contains(problem) {
            known.push(problem.clone());
        }
    }
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
    /// Opens the data that is named. The options bound what may be unusable of it: so many entries
    /// and, in each pass over it, so many pictures.
    ///
    /// # Errors
    ///
    /// If there is no such data for the task.
    pub fn open(spec: &DataSpec, task: Task, options: &DatasetOptions) -> Result<Self, DataError> {
        Ok(Self {
            dataset: Arc::new(spec.open(task, options)?),
            task,
            name: spec.to_string(),
            unreadable_max: options.problems_max,
            unreadable: Arc::default(),
        })
    }

    /// The data as it was opened.
    pub fn dataset(&self) -> &Dataset {
        &self.dataset
    }

    /// Samples that were left out because they could not be read, as far as they have been tried.
    pub fn unreadable(&self) -> Vec<Problem> {
        self.unreadable.known().clone()
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

    /// Some samples, decoded ahead and resized for the engine's model; those that cannot be read are
    /// left out.
    ///
    /// # Errors
    ///
    /// If no thread can be started; the one unreadable sample too many ends the samples with an error.
    pub fn samples(
        &self,
        engine: &Engine,
        range: Range<usize>,
    ) -> Result<impl Iterator<Item = Result<EvalSample, DataError>> + use<>, DataError> {
        let size = engine.model().settings().image_size;
        let order = range.start.min(self.len())..range.end.min(self.len());
        let config = LoaderConfig { problems_max: self.unreadable_max, ..LoaderConfig::default() };
        let mut loader = Loader::start(&self.dataset, order.collect(), config, move |picture| {
            Image::new(preprocess(&picture, size, size))
        })?;
        let unreadable = Arc::clone(&self.unreadable);
        Ok(std::iter::from_fn(move || {
            let loaded = loader.next_reporting(|problem| unreadable.note(problem))?;
            let of = |Loaded { sample, picture: image, .. }: Loaded<Image>| EvalSample {
                id: sample.id,
                text: sample.text,
                image,
            };
            Some(loaded.map(of))
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
