//! The training pass: differentiable, the encoder at set depths, every decoder layer's states.

mod apart;
mod attending;
mod joint;
mod packing;

use burn::tensor::Tensor;

use self::attending::{TrainSource, attend_packed};
use self::packing::Packing;
use crate::buckets::Grid;
use crate::config::OfaConfig;
use crate::model::Network;
use crate::rows::{index, token_ids};
use crate::score_bias::{ScoreBias, padding_bias};
use crate::tables::MASKED;

/// A batch of pictures, texts about them, and what the decoder is to write.
#[derive(Clone, Debug)]
pub struct TrainInput {
    /// `[pictures, 3, height, width]`, normalised to -1..1.
    pub pixels: Tensor<4>,
    /// Token ids of each text, with BOS and EOS.
    pub texts: Vec<Vec<u32>>,
    /// Decoder sequences; several may share a picture or a text.
    pub sequences: Vec<DecoderSequence>,
    /// How pictures and texts are encoded.
    pub encoding: TrainEncoding,
}

/// How pictures and texts are encoded, and how deep.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TrainEncoding {
    /// Apart, each picture and each text once (MuE).
    Decomposed(BranchDepths),
    /// Together: each text with the picture that it is about, attending to each other (OFA).
    Joint {
        /// Layers that are run.
        layers: usize,
    },
}

/// What the decoder is fed, and what it attends to.
#[derive(Clone, Debug)]
pub struct DecoderSequence {
    /// Which picture.
    pub picture: usize,
    /// Which text.
    pub text: usize,
    /// Token ids: BOS and what follows, no EOS.
    pub tokens: Vec<u32>,
}

/// Layers that each encoder branch runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BranchDepths {
    /// Of the image branch.
    pub image: usize,
    /// Of the text branch.
    pub text: usize,
}

/// What a training pass computed; all of it is part of the graph.
#[derive(Clone, Debug)]
pub struct TrainOutput {
    /// Residual stream of the image tokens: their input, then after each layer,
    /// `[rows, image tokens, d_model]` each.
    pub image_states: Vec<Tensor<3>>,
    /// Which picture each row of the image states shows: each once, or in joint encoding once
    /// with every text about it.
    pub image_rows: Vec<usize>,
    /// Residual stream of the decoder: its input, then after each layer, `[1, tokens, d_model]`
    /// each, the sequences' tokens one behind the other.
    pub decoder_states: Vec<Tensor<3>>,
    /// The grid of the image tokens.
    pub grid: Grid,
    /// Place of each sequence's first token in the decoder's states.
    starts: Vec<usize>,
}

impl TrainOutput {
    /// Place of a sequence's token in the decoder's states.
    pub fn place(&self, sequence: usize, token: usize) -> usize {
        self.starts[sequence] + token
    }
}

impl Network {
    /// Teacher-forced pass over a batch, exits off.
    ///
    /// Belongs to the parameters and not to [`Ofa`](crate::Ofa), whose position tables are
    /// constants: here they are part of the graph and made anew.
    ///
    /// # Panics
    ///
    /// If a sequence names a picture or a text that is not there, or something is longer than
    /// the model has positions for.
    pub fn forward(&self, config: &OfaConfig, input: &TrainInput) -> TrainOutput {
        let device = self.encoder.token_table().device();
        let texts = Packing::new(input.texts.iter().map(Vec::len).collect(), &device);
        let lengths = input.sequences.iter().map(|sequence| sequence.tokens.len());
        let sequences = Packing::new(lengths.collect(), &device);
        let source = match input.encoding {
            TrainEncoding::Decomposed(depths) => self.encode_apart(config, input, &texts, depths),
            TrainEncoding::Joint { layers } => self.encode_together(input, &texts, layers),
        };
        TrainOutput {
            decoder_states: self.decode(input, &source, &sequences),
            starts: sequences.starts().to_vec(),
            image_states: source.image_states,
            image_rows: source.image_rows,
            grid: source.grid,
        }
    }

    /// Logits of every layer at chosen places, through the shared final LayerNorm and tied head.
    ///
    /// # Shapes
    ///
    /// - states: `[1, tokens, d_model]` per layer
    /// - places: as [`TrainOutput::place`] gives them
    /// - output: `[layers, places, vocab_size]`
    pub fn layer_logits(&self, states: &[Tensor<3>], places: &[usize]) -> Tensor<3> {
        let chosen = chosen_states(states, places);
        let logits = self.decoder.logits(Tensor::cat(chosen, 0), self.encoder.token_table());
        let vocabulary = logits.dims()[1];
        logits.reshape([states.len(), places.len(), vocabulary])
    }

    fn decode(
        &self,
        input: &TrainInput,
        source: &TrainSource,
        packing: &Packing,
    ) -> Vec<Tensor<3>> {
        let (decoder, device) = (&self.decoder, self.encoder.token_table().device());
        let ids: Vec<u32> =
            input.sequences.iter().flat_map(|sequence| sequence.tokens.iter().copied()).collect();
        let embedded = decoder.embed(self.encoder.embed(token_ids(&[ids], &device)));
        let tokens = packing.longest();
        // Sequences are padded behind, where the causal mask alone keeps padding out of sight.
        let future = Tensor::<2>::ones([tokens, tokens], &device).triu(1) * MASKED;
        let self_bias = decoder.positions().self_bias(tokens) + future.unsqueeze();
        let cross_bias = self.cross_bias(input, source, tokens);
        let (to_rows, to_tokens) = (packing.rows(), packing.tokens());

        let mut states = vec![embedded];
        for (number, layer) in decoder.layers.iter().enumerate() {
            let bias = self_bias.clone().narrow(0, number, 1);
            let attend_self = attend_packed(packing, bias.into());
            states.push(layer.forward_with(
                states[number].clone(),
                attend_self,
                |attention, it| {
                    let source = (source.keys_values)(attention);
                    let queries = attention.queries_at(it, &to_rows);
                    let attended = attention.attend(queries, &source, cross_bias.clone());
                    attention.project_from(attended, &to_tokens)
                },
            ));
        }
        states
    }

    /// Cross-attention bias of every layer, `[sequences, heads, tokens, source]`, image first.
    fn cross_bias(&self, input: &TrainInput, source: &TrainSource, tokens: usize) -> Tensor<4> {
        let positions = self.decoder.positions();
        let [image, text] = source.positions.clone().map(|part| positions.cross_bias(tokens, part));
        let image_tokens = image.dims()[2];
        let bias = Tensor::cat(vec![image, text], 2); // [tokens, heads, source]
        let source_tokens = bias.dims()[2];
        let lengths: Vec<usize> = input
            .sequences
            .iter()
            .map(|sequence| image_tokens + input.texts[sequence.text].len())
            .collect();
        let device = bias.device();
        let bias = bias.swap_dims(0, 1).unsqueeze(); // [1, heads, tokens, source]
        ScoreBias::padded(bias, padding_bias(&lengths, source_tokens, &device)).sum()
    }
}

/// Chosen places of states, one `[places, d_model]` per layer.
pub fn chosen_states(states: &[Tensor<3>], places: &[usize]) -> Vec<Tensor<2>> {
    let Some(first) = states.first() else { return Vec::new() };
    let [rows, tokens, width] = first.dims();
    let places = index(places, &first.device());
    states
        .iter()
        .map(|states| states.clone().reshape([rows * tokens, width]).select(0, places.clone()))
        .collect()
}
