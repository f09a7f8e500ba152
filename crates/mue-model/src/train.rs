//! The training pass: differentiable, each branch at one depth, every decoder layer's states.

use burn::tensor::{Device, Int, Tensor};

use crate::attention::KeysValues;
use crate::buckets::Grid;
use crate::config::OfaConfig;
use crate::model::Network;
use crate::rows::{index, token_ids};
use crate::source::padding_bias;
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
    /// Where the encoder branches stop.
    pub depths: BranchDepths,
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
    /// Residual stream of the image branch: its input, then after each layer,
    /// `[pictures, image tokens, d_model]` each.
    pub image_states: Vec<Tensor<3>>,
    /// Residual stream of the decoder: its input, then after each layer,
    /// `[sequences, tokens, d_model]` each. A sequence's padding is behind its tokens.
    pub decoder_states: Vec<Tensor<3>>,
    /// The grid of the image tokens.
    pub grid: Grid,
}

impl TrainOutput {
    /// Row of a sequence's token when a decoder state is flattened to `[rows, d_model]`.
    pub fn row(&self, sequence: usize, token: usize) -> usize {
        let tokens = self.decoder_states.first().map_or(0, |states| states.dims()[1]);
        sequence * tokens + token
    }
}

/// Encoder output of one branch, before the final LayerNorm.
struct Encoded {
    /// Input of the branch, then the residual stream after each layer.
    states: Vec<Tensor<3>>,
    /// Normed position embedding, `[1, tokens, d_model]`.
    positions: Tensor<3>,
}

impl Encoded {
    fn output(&self) -> Tensor<3> {
        self.states.last().expect("a branch has an input").clone()
    }
}

impl Network {
    /// Teacher-forced pass over a batch, decomposed encoding, exits off.
    ///
    /// Belongs to the parameters and not to [`Ofa`](crate::Ofa), whose position tables are
    /// constants: here they are part of the graph and made anew.
    ///
    /// # Panics
    ///
    /// If a sequence names a picture or a text that is not there, or something is longer than
    /// the model has positions for.
    pub fn forward(&self, config: &OfaConfig, input: &TrainInput) -> TrainOutput {
        let (images, grid) = self.encode_images(config, input);
        let texts = self.encode_texts(config, input);
        TrainOutput {
            decoder_states: self.decode(config, input, (&images, &texts)),
            image_states: images.states,
            grid,
        }
    }

    /// Logits of every layer at chosen places, through the shared final LayerNorm and tied head.
    ///
    /// # Shapes
    ///
    /// - states: `[sequences, tokens, d_model]` per layer
    /// - rows: numbers of flattened states ([`TrainOutput::row`])
    /// - output: `[layers, rows, vocab_size]`
    pub fn layer_logits(&self, states: &[Tensor<3>], rows: &[usize]) -> Tensor<3> {
        let chosen = chosen_rows(states, rows);
        let logits = self.decoder.logits(Tensor::cat(chosen, 0), self.encoder.token_table());
        let vocabulary = logits.dims()[1];
        logits.reshape([states.len(), rows.len(), vocabulary])
    }

    fn device(&self) -> Device {
        self.encoder.token_table().device()
    }

    fn encode_images(&self, config: &OfaConfig, input: &TrainInput) -> (Encoded, Grid) {
        let encoder = &self.encoder;
        let (hidden, grid) = encoder.embed_image(input.pixels.clone());
        let positions = encoder.positions().image_embedding(grid);
        let absolute = encoder.positions().absolute_bias(positions.clone());
        let bias = |layer: usize| match config.image_relative_bias {
            true => absolute.clone() + encoder.positions().image_relative_bias(layer, grid),
            false => absolute.clone(),
        };
        (Encoded { states: self.run_layers(hidden, input.depths.image, bias), positions }, grid)
    }

    fn encode_texts(&self, config: &OfaConfig, input: &TrainInput) -> Encoded {
        let encoder = &self.encoder;
        let (padded, lengths) = pad(input.texts.iter(), config.pad_token_id);
        let device = self.device();
        let hidden = encoder.embed_text(token_ids(&padded, &device));
        let tokens = hidden.dims()[1];
        let positions = encoder.positions().text_embedding(tokens);
        let absolute = encoder.positions().absolute_bias(positions.clone());
        let padding = padding_bias(&lengths, tokens, &device);
        let bias = |layer: usize| {
            let bias = absolute.clone() + encoder.positions().text_relative_bias(layer, tokens);
            match &padding {
                Some(padding) => bias + padding.clone(), // [texts, heads, tokens, tokens]
                None => bias,
            }
        };
        Encoded { states: self.run_layers(hidden, input.depths.text, bias), positions }
    }

    fn run_layers(
        &self,
        hidden: Tensor<3>,
        depth: usize,
        bias: impl Fn(usize) -> Tensor<4>,
    ) -> Vec<Tensor<3>> {
        let mut states = vec![hidden];
        for (number, layer) in self.encoder.layers.iter().take(depth).enumerate() {
            states.push(layer.forward(states[number].clone(), bias(number)));
        }
        states
    }

