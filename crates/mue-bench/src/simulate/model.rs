//! A model that computes nothing, in the time that the cost model states.
//!
//! It does what `mue-engine`'s does on a device that does one thing at a time, as a GPU: a layer and
//! a token take turns, where a CPU would do both at once. Pictures and texts of a cohort run side by side, entailments
//! that have joined are answered before the captions' next token, none of them deferred, and a row is
//! computed at the layers that it needs and no others.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use mue_batcher::{BatchModel, DecodeReport, EncodeReport, RequestId, Rows};

use crate::clock::Clock;
use crate::costs::{Costs, microseconds};
use crate::jobs::{Job, Task};
use crate::record::Record;

/// The fake model.
pub(crate) struct SimulatedModel {
    /// Advanced by every step.
    pub(crate) clock: Clock,
    /// By how much.
    pub(crate) costs: Costs,
    /// Told the time between a caption's tokens.
    pub(crate) record: Arc<Record>,
}

/// Requests that encode together.
pub(crate) struct Cohort {
    layer: usize,
    jobs: Vec<(RequestId, Job)>,
}

impl Cohort {
    /// Rows that the next layer computes: of pictures and of texts.
    fn active_rows(&self) -> (usize, usize) {
        let images = self.jobs.iter().filter(|(_, job)| job.image_layers > self.layer).count();
        let texts = self.jobs.iter().filter(|(_, job)| job.text_layers() > self.layer).count();
        (images, texts)
    }
}

impl Job {
    fn text_layers(&self) -> usize {
        match self.task {
            Task::Caption { .. } => 0,
            Task::Entailment { text_layers, .. } => text_layers,
        }
    }
}

/// Requests that decode together.
#[derive(Default)]
pub(crate) struct DecodeSet {
    captions: Vec<Caption>,
    /// Entailments with their decoder layers, answered by the next step.
    entailments: Vec<(RequestId, usize)>,
}

/// A caption in the making.
struct Caption {
    id: RequestId,
    token_layers: Vec<usize>,
    beam_size: usize,
    /// Tokens so far.
    tokens: usize,
    /// Decoder layers that it has reached before.
    reached: usize,
    /// When its last token was decoded.
    told: Option<Duration>,
}

impl BatchModel for SimulatedModel {
    type Input = Job;
    type Output = ();
    type Event = ();
    type Error = Infallible;
    type Cohort = Cohort;
    type Encoded = Job;
    type DecodeSet = DecodeSet;

    fn rows(input: &Job) -> Rows {
        let decode = match input.task {
            Task::Caption { beam_size, .. } => beam_size,
            Task::Entailment { .. } => 1,
        };
        Rows { encode: 1, decode }
    }

    fn begin_encode(
        &mut self,
        jobs: Vec<(RequestId, Job)>,
    ) -> (Cohort, Vec<(RequestId, Infallible)>) {
        (Cohort { layer: 0, jobs }, Vec::new())
    }

    fn encode(&mut self, cohort: &mut Cohort) -> EncodeReport<Self> {
        let (images, texts) = cohort.active_rows();
        if cohort.layer == 0 {
            self.clock.advance(self.costs.stem.time(images));
        }
        self.clock.advance(self.costs.image_layer.time(images) + self.costs.text_layer.time(texts));
        cohort.layer += 1;
        let layer = cohort.layer;
        let is_ready = |job: &Job| job.image_layers.max(job.text_layers()) <= layer;
        let ready = cohort.jobs.extract_if(.., |(_, job)| is_ready(job)).collect();
        EncodeReport { layer, rows: images + texts, ready, failed: Vec::new() }
    }

    fn retain_encode(&mut self, cohort: &mut Cohort, keep: &dyn Fn(RequestId) -> bool) {
        cohort.jobs.retain(|(id, _)| keep(*id));
    }

    fn begin_decode(&mut self) -> DecodeSet {
        DecodeSet::default()
    }

    fn join(
        &mut self,
        set: &mut DecodeSet,
        encoded: Vec<(RequestId, Job)>,
        _streams: &dyn Fn(RequestId) -> bool,
    ) {
        for (id, job) in encoded {
            match job.task {
                Task::Entailment { decoder_layers, .. } => {
                    set.entailments.push((id, decoder_layers));
                }
                Task::Caption { token_layers, beam_size } => {
                    let (tokens, reached, told) = (0, 0, None);
                    let caption = Caption { id, token_layers, beam_size, tokens, reached, told };
                    set.captions.push(caption);
                }
            }
        }
    }

    fn decode(&mut self, set: &mut DecodeSet) -> DecodeReport<Self> {
        let mut layer_rows = Vec::new();
        let mut finished: Vec<(RequestId, ())> =
            self.answer(&mut set.entailments, &mut layer_rows).collect();
        finished.extend(self.decode_token(&mut set.captions, &mut layer_rows));
        DecodeReport { layer_rows, events: Vec::new(), finished, failed: Vec::new() }
    }

    fn retain_decode(&mut self, set: &mut DecodeSet, keep: &dyn Fn(RequestId) -> bool) {
        set.captions.retain(|caption| keep(caption.id));
        set.entailments.retain(|(id, _)| keep(*id));
    }
}

impl SimulatedModel {
    /// Answers the entailments, layer by layer.
    fn answer<'a>(
        &self,
        entailments: &'a mut Vec<(RequestId, usize)>,
        layer_rows: &mut Vec<usize>,
    ) -> impl Iterator<Item = (RequestId, ())> + 'a {
        let layers = entailments.iter().map(|(_, layers)| *layers).max().unwrap_or(0);
        for layer in 1..=layers {
            let rows = entailments.iter().filter(|(_, layers)| *layers >= layer).count();
            self.clock.advance(self.costs.answer_layer.time(rows));
            add_rows(layer_rows, layer, rows);
        }
        entailments.drain(..).map(|(id, _)| (id, ()))
    }

    /// Decodes one token of every caption, layer by layer; takes out those that are complete.
    fn decode_token(
        &self,
        captions: &mut Vec<Caption>,
        layer_rows: &mut Vec<usize>,
    ) -> impl Iterator<Item = (RequestId, ())> {
        let layers = captions.iter().map(Caption::layers).max().unwrap_or(0);
        for layer in 1..=layers {
            let active = captions.iter().filter(|caption| caption.layers() >= layer);
            let rows = active.map(|caption| caption.beam_size).sum();
            self.clock.advance(self.costs.decoder_layer.time(rows));
            add_rows(layer_rows, layer, rows);
        }
        let new: usize =
            captions.iter().map(|caption| caption.layers().saturating_sub(caption.reached)).sum();
        self.clock.advance(microseconds(self.costs.first_reach_us * new as f64));
        let now = self.clock.elapsed();
        for caption in captions.iter_mut() {
            caption.reached = caption.reached.max(caption.layers());
            caption.tokens += 1;
            if let Some(told) = caption.told.replace(now) {
                self.record.token_gap(now - told);
            }
        }
        captions.extract_if(.., |caption| caption.is_complete()).map(|caption| (caption.id, ()))
    }
}

impl Caption {
    /// Decoder layers of its next token.
    fn layers(&self) -> usize {
        self.token_layers[self.tokens]
    }

    fn is_complete(&self) -> bool {
        self.tokens == self.token_layers.len()
    }
}

/// Adds rows at a layer, counted from 1.
fn add_rows(layer_rows: &mut Vec<usize>, layer: usize, rows: usize) {
    layer_rows.resize(layer_rows.len().max(layer), 0);
    layer_rows[layer - 1] += rows;
}
