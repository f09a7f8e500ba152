//! An open data set.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::coco::{self, CaptionEntry, CaptionFile};
use super::error::DataError;
use super::find;
use super::problem::Problems;
use super::sample::{PictureSource, Sample, SampleText, Task};
use super::snli_ve::LineIndex;
use crate::scenes::{Scene, SceneSet};

/// How a data set's files are read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DatasetOptions {
    /// Folder of the pictures; if none, they are looked for around the annotations.
    pub images: Option<PathBuf>,
    /// Splits to take of a file that tells them apart, as Karpathy's does; others have none to take.
    pub splits: Vec<String>,
    /// Entries that may be unusable before opening fails.
    pub problems_max: usize,
}

/// Samples by number. Texts are read when the data set is opened or when they are wanted, as the
/// format allows; pictures always when they are wanted.
#[derive(Debug)]
pub struct Dataset {
    content: Content,
    folders: Arc<[PathBuf]>,
    path: PathBuf,
    splits: Vec<String>,
    problems: Problems,
}

#[derive(Debug)]
enum Content {
    Scenes { set: SceneSet, count: usize, task: Task },
    Captions(Vec<CaptionEntry>),
    Hypotheses(LineIndex),
}

impl Dataset {
    /// The first scenes of a set: for captions with their five references, for entailment with
    /// the first hypothesis of each and its canonical caption as premise.
    pub fn scenes(set: SceneSet, count: usize, task: Task) -> Self {
        Self {
            content: Content::Scenes { set, count, task },
            folders: Arc::new([]),
            path: PathBuf::new(),
            splits: Vec::new(),
            problems: Problems::at_most(0),
        }
    }

    /// Opens an annotation file, or the only one for the task that a folder has.
    ///
    /// Captions are read from COCO's own annotation files and from Karpathy's split, hypotheses
    /// from SNLI-VE's JSON lines.
    ///
    /// # Errors
    ///
    /// If there is no such file, it is not of a known format or for the other task, has nothing
    /// usable, or more is unusable than the options allow.
    pub fn open(path: &Path, task: Task, options: &DatasetOptions) -> Result<Self, DataError> {
        let path = find::annotations(path, task)?;
        let is_lines = path.extension().is_some_and(|extension| extension == "jsonl");
        let mut problems = Problems::at_most(options.problems_max);
        let (content, splits) = match (task, is_lines) {
            (Task::Caption, false) => {
                let CaptionFile { entries, splits } =
                    coco::read(&path, &options.splits, &mut problems)?;
                (Content::Captions(entries), splits)
            }
            (Task::Entailment, true) => {
                (Content::Hypotheses(LineIndex::build(&path, &mut problems)?), Vec::new())
            }
            (Task::Caption, true) => {
                return Err(DataError::OtherTask { path, kind: "entailment (JSON lines)" });
            }
            (Task::Entailment, false) => {
                let kind = "captions; entailment is read from JSON lines (.jsonl)";
                return Err(DataError::OtherTask { path, kind });
            }
        };
        let folders = find::picture_folders(&path, options.images.as_deref());
        let dataset = Self { content, folders, path, splits, problems };
        match dataset.is_empty() {
            true => Err(DataError::Empty { path: dataset.path }),
            false => Ok(dataset),
        }
    }

    /// Number of samples.
    pub fn len(&self) -> usize {
        match &self.content {
            Content::Scenes { count, .. } => *count,
            Content::Captions(entries) => entries.len(),
            Content::Hypotheses(lines) => lines.len(),
        }
    }

    /// Whether there is no sample.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Entries that could not be used.
    pub fn problems(&self) -> &Problems {
        &self.problems
    }

    /// Hypotheses that were left out because their annotators did not agree.
    pub fn disputed(&self) -> usize {
        match &self.content {
            Content::Hypotheses(lines) => lines.disputed,
            _ => 0,
        }
    }

    /// Whether the samples are made-up scenes.
    pub fn is_scenes(&self) -> bool {
        matches!(self.content, Content::Scenes { .. })
    }

    /// Splits that were taken of a file that tells them apart; none of other data.
    pub fn splits(&self) -> &[String] {
        &self.splits
    }

    /// Whether some sample may be in both: scenes of a seed and split begin with the same ones, and
    /// a file is the same however it is named; splits of one file have nothing in common.
    pub fn overlaps(&self, other: &Self) -> bool {
        match (&self.content, &other.content) {
            (Content::Scenes { set, .. }, Content::Scenes { set: other, .. }) => set == other,
            (Content::Scenes { .. }, _) | (_, Content::Scenes { .. }) => false,
            _ => {
                let are_apart = !self.splits.is_empty()
                    && !other.splits.is_empty()
                    && !self.splits.iter().any(|split| other.splits.contains(split));
                is_same_file(&self.path, &other.path) && !are_apart
            }
        }
    }

    /// Where a sample comes from, in words.
    ///
    /// # Panics
    ///
    /// If the index is not below [`Dataset::len`].
    pub fn place(&self, index: usize) -> String {
        match &self.content {
            Content::Scenes { .. } => format!("scene {index}"),
            Content::Captions(entries) => {
                format!("{}: image {}", self.path.display(), entries[index].id)
            }
            Content::Hypotheses(lines) => lines.place(index),
        }
    }

    /// A sample.
    ///
    /// # Errors
    ///
    /// If the file has changed since it was opened.
    ///
    /// # Panics
    ///
    /// If the index is not below [`Dataset::len`].
    pub fn sample(&self, index: usize) -> Result<Sample, DataError> {
        assert!(index < self.len(), "sample {index} of {}", self.len());
        let (id, name, text) = match &self.content {
            Content::Scenes { set, task, .. } => {
                return Ok(scene_sample(set.scene(index as u64), *task));
            }
            Content::Captions(entries) => {
                let CaptionEntry { id, name, captions } = entries[index].clone();
                (id.to_string(), name, SampleText::Captions(captions))
            }
            Content::Hypotheses(lines) => lines.read(index)?,
        };
        let picture = PictureSource::File { name, folders: Arc::clone(&self.folders) };
        Ok(Sample { id, picture, text })
    }
}

fn is_same_file(path: &Path, other: &Path) -> bool {
    let real = |path: &Path| path.canonicalize().ok();
    path == other || real(path).is_some_and(|path| Some(path) == real(other))
}

/// A scene as a sample.
fn scene_sample(scene: Scene, task: Task) -> Sample {
    let captions = scene.captions();
    let text = match task {
        Task::Caption => SampleText::Captions(captions.into()),
        Task::Entailment => {
            let [premise, ..] = captions;
            let hypothesis = scene.hypotheses(1).remove(0);
            SampleText::Hypothesis {
                label: hypothesis.label.into(),
                family: Some(hypothesis.family.name().to_owned()),
                hypothesis: hypothesis.text,
                premise: Some(premise),
            }
        }
    };
    Sample { id: scene.index().to_string(), picture: PictureSource::Scene(Box::new(scene)), text }
}
