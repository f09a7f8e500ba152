//! What a decoder attends to: encoded branches, their keys and values, and their positions.

use std::sync::{Arc, OnceLock};

use burn::tensor::Tensor;

use crate::attention::{Attention, KeysValues};
use crate::buckets::Grid;
use crate::decoder::Decoder;
use crate::macs::MacModel;
use crate::rows::contiguous;
use crate::tables::MASKED;

/// Which tokens an encoder run works on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Branch {
    /// Image tokens alone (decomposed encoding).
    Image(Grid),
    /// Text tokens alone (decomposed encoding).
    Text,
    /// Image tokens, if any, and text tokens attending to each other (plain OFA).
    Joint(Option<Grid>),
}

/// The layer at which a branch left, and why.
#[derive(Clone, Debug, PartialEq)]
pub struct BranchExit {
    /// Layers run.
    pub layer: usize,
    /// Layers that the branch has.
    pub layers: usize,
    /// Similarity after each layer run; empty if the policy did not ask for any.
    pub similarities: Vec<f32>,
}

/// One row's finished branch. Cheap to share: several requests may attend to one image, and its
/// cross-attention keys and values are projected once, when a decoder layer first needs them.
#[derive(Debug)]
pub struct BranchEncoding {
    branch: Branch,
    exit: BranchExit,
    /// After the shared final LayerNorm, `[1, tokens, d_model]`.
    states: Tensor<3>,
    /// Computed once per model, so not counted as a request's cost.
    constant: bool,
    keys_values: Vec<OnceLock<KeysValues>>,
}

impl BranchEncoding {
    pub(crate) fn new(
        branch: Branch,
        exit: BranchExit,
        states: Tensor<3>,
        decoder_layers: usize,
    ) -> Self {
        let keys_values = (0..decoder_layers).map(|_| OnceLock::new()).collect();
        Self { branch, exit, states, constant: false, keys_values }
    }

    /// Marks what every request shares: the constant caption prompt.
    pub(crate) fn into_constant(mut self) -> Self {
        self.constant = true;
        self
    }

    /// What was encoded.
    pub fn branch(&self) -> Branch {
        self.branch
    }

    /// Where it left.
    pub fn exit(&self) -> &BranchExit {
        &self.exit
    }

    /// Encoder tokens.
    pub fn tokens(&self) -> usize {
        self.states.dims()[1]
    }

    /// Bytes that it holds at most, the keys and values of every decoder layer included.
    pub fn bytes_max(&self) -> usize {
        let [_, tokens, width] = self.states.dims();
        (1 + 2 * self.keys_values.len()) * tokens * width * size_of::<f32>()
    }

    /// Whether the encoding belongs to the model rather than to a request.
    pub fn is_constant(&self) -> bool {
        self.constant
    }

    /// The same encoding before any decoder layer has projected it; the constant prompt stays
    /// as it is.
    pub fn unprojected(self: &Arc<Self>) -> Arc<Self> {
        match self.constant {
            true => Arc::clone(self),
            false => {
                let layers = self.keys_values.len();
                let (exit, states) = (self.exit.clone(), self.states.clone());
                Arc::new(Self::new(self.branch, exit, states, layers))
            }
        }
    }

    /// The encoder output, `[1, tokens, d_model]`.
    pub fn states(&self) -> Tensor<3> {
        self.states.clone()
    }

    fn keys_values(&self, decoder: &Decoder, layer: usize) -> KeysValues {
        let kept = &self.keys_values[layer];
        if let Some(kept) = kept.get() {
            return kept.clone();
        }
        // Not made inside the cell: a thread that waits there may run other work that looks at it.
        let made = decoder.layers[layer].cross_keys_values(self.states.clone()).map(contiguous);
        kept.get_or_init(|| made).clone()
    }
}

/// The encoder output of one request: its image branch and its text branch, or one joint branch.
#[derive(Clone, Debug)]
pub struct Source {
    parts: Vec<Arc<BranchEncoding>>,
    /// Cross-attention bias, `[decoder positions, heads, source tokens]`.
    bias: Tensor<3>,
    /// By decoder layer, once reached: keys and values of all parts.
    keys_values: Vec<Option<KeysValues>>,
    tokens: usize,
}

impl Source {
    pub(crate) fn new(parts: Vec<Arc<BranchEncoding>>, bias: Tensor<3>, layers: usize) -> Self {
        let tokens = parts.iter().map(|part| part.tokens()).sum();
        Self { parts, bias, keys_values: vec![None; layers], tokens }
    }

    /// The encoded branches, image first.
    pub fn parts(&self) -> &[Arc<BranchEncoding>] {
        &self.parts
    }

    /// Encoder tokens of all parts.
    pub fn tokens(&self) -> usize {
        self.tokens
    }

    /// Tokens whose keys and values are this request's own cost.
    pub(crate) fn own_tokens(&self) -> usize {
        self.parts.iter().filter(|part| !part.is_constant()).map(|part| part.tokens()).sum()
    }

    /// What projecting a layer's keys and values would cost, if nobody has yet.
    pub(crate) fn pending_macs(&self, macs: &MacModel, layer: usize) -> u64 {
        match self.keys_values[layer] {
            Some(_) => 0,
            None => macs.cross_keys_values(self.own_tokens()),
        }
    }

