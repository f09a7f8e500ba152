//! Opens a model folder on a device and answers caption and entailment requests, many at a time.
//!
//! [`Engine`] is what the command line, the server and the evaluation call. [`ModelFolder`] holds
//! what a model needs beside its weights, and makes [`Request`]s that can't be wrong. The model belongs
//! to a thread of its own behind [`mue_batcher`], which feeds a GPU itself; on the CPU its steps run on
//! the threads that compute.

mod answer;
mod batch;
mod builder;
mod calibration;
mod demo;
mod device;
mod engine;
mod model_folder;
mod observer;
mod request;
mod settings;
mod threads;
mod warm_up;

pub use answer::{
    BranchDepth, Caption, Compute, Entailment, ExitTrace, FirstReading, Label, Reply, Similarities,
    TokenExit,
};
pub use batch::BatchOfa;
pub use calibration::{
    BranchRule, Calibration, Deferral, ExitRules, OperatingPoint, TaskCalibration,
};
pub use device::{DeviceChoice, DeviceError, OpenDevice};
pub use engine::{Engine, EngineSettings, Outcome, Pending, StartError, block_on};
pub use model_folder::{ModelFolder, ModelSource, OpenError};
pub use mue_batcher as batcher;
pub use mue_model::{BranchPolicy, ExitPolicy, GatherCost, Gathering, LayerSignal, Prediction};
pub use observer::{Branch, CacheUsage, EngineObserver, LayerStep};
pub use request::{Image, InvalidRequest, Question, Request};
pub use settings::{
    AnswerWords, CaptionSearch, Encoding, ExitChoice, ExitDefaults, ModelSettings, Thresholds,
};
pub use threads::{ThreadsError, set_threads, threads};
