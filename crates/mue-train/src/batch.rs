//! What a training step learns from, as plain data, and where it comes from.

use mue_data::datasets::{DataError, Problem};
use mue_model::{DecoderSequence, Device, Tensor, TensorData, TrainEncoding, TrainInput};

use crate::config::{Encoding, TrainConfig};
use crate::self_critical::SampledCaption;

/// Pictures with one caption and some hypotheses each.
#[derive(Clone, Debug, PartialEq)]
pub struct Batch {
    /// Height and width of the pictures in pixels.
    pub image_size: [usize; 2],
    /// Normalised samples, `[pictures, 3, height, width]` row-major.
    pub pixels: Vec<f32>,
    /// Ends captions.
    pub eos: u32,
    /// The prompt that asks for a caption, with BOS and EOS.
    pub caption_prompt: Vec<u32>,
    /// Captions, without BOS and EOS.
    pub captions: Vec<CaptionExample>,
    /// Hypotheses about the pictures.
    pub hypotheses: Vec<HypothesisExample>,
    /// What the grounding heads are to read, where that is known.
    pub cells: Option<CellLabels>,
    /// Classes of each attribute of a cell, the first of which is "nothing there".
    pub cell_classes: Vec<usize>,
}

/// A picture's caption.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CaptionExample {
    /// Which picture.
    pub picture: usize,
    /// Token ids, without BOS and EOS.
    pub tokens: Vec<u32>,
    /// All that people, or whoever knows, say of the picture.
    pub references: Vec<String>,
}

/// A question about a picture and its one-token answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HypothesisExample {
    /// Which picture.
    pub picture: usize,
    /// Token ids of the prompt, with BOS and EOS.
    pub prompt: Vec<u32>,
    /// The answer's token id.
    pub answer: u32,
}

/// What is in the cells of a square grid over each picture.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CellLabels {
    /// Cells per side.
    pub side: usize,
    /// Class of each attribute of each cell, `[pictures, side * side, attributes]` row-major.
    pub classes: Vec<usize>,
}

/// A seeded source of batches that never ends.
pub trait BatchSource: Send + Sync {
    /// The batches from this number on, in order.
    ///
    /// A batch is a function of its number, wherever one begins: so a resumed run sees what an
    /// uninterrupted one would have seen. After an error nothing follows.
    fn supply(&self, first: u64) -> Supply<'_>;
}

/// Batches, and what cannot be read on the way to them.
pub type Supply<'a> = Box<dyn Iterator<Item = Result<Supplied, DataError>> + Send + 'a>;

/// What comes from a source.
#[derive(Clone, Debug, PartialEq)]
pub enum Supplied {
    /// The next batch.
    Batch(Batch),
    /// Something that a batch to come has to do without.
    Problem(Problem),
}

impl Batch {
    /// Number of pictures.
    pub fn pictures(&self) -> usize {
        self.pixels.len() / (3 * self.image_size[0] * self.image_size[1])
    }

    /// Leaves out a task whose loss has no weight, if the other is there, so that nothing is computed
    /// for it.
    ///
    /// Both stay where what else is minimised asks both: the saturation loss does, and in joint encoding
    /// the grounding heads, which read a picture with each text about it.
    pub(crate) fn leave_out(&mut self, TrainConfig { loss, model, .. }: &TrainConfig) {
        let is_joint = model.encoding == Encoding::Joint;
        if loss.saturation > 0.0 || (is_joint && loss.grounding > 0.0) {
            return;
        }
        if loss.entailment == 0.0 && !self.captions.is_empty() {
            self.hypotheses.clear();
        } else if loss.caption == 0.0 && !self.hypotheses.is_empty() {
            self.captions.clear();
        }
    }

    /// The model's input: captions first, then hypotheses, then captions that it sampled; text 0
    /// is the caption prompt.
    pub(crate) fn input(
        &self,
        sampled: &[SampledCaption],
        (encoding, bos): (TrainEncoding, u32),
        device: &Device,
    ) -> TrainInput {
        let [height, width] = self.image_size;
        let shape = [self.pictures(), 3, height, width];
        let pixels = Tensor::from_data(TensorData::new(self.pixels.clone(), shape), device);
        let prompts = self.hypotheses.iter().map(|hypothesis| hypothesis.prompt.clone());
        let caption = |picture: usize, tokens: &[u32]| DecoderSequence {
            picture,
            text: 0,
            tokens: std::iter::once(bos).chain(tokens.iter().copied()).collect(),
        };
        let captions = self.captions.iter().map(|it| caption(it.picture, &it.tokens));
        // The last token is predicted, and nothing behind it.
        let sampled = sampled
            .iter()
            .map(|it| caption(it.picture, &it.tokens[..it.tokens.len().saturating_sub(1)]));
        let hypotheses = self.hypotheses.iter().enumerate().map(|(number, hypothesis)| {
            // The decoder is fed the prompt without its end: the answer comes next.
            let kept = hypothesis.prompt.len().saturating_sub(1);
            DecoderSequence {
                picture: hypothesis.picture,
                text: number + 1,
                tokens: hypothesis.prompt[..kept].to_vec(),
            }
        });
        TrainInput {
            pixels,
            texts: std::iter::once(self.caption_prompt.clone()).chain(prompts).collect(),
            sequences: captions.chain(hypotheses).chain(sampled).collect(),
            encoding,
        }
    }
}
