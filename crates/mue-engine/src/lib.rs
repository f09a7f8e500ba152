//! Opens a model folder on a device and answers caption and entailment requests.
//!
//! [`Engine`] is what the command line calls: it holds the model, its tokenizer and its
//! settings, turns pictures and sentences into the model's inputs, and the model's outputs into
//! answers that say where each token left.

mod answer;
mod caption;
mod device;
mod engine;
mod entailment;
mod settings;

pub use answer::{
    BranchDepth, Caption, Compute, Entailment, ExitTrace, Label, Timing, TokenExit,
};
pub use device::{DeviceChoice, DeviceError, OpenDevice};
pub use engine::{Engine, EngineError, OpenError};
pub use settings::{
    AnswerWords, CaptionSearch, Encoding, ExitChoice, ExitDefaults, ModelSettings, Thresholds,
};
