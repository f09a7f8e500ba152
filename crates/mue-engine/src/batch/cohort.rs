//! Requests that encode together: their pictures in one run, their texts in another.

use std::collections::BTreeMap;
use std::sync::Arc;

use mue_batcher::{EncodeReport, RequestId};
use mue_model::{BranchEncoding, BranchPolicy, BranchRun, LayerReport, Tensor, TensorData};

use super::BatchOfa;
use super::image_cache::CacheKey;
use crate::observer::{Branch, LayerStep};
use crate::request::{Image, Request, Task};
use crate::settings::Encoding;

/// Requests between admission and decoding.
pub struct Cohort {
    /// Pictures; in joint encoding, each with its text.
    images: Option<Part<Vec<RequestId>>>,
    /// Texts that are not the constant prompt.
    texts: Option<Part<RequestId>>,
    pending: BTreeMap<RequestId, Pending>,
    /// Encoder layers run so far.
    layer: usize,
}

/// One run, and who waits for each of its rows.
struct Part<W> {
    run: BranchRun,
    rows: Vec<W>,
    /// Under which key a picture's encoding is kept.
    keys: Vec<CacheKey>,
}

/// A request and its encodings so far.
struct Pending {
    request: Request,
    image: Option<Arc<BranchEncoding>>,
    text: Option<Arc<BranchEncoding>>,
    joint: bool,
}

/// A request that is ready to decode.
pub struct Encoded {
    pub(super) request: Request,
    /// Image and text, or both in one.
    pub(super) parts: Vec<Arc<BranchEncoding>>,
}

impl Pending {
    fn is_ready(&self) -> bool {
        self.image.is_some() && (self.joint || self.text.is_some())
    }

    fn into_encoded(self) -> Encoded {
        Encoded { request: self.request, parts: self.image.into_iter().chain(self.text).collect() }
    }
}

impl Cohort {
    /// Frees the other requests: rows that nobody waits for any more leave their run.
    pub(super) fn retain(&mut self, keep: &dyn Fn(RequestId) -> bool) {
        self.pending.retain(|id, _| keep(*id));
        if let Some(part) = &mut self.images {
            part.rows.iter_mut().for_each(|waiting| waiting.retain(|id| keep(*id)));
            let rows = &part.rows;
            part.run.cancel_rows(|row| rows[row].is_empty());
        }
        if let Some(part) = &mut self.texts {
            let rows = &part.rows;
            part.run.cancel_rows(|row| !keep(rows[row]));
        }
    }

    fn take_ready(&mut self) -> Vec<(RequestId, Encoded)> {
        let ready: Vec<RequestId> = self
            .pending
            .iter()
            .filter_map(|(id, pending)| pending.is_ready().then_some(*id))
            .collect();
        ready
            .into_iter()
            .filter_map(|id| Some((id, self.pending.remove(&id)?.into_encoded())))
            .collect()
    }
}

impl BatchOfa {
    pub(super) fn start_cohort(&mut self, inputs: Vec<(RequestId, Request)>) -> Cohort {
        match self.folder.settings.encoding {
            Encoding::Decomposed => self.start_decomposed(inputs),
            Encoding::Joint => self.start_joint(inputs),
        }
    }

    fn start_decomposed(&mut self, inputs: Vec<(RequestId, Request)>) -> Cohort {
        let mut images = ImageRows::default();
        let (mut texts, mut text_rows, mut text_policies) = (Vec::new(), Vec::new(), Vec::new());
        let mut pending = BTreeMap::new();
        for (id, request) in inputs {
            let key = CacheKey::new(&request.image, &request.policy.image);
            let cached = self.images.get(&key);
            self.observer.image_looked_up(cached.is_some());
            if cached.is_none() {
                images.add(id, key, &request);
            }
            let text = match &request.task {
                Task::Caption { .. } => {
                    let prompt = &self.folder.caption_prompt;
                    Some(self.model.constant_text(prompt, &request.policy.text))
                }
                Task::Entailment { prompt } => {
                    texts.push(prompt.clone());
                    text_rows.push(id);
                    text_policies.push(request.policy.text.clone());
                    None
                }
            };
            pending.insert(id, Pending { request, image: cached, text, joint: false });
        }
        let images = (!images.keys.is_empty()).then(|| {
            let run = self.model.begin_images(self.pixels(&images.images), images.policies);
            Part { run, rows: images.waiting, keys: images.keys }
        });
        let texts = (!texts.is_empty()).then(|| {
            let run = self.model.begin_texts(&texts, text_policies);
            Part { run, rows: text_rows, keys: Vec::new() }
        });
        Cohort { images, texts, pending, layer: 0 }
    }

