//! Requests that encode together: their pictures in one run, their texts in another.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use mue_batcher::{EncodeReport, RequestId};
use mue_model::{BranchEncoding, BranchRun, LayerReport};

use super::BatchOfa;
use super::image_cache::CacheKey;
use super::newcomers::{ImageRow, Newcomers, TextRow};
use crate::observer::{Branch, LayerStep};
use crate::request::{Request, Task};
use crate::settings::Encoding;

/// Requests between admission and decoding.
pub struct Cohort {
    /// Rows before their first layer.
    newcomers: Newcomers,
    /// Pictures; in joint encoding, each with its text.
    images: Option<Part<Vec<RequestId>>>,
    /// Texts that are not the constant prompt.
    texts: Option<Part<RequestId>>,
    pending: BTreeMap<RequestId, Pending>,
}

/// One run, and who waits for each of its rows.
pub(super) struct Part<W> {
    pub(super) run: BranchRun,
    pub(super) rows: Vec<W>,
    /// Under which key a picture's encoding is kept.
    pub(super) keys: Vec<Option<CacheKey>>,
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
        self.newcomers.retain(keep);
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
        let (mut newcomers, mut pending) = (Newcomers::default(), BTreeMap::new());
        for (id, request) in inputs {
            let waits = match self.folder.settings.encoding {
                Encoding::Decomposed => self.enter_decomposed(&mut newcomers, id, request),
                Encoding::Joint => self.enter_joint(&mut newcomers, id, request),
            };
            pending.insert(id, waits);
        }
        Cohort { newcomers, images: None, texts: None, pending }
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
            Task::Entailment { prompt, .. } => {
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
            Task::Entailment { prompt, .. } => prompt.clone(),
        };
        let (key, beside) = (None, Some(tokens));
        let embedded = None;
        rows.images.push(ImageRow { image, policy, key, beside, embedded, waiting: vec![id] });
        Pending { request, image: None, text: None, joint: true }
    }

    /// One layer of both runs, or of texts alone while pictures wait for the stem; requests that need
    /// none are ready at once. The stem goes on until the token beside it is decoded, if there is one.
    pub(super) fn encode_layer(
        &self,
        cohort: &mut Cohort,
        token: Option<&AtomicBool>,
    ) -> EncodeReport<Self> {
        let ready = cohort.take_ready();
        if !ready.is_empty() {
            return EncodeReport { layer: 0, rows: 0, ready, failed: Vec::new() };
        }
        let Cohort { newcomers, images, texts, pending } = cohort;
        let Newcomers { images: pictures, texts: sentences } = newcomers;
        let ((pictures, image), text) = self.model.both(
            || self.image_step(pictures, images, token),
            || {
                *texts = texts.take().or_else(|| self.begin_texts(std::mem::take(sentences)));
                texts.as_mut().and_then(|part| self.layer(Branch::Text, &mut part.run))
            },
        );
        let (mut layer, mut rows) = (0, pictures);
        for report in [&image, &text].into_iter().flatten() {
            layer = layer.max(report.layer);
            rows += report.rows;
        }
        if let (Some(report), Some(part)) = (image, images) {
            self.keep_images(report, part, pending);
        }
        if let (Some(report), Some(part)) = (text, texts) {
            for (row, encoding) in report.exited {
                let pending = pending.get_mut(&part.rows[row]);
                pending.expect("a row's request waits for it").text = Some(Arc::new(encoding));
            }
        }
        EncodeReport { layer, rows, ready: cohort.take_ready(), failed: Vec::new() }
    }

    /// The stem of some pictures, or, for the last of them, a layer too. Returns how many pictures went
    /// through the stem and no further.
    fn image_step(
        &self,
        pictures: &mut Vec<ImageRow>,
        images: &mut Option<Part<Vec<RequestId>>>,
        token: Option<&AtomicBool>,
    ) -> (usize, Option<LayerReport>) {
        let mut embedded = 0;
        loop {
            let more = self.embed(pictures);
            if more == 0 {
                break;
            }
            embedded += more;
            if token.is_none_or(|is_decoded| is_decoded.load(Ordering::Relaxed)) {
                return (embedded, None);
            }
        }
        *images = images.take().or_else(|| self.begin_images(std::mem::take(pictures)));
        (0, images.as_mut().and_then(|part| self.layer(Branch::Image, &mut part.run)))
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
                self.keep_image(key.clone(), Arc::clone(&encoding));
            }
            for id in &part.rows[row] {
                let pending = pending.get_mut(id).expect("a row's requests wait for it");
                pending.image = Some(Arc::clone(&encoding));
            }
        }
    }

    /// Keeps a picture's encoding in the cache.
    pub(super) fn keep_image(&self, key: CacheKey, encoding: Arc<BranchEncoding>) {
        let mut images = self.images();
        images.insert(key, encoding);
        // While it is locked: another thread's news must not be told before.
        self.observer.image_cache(images.usage());
    }

    /// One layer of a branch, if rows of it still run.
    pub(super) fn layer(&self, branch: Branch, run: &mut BranchRun) -> Option<LayerReport> {
        if run.is_finished() {
            return None;
        }
        let active = run.active_rows().len();
        let report = self.model.encode_layer(run);
        let (layer, rows) = (report.layer, report.rows);
        self.observer.layer(&LayerStep { branch, layer, rows, active });
        self.gathered(branch, run.take_gathering());
        Some(report)
    }
}
