//! OFA with MuE early exits, on burn.
//!
//! [`Ofa`] is a loaded model. Its runs are resumable, so that the decision what to compute next
//! lies outside: an encoder branch advances layer by layer ([`BranchRun`]), a decoding set token by
//! token ([`DecoderRun`]), entailment in one pass over its prompt ([`AnswerRun`]). Inside a run
//! every row follows its own [`ExitPolicy`] and, once it has left, is not computed any more.
//!
//! The crate names no backend: it runs wherever the [`Device`] it is given
//! runs. It reads files only under [`weights`].

mod answer;
mod attention;
mod buckets;
mod computed;
mod config;
mod decode;
mod decoder;
mod differentiable;
mod encode;
mod encoder;
mod exit;
mod few_rows;
mod gather;
mod host;
mod layers;
mod macs;
mod model;
mod prediction;
mod rows;
mod score_bias;
mod search;
mod similarity;
mod source;
mod stem;
mod tables;
#[cfg(test)]
mod tiny_model;
mod trace;
mod train;
pub mod weights;

pub use answer::{AnswerRequest, AnswerRun, ScoredAnswer};
pub use attention::{Attention, KeysValues};
pub use buckets::{Grid, token_bucket};
pub use burn::tensor::{Device, Tensor, TensorData};
pub use computed::{Computed, LayerWork};
pub use config::{ConfigError, OfaConfig, Preset};
pub use decode::{DecodedAnswer, DecoderRun, RequestId, RequestStep, StepExit, TokenReport};
pub use decoder::{Decoder, DecoderPositions};
pub use encode::{BranchRun, EmbeddedImages, LayerReport};
pub use encoder::{Encoder, EncoderPositions};
pub use exit::{BranchPolicy, ExitPolicy, LayerSignal, Schedule, SimilarityRule};
pub use gather::{GatherCost, Gathering};
pub use layers::{DecoderLayer, EncoderLayer};
pub use macs::MacModel;
pub use model::{DecoderState, Execution, Network, Ofa, RunOptions};
pub use prediction::Prediction;
pub use rows::{RowIndex, SelectRows};
pub use score_bias::ScoreBias;
pub use search::{Hypothesis, NonFiniteLogits, SearchSettings, SpecialTokens};
pub use source::{Branch, BranchEncoding, BranchExit, Source};
pub use stem::{Stem, StemKernels};
pub use trace::DecoderCost;
pub use train::{
    BranchDepths, DecoderSequence, TrainEncoding, TrainInput, TrainOutput, chosen_states,
};