    fn decode(
        &self,
        config: &OfaConfig,
        input: &TrainInput,
        (images, texts): (&Encoded, &Encoded),
    ) -> Vec<Tensor<3>> {
        let (decoder, device) = (&self.decoder, self.device());
        let sequences = input.sequences.iter().map(|sequence| &sequence.tokens);
        let (padded, _) = pad(sequences, config.pad_token_id);
        let embedded = decoder.embed(self.encoder.embed(token_ids(&padded, &device)));
        let tokens = embedded.dims()[1];
        // Sequences are padded behind, where the causal mask alone keeps padding out of sight.
        let future = Tensor::<2>::ones([tokens, tokens], &device).triu(1) * MASKED;
        let self_bias = decoder.positions().self_bias(tokens) + future.unsqueeze();
        let cross_bias = self.cross_bias(input, (images, texts), tokens);
        let sources = [images, texts].map(|part| self.encoder.normalise(part.output()));
        let rows = [
            rows_of(&input.sequences, |sequence| sequence.picture, &device),
            rows_of(&input.sequences, |sequence| sequence.text, &device),
        ];

        let mut states = vec![embedded];
        for (number, layer) in decoder.layers.iter().enumerate() {
            let hidden = states[number].clone();
            let cached = layer.self_keys_values(hidden.clone());
            let parts = sources.clone().map(|source| layer.cross_keys_values(source));
            let source = spread(parts, &rows);
            let bias = self_bias.clone().narrow(0, number, 1);
            states.push(layer.forward(hidden, &cached, bias, |attention, queries| {
                attention.attend(queries, &source, cross_bias.clone())
            }));
        }
        states
    }

    /// Cross-attention bias of every layer, `[sequences, heads, tokens, source]`, image first.
    fn cross_bias(
        &self,
        input: &TrainInput,
        (images, texts): (&Encoded, &Encoded),
        tokens: usize,
    ) -> Tensor<4> {
        let positions = self.decoder.positions();
        let image = positions.cross_bias(tokens, images.positions.clone());
        let text = positions.cross_bias(tokens, texts.positions.clone());
        let image_tokens = image.dims()[2];
        let bias = Tensor::cat(vec![image, text], 2); // [tokens, heads, source]
        let source = bias.dims()[2];
        let lengths: Vec<usize> = input
            .sequences
            .iter()
            .map(|sequence| image_tokens + input.texts[sequence.text].len())
            .collect();
        let bias = bias.swap_dims(0, 1).unsqueeze(); // [1, heads, tokens, source]
        match padding_bias(&lengths, source, &self.device()) {
            Some(padding) => bias + padding,
            None => bias,
        }
    }
}

/// Rows of flattened states, one `[rows, d_model]` per layer.
pub fn chosen_rows(states: &[Tensor<3>], rows: &[usize]) -> Vec<Tensor<2>> {
    let Some(first) = states.first() else { return Vec::new() };
    let [sequences, tokens, width] = first.dims();
    let rows = index(rows, &first.device());
    states
        .iter()
        .map(|states| states.clone().reshape([sequences * tokens, width]).select(0, rows.clone()))
        .collect()
}

/// Gives each sequence its picture's and its text's keys and values, joined.
fn spread(parts: [KeysValues; 2], rows: &[Tensor<1, Int>; 2]) -> KeysValues {
    let parts = parts.into_iter().zip(rows).map(|(part, rows)| {
        part.map(|tensor| {
            let [batch, heads, tokens, head_dim] = tensor.dims();
            // The projection's own layout, in which a row is one piece.
            let chosen = tensor
                .swap_dims(1, 2)
                .reshape([batch, tokens * heads * head_dim])
                .select(0, rows.clone());
            let batch = chosen.dims()[0];
            chosen.reshape([batch, tokens, heads, head_dim]).swap_dims(1, 2)
        })
    });
    KeysValues::concat(parts.collect())
}

fn rows_of(
    sequences: &[DecoderSequence],
    row: impl Fn(&DecoderSequence) -> usize,
    device: &Device,
) -> Tensor<1, Int> {
    index(&sequences.iter().map(row).collect::<Vec<_>>(), device)
}

/// Token ids padded behind to one length, and the lengths before.
fn pad<'a>(rows: impl Iterator<Item = &'a Vec<u32>>, id: u32) -> (Vec<Vec<u32>>, Vec<usize>) {
    let mut padded: Vec<Vec<u32>> = rows.cloned().collect();
    let lengths: Vec<usize> = padded.iter().map(Vec::len).collect();
    let longest = lengths.iter().copied().max().unwrap_or(0);
    padded.iter_mut().for_each(|row| row.resize(longest, id));
    (padded, lengths)
}
