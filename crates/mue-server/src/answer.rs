//! What every answer says beside the words themselves: exits, compute, times.

use std::time::Duration;

use mue_engine::batcher::{Answer, BatchShare, Timing};
use mue_engine::{BranchDepth, Compute, ExitTrace, FirstReading, Reply, TokenExit};
use serde::Serialize;
use utoipa::ToSchema;

use crate::answering::Answered;

/// The answers to one request.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Answer)]
pub(crate) struct AnswerJson<R> {
    /// The request's id, as in `x-request-id`.
    #[schema(examples("5f0c63aa1d2e4b97-12"))]
    pub(crate) id: String,
    /// The model's name.
    #[schema(examples("demo"))]
    pub(crate) model: String,
    /// One per picture or hypothesis, in their order.
    #[schema(min_items = 1)]
    pub(crate) results: Vec<R>,
    /// Where the time went.
    pub(crate) timing_ms: TimingJson,
    /// The company it was computed in.
    pub(crate) batch: BatchJson,
}

/// Milliseconds in each stage; of a list, those of the result that took longest.
#[derive(Clone, Copy, Debug, Serialize, ToSchema)]
#[schema(as = Timing)]
pub(crate) struct TimingJson {
    /// In the queue.
    #[schema(minimum = 0, examples(0.1))]
    queue: f64,
    /// Decoding and resizing pictures, all of a list together.
    #[schema(minimum = 0, examples(1.2))]
    preprocess: f64,
    /// In the encoder.
    #[schema(minimum = 0, examples(4.5))]
    encode: f64,
    /// In the decoder; of a deferred answer also in further layers of the image branch.
    #[schema(minimum = 0, examples(9.8))]
    decode: f64,
    /// From the request's arrival to its answer.
    #[schema(minimum = 0, examples(16.0))]
    total: f64,
}

/// The batches that a request was part of; of a list, those of the result that took longest.
#[derive(Clone, Copy, Debug, Serialize, ToSchema)]
#[schema(as = Batch)]
pub(crate) struct BatchJson {
    /// Rows that began to encode with it, its own included.
    cohort_rows: usize,
    /// Decoder steps that it took part in; while a deferred answer's image branch goes on, each of its layers
    /// is one.
    decode_steps: u64,
    /// Mean rows held in those steps, its own included: one per beam of every request.
    decode_rows_mean: f64,
}

/// The layers at which a result left the model.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = ExitTrace)]
pub(crate) struct ExitJson {
    /// The image branch.
    image: DepthJson,
    /// The text branch; in joint encoding it leaves with the image.
    text: DepthJson,
    /// The decoder.
    decoder: DecoderJson,
    /// Where an entailment's branches had left at first, if that answer was not sure enough, so that the
    /// image branch went on and the decoder began anew.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    deferred: Option<FirstReadingJson>,
}

/// The layers at which branches had left when an answer was deferred.
#[derive(Clone, Copy, Debug, Serialize, ToSchema)]
#[schema(as = FirstReading)]
pub(crate) struct FirstReadingJson {
    /// The image branch.
    #[schema(examples(1))]
    image: usize,
    /// The decoder.
    #[schema(examples(2))]
    decoder: usize,
}

/// Layers run of those there are.
#[derive(Clone, Copy, Debug, Serialize, ToSchema)]
#[schema(as = Depth)]
pub(crate) struct DepthJson {
    /// Run.
    #[schema(examples(2))]
    layer: usize,
    /// Possible.
    #[schema(examples(6))]
    layers: usize,
}

/// Decoder layers run of those there are.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = DecoderDepth)]
pub(crate) struct DecoderJson {
    /// Mean over the answer's tokens, whether or not they are listed; its end and steps that found
    /// nothing better do not count. Over all steps if it has no token.
    #[schema(minimum = 0, examples(1.4))]
    mean_layer: f64,
    /// Possible.
    #[schema(examples(6))]
    layers: usize,
    /// By token, unless the request says `"trace": false`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    tokens: Option<Vec<TokenJson>>,
}

/// One token of an answer.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = Token)]
pub(crate) struct TokenJson {
    /// Its text, with the space before it.
    #[schema(examples(" red"))]
    text: String,
    /// The layer at which it left the decoder.
    #[schema(examples(1))]
    layer: usize,
}

/// Multiply-accumulates of a result, as if it had run alone.
#[derive(Clone, Copy, Debug, Serialize, ToSchema)]
#[schema(as = Compute)]
pub(crate) struct ComputeJson {
    /// With its exits; an encoding that was kept or shared counts again.
    #[schema(examples(12_000_000))]
    macs: u64,
    /// The same at full depth.
    #[schema(examples(30_000_000))]
    macs_full: u64,
    /// Share of full depth that its exits left out; below 0 where looking for exits cost more than
    /// they left out.
    #[schema(maximum = 1, examples(0.6))]
    saved: f64,
}

impl<R> AnswerJson<R> {
    /// With the results of an order, made one by one.
    pub(crate) fn new(
        (id, model): (String, String),
        answered: Answered,
        result: impl Fn(usize, Reply) -> Option<R>,
    ) -> Self {
        let Answered { answers, preprocess, total, .. } = answered;
        let slowest = answers.iter().max_by_key(|answer| answer.timing.total());
        let (timing, batch) =
            slowest.map_or_else(Default::default, |Answer { timing, batch, .. }| (*timing, *batch));
        let results = answers.into_iter().map(|answer| answer.output).enumerate();
        Self {
            id,
            model,
            results: results.filter_map(|(place, reply)| result(place, reply)).collect(),
            timing_ms: TimingJson::new(timing, preprocess, total),
            batch: batch.into(),
        }
    }
}

impl TimingJson {
    fn new(timing: Timing, preprocess: Duration, total: Duration) -> Self {
        let ms = |time: Duration| time.as_secs_f64() * 1e3;
        Self {
            queue: ms(timing.queue),
            preprocess: ms(preprocess),
            encode: ms(timing.encode),
            decode: ms(timing.decode),
            total: ms(total),
        }
    }
}

impl ExitJson {
    /// Of a result, with its tokens if they are wanted.
    pub(crate) fn new(exit: &ExitTrace, tokens: Option<Vec<TokenJson>>) -> Self {
        let (mean_layer, layers) = (exit.mean_layer(), exit.decoder_layers);
        let decoder = DecoderJson { mean_layer, layers, tokens };
        let deferred = exit
            .deferred
            .map(|FirstReading { image, decoder }| FirstReadingJson { image, decoder });
        Self { image: exit.image.into(), text: exit.text.into(), decoder, deferred }
    }
}

impl From<BatchShare> for BatchJson {
    fn from(batch: BatchShare) -> Self {
        let BatchShare { cohort_rows, decode_steps, decode_rows_mean } = batch;
        Self { cohort_rows, decode_steps, decode_rows_mean }
    }
}

impl From<BranchDepth> for DepthJson {
    fn from(depth: BranchDepth) -> Self {
        Self { layer: depth.layer, layers: depth.layers }
    }
}

impl From<TokenExit> for TokenJson {
    fn from(token: TokenExit) -> Self {
        Self { text: token.text, layer: token.layer }
    }
}

impl From<Compute> for ComputeJson {
    fn from(compute: Compute) -> Self {
        Self { macs: compute.macs, macs_full: compute.macs_full, saved: compute.saved() }
    }
}
