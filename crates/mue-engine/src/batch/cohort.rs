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
    /// What the first layer begins with: until then nothing is computed.
    newcomers: Option<Newcomers>,
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
    keys: Vec<Option<CacheKey>>,
}

/// Rows that are about to enter the encoder.
#[derive(Default)]
struct Newcomers {
    images: Vec<ImageRow>,
    texts: Vec<TextRow>,
}

impl Newcomers {
    /// Adds a request to the row of its picture.
    fn add_image(&mut self, id: RequestId, key: CacheKey, request: &Request) {
        let same = self.images.iter_mut().find(|row| row.key.as_ref() == Some(&key));
        match same {
            Some(row) => row.waiting.push(id),
            None => self.images.push(ImageRow {
                image: request.image.clone(),
                policy: request.policy.image.clone(),
                key: Some(key),
                beside: None,
                waiting: vec![id],
            }),
        }
    }
}

/// A picture, and who waits for it; there is one row per picture and policy.
struct ImageRow {
    image: Image,
    policy: BranchPolicy,
    key: Option<CacheKey>,
    /// In joint encoding, the text that encodes with it.
    beside: Option<Vec<u32>>,
    waiting: Vec<RequestId>,
}

/// A text that is not the constant prompt.
struct TextRow {
    tokens: Vec<u32>,
    policy: BranchPolicy,
    id: RequestId,
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
        if let Some(Newcomers { images, texts }) = &mut self.newcomers {
            images.iter_mut().for_each(|row| row.waiting.retain(|id| keep(*id)));
            images.retain(|row| !row.waiting.is_empty());
            texts.retain(|row| keep(row.id));
        }
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
    /// Sorts a cohort's requests into rows.
    pub(super) fn start_cohort(&self, inputs: Vec<(RequestId, Request)>) -> Cohort {
        let (mut rows, mut pending) = (Newcomers::default(), BTreeMap::new());
        for (id, request) in inputs {
            let waits = match self.folder.settings.encoding {
                Encoding::Decomposed => self.enter_decomposed(&mut rows, id, request),
                Encoding::Joint => self.enter_joint(&mut rows, id, request),
            };
            pending.insert(id, waits);
        }
        Cohort { newcomers: Some(rows), images: None, texts: None, pending, layer: 0 }
    }

    fn enter_decomposed(&self, rows: &mut Newcomers, id: RequestId, request: Request) -> Pending {
        let key = CacheKey::new(&request.image, &request.policy.image);
        let image = self.images().get(&key);
        self.observer.image_looked_up(image.is_some());
        if image.is_none() {
            rows.add_image(id, key, &request);
        }
        let policy = &request.policy.text;
        let text = match &request.task {
            Task::Caption { .. } => {
                Some(self.model.constant_text(&self.folder.caption_prompt, policy))
            }
            Task::Entailment { prompt } => {
                rows.texts.push(TextRow { tokens: prompt.clone(), policy: policy.clone(), id });
                None
            }
        };
        Pending { request, image, text, joint: false }
    }

    fn enter_joint(&self, rows: &mut Newcomers, id: RequestId, request: Request) -> Pending {
        let (image, policy) = (request.image.clone(), request.policy.image.clone());
        let tokens = match &request.task {
            Task::Caption { .. } => self.folder.caption_prompt.clone(),
            Task::Entailment { prompt } => prompt.clone(),
        };
        let (key, beside) = (None, Some(tokens));
        rows.images.push(ImageRow { image, policy, key, beside, waiting: vec![id] });
        Pending { request, image: None, text: None, joint: true }
    }

    /// Runs the stem on pictures, which in joint encoding have their texts beside them.
    fn begin_images(&self, images: Vec<ImageRow>) -> Part<Vec<RequestId>> {
        let pixels = self.pixels(&images);
        let (mut policies, mut rows, mut keys) = (Vec::new(), Vec::new(), Vec::new());
        let mut texts = Vec::new();
        for ImageRow { policy, waiting, key, beside, .. } in images {
            policies.push(policy);
            rows.push(waiting);
            keys.push(key);
            texts.extend(beside);
        }
        let run = match self.folder.settings.encoding {
            Encoding::Decomposed => self.model.begin_images(pixels, policies),
            Encoding::Joint => self.model.begin_joint(Some(pixels), &texts, policies),
        };
        Part { run, rows, keys }
    }

