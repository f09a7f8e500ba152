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
            None => self.sources(self.together(pictures, prompts), tokens_max),
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
            None => {
                let mut distinct = pictures.to_vec();
                distinct.sort_unstable();
                distinct.dedup();
                let encoded = self.together(&distinct, &vec![prompt.to_vec(); distinct.len()]);
                let place = |picture: &usize| distinct.partition_point(|other| other < picture);
                let of_each = pictures.iter().map(|picture| Arc::clone(&encoded[place(picture)]));
                self.sources(of_each.collect(), tokens_max)
            }
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

    /// What the decoder attends to of joint encodings, one for each request.
    fn sources(&self, encoded: Vec<Arc<BranchEncoding>>, tokens_max: usize) -> Vec<Source> {
        encoded.into_iter().map(|joint| self.model.source(vec![joint], tokens_max)).collect()
    }

    /// Pictures, each encoded with its prompt.
    fn together(&self, pictures: &[usize], prompts: &[Vec<u32>]) -> Vec<Arc<BranchEncoding>> {
        if pictures.is_empty() {
            return Vec::new();
        }
        let total = self.pixels.dims()[0];
        let chosen = RowIndex::new(pictures.to_vec(), total, self.model.device());
        let pixels = self.pixels.clone().select_rows(&chosen);
        let policies = vec![BranchPolicy::Full; pictures.len()];
        let run = self.model.begin_joint(Some(pixels), prompts, policies);
        shared(self.model.encode_all(run))
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

#[cfg(test)]
mod tests {
    use burn::tensor::Device;
    use mue_model::weights::initial_tensors;

    use super::*;
    use crate::config::ModelConfig;

    const SIDE: usize = 32;

    fn model() -> Ofa {
        let device = Device::flex();
        let config = ModelConfig {
            d_model: 16,
            heads: 2,
            ffn_dim: 32,
            encoder_layers: 2,
            decoder_layers: 2,
            stem_width: 4,
            image_bucket_size: 2,
            token_bucket_size: 4,
            positions_max: 10,
            ..ModelConfig::default()
        };
        let config = config.ofa(12).unwrap();
        let tensors = initial_tensors(&config, 1, &device).unwrap();
        Ofa::from_tensors(&tensors, config, &device).unwrap()
    }

    #[test]
    fn a_picture_that_is_asked_alike_several_times_is_encoded_once() {
        let model = model();
        let pixels = (0..2 * 3 * SIDE * SIDE).map(|sample| (sample % 101) as f32 / 101.0).collect();
        let pictures = Pictures::new(&model, pixels, [SIDE; 2], Encoding::Joint);
        let ask = |asked: &[usize]| pictures.ask_alike(asked, &[0, 4, 2], positions(3));
        let sources = ask(&[1, 0, 1, 1]);
        let [first, other, again, last] = [0, 1, 2, 3].map(|place| &sources[place].parts()[0]);
        assert!(Arc::ptr_eq(first, again) && Arc::ptr_eq(first, last));
        assert!(!Arc::ptr_eq(first, other));
        for (picture, shared) in [(1, first), (0, other)] {
            let alone = ask(&[picture]).remove(0).parts()[0].states();
            let difference = (alone - shared.states()).abs().max().into_scalar::<f32>();
            assert!(difference < 1e-5, "picture {picture}: {difference}");
        }
    }
}