    /// Projects a layer's keys and values if no token of this request was there before.
    ///
    /// Returns whether it had to.
    pub(crate) fn prepare(&mut self, decoder: &Decoder, layer: usize) -> bool {
        if self.keys_values[layer].is_some() {
            return false;
        }
        let parts = self.parts.iter().map(|part| part.keys_values(decoder, layer)).collect();
        self.keys_values[layer] = Some(KeysValues::concat(parts));
        true
    }

    /// Bias of decoder positions against the source, `[1, heads, positions, source]`.
    pub fn position_bias(&self, positions: &[usize]) -> Tensor<4> {
        let rows = match positions {
            [one] => self.bias.clone().slice(*one..one + 1),
            several => {
                let index = crate::rows::index(several, &self.bias.device());
                self.bias.clone().select(0, index)
            }
        };
        rows.swap_dims(0, 1).unsqueeze() // [1, heads, positions, source]
    }
}

/// One request's rows in a decoder pass.
pub(crate) struct Attending<'a> {
    pub(crate) source: &'a Source,
    /// Rows (beams), adjacent in the batch.
    pub(crate) rows: usize,
    /// Decoder position of each query column.
    pub(crate) positions: Vec<usize>,
}

/// Below this many source elements per request, requests of one shape attend in one call: a copy
/// of the keys and values is then cheaper than a call each.
const STACKED_ELEMENTS_MAX: usize = 1 << 16;

/// Cross-attention of a batch in which every request has its own source.
///
/// # Shapes
///
/// queries and output: `[rows of all requests, heads, target, head_dim]`
pub(crate) fn cross_attend(
    attention: &Attention,
    queries: Tensor<4>,
    requests: &[Attending<'_>],
    layer: usize,
) -> Tensor<4> {
    let mut outputs = Vec::with_capacity(requests.len());
    let mut first_row = 0;
    let mut rest = requests;
    while let Some(request) = rest.first() {
        let (group, others) = rest.split_at(stackable(rest));
        let rows = group.len() * request.rows;
        let group_queries = queries.clone().narrow(0, first_row, rows);
        outputs.push(attend_group(attention, group_queries, group, layer));
        first_row += rows;
        rest = others;
    }
    match outputs.len() {
        1 => outputs.remove(0),
        _ => Tensor::cat(outputs, 0),
    }
}

/// How many requests at the front can attend in one call.
fn stackable(requests: &[Attending<'_>]) -> usize {
    let shape =
        |request: &Attending<'_>| (request.source.tokens, request.rows, request.positions.len());
    let Some(first) = requests.first() else { return 0 };
    let [_, heads, tokens] = first.source.bias.dims();
    if heads * tokens * tokens.max(64) > STACKED_ELEMENTS_MAX {
        return 1;
    }
    requests.iter().take_while(|request| shape(request) == shape(first)).count()
}

fn attend_group(
    attention: &Attention,
    queries: Tensor<4>,
    group: &[Attending<'_>],
    layer: usize,
) -> Tensor<4> {
    let [rows, heads, target, head_dim] = queries.dims();
    let beams = rows / group.len();
    let source = KeysValues::stack(
        group
            .iter()
            .map(|request| {
                request.source.keys_values[layer].clone().expect("the layer was prepared")
            })
            .collect(),
    );
    let biases =
        group.iter().map(|request| request.source.position_bias(&request.positions)).collect();
    let bias = Tensor::cat(biases, 0); // [requests, heads, target, source]
    if beams == 1 {
        return attention.attend(queries, &source, bias);
    }
    // The beams of a request share its source: they attend as further queries of one row.
    let queries = queries
        .reshape([group.len(), beams, heads, target, head_dim])
        .swap_dims(1, 2) // [requests, heads, beams, target, head_dim]
        .reshape([group.len(), heads, beams * target, head_dim]);
    let bias = bias.repeat_dim(2, beams); // [requests, heads, beams * target, source]
    attention
        .attend(queries, &source, bias)
        .reshape([group.len(), heads, beams, target, head_dim])
        .swap_dims(1, 2)
        .reshape([rows, heads, target, head_dim])
}

/// A bias, `[rows or 1, heads, target, tokens]`, with padding masked, if there is any.
pub(crate) fn with_padding(bias: Tensor<4>, padding: Option<&Tensor<4>>) -> Tensor<4> {
    match padding {
        Some(padding) => bias + padding.clone(),
        None => bias,
    }
}

/// Key-padding bias of rows of different lengths, `[rows, 1, 1, tokens]`; none if all are full.
pub(crate) fn padding_bias(
    lengths: &[usize],
    tokens: usize,
    device: &burn::tensor::Device,
) -> Option<Tensor<4>> {
    if lengths.iter().all(|length| *length == tokens) {
        return None;
    }
    let values: Vec<f32> = lengths
        .iter()
        .flat_map(|length| (0..tokens).map(move |token| if token < *length { 0.0 } else { MASKED }))
        .collect();
    let data = burn::tensor::TensorData::new(values, [lengths.len(), 1, 1, tokens]);
    Some(Tensor::from_data(data, device))
}