    fn begin_texts(&self, texts: Vec<TextRow>) -> Part<RequestId> {
        let (mut tokens, mut policies, mut rows) = (Vec::new(), Vec::new(), Vec::new());
        for row in texts {
            tokens.push(row.tokens);
            policies.push(row.policy);
            rows.push(row.id);
        }
        Part { run: self.model.begin_texts(&tokens, policies), rows, keys: Vec::new() }
    }

    /// Pictures of the model's size as one tensor, `[pictures, 3, height, width]`.
    fn pixels(&self, rows: &[ImageRow]) -> Tensor<4> {
        let side = self.folder.settings.image_size;
        let mut values = Vec::with_capacity(rows.len() * 3 * side * side);
        rows.iter().for_each(|row| values.extend_from_slice(&row.image.pixels.values));
        let data = TensorData::new(values, [rows.len(), 3, side, side]);
        Tensor::from_data(data, self.model.device())
    }

    /// One layer of both runs; requests that need none are ready at once.
    pub(super) fn encode_layer(&self, cohort: &mut Cohort) -> EncodeReport<Self> {
        let ready = cohort.take_ready();
        if !ready.is_empty() {
            let (layer, failed) = (cohort.layer, Vec::new());
            return EncodeReport { layer, rows: 0, ready, failed };
        }
        cohort.layer += 1;
        let Cohort { newcomers, images, texts, pending, .. } = cohort;
        let new = newcomers.take().unwrap_or_default();
        let (image, text) = self.model.both(
            || {
                if !new.images.is_empty() {
                    *images = Some(self.begin_images(new.images));
                }
                images.as_mut().and_then(|part| self.layer(Branch::Image, &mut part.run))
            },
            || {
                if !new.texts.is_empty() {
                    *texts = Some(self.begin_texts(new.texts));
                }
                texts.as_mut().and_then(|part| self.layer(Branch::Text, &mut part.run))
            },
        );
        let rows = [&image, &text].into_iter().flatten().map(|report| report.rows).sum();
        if let (Some(report), Some(part)) = (image, images) {
            self.keep_images(report, part, pending);
        }
        if let (Some(report), Some(part)) = (text, texts) {
            for (row, encoding) in report.exited {
                let pending = pending.get_mut(&part.rows[row]);
                pending.expect("a row's request waits for it").text = Some(Arc::new(encoding));
            }
        }
        let (layer, ready) = (cohort.layer, cohort.take_ready());
        EncodeReport { layer, rows, ready, failed: Vec::new() }
    }

    /// Hands pictures' encodings to the requests that wait for them, and to the cache.
    fn keep_images(
        &self,
        report: LayerReport,
        part: &Part<Vec<RequestId>>,
        pending: &mut BTreeMap<RequestId, Pending>,
    ) {
        for (row, encoding) in report.exited {
            let encoding = Arc::new(encoding);
            if let Some(Some(key)) = part.keys.get(row) {
                let usage = {
                    let mut images = self.images();
                    images.insert(key.clone(), Arc::clone(&encoding));
                    images.usage()
                };
                self.observer.image_cache(usage);
            }
            for id in &part.rows[row] {
                let pending = pending.get_mut(id).expect("a row's requests wait for it");
                pending.image = Some(Arc::clone(&encoding));
            }
        }
    }

    /// One layer of a branch, if rows of it still run.
    fn layer(&self, branch: Branch, run: &mut BranchRun) -> Option<LayerReport> {
        if run.is_finished() {
            return None;
        }
        let report = self.model.encode_layer(run);
        let (layer, rows) = (report.layer, report.rows);
        self.observer.layer(&LayerStep { branch, layer, rows });
        self.gathered(branch, run.take_gathering());
        Some(report)
    }
}
