//! Checkpoints that a run resumes from exactly, and that a kill at any moment cannot spoil.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use mue_model::weights::{
    Checkpoint, CheckpointError, FloatStorage, OutputFolder, RawTensor, write_safetensors,
};
use serde::{Deserialize, Serialize};

use crate::config::TrainConfig;
use crate::log::Means;
use crate::parameters::{Parameter, Parameters};

/// Checkpoints that are kept: the newest, and the one before in case the newest is unreadable.
const KEPT: usize = 2;

const TENSORS: &str = "state.safetensors";
const STATE: &str = "state.json";

/// Begins a checkpoint's name, which goes on with the number of its step.
const STEP: &str = "step-";

/// What a checkpoint holds besides tensors.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct RunState {
    /// Steps done. With the seed it is the whole state of every random choice.
    pub(crate) step: u64,
    /// Seconds spent so far, over all sittings.
    pub(crate) seconds: f64,
    /// Of the steps since the log's last line.
    #[serde(default)]
    pub(crate) means: Means,
    /// Updates of each parameter.
    updates: BTreeMap<String, u64>,
    /// The recipe that it was made by.
    pub(crate) config: TrainConfig,
}

/// Why a checkpoint cannot be written or read.
#[derive(Debug, thiserror::Error)]
pub enum ResumeError {
    /// The files are missing or damaged.
    #[error(transparent)]
    Tensors(#[from] CheckpointError),
    /// A file cannot be read or written.
    #[error("cannot use the checkpoint {path}")]
    File {
        /// The checkpoint's folder, or that of all checkpoints.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// `state.json` is not as it should be.
    #[error("{path}: {STATE} is not valid")]
    State {
        /// The checkpoint's folder.
        path: PathBuf,
        /// Why.
        source: serde_json::Error,
    },
    /// The parameters are those of another model.
    #[error("the checkpoint {path} is of another model: {what}")]
    Other {
        /// The checkpoint's folder.
        path: PathBuf,
        /// What differs.
        what: String,
    },
    /// The recipe is that of another run.
    #[error("the checkpoint {path} was made by another recipe, with {with}")]
    Recipe {
        /// The checkpoint's folder.
        path: PathBuf,
        /// The keys that differ, with the values that the checkpoint was made by.
        with: String,
    },
}

impl ResumeError {
    /// Whether another checkpoint of the same run may be better.
    fn is_damage(&self) -> bool {
        matches!(self, Self::Tensors(_) | Self::File { .. } | Self::State { .. })
    }
}

/// The recipe of the run in a folder, as its newest readable checkpoint has it; none if there is
/// no checkpoint.
///
/// # Errors
///
/// If no checkpoint can be read.
pub fn saved_recipe(folder: &Path) -> Result<Option<TrainConfig>, ResumeError> {
    let state = Checkpoints::of_run(folder).newest(read_state, &mut |_| {})?;
    Ok(state.map(|state| state.config))
}

/// Makes sure that the run in a folder was made by this recipe; false if there is no checkpoint.
///
/// # Errors
///
/// If it was made by another, one that differs in more than `[run]`, or no checkpoint can be read.
pub fn check_recipe(folder: &Path, recipe: &TrainConfig) -> Result<bool, ResumeError> {
    let checkpoints = Checkpoints::of_run(folder);
    Ok(checkpoints.newest(|path| state_by(path, recipe), &mut |_| {})?.is_some())
}

/// The checkpoints of a run.
#[derive(Clone, Debug)]
pub(crate) struct Checkpoints {
    folder: PathBuf,
}

impl Checkpoints {
    /// Those in the folder of a run, which need not have any yet.
    pub(crate) fn of_run(folder: &Path) -> Self {
        Self { folder: folder.join("checkpoints") }
    }

    /// Writes one, then drops the oldest, what could not be read beyond it, and what kills have
    /// left half written.
    pub(crate) fn save(
        &self,
        parameters: &Parameters,
        (step, seconds, means): (u64, f64, &Means),
        config: &TrainConfig,
    ) -> Result<(), ResumeError> {
        let folder = self.folder.join(format!("{STEP}{step:08}"));
        let output = OutputFolder::create(&folder, true)?;
        let updates = parameters.0.iter().map(|it| (it.name.clone(), it.updates)).collect();
        let (means, config) = (means.clone(), config.clone());
        let state = RunState { step, seconds, means, updates, config };
        write_safetensors(
            &output.path().join(TENSORS),
            &tensors(parameters)?,
            FloatStorage::Float32,
        )?;
        let json = serde_json::to_vec_pretty(&state).map_err(bad_state(&folder))?;
        fs::write(output.path().join(STATE), json).map_err(bad_file(&folder))?;
        output.commit()?;
        let Found { steps, half } = self.find()?;
        let (done, beyond): (Vec<_>, Vec<_>) = steps.into_iter().partition(|it| it.0 <= step);
        let old = done.into_iter().rev().skip(KEPT);
        for unused in old.chain(beyond).map(|(_, path)| path).chain(half) {
            fs::remove_dir_all(&unused).map_err(bad_file(&unused))?;
        }
        Ok(())
    }

    /// Fills the parameters from the newest checkpoint that can be read, which must be of this
    /// recipe; none if there is none. After an error the parameters are of no use.
    ///
    /// `report` sees why newer ones are passed over.
    pub(crate) fn load(
        &self,
        parameters: &mut Parameters,
        config: &TrainConfig,
        report: &mut dyn FnMut(ResumeError),
    ) -> Result<Option<RunState>, ResumeError> {
        self.newest(|path| load(path, parameters, config), report)
    }

    /// What is read of the newest checkpoint that is not damaged.
    fn newest<T>(
        &self,
        mut read: impl FnMut(&Path) -> Result<T, ResumeError>,
        report: &mut dyn FnMut(ResumeError),
    ) -> Result<Option<T>, ResumeError> {
        let mut steps = self.find()?.steps;
        while let Some((_, path)) = steps.pop() {
            match read(&path) {
                Err(error) if error.is_damage() && !steps.is_empty() => report(error),
                outcome => return outcome.map(Some),
            }
        }
        Ok(None)
    }

    /// Looks through the folder.
    fn find(&self) -> Result<Found, ResumeError> {
        let mut found = Found::default();
        let entries = match fs::read_dir(&self.folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(found),
            Err(error) => return Err(bad_file(&self.folder)(error)),
        };
        for entry in entries {
            let path = entry.map_err(bad_file(&self.folder))?.path();
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            let step = name.strip_prefix(STEP).and_then(|step| step.parse().ok());
            match step {
                _ if !path.is_dir() => {}
                Some(step) => found.steps.push((step, path)),
                None if name.starts_with(&format!(".{STEP}")) && name.contains(".partial-") => {
                    found.half.push(path);
                }
                None => {}
            }
        }
        found.steps.sort();
        Ok(found)
    }
}

/// What lies in the folder of a run's checkpoints.
#[derive(Debug, Default)]
struct Found {
    /// Complete checkpoints with their steps, oldest first.
    steps: Vec<(u64, PathBuf)>,
    /// Half ones, which a kill has left (see [`OutputFolder`]).
    half: Vec<PathBuf>,
}

fn read_state(path: &Path) -> Result<RunState, ResumeError> {
    let json = fs::read(path.join(STATE)).map_err(bad_file(path))?;
    serde_json::from_slice(&json).map_err(bad_state(path))
}

/// The state of a checkpoint, which must be of this recipe.
fn state_by(path: &Path, config: &TrainConfig) -> Result<RunState, ResumeError> {
    let state = read_state(path)?;
    let differences = state.config.differences(config);
    match differences.is_empty() {
        true => Ok(state),
        false => Err(ResumeError::Recipe { path: path.into(), with: differences.join(", ") }),
    }
}

fn load(
    path: &Path,
    parameters: &mut Parameters,
    config: &TrainConfig,
) -> Result<RunState, ResumeError> {
    let state = state_by(path, config)?;
    let other = |what: String| ResumeError::Other { path: path.into(), what };
    let checkpoint = Checkpoint::open(&path.join(TENSORS))?;
    for parameter in &mut parameters.0 {
        let name = parameter.name.clone();
        parameter.updates = state.updates.get(&name).copied().unwrap_or_default();
        for (part, values) in PARTS.into_iter().zip(parts_mut(parameter)) {
            let name = format!("{name}/{part}");
            let tensor = checkpoint.tensors().get(&name);
            let tensor = tensor.filter(|tensor| tensor.element_count() == values.len());
            let missing = || other(format!("{name} is missing or of another size"));
            *values = read(tensor.ok_or_else(missing)?)?;
        }
    }
    match checkpoint.tensors().len() == parameters.0.len() * PARTS.len() {
        true => Ok(state),
        false => Err(other("it has more parameters".into())),
    }
}

fn bad_file(path: &Path) -> impl Fn(std::io::Error) -> ResumeError + use<> {
    let path = path.to_path_buf();
    move |source| ResumeError::File { path: path.clone(), source }
}

fn bad_state(path: &Path) -> impl Fn(serde_json::Error) -> ResumeError + use<> {
    let path = path.to_path_buf();
    move |source| ResumeError::State { path: path.clone(), source }
}

/// Vectors of a parameter.
const PARTS: [&str; 4] = ["value", "mean", "square", "average"];

fn parts(parameter: &Parameter) -> [&[f32]; PARTS.len()] {
    let Parameter { values, moments: [means, squares], average, .. } = parameter;
    [values, means, squares, average]
}

fn parts_mut(parameter: &mut Parameter) -> [&mut Vec<f32>; PARTS.len()] {
    let Parameter { values, moments: [means, squares], average, .. } = parameter;
    [values, means, squares, average]
}

fn tensors(parameters: &Parameters) -> Result<BTreeMap<String, RawTensor>, CheckpointError> {
    let mut tensors = BTreeMap::new();
    for parameter in &parameters.0 {
        let Parameter { name, shape, .. } = parameter;
        for (part, values) in PARTS.into_iter().zip(parts(parameter)) {
            tensors.insert(format!("{name}/{part}"), RawTensor::from_f32(shape.clone(), values)?);
        }
    }
    Ok(tensors)
}

fn read(tensor: &RawTensor) -> Result<Vec<f32>, CheckpointError> {
    let bytes = tensor.float32_bytes()?;
    let (values, _) = bytes.as_chunks::<4>();
    Ok(values.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect())
}
