//! A cohort's rows before their first layer: pictures that wait for the stem, and texts.

use mue_batcher::RequestId;
use mue_model::{BranchPolicy, EmbeddedImages, Tensor, TensorData};

use super::BatchOfa;
use super::cohort::Part;
use super::image_cache::CacheKey;
use crate::request::{Image, Request};
use crate::settings::Encoding;
use crate::threads::threads;

/// Rows that are about to enter the encoder.
#[derive(Default)]
pub(super) struct Newcomers {
    pub(super) images: Vec<ImageRow>,
    pub(super) texts: Vec<TextRow>,
}

/// A picture, and who waits for it; there is one row per picture and policy, in joint encoding one per
/// request.
pub(super) struct ImageRow {
    pub(super) image: Image,
    pub(super) policy: BranchPolicy,
    /// Under which its encoding is kept.
    pub(super) key: Option<CacheKey>,
    /// In joint encoding, the text that encodes with it.
    pub(super) beside: Option<Vec<u32>>,
    /// The picture behind the stem.
    pub(super) embedded: Option<EmbeddedImages>,
    pub(super) waiting: Vec<RequestId>,
}

/// A text that is not the constant prompt.
pub(super) struct TextRow {
    pub(super) tokens: Vec<u32>,
    pub(super) policy: BranchPolicy,
    pub(super) id: RequestId,
}

impl Newcomers {
    /// Adds a request to the row of its picture.
    pub(super) fn add_image(&mut self, id: RequestId, key: CacheKey, request: &Request) {
        let same = self.images.iter_mut().find(|row| row.key.as_ref() == Some(&key));
        match same {
            Some(row) => row.waiting.push(id),
            None => self.images.push(ImageRow {
                image: request.image.clone(),
                policy: request.policy.image.clone(),
                key: Some(key),
                beside: None,
                embedded: None,
                waiting: vec![id],
            }),
        }
    }

    /// Frees the other requests.
    pub(super) fn retain(&mut self, keep: &dyn Fn(RequestId) -> bool) {
        self.images.iter_mut().for_each(|row| row.waiting.retain(|id| keep(*id)));
        self.images.retain(|row| !row.waiting.is_empty());
        self.texts.retain(|row| keep(row.id));
    }
}

impl BatchOfa {
    /// Runs the stem on the next pictures where more are to follow, and says how many they were: on
    /// the CPU, where each takes its time, one for each thread, so that those who decode do not wait for
    /// all. The last go through it when the encoder [begins](Self::begin_images), on a
    /// GPU all.
    pub(super) fn embed(&self, images: &mut [ImageRow]) -> usize {
        let most = if self.model.is_on_host() { threads() } else { images.len() };
        let next = waiting_pictures(images);
        if next.len() <= most {
            return 0;
        }
        self.embed_pictures(images, &next[..most]);
        most
    }

    /// Runs the stem on pictures, and gives what comes of each to all of its rows.
    fn embed_pictures(&self, images: &mut [ImageRow], pictures: &[Image]) {
        let embedded = self.embedded(pictures.iter()).split();
        for (picture, embedded) in pictures.iter().zip(embedded) {
            let rows = images.iter_mut().filter(|row| row.image.key == picture.key);
            rows.for_each(|row| row.embedded = Some(embedded.clone()));
        }
    }

    /// Has pictures enter the encoder, in joint encoding with their texts; `None` if there are none.
    pub(super) fn begin_images(&self, mut images: Vec<ImageRow>) -> Option<Part<Vec<RequestId>>> {
        let last = waiting_pictures(&images);
        if !last.is_empty() {
            self.embed_pictures(&mut images, &last);
        }
        let (mut policies, mut rows, mut keys) = (Vec::new(), Vec::new(), Vec::new());
        let (mut pictures, mut texts) = (Vec::new(), Vec::new());
        for ImageRow { policy, waiting, key, beside, embedded, .. } in images {
            policies.push(policy);
            rows.push(waiting);
            keys.push(key);
            texts.extend(beside);
            pictures.extend(embedded);
        }
        let pictures = EmbeddedImages::stack(pictures)?;
        let run = match self.folder.settings.encoding {
            Encoding::Decomposed => self.model.begin_embedded(pictures, policies),
            Encoding::Joint => self.model.begin_joint_embedded(Some(pictures), &texts, policies),
        };
        Some(Part { run, rows, keys })
    }

    /// Has texts enter their branch; `None` if there are none.
    pub(super) fn begin_texts(&self, texts: Vec<TextRow>) -> Option<Part<RequestId>> {
        if texts.is_empty() {
            return None;
        }
        let (mut tokens, mut policies, mut rows) = (Vec::new(), Vec::new(), Vec::new());
        for row in texts {
            tokens.push(row.tokens);
            policies.push(row.policy);
            rows.push(row.id);
        }
        let run = self.model.begin_texts(&tokens, policies);
        Some(Part { run, rows, keys: Vec::new() })
    }

    /// Pictures of the model's size, `[pictures, 3, height, width]`, behind the stem.
    fn embedded<'a>(&self, images: impl ExactSizeIterator<Item = &'a Image>) -> EmbeddedImages {
        let (side, pictures) = (self.folder.settings.image_size, images.len());
        let mut values = Vec::with_capacity(pictures * 3 * side * side);
        images.for_each(|image| values.extend_from_slice(&image.pixels.values));
        let data = TensorData::new(values, [pictures, 3, side, side]);
        self.model.embed_images(Tensor::from_data(data, self.model.device()))
    }
}

/// The pictures that have not been through the stem, each once: it does not see the text beside them.
fn waiting_pictures(images: &[ImageRow]) -> Vec<Image> {
    let mut pictures: Vec<Image> = Vec::new();
    for row in images.iter().filter(|row| row.embedded.is_none()) {
        if pictures.iter().all(|picture| picture.key != row.image.key) {
            pictures.push(row.image.clone());
        }
    }
    pictures
}
