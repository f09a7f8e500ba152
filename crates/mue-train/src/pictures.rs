//! Pictures that a model is asked about, encoded at full depth.

use std::sync::Arc;

use mue_model::{
    BranchEncoding, BranchPolicy, DecoderRun, Ofa, RequestId, RowIndex, SearchSettings, SelectRows,
    Source, Tensor, TensorData,
};

use crate::config::Encoding;

/// Pictures, and their encodings where those do not depend on what is asked.
pub(crate) struct Pictures<'a> {
    model: &'a Ofa,
    /// `[pictures, 3, height, width]`
    pixels: Tensor<4>,
    /// None in joint encoding.
    encoded: Option<Vec<Arc<BranchEncoding>>>,
}

impl<'a> Pictures<'a> {
    /// Pictures of one size, `[pictures, 3, height, width]` row-major.
    pub(crate) fn new(
        model: &'a Ofa,
        values: Vec<f32>,
        [height, width]: [usize; 2],
        encoding: Encoding,
    ) -> Self {
        let count = values.len() / (3 * height * width);
        let data = TensorData::new(values, [count, 3, height, width]);
        let pixels = Tensor::from_data(data, model.device());
        let encoded = match encoding {
            Encoding::Decomposed => {
                let run = model.begin_images(pixels.clone(), vec![BranchPolicy::Full; count]);
                Some(shared(model.encode_all(run)))
            }
            Encoding::Joint => None,
        };
        Self { model, pixels, encoded }
    }

    /// What the decoder attends to when pictures are asked by prompts of any kind.
    pub(crate) fn ask(
        &self,
        pictures: &[usize],
        prompts: &[Vec<u32>],
        tokens_max: usize,
    ) -> Vec<Source> {
        let texts = || {
            let run = self.model.begin_texts(prompts, vec![BranchPolicy::Full; prompts.len()]);
            shared(self.model.encode_all(run))
        };
        match &self.encoded {
            Some(images) => self.apart(images, pictures, texts(), tokens_max),
            None => self.together(pictures, prompts, tokens_max),
        }
    }

    /// The same by one prompt, which is encoded once where that can be.
    pub(crate) fn ask_alike(
        &self,
        pictures: &[usize],
        prompt: &[u32],
        tokens_max: usize,
    ) -> Vec<Source> {
        match &self.encoded {
            Some(images) => {
                let text = self.model.constant_text(prompt, &BranchPolicy::Full);
                self.apart(images, pictures, vec![text; pictures.len()], tokens_max)
            }
            None => self.together(pictures, &vec![prompt.to_vec(); pictures.len()], tokens_max),
        }
    }

    fn apart(
        &self,
        images: &[Arc<BranchEncoding>],
        pictures: &[usize],
        texts: Vec<Arc<BranchEncoding>>,
        tokens_max: usize,
    ) -> Vec<Source> {
        let parts =
            pictures.iter().zip(texts).map(|(picture, it)| vec![Arc::clone(&images[*picture]), it]);
        parts.map(|parts| self.model.source(parts, tokens_max)).collect()
    }

    fn together(&self, pictures: &[usize], prompts: &[Vec<u32>], tokens_max: usize) -> Vec<Source> {
        if pictures.is_empty() {
            return Vec::new();
        }
        let total = self.pixels.dims()[0];
        let chosen = RowIndex::new(pictures.to_vec(), total, self.model.device());
        let pixels = self.pixels.clone().select_rows(&chosen);
        let policies = vec![BranchPolicy::Full; pictures.len()];
        let run = self.model.begin_joint(Some(pixels), prompts, policies);
        let encoded = shared(self.model.encode_all(run)).into_iter();
        encoded.map(|joint| self.model.source(vec![joint], tokens_max)).collect()
    }
}

fn shared(encodings: Vec<BranchEncoding>) -> Vec<Arc<BranchEncoding>> {
    encodings.into_iter().map(Arc::new).collect()
}

/// Starts captions that are searched for greedily, one per source.
pub(crate) fn begin_captions(
    model: &Ofa,
    sources: Vec<Source>,
    tokens_max: usize,
) -> (DecoderRun, Vec<RequestId>) {
    let settings = SearchSettings {
        beam_size: 1,
        tokens_max,
        no_repeat_ngram_size: 0,
        ..SearchSettings::default()
    };
    let mut run = model.begin_decode();
    let ids = sources
        .into_iter()
        .map(|source| model.join_decode(&mut run, source, BranchPolicy::Full, settings.clone()))
        .collect();
    (run, ids)
}

/// Decoder positions that a caption of so many tokens may ask for.
pub(crate) fn positions(tokens_max: usize) -> usize {
    tokens_max + 2
}
