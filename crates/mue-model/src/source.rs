//! What a decoder attends to: encoded branches, their keys and values, and their positions.

mod attend;

use std::sync::{Arc, OnceLock};

use burn::tensor::Tensor;

use crate::attention::KeysValues;
use crate::buckets::Grid;
use crate::decoder::Decoder;
use crate::host::in_host_memory;
use crate::macs::MacModel;
use crate::rows::contiguous;
pub(crate) use attend::{Attending, cross_attend};

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
    /// Similarity after each layer run; empty if the policy did not ask for any. Those of a constant
    /// text are always there; those of an image that went on end where it had left first.
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
    /// The residual stream of an image that left before the last layer, from which it can go on.
    hidden: Option<Tensor<3>>,
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
        Self { branch, exit, states, hidden: None, constant: false, keys_values }
    }

    /// Keeps what the branch needs to go on.
    pub(crate) fn with_hidden(mut self, hidden: Option<Tensor<3>>) -> Self {
        self.hidden = hidden;
        self
    }

    /// What an image branch goes on with, if it left early.
    pub(crate) fn hidden(&self) -> Option<Tensor<3>> {
        self.hidden.clone()
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
        let hidden = usize::from(self.hidden.is_some());
        (1 + hidden + 2 * self.keys_values.len()) * tokens * width * size_of::<f32>()
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
                let hidden = self.hidden();
                Arc::new(Self::new(self.branch, exit, states, layers).with_hidden(hidden))
            }
        }
    }

    /// The encoder output, `[1, tokens, d_model]`.
    pub fn states(&self) -> Tensor<3> {
        self.states.clone()
    }

    /// A decoder layer's keys and values, and whether they had to be projected for this.
    fn keys_values(&self, decoder: &Decoder, layer: usize) -> (KeysValues, bool) {
        let kept = &self.keys_values[layer];
        if let Some(kept) = kept.get() {
            return (kept.clone(), false);
        }
        // Not made inside the cell: a thread that waits there may run other work that looks at it.
        let made = decoder.layers[layer].cross_keys_values(self.states.clone()).map(contiguous);
        (kept.get_or_init(|| made).clone(), true)
    }

    fn is_projected(&self, layer: usize) -> bool {
        self.keys_values[layer].get().is_some()
    }
}

/// Up to this many source elements per request, requests of one shape attend in one call: a copy
/// of the keys and values is then cheaper than a call each.
const STACKED_ELEMENTS_MAX: usize = 1 << 16;

/// The encoder output of one request: its image branch and its text branch, or one joint branch.
#[derive(Clone, Debug)]
pub struct Source {
    parts: Vec<Arc<BranchEncoding>>,
    /// Cross-attention bias, `[decoder positions, heads, source tokens]`.
    bias: Tensor<3>,
    /// By decoder layer, once reached: keys and values of all parts in one, or of a large source
    /// in the host's memory, which would take a second time the parts' own, by part.
    keys_values: Vec<Option<Vec<KeysValues>>>,
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

    /// Parts whose keys and values at a layer somebody has to project before this request gets there.
    fn pending_parts(&self, layer: usize) -> impl Iterator<Item = &Arc<BranchEncoding>> {
        let open = self.keys_values[layer].is_none();
        let pending =
            move |part: &&Arc<BranchEncoding>| open && !part.constant && !part.is_projected(layer);
        self.parts.iter().filter(pending)
    }

    /// Has a layer's keys and values at hand, projected by this request unless they are there.
    ///
    /// Returns of how many tokens they were projected now, the constant prompt's not counted.
    pub(crate) fn prepare(&mut self, decoder: &Decoder, layer: usize) -> usize {
        if self.keys_values[layer].is_some() {
            return 0;
        }
        let mut tokens = 0;
        let mut parts = Vec::with_capacity(self.parts.len());
        for part in &self.parts {
            let (keys_values, is_new) = part.keys_values(decoder, layer);
            parts.push(keys_values);
            tokens += if is_new && !part.constant { part.tokens() } else { 0 };
        }
        self.keys_values[layer] = Some(match self.stays_in_parts() {
            true => parts,
            false => vec![KeysValues::concat(parts)],
        });
        tokens
    }

