//! Checkpoints that a run resumes from exactly, and that a kill at any moment cannot spoil.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use mue_model::weights::{
    Checkpoint, CheckpointError, DType, FloatStorage, OutputFolder, RawTensor, write_safetensors,
};
use serde::{Deserialize, Serialize};

use crate::config::TrainConfig;
use crate::parameters::{Parameter, Parameters};

/// Checkpoints that are kept: the newest, and the one before in case the newest is unreadable.
const KEPT: usize = 2;

const TENSORS: &str = "state.safetensors";
const STATE: &str = "state.json";

/// What a checkpoint holds besides tensors.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct RunState {
    /// Steps done. With the seed it is the whole state of every random choice.
    pub(crate) step: u64,
    /// Seconds spent so far, over all sittings.
    pub(crate) seconds: f64,
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
        /// The folder.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// `state.json` is not as it should be.
    #[error("{path}: {STATE} is not valid")]
    State {
        /// The folder.
        path: PathBuf,
        /// Why.
        source: serde_json::Error,
    },
    /// The parameters are those of another model.
    #[error("the checkpoint is of another model: {0}")]
    Other(String),
}

/// The checkpoints of a run.
#[derive(Clone, Debug)]
pub(crate) struct Checkpoints {
    folder: PathBuf,
}

impl Checkpoints {
    /// Those in a folder, which need not exist yet.
    pub(crate) fn new(folder: PathBuf) -> Self {
        Self { folder }
    }

    /// Writes one, then drops the oldest.
    pub(crate) fn save(
        &self,
        parameters: &Parameters,
        (step, seconds): (u64, f64),
        config: &TrainConfig,
    ) -> Result<(), ResumeError> {
        let output = OutputFolder::create(&self.folder.join(format!("step-{step:08}")), true)?;
        let updates = parameters.0.iter().map(|it| (it.name.clone(), it.updates)).collect();
        let state = RunState { step, seconds, updates, config: config.clone() };
        write_safetensors(
            &output.path().join(TENSORS),
            &tensors(parameters)?,
            FloatStorage::Float32,
        )?;
        let json = serde_json::to_vec_pretty(&state).map_err(self.bad_state())?;
        fs::write(output.path().join(STATE), json).map_err(self.bad_file())?;
        output.commit()?;
        for old in self.steps()?.iter().rev().skip(KEPT) {
            fs::remove_dir_all(old).map_err(self.bad_file())?;
        }
        Ok(())
    }

    /// Fills the parameters from the newest checkpoint; none if there is none.
    pub(crate) fn load(
        &self,
        parameters: &mut Parameters,
    ) -> Result<Option<RunState>, ResumeError> {
        let Some(newest) = self.steps()?.pop() else { return Ok(None) };
        let json = fs::read(newest.join(STATE)).map_err(self.bad_file())?;
        let state: RunState = serde_json::from_slice(&json).map_err(self.bad_state())?;
        let checkpoint = Checkpoint::open(&newest.join(TENSORS))?;
        for parameter in &mut parameters.0 {
            let name = parameter.name.clone();
            parameter.updates = state.updates.get(&name).copied().unwrap_or_default();
            for (part, values) in parts(parameter) {
                *values = read(checkpoint.tensors(), &format!("{name}/{part}"), values.len())?;
            }
        }
        match checkpoint.tensors().len() == parameters.0.len() * PARTS {
            true => Ok(Some(state)),
            false => Err(ResumeError::Other("it has more parameters".into())),
        }
    }

    /// Complete checkpoints, oldest first.
    fn steps(&self) -> Result<Vec<PathBuf>, ResumeError> {
        let entries = match fs::read_dir(&self.folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(self.bad_file()(error)),
        };
        let mut steps = Vec::new();
        for entry in entries {
            let path = entry.map_err(self.bad_file())?.path();
            let named =
                path.file_name().is_some_and(|it| it.to_string_lossy().starts_with("step-"));
            if named {
                steps.push(path);
            }
        }
        steps.sort();
        Ok(steps)
    }

    fn bad_file(&self) -> impl Fn(std::io::Error) -> ResumeError + use<> {
        let path = self.folder.clone();
        move |source| ResumeError::File { path: path.clone(), source }
    }

    fn bad_state(&self) -> impl Fn(serde_json::Error) -> ResumeError + use<> {
        let path = self.folder.clone();
        move |source| ResumeError::State { path: path.clone(), source }
    }
}

/// Vectors per parameter.
const PARTS: usize = 4;

fn parts(parameter: &mut Parameter) -> [(&'static str, &mut Vec<f32>); PARTS] {
    let Parameter { values, moments: [means, squares], average, .. } = parameter;
    [("value", values), ("mean", means), ("square", squares), ("average", average)]
}

fn tensors(parameters: &Parameters) -> Result<BTreeMap<String, RawTensor>, CheckpointError> {
    let mut tensors = BTreeMap::new();
    for mut parameter in parameters.0.iter().cloned() {
        let (name, shape) = (parameter.name.clone(), parameter.shape.clone());
        for (part, values) in parts(&mut parameter) {
            let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
            let tensor = RawTensor::new(DType::F32, shape.clone(), bytes.into())?;
            tensors.insert(format!("{name}/{part}"), tensor);
        }
    }
    Ok(tensors)
}

fn read(
    tensors: &BTreeMap<String, RawTensor>,
    name: &str,
    length: usize,
) -> Result<Vec<f32>, ResumeError> {
    let tensor = tensors
        .get(name)
        .filter(|tensor| tensor.element_count() == length)
        .ok_or_else(|| ResumeError::Other(format!("{name} is missing or of another size")))?;
    let bytes = tensor.float32_bytes()?;
    let (values, _) = bytes.as_chunks::<4>();
    Ok(values.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect())
}
