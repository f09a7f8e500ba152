//! The samples of an evaluation, with their pictures made ready for one model.

use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use mue_data::datasets::{
    DataError, DataSpec, Dataset, DatasetOptions, Loaded, Loader, LoaderConfig, Problem, Problems,
    SampleText, Task,
};
use mue_data::preprocess;
use mue_engine::{Engine, ExitChoice, Image, InvalidRequest, Request};

use crate::EvalError;

/// A data set for one task, read anew in each pass: pictures are never all in memory.
#[derive(Clone, Debug)]
pub struct EvalData {
    dataset: Arc<Dataset>,
    task: Task,
    name: String,
    unusable_max: usize,
    unusable: Arc<Unusable>,
}

/// Samples that could not be read or asked about, each once, however often it was tried.
#[derive(Debug, Default)]
struct Unusable(Mutex<Vec<Problem>>);

impl Unusable {
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
            unusable_max: options.problems_max,
            unusable: Arc::default(),
        })
    }

    /// The data as it was opened.
    pub fn dataset(&self) -> &Dataset {
        &self.dataset
    }

    /// Samples that were left out because they could not be read or the model could not be asked
    /// about them, as far as they have been tried.
    pub fn unusable(&self) -> Vec<Problem> {
        self.unusable.known().clone()
    }

    /// Entries and samples that were left out because they could not be used, so far.
    pub fn left_out(&self) -> usize {
        self.dataset.problems().count() + self.unusable.known().len()
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

    /// Some samples, decoded ahead and resized for the engine's model; those that cannot be read, or
    /// that the model cannot be asked about, are left out.
    ///
    /// # Errors
    ///
    /// If no thread can be started; the one unusable sample too many ends the samples with an error.
    pub fn samples<'a>(
        &'a self,
        engine: &'a Engine,
        range: Range<usize>,
    ) -> Result<impl Iterator<Item = Result<EvalSample, DataError>> + use<'a>, DataError> {
        let size = engine.model().settings().image_size;
        let order: Vec<usize> = (range.start.min(self.len())..range.end.min(self.len())).collect();
        // Pictures and texts are counted in the pass, together.
        let config = LoaderConfig { problems_max: usize::MAX, ..LoaderConfig::default() };
        let loader = Loader::start(&self.dataset, order.clone(), config, move |picture| {
            Image::new(preprocess(&picture, size, size))
        })?;
        let problems = Problems::at_most(self.unusable_max);
        Ok(Pass { data: self, engine, loader, order, problems, is_over: false })
    }
}

/// One pass over some samples.
struct Pass<'a> {
    data: &'a EvalData,
    engine: &'a Engine,
    loader: Loader<Image>,
    order: Vec<usize>,
    problems: Problems,
    is_over: bool,
}

impl Iterator for Pass<'_> {
    type Item = Result<EvalSample, DataError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.is_over {
            return None;
        }
        let next = self.usable().transpose();
        self.is_over = !matches!(next, Some(Ok(_)));
        next
    }
}

impl Pass<'_> {
    /// The next sample that can be used; none at the end.
    fn usable(&mut self) -> Result<Option<EvalSample>, DataError> {
        loop {
            let mut unreadable = Vec::new();
            let loaded = self.loader.next_reporting(|problem| unreadable.push(problem.clone()));
            unreadable.into_iter().try_for_each(|problem| self.leave_out(problem))?;
            let Some(loaded) = loaded else { return Ok(None) };
            let Loaded { position, sample, picture: image } = loaded?;
            let sample = EvalSample { id: sample.id, text: sample.text, image };
            match sample.question(self.engine, &ExitChoice::Off) {
                Ok(_) => return Ok(Some(sample)),
                Err(error) => {
                    let place = self.data.dataset.place(self.order[position]);
                    self.leave_out(Problem { place, message: error.to_string() })?;
                }
            }
        }
    }

    fn leave_out(&mut self, problem: Problem) -> Result<(), DataError> {
        self.data.unusable.note(&problem);
        self.problems.record(problem)
    }
}

impl EvalSample {
    /// The request that asks for the sample's answer.
    ///
    /// # Errors
    ///
    /// If the model cannot be asked this, or not to exit so.
    pub fn request(&self, engine: &Engine, exit: &ExitChoice) -> Result<Request, EvalError> {
        self.question(engine, exit)
            .map_err(|source| EvalError::Request { sample: self.id.clone(), source })
    }

    fn question(&self, engine: &Engine, exit: &ExitChoice) -> Result<Request, InvalidRequest> {
        let model = engine.model();
        let image = self.image.clone();
        match &self.text {
            SampleText::Captions(_) => model.caption(image, exit.clone(), &model.settings().search),
            SampleText::Hypothesis { hypothesis, premise, .. } => {
                model.entailment(image, exit.clone(), (premise.as_deref(), hypothesis))
            }
        }
    }
}