    fn stays_in_parts(&self) -> bool {
        !self.is_stackable() && in_host_memory(&self.bias.device())
    }

    /// Whether a copy of the keys and values costs less than a call of its own.
    fn is_stackable(&self) -> bool {
        let [_, heads, tokens] = self.bias.dims();
        heads * tokens * tokens.max(64) <= STACKED_ELEMENTS_MAX
    }

    /// Drops a layer's keys and values, which no further token of this request asks for; the parts keep
    /// theirs.
    pub(crate) fn forget(&mut self, layer: usize) {
        self.keys_values[layer] = None;
    }

    /// Layers whose keys and values are at hand.
    #[cfg(test)]
    pub(crate) fn layers_held(&self) -> usize {
        self.keys_values.iter().flatten().count()
    }

    /// Decoder positions that it is made for.
    pub(crate) fn positions(&self) -> usize {
        self.bias.dims()[0]
    }

    pub(crate) fn set_bias(&mut self, bias: Tensor<3>) {
        self.bias = bias;
    }

    /// Bias of decoder positions against the source, `[1, heads, positions, source]`.
    ///
    /// # Panics
    ///
    /// If it is not made for one of the positions.
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

/// What projecting a layer's keys and values would cost for the sources in `left` beyond what those
/// in `active` need anyway: a part is projected once, however many share it.
pub(crate) fn pending_macs<'a>(
    macs: &MacModel,
    layer: usize,
    active: impl Iterator<Item = &'a Source>,
    left: impl Iterator<Item = &'a Source>,
) -> u64 {
    let mut known: Vec<&Arc<BranchEncoding>> =
        active.flat_map(|source| source.pending_parts(layer)).collect();
    let mut tokens = 0;
    for part in left.flat_map(|source| source.pending_parts(layer)) {
        if !known.iter().any(|other| Arc::ptr_eq(other, part)) {
            known.push(part);
            tokens += part.tokens();
        }
    }
    macs.cross_keys_values(tokens)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tiny_model::{encoded, model};
    use crate::{BranchPolicy, Ofa};

    /// Two hypotheses of three and five tokens on one picture of four.
    fn hypotheses(model: &Ofa) -> [Source; 2] {
        let [image, short] = <[_; 2]>::try_from(encoded(model)).unwrap();
        let long = model.begin_texts(&[vec![0, 5, 6, 7, 2]], vec![BranchPolicy::Full]);
        let long = Arc::new(model.encode_all(long).remove(0));
        [short, long].map(|text| model.source(vec![Arc::clone(&image), text], 1))
    }

    #[test]
    fn what_is_shared_is_projected_once() {
        let model = model();
        let [mut short, mut long] = hypotheses(&model);
        assert_eq!(short.prepare(model.decoder(), 0), 4 + 3);
        assert_eq!(long.prepare(model.decoder(), 0), 5, "the picture's are there");
        assert_eq!(long.prepare(model.decoder(), 0), 0);
    }

    #[test]
    fn leaving_hypotheses_out_saves_no_more_than_their_own() {
        let model = model();
        let [mut short, long] = hypotheses(&model);
        let pending = |active: &[&Source], left: &[&Source]| {
            let (active, left) = (active.iter().copied(), left.iter().copied());
            pending_macs(model.macs(), 0, active, left) / model.macs().cross_keys_values(1)
        };
        assert_eq!(pending(&[], &[&short, &long]), 4 + 3 + 5);
        assert_eq!(pending(&[&short], &[&long]), 5, "the picture is needed anyway");
        short.prepare(model.decoder(), 0);
        assert_eq!(pending(&[], &[&short, &long]), 5);
    }

    #[test]
    fn a_constant_text_is_no_cost() {
        let model = model();
        let image = encoded(&model).remove(0);
        let text = model.constant_text(&[0, 5, 6, 2], &BranchPolicy::Full);
        let mut source = model.source(vec![image, text], 1);
        assert_eq!(source.prepare(model.decoder(), 0), 4);
    }
}