    fn start_joint(&mut self, inputs: Vec<(RequestId, Request)>) -> Cohort {
        let mut rows = ImageRows::default();
        let mut texts = Vec::new();
        let mut pending = BTreeMap::new();
        for (id, request) in inputs {
            texts.push(match &request.task {
                Task::Caption { .. } => self.folder.caption_prompt.clone(),
                Task::Entailment { prompt } => prompt.clone(),
            });
            rows.waiting.push(vec![id]);
            rows.images.push(request.image.clone());
            rows.policies.push(request.policy.image.clone());
            pending.insert(id, Pending { request, image: None, text: None, joint: true });
        }
        let images = (!texts.is_empty()).then(|| {
            let pixels = Some(self.pixels(&rows.images));
            let run = self.model.begin_joint(pixels, &texts, rows.policies);
            Part { run, rows: rows.waiting, keys: Vec::new() }
        });
        Cohort { images, texts: None, pending, layer: 0 }
    }

    /// Pictures of the model's size as one tensor, `[pictures, 3, height, width]`.
    fn pixels(&self, images: &[Image]) -> Tensor<4> {
        let side = self.folder.settings.image_size;
        let values: Vec<f32> =
            images.iter().flat_map(|image| image.pixels.values.iter().copied()).collect();
        let data = TensorData::new(values, [images.len(), 3, side, side]);
        Tensor::from_data(data, self.model.device())
    }

    /// One layer of both runs; requests that need none are ready at once.
    pub(super) fn encode_layer(&mut self, cohort: &mut Cohort) -> EncodeReport<Self> {
        let ready = cohort.take_ready();
        if !ready.is_empty() {
            let (layer, failed) = (cohort.layer, Vec::new());
            return EncodeReport { layer, rows: 0, ready, failed };
        }
        cohort.layer += 1;
        let mut rows = 0;
        if let Some(part) = cohort.images.as_mut().filter(|part| !part.run.is_finished()) {
            let report = self.layer(Branch::Image, &mut part.run);
            rows += report.rows;
            for (row, encoding) in report.exited {
                let encoding = Arc::new(encoding);
                if let Some(key) = part.keys.get(row) {
                    self.images.insert(key.clone(), Arc::clone(&encoding));
                    self.observer.image_cache(self.images.usage());
                }
                for id in &part.rows[row] {
                    let pending = cohort.pending.get_mut(id);
                    pending.expect("a row's requests wait for it").image =
                        Some(Arc::clone(&encoding));
                }
            }
        }
        if let Some(part) = cohort.texts.as_mut().filter(|part| !part.run.is_finished()) {
            let report = self.layer(Branch::Text, &mut part.run);
            rows += report.rows;
            for (row, encoding) in report.exited {
                let pending = cohort.pending.get_mut(&part.rows[row]);
                pending.expect("a row's request waits for it").text = Some(Arc::new(encoding));
            }
        }
        let (layer, ready) = (cohort.layer, cohort.take_ready());
        EncodeReport { layer, rows, ready, failed: Vec::new() }
    }

    fn layer(&self, branch: Branch, run: &mut BranchRun) -> LayerReport {
        let report = self.model.encode_layer(run);
        let (layer, rows) = (report.layer, report.rows);
        self.observer.layer(&LayerStep { branch, layer, rows });
        self.gathered(branch, run.take_gathering());
        report
    }
}

/// The distinct pictures of a cohort.
#[derive(Default)]
struct ImageRows {
    images: Vec<Image>,
    policies: Vec<BranchPolicy>,
    keys: Vec<CacheKey>,
    waiting: Vec<Vec<RequestId>>,
}

impl ImageRows {
    /// Adds a request to the row of its picture; there is one row per picture and policy.
    fn add(&mut self, id: RequestId, key: CacheKey, request: &Request) {
        match self.keys.iter().position(|other| *other == key) {
            Some(row) => self.waiting[row].push(id),
            None => {
                self.images.push(request.image.clone());
                self.policies.push(request.policy.image.clone());
                self.keys.push(key);
                self.waiting.push(vec![id]);
            }
        }
    }
}
