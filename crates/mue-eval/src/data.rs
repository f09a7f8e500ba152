//! The samples of an evaluation, with their pictures made ready for one model.

use std::collections::HashSet;
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use mue_data::datasets::{
    DataError, DataSpec, Dataset, DatasetOptions, Loaded, Loader, LoaderConfig, PictureSource,
    Problem, Sample, SampleText, Task,
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
    /// The name of its picture; what is asked about one picture has one.
    pub picture: String,
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
        let dataset = spec.open(task, options)?;
        let name = match dataset.splits() {
            [] => spec.to_string(),
            splits => format!("{spec} ({})", splits.join(", ")),
        };
        Ok(Self {
            dataset: Arc::new(dataset),
            task,
            name,
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

    /// Its name, as on the command line, with the splits that were taken of a file that holds several.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Number of samples; at least one.
    #[expect(clippy::len_without_is_empty, reason = "an empty data set cannot be opened")]
    pub fn len(&self) -> usize {
        self.dataset.len()
    }

    /// Names of the pictures of some samples.
    ///
    /// # Errors
    ///
    /// If a sample cannot be made.
    pub(crate) fn pictures(&self, range: Range<usize>) -> Result<HashSet<String>, DataError> {
        let range = range.start..range.end.min(self.len());
        range.map(|place| Ok(picture_name(&self.dataset.sample(place)?))).collect()
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
        let order = range.start.min(self.len())..range.end.min(self.len());
        let config = LoaderConfig { problems_max: self.unusable_max, ..LoaderConfig::default() };
        let mut loader = Loader::start(&self.dataset, order.collect(), config, move |picture| {
            Image::new(preprocess(&picture, size, size))
        })?;
        let usable = move |Loaded { sample, picture: image, .. }: Loaded<Image>| {
            let picture = picture_name(&sample);
            let sample = EvalSample { id: sample.id, picture, text: sample.text, image };
            let asked = sample.question(engine, &ExitChoice::Off);
            asked.map(|_| sample).map_err(|error| error.to_string())
        };
        let left_out = |problem: &Problem| self.unusable.note(problem);
        Ok(std::iter::from_fn(move || loader.next_usable(left_out, usable)))
    }
}

fn picture_name(sample: &Sample) -> String {
    match &sample.picture {
        PictureSource::File { name, .. } => name.clone(),
        PictureSource::Scene(_) => sample.id.clone(),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn data_is_named_with_the_splits_that_were_taken() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("dataset.json");
        let images = ["train", "restval", "val"].map(|split| {
            let said = r#"[{"raw": "a"}]"#;
            format!(r#"{{"filename": "{split}.jpg", "split": "{split}", "sentences": {said}}}"#)
        });
        std::fs::write(&path, format!(r#"{{"images": [{}]}}"#, images.join(", "))).unwrap();
        let name = |spec: DataSpec, splits: &[&str]| {
            let splits = splits.iter().map(|split| (*split).to_owned()).collect();
            let options = DatasetOptions { splits, ..DatasetOptions::default() };
            EvalData::open(&spec, Task::Caption, &options).unwrap().name().to_owned()
        };
        let file = path.display().to_string();
        let spec = || DataSpec::Path(path.clone());
        assert_eq!(name(spec(), &["val"]), format!("{file} (val)"));
        assert_eq!(name(spec(), &["train", "restval"]), format!("{file} (train, restval)"));
        let scenes = "scenes:seed=1,count=2,split=dev";
        assert_eq!(name(scenes.parse().unwrap(), &[]), scenes);
    }
}
