//! Trains OFA models with MuE's layer-wise loss.
//!
//! A [`Trainer`] follows a recipe ([`TrainConfig`]): every decoder layer learns to answer through
//! the shared final LayerNorm and tied head, pictures and texts are encoded apart, and each
//! picture is encoded once for its caption and its hypotheses. Batches are plain data from a
//! [`BatchSource`]: [`Scenes`] makes them as it goes, [`Files`] reads data sets. Parameters and optimiser state live on the
//! host, so that a checkpoint is the whole run and resuming changes nothing.

mod batch;
mod checkpoint;
mod config;
mod error;
mod evaluate;
mod files;
mod interface;
mod log;
mod loss;
mod network;
mod optimizer;
mod parameters;
mod pictures;
mod random;
mod saturation;
mod saved_weights;
mod scenes;
mod schedule;
mod self_critical;
mod step;
mod trainer;

pub use batch::{
    Batch, BatchSource, CaptionExample, CellLabels, HypothesisExample, Supplied, Supply,
};
pub use checkpoint::{ResumeError, check_recipe, saved_recipe};
pub use config::{
    DataConfig, Decay, Encoding, LossConfig, LossLayers, ModelConfig, OptimizerConfig, RecipeError,
    Reference, RunConfig, SelfCriticalConfig, TrainConfig,
};
pub use error::TrainError;
pub use evaluate::{DevExample, DevHypothesis, DevSet, Evaluation};
pub use files::{Files, FilesError, dev_files};
pub use interface::Interface;
pub use log::{EvaluationLine, Line, ProblemLine, TrainLine};
pub use saved_weights::{SavedWeights, saved_weights};
pub use scenes::{CELL_CLASSES, Scenes};
pub use self_critical::{CaptionReward, TooFewReferences};
pub use trainer::{Setup, Trainer};
